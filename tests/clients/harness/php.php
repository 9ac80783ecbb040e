<?php
// Each line: body, id, timestamp, signature, secrets and now, each in base64, parted by spaces. A verdict for each.
require $argv[1];
while (($line = fgets(STDIN)) !== false) {
    [$body, $id, $timestamp, $signature, $secrets, $now] = array_map('base64_decode', explode(' ', rtrim($line, "\n")));
    $headers = ['Webhook-Id' => $id, 'Webhook-Timestamp' => $timestamp, 'Webhook-Signature' => $signature];
    try {
        tallystick_verify($body, $headers, explode(' ', $secrets), now: (int) $now);
        echo "verified\n";
    } catch (TallystickVerificationException) {
        echo "refused\n";
    }
}
