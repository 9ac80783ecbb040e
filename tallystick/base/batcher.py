"""The batcher: calls that arrive while a batch is committing become the next batch. No timer, no added delay.

A queue per (verb, tenant) over one shared pool of connections. A caller that goes away does not cancel its command.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from tallystick.base.db import LOST
from tallystick.base.errors import Refusal, Unavailable
from tallystick.base.work import Contended, Runtime, Tenant, Work

C = TypeVar("C")
R = TypeVar("R")

Verb = Callable[[Work, Sequence[C]], Awaitable[Sequence[R | Refusal]]]
"""A verb is plural: one outcome per command, in order. A refusal is a value; an exception harms the whole batch."""

RETRIED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InvalidCachedStatementError,
    Contended,
)
BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The server's trouble, not an item's: halving the batch would only wait as long again for each half."""
TRIES = 5
LOST_SECONDS = 0.2
"""How long to wait before asking a lost database once more."""


@dataclass(slots=True)
class _Lane:
    """The commands of one verb and tenant that wait, and how many batches of them are on their way."""

    waiting: deque[tuple[Any, asyncio.Future[Any]]] = field(default_factory=deque)
    running: int = 0


class Batcher:
    """Takes single commands, carries them out in batches, answers each with its own outcome."""

    def __init__(self, runtime: Runtime, *, batch_limit: int, queue_limit: int, in_flight: int = 1) -> None:
        self._runtime, self._batch_limit, self._queue_limit = runtime, batch_limit, queue_limit
        self._in_flight = in_flight
        self._lanes: dict[tuple[Any, UUID], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.queued = 0
        self._closing = False

    async def submit(self, verb: Verb[C, R], tenant: Tenant, command: C) -> R:
        """The command's result. Raises its refusal, or Unavailable when the queue is full or the outcome is not known."""
        if self._closing or self.queued >= self._queue_limit:
            raise Unavailable("Too much is waiting; try again shortly.", headers=[("retry-after", "1")])
        lane = self._lanes.get((verb, tenant.id))
        if lane is None:
            lane = self._lanes[verb, tenant.id] = _Lane()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        lane.waiting.append((command, answer))
        self.queued += 1
        if lane.running < self._in_flight:
            lane.running += 1
            task = asyncio.create_task(self._drain(lane, verb, tenant))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        outcome = await answer  # a caller cancelled here leaves its command in the lane
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Refuse new commands and wait until those that were taken have their outcome."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _drain(self, lane: _Lane, verb: Verb[Any, Any], tenant: Tenant) -> None:
        try:
            while lane.waiting:
                batch = [lane.waiting.popleft() for _ in range(min(len(lane.waiting), self._batch_limit))]
                self.queued -= len(batch)
                await self._carry_out(batch, verb, tenant)
        finally:
            lane.running -= 1
            if not lane.waiting and not lane.running:
                self._lanes.pop((verb, tenant.id), None)

    async def _carry_out(
        self, batch: list[tuple[Any, asyncio.Future[Any]]], verb: Verb[Any, Any], tenant: Tenant
    ) -> None:
        outcomes = await run_batch(self._runtime, verb, tenant, [command for command, _ in batch])
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if not answer.done():
                answer.set_result(outcome)


def _has_key(command: Any) -> bool:
    asked = getattr(command, "asked", None)
    return (getattr(command, "key", None) or getattr(asked, "key", None)) is not None


def _unknown(error: BaseException) -> Unavailable:
    unknown = Unavailable(
        "The outcome is not known yet; send the same request again, with the same key.", headers=[("retry-after", "1")]
    )
    unknown.__cause__ = error
    return unknown


async def run_batch(
    runtime: Runtime, verb: Verb[Any, Any], tenant: Tenant, commands: Sequence[Any]
) -> Sequence[Any | Exception]:
    """One outcome per command; never raises. A poison item is isolated by halving the batch until it stands alone.

    A deadlock, a serialisation failure or a `Contended` retries the whole work. When the connection is lost the commit may have
    happened: where every command has a key, carrying them out again finds that out, and does what was not done. Otherwise, and
    when the database stays away, the outcome is Unavailable, and the same key settles it later.
    """
    unknown: Unavailable | None = None
    for attempt in range(TRIES):
        try:
            async with runtime.work(tenant) as work:
                outcomes = await verb(work, commands)
                assert len(outcomes) == len(commands), "a verb answers every command"
            return outcomes
        except RETRIED:
            await asyncio.sleep(0.005 * attempt)
        except Unavailable as refusal:
            return [unknown or refusal] * len(commands)
        except BUSY as error:
            busy = Unavailable("The database is busy; nothing was done. Try again.", headers=[("retry-after", "1")])
            busy.__cause__ = error
            return [busy] * len(commands)
        except LOST as error:
            if unknown is None and all(map(_has_key, commands)):
                unknown = _unknown(error)
                await asyncio.sleep(LOST_SECONDS)
                continue
            return [unknown or _unknown(error)] * len(commands)
        except Exception as error:  # noqa: BLE001 - a data fault or a mistake of ours: find whose it is
            if len(commands) == 1:
                return [error]
            middle = len(commands) // 2
            first = await run_batch(runtime, verb, tenant, commands[:middle])
            second = await run_batch(runtime, verb, tenant, commands[middle:])
            return [*first, *second]
    return [Unavailable("Too much contention just now; try again.", headers=[("retry-after", "1")])] * len(commands)
