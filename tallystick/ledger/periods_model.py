"""Periods and their figures as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

Status = Literal["closing", "closed"]

NO_CLASS = "-"


class Movement(NamedTuple):
    """A kind of movement: of accounts with this code and class of lot, by journals of this kind, in (True) or out."""

    code: str
    lot_class: str | None
    kind: str
    came: bool


@dataclass(slots=True)
class Moved:
    """Minor units in all, below zero where they went out, and in how many entries."""

    amount: int = 0
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """A stretch of the books, reckoned up. `digest` is the SHA-256 of the leaves' SHA-256s, by (account, block of versions)."""

    entries: int
    sums: dict[Movement, int]
    digest: bytes
    recorded_until: datetime | None
    """Real time at which the last of its journals was recorded."""


@dataclass(frozen=True, slots=True)
class Period:
    """A period as its row stands. Its figures are there once it is closed; `sealed_at` is real time."""

    id: UUID
    merchant_id: UUID
    number: int
    currency: str
    starts_at: datetime
    ends_at: datetime
    status: Status
    partner_id: UUID
    closed_by: UUID
    request_id: UUID
    fenced_at: datetime | None
    cut: int | None
    entries: int | None
    sums: str | None
    digest: bytes | None
    sealed_at: datetime | None
    closed_at: datetime | None
    created_at: datetime

    def movements(self) -> dict[Movement, int]:
        """The sealed amounts; none before the period is closed."""
        return {} if self.sums is None else sums_of(self.sums)


@dataclass(frozen=True, slots=True)
class Slice:
    """Versions above `low` up to `high` of an account."""

    account_id: UUID
    code: str
    lot_class: str | None
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """Some entries of one account, reckoned up."""

    entries: int
    recorded_until: datetime
    digest: bytes


def text_of(sums: dict[Movement, int]) -> str:
    """Sums as they are kept: an object whose names are the four words of a movement."""
    named = {
        f"{each.code} {each.lot_class or NO_CLASS} {each.kind} {'+' if each.came else '-'}": amount
        for each, amount in sums.items()
    }
    return msgspec.json.encode(named, order="deterministic").decode()


def sums_of(text: str) -> dict[Movement, int]:
    """The same, read back."""
    sums: dict[Movement, int] = {}
    for name, amount in msgspec.json.decode(text, type=dict[str, int]).items():
        code, lot_class, kind, sign = name.split(" ")
        sums[Movement(code, None if lot_class == NO_CLASS else lot_class, kind, sign == "+")] = amount
    return sums
