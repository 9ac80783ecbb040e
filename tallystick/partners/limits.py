"""The rate limit of each client: GCRA, exact in one process and shared between processes.

Each client has a theoretical arrival time: every request taken moves it on by one interval (a minute over the rate), and it never
lags behind the present. A request is taken while that time is less than the burst ahead.

Processes share it through the table `rate_limits`: every quarter of a second each adds what it took, in one statement for all
clients, and adopts the time that comes back. What a process took since its last exchange the others do not know yet. So
together they may take more than the limit by at most what the other processes take within one such interval (each at most one
burst); it counts in the shared time and is paid back before the next request is taken. While the database is away each
process keeps its own limit.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

import tallystick.partners.limit_store as limit_store
from tallystick.base import logs
from tallystick.base.batcher import BUSY, RETRIED
from tallystick.base.clock import Clock
from tallystick.base.db import LOST, Pool
from tallystick.base.errors import RateLimited, Unavailable
from tallystick.base.work import Caller

SHARED_EVERY: Final = 0.25
"""Seconds between two exchanges."""

OUTAGE = (*LOST, *BUSY, *RETRIED, Unavailable)


class Taken(NamedTuple):
    """The headers of the answer, whether or not the request was taken, and the refusal if it was not."""

    headers: tuple[tuple[str, str], ...]
    refused: RateLimited | None


class _Meter:
    """How far one client is. Times are seconds of the machine's own clock."""

    __slots__ = ("arrival", "burst", "interval", "per_minute", "policy", "since", "taken", "tolerance")

    def __init__(self, caller: Caller, arrival: float) -> None:
        self.per_minute, self.burst = caller.rate_per_minute, caller.rate_burst
        self.interval = 60.0 / self.per_minute
        self.tolerance = self.burst * self.interval
        self.policy = ("ratelimit-policy", f'"default";q={self.per_minute};w=60')
        self.arrival = arrival
        self.taken = 0
        """Requests that the others do not know of yet, and when the first of them came."""
        self.since = 0.0


class Limiter:
    """One for each process."""

    def __init__(self, pool: Pool, clock: Clock, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._pool, self._clock, self._ticks = pool, clock, ticks
        self._meters: dict[UUID, _Meter] = {}
        self._closing = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def take(self, caller: Caller) -> Taken:
        """Take one request of the caller, or refuse it. A refused one costs nothing."""
        now = self._ticks()
        meter = self._meters.get(caller.client_id)
        if meter is None or meter.per_minute != caller.rate_per_minute or meter.burst != caller.rate_burst:
            meter = self._new_meter(caller, meter, now)
        arrival = (meter.arrival if meter.arrival > now else now) + meter.interval  # noqa: FURB136 - a call costs more
        room = meter.tolerance - (arrival - now)
        # A millionth of an interval is the rounding of floats, not a request too many.
        if room < -1e-6 * meter.interval:
            return _refused(meter, -room)
        if not meter.taken:
            meter.since = now
        meter.taken += 1
        meter.arrival = arrival
        remaining = int(room / meter.interval + 1e-6)
        return Taken((meter.policy, ("ratelimit", f'"default";r={remaining};t={math.ceil(arrival - now)}')), None)

    def start(self) -> None:
        """Begin to share with the other processes, in the background."""
        assert self._loop is None, "a limiter is started once"
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop sharing, after a last exchange."""
        self._closing.set()
        if self._loop is not None:
            await self._loop

    async def share(self) -> None:
        """Add what was taken here to the shared times and adopt them. Raises when the database cannot be reached."""
        now, at = self._ticks(), self._clock()
        told = sorted(
            ((client_id, meter, meter.taken) for client_id, meter in self._meters.items() if meter.taken),
            key=lambda each: each[0],
        )
        self._forget_idle(now)
        if not told:
            return
        arrivals = await limit_store.add(
            self._pool,
            [
                (client_id, at - timedelta(seconds=now - meter.since), timedelta(seconds=taken * meter.interval))
                for client_id, meter, taken in told
            ],
        )
        for client_id, meter, taken in told:
            meter.taken -= taken
            meter.since = now
            # What was taken while the statement ran is on top of the shared time. The time known here is a lower bound.
            shared = now + (arrivals[client_id] - at).total_seconds() + meter.taken * meter.interval
            meter.arrival = max(meter.arrival, shared)

    def _new_meter(self, caller: Caller, former: _Meter | None, now: float) -> _Meter:
        meter = _Meter(caller, now)
        if former is not None:  # the limit was changed: what was taken stays taken, in requests
            meter.arrival = now + max(0.0, former.arrival - now) / former.interval * meter.interval
            meter.taken, meter.since = former.taken, former.since
        self._meters[caller.client_id] = meter
        return meter

    def _forget_idle(self, now: float) -> None:
        for client_id in [each for each, meter in self._meters.items() if not meter.taken and meter.arrival <= now]:
            del self._meters[client_id]

    async def _run(self) -> None:
        away = False
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(SHARED_EVERY):
                    await self._closing.wait()
            except TimeoutError:
                pass
            try:
                await self.share()
                away = False
            except OUTAGE as error:
                if not away:
                    logs.log().warning("Rate limits are not shared for now.", error=type(error).__name__)
                away = True


def _refused(meter: _Meter, wait: float) -> Taken:
    seconds = max(1, math.ceil(wait))
    headers: Sequence[tuple[str, str]] = (meter.policy, ("ratelimit", f'"default";r=0;t={seconds}'))
    refusal = RateLimited(
        f"This credential may send {meter.per_minute} requests a minute and {meter.burst} at once. "
        f"Wait {seconds} s, then go on more slowly.",
        headers=[("retry-after", str(seconds))],
    )
    return Taken(tuple(headers), refusal)
