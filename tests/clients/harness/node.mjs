// Each line: body, id, timestamp, signature, secrets (one a space) and now, each in base64, parted by spaces. A verdict for each.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { verify, VerificationError } = await import(pathToFileURL(process.argv[2]));
for await (const line of createInterface({ input: process.stdin })) {
  const [body, ...rest] = line.split(" ").map((word) => Buffer.from(word, "base64"));
  const [id, timestamp, signature, secrets, now] = rest.map(String);
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
  try {
    verify(body, headers, secrets.split(" "), { now: Number(now) });
    console.log("verified");
  } catch (error) {
    console.log(error instanceof VerificationError ? "refused" : `broken: ${error}`);
  }
}
