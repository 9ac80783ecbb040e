"""Processes that are killed and databases that go away: nothing is lost, and at most one delivery is made once more."""

import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from tallystick.base import clock as clocks
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.postgres import Postgres
from tallystick.base.work import Runtime
from tallystick.main import CLOSINGS
from tests.conftest import Clock
from tests.webhooks.cast import Receiver
from tests.webhooks.deliveries import (
    attempts,
    delivering,
    endpoint_at,
    handed_out,
    partner_of,
    settled,
    stands,
    tell,
    until,
)
from tests.webhooks.sinks import sink

ROOT = Path(__file__).parents[2]


async def test_what_a_process_was_killed_with_is_sent_once_more_when_its_lease_ends(
    runtime: Runtime, dsn: str, keys: MasterKeys, clock: Clock, tmp_path: Path
) -> None:
    keys.write_new(tmp_path / "master.key")
    tenant, partner_id = await partner_of(runtime)
    let_go = False

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not let_go:
            await reader.read()
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    async with sink(answers) as receiver:
        await endpoint_at(runtime, tenant, partner_id, receiver.url())
        await tell(runtime, tenant, partner_id)
        await handed_out(runtime, tenant)
        dying = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.webhooks.dying", dsn, str(tmp_path / "master.key"), cwd=ROOT
        )
        await until(lambda: len(receiver.requests) == 1, seconds=20.0)
        dying.kill()
        await dying.wait()
        let_go = True
        (row,) = await stands(runtime, tenant)
        assert row["status"] == "pending" and row["lease"] is not None and row["attempts"] == 1
        clock.now = datetime.now(UTC)
        async with delivering(runtime) as deliverer:
            await asyncio.sleep(0.4)
            assert len(receiver.requests) == 1, "a lease is respected, whoever held it"
            clock.now = row["due_at"]
            deliverer.wake()
            (row,) = await settled(runtime, tenant, "delivered")
        assert len(receiver.requests) == 2 and row["attempts"] == 2
    (made,) = await attempts(runtime, tenant)
    assert made["number"] == 2
    bodies = {request.partition(b"\r\n\r\n")[2] for request in receiver.requests}
    assert len(bodies) == 1


async def test_a_database_that_is_restarted_while_a_backlog_is_drained_loses_nothing(
    keys: MasterKeys, receiver: Receiver, tmp_path: Path
) -> None:
    server = await asyncio.to_thread(Postgres.start, tmp_path)
    pool = Pool(server.dsn, 4)
    runtime = Runtime(pool, clocks.utc, keys, CLOSINGS)
    try:
        await migrate(server.dsn)
        connection = await asyncpg.connect(server.dsn)
        await connection.fetch("select partitions_ensure($1)", clocks.utc())
        await connection.close()
        tenant, partner_id = await partner_of(runtime)
        await endpoint_at(runtime, tenant, partner_id, receiver.url)
        await tell(runtime, tenant, partner_id, 400)
        await handed_out(runtime, tenant)
        async with delivering(runtime):
            await until(lambda: len(receiver.heard) > 100)
            await asyncio.to_thread(server.stop)
            assert len(receiver.heard) < 400
            server = await asyncio.to_thread(Postgres.start, tmp_path)
            await until(lambda: len({each.headers["webhook-id"] for each in receiver.heard}) == 400, seconds=20.0)
            await settled(runtime, tenant, *["delivered"] * 400, seconds=20.0)
        counts = Counter(each.headers["webhook-id"] for each in receiver.heard)
        assert max(counts.values()) <= 2
        assert all(each["lease"] is None for each in await stands(runtime, tenant))
        assert len(await attempts(runtime, tenant)) == len(receiver.heard)
    finally:
        await pool.close()
        await asyncio.to_thread(server.stop)
