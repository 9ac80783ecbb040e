"""Deliveries as they stand, and a process that makes them."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from tallystick import events, partners
from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant
from tallystick.merchants.resource import MERCHANT
from tallystick.webhooks import Deliverer, Rules, Sender, secrets, store
from tallystick.webhooks.fanning import fan_out
from tallystick.webhooks.model import PAYLOAD_VERSION, Webhook
from tests import world
from tests.api import Answer, Api

HERE = Rules((ip_network("127.0.0.1/32"),))

TOPIC = "merchant.updated"
PHONES = itertools.count(100)

LIKE = """
select topic, subject_type, document, subject_id, partner_id, merchant_id from events
where tenant_id = $1 and topic = 'reward.pre_issued' order by position desc limit 1
"""
STAND = """
select position, topic, status, attempts, tries, due_at, lease, concluded_at from webhook_deliveries
where tenant_id = $1 order by position
"""
ATTEMPTS = """
select position, number, status_code, fault, milliseconds, at from webhook_attempts where tenant_id = $1 order by id
"""
ENDPOINTS = """
select id, status, reason, failing_since, failed_at, succeeded_at, warned, version from webhooks
where tenant_id = $1 order by created_at, id
"""


@contextlib.asynccontextmanager
async def delivering(runtime: Runtime, sender: Sender | None = None, **more: Any) -> AsyncIterator[Deliverer]:
    """Deliveries are made while the block runs."""
    sender = sender or Sender(HERE)
    sender.open()
    deliverer = Deliverer(runtime, sender, **{"end_seconds": 1.0, **more})
    stopping = asyncio.Event()
    running = asyncio.create_task(deliverer.run(stopping))
    try:
        yield deliverer
    finally:
        stopping.set()
        await running
        await sender.close()


async def handed_out(runtime: Runtime, tenant: Tenant) -> None:
    """Every event has been handed out."""
    while await fan_out(runtime, tenant):
        pass


async def partner_of(runtime: Runtime) -> tuple[Tenant, UUID]:
    """A new programme's production, and a partner that sees all of it."""
    now = runtime.clock()
    async with runtime.pool.lend() as db, db.connection.transaction():
        programme = await partners.add_programme(db, world.NORTHWIND, now)
        partner = await partners.add_partner(db, world.HARBOUR_SUPPORT, now)
        await partners.agree(db, partner.id, programme.production.programme_id, "programme", now)
    return programme.production, partner.id


async def endpoint_at(runtime: Runtime, tenant: Tenant, partner_id: UUID, url: str, **more: Any) -> UUID:
    """An endpoint that is enabled."""
    webhook_id = ids.new()
    async with runtime.work(tenant) as work:
        await store.hold_head(work)
        plain: dict[str, Any] = {
            "id": webhook_id, "partner_id": partner_id, "client_id": partner_id, "merchant_limit": None, "url": url,
            "description": "", "topics": (TOPIC,), "merchant_ids": None, "location_ids": None,
            "payload_version": PAYLOAD_VERSION, "headers_sealed": None, "rate_per_minute": None, "fifo": False,
            "status": "enabled", "reason": None, "since_position": await store.feed_end(work), "failing_since": None,
            "failed_at": None, "succeeded_at": None, "warned": 0, "version": 0, "created_at": work.real_now,
            "updated_at": work.real_now,
        }  # fmt: skip
        await store.insert(work, Webhook(**{**plain, **more}))
        await secrets.add(work, webhook_id)
    return webhook_id


async def tell(runtime: Runtime, tenant: Tenant, partner_id: UUID, times: int = 1) -> list[UUID]:
    """So many events for such endpoints; the ids of their subjects."""
    subjects = [ids.new() for _ in range(times)]
    async with runtime.work(tenant) as work:
        for subject_id in subjects:
            shown = {"type": MERCHANT.type, "id": str(subject_id), "attributes": dict(MERCHANT.example)}
            events.record(
                work, events.Event(TOPIC, MERCHANT.type, subject_id, 1, json.dumps(shown).encode(), partner_id)
            )
    return subjects


async def moved(runtime: Runtime, tenant: Tenant, made: Answer, url: str) -> None:
    """An endpoint that has proved itself is elsewhere now: behind the back of the house."""
    async with runtime.work(tenant) as work:
        await work.db.run(
            "update webhooks set url = $3 where tenant_id = $1 and id = $2", tenant.id, UUID(made.data["id"]), url
        )


async def stands(runtime: Runtime, tenant: Tenant) -> list[Any]:
    async with runtime.reading(tenant) as work:
        return [dict(row) for row in await work.db.rows(STAND, tenant.id)]


async def attempts(runtime: Runtime, tenant: Tenant) -> list[Any]:
    async with runtime.reading(tenant) as work:
        return [dict(row) for row in await work.db.rows(ATTEMPTS, tenant.id)]


async def endpoints(runtime: Runtime, tenant: Tenant) -> list[Any]:
    async with runtime.reading(tenant) as work:
        return [dict(row) for row in await work.db.rows(ENDPOINTS, tenant.id)]


async def until(holds: Callable[[], Awaitable[bool] | bool], seconds: float = 8.0) -> None:
    """Wait until it holds. Fails after a while."""
    ends = time.monotonic() + seconds
    while True:
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < ends, "it never came to hold"
        await asyncio.sleep(0.01)


async def settled(runtime: Runtime, tenant: Tenant, *statuses: str, seconds: float = 8.0) -> list[Any]:
    """How deliveries stand when they stand like this."""

    async def hold() -> bool:
        return [each["status"] for each in await stands(runtime, tenant)] == list(statuses)

    await until(hold, seconds)
    return await stands(runtime, tenant)


async def tried(runtime: Runtime, tenant: Tenant, times: int, seconds: float = 8.0) -> list[Any]:
    """The attempts when so many have been written."""

    async def hold() -> bool:
        return len(await attempts(runtime, tenant)) >= times

    await until(hold, seconds)
    return await attempts(runtime, tenant)


async def happen(api: Api, times: int = 1) -> None:
    """So many rewards are issued to as many people, each of which is an event of a subject of its own."""
    for _ in range(times):
        answer = await api.issue(f"+1202555{next(PHONES):04d}")
        assert answer.status in {200, 201, 202}, answer.text


async def happen_much(runtime: Runtime, tenant: Tenant, api: Api, times: int, subjects: int | None = None) -> None:
    """So many events, at once: copies of one that happened, of as many subjects or fewer."""
    await happen(api)
    async with runtime.work(tenant) as work:
        row = await work.db.row(LIKE, tenant.id)
        assert row is not None
        counts = dict.fromkeys((ids.new() for _ in range(subjects or times)), 0)
        order = list(counts)
        for number in range(times):
            subject_id = order[number % len(order)]
            counts[subject_id] += 1
            document = row[2].replace(str(row[3]), str(subject_id)).encode()
            events.record(work, events.Event(row[0], row[1], subject_id, counts[subject_id], document, row[4], row[5]))
