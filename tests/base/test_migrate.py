"""Migrating: each step once, one migrator at a time, nobody held up for long, and a sentence when it cannot be done."""

import asyncio
import contextlib
import struct
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from hatchling.builders.wheel import WheelBuilder

from tallystick.base import migrate
from tallystick.base.db import Db
from tallystick.base.migrate import NotMigrated
from tests.house.places import DATABASE, ROOT, migrations

Fresh = Callable[[], Awaitable[str]]
Connection = asyncpg.Connection

ALL = [path.stem for path in migrations()]


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Adds a migration to a copy of the directory, which this test then migrates from."""
    copy = tmp_path / "db"
    (copy / "migrations").mkdir(parents=True)
    for path in [*DATABASE.glob("*.sql"), *migrations()]:
        (copy / path.relative_to(DATABASE)).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(migrate, "_directory", lambda: copy)

    def add(statement: str) -> None:
        (copy / "migrations" / "9999_more.sql").write_text(
            f"-- More.\n-- depends: {ALL[-1]}\n\n-- migrate: apply\n{statement}\n-- migrate: rollback\n",
            encoding="utf-8",
        )

    return add


async def test_an_empty_database_gets_every_migration_once(fresh: Fresh) -> None:
    dsn = await fresh()
    assert await migrate.pending(dsn) == ALL
    assert await migrate.migrate(dsn) == ALL
    assert await migrate.pending(dsn) == []
    assert await migrate.migrate(dsn) == []


async def test_of_several_migrators_one_works_and_the_others_find_nothing_to_do(fresh: Fresh) -> None:
    dsn = await fresh()
    applied = await asyncio.gather(*[migrate.migrate(dsn) for _ in range(4)])
    assert sorted(applied) == [[], [], [], ALL]


async def test_two_new_databases_of_one_server_are_migrated_at_once(fresh: Fresh) -> None:
    assert await asyncio.gather(*[migrate.migrate(await fresh()) for _ in range(3)]) == [ALL] * 3


async def test_a_migrator_waits_for_its_turn_only_so_long(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = await fresh()
    monkeypatch.setattr(migrate, "TURN_SECONDS", 0.2)
    async with connected(dsn) as rival:
        await rival.execute("select pg_advisory_lock($1)", migrate.TURN)
        with pytest.raises(NotMigrated, match="Another migration of this database"):
            await migrate.migrate(dsn)
    assert await migrate.migrate(dsn) == ALL


async def test_a_migration_that_cannot_get_its_lock_is_tried_again(
    fresh: Fresh, another: Callable[[str], None]
) -> None:
    dsn = await fresh()
    await migrate.migrate(dsn)
    another("set local lock_timeout = '100ms';\nalter table wallets add column more text;")
    async with connected(dsn) as busy:
        transaction = busy.transaction()
        await transaction.start()
        await busy.execute("lock table wallets in access share mode")
        migrating = asyncio.create_task(migrate.migrate(dsn))
        await asyncio.sleep(0.4)
        assert not migrating.done()
        await transaction.rollback()
        assert await migrating == ["9999_more"]


async def test_a_migration_that_never_gets_its_lock_fails_with_a_sentence_and_leaves_nothing(
    fresh: Fresh, another: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = await fresh()
    await migrate.migrate(dsn)
    monkeypatch.setattr(migrate, "TRIES", 2)
    another("set local lock_timeout = '50ms';\ncreate table half (id uuid);\nalter table wallets add column more text;")
    async with connected(dsn) as busy, busy.transaction():
        await busy.execute("lock table wallets in access share mode")
        with pytest.raises(NotMigrated, match=r"9999_more.*stayed locked through 2 tries"):
            await migrate.migrate(dsn)
    async with connected(dsn) as after:
        assert await after.fetchval("select to_regclass('half')") is None
    assert await migrate.pending(dsn) == ["9999_more"]


async def test_a_migration_with_a_mistake_is_not_tried_again_and_says_which(
    fresh: Fresh, another: Callable[[str], None]
) -> None:
    dsn = await fresh()
    another("create table half (id uuid);\nalter table nowhere add column more text;")
    with pytest.raises(NotMigrated, match=r"9999_more.*nowhere"):
        await migrate.migrate(dsn)
    assert await migrate.pending(dsn) == ["9999_more"]


async def test_readers_and_writers_go_on_while_partitions_are_made(fresh: Fresh) -> None:
    dsn = await fresh()
    await migrate.migrate(dsn)
    async with connected(dsn) as writer, connected(dsn) as worker:
        await worker.execute("set role tallystick_app")
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("lock table only events, only request_log, only unknown_requests in row exclusive mode")
        made = await worker.fetch("select partitions_ensure($1)", datetime(2031, 12, 31, 23, 59, tzinfo=UTC))
        await transaction.rollback()
    assert [row[0] for row in made if row[0].startswith("events")] == [
        "events_2031_12", "events_2032_01", "events_2032_02", "events_2032_03",
    ]  # fmt: skip


async def test_a_partition_is_made_once_and_takes_the_rows_of_its_month(fresh: Fresh) -> None:
    dsn = await fresh()
    await migrate.migrate(dsn)
    late = datetime(2031, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
    insert = (
        "insert into unknown_requests (at, id, method, route, status) values ($1, gen_random_uuid(), 'GET', '/', 404)"
        " returning tableoid::regclass::text"
    )
    async with connected(dsn) as connection:
        await connection.execute("set role tallystick_app; set timezone = 'Pacific/Auckland'")
        assert len(await connection.fetch("select partitions_ensure($1)", late)) == 16
        assert await connection.fetch("select partitions_ensure($1)", late) == []
        assert await connection.fetchval(insert, late) == "unknown_requests_2031_01"
        assert await connection.fetchval(insert, late.replace(year=2035)) == "unknown_requests_default"
        made = [row[0] for row in await connection.fetch("select partitions_ensure($1)", late.replace(year=2035))]
    assert "unknown_requests_2035_01" not in made  # its first row stands in the default partition, and stays there
    assert "unknown_requests_2035_02" in made


async def test_the_roles_of_a_database_may_what_they_should(fresh: Fresh) -> None:
    dsn = await fresh()
    await migrate.migrate(dsn)
    async with connected(dsn) as connection:
        await connection.execute("set role tallystick_auditor")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("select partitions_ensure('2031-01-01')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("select id from events_default")
        assert await connection.fetchval("select count(*) from events") == 0


async def test_an_owner_who_is_no_superuser_may_migrate_and_work(fresh: Fresh, dsn: str, server_major: int) -> None:
    await migrate.migrate(dsn)  # makes the roles, which belong to the whole server
    dsn = await fresh()
    async with connected(dsn) as superuser:
        await superuser.execute("drop role if exists tallystick_test_owner")
        await superuser.execute("create role tallystick_test_owner login createrole")
        # What the maker of a role gets by itself; here the roles are older than this owner.
        just_made = "admin true, inherit false, set false" if server_major >= 16 else "admin option"
        await superuser.execute(f"grant tallystick_app, tallystick_auditor to tallystick_test_owner with {just_made}")
        await superuser.execute("alter schema public owner to tallystick_test_owner")
        await superuser.execute(
            f"grant create on database {dsn.partition('?')[0].rpartition('/')[2]} to tallystick_test_owner"
        )
    try:
        theirs = dsn.replace("//postgres@", "//tallystick_test_owner@")
        if theirs == dsn:
            pytest.skip("the server named has another way of signing in")
        assert await migrate.migrate(theirs) == ALL
        async with connected(theirs) as connection:
            await connection.execute("set role tallystick_app")
            assert await Db(connection).value("select count(*) from programmes") == 0
    finally:
        async with connected(dsn) as superuser:
            await superuser.execute("drop owned by tallystick_test_owner cascade; drop role tallystick_test_owner")


async def test_a_server_that_is_there_passes(dsn: str) -> None:
    await migrate.check_server(dsn)


async def test_a_server_that_is_too_old_is_refused(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "OLDEST_SERVER", 99)
    for verb in (migrate.check_server, migrate.migrate):
        with pytest.raises(NotMigrated, match=r"Tallystick needs 99 or newer"):
            await verb(dsn)


async def test_a_server_that_is_not_there_is_named_in_a_sentence_without_its_password() -> None:
    for verb in (migrate.check_server, migrate.migrate, migrate.pending):
        with pytest.raises(NotMigrated, match=r"cannot be reached") as refused:
            await verb("postgresql://someone:pa55word@127.0.0.1:1/nowhere")
        assert "pa55word" not in str(refused.value)


async def test_a_pooler_in_between_is_refused(dsn: str) -> None:
    """A pooler gives its clients a pid of its own for cancelling; this one does that and nothing else."""
    where = parse_qs(urlsplit(dsn).query)
    if "host" not in where:
        pytest.skip("the server named is not reached by a socket of this machine")
    socket = Path(where["host"][0]) / f".s.PGSQL.{where.get('port', ['5432'])[0]}"

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, disguised: bool) -> None:
        while chunk := await reader.read(65536):
            at = chunk.find(b"K\x00\x00\x00\x0c") if disguised else -1
            if at >= 0:
                chunk = chunk[: at + 5] + struct.pack("!i", 7) + chunk[at + 9 :]
            writer.write(chunk)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(socket)
        await asyncio.gather(relay(reader, to_server, disguised=False), relay(from_server, writer, disguised=True))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as pooler:
        port = pooler.sockets[0].getsockname()[1]
        user, _, rest = dsn.partition("@")
        pooled = f"{user}@127.0.0.1:{port}{rest.partition('?')[0]}?sslmode=disable"
        for verb in (migrate.check_server, migrate.migrate):
            with pytest.raises(NotMigrated, match="pooler"):
                await verb(pooled)


def test_a_wheel_carries_its_sql(tmp_path: Path) -> None:
    builder = WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"tallystick/db/{path.relative_to(DATABASE)}" for path in DATABASE.rglob("*.sql")} <= names
    assert not any(name.startswith("tests/") for name in names)
