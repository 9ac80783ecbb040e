"""SQL in, rows out: one held connection with its prepared statements, and the pool that lends them.

Connections are kept prepared and never reset between works: every setting that a work makes is local to its transaction.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from tallystick.base.errors import Unavailable

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke while a transaction began or ended
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    ConnectionError,
    FileNotFoundError,
    TimeoutError,
)
"""What a lost or unreachable server looks like. After a commit was sent it means *unknown*, never *failed*."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement that may share one round trip with others, as the common table expressions it is made of, in order.

    None of the steps of one trip sees what another did. `answers` names the expression whose column `answer` is wanted.
    """

    expressions: tuple[tuple[str, str], ...]
    answers: str | None = None


PLACEHOLDER = re.compile(r"\$(\d+)")


class Row(Protocol):
    """One row: values by position and by column name."""

    def __getitem__(self, key: int | str) -> Any: ...
    def __iter__(self) -> Any: ...


class Db:
    """One connection. Statements are prepared at first use and kept."""

    __slots__ = ("_named", "_prepared", "connection", "generation")

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self.generation = 0
        """Which generation of the pool's statements this connection has prepared."""
        self._named = 0
        self._prepared: dict[str, PreparedStatement[asyncpg.Record]] = {}

    async def rows(self, sql: str, *args: object) -> Sequence[Row]:
        """Every row of the statement."""
        return await (self._prepared.get(sql) or await self._prepare(sql)).fetch(*args)

    async def row(self, sql: str, *args: object) -> Row | None:
        """The first row, or None."""
        return await (self._prepared.get(sql) or await self._prepare(sql)).fetchrow(*args)

    async def value(self, sql: str, *args: object) -> Any:
        """The first column of the first row, or None."""
        return await (self._prepared.get(sql) or await self._prepare(sql)).fetchval(*args)

    async def run(self, sql: str, *args: object) -> None:
        """The statement for its effect."""
        await (self._prepared.get(sql) or await self._prepare(sql)).fetch(*args)

    async def many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """The statement once for each row; for rare writes. Hot ones pass arrays instead."""
        await (self._prepared.get(sql) or await self._prepare(sql)).executemany(rows)

    async def together(self, steps: Sequence[tuple[Step, Sequence[object]]]) -> list[Any]:
        """Several statements in one round trip; the answers of those that have one, in order."""
        sql = _joined(tuple((step, len(args)) for step, args in steps))
        row = await self.row(sql, *(arg for _, args in steps for arg in args))
        assert row is not None, "the joined statement answers one row"
        return list(row)

    async def script(self, sql: str) -> None:
        """One or more statements without parameters, in one round trip."""
        await self.connection.execute(sql)

    def forget_statements(self) -> None:
        """Drop what was prepared: a migration changed a table under it."""
        self._prepared.clear()

    async def _prepare(self, sql: str) -> "PreparedStatement[asyncpg.Record]":
        # By a name of its own: without one the server parses and plans the statement again at each use.
        self._named += 1
        statement = self._prepared[sql] = await self.connection.prepare(sql, name=f"held_{self._named}")
        return statement


@lru_cache(maxsize=256)
def _joined(steps: tuple[tuple[Step, int], ...]) -> str:
    """One statement made of several, their placeholders numbered on. What answers is pulled first, the rest follows in order."""
    expressions, answers, offset = [], [], 0
    for step, count in steps:
        for name, sql in step.expressions:
            numbered = PLACEHOLDER.sub(lambda found: f"${int(found[1]) + offset}", sql)  # noqa: B023 -- used at once
            expressions.append(f"{name} as ({numbered})")
        if step.answers is not None:
            answers.append(f"(select answer from {step.answers})")
        offset += count
    return f"with {', '.join(expressions)} select {', '.join(answers) or 'true'}"


class Pool:
    """A fixed number of held connections, opened when first wanted and replaced when lost."""

    def __init__(self, dsn: str, size: int, *, role: str = "tallystick_app", name: str = "tallystick") -> None:
        self._dsn, self._role, self._name, self.size = dsn, role, name, size
        self._generation = 0
        self._idle: asyncio.LifoQueue[Db | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._idle.put_nowait(None)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Db]:
        """A connection for the length of the block. Raises Unavailable when the server cannot be reached."""
        db = await self._idle.get()
        kept: Db | None = None
        try:
            if db is None or db.connection.is_closed():
                db = await self._open()
            elif db.generation != self._generation:
                db.forget_statements()
            db.generation = self._generation
            yield db
            kept = db
        except asyncpg.InvalidCachedStatementError:
            # A migration changed a column: every connection prepares anew, not only the one that noticed.
            if db is not None and db.generation == self._generation:
                self._generation += 1
            kept = db
            raise
        except (*LOST, asyncio.CancelledError):
            # Whoever is cancelled while a transaction begins or ends leaves it in a state that nobody knows.
            if db is not None:
                db.connection.terminate()
            raise
        except BaseException:
            kept = db  # the transaction's own end has rolled back; the connection is sound
            raise
        finally:
            if kept is not None and (kept.connection.is_closed() or kept.connection.is_in_transaction()):
                kept.connection.terminate()
                kept = None
            self._idle.put_nowait(kept)

    async def close(self) -> None:
        """Close every connection that is idle."""
        while not self._idle.empty():
            db = self._idle.get_nowait()
            if db is not None and not db.connection.is_closed():
                await db.connection.close(timeout=2)

    async def _open(self) -> Db:
        try:
            connection = await asyncpg.connect(
                self._dsn,
                timeout=5,
                statement_cache_size=0,
                server_settings={
                    "application_name": self._name,
                    "idle_in_transaction_session_timeout": "10s",
                    "statement_timeout": "30s",
                    "lock_timeout": "15s",
                    "jit": "off",
                    # Every statement finds its rows by key, so that one plan serves all its uses: planning a write of many
                    # rows costs more than the write of one.
                    "plan_cache_mode": "force_generic_plan",
                    "enable_seqscan": "off",
                },
            )
        except (*LOST, OSError) as error:
            raise Unavailable(
                "The database cannot be reached; try again shortly.", headers=[("retry-after", "1")]
            ) from error
        try:
            await connection.execute(f"set role {self._role}")
        except BaseException:
            connection.terminate()
            raise
        return Db(connection)
