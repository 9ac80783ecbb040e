"""Requests that wait in memory for their row: batched, bounded, and kept while the database is away."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from tallystick import audit
from tallystick.base import ids
from tallystick.base.db import Pool
from tallystick.base.errors import Unavailable
from tallystick.base.ports import LogEntry
from tallystick.base.work import Caller, Runtime, Tenant
from tests import world

Owner = asyncpg.Connection


def caller_of(tenant: Tenant) -> Caller:
    return Caller(tenant, ids.new(), ids.new(), frozenset(), None, False, 10_000, 1_000)


def ended(caller: Caller | None, **changed: object) -> LogEntry:
    entry = LogEntry(world.T0, ids.new(), caller, "GET", "/api/v1/rewards/{id}", 404, "NotFound", None, False, 1234)
    return replace(entry, **changed)


def nowhere() -> Pool:
    return Pool("postgresql://localhost:1/none", 1)


async def logged(owner: Owner, tenant: Tenant) -> int:
    number: int = await owner.fetchval("select count(*) from request_log where tenant_id = $1", tenant.id)
    return number


async def unknown(owner: Owner, route: str) -> list[tuple[object, ...]]:
    rows = await owner.fetch(
        "select method, route, status, code, latency_us from unknown_requests where route = $1", route
    )
    return [tuple(row) for row in rows]


async def test_each_tenants_requests_are_in_its_own_log_and_strangers_in_another_table(
    runtime: Runtime, owner: Owner, tenant: Tenant, production: Tenant
) -> None:
    log = audit.RequestLog(runtime.pool)
    first, second, resource_id = caller_of(tenant), caller_of(production), ids.new()
    route = f"/nobody/{ids.new()}"
    log.add(ended(first))
    log.add(ended(second, status=200, code=None, replayed=True, resource_id=resource_id))
    log.add(ended(None, route=route, status=401, code="Unauthorized"))
    log.add(ended(first))
    await log.flush()
    assert (await logged(owner, tenant), await logged(owner, production)) == (2, 1)
    row = await owner.fetchrow(
        "select at, partner_id, client_id, method, route, status, code, resource_id, replayed, latency_us from request_log"
        " where tenant_id = $1",
        production.id,
    )
    assert row is not None
    assert tuple(row) == (
        world.T0,
        second.partner_id,
        second.client_id,
        "GET",
        "/api/v1/rewards/{id}",
        200,
        None,
        resource_id,
        True,
        1234,
    )
    assert await unknown(owner, route) == [("GET", route, 401, "Unauthorized", 1234)]
    assert (log.waiting, log.dropped) == (0, 0)


async def test_a_request_is_there_within_a_second(runtime: Runtime, owner: Owner, tenant: Tenant) -> None:
    log = audit.RequestLog(runtime.pool)
    log.start()
    log.add(ended(caller_of(tenant)))
    began = time.monotonic()
    while await logged(owner, tenant) == 0:
        await asyncio.sleep(0.02)
        assert time.monotonic() - began < 5
    assert log.waiting == 0
    await log.close()


async def test_many_requests_do_not_wait_for_the_second(runtime: Runtime, owner: Owner, tenant: Tenant) -> None:
    log, caller = audit.RequestLog(runtime.pool, flushed_after=3600), caller_of(tenant)
    log.start()
    for _ in range(600):
        log.add(ended(caller))
    for _ in range(250):
        if await logged(owner, tenant) == 600:
            break
        await asyncio.sleep(0.02)
    assert await logged(owner, tenant) == 600
    await log.close()


async def test_closing_writes_what_waits(runtime: Runtime, owner: Owner, tenant: Tenant) -> None:
    log, caller = audit.RequestLog(runtime.pool, flushed_after=3600), caller_of(tenant)
    log.start()
    for _ in range(3):
        log.add(ended(caller))
    await log.close()
    assert await logged(owner, tenant) == 3


async def test_while_the_database_is_away_they_wait_up_to_the_bound(
    runtime: Runtime, owner: Owner, tenant: Tenant
) -> None:
    log, caller = audit.RequestLog(nowhere(), bound=700), caller_of(tenant)
    entries = [ended(caller) for _ in range(1000)]
    for entry in entries[:600]:
        log.add(entry)
    with pytest.raises(Unavailable):
        await log.flush()
    assert (log.waiting, log.dropped) == (600, 0)
    for entry in entries[600:]:
        log.add(entry)
    assert (log.waiting, log.dropped) == (700, 300)
    log._pool = runtime.pool
    await log.flush()
    kept = {row[0] for row in await owner.fetch("select id from request_log where tenant_id = $1", tenant.id)}
    assert kept == {entry.request_id for entry in entries[300:]}


async def test_the_loop_goes_on_when_the_database_is_back(runtime: Runtime, owner: Owner, tenant: Tenant) -> None:
    log = audit.RequestLog(nowhere(), flushed_after=0.05)
    log.start()
    log.add(ended(caller_of(tenant)))
    await asyncio.sleep(0.2)
    assert log.waiting == 1
    log._pool = runtime.pool
    await asyncio.sleep(0.5)
    assert log.waiting == 0
    await log.close()
    assert await logged(owner, tenant) == 1


async def test_closing_without_a_database_says_how_many_are_lost(tenant: Tenant) -> None:
    log = audit.RequestLog(nowhere())
    log.start()
    log.add(ended(caller_of(tenant)))
    await log.close()
    assert log.dropped == 1


async def test_a_row_that_was_written_by_a_lost_commit_is_not_doubled(
    runtime: Runtime, owner: Owner, tenant: Tenant
) -> None:
    log, entry = audit.RequestLog(runtime.pool), ended(caller_of(tenant))
    stranger = ended(None, route=f"/nobody/{ids.new()}")
    for _ in range(2):
        log.add(entry)
        log.add(stranger)
        await log.flush()
    assert await logged(owner, tenant) == 1
    assert len(await unknown(owner, stranger.route)) == 1


@pytest.mark.parametrize(
    "strange",
    [
        lambda entry: replace(entry, method="GET\x00\ud800é" * 400, route="\x00" * 9000),
        lambda entry: replace(entry, latency_us=2**62),
        lambda entry: replace(entry, latency_us=-5),
    ],
)
async def test_whatever_strangers_send_has_a_row(
    runtime: Runtime, owner: Owner, tenant: Tenant, strange: Callable[[LogEntry], LogEntry]
) -> None:
    log, caller = audit.RequestLog(runtime.pool), caller_of(tenant)
    log.add(strange(ended(caller)))
    log.add(strange(ended(None)))
    await log.flush()
    assert await logged(owner, tenant) == 1
    assert log.dropped == 0


async def test_a_row_the_database_refuses_is_dropped_and_its_neighbours_stay(
    runtime: Runtime, owner: Owner, tenant: Tenant
) -> None:
    log, caller = audit.RequestLog(runtime.pool), caller_of(tenant)
    for n in range(40):
        log.add(ended(caller, status=99999 if n == 17 else 200))
    await log.flush()
    assert await logged(owner, tenant) == 39
    assert (log.waiting, log.dropped) == (0, 1)


@pytest.mark.parametrize("after", [n / 500 for n in range(15)])
async def test_a_flush_that_is_cut_off_loses_nothing(
    runtime: Runtime, owner: Owner, tenant: Tenant, after: float
) -> None:
    log, caller = audit.RequestLog(runtime.pool), caller_of(tenant)
    for n in range(600):
        log.add(ended(caller, at=world.T0 + timedelta(milliseconds=n)))
    flush = asyncio.create_task(log.flush())
    await asyncio.sleep(after)
    flush.cancel()
    await asyncio.gather(flush, return_exceptions=True)
    await log.flush()
    assert await logged(owner, tenant) == 600
