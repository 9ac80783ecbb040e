"""What becomes of a reward that waits: a wallet claims it, or its deadline passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

import tallystick.rewards.store as store
from tallystick import events, ledger, merchants, messages, wallets
from tallystick.base import ids
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Asked, Runtime, Tenant, Work
from tallystick.customers import recipients
from tallystick.customers.recipients import Recipient
from tallystick.messages import Kind
from tallystick.rewards import resource
from tallystick.rewards.issuing import lot_account
from tallystick.rewards.model import Reward

EXPIRE_AT_ONCE = 200
"""How many rewards one work expires: cut by how long their locks are held."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A wallet that has just become active, and whose it is. The recipient's row is locked already."""

    recipient_id: UUID
    merchant_id: UUID
    wallet_id: UUID
    currency: str
    asked: Asked | None


async def claim(work: Work, claims: Sequence[Claim]) -> None:
    """Credit each wallet with every unclaimed reward that waits for its recipient at its merchant.

    The funding was reserved when the reward was made, so a claim cannot fail for funds.
    """
    by_place = {(wanted.recipient_id, wanted.merchant_id): wanted for wanted in claims}
    waiting = await store.lock_waiting(work, list({wanted.recipient_id for wanted in claims})) if claims else []
    matched = [
        (reward, by_place[reward.recipient_id, reward.merchant_id])
        for reward in waiting
        if (reward.recipient_id, reward.merchant_id) in by_place
    ]
    if not matched:
        return
    people = await recipients.by_ids(work, [reward.recipient_id for reward, _ in matched])
    owed = await _owed(work, [wanted for _, wanted in matched])
    shops = await merchants.by_ids(work, list({reward.merchant_id for reward, _ in matched}))
    claimed: list[Reward] = []
    journals: list[ledger.Journal] = []
    lots: list[ledger.NewAccount] = []
    for reward, wanted in matched:
        lot_id = ids.new()
        transfers = [ledger.Transfer(reward.value_account_id, lot_id, reward.amount)]
        netted = _net(owed, wanted.wallet_id, reward.amount)
        if netted is not None:
            transfers.append(ledger.Transfer(lot_id, *netted))
        journals.append(_journal(reward, "reward.claim", tuple(transfers)))
        changed = replace(
            reward,
            status="Claimed",
            wallet_id=wanted.wallet_id,
            value_account_id=lot_id,
            version=reward.version + 1,
            updated_at=work.now,
        )
        lots.append(lot_account(changed, wanted.wallet_id, lot_id, shops[reward.merchant_id].value_days))
        claimed.append(changed)
        events.record(work, resource.event(work, "reward.claimed", changed, wanted.asked))
        await _tell(work, changed, people[reward.recipient_id], "claim_notice")
    await _post(work, journals, lots)
    await store.settle(work, claimed)


async def _owed(work: Work, claims: Sequence[Claim]) -> dict[UUID, tuple[UUID, int]]:
    """What the holder of each wallet owes: its owed account and the minor units."""
    held = await wallets.facts(work, list({wanted.recipient_id for wanted in claims}))
    accounts = {wallet.wallet_id: wallet.owed_account_id for wallet in held if wallet.owed_account_id is not None}
    locked = await ledger.lock(work, list(accounts.values())) if accounts else {}
    return {wallet_id: (account_id, -locked[account_id].balance) for wallet_id, account_id in accounts.items()}


def _net(owed: dict[UUID, tuple[UUID, int]], wallet_id: UUID, amount: int) -> tuple[UUID, int] | None:
    """The part of a claimed reward that pays the holder's debt, taken off what is left of it."""
    account_id, debt = owed.get(wallet_id, (None, 0))
    paid = min(amount, debt)
    if account_id is None or paid == 0:
        return None
    owed[wallet_id] = (account_id, debt - paid)
    return account_id, paid


async def expire_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Expire what is due at `at`, up to a number; whether anything was. Books and events are dated at that instant."""
    async with runtime.work(tenant, at=at) as work:
        due = await store.due(work, EXPIRE_AT_ONCE)
        if due:
            await _expire(work, due)
    return bool(due)


async def next_deadline(work: Work) -> datetime | None:
    """When the next unclaimed reward of the tenant expires."""
    return await store.next_due(work)


async def expire_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, expire what passed its earliest deadline, at that deadline; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: expire_at(runtime, tenant, row[3]))


async def _expire(work: Work, due: Sequence[tuple[UUID, UUID]]) -> None:
    await recipients.lock_by_ids(work, [recipient_id for _, recipient_id in due])
    locked = await store.lock(work, [reward_id for reward_id, _ in due])
    # Between finding and locking, a claim or a cancellation may have come first.
    gone = [reward for reward in locked.values() if reward.status == "Created"]
    people = await recipients.by_ids(work, [reward.recipient_id for reward in gone])
    journals = []
    expired = []
    for reward in gone:
        back = ledger.Transfer(reward.value_account_id, reward.funding_account_id, reward.amount)
        journals.append(_journal(reward, "reward.expire", (back,)))
        changed = replace(reward, status="Expired", version=reward.version + 1, updated_at=work.now)
        expired.append(changed)
        events.record(work, resource.event(work, "reward.expired", changed, None))
        await _tell(work, changed, people[reward.recipient_id], "expiry_notice")
    if expired:
        await _post(work, journals, ())
        await store.settle(work, expired)


def _journal(reward: Reward, kind: str, transfers: tuple[ledger.Transfer, ...]) -> ledger.Journal:
    return ledger.Journal(
        id=ids.new(),
        kind=kind,
        cause_id=reward.id,
        merchant_id=reward.merchant_id,
        currency=reward.currency,
        transfers=transfers,
    )


async def _post(work: Work, journals: Sequence[ledger.Journal], opening: Sequence[ledger.NewAccount]) -> None:
    verdicts = await ledger.post(work, journals, opening=opening)
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused reserved value: {verdicts}"


async def _tell(work: Work, reward: Reward, person: Recipient, kind: Kind) -> None:
    """Whoever the partner named hears what became of the reward."""
    address = resource.open_private(reward, person).notification_email
    if address is not None:
        await messages.send(
            work,
            recipient_id=reward.recipient_id,
            partner_id=reward.partner_id,
            channel="email",
            kind=kind,
            to=address,
            content={"reward_id": str(reward.id), "amount": str(reward.amount), "currency": reward.currency},
            key=person.key,
        )
