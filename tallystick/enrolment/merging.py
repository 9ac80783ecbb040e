"""Two users that turn out to be one person, and two after all.

The merged user's wallets give what they hold, and what they owe, to the survivor's at the same merchant, which are opened where
there are none; rewards follow their value. The survivor keeps their own phone: what waits for it is claimed by the wallets that
this makes active. Undone, what is left of the moved value goes back, and what was spent meanwhile stays spent.

Locks go in the one order: keys, recipients, customers, wallets, rewards, accounts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from tallystick import audit, customers, merchants, wallets
from tallystick.base import idempotency
from tallystick.base.errors import InvalidRequest, InvalidState, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.customers import Customer, Merge
from tallystick.enrolment import merge_resource
from tallystick.enrolment.actions import claim_waiting
from tallystick.rewards import moving
from tallystick.rewards.moving import Follow
from tallystick.wallets import Wallet, merging
from tallystick.wallets.merging import Moved, WalletMerge


@dataclass(frozen=True, slots=True)
class MergeUsers:
    """A partner's wish to make one of two users of its own."""

    asked: Asked
    user_id: UUID
    into_user_id: UUID


@dataclass(frozen=True, slots=True)
class UnmergeUser:
    """A partner's wish to undo a merge; named by the user that was merged."""

    asked: Asked
    user_id: UUID


async def merge_users(work: Work, commands: Sequence[MergeUsers]) -> list[Answer | Refusal]:
    """The merge for each command."""

    async def prepare(work: Work, commands: Sequence[MergeUsers]) -> None:
        both = {user_id for command in commands for user_id in (command.user_id, command.into_user_id)}
        held = await customers.hold(work, list(both))
        await _lock_value(work, await wallets.lock_of_customers(work, list(held)))

    return await idempotency.keyed(
        work,
        "users.merge",
        commands,
        _merge,
        fingerprint=lambda command: command.user_id.bytes + command.into_user_id.bytes,
        seal=HouseSeal(),
        prepare=prepare,
    )


async def unmerge_user(work: Work, commands: Sequence[UnmergeUser]) -> list[Answer | Refusal]:
    """The merge for each command, undone."""

    async def prepare(work: Work, commands: Sequence[UnmergeUser]) -> None:
        merged = list({command.user_id for command in commands})
        await _hold_both(work, merged, await customers.open_merges(work, merged))
        # Held, so that this is what will be undone; another merge than we saw may be there by now.
        made = await customers.open_merges(work, merged)
        await _hold_both(work, merged, made)
        parts = await merging.of_merges(work, [each.id for each in made.values()])
        both = {wallet_id for part in parts for wallet_id in (part.wallet_id, part.into_wallet_id)}
        await _lock_value(work, list((await wallets.lock(work, list(both))).values()))

    return await idempotency.keyed(
        work,
        "users.unmerge",
        commands,
        _unmerge,
        fingerprint=lambda command: command.user_id.bytes,
        seal=HouseSeal(),
        prepare=prepare,
    )


async def _hold_both(work: Work, merged: Sequence[UUID], made: Mapping[UUID, Merge]) -> None:
    await customers.hold(work, list({*merged, *(each.into_customer_id for each in made.values())}))


async def _lock_value(work: Work, held: Sequence[Wallet]) -> None:
    await moving.lock(work, list(await merging.owners(work, [wallet.id for wallet in held])))
    await merging.lock_value(work, held)


async def _merge(work: Work, command: MergeUsers) -> Answer | Refusal:
    pair = await _pair(work, command)
    if isinstance(pair, Refusal):
        return pair
    merged, survivor = pair
    giving = await wallets.of_customers(work, [merged.id])
    taking = {wallet.merchant_id: wallet for wallet in await wallets.of_customers(work, [survivor.id])}
    meeting = [taking[wallet.merchant_id] for wallet in giving if wallet.merchant_id in taking]
    refusal = _elsewhere(command.asked, giving) or merging.refuse(
        giving, meeting, await merging.lock_value(work, giving)
    )
    if refusal is not None:
        return refusal
    opened = await _open(work, command.asked, survivor, {wallet.merchant_id for wallet in giving} - set(taking))
    taking |= {wallet.merchant_id: wallet for wallet in opened}
    made, merged = await customers.merge(work, merged, survivor)
    pairs = [(wallet, taking[wallet.merchant_id]) for wallet in giving]
    parts, moved = await merging.move(work, command.asked, made.id, pairs)
    await _follow(work, moved)
    await claim_waiting(work, command.asked, survivor, opened)
    return await _answer(work, command.asked, made, parts)


async def _unmerge(work: Work, command: UnmergeUser) -> Answer | Refusal:
    merged = await customers.own(work, command.asked, command.user_id)
    if isinstance(merged, Refusal):
        return merged
    made = (await customers.open_merges(work, [merged.id])).get(merged.id)
    if made is None:
        return InvalidState(f"The user is {merged.status}; only one that was merged can be parted again.")
    survivor = (await customers.by_ids(work, [made.into_customer_id]))[made.into_customer_id]
    if survivor.status != "active":
        return InvalidState(f"The user that they were merged into is {survivor.status}. Undo that first, if it can be.")
    parts = await merging.of_merges(work, [made.id])
    held = await wallets.by_ids(
        work, [wallet_id for each in parts for wallet_id in (each.wallet_id, each.into_wallet_id)]
    )
    giving = [held[each.into_wallet_id] for each in parts]
    refusal = _elsewhere(command.asked, giving) or merging.refuse_back(
        parts, giving, await merging.lock_value(work, giving)
    )
    if refusal is not None:
        return refusal
    made, parted = await customers.part(work, made, merged)
    undone, moved = await merging.move_back(work, command.asked, parts, held, parted)
    await _follow(work, moved)
    reopened = await wallets.by_ids(work, [each.wallet_id for each in parts])
    await claim_waiting(work, command.asked, parted, list(reopened.values()))
    return await _answer(work, command.asked, made, undone)


async def _pair(work: Work, command: MergeUsers) -> tuple[Customer, Customer] | Refusal:
    """Who is merged and who survives: two active users of the caller's partner."""
    merged = await customers.own(work, command.asked, command.user_id)
    if isinstance(merged, Refusal):
        return merged
    survivor = await customers.own(work, command.asked, command.into_user_id)
    if isinstance(survivor, Refusal):
        return InvalidRequest("There is no user of yours with this id.", source=attribute("intoUserId"))
    if merged.id == survivor.id:
        return InvalidRequest("A user is merged into another one, not into themselves.", source=attribute("intoUserId"))
    if merged.status != "active":
        return customers.not_active(merged)
    if survivor.status != "active":
        return InvalidState(f"That user is {survivor.status}; name one that is active.", source=attribute("intoUserId"))
    return merged, survivor


def _elsewhere(asked: Asked, held: Sequence[Wallet]) -> Refusal | None:
    """A client that may act for some merchants only moves no value at others."""
    allowed = asked.caller.merchant_ids
    if allowed is None or all(wallet.merchant_id in allowed for wallet in held):
        return None
    return InvalidRequest("The user has a wallet at a merchant that this client may not act for. Use one that may.")


async def _open(work: Work, asked: Asked, survivor: Customer, merchant_ids: Collection[UUID]) -> list[Wallet]:
    """Wallets for the survivor at the merchants where they have none."""
    opened = []
    for place in (await merchants.by_ids(work, list(merchant_ids))).values():
        wallet = await wallets.open_for(work, asked, survivor, place)
        assert isinstance(wallet, Wallet), "there is no open wallet of theirs at this merchant"
        opened.append(wallet)
    return opened


async def _follow(work: Work, moved: Sequence[Moved]) -> None:
    follows = [Follow(each.owner_id, each.from_lot, each.into_lot, each.into_wallet_id) for each in moved]
    await moving.follow(work, follows)


async def _answer(work: Work, asked: Asked, made: Merge, parts: Sequence[WalletMerge]) -> Answer:
    audit.note(work, asked, status=200, resource_id=made.customer_id)
    held = await wallets.by_ids(work, [part.wallet_id for part in parts])
    return Answer(200, merge_resource.document(made, parts, held), made.id)
