"""Activity: what customers did, told by partners: transactions, visits and orders, each once for ever.

What it moves, it moves in the same work: progress, and the rewards that come of it.

Owns `activity_keys`, `activities`, `activity_waits`, `activity_cursors`, `threshold_outcomes` and `threshold_spent`.
"""

from tallystick.activity.accepting import accept, conclude
from tallystick.activity.knowing import count_known
from tallystick.activity.landing import Landing, land
from tallystick.activity.model import (
    Activity,
    ChangedDuplicate,
    Identity,
    Item,
    Payment,
    PermissionMissing,
    RecordActivity,
    Recorded,
)
from tallystick.activity.releasing import next_release, release, release_at, release_due
from tallystick.activity.retrying import next_retry, retry_at, retry_due

__all__ = [
    "Activity",
    "ChangedDuplicate",
    "Identity",
    "Item",
    "Landing",
    "Payment",
    "PermissionMissing",
    "RecordActivity",
    "Recorded",
    "accept",
    "conclude",
    "count_known",
    "land",
    "next_release",
    "next_retry",
    "release",
    "release_at",
    "release_due",
    "retry_at",
    "retry_due",
]
