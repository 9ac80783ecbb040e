"""Rewards that wait and expire soon: told once for each, as long before its deadline as the merchant's terms say.

A notice is dated when it is given. Changed terms hold for every reward that was not announced yet.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec.structs import replace

import tallystick.rewards.store as store
from tallystick import events
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.customers import recipients
from tallystick.rewards import notice_store, resource

NOTIFY_AT_ONCE: Final = 200
"""How many rewards one work announces: cut by how long their locks are held."""


async def next_notice(work: Work) -> datetime | None:
    """When the next reward of the tenant is to be announced; in the past for one whose whole wait is shorter than that."""
    return await notice_store.next_notice(work)


async def notify_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Announce what is to be announced by `at`, up to a number; whether anything was."""
    async with runtime.work(tenant) as work:
        due = await notice_store.to_announce(work, at, NOTIFY_AT_ONCE)
        if due:
            await _announce(work, due)
    return bool(due)


async def notify_due(runtime: Runtime) -> bool:
    """One step of the loop, over every tenant that may have something to announce; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(notice_store.DISCOVERY_NOTICES, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: notify_at(runtime, tenant, row[3]))


async def _announce(work: Work, due: Sequence[tuple[UUID, UUID]]) -> None:
    await recipients.lock_by_ids(work, [recipient_id for _, recipient_id in due])
    locked = await store.lock(work, [reward_id for reward_id, _ in due])
    # While we waited for their locks they may have been claimed, cancelled, or announced by another.
    waiting = await notice_store.unannounced(work, list(locked))
    await notice_store.announce(work, list(waiting))
    for reward in locked.values():
        if reward.id in waiting:
            changed = replace(reward, version=reward.version + 1, updated_at=work.now)
            events.record(work, resource.event(work, "reward.expiring", changed, None))
