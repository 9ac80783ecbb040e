<?php

declare(strict_types=1);

/**
 * Verify webhooks of Tallystick (Standard Webhooks 1.0). One file, PHP 8.1 or newer; whpk_ needs the extension sodium, which PHP brings.
 *
 *   $event = tallystick_verify(file_get_contents('php://input'), getallheaders(), getenv('WEBHOOK_SECRET'));
 *
 * Give the body as it came. A delivery may come twice: webhook-id stays the same, so keep it under a unique key.
 */
final class TallystickVerificationException extends Exception
{
}

/**
 * The event, if its signature fits. $secrets: one or several of whsec_… and whpk_…, both while one is being changed.
 *
 * @param array<string, string> $headers
 * @param string|list<string> $secrets
 * @return array<string, mixed>
 * @throws TallystickVerificationException whatever came, where it is not genuine
 * @throws InvalidArgumentException where a secret is none
 */
function tallystick_verify(string $body, array $headers, string|array $secrets, int $toleranceSeconds = 300, ?int $now = null): array
{
    $keys = array_map('tallystick_key', (array) $secrets);
    $headers = array_change_key_case($headers, CASE_LOWER);
    $id = tallystick_header($headers, 'webhook-id', '/\A[\x21-\x2d\x2f-\x7e]{1,255}\z/');
    $timestamp = tallystick_header($headers, 'webhook-timestamp', '/\A(0|[1-9][0-9]{0,14})\z/');
    $entries = explode(' ', tallystick_header($headers, 'webhook-signature', '/\A[\x20-\x7e]{1,8192}\z/'));
    if (abs(($now ?? time()) - (int) $timestamp) > $toleranceSeconds) {
        throw new TallystickVerificationException('The timestamp is too old or too new.');
    }
    $signed = "$id.$timestamp.$body";
    $fits = false;
    foreach ($entries as $entry) {
        [$version, $text] = explode(',', $entry, 2) + [1 => ''];
        $signature = base64_decode($text, true);
        foreach ($keys as [$kind, $key]) {
            // Every entry is tried, so that the time taken does not tell which one fitted.
            if ($signature !== false && $kind === $version && tallystick_fits($kind, $key, $signed, $signature)) {
                $fits = true;
            }
        }
    }
    if (!$fits) {
        throw new TallystickVerificationException('No signature fits.');
    }
    $event = json_decode($body, true);
    if (!is_array($event)) {
        throw new TallystickVerificationException('The body is no JSON object.');
    }
    return $event;
}

function tallystick_fits(string $kind, string $key, string $signed, string $signature): bool
{
    if ($kind === 'v1') {
        return hash_equals(hash_hmac('sha256', $signed, $key, true), $signature);
    }
    return strlen($signature) === SODIUM_CRYPTO_SIGN_BYTES && sodium_crypto_sign_verify_detached($signature, $signed, $key);
}

/** @param array<string, string> $headers */
function tallystick_header(array $headers, string $name, string $shape): string
{
    $value = $headers[$name] ?? null;
    if (!is_string($value) || preg_match($shape, $value) !== 1) {
        throw new TallystickVerificationException("The header $name is missing or malformed.");
    }
    return $value;
}

/** @return array{string, string} the version of signature that a secret verifies, and its bytes */
function tallystick_key(string $secret): array
{
    [$prefix, $text] = explode('_', $secret, 2) + [1 => ''];
    $key = base64_decode($text, true);
    if ($key !== false && $prefix === 'whsec' && strlen($key) >= 24) {
        return ['v1', $key];
    }
    if ($key !== false && $prefix === 'whpk' && strlen($key) === 32) {
        return ['v1a', $key];
    }
    throw new InvalidArgumentException('A secret is whsec_ and a public key whpk_, each as it was shown.');
}
