"""Wallets as values: their states, which verb leads where, and the errors of asking otherwise."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.work import Caller

Status = Literal["pending", "active", "suspended", "closing", "closed"]
Verb = Literal["verify", "unverify", "suspend", "resume", "close", "drain"]

# What is not here is refused. A wallet is active only while its holder's phone is verified, so resuming one of an unverified
# holder makes it pending; closing ends at once where no value is left, and otherwise when the last of it is gone.
TRANSITIONS: Final[dict[tuple[Status, Verb], Status]] = {
    ("pending", "verify"): "active",
    ("active", "unverify"): "pending",
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",
    ("pending", "close"): "closing",
    ("active", "close"): "closing",
    ("suspended", "close"): "closing",
    ("closing", "drain"): "closed",
}


class WalletExists(Refusal):
    code, status, title = "WalletExists", 409, "The user already has an open wallet at this merchant."


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet as its row stands: what one user holds at one merchant."""

    id: UUID
    customer_id: UUID
    merchant_id: UUID
    partner_id: UUID
    currency: str
    status: Status
    owed_account_id: UUID | None
    version: int
    created_at: datetime
    updated_at: datetime
    merged_into: UUID | None = None
    """The wallet that its value moved to, when its holder turned out to be the holder of that one."""

    def visible_to(self, caller: Caller) -> bool:
        """Whether the caller may know of it: its partner made it or sees the programme, and it may act for the merchant."""
        at_its_merchant = caller.merchant_ids is None or self.merchant_id in caller.merchant_ids
        return at_its_merchant and (caller.sees_programme or self.partner_id == caller.partner_id)


@dataclass(frozen=True, slots=True)
class WalletFact:
    """What giving value needs to know of one open wallet of one recipient."""

    recipient_id: UUID
    merchant_id: UUID
    wallet_id: UUID
    status: Status
    owed_account_id: UUID | None
    currency: str


@dataclass(frozen=True, slots=True)
class Balance:
    """Minor units, never negative.

    `available` lies in lots that have not expired and is not held; `held` is reserved by authorised payments; `owed` is what the
    holder owes after value that was taken back had been spent, and later rewards pay it first. `pending` is value on its way into
    the wallet that has no lot yet: every posting credits a lot at once, so it is 0. What waits for a phone without an active
    wallet is a pre-issued reward, and belongs to no wallet.
    """

    available: int = 0
    pending: int = 0
    held: int = 0
    owed: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no value is left that could be spent; a debt is not value."""
        return self.available == 0 and self.pending == 0 and self.held == 0


EMPTY: Final = Balance()


@dataclass(frozen=True, slots=True)
class HeldLot:
    """A lot of a wallet that holds something: minor units that can be spent, and that payments reserve."""

    id: UUID
    lot_class: str
    available: int
    held: int
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One entry in one lot of a wallet, and what the whole wallet held after it."""

    account_id: UUID
    version: int
    amount: int
    """Minor units: above zero what came, below what went."""
    balance_after: int
    kind: str
    cause_id: UUID
    lot_class: str | None
    lot_expires_at: datetime | None
    at: datetime


def after(status: Status, verb: Verb) -> Status | InvalidState:
    """The status that the verb leads to, or the refusal."""
    reached = TRANSITIONS.get((status, verb))
    if reached is not None:
        return reached
    allowed = " or ".join(start for start, known in TRANSITIONS if known == verb)
    return InvalidState(f"The wallet is {status}; {verb} is possible while it is {allowed}.")
