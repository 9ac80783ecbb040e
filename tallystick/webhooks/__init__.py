"""Webhooks: partners hear what happened in their own systems, signed, at least once, and see every attempt.

Owns `webhooks`, `webhook_heads`, `webhook_secrets`, `webhook_deliveries`, `webhook_attempts` and `webhook_replays`. What is told
are the events themselves; here is where they go.
"""

from tallystick.webhooks.delivering import Deliverer
from tallystick.webhooks.failing import skip_due
from tallystick.webhooks.fanning import fan_out_due
from tallystick.webhooks.replaying import replay_due
from tallystick.webhooks.retention import forgetting
from tallystick.webhooks.sending import Sender
from tallystick.webhooks.target import Rules

__all__ = ["Deliverer", "Rules", "Sender", "fan_out_due", "forgetting", "replay_due", "skip_due"]
