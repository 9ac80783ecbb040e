"""Deliveries as they stand, and a process that makes them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any

from tallystick.base.work import Runtime, Tenant
from tallystick.webhooks import Deliverer, Rules, Sender
from tallystick.webhooks.fanning import fan_out
from tests.api import Api

HERE = Rules((ip_network("127.0.0.1/32"),))

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
    """So many rewards are issued, each of which is an event of a subject of its own."""
    for _ in range(times):
        answer = await api.issue()
        assert answer.status in {200, 201, 202}, answer.text
