"""Gift cards for their whole life: issued, delivered, loaded, looked up, frozen, replaced, expired.

Owns `gift_cards` and what belongs to them: `gift_card_activities`, `_batches`, `_designs`, `_deliveries`, `_adjustments`, and
`card_canaries`, `card_pin_tries` and `card_lookup_windows`.
"""

from tallystick.giftcards.delivery import deliver_at, deliver_due, next_delivery
from tallystick.giftcards.expiry import expire_at, expire_due, next_expiry
from tallystick.giftcards.making import run_batches

__all__ = ["deliver_at", "deliver_due", "expire_at", "expire_due", "next_delivery", "next_expiry", "run_batches"]
