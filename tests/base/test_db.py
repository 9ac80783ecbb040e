"""What a held connection and the pool promise."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tallystick.base import ids
from tallystick.base.db import Db, Pool
from tallystick.base.errors import NotFound, Unavailable
from tallystick.base.work import Runtime, Tenant
from tests import world

PREPARED = "select count(*) from pg_prepared_statements where statement = $1 and generic_plans + custom_plans >= $2"
ONE_MORE = "select $1::int + 1"


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = Pool(dsn, 2, name="test pool")
    yield pool
    await pool.close()


async def test_a_statement_is_prepared_once_and_stays_on_the_server(pool: Pool) -> None:
    for _ in range(3):
        async with pool.lend() as db:
            assert await db.value(ONE_MORE, 1) == 2
    async with pool.lend() as db:
        assert await db.value(PREPARED, ONE_MORE, 3) == 1


async def test_forgotten_statements_are_prepared_again(pool: Pool) -> None:
    async with pool.lend() as db:
        await db.value(ONE_MORE, 1)
        db.forget_statements()
        assert await db.value(ONE_MORE, 1) == 2


async def test_the_application_is_not_the_owner(pool: Pool) -> None:
    async with pool.lend() as db:
        assert await db.value("select current_user") == "tallystick_app"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.run("alter table wallets disable row level security")


async def test_no_more_connections_are_lent_than_there_are(pool: Pool) -> None:
    async with pool.lend(), pool.lend():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), pool.lend():
                pytest.fail("a third one was lent")
    async with pool.lend() as db:
        assert await db.value(ONE_MORE, 1) == 2


async def test_a_connection_outlives_a_refusal_and_a_fault_of_the_statement(pool: Pool) -> None:
    async def fail(db: Db) -> None:
        await db.value("select 1 / $1::int", 0)

    async def refuse(_db: Db) -> None:
        raise NotFound("It is not there.")

    pids = []
    for ending in (fail, refuse, fail):
        with pytest.raises((NotFound, asyncpg.DivisionByZeroError)):  # noqa: PT012 - the block is what is tried
            async with pool.lend() as db:
                pids.append(await db.value("select pg_backend_pid()"))
                await ending(db)
    assert len(pids) == 3
    assert len(set(pids)) == 1


async def test_a_connection_left_inside_a_transaction_is_not_lent_again(pool: Pool) -> None:
    async with pool.lend() as db:
        first = await db.value("select pg_backend_pid()")
        await db.script("begin")
    async with pool.lend() as db:
        assert await db.value("select pg_backend_pid()") != first
        assert not db.connection.is_in_transaction()


async def test_who_is_cancelled_within_a_statement_gives_the_connection_back(pool: Pool) -> None:
    async def sleep() -> None:
        async with pool.lend() as db:
            await db.run("select pg_sleep(60)")

    for _ in range(pool.size + 1):
        sleeping = asyncio.create_task(sleep())
        await asyncio.sleep(0.05)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
    async with pool.lend() as one, pool.lend() as other:
        assert (await one.value(ONE_MORE, 1), await other.value(ONE_MORE, 1)) == (2, 2)


async def test_a_server_out_of_reach_is_unavailable_with_a_time_to_come_back() -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nowhere", 1)
    for _ in range(2):  # a failed attempt uses up no place
        with pytest.raises(Unavailable) as refused:
            async with pool.lend():
                pytest.fail("a connection was lent")
        assert ("retry-after", "1") in refused.value.headers


async def test_a_lost_connection_is_replaced(pool: Pool, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with pool.lend() as db:
        pid = await db.value("select pg_backend_pid()")
    await owner.fetchval("select pg_terminate_backend($1, 5000)", pid)
    await asyncio.sleep(0.05)
    async with pool.lend() as db:
        assert await db.value("select pg_backend_pid()") != pid


async def test_a_tenant_sees_its_own_rows_only(runtime: Runtime, tenant: Tenant, production: Tenant) -> None:
    for one, other in ((tenant, production), (production, tenant)):
        async with runtime.work(one) as work:
            rows = await work.db.rows(
                "select tenant_id, position from tenant_heads where tenant_id = any($1)", [one.id, other.id]
            )
            assert [tuple(row) for row in rows] == [(one.id, 0)]
            await work.db.run("update tenant_heads set position = 9 where tenant_id = $1", other.id)
        async with runtime.work(one) as work:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await work.db.run("insert into tenant_heads (tenant_id) values ($1)", ids.new())
            await work.db.script("rollback; begin")
    async with runtime.reading(tenant) as work:
        assert await work.db.value("select position from tenant_heads where tenant_id = $1", tenant.id) == 0


async def test_outside_a_tenant_nothing_is_seen(pool: Pool, tenant: Tenant) -> None:
    async with pool.lend() as db:
        assert await db.value("select count(*) from tenant_heads") == 0


async def test_a_reading_writes_nothing_and_sees_one_moment(runtime: Runtime, tenant: Tenant) -> None:
    count = "select position from tenant_heads where tenant_id = $1"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with runtime.reading(tenant) as work:
            await work.db.run("update tenant_heads set position = 1 where tenant_id = $1", tenant.id)
    async with runtime.reading(tenant) as reading:
        assert await reading.db.value(count, tenant.id) == 0
        async with runtime.work(tenant) as work:
            await work.db.run("update tenant_heads set position = 1 where tenant_id = $1", tenant.id)
        assert await reading.db.value(count, tenant.id) == 0


async def test_a_work_has_the_time_of_the_clock(runtime: Runtime, tenant: Tenant, production: Tenant) -> None:
    for one in (tenant, production):
        async with runtime.work(one) as work:
            assert (work.now, work.real_now) == (world.T0, world.T0)
