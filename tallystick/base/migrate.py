"""Bring a database to the schema this version needs, safely while the previous version still runs.

Migrations in order, each once, then the replaceable functions, the rights on them, and the next months' partitions. One migrator
at a time. None waits long for a lock, since everyone else would then wait behind it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as records

from tallystick.base.db import LOST

OLDEST_SERVER: Final = 15
TURN: Final = 0x74616C6C79  # "tally": the advisory lock that migrators of one database take in turn
TURN_SECONDS: Final = 120.0
TRIES: Final = 5
REPLACED: Final = (
    "functions.sql",
    "issuing.sql",
    "spending.sql",
    "worth.sql",
    "thresholds.sql",
    "rehearsing.sql",
    "activity.sql",
    "partitions.sql",
    "grants.sql",
)
"""Files applied whole, in this order, by every migrate."""

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class NotMigrated(Exception):
    """The database was left as it was by the step that failed; the message says what is wrong and what to do."""


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and answer the names of the migrations applied. Raises NotMigrated."""
    async with _connected(dsn) as connection:
        await _check(connection)
        # A migrator may rebuild an index for minutes between two statements; each statement stays bounded.
        await connection.execute("set lock_timeout = '2s'; set statement_timeout = '60s'")
        await _take_turn(connection, TURN_SECONDS)
        applied = await _retried(lambda: _apply_migrations(connection))
        await _retried(lambda: _replace(connection))
        await _retried(lambda: _make_partitions(connection, datetime.now(UTC)))
        return applied


async def pending(dsn: str) -> list[str]:
    """The names of migrations this version needs and the database has not. Raises NotMigrated when it cannot be reached."""
    async with _connected(dsn) as connection:
        done = await _applied(connection)
        return [name for name in _names() if name not in done]


async def check_server(dsn: str) -> None:
    """Raises NotMigrated when the server is too old, or when something stands between us and it that pools transactions."""
    async with _connected(dsn) as connection:
        await _check(connection)


async def _check(connection: Connection) -> None:
    major = connection.get_server_version().major
    if major < OLDEST_SERVER:
        raise NotMigrated(
            f"The server runs PostgreSQL {major}; Tallystick needs {OLDEST_SERVER} or newer. Upgrade it, or name another server"
            " in TALLYSTICK_DATABASE_URL."
        )
    # Whoever answers for several servers, or lends one connection to many, invents the pid by which queries are cancelled.
    if connection.get_server_pid() != await connection.fetchval("select pg_backend_pid()"):
        raise NotMigrated(
            "A connection pooler stands between Tallystick and the server. Tallystick keeps its own connections and their prepared"
            " statements: name the server itself in TALLYSTICK_DATABASE_URL, usually by its own port 5432."
        )


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    try:
        connection = await asyncpg.connect(
            dsn, timeout=10, statement_cache_size=0, server_settings={"application_name": "tallystick migrate"}
        )
    except (*LOST, OSError, asyncpg.PostgresError) as error:
        raise NotMigrated(f"The database cannot be reached: {type(error).__name__}: {error}") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def _take_turn(connection: Connection, seconds: float) -> None:
    """Hold the turn until the connection ends. Asks again and again, because a statement that waits would hold up some DDL."""
    patience = asyncio.get_running_loop().time() + seconds
    while not await connection.fetchval("select pg_try_advisory_lock($1)", TURN):
        if asyncio.get_running_loop().time() > patience:
            raise NotMigrated(
                f"Another migration of this database has been running for more than {seconds:.0f} seconds. Wait for it or end it"
                " (application name `tallystick migrate` in pg_stat_activity), then migrate again."
            )
        await asyncio.sleep(0.1)


async def _retried(step: Callable[[], Awaitable[T]]) -> T:
    """The step's answer; tried again while others hold what it needs."""
    for attempt in range(1, TRIES + 1):
        try:
            return await step()
        except (BadMigrationError, asyncpg.PostgresError) as error:
            cause = error.__cause__ if isinstance(error, BadMigrationError) else error
            what = (
                str(error) if isinstance(error, BadMigrationError) else "The schema's functions could not be replaced"
            )
            if not _passes(cause):
                raise NotMigrated(f"{what}: {cause or error}") from error
            if attempt == TRIES:
                raise NotMigrated(
                    f"{what}: a table stayed locked through {TRIES} tries ({cause}). Nothing is half done. Migrate again when the"
                    " long transaction that holds it has ended (pg_stat_activity shows it)."
                ) from error
        await asyncio.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def _passes(error: BaseException | None) -> bool:
    """Whether the error is about somebody else at the same moment."""
    if isinstance(error, asyncpg.InternalServerError):
        return "tuple concurrently updated" in str(error)  # two databases of one server grant the same role
    return isinstance(error, (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError))


async def _apply_migrations(connection: Connection) -> list[str]:
    before = await _applied(connection)
    # Pogo tells of each migration at warning level; what was applied is told by our answer instead.
    quiet = logging.Logger("quiet", logging.ERROR)  # noqa: LOG001 - belongs to nobody else
    await pogo.apply(connection, _directory() / "migrations", schema_name="public", logger=quiet)
    return sorted(await _applied(connection) - before)


async def _applied(connection: Connection) -> set[str]:
    if await connection.fetchval("select to_regclass('public._pogo_version')") is None:
        return set()
    if await records.get_pogo_version(connection) == 0:
        return set()  # a first migrate that was ended between the tool's own two steps
    return await records.get_applied_migrations(connection, schema_name="public")


async def _replace(connection: Connection) -> None:
    async with connection.transaction():
        for name in REPLACED:
            path = _directory() / name
            if path.exists():
                await connection.execute(path.read_text(encoding="utf-8"))


async def _make_partitions(connection: Connection, at: datetime) -> None:
    await connection.fetch("select partitions_ensure($1)", at)


def _names() -> list[str]:
    return sorted(path.stem for path in (_directory() / "migrations").glob("*.sql"))


def _directory() -> Path:
    return Path(str(files("tallystick").joinpath("db")))
