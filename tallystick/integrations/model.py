"""Integrations as values: the account that is connected, what a document of it tells, and what an adapter is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from tallystick.activity import Identity, Item, Payment
from tallystick.activity.model import Type
from tallystick.base.work import Asked, Caller

Status = Literal["active", "disabled"]

RECEIVING: Final = "/in/"

FORMER_SECRET_LASTS: Final = timedelta(hours=24)
"""For how long a signing secret is taken after it was changed: what is under way was signed with it."""

NAME_MAX: Final = 200
ACCOUNT_MAX: Final = 100
SECRET_MIN: Final = 16
SECRET_MAX: Final = 500
LOCATIONS_MAX: Final = 1_000
THEIR_NAME_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Integration:
    """An account with a system that sends its own documents for one merchant, as its row stands."""

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    system: str
    account: str
    name: str
    secret_sealed: bytes
    former_secret_sealed: bytes | None
    former_until: datetime | None
    locations: Mapping[str, UUID]
    status: Status
    received: int
    ignored: int
    refused: int
    last_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    def receiving_url(self, base_url: str) -> str:
        """Where the system sends its documents. Square signs this address, too, letter by letter."""
        return f"{base_url}{RECEIVING}{self.id}"

    @property
    def source(self) -> str:
        """The name space of its documents' ids, shared in the tenant: partners that connect one shop tell of the same things."""
        return f"{self.system}:{self.account}"

    def seen_by(self, caller: Caller) -> bool:
        """Whether this caller may read it."""
        if caller.merchant_ids is not None and self.merchant_id not in caller.merchant_ids:
            return False
        return caller.sees_programme or caller.partner_id == self.partner_id


@dataclass(frozen=True, slots=True)
class Fault:
    """A signed document that could not be taken, and why; when it was taken after all, if it was."""

    id: UUID
    integration_id: UUID
    at: datetime
    code: str
    detail: str
    document_sealed: bytes | None
    taken_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shop:
    """What an adapter may need to know to read a document: the account, and where and in which currency its merchant trades."""

    account: str
    currency: str
    country: str
    is_sandbox: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that a document tells, in the words of `RecordActivity`. `place` is the system's own name of the location."""

    type: Type
    source_id: str
    occurred_at: datetime
    currency: str
    amount: int
    tax: int = 0
    items: tuple[Item, ...] = ()
    payments: tuple[Payment, ...] = ()
    identity: Identity | None = None
    channel: str | None = None
    place: str | None = None
    linked_source_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A document that is fine, and tells nothing that is kept."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A signed document that cannot be taken as it is, and why; never what was in it."""

    detail: str


Told = Sequence[Happened] | Ignored | Unreadable
"""What a document tells."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """How one system speaks. Both functions are pure; `headers` are text by lower-case name, the ones named in `kept`.

    `is_signed(secret, url, headers, body)`: whether whoever sent this knows the secret, compared in constant time.
    `read(shop, headers, body)`: what the document tells. It never raises for what a document may hold.
    """

    system: str
    title: str
    kept: tuple[str, ...]
    account_form: str
    """What its accounts are called and look like, for people."""
    is_signed: Callable[[bytes, str, Mapping[str, str], bytes], bool]
    read: Callable[[Shop, Mapping[str, str], bytes], Told]
    account_of: Callable[[str], str] = str
    """The one way to write an account's name."""


@dataclass(frozen=True, slots=True)
class Connect:
    """A partner's wish to connect an account."""

    asked: Asked
    merchant_id: UUID
    system: str
    account: str
    name: str
    secret: str
    locations: Mapping[str, UUID]
    base_url: str
    """The address that partners, and systems, reach."""


@dataclass(frozen=True, slots=True)
class Change:
    """A partner's wish to change an integration; None stays."""

    asked: Asked
    integration_id: UUID
    base_url: str
    name: str | None = None
    secret: str | None = None
    locations: Mapping[str, UUID] | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A signed document on its way in. `key` says that taking it twice is harmless: every id in it is kept once."""

    asked: Asked
    integration_id: UUID
    headers: Mapping[str, str]
    body: bytes
    key: str = "by source id"
    resent: UUID | None = field(default=None)
    """The fault that it is taken from, where it is tried again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a document: kept, ignored, or put aside as a fault."""

    what: Literal["recorded", "ignored", "fault"]
    detail: str | None = None
