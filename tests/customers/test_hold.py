"""Holding a customer still."""

import asyncio
from dataclasses import replace
from uuid import UUID

from tallystick import customers
from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant
from tests.customers.cast import Partner

NEW_PHONE = "+12025550199"
FREE = "select id from recipients where tenant_id = $1 and id = any($2::uuid[]) for update skip locked"


async def test_whoever_moved_to_another_phone_while_we_waited_is_held_there_too(
    runtime: Runtime, tenant: Tenant, harbour: Partner
) -> None:
    user_id = await harbour.mira()
    held, done = asyncio.Event(), asyncio.Event()
    seen: list[UUID | None] = []

    async def hold() -> None:
        async with runtime.work(tenant) as work:
            seen.append((await customers.hold(work, [user_id]))[user_id].recipient_id)
            held.set()
            await done.wait()

    async with runtime.work(tenant) as work:
        old = (await customers.hold(work, [user_id]))[user_id]
        waiting = asyncio.create_task(hold())
        finished, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not finished
        assert not held.is_set()
        moved = await customers.write(work, old, replace(old, personal=replace(old.personal, phone=NEW_PHONE)))
    assert isinstance(moved, customers.Customer)
    await held.wait()
    async with runtime.work(tenant) as work:
        free = await work.db.rows(FREE, tenant.id, [old.recipient_id, moved.recipient_id])
    done.set()
    await waiting
    assert seen == [moved.recipient_id]
    assert free == []


async def test_what_is_not_there_is_not_held_and_nothing_is_made(
    runtime: Runtime, tenant: Tenant, harbour: Partner
) -> None:
    async with runtime.work(tenant) as work:
        assert await customers.hold(work, [ids.new()], [NEW_PHONE]) == {}
    assert await harbour.count("recipients") == 0
