"""Forget what became of events: after a while, and soon where the endpoint is deleted; a batch at a time, so that nobody waits."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import tallystick.webhooks.retention_store as store
import tallystick.webhooks.store as endpoints
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant

AT_ONCE: Final = 2_000


def forgetting(kept: timedelta) -> Callable[[Runtime], Awaitable[bool]]:
    """The step of a loop that keeps attempts and deliveries for so long, in real time."""

    async def forget_due(runtime: Runtime) -> bool:
        before = runtime.clock() - kept
        async with runtime.discovering() as db:
            rows = await db.rows(store.DISCOVERY_OLD, before)

        async def forget(tenant: Tenant, _row: object) -> bool:
            async with runtime.work(tenant) as work:
                gone = await store.forget(work, before, AT_ONCE)
            async with runtime.work(tenant) as work:
                # Who hands out just now may not know yet that an endpoint is deleted, and has to be done with it first.
                await endpoints.hold_head(work)
                webhook_id = await store.deleted(work)
                if webhook_id is not None:
                    await store.clear(work, webhook_id, AT_ONCE)
            return gone > 0 or webhook_id is not None

        return await each_in_turn(rows, forget)

    return forget_due
