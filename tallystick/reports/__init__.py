"""Reports: what the books say over time, the same however often they are asked; and periods that close."""

from tallystick.reports.running import run_due

__all__ = ["run_due"]
