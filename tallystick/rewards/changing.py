"""Change what was given: update or cancel a reward that waits, reverse one that was credited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import msgspec
from msgspec.structs import replace

import tallystick.rewards.store as store
from tallystick import audit, events, ledger, merchants, wallets
from tallystick.base import idempotency, ids, jsonapi
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, Erased
from tallystick.base.work import Asked, Work
from tallystick.customers import recipients
from tallystick.customers.recipients import Recipient
from tallystick.governance import quotas
from tallystick.governance.quotas import Quotas
from tallystick.merchants import InsufficientFunding
from tallystick.rewards import erasing, resource
from tallystick.rewards.looking import day_of
from tallystick.rewards.model import QUOTA, Private, Reward, not_changeable, over_cap
from tallystick.rewards.withdrawing import expired_of

T = TypeVar("T")
Given = str | None | msgspec.UnsetType


@dataclass(frozen=True, slots=True)
class UpdateReward:
    """Change the named fields of a reward that waits; UNSET leaves one as it is, None clears it."""

    asked: Asked
    reward_id: UUID
    amount: int | msgspec.UnsetType = msgspec.UNSET
    message: Given = msgspec.UNSET
    reason_code: Given = msgspec.UNSET
    cost_center: Given = msgspec.UNSET
    notification_email: Given = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class CancelReward:
    """Take back a reward that waits; its funding returns."""

    asked: Asked
    reward_id: UUID


@dataclass(frozen=True, slots=True)
class ReverseReward:
    """Take back a credited reward, or `amount` minor units of it: the unspent part returns, the rest the holder owes."""

    asked: Asked
    reward_id: UUID
    amount: int | None = None


Change = UpdateReward | CancelReward | ReverseReward


async def update(work: Work, commands: Sequence[UpdateReward]) -> list[Answer | Refusal]:
    """The changed reward for each command; reserved funding moves with the amount."""
    bounds = Quotas()

    async def prepare(work: Work, commands: Sequence[UpdateReward]) -> None:
        nonlocal bounds
        bounds = await _prepare(work, commands)

    async def act(work: Work, command: UpdateReward) -> Answer | Refusal:
        return await _update(work, command, bounds)

    outcomes = await idempotency.keyed(
        work, "rewards.update", commands, act, fingerprint=_fingerprint, seal=RewardSeal(), prepare=prepare
    )
    quotas.count(work, bounds)
    return outcomes


async def cancel(work: Work, commands: Sequence[CancelReward]) -> list[Answer | Refusal]:
    """204 for each command; the reserved funding returns to where it came from."""
    return await idempotency.keyed(
        work, "rewards.cancel", commands, _cancel, fingerprint=_fingerprint, seal=RewardSeal(), prepare=_lock
    )


async def reverse(work: Work, commands: Sequence[ReverseReward]) -> list[Answer | Refusal]:
    """The reversed reward for each command; its status stays, `reversedAmount` tells."""
    return await idempotency.keyed(
        work, "rewards.reverse", commands, _reverse, fingerprint=_fingerprint, seal=RewardSeal(), prepare=_lock
    )


class RewardSeal:
    """Seals answers about a reward under its recipient's key."""

    async def seal(self, work: Work, resource_id: UUID, plain: bytes) -> bytes:
        return (await self._person(work, resource_id)).key.seal(plain, resource_id.bytes)

    async def open(self, work: Work, resource_id: UUID, sealed: bytes) -> bytes:
        if await erasing.is_erased(work, resource_id):
            raise Erased("The recipient was erased, and what was answered about the reward with them.")
        return (await self._person(work, resource_id)).key.open(sealed, resource_id.bytes)

    async def _person(self, work: Work, reward_id: UUID) -> Recipient:
        reward = (await store.by_ids(work, [reward_id]))[reward_id]
        return (await recipients.by_ids(work, [reward.recipient_id]))[reward.recipient_id]


def _fingerprint(command: Change) -> bytes:
    fields = [
        None if value is msgspec.UNSET else [value]
        for value in (getattr(command, name) for name in command.__slots__ if name not in ("asked", "reward_id"))
    ]
    return msgspec.json.encode([str(command.reward_id), fields])


async def _lock(work: Work, commands: Sequence[Change]) -> None:
    await _prepare(work, commands)


async def _prepare(work: Work, commands: Sequence[Change]) -> Quotas:
    """Every lock of the batch in the one order: recipients, quotas near their limit, rewards, wallets, accounts.

    What bounds the amounts.
    """
    known = await store.by_ids(work, list({command.reward_id for command in commands}))
    if not known:
        return Quotas()
    await recipients.lock_by_ids(work, list({reward.recipient_id for reward in known.values()}))
    amounts: list[quotas.Wanted] = [
        (command.asked.caller.partner_id, QUOTA, command.amount)
        for command in commands
        if isinstance(command, UpdateReward) and isinstance(command.amount, int)
    ]
    bounds = await quotas.look(work, amounts)
    locked = await store.lock(work, list(known))
    held = [reward.wallet_id for reward in locked.values() if reward.wallet_id is not None]
    if held:
        await wallets.lock(work, held)
    touched = {a for reward in locked.values() for a in (reward.funding_account_id, reward.value_account_id)}
    await ledger.lock(work, list(touched))
    return bounds


async def visible(work: Work, asked: Asked, reward_id: UUID) -> Reward | None:
    """The reward, where the caller may see it: its partner's own, or the programme's by agreement; within its merchants."""
    reward = (await store.by_ids(work, [reward_id])).get(reward_id)
    return reward if reward is not None and may_see(asked, reward) else None


def may_see(asked: Asked, reward: Reward) -> bool:
    """A foreign reward is answered exactly as a missing one."""
    caller = asked.caller
    if caller.merchant_ids is not None and reward.merchant_id not in caller.merchant_ids:
        return False
    return caller.sees_programme or reward.partner_id == caller.partner_id


async def _own(work: Work, command: Change) -> Reward | NotFound:
    """Only the partner that gave a reward may change it, whatever else it may see."""
    reward = await visible(work, command.asked, command.reward_id)
    if reward is None or reward.partner_id != command.asked.caller.partner_id:
        return missing()
    return reward


def missing() -> NotFound:
    """The refusal for a reward that is unknown, or someone else's."""
    return NotFound("No reward has this id. Verify the id.")


async def _update(work: Work, command: UpdateReward, bounds: Quotas) -> Answer | Refusal:
    reward = await _own(work, command)
    if isinstance(reward, Refusal):
        return reward
    if not reward.can_change(work.now):
        return not_changeable(reward, work.now)
    person = (await recipients.by_ids(work, [reward.recipient_id]))[reward.recipient_id]
    private = _private(command, resource.open_private(reward, person))
    changed = replace(
        reward,
        amount=_kept(command.amount, reward.amount),
        reason_code=_kept(command.reason_code, reward.reason_code),
        cost_center=_kept(command.cost_center, reward.cost_center),
        private_sealed=resource.seal_private(private, person, reward.id),
        version=reward.version + 1,
        updated_at=work.now,
    )
    refusal = await _over_cap(work, reward, changed) or await _grow(work, reward, changed.amount, bounds)
    if refusal is not None:
        return refusal
    await store.update(work, [changed])
    return _changed(work, command, changed, private, "reward.updated")


def _kept(new: T | msgspec.UnsetType, old: T) -> T:
    return old if new is msgspec.UNSET else new


def _private(command: UpdateReward, old: Private) -> Private:
    return Private(_kept(command.message, old.message), _kept(command.notification_email, old.notification_email))


async def _over_cap(work: Work, reward: Reward, changed: Reward) -> Refusal | None:
    """The merchant's caps hold for what a reward becomes as when it is issued: it counts for that day, whenever it grows."""
    grows_by = changed.amount - reward.amount
    if grows_by <= 0:
        return None
    shop = (await merchants.by_ids(work, [reward.merchant_id]))[reward.merchant_id]
    given = 0
    if shop.phone_day_maximum is not None:
        day = day_of(reward.created_at, shop.time_zone)
        given = await store.given_between(work, reward.recipient_id, reward.merchant_id, *day)
    return over_cap(shop, changed.amount, given + grows_by)


async def _grow(work: Work, reward: Reward, amount: int, bounds: Quotas) -> Refusal | None:
    """A larger reward uses more of its partner's quota, as if the difference were given now; a smaller one gives nothing back."""
    more = max(0, amount - reward.amount)
    if more:
        over = bounds.take(reward.partner_id, QUOTA, more, reward.currency, source=attribute("amount"))
        if over is not None:
            return over
    refusal = await _move_reserve(work, reward, amount)
    if refusal is not None and more:
        bounds.give_back(reward.partner_id, QUOTA, more, reward.currency)
    return refusal


async def _move_reserve(work: Work, reward: Reward, amount: int) -> Refusal | None:
    more = amount - reward.amount
    if more == 0:
        return None
    transfer = (
        ledger.Transfer(reward.funding_account_id, reward.value_account_id, more)
        if more > 0
        else ledger.Transfer(reward.value_account_id, reward.funding_account_id, -more)
    )
    verdict = await _post(work, reward, "reward.update", (transfer,))
    if verdict == "below_floor" and more > 0:
        return InsufficientFunding(
            "The merchant's funding does not cover the larger amount. Ask the merchant to add funds or raise its limit.",
            source=attribute("amount"),
        )
    assert verdict == "posted", f"the books refused to move a reserve: {verdict}"
    return None


async def _post(
    work: Work,
    reward: Reward,
    kind: str,
    transfers: tuple[ledger.Transfer, ...],
) -> str:
    journal = ledger.Journal(
        id=ids.new(),
        kind=kind,
        cause_id=reward.id,
        merchant_id=reward.merchant_id,
        currency=reward.currency,
        transfers=transfers,
    )
    return (await ledger.post(work, [journal]))[0]


async def _cancel(work: Work, command: CancelReward) -> Answer | Refusal:
    reward = await _own(work, command)
    if isinstance(reward, Refusal):
        return reward
    if not reward.can_change(work.now):
        return not_changeable(reward, work.now)
    await give_back_reserve(work, reward, command.asked)
    audit.note(work, command.asked, status=204, resource_id=reward.id)
    return Answer(204, None, reward.id)


async def give_back_reserve(work: Work, reward: Reward, asked: Asked) -> None:
    """A reward that waits waits no more: its reserve returns to where it came from. Its locks are held."""
    back = ledger.Transfer(reward.value_account_id, reward.funding_account_id, reward.amount)
    verdict = await _post(work, reward, "reward.cancel", (back,))
    assert verdict == "posted", f"the books refused a cancellation: {verdict}"
    cancelled = replace(reward, status="Cancelled", version=reward.version + 1, updated_at=work.now)
    await store.settle(work, [cancelled])
    events.record(work, resource.event(work, "reward.cancelled", cancelled, asked))


async def _reverse(work: Work, command: ReverseReward) -> Answer | Refusal:
    reward = await _own(work, command)
    if isinstance(reward, Refusal):
        return reward
    if reward.status not in ("Credited", "Claimed"):
        return InvalidState(
            f"The reward is {reward.effective(work.now)}; only one that was credited or claimed can be reversed. "
            "Cancel one that still waits."
        )
    lots = await ledger.lock(work, [reward.value_account_id])
    expired = (await expired_of(work, lots.values())).get(reward.value_account_id, 0)
    left = reward.amount - reward.reversed_amount - expired
    amount = left if command.amount is None else command.amount
    if left == 0:
        gone = "expired, and returned to who paid for it" if expired else "been reversed already"
        return InvalidState(f"Nothing of this reward is left to be reversed: it has {gone}.")
    if amount > left:
        return InvalidRequest(
            f"At most {left} minor units of this reward can still be reversed.", source=attribute("amount")
        )
    assert reward.wallet_id is not None, "a credited or claimed reward has a wallet"
    if await wallets.of_erased(work, [reward.wallet_id]):
        return InvalidState(
            "Its holder was erased, and their wallet with them: there is nobody left to take it back from."
        )
    await take_back(work, reward, amount)
    await wallets.close_drained(work, [reward.wallet_id], command.asked)
    await store.reverse(work, {reward.id: amount})
    changed = replace(
        reward, reversed_amount=reward.reversed_amount + amount, version=reward.version + 1, updated_at=work.now
    )
    person = (await recipients.by_ids(work, [reward.recipient_id]))[reward.recipient_id]
    return _changed(work, command, changed, resource.open_private(reward, person), "reward.reversed")


async def take_back(work: Work, reward: Reward, amount: int) -> None:
    """What the lot still holds returns to the funding; what was spent becomes what the holder owes."""
    assert reward.wallet_id is not None, "a credited or claimed reward has a wallet"
    lot = (await ledger.lock(work, [reward.value_account_id]))[reward.value_account_id]
    unspent = min(amount, lot.available)
    transfers = []
    if unspent:
        transfers.append(ledger.Transfer(reward.value_account_id, reward.funding_account_id, unspent))
    if amount > unspent:
        owed_account_id = await wallets.owe(work, reward.wallet_id)
        transfers.append(ledger.Transfer(owed_account_id, reward.funding_account_id, amount - unspent))
    verdict = await _post(work, reward, "reward.reverse", tuple(transfers))
    assert verdict == "posted", f"the books refused a reversal: {verdict}"


def _changed(work: Work, command: UpdateReward | ReverseReward, reward: Reward, private: Private, topic: str) -> Answer:
    events.record(work, resource.event(work, topic, reward, command.asked))
    audit.note(work, command.asked, status=200, resource_id=reward.id)
    return Answer(200, jsonapi.document(resource.resource(reward, private, work.now, command.asked.caller)), reward.id)
