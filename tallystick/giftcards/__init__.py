"""Gift cards for their whole life: issued, delivered, loaded, looked up, frozen, replaced, expired."""

from tallystick.giftcards.batches import run_batches
from tallystick.giftcards.delivery import deliver_at, deliver_due, next_delivery
from tallystick.giftcards.expiry import expire_at, expire_due, next_expiry

__all__ = ["deliver_at", "deliver_due", "expire_at", "expire_due", "next_delivery", "next_expiry", "run_batches"]
