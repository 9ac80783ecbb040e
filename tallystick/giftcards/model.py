"""Gift cards as values: their states, and what happened to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.work import Caller

Status = Literal["pending", "active", "frozen", "depleted", "expired", "cancelled", "replaced"]
ValueClass = Literal["paid", "promotional"]
ActivityKind = Literal[
    "issue",
    "activate",
    "load",
    "adjust",
    "redeem",
    "refund",
    "deplete",
    "freeze",
    "unfreeze",
    "replace",
    "transfer",
    "refund_purchase",
    "charge_back",
    "cash_out",
    "expire",
    "cancel",
    "deliver",
]

STATUSES: Final[tuple[Status, ...]] = (
    "pending",
    "active",
    "frozen",
    "depleted",
    "expired",
    "cancelled",
    "replaced",
)
AMOUNT_MAX: Final = 2_147_483_647
"""The largest amount of one operation, in minor units."""
LOT: Final = "card.lot"
"""The code of the accounts that hold a card's value."""
COUNT_QUOTA: Final = "giftCards.count"
VALUE_QUOTA: Final = "giftCards.value"
"""What issuing cards uses of a partner's quotas."""

LIVING: Final[tuple[Status, ...]] = ("pending", "active", "frozen", "depleted")
"""States that a card leaves; expiry ends them. The others are for good, but for an expired card that a refund wakes up."""


@dataclass(frozen=True, slots=True)
class GiftCard:
    """A card as its row stands. Amounts are minor units of `currency`; what it holds now is in its lots."""

    id: UUID
    partner_id: UUID
    merchant_id: UUID
    currency: str
    status: Status
    value_class: ValueClass
    initial_amount: int
    reloadable: bool
    code_index: bytes
    code_sealed: bytes
    code_tail: str
    pin_digest: bytes | None
    pin_sealed: bytes | None
    design_id: UUID | None
    batch_id: UUID | None
    expires_at: datetime | None
    issued_at: datetime
    activated_at: datetime | None
    reveal_until: datetime | None
    """Until when a repetition of the issuing request is shown the number; None: it never was shown in an answer."""
    first_revealed_at: datetime | None
    replaces: UUID | None
    replaced_by: UUID | None
    reason: str | None
    """Why it is in its state, where that needs one."""
    external_reference: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    def seen_by(self, caller: Caller) -> bool:
        """Whether a caller may read it: what its partner issued, or the whole programme by agreement, at its merchants."""
        if caller.merchant_ids is not None and self.merchant_id not in caller.merchant_ids:
            return False
        return caller.sees_programme or self.partner_id == caller.partner_id

    @property
    def has_pin(self) -> bool:
        return self.pin_digest is not None

    def effective(self, now: datetime) -> Status:
        """The status that holds at `now`: past its expiry a card has expired, whether or not the books moved yet."""
        if self.status in LIVING and self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return self.status


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing that happened to a card. `amount` is signed minor units, 0 where no value moved."""

    card_id: UUID
    sequence: int
    """The card's version that this made."""
    kind: ActivityKind
    amount: int
    balance_after: int
    reason: str | None
    journal_id: UUID | None
    cause_id: UUID | None
    """What was behind it where it was not the card itself: a payment, a lot, another card, an adjustment."""
    partner_id: UUID | None
    request_id: UUID | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """What a card holds, in minor units: `available` to be spent, `held` by payments that are not captured yet."""

    available: int
    held: int


EMPTY: Final = Balance(0, 0)
