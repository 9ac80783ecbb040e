"""Rewards as values: their states, what a partner may ask, and the pure decision whether one can be given."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    QuotaExceeded,
    Refusal,
    attribute,
)
from tallystick.base.work import Asked
from tallystick.governance.quotas import Quotas
from tallystick.merchants import InsufficientFunding, Merchant
from tallystick.wallets import WalletFact

Status = Literal["Credited", "Created", "Claimed", "Expired", "Cancelled"]
Kind = Literal["immediate", "preIssued"]

AMOUNT_MAX = 2_147_483_647
BLOCKING = frozenset({"suspended", "closing"})
LOT_CLASS: Final = "compensation"
QUOTA: Final = "rewards.value"
"""What giving rewards uses of a partner's quotas."""


class WalletNotFound(Refusal):
    code, status, title = "WalletNotFound", 400, "The recipient has no wallet."


class MultipleActiveWallets(Refusal):
    code, status, title = "MultipleActiveWallets", 400, "More than one active wallet matches the recipient."


class WalletNotIssuable(Refusal):
    code, status, title = "WalletNotIssuable", 409, "The recipient's wallet cannot receive rewards just now."


class PreIssuedConflict(Refusal):
    code, status, title = "PreIssuedConflict", 409, "An unclaimed reward for this recipient already exists."


class IssueReward(msgspec.Struct, frozen=True):
    """A partner's wish to give `amount` minor units to whoever is reached at `phone` (E.164). Blank text is None."""

    asked: Asked
    merchant_id: UUID
    merchant_named: bool
    """Whether the request named the merchant; only then it counts in the fingerprint."""
    phone: str
    amount: int
    key: str
    message: str | None = None
    reason_code: str | None = None
    cost_center: str | None = None
    notification_email: str | None = None
    batch_id: UUID | None = None
    behind: bool = False
    """Whether it stands behind a request that is not its own, whose row in the requests' log is enough."""


class Private(msgspec.Struct, frozen=True):
    """What only the partner and the recipient may read; sealed under the recipient's key."""

    message: str | None
    notification_email: str | None


class Reward(msgspec.Struct, frozen=True):
    """A reward as its row stands."""

    id: UUID
    partner_id: UUID
    merchant_id: UUID
    recipient_id: UUID
    batch_id: UUID | None
    kind: Kind
    status: Status
    amount: int
    reversed_amount: int
    currency: str
    wallet_id: UUID | None
    funding_account_id: UUID
    value_account_id: UUID
    claim_expires_at: datetime | None
    reason_code: str | None
    cost_center: str | None
    private_sealed: bytes | None
    version: int
    created_at: datetime
    updated_at: datetime

    def effective(self, now: datetime) -> Status:
        """The status that holds at `now`: past its deadline an unclaimed reward has expired, whether or not the books moved yet."""
        if self.status == "Created" and self.claim_expires_at is not None and self.claim_expires_at <= now:
            return "Expired"
        return self.status

    def can_change(self, now: datetime) -> bool:
        """Whether it can be updated or cancelled: while it waits to be claimed."""
        return self.effective(now) == "Created"


Place = tuple[UUID, UUID]
"""A recipient at a merchant."""


@dataclass(slots=True)
class Funds:
    """How much an account can still give: its balance above its floor, in minor units; None: without end."""

    left: int | None

    def covers(self, amount: int) -> bool:
        return self.left is None or self.left >= amount

    def take(self, amount: int) -> None:
        if self.left is not None:
            self.left -= amount


@dataclass(slots=True)
class Facts:
    """What the batch knows under its locks. Each accepted command changes it, so that rivals act as if one came after the other."""

    now: datetime
    merchants: dict[UUID, Merchant]
    recipients: dict[str, UUID]
    wallets: dict[Place, list[WalletFact]]
    waiting: set[tuple[UUID, UUID, UUID]]
    """(partner, merchant, recipient) with an unclaimed reward."""
    given_today: dict[Place, int]
    funds: dict[UUID, Funds]
    owed: dict[UUID, int]
    """What the holder owes, by owed account."""
    strangers: set[UUID] = field(default_factory=set)
    """Recipients that nobody knew before this batch."""
    keys: dict[tuple[UUID, str], tuple[bytes, UUID]] = field(default_factory=dict)
    """Keys in use: their fingerprint and reward, from earlier requests and from earlier in the batch."""
    quotas: Quotas = field(default_factory=Quotas)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The key stands for this same request: its first answer again."""

    reward_id: UUID


class Granted(msgspec.Struct, frozen=True):
    """The reward can be given: from which account, to which wallet (None: it waits), and what of it pays a debt."""

    recipient_id: UUID
    merchant: Merchant
    wallet: WalletFact | None
    funding_account_id: UUID
    netted: int


def decide(command: IssueReward, fingerprint: bytes, reward_id: UUID, facts: Facts) -> Granted | Replayed | Refusal:
    """Whether this reward can be given. Pure but for `facts`, which it moves on when the answer is yes."""
    name = (command.asked.caller.partner_id, command.key)
    known = facts.keys.get(name)
    if known is not None:
        return Replayed(known[1]) if known[0] == fingerprint else key_conflict()
    recipient_id = facts.recipients[command.phone]
    merchant = facts.merchants[command.merchant_id]
    place = (recipient_id, merchant.id)
    refusal = _closed(merchant) or over_cap(merchant, command.amount, facts.given_today.get(place, 0) + command.amount)
    if refusal is not None:
        return refusal
    wallet = _wallet_for(command, merchant, place, facts)
    if isinstance(wallet, Refusal):
        return wallet
    funds = facts.funds[merchant.funding_account_id]
    if not funds.covers(command.amount):
        return InsufficientFunding(
            "The merchant's funding does not cover this amount. Ask the merchant to add funds or raise its limit.",
            source=attribute("amount"),
        )
    # The last that can refuse, so that what is taken from a quota is given.
    over = facts.quotas.take(name[0], QUOTA, command.amount, merchant.currency, source=attribute("amount"))
    if over is not None:
        return over
    funds.take(command.amount)
    facts.keys[name] = (fingerprint, reward_id)
    if merchant.phone_day_maximum is not None:
        facts.given_today[place] = facts.given_today.get(place, 0) + command.amount
    netted = 0
    if wallet is None:
        facts.waiting.add((command.asked.caller.partner_id, merchant.id, recipient_id))
    elif wallet.owed_account_id is not None:
        netted = min(command.amount, facts.owed[wallet.owed_account_id])
        facts.owed[wallet.owed_account_id] -= netted
    return Granted(recipient_id, merchant, wallet, merchant.funding_account_id, netted)


def _wallet_for(command: IssueReward, merchant: Merchant, place: Place, facts: Facts) -> WalletFact | None | Refusal:
    """The one active wallet; None when the reward may wait for one."""
    wallets = facts.wallets.get(place, ())
    active = [wallet for wallet in wallets if wallet.status == "active"]
    if len(active) == 1:
        return active[0]
    if active:
        return MultipleActiveWallets(
            "More than one active wallet belongs to this phone number. Merge the customers, then try again.",
            source=attribute("phoneNumber"),
        )
    if any(wallet.status in BLOCKING for wallet in wallets):
        return WalletNotIssuable(
            "The recipient's wallet is suspended or closing. Wait until it is active or closed, or use another channel.",
            source=attribute("phoneNumber"),
        )
    if not merchant.pre_issuing:
        return WalletNotFound(
            "No wallet belongs to this phone number, and the merchant does not hold rewards for later. Verify the number.",
            source=attribute("phoneNumber"),
        )
    if (command.asked.caller.partner_id, merchant.id, place[0]) in facts.waiting and not merchant.stacking:
        return PreIssuedConflict(
            "An unclaimed reward for this recipient already exists. Update or cancel that one.",
            source=attribute("phoneNumber"),
        )
    return None


def _closed(merchant: Merchant) -> Refusal | None:
    if merchant.status == "active":
        return None
    return InvalidRequest("This merchant is closed; it gives no rewards.", source=attribute("merchantId"))


def over_cap(merchant: Merchant, amount: int, of_its_day: int) -> Refusal | None:
    """The refusal of a reward that is to be so large, where rewards of the day it is issued on would come to `of_its_day`."""
    if merchant.reward_maximum is not None and amount > merchant.reward_maximum:
        return InvalidRequest(
            f"The merchant allows at most {merchant.reward_maximum} minor units for one reward.",
            source=attribute("amount"),
        )
    if merchant.phone_day_maximum is not None and of_its_day > merchant.phone_day_maximum:
        return QuotaExceeded(
            f"The merchant allows at most {merchant.phone_day_maximum} minor units for one phone number in a day.",
            source=attribute("amount"),
        )
    return None


def key_conflict() -> Refusal:
    return IdempotencyConflict(
        "This idempotency key was used with a different request. Use a new key, or resend exactly the first request.",
        source=attribute("idempotencyKey"),
    )


def not_changeable(reward: Reward, now: datetime) -> InvalidState:
    """The refusal for a reward that can no longer be updated or cancelled."""
    return InvalidState(
        f"The reward is {reward.effective(now)}; only one that is Created can be updated or cancelled. "
        "Check canUpdate and canCancel first."
    )
