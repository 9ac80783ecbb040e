"""Rules that were published ahead of time come into force at their own instant."""

from dataclasses import replace
from datetime import datetime

import tallystick.thresholds.store as store
from tallystick import events
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.thresholds import resource
from tallystick.thresholds.model import Threshold

TURN_AT_ONCE = 200
"""How many rules one work turns: cut by how long their locks are held."""


async def next_due(work: Work) -> datetime | None:
    """When the next version comes into force in this tenant."""
    return await store.next_due(work)


async def turn_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Turn the rules whose next version is in force by `at`, up to a number; whether there were any."""
    async with runtime.work(tenant, at=at) as work:
        locked = await store.lock(work, await store.due(work, TURN_AT_ONCE))
        # Between finding and locking, a pause or another publication may have come first.
        turned = [await turn(work, threshold) for threshold in locked.values()]
    return bool(turned)


async def run_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, turn what is due at its earliest instant, at that instant; whether any was."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: turn_at(runtime, tenant, row[3]))


async def turn(work: Work, threshold: Threshold) -> Threshold:
    """The locked rule with what is in force by now written and told. Its stretch of time was opened when it was scheduled."""
    current = threshold.at(work.now)
    if current is threshold:
        return threshold
    turned = replace(current, version=threshold.version + 1, updated_at=work.now)
    await store.update(work, turned)
    number = turned.shown_number
    version = (await store.versions(work, [(turned.id, number)]))[turned.id, number]
    events.record(work, resource.event("threshold.published", turned, version, None))
    return turned
