"""Hand events out: for each endpoint that one is for a delivery of its own, once, in the order of the feed."""

from typing import Final

import tallystick.webhooks.fanning_store as store
from tallystick import partners
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant

AT_ONCE: Final = 1_000
"""How many positions of the feed one transaction looks at."""


async def fan_out_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant with endpoints, a number of events; whether there were any."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_BEHIND)
    return await each_in_turn(rows, lambda tenant, _row: fan_out(runtime, tenant))


async def fan_out(runtime: Runtime, tenant: Tenant) -> bool:
    """Hand out some of the events that were not yet; whether there were any.

    Who dies on the way has handed out nothing: how far it is and what came of it are committed together.
    """
    async with runtime.work(tenant) as work:
        done = await store.lock_head(work)
        if done is None:
            return False
        upto = min(await store.last(work), done + AT_ONCE)
        if upto == done:
            return False
        sight = await partners.sight(work, await store.owners(work))
        await store.hand_out(work, done, upto, sight)
        await store.move_head(work, upto)
    return True
