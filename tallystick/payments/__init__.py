"""Payments: stored value spent at a till, held while an order ships, given back on a refund."""

from tallystick.payments.expiry import expire_at, expire_due, next_deadline

__all__ = ["expire_at", "expire_due", "next_deadline"]
