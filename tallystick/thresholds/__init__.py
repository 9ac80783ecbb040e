"""Thresholds: rules in versions that never change, and how far each customer is.

A version counts what happened while it was in force.

Owns `thresholds`, `threshold_versions`, `threshold_intervals`, `threshold_progress` and `threshold_marks`.
"""

from tallystick.thresholds.actions import by_ids, live, versions
from tallystick.thresholds.advancing import Place, advance, lock_progress, settled
from tallystick.thresholds.arriving import Arrival, reached
from tallystick.thresholds.telling import tell
from tallystick.thresholds.turning import next_due, run_due, turn_at

__all__ = [
    "Arrival",
    "Place",
    "advance",
    "by_ids",
    "live",
    "lock_progress",
    "next_due",
    "reached",
    "run_due",
    "settled",
    "tell",
    "turn_at",
    "versions",
]
