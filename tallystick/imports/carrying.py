"""Carry out chunks: each in one work that lands its lines, moves what they move, and then the mark behind them.

Two are under way. While one moves progress, the next lands in a work of its own and waits there for its turn. Until then it holds
new names, new rows, and returns that came before what they take back: hardly anybody waits for those, and nobody should whom the
one before might wait for; where somebody does, it gives up. A chunk that takes something back holds more, and lands in its turn.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import tallystick.imports.store as store
from tallystick import activity
from tallystick.activity.model import Recorded
from tallystick.base import logs
from tallystick.base.batcher import BUSY, RETRIED, TRIES
from tallystick.base.db import LOST
from tallystick.base.errors import Refusal, Unavailable
from tallystick.imports import lines, mark
from tallystick.imports.chunks import Chunk, Pace, Reader
from tallystick.imports.cutting import Unreadable
from tallystick.imports.mark import Moved
from tallystick.imports.model import Import, line_place

LEASE: Final = timedelta(seconds=15)
"""For so long nobody else begins with a file of which a chunk was carried out; who was killed leaves it to others after that."""
TURN_SECONDS: Final = 1.0
"""Whoever waits longer for its turn gives up what it has landed: somebody may wait for that after all."""
FAULTS_MAX: Final = 20
"""So many lines of a step may fail by a fault of ours, each left behind as a rejection; one more, and the step fails instead."""


class GaveUp(Exception):
    """A chunk waited too long for its turn; it is carried out alone later."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A chunk that is being carried out, and the import as it will stand behind it."""

    chunk: Chunk
    task: asyncio.Task[Import]


async def carry_on(
    reader: Reader, found: Import, coming: AsyncIterator[Chunk], pace: Pace, until: float
) -> tuple[Import, bool]:
    """Carry out what comes, until so late by the monotonic clock; the import as it stands then, and whether that was all.

    Raises Moved.
    """
    under_way: list[_UnderWay] = []
    try:
        async for chunk in coming:
            turn = under_way[-1].task if under_way else found
            under_way.append(_UnderWay(chunk, asyncio.create_task(carry_out(reader, turn, chunk, pace))))
            if len(under_way) == 2:
                found = await _ended(reader, found, under_way, pace)
            if time.monotonic() > until:
                return await _all_ended(reader, found, under_way, pace), False
        return await _all_ended(reader, found, under_way, pace), True
    finally:
        for left in under_way:
            left.task.cancel()
        await asyncio.gather(*(left.task for left in under_way), return_exceptions=True)


async def _ended(reader: Reader, found: Import, under_way: list[_UnderWay], pace: Pace) -> Import:
    """Wait for the first of those that are under way. Where it failed all did, and are carried out alone, in their order."""
    first, *behind = (each.task for each in under_way)
    await asyncio.wait([first])
    if first.exception() is None:
        del under_way[0]
        return first.result()
    await asyncio.gather(*behind, return_exceptions=True)
    while under_way:
        found = await _alone(reader, found, under_way[0].chunk, pace)
        del under_way[0]
    return found


async def _all_ended(reader: Reader, found: Import, under_way: list[_UnderWay], pace: Pace) -> Import:
    while under_way:
        found = await _ended(reader, found, under_way, pace)
    return found


async def _alone(reader: Reader, found: Import, chunk: Chunk, pace: Pace) -> Import:
    """The chunk as a whole; where that fails by a fault of ours in halves, until a line that fails alone is left behind."""
    for attempt in range(TRIES):
        try:
            return await carry_out(reader, found, chunk, pace)
        except RETRIED:
            await asyncio.sleep(0.005 * attempt)
        except (Moved, Unreadable, Unavailable, *LOST, *BUSY):
            raise
        except Exception as fault:
            records = chunk.records
            if len(records) > 1:
                for half in (records[: len(records) // 2], records[len(records) // 2 :]):
                    found = await _alone(reader, found, await reader.read(half), pace)
                return found
            pace.faults += 1
            if pace.faults > FAULTS_MAX:
                raise
            logs.log().error("A line of a file could not be taken.", import_id=found.id, exc_info=fault)
            return await carry_out(reader, found, Chunk.left_behind(records), pace)
    raise Unavailable("Too much contention just now; the file is read on later.")


async def carry_out(reader: Reader, turn: asyncio.Task[Import] | Import, chunk: Chunk, pace: Pace) -> Import:
    """Carry out a chunk, and move the mark behind it, in one transaction.

    `turn` is the import as the chunk before leaves it. `pace` is told how long it took, without waiting. Raises Moved.
    """
    told = [command for command, _ in chunk.told]
    if any(command.linked_source_id is not None for command in told):
        turn = await _turn(turn)
    async with reader.runtime.work(reader.tenant) as work:
        began = time.monotonic()
        landing = await activity.land(work, told) if told else None
        landed = time.monotonic()
        stands = await mark.stands(work, await _turn(turn))
        resumed = time.monotonic()
        outcomes: list[Recorded | Refusal] = []
        if landing is not None:
            outcomes = await activity.conclude(work, told, landing, all_moved=stands.tell_progress)
        rejections, duplicates = list(chunk.rejections), 0
        for (_, record), outcome in zip(chunk.told, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                rejections.append(lines.rejection(record, outcome.code, outcome.detail))
            else:
                duplicates += outcome.duplicate
        rejections.sort(key=lambda each: each.line)
        sealed = [work.keys.seal(each.text, line_place(stands.id, each.line)) for each in rejections]
        await store.reject(work, stands.id, rejections, sealed)
        taken = sum(isinstance(outcome, Recorded) for outcome in outcomes) - duplicates
        done = await mark.write(
            work,
            replace(
                stands,
                bytes_done=chunk.records[-1].bytes_done,
                lines_done=chunk.records[-1].lines_done,
                accepted=stands.accepted + taken,
                duplicates=stands.duplicates + duplicates,
                rejected=stands.rejected + len(rejections),
                due_at=work.real_now + LEASE,
            ),
        )
    pace.took(len(chunk.records), time.monotonic() - resumed + landed - began)
    return done


async def _turn(turn: asyncio.Task[Import] | Import) -> Import:
    if isinstance(turn, Import):
        return turn
    try:
        return await asyncio.wait_for(asyncio.shield(turn), TURN_SECONDS)
    except TimeoutError:
        raise GaveUp from None  # nothing was lost: a timeout as such would be taken for a lost database
