"""Forgetting: whole months that are old enough go, what is left is as gapless as before, and the proof knows."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tallystick import events, partners
from tallystick.base import ids
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.work import Runtime
from tallystick.cli import retaining
from tallystick.cli.verifying import prove
from tallystick.main import CLOSINGS
from tests import world
from tests.api import luna
from tests.conftest import Clock

OLD = datetime(2025, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
async def house(fresh: Callable[[], Any], keys: MasterKeys) -> Any:
    """A database of its own with partitions from January 2025 on, its runtime and the clock of it."""
    dsn = await fresh()
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    for month in (OLD, OLD + timedelta(days=120)):
        await connection.fetch("select partitions_ensure($1)", month)
    clock, pool = Clock(OLD), Pool(dsn, 3)
    yield dsn, Runtime(pool, clock, keys, CLOSINGS), clock, connection
    await pool.close()
    await connection.close()


async def lived(runtime: Runtime, clock: Clock) -> tuple[Any, UUID]:
    """A credential that is rotated each month of five, and a merchant: events in five partitions."""
    async with runtime.pool.lend() as db, db.connection.transaction():
        programme = await partners.add_programme(db, world.NORTHWIND, clock())
        partner = await partners.add_partner(db, world.HARBOUR_SUPPORT, clock())
        agreement = await partners.agree(db, partner.id, programme.id, "own", clock())
        new = partners.NewClient(
            programme.sandbox.id, agreement.id, "tests", frozenset({"rewards:read"}), None, 1_000, 1_000
        )
        client, _ = await partners.add_client(db, runtime.keys, new, clock())
    await luna(runtime, programme.sandbox)
    for _ in range(5):
        await rotate(runtime, client.id, clock)
        clock.move(timedelta(days=30))
    return programme.sandbox, client.id


async def rotate(runtime: Runtime, client_id: UUID, clock: Clock) -> None:
    async with runtime.pool.lend() as db, db.connection.transaction():
        await partners.rotate_secret(db, runtime.keys, client_id, clock(), timedelta(days=1))


async def positions(connection: Any, tenant_id: UUID) -> list[tuple[int, int]]:
    rows = await connection.fetch(
        "select position, sequence from events where tenant_id = $1 order by position", tenant_id
    )
    return [(row[0], row[1]) for row in rows]


async def test_months_that_are_old_enough_go_and_what_is_counted_goes_on(house: Any) -> None:
    dsn, runtime, clock, connection = house
    tenant, client_id = await lived(runtime, clock)
    before = await positions(connection, tenant.id)
    assert [sequence for _, sequence in before] == [1, 2, 3, 4, 5]
    cut = datetime(2025, 3, 1, tzinfo=UTC)
    assert await retaining.forget(dsn, cut, rehearsed=True) == [("events_2025_01", 1)]
    assert await positions(connection, tenant.id) == before
    assert await retaining.forget(dsn, cut, rehearsed=False) == [("events_2025_01", 1), ("events_2025_02", 1)]
    assert await retaining.forget(dsn, cut, rehearsed=False) == []
    assert await positions(connection, tenant.id) == before[2:]
    assert (await prove(dsn)).faults == []
    await rotate(runtime, client_id, clock)
    assert (await positions(connection, tenant.id))[-1] == (6, 6)


async def test_a_subject_whose_every_event_is_forgotten_is_counted_on(house: Any) -> None:
    dsn, runtime, clock, connection = house
    tenant, client_id = await lived(runtime, clock)
    assert len(await retaining.forget(dsn, datetime(2025, 7, 1, tzinfo=UTC), rehearsed=False)) >= 5
    assert await positions(connection, tenant.id) == []
    assert (await prove(dsn)).faults == []
    await rotate(runtime, client_id, clock)
    assert await positions(connection, tenant.id) == [(6, 6)]
    assert (await prove(dsn)).faults == []


async def test_a_gap_behind_what_was_forgotten_is_found(house: Any) -> None:
    dsn, runtime, clock, connection = house
    tenant, _ = await lived(runtime, clock)
    await retaining.forget(dsn, datetime(2025, 3, 1, tzinfo=UTC), rehearsed=False)
    await connection.execute("delete from events where tenant_id = $1 and position = 4", tenant.id)
    assert [fault.invariant for fault in (await prove(dsn)).faults] == ["the feed is gapless"]


async def test_who_writes_meanwhile_is_not_disturbed(house: Any) -> None:
    dsn, runtime, clock, connection = house
    tenant, _ = await lived(runtime, clock)
    done = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not done.is_set():
            async with runtime.work(tenant) as work:
                subject_id = ids.new()
                document = b'{"id":"%s","type":"Wallet","attributes":{}}' % str(subject_id).encode()
                events.record(work, events.Event("wallet.created", "Wallet", subject_id, 1, document))
            written += 1

    writing = [asyncio.create_task(write()) for _ in range(2)]
    await retaining.forget(dsn, datetime(2025, 5, 1, tzinfo=UTC), rehearsed=False)
    done.set()
    await asyncio.gather(*writing)
    assert written
    left = [position for position, _ in await positions(connection, tenant.id)]
    assert left == list(range(left[0], left[0] + len(left)))
    assert (await prove(dsn)).faults == []


async def test_who_acts_for_partners_can_forget_nothing(house: Any) -> None:
    _, runtime, clock, connection = house
    tenant, _ = await lived(runtime, clock)
    async with runtime.pool.lend() as db:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.rows("select forgotten from events_forget($1, false)", datetime(2025, 7, 1, tzinfo=UTC))
    assert len(await positions(connection, tenant.id)) == 5
