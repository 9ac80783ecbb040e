"""Value of wallets that expires soon: told once for each lot, as long before its expiry as the merchant's terms say.

A notice is dated when it is given. Changed terms hold for every lot that was not announced yet.
"""

from datetime import datetime
from typing import Final

import tallystick.wallets.store as store
from tallystick import ledger
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.wallets.actions import hold
from tallystick.wallets.expiry import Part, tell

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
    await ledger.lots.announced(work, list(waiting))
