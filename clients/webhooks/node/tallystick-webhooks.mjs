// Verify webhooks of Tallystick (Standard Webhooks 1.0). One file, Node 18 or newer, no packages.
//
//   const event = verify(rawBody, request.headers, process.env.WEBHOOK_SECRET);
//
// `rawBody` is the Buffer as it came (express.raw, not express.json). A delivery may come twice: `webhook-id` stays the
// same, so keep it under a unique key.

import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";

export class VerificationError extends Error {}

/**
 * The event, if its signature fits; else VerificationError. `secrets`: one or several of `whsec_…` and `whpk_…`, both while one
 * is being changed. An Error of another kind means that a secret is not one.
 */
export function verify(body, headers, secrets, { toleranceSeconds = 300, now = Date.now() / 1000 } = {}) {
  const checks = [secrets].flat().map(checkOf);
  if (checks.length === 0) throw new TypeError("Give at least one secret or public key.");
  const id = header(headers, "webhook-id", /^[\x21-\x2d\x2f-\x7e]{1,255}$/);
  const timestamp = header(headers, "webhook-timestamp", /^(0|[1-9][0-9]{0,14})$/);
  const entries = header(headers, "webhook-signature", /^[\x20-\x7e]{1,8192}$/).split(" ");
  if (!(Math.abs(now - Number(timestamp)) <= toleranceSeconds)) throw new VerificationError("The timestamp is too old or too new.");

  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body)]);
  // Every entry is tried, so that the time taken does not tell which one fitted.
  const fits = entries.flatMap((entry) => checks.map((check) => check(entry, signed)));
  if (!fits.includes(true)) throw new VerificationError("No signature fits.");
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new VerificationError("The body is no JSON.");
  }
}

function header(headers, name, shape) {
  const value = typeof headers.get === "function" ? headers.get(name) : headers[name];
  if (typeof value !== "string" || !shape.test(value)) throw new VerificationError(`The header ${name} is missing or malformed.`);
  return value;
}

function checkOf(secret) {
  const key = Buffer.from(secret.slice(secret.indexOf("_") + 1), "base64");
  if (secret.startsWith("whsec_") && key.length >= 24) {
    return (entry, signed) => {
      const wanted = createHmac("sha256", key).update(signed).digest();
      const signature = signatureIn(entry, "v1,");
      return signature !== null && signature.length === wanted.length && timingSafeEqual(signature, wanted);
    };
  }
  if (secret.startsWith("whpk_") && key.length === 32) {
    // What comes before the 32 bytes says, in DER, that they are a key of Ed25519.
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key]);
    const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
    return (entry, signed) => {
      const signature = signatureIn(entry, "v1a,");
      return signature !== null && signature.length === 64 && verifySignature(null, signed, publicKey, signature);
    };
  }
  throw new TypeError("A secret is whsec_ and a public key whpk_, each as it was shown.");
}

function signatureIn(entry, version) {
  const text = entry.slice(version.length);
  return entry.startsWith(version) && /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, "base64") : null;
}
