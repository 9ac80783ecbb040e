"""The buffer of the request log: requests wait here for at most a second, so that no request waits for its own row.

What a kill may lose is what waits: the refused, the read and the replayed requests of the last second. Accepted writes are
noted in their own transaction and are never lost.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

import tallystick.audit.store as store
from tallystick.base import logs
from tallystick.base.batcher import BUSY, RETRIED
from tallystick.base.db import LOST, Db, Pool
from tallystick.base.errors import Unavailable
from tallystick.base.ports import LogEntry

BOUND: Final = 100_000
"""Requests that may wait while the database is down; the oldest make room for the newest."""
FLUSHED_AT: Final = 500
FLUSHED_AFTER: Final = 0.5
"""Seconds; with the time of the writing itself a row is there within one second."""
CHUNK: Final = 2_000
LAST_FLUSH: Final = 5.0
TEXT_MAX: Final = 200
LATENCY_MAX: Final = 2**31 - 1

OUTAGE = (*LOST, *BUSY, *RETRIED, Unavailable)


class RequestLog:
    """Takes a value for each request that ended, and writes them in batches, tenant by tenant."""

    def __init__(self, pool: Pool, *, bound: int = BOUND, flushed_after: float = FLUSHED_AFTER) -> None:
        self._pool, self._bound, self._flushed_after = pool, bound, flushed_after
        self._waiting: deque[LogEntry] = deque()
        self._wanted = asyncio.Event()
        self._closing = asyncio.Event()
        self._turn = asyncio.Lock()
        self._loop: asyncio.Task[None] | None = None
        self.dropped = 0
        """How many requests were never written: for want of room, or since the database refused their row."""

    @property
    def waiting(self) -> int:
        """How many requests wait to be written."""
        return len(self._waiting)

    def add(self, entry: LogEntry) -> None:
        """The request is written within a second. Its `route` is a pattern of ours, never the path that was sent."""
        waiting = self._waiting
        waiting.append(entry)
        if len(waiting) >= FLUSHED_AT:
            if len(waiting) > self._bound:
                waiting.popleft()
                self.dropped += 1
            self._wanted.set()

    def start(self) -> None:
        """Begin to write, in the background."""
        assert self._loop is None, "the log of requests is started once"
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what waits and stop; gives up after seconds when the database cannot be reached."""
        self._closing.set()
        self._wanted.set()
        if self._loop is not None:
            await self._loop
        try:
            async with asyncio.timeout(LAST_FLUSH):
                await self.flush()
        except OUTAGE as error:
            self.dropped += len(self._waiting)
            logs.log().error("Requests are lost to the log.", count=len(self._waiting), error=type(error).__name__)

    async def flush(self) -> None:
        """Write everything that waits now. When the database is away it raises, and what was not written waits on."""
        async with self._turn:
            left = len(self._waiting)
            while left > 0 and self._waiting:
                chunk = [self._waiting.popleft() for _ in range(min(left, CHUNK, len(self._waiting)))]
                left -= len(chunk)
                written = False
                try:
                    await self._write(chunk)
                    written = True
                finally:
                    if not written:
                        self._put_back(chunk)

    async def _run(self) -> None:
        while not self._closing.is_set():
            await _passed(self._wanted, self._flushed_after)
            self._wanted.clear()
            try:
                await self.flush()
            except OUTAGE as error:
                logs.log().warning("The log of requests waits.", count=len(self._waiting), error=type(error).__name__)
                await _passed(self._closing, self._flushed_after)

    def _put_back(self, chunk: list[LogEntry]) -> None:
        self._waiting.extendleft(reversed(chunk))
        while len(self._waiting) > self._bound:
            self._waiting.popleft()
            self.dropped += 1

    async def _write(self, chunk: Sequence[LogEntry]) -> None:
        try:
            async with self._pool.lend() as db:
                await _committed(db, chunk)
        except OUTAGE:
            raise
        except (asyncpg.PostgresError, ValueError, OverflowError) as error:
            # A row that the database refuses must not hold up the others for ever: find it.
            if len(chunk) == 1:
                self.dropped += 1
                logs.log().error("A request could not be logged.", request_id=chunk[0].request_id, exc_info=error)
                return
            middle = len(chunk) // 2
            await self._write(chunk[:middle])
            await self._write(chunk[middle:])


async def _committed(db: Db, chunk: Sequence[LogEntry]) -> None:
    try:
        async with db.connection.transaction():
            await _insert(db, chunk)
    except asyncio.CancelledError:
        # Cut off at its beginning or end, a transaction may be open though nobody knows: the next one would be part of it.
        db.connection.terminate()
        raise


async def _insert(db: Db, chunk: Sequence[LogEntry]) -> None:
    known: dict[UUID, list[tuple[object, ...]]] = {}
    unknown: list[tuple[object, ...]] = []
    for entry in chunk:
        caller, code = entry.caller, None if entry.code is None else _plain(entry.code)
        method, route = _plain(entry.method), _plain(entry.route)
        latency = min(max(entry.latency_us, 0), LATENCY_MAX)
        if caller is None:
            unknown.append((entry.at, entry.request_id, method, route, entry.status, code, latency))
            continue
        known.setdefault(caller.tenant.id, []).append(
            (
                entry.at,
                entry.request_id,
                caller.partner_id,
                caller.client_id,
                method,
                route,
                entry.status,
                code,
                entry.resource_id,
                entry.replayed,
                latency,
            )
        )
    for tenant_id, rows in known.items():
        await store.enter(db, tenant_id)
        await store.insert(db, tenant_id, tuple(zip(*rows, strict=True)))
    if unknown:
        await store.insert_unknown(db, tuple(zip(*unknown, strict=True)))


def _plain(text: str) -> str:
    """Printable ASCII, cut: the words of a request are ours, but a method may be anything a stranger sends."""
    cut = text[:TEXT_MAX]
    return cut if cut.isascii() and cut.isprintable() else ascii(cut)[1:-1]


async def _passed(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, but not longer than this."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
