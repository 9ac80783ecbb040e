"""Governance: on what terms a partner may act; its quotas, counted exactly, and what goes beyond them."""

from tallystick.governance.warning import warn_due

__all__ = ["warn_due"]
