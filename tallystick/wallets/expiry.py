"""Lots of wallets that expire: what is left of one returns to whoever paid for it, at its own deadline.

A lot that was sold for money has nobody to return to: it becomes the merchant's breakage, first what was recognised ahead. What a
payment holds of a lot stays until the hold ends, and expires then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import tallystick.wallets.store as store
from tallystick import events, ledger
from tallystick.base import ids
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.ledger import Account, Deadline, Journal, Transfer, house_account
from tallystick.wallets import resource
from tallystick.wallets.actions import close_drained, event, hold
from tallystick.wallets.model import Wallet

LOT: Final = "wallet.lot"
EXPIRE_AT_ONCE: Final = 200
"""How many lots one work expires: cut by how long their locks are held."""

Part = tuple[UUID, datetime]
"""A wallet, and an expiry of lots in it."""


async def next_expiry(work: Work) -> datetime | None:
    """When the next lot of a wallet of the tenant expires, or wants another look since a payment that held some of it ended."""
    return await ledger.lots.next_due(work, LOT)


async def expire_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Expire what is due at `at`, up to a number; whether anything was. Books and events are dated at that instant."""
    async with runtime.work(tenant, at=at) as work:
        due = await ledger.lots.due(work, LOT, EXPIRE_AT_ONCE)
        if due:
            await _expire(work, due)
    return bool(due)


async def expire_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, expire what passed its earliest deadline, at that deadline; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: expire_at(runtime, tenant, row[3]))


async def _expire(work: Work, due: Sequence[Deadline]) -> None:
    wallets = await hold(work, list({each.parent_id for each in due}))
    locked = await _lock(work, due)
    lots = [locked[each.account_id] for each in due if each.account_id in locked]
    gone = [lot for lot in lots if lot.available > 0]
    if gone:
        journals = [_journal(lot, transfers) for lot, transfers in _returned(gone, locked)]
        verdicts = await ledger.post(work, journals)
        assert all(verdict == "posted" for verdict in verdicts), f"the books refused an expiry: {verdicts}"
        await _tell(work, wallets, gone)
    await ledger.lots.settled(work, [each.account_id for each in due])
    await close_drained(work, list(wallets))


async def forfeit(work: Work, wallet_ids: Sequence[UUID]) -> None:
    """End what is left in held wallets now, as if it had expired. No payment may hold any of it."""
    lots = await ledger.lots.of_parents(work, wallet_ids)
    if not lots:
        return
    locked = await _lock(work, [Deadline(lot.id, lot.parent_id, lot.merchant_id, work.now) for lot in lots])
    gone = [locked[lot.id] for lot in lots if locked[lot.id].available > 0]
    verdicts = await ledger.post(work, [_journal(lot, transfers) for lot, transfers in _returned(gone, locked)])
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused what was forfeited: {verdicts}"


async def _lock(work: Work, due: Sequence[Deadline]) -> dict[UUID, Account]:
    """The lots, and every account that something of them may return to, all locked at once."""
    wanted = {each.account_id for each in due}
    parents = list({each.parent_id for each in due})
    funders = {lot.funder_id for lot in await ledger.lots.of_parents(work, parents) if lot.id in wanted}
    wanted |= {funder_id for funder_id in funders if funder_id is not None}
    if None in funders:
        for merchant_id in {each.merchant_id for each in due}:
            wanted |= {
                house_account(merchant_id, "merchant.breakage"),
                house_account(merchant_id, "merchant.breakage_income"),
            }
    return await ledger.lock(work, list(wanted))


def _returned(lots: Iterable[Account], locked: Mapping[UUID, Account]) -> list[tuple[Account, list[Transfer]]]:
    """Where what is left of each lot goes. Breakage that was recognised ahead is used up by the first lots."""
    ahead: dict[UUID, int] = {}
    returned = []
    for lot in lots:
        if lot.funder_id is not None:
            returned.append((lot, [Transfer(lot.id, lot.funder_id, lot.available)]))
            continue
        breakage = house_account(lot.merchant_id, "merchant.breakage")
        income = house_account(lot.merchant_id, "merchant.breakage_income")
        left = ahead.setdefault(breakage, max(0, -locked[breakage].balance))
        recognised = min(left, lot.available)
        ahead[breakage] = left - recognised
        parts = [(breakage, recognised), (income, lot.available - recognised)]
        returned.append((lot, [Transfer(lot.id, account_id, amount) for account_id, amount in parts if amount]))
    return returned


def _journal(lot: Account, transfers: Sequence[Transfer]) -> Journal:
    return Journal(
        id=ids.new(),
        kind="lot.expire",
        cause_id=lot.id,
        merchant_id=lot.merchant_id,
        currency=lot.currency,
        transfers=tuple(transfers),
    )


async def _tell(work: Work, wallets: Mapping[UUID, Wallet], gone: Iterable[Account]) -> None:
    """One event for all value of a wallet that had one expiry."""
    amounts: dict[Part, int] = {}
    for lot in gone:
        assert lot.parent_id is not None and lot.expires_at is not None, "only a wallet's lot with an expiry is due"
        part = (lot.parent_id, lot.expires_at)
        amounts[part] = amounts.get(part, 0) + lot.available
    await tell(work, "wallet.value_expired", wallets, amounts)


async def tell(work: Work, topic: str, wallets: Mapping[UUID, Wallet], amounts: Mapping[Part, int]) -> None:
    """Tell of value of held wallets that expires, or has: an event and a version for each wallet and expiry."""
    balances = await store.balances(work, list({wallet_id for wallet_id, _ in amounts}))
    raised: dict[UUID, Wallet] = {}
    for (wallet_id, expires_at), amount in sorted(amounts.items(), key=lambda each: each[0][1]):
        wallet = raised.get(wallet_id, wallets[wallet_id])
        changed = raised[wallet_id] = replace(wallet, version=wallet.version + 1, updated_at=work.now)
        document = resource.told(changed, balances[wallet_id], amount, expires_at)
        events.record(work, event(topic, changed, document, None))
    await store.raise_versions(work, list(raised.values()))
