"""Take back rewards that are deserved no more: what waits is cancelled, what is unspent returns, and what was spent may be owed.

However many they are: the books move them in one posting, and only a holder who never owed before costs statements of their own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from msgspec.structs import replace

import tallystick.rewards.store as store
from tallystick import events, ledger, wallets
from tallystick.base import ids
from tallystick.base.work import Asked, Work
from tallystick.customers import recipients
from tallystick.ledger import Account, Transfer
from tallystick.ledger.actions import STATEMENT_ENTRIES_MAX
from tallystick.rewards import resource
from tallystick.rewards.model import Reward
from tallystick.wallets import Wallet

EXPIRED: Final = "lot.expire"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back what is left of a reward. `owing`: what of it was spent is owed by its holder; else it stays theirs."""

    asked: Asked
    reward_id: UUID
    owing: bool


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """How many minor units came back to the funding, of which its holder owes `owed` now, and whether nothing is left with them."""

    returned: int
    owed: int
    whole: bool


NOTHING: Final = Withdrawn(0, 0, whole=True)


@dataclass(frozen=True, slots=True)
class _Back:
    """A reward, and what of it is taken back: from where its value is, and from what its holder owes."""

    asked: Asked
    reward: Reward
    waited: bool
    unspent: int
    owed: int
    whole: bool

    @property
    def amount(self) -> int:
        return self.unspent + self.owed


async def withdraw(work: Work, commands: Sequence[Withdraw]) -> list[Withdrawn]:
    """Take back these rewards, each named once. One that was taken back, cancelled or has expired gives nothing any more; what of
    it expired in a wallet has returned already, and nobody owes it.
    """
    known = await store.by_ids(work, [command.reward_id for command in commands]) if commands else {}
    if not known:
        return [NOTHING for _ in commands]
    await recipients.lock_by_ids(work, list({reward.recipient_id for reward in known.values()}))
    locked = await store.lock(work, list(known))
    holding = list({reward.wallet_id for reward in locked.values() if reward.wallet_id is not None})
    held = await wallets.lock(work, holding) if holding else {}
    accounts = await _lock_accounts(work, locked.values(), held.values())
    expired = await expired_of(work, accounts.values())
    erased = await wallets.of_erased(work, list(held)) if held else set[UUID]()
    found = {
        command.reward_id: _reckon(work, command, locked[command.reward_id], accounts, expired, erased)
        for command in commands
        if command.reward_id in locked
    }
    moving = [each for each in found.values() if each.amount]
    await _post(work, moving, await _debts(work, moving, held))
    await _write(work, moving)
    await _close_drained(work, moving, held)
    backs = [found.get(command.reward_id) for command in commands]
    return [NOTHING if back is None else Withdrawn(back.amount, back.owed, back.whole) for back in backs]


async def _lock_accounts(work: Work, rewards: Collection[Reward], held: Collection[Wallet]) -> dict[UUID, Account]:
    wanted = {a for reward in rewards for a in (reward.funding_account_id, reward.value_account_id)}
    wanted |= {wallet.owed_account_id for wallet in held if wallet.owed_account_id is not None}
    return await ledger.lock(work, list(wanted))


async def expired_of(work: Work, accounts: Collection[Account]) -> dict[UUID, int]:
    """What of locked lots past their expiry has gone back to who paid for it: that can be taken back from nobody once more."""
    gone: dict[UUID, int] = {}
    for account in accounts:
        if account.expires_at is not None and account.expires_at <= work.now:
            lines = await ledger.statement(work, account.id, limit=STATEMENT_ENTRIES_MAX)
            gone[account.id] = -sum(line.amount for line in lines if line.kind == EXPIRED)
    return gone


def _reckon(
    work: Work,
    command: Withdraw,
    reward: Reward,
    accounts: Mapping[UUID, Account],
    expired: Mapping[UUID, int],
    erased: Collection[UUID],
) -> _Back:
    if reward.can_change(work.now):
        return _Back(command.asked, reward, waited=True, unspent=reward.amount, owed=0, whole=True)
    left = reward.amount - reward.reversed_amount
    if reward.status not in ("Credited", "Claimed") or left == 0:
        return _Back(command.asked, reward, waited=False, unspent=0, owed=0, whole=True)
    unspent = min(left, accounts[reward.value_account_id].available)
    spent = max(0, left - unspent - expired.get(reward.value_account_id, 0))
    owed = spent if command.owing and reward.wallet_id not in erased else 0
    return _Back(command.asked, reward, waited=False, unspent=unspent, owed=owed, whole=owed == spent)


async def _debts(work: Work, backs: Sequence[_Back], held: Mapping[UUID, Wallet]) -> dict[UUID, UUID]:
    """The account of what its holder owes for each reward of which anything was spent."""
    debts: dict[UUID, UUID] = {}
    found: dict[UUID, UUID] = {}
    for back in backs:
        wallet_id = back.reward.wallet_id
        if back.owed and wallet_id is not None:
            wallet = held[wallet_id]
            known = wallet.owed_account_id if wallet.status != "closed" else None
            if wallet_id not in found:
                found[wallet_id] = known or await wallets.owe(work, wallet_id)
            debts[back.reward.id] = found[wallet_id]
    return debts


async def _post(work: Work, backs: Sequence[_Back], debts: Mapping[UUID, UUID]) -> None:
    verdicts = await ledger.post(work, [_journal(back, debts.get(back.reward.id)) for back in backs])
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused what was taken back: {verdicts}"


def _journal(back: _Back, debt_id: UUID | None) -> ledger.Journal:
    reward, transfers = back.reward, []
    if back.unspent:
        transfers.append(Transfer(reward.value_account_id, reward.funding_account_id, back.unspent))
    if debt_id is not None:
        transfers.append(Transfer(debt_id, reward.funding_account_id, back.owed))
    return ledger.Journal(
        id=ids.new(),
        kind="reward.cancel" if back.waited else "reward.reverse",
        cause_id=reward.id,
        merchant_id=reward.merchant_id,
        currency=reward.currency,
        transfers=tuple(transfers),
    )


async def _write(work: Work, backs: Sequence[_Back]) -> None:
    """The rows one version on, and what is told of them."""
    after = {back.reward.id: _after(work, back) for back in backs}
    if cancelled := [after[back.reward.id] for back in backs if back.waited]:
        await store.settle(work, cancelled)
    if reversed_ := {back.reward.id: back.amount for back in backs if not back.waited}:
        await store.reverse(work, reversed_)
    for back in backs:
        topic = "reward.cancelled" if back.waited else "reward.reversed"
        events.record(work, resource.event(work, topic, after[back.reward.id], back.asked))


def _after(work: Work, back: _Back) -> Reward:
    moved_on = replace(back.reward, version=back.reward.version + 1, updated_at=work.now)
    if back.waited:
        return replace(moved_on, status="Cancelled")
    return replace(moved_on, reversed_amount=moved_on.reversed_amount + back.amount)


async def _close_drained(work: Work, backs: Sequence[_Back], held: Mapping[UUID, Wallet]) -> None:
    closing = {
        back.reward.wallet_id: back.asked
        for back in backs
        if back.reward.wallet_id is not None and held[back.reward.wallet_id].status == "closing"
    }
    for wallet_id, asked in closing.items():
        await wallets.close_drained(work, [wallet_id], asked)
