"""Value of wallets that expires soon: told once for each lot, as long before its expiry as the merchant's terms say.

A notice is dated when it is given. Changed terms hold for every lot that was not announced yet.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import tallystick.wallets.store as store
from tallystick import customers, ledger, merchants, messages
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.customers import Customer
from tallystick.messages import Channel
from tallystick.wallets.actions import hold
from tallystick.wallets.expiry import Part, tell
from tallystick.wallets.model import Wallet

NOTIFY_AT_ONCE: Final = 200
"""How many lots one work announces: cut by how long their wallets are held."""


async def next_notice(work: Work) -> datetime | None:
    """When the next lot of a wallet of the tenant is to be announced; in the past for one whose whole life is shorter than that."""
    return await store.next_notice(work)


async def notify_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Announce what is to be announced by `at`, up to a number; whether anything was."""
    async with runtime.work(tenant) as work:
        due = await store.to_announce(work, at, NOTIFY_AT_ONCE)
        if due:
            await _announce(work, due)
    return bool(due)


async def notify_due(runtime: Runtime) -> bool:
    """One step of the loop, over every tenant that may have something to announce; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_NOTICES, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: notify_at(runtime, tenant, row[3]))


async def _announce(work: Work, due: list[store.Expiring]) -> None:
    wallets = await hold(work, list({each.wallet_id for each in due}))
    # Whoever announced some of them while we waited for their wallets has marked them.
    waiting = await store.unannounced(work, [each.account_id for each in due])
    lots = {lot.id: lot for lot in await ledger.lots.of_parents(work, list(wallets))}
    amounts: dict[Part, int] = {}
    for each in due:
        lot = lots.get(each.account_id)
        if lot is not None and each.account_id in waiting:
            part = (each.wallet_id, each.expires_at)
            amounts[part] = amounts.get(part, 0) + lot.available + lot.held
    if amounts:
        await tell(work, "wallet.value_expiring", wallets, amounts)
        await _write(work, wallets, amounts)
    await ledger.lots.announced(work, list(waiting))


async def _write(work: Work, wallets: Mapping[UUID, Wallet], amounts: Mapping[Part, int]) -> None:
    """A message to each holder who can be reached; the day is the merchant's."""
    told = [wallets[wallet_id] for wallet_id, _ in amounts]
    holders = await customers.by_ids(work, list({wallet.customer_id for wallet in told}))
    places = await merchants.by_ids(work, list({wallet.merchant_id for wallet in told}))
    for (wallet_id, expires_at), amount in amounts.items():
        wallet = wallets[wallet_id]
        holder, place = holders[wallet.customer_id], places[wallet.merchant_id]
        way = _way_to(holder)
        if way is None:
            continue
        channel, to = way
        day = expires_at.astimezone(ZoneInfo(place.time_zone)).date()
        await messages.send(
            work,
            recipient_id=holder.id,  # theirs, also where somebody else has the phone
            partner_id=wallet.partner_id,
            channel=channel,
            kind="value_notice",
            to=to,
            content={
                "amount": str(amount),
                "currency": wallet.currency,
                "merchant": place.name,
                "expires": day.isoformat(),
            },
        )


def _way_to(holder: Customer) -> tuple[Channel, str] | None:
    """Their e-mail, else their phone where it is known to be theirs."""
    if holder.personal.email is not None:
        return "email", holder.personal.email
    if holder.personal.phone is not None and holder.is_verified:
        return "sms", holder.personal.phone
    return None
