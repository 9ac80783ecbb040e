"""Payments as values: their states, what they are paid from, and which part came out of which lot."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tallystick.base.errors import Refusal
from tallystick.ledger import LotClass, lots

Status = Literal["authorized", "captured", "refunded", "cancelled", "expired"]
Capture = Literal["automatic", "manual"]
SourceKind = Literal["wallet", "giftCard"]

AMOUNT_MAX: Final = 2_147_483_647
"""Minor units; one payment asks for no more."""
SOURCES_MAX: Final = 10
REFERENCE_MAX: Final = 255


class InsufficientValue(Refusal):
    code, status, title = "InsufficientValue", 409, "The sources do not cover the amount."


class SourceNotUsable(Refusal):
    code, status, title = "SourceNotUsable", 409, "The wallet or gift card cannot be spent just now."


class PaymentLimit(Refusal):
    code, status, title = "PaymentLimit", 409, "The merchant's terms do not allow this payment."


class PaymentReversed(Refusal):
    code, status, title = "PaymentReversed", 409, "The till has taken this payment back already."


class DuplicateReference(Refusal):
    code, status, title = "DuplicateReference", 409, "The till's reference belongs to another payment."


class PaymentIntent(msgspec.Struct, frozen=True):
    """A payment as its row stands. Amounts are minor units; `expires_at` is the deadline of a capture by hand."""

    id: UUID
    partner_id: UUID
    merchant_id: UUID
    location_id: str | None
    currency: str
    status: Status
    capture: Capture
    allow_partial: bool
    amount: int
    """What the till asked for; `authorized_amount` is less only where it allowed that."""
    authorized_amount: int
    authorized_tender: int
    captured_amount: int
    captured_tender: int
    captured_discount: int
    refunded_amount: int
    refunded_tender: int
    refunded_discount: int
    external_reference: str | None
    expires_at: datetime | None
    counted_on: date | None
    """The merchant's day in which it counts towards the merchant's maximum; None where there was none."""
    version: int
    created_at: datetime
    updated_at: datetime

    def effective(self, now: datetime) -> Status:
        """The status that holds at `now`: past its deadline an authorisation has expired, whether or not the books moved yet."""
        if self.status == "authorized" and self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return self.status

    @property
    def tender(self) -> int:
        """Paid value in what is captured; in what is held, while that is still to come."""
        return self.authorized_tender if self.status == "authorized" else self.captured_tender

    @property
    def discount(self) -> int:
        """Given value in the same."""
        if self.status == "authorized":
            return self.authorized_amount - self.authorized_tender
        return self.captured_discount

    @property
    def remaining(self) -> int:
        """What is still due and must be paid in another way."""
        return self.amount - self.authorized_amount


class Source(msgspec.Struct, frozen=True):
    """A wallet or a card that a payment is paid from, and how much it gives."""

    intent_id: UUID
    ordinal: int
    """From 1, in the declared order."""
    kind: SourceKind
    source_id: UUID
    asked_amount: int | None
    """At most so much of it; None: as much as is due."""
    authorized_amount: int
    counted_on: date | None
    """The merchant's day in which it counts towards the limits of this wallet or card; None where there were none."""


class Part(msgspec.Struct, frozen=True):
    """What of a payment came out of one lot, in the order in which lots are burnt. Refunds go the other way."""

    intent_id: UUID
    ordinal: int
    """From 1 through the whole payment."""
    source_ordinal: int
    account_id: UUID
    lot_class: LotClass
    hold_id: UUID | None
    """What reserves it until it is captured or released; None where it was captured at once."""
    amount: int
    captured: int
    refunded: int

    @property
    def is_tender(self) -> bool:
        """Whether somebody paid for this value."""
        return self.lot_class in lots.TENDER


@dataclass(frozen=True, slots=True)
class Refund:
    """What was given back of a payment at one time."""

    id: UUID
    intent_id: UUID
    amount: int
    tender: int
    discount: int
    reason: str | None
    journal_id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TillReference:
    """A till's own name for a payment. A reversal that comes first leaves no intent; the payment is then refused."""

    partner_id: UUID
    merchant_id: UUID
    reference: str
    intent_id: UUID | None
    reversed_at: datetime | None
