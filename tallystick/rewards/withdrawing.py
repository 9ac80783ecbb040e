"""Take back rewards that are deserved no more: what waits is cancelled, what is unspent returns, and what was spent may be owed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import tallystick.rewards.store as store
from tallystick import events, ledger, wallets
from tallystick.base.work import Asked, Work
from tallystick.customers import recipients
from tallystick.rewards import changing, resource
from tallystick.rewards.model import Reward


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


async def withdraw(work: Work, commands: Sequence[Withdraw]) -> list[Withdrawn]:
    """Take back each reward, once each: a reward that was taken back, cancelled or has expired gives nothing any more."""
    known = await store.by_ids(work, list({command.reward_id for command in commands}))
    if not known:
        return [Withdrawn(0, 0, whole=True) for _ in commands]
    await recipients.lock_by_ids(work, list({reward.recipient_id for reward in known.values()}))
    locked = await store.lock(work, list(known))
    held = [reward.wallet_id for reward in locked.values() if reward.wallet_id is not None]
    if held:
        await wallets.lock(work, held)
    touched = {a for reward in locked.values() for a in (reward.funding_account_id, reward.value_account_id)}
    await ledger.lock(work, list(touched))
    return [await _withdraw(work, command, locked[command.reward_id]) for command in commands]


async def _withdraw(work: Work, command: Withdraw, reward: Reward) -> Withdrawn:
    if reward.can_change(work.now):
        await changing.give_back_reserve(work, reward, command.asked)
        return Withdrawn(reward.amount, 0, whole=True)
    left = reward.amount - reward.reversed_amount
    if reward.status not in ("Credited", "Claimed") or left == 0:
        return Withdrawn(0, 0, whole=True)
    lot = (await ledger.lock(work, [reward.value_account_id]))[reward.value_account_id]
    unspent = min(left, lot.available)
    amount = left if command.owing else unspent
    if amount:
        await changing.take_back(work, reward, amount)
        assert reward.wallet_id is not None, "a credited or claimed reward has a wallet"
        await wallets.close_drained(work, [reward.wallet_id], command.asked)
        await store.reverse(work, reward.id, amount)
        reversed_amount = reward.reversed_amount + amount
        changed = replace(reward, reversed_amount=reversed_amount, version=reward.version + 1, updated_at=work.now)
        events.record(work, resource.event(work, "reward.reversed", changed, command.asked))
    return Withdrawn(amount, amount - min(amount, unspent), whole=amount == left)
