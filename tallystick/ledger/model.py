"""Accounts, journals and holds as values. Amounts are minor units of the account's currency."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from tallystick.base.errors import Refusal

Verdict = Literal[
    "posted", "below_floor", "above_ceiling", "unknown_account", "other_book", "other_currency", "too_large"
]
"""What became of a journal. `too_large`: a balance or an amount would leave ±(2^62 - 1)."""

HoldVerdict = Literal["held", "below_floor", "unknown_account", "too_large"]

LimitVerdict = Literal["limited", "below_floor", "above_ceiling", "unknown_account"]

Ending = Literal["captured", "released", "expired"]

ResolutionVerdict = Literal[
    "resolved",
    "unknown_hold",
    "already_resolved",
    "hold_expired",
    "not_due",
    "above_hold",
    "below_floor",
    "above_ceiling",
    "unknown_account",
    "other_book",
    "other_currency",
    "too_large",
]
"""What became of a resolution. `hold_expired`: too late to capture; `not_due`: too early to expire; `above_hold`: more was captured
than held; the others are the verdict on the capture's journal."""

LotClass = Literal["paid", "promotional", "compensation", "refund"]


class ValueHeld(Refusal):
    """A verb that would move value from under a payment."""

    code, status, title = "ValueHeld", 409, "Authorised payments hold value of it."


class NewAccount(msgspec.Struct, frozen=True):
    """An account to open, empty. Its limits, where it has them, allow a balance of nothing: floor <= 0 <= ceiling."""

    id: UUID
    merchant_id: UUID
    currency: str
    code: str
    owner_id: UUID
    parent_id: UUID | None = None
    lot_class: LotClass | None = None
    funder_id: UUID | None = None
    expires_at: datetime | None = None
    floor: int | None = None
    ceiling: int | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its row was. `balance` is credits less debits; `balance - held >= floor` and `balance <= ceiling`."""

    id: UUID
    merchant_id: UUID
    currency: str
    code: str
    owner_id: UUID
    parent_id: UUID | None
    lot_class: LotClass | None
    funder_id: UUID | None
    expires_at: datetime | None
    floor: int | None
    ceiling: int | None
    balance: int
    held: int
    version: int

    @property
    def available(self) -> int:
        """The balance less what holds reserve."""
        return self.balance - self.held


class Transfer(msgspec.Struct, frozen=True):
    """An amount > 0 from the debited account to the credited one: two entries that sum to nothing."""

    debit: UUID
    credit: UUID
    amount: int


class Journal(msgspec.Struct, frozen=True):
    """One or more transfers that happen together or not at all, in the book of one merchant and one currency."""

    id: UUID
    kind: str
    cause_id: UUID
    merchant_id: UUID
    currency: str
    transfers: tuple[Transfer, ...]
    reverses_id: UUID | None = None


class Hold(msgspec.Struct, frozen=True):
    """An amount > 0 of one account, reserved until the hold is resolved. From `expires_at` on it can no longer be captured."""

    id: UUID
    account_id: UUID
    amount: int
    cause_id: UUID
    expires_at: datetime | None = None


class Resolution(msgspec.Struct, frozen=True):
    """The end of a hold. A capture's journal debits the held account by the whole or a part; the rest is released."""

    hold_id: UUID
    ending: Ending
    journal: Journal | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a statement: half of a transfer, with the balance after it."""

    version: int
    at: datetime
    amount: int
    balance_after: int
    counterpart_id: UUID
    journal_id: UUID
    leg: int
    kind: str
    cause_id: UUID


@dataclass(frozen=True, slots=True)
class Lot:
    """A lot as its row is. `available` is its balance less what is held, in minor units of its book's currency."""

    id: UUID
    parent_id: UUID
    merchant_id: UUID
    currency: str
    lot_class: LotClass
    funder_id: UUID | None
    """The account that paid for it, where what expires of it returns to; None where it was sold for money."""
    expires_at: datetime | None
    available: int
    held: int

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Deadline:
    """A lot that is past its expiry, or will be soon."""

    account_id: UUID
    parent_id: UUID
    merchant_id: UUID
    expires_at: datetime
