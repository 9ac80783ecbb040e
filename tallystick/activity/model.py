"""Activity as values: what a partner tells of what a customer did, normalised, and what came of telling it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from tallystick.base.errors import Refusal
from tallystick.base.work import Asked

Kind = Literal["transaction", "visit", "order"]
Type = Literal["Purchase", "Void", "Refund", "Visit", "Order"]
IdentityKind = Literal["userId", "phone", "externalId", "memberCode", "cardToken"]
Attribution = Literal["counted", "pending", "rejected"]
TakesBack = Literal["linked", "waiting", "nothing"]
Method = Literal["Cash", "DebitCard", "CreditCard", "Wire", "GiftCard", "Wallet", "Other", "Unknown"]

ADDING: Final[frozenset[Type]] = frozenset({"Purchase", "Visit", "Order"})
"""What adds to progress. The others change what these add."""

AMOUNT_MAX: Final = 2_147_483_647
AHEAD: Final = timedelta(minutes=5)
"""How far ahead of our clock a partner's may be."""
SURE_AFTER: Final = timedelta(seconds=90)
"""Longer than any work takes: by then every other work has seen a change, or begun after it."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
QUOTA: Final = "transactions.count"


class PermissionMissing(Refusal):
    code, status, title = "PermissionMissing", 403, "The customer's data may not be sent."


class ChangedDuplicate(Refusal):
    code, status, title = "ChangedDuplicate", 409, "This source id stands for another document."


class Identity(msgspec.Struct, frozen=True):
    """By what a customer is named: their user id, a phone in E.164, the partner's own id, a member code, or a card's token."""

    kind: IdentityKind
    value: str


class Item(msgspec.Struct, frozen=True):
    """One line of a receipt. Amounts are minor units for the whole line; `amount` is with tax."""

    amount: int
    tax: int = 0
    quantity: int = 1
    category: str | None = None


class Payment(msgspec.Struct, frozen=True):
    """How some of it was paid, in minor units."""

    amount: int
    method: Method


class RecordActivity(msgspec.Struct, frozen=True):
    """One thing that happened, as a partner tells it. `source` and `source_id` name it, once for ever in the tenant.

    `amount` is with tax, in minor units of `currency` (None: the merchant's). A refund or a void names what it takes back by
    `linked_source_id`, in the same source.
    """

    asked: Asked
    kind: Kind
    type: Type
    merchant_id: UUID
    source: str
    source_id: str
    occurred_at: datetime
    identity: Identity | None = None
    channel: str | None = None
    location_id: UUID | None = None
    currency: str | None = None
    amount: int = 0
    tax: int = 0
    items: tuple[Item, ...] = ()
    payments: tuple[Payment, ...] = ()
    linked_source_id: str | None = None
    payload: bytes | None = None
    """The sender's own document (JSON), kept sealed."""
    attribution: Literal["immediate", "reconciled"] | None = None
    """None: as the merchant takes activity."""
    import_id: UUID | None = None
    import_line: int | None = None

    @property
    def key(self) -> str:
        """What makes sending it again safe: its name in its source."""
        return self.source_id


class Recorded(msgspec.Struct, frozen=True):
    """The activity is there: since now, or since an earlier request said the same (`duplicate`)."""

    activity_id: UUID
    duplicate: bool
    attribution: Attribution
    customer_id: UUID | None
    """None: nobody who is known; it waits for them."""
    takes_back: TakesBack | None = None
    """Of a refund or void that is new: whether what it takes back is there, is waited for, or is nothing that counts."""


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity as its row stands."""

    id: UUID
    partner_id: UUID
    merchant_id: UUID
    kind: Kind
    type: Type
    source: str
    source_id: str
    occurred_at: datetime
    received_at: datetime
    channel: str | None
    location_id: UUID | None
    currency: str
    amount: int
    tax: int
    units: int
    categories: tuple[str, ...]
    category_amounts: tuple[int, ...]
    category_taxes: tuple[int, ...]
    category_units: tuple[int, ...]
    methods: tuple[str, ...]
    method_amounts: tuple[int, ...]
    customer_id: UUID | None
    identity_kind: IdentityKind | None
    linked_source_id: str | None
    linked_id: UUID | None
    attribution: Attribution
    returned_amount: int
    returned_units: int
    voided: bool
    import_id: UUID | None
    import_line: int | None
    request_id: UUID
    payload_sealed: bytes | None = None
