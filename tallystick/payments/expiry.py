"""Due work: authorisations that were not captured in time. What they held is free again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import tallystick.payments.store as store
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.payments.changing import Held, release, settle, tell

EXPIRE_AT_ONCE: Final = 200
"""How many payments one work expires: cut by how long their locks are held."""


async def next_deadline(work: Work) -> datetime | None:
    """When the next authorisation of the tenant expires."""
    return await store.next_due(work)


async def expire_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Do what is due at `at`, up to a number; whether anything was. Books and events are dated at that instant."""
    async with runtime.work(tenant, at=at) as work:
        due = await store.due(work, EXPIRE_AT_ONCE)
        if due:
            await _expire(work, due)
    return bool(due)


async def expire_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, expire what passed its earliest deadline, at that deadline; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: expire_at(runtime, tenant, row[3]))


async def _expire(work: Work, due: Sequence[UUID]) -> None:
    held = Held()
    await held.lock(work, due)
    # Between finding and locking, a capture or a cancellation may have come first.
    late = [payment for payment in held.payments.values() if payment.intent.status == "authorized"]
    if not late:
        return
    expired = await release(work, held, late, "expired", "expired")
    await settle(work, held, expired, None)
    for payment in expired:
        tell(work, "redemption.expired", payment, None)
