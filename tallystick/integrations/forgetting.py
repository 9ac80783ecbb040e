"""Forget documents that could not be taken: what nobody came back for within 30 days holds people's data for nothing."""

from datetime import timedelta
from typing import Final

import tallystick.integrations.store as store
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant

KEPT: Final = timedelta(days=30)
AT_ONCE: Final = 1_000


async def forget_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant a number of faults that are older; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_OLD, runtime.clock(), KEPT)
    return await each_in_turn(rows, lambda tenant, _row: _forget(runtime, tenant))


async def _forget(runtime: Runtime, tenant: Tenant) -> bool:
    async with runtime.work(tenant) as work:
        return await store.forget(work, work.now - KEPT, AT_ONCE) > 0
