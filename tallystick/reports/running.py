"""Reports that were ordered are made in the background, and periods closed."""

import tallystick.reports.store as store
from tallystick.base.db import Row
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant
from tallystick.reports import closing, making, reconciliation_schedules


async def run_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, order its daily reports, take one period a step on and make one report.

    Whether there was any.
    """
    ordered = await reconciliation_schedules.order_due(runtime)
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())

    async def step(tenant: Tenant, _row: Row) -> bool:
        closed = await closing.carry_on(runtime, tenant)
        return await making.make_next(runtime, tenant) or closed

    return await each_in_turn(rows, step) or ordered
