"""Reports: what the books say over time, the same however often they are asked; and periods that close."""

from tallystick.reports.reconciliation_schedules import next_due, order_at
from tallystick.reports.running import run_due

__all__ = ["next_due", "order_at", "run_due"]
