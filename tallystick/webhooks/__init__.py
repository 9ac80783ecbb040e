"""Webhooks: partners hear what happened in their own systems, signed, at least once, and see every attempt.

Owns `webhooks`, `webhook_heads`, `webhook_secrets`, `webhook_deliveries`, `webhook_attempts` and `webhook_replays`. What is told
are the events themselves; here is where they go.
"""
