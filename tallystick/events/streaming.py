"""Streams of events as they happen: one look at the database for all streams of a process, however many there are.

A stream is a position. What happened lately is kept once for each tenant that has a stream; who is further behind reads the
feed until it has caught up, so that a slow reader costs no memory. No transaction is open while anybody waits.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final
from uuid import UUID

import tallystick.events.store as store
from tallystick.base import logs
from tallystick.base.db import LOST
from tallystick.base.errors import RateLimited, Unavailable
from tallystick.base.work import Caller, Runtime, Tenant
from tallystick.events import envelope
from tallystick.events.store import Recorded, Wanted

TICK_SECONDS: Final = 0.1
AWAY_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 15.0
STREAMS_MAX: Final = 10
"""How many streams one client may hold open at one process."""
KEPT_MAX: Final = 1_000
READ_AT_ONCE: Final = 500
WINDOW: Final = 5_000
"""How many positions one statement looks at for who is behind: few of them may be for this reader."""
READERS_MAX: Final = 2
"""How many connections all streams of a process use at once."""
TOGETHER: Final = 100
"""How many events one piece holds at most."""

OPENING: Final = b": connected\nretry: 1000\nid: %d\n\n"
"""With where it begins: who comes back before anything happened has missed nothing."""


@dataclass(slots=True)
class _Tail:
    """The end of a tenant's feed: events behind `floor` up to `position`, without a gap."""

    tenant: Tenant
    position: int
    floor: int
    kept: deque[tuple[Recorded, bytes]] = field(default_factory=deque)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    followers: int = 0

    def add(self, events: Sequence[Recorded]) -> None:
        for event in events:
            assert event.position == self.position + 1, "the feed has no gap"
            self.kept.append((replace(event, document=""), _piece(event)))
            self.position = event.position
        while len(self.kept) > KEPT_MAX:
            self.kept.popleft()
            self.floor += 1
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def behind(self, position: int) -> list[tuple[Recorded, bytes]]:
        """What is kept behind a position, a bounded number of it."""
        start = position - self.floor
        return list(islice(self.kept, start, start + READ_AT_ONCE))


class Streams:
    """Every stream of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tails: dict[UUID, _Tail] = {}
        self._open: Counter[UUID] = Counter()
        self._ticking: asyncio.Task[None] | None = None
        self._reading = asyncio.Semaphore(READERS_MAX)

    def admit(self, caller: Caller) -> None:
        """Raises RateLimited where the client holds as many streams as it may."""
        if self._open[caller.client_id] >= STREAMS_MAX:
            raise RateLimited(
                f"At most {STREAMS_MAX} streams of one credential are open at once. Close one of them.",
                headers=[("retry-after", "10")],
            )

    def follow(self, caller: Caller, wanted: Wanted, head: int) -> "Stream":
        """A stream of what is wanted; `head` is where the feed ends just now. Raises RateLimited. It is to be closed."""
        self.admit(caller)
        tail = self._tails.get(caller.tenant.id)
        if tail is None:
            tail = self._tails[caller.tenant.id] = _Tail(caller.tenant, head, head)
        tail.followers += 1
        self._open[caller.client_id] += 1
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        return Stream(self, tail, caller, wanted)

    async def close(self) -> None:
        """Look no more."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
            self._ticking = None

    def left(self, tail: _Tail, caller: Caller) -> None:
        """One stream fewer."""
        self._open[caller.client_id] -= 1
        if not self._open[caller.client_id]:
            del self._open[caller.client_id]
        tail.followers -= 1
        if not tail.followers:
            del self._tails[tail.tenant.id]

    async def page(self, caller: Caller, wanted: Wanted) -> list[Recorded]:
        """Some of the feed, for a stream that is behind."""
        async with self._reading, self._runtime.reading(caller.tenant) as work:
            return await store.feed(work, caller, wanted, READ_AT_ONCE)

    async def _tick(self) -> None:
        """Look where the feeds end, as long as there are streams."""
        away = False
        while self._tails:
            await asyncio.sleep(AWAY_SECONDS if away else TICK_SECONDS)
            try:
                await self._look()
                away = False
            except Exception as error:  # noqa: BLE001 -- it is told, and streams go on when it is over
                if not away:
                    _tell(error)
                away = True
        self._ticking = None

    async def _look(self) -> None:
        async with self._runtime.discovering() as db:
            heads = await store.heads(db, list(self._tails))
        async with asyncio.TaskGroup() as reading:
            for tail in self._tails.values():
                if heads.get(tail.tenant.id, 0) > tail.position:
                    reading.create_task(self._read(tail, heads[tail.tenant.id]))

    async def _read(self, tail: _Tail, head: int) -> None:
        while tail.position < head and tail.followers:
            async with self._reading, self._runtime.reading(tail.tenant) as work:
                tail.add(await store.behind(work, tail.position, head, READ_AT_ONCE))


class Stream:
    """The pieces of one stream of server-sent events: whole events, or a sign of life."""

    def __init__(self, streams: Streams, tail: _Tail, caller: Caller, wanted: Wanted) -> None:
        self._streams, self._tail, self._caller, self._wanted = streams, tail, caller, wanted
        self._position = wanted.after
        self._ready: deque[bytes] = deque([OPENING % wanted.after])
        self._said = time.monotonic()
        self._closed = False

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> bytes:
        """The next piece. The stream ends where the database is away for long: who comes back goes on where it was."""
        while not self._ready:
            if time.monotonic() - self._said >= HEARTBEAT_SECONDS:
                self._ready.append(b": heartbeat\nid: %d\n\n" % self._position)
            elif self._position < self._tail.floor:
                try:
                    await self._catch_up()
                except (*LOST, Unavailable):
                    raise StopAsyncIteration from None
            elif self._position < self._tail.position:
                self._take()
            else:
                await self._wait()
        self._said = time.monotonic()
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Give back what is held. Closing twice is closing once."""
        if not self._closed:
            self._closed = True
            self._streams.left(self._tail, self._caller)

    async def _wait(self) -> None:
        moved = self._tail.moved
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._said + HEARTBEAT_SECONDS - time.monotonic())):
                await moved.wait()

    def _take(self) -> None:
        """What was kept in memory."""
        found = self._tail.behind(self._position)
        self._position = found[-1][0].position
        self._put([piece for event, piece in found if self._wanted.takes(event) and event.seen_by(self._caller)])

    async def _catch_up(self) -> None:
        """A window of the feed. The tail's end was committed before the window is read: nothing can appear in it later."""
        upto = min(self._position + WINDOW, self._tail.position)
        page = await self._streams.page(self._caller, replace(self._wanted, after=self._position, upto=upto))
        self._position = page[-1].position if len(page) == READ_AT_ONCE else upto
        self._put([_piece(event) for event in page])

    def _put(self, pieces: Sequence[bytes]) -> None:
        self._ready.extend(b"".join(pieces[start : start + TOGETHER]) for start in range(0, len(pieces), TOGETHER))


def _piece(event: Recorded) -> bytes:
    """One event as the stream tells it. A line break can stand only between the members of a document, where it means nothing."""
    data = envelope.of(event).replace(b"\r", b" ").replace(b"\n", b" ")
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.topic.encode(), data)


def _tell(error: Exception) -> None:
    others = error.split((*LOST, Unavailable))[1] if isinstance(error, ExceptionGroup) else error
    if others is None or isinstance(others, (*LOST, Unavailable)):
        logs.log().warning("Streams wait for the database.", error=type(error).__name__)
    else:
        logs.log().error("Streams could not read what happened.", exc_info=error)
