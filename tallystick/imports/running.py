"""Read files: chunk by chunk, each in one work that carries out its lines and moves the mark behind them.

Whoever is killed leaves a mark behind the last chunk that was committed, and the next one goes on there: no line is carried out
twice, and none is left out. The lines' own names hold that, too.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import IO, Final
from uuid import UUID

import tallystick.imports.store as store
from tallystick import activity, events, partners
from tallystick.activity.model import Recorded
from tallystick.base import logs
from tallystick.base.batcher import BUSY, RETRIED, TRIES
from tallystick.base.db import LOST, Row
from tallystick.base.errors import Refusal, Unavailable, UnexpectedError
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Asked, Caller, Runtime, Tenant, Work
from tallystick.imports import columnar, ending, lines, reading, resource
from tallystick.imports.cutting import Cutter, Record, Unreadable
from tallystick.imports.model import KEPT_DAYS, Import

FIRST: Final = 500
MOST: Final = 5_000
LOCKED_SECONDS: Final = 0.2
"""For about so long a chunk may hold its locks: the next one is cut by how long the last took."""
CHUNK_BYTES: Final = 8 * 1024 * 1024
STEP_SECONDS: Final = 5.0
"""After so long a step ends, so that others have their turn and a process can stop."""
WHOLE_SECONDS: Final = 60.0
"""The same for files that have to be put together first."""
LEASE: Final = timedelta(seconds=15)
"""For so long nobody else begins with a file of which a chunk was carried out; who was killed leaves it to others after that."""
FAULTS_MAX: Final = 20
"""So many lines of a step may fail by a fault of ours, each left behind as a rejection; one more, and the step fails instead."""
FAULT: Final = "The fault is ours and has been recorded. Send the line again later."


class Moved(Exception):
    """Somebody else reads this file now."""


@dataclass(slots=True)
class _Pace:
    """How many lines the next chunk takes, and how many lines of the step were left behind by a fault of ours."""

    size: int = FIRST
    faults: int = 0

    def took(self, count: int, seconds: float) -> None:
        if count:
            self.size = min(MOST, max(50, int(count * LOCKED_SECONDS / max(seconds, 0.001))))


async def run_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, go on with one file for some seconds; whether there was any."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())

    async def step(tenant: Tenant, _row: Row) -> bool:
        async with runtime.work(tenant) as work:
            import_id = await store.due(work)
        return import_id is not None and await go_on(runtime, tenant, import_id)

    return await each_in_turn(rows, step)


async def go_on(runtime: Runtime, tenant: Tenant, import_id: UUID, *, seconds: float = STEP_SECONDS) -> bool:
    """Do what is due for one import, for about so many seconds; whether anything was."""
    async with runtime.work(tenant) as work:
        found = await store.take(work, import_id)
        if found is None or found.due_at is None or found.due_at > work.real_now:
            return False
        if found.status == "accepted":
            found = replace(found, status="running", started_at=work.now)
        if found.status == "running":
            whole = timedelta(seconds=WHOLE_SECONDS) if found.format == "parquet" else timedelta(0)
            found = await _write(work, replace(found, due_at=work.real_now + LEASE + whole))
    if found.status == "running":
        await _read(runtime, tenant, found, seconds if found.format != "parquet" else max(seconds, WHOLE_SECONDS))
        await _let_go(runtime, tenant, import_id)
    else:
        await ending.go_on(runtime, tenant, import_id, seconds)
    return True


async def _read(runtime: Runtime, tenant: Tenant, found: Import, seconds: float) -> None:
    caller = await partners.caller_of(runtime.pool, found.client_id)
    if caller is None:
        await _fail(runtime, tenant, found, "The partner that sent the file is not let in any more.")
        return
    until, pace = time.monotonic() + seconds, _Pace()
    chunk: list[Record] = []
    size = 0
    held: IO[bytes] | None = None
    try:
        if found.format == "parquet":
            held = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed below
            found, coming = await _rows(runtime, tenant, found, held)
        else:
            coming = _records(runtime, tenant, found)
        async for record in coming:
            if found.format == "csv" and found.header is None:
                found = await _begin(runtime, tenant, found, record)
                continue
            chunk.append(record)
            size += len(record.text)
            if len(chunk) >= pace.size or size >= CHUNK_BYTES:
                found = await _timed(runtime, tenant, found, caller, chunk, pace)
                chunk, size = [], 0
                if time.monotonic() > until:
                    return
        if chunk:
            found = await _timed(runtime, tenant, found, caller, chunk, pace)
        await _complete(runtime, tenant, found)
    except Unreadable as wrong:
        await _fail(runtime, tenant, found, str(wrong))
    except Moved:
        return
    finally:
        if held is not None:
            held.close()


async def _rows(
    runtime: Runtime, tenant: Tenant, found: Import, held: IO[bytes]
) -> tuple[Import, AsyncIterator[Record]]:
    """The rows of a Parquet file behind the mark; the import, with the columns that its file names."""
    renewed = time.monotonic()
    async for _, piece in _pieces(runtime, tenant, found, 0):
        await asyncio.to_thread(held.write, piece)
        if time.monotonic() - renewed > WHOLE_SECONDS / 2:
            found, renewed = await _renew(runtime, tenant, found), time.monotonic()
    file = await asyncio.to_thread(columnar.open_file, held, found.byte_count)
    if found.header is None:
        header = columnar.names(file)
        async with runtime.work(tenant) as work:
            stands = await _stands(work, found)
            found = await _write(work, replace(stands, header=header))
    assert found.header is not None, "it was written just now"
    fields = columnar.fields_in(lines.wanted(found, found.header), found.header)
    return found, columnar.records(file, fields, rows_done=found.lines_done, size=found.byte_count)


async def _renew(runtime: Runtime, tenant: Tenant, found: Import) -> Import:
    async with runtime.work(tenant) as work:
        stands = await _stands(work, found)
        return await _write(work, replace(stands, due_at=work.real_now + LEASE + timedelta(seconds=WHOLE_SECONDS)))


async def _let_go(runtime: Runtime, tenant: Tenant, import_id: UUID) -> None:
    """Let others go on with a file that is not at its end: at once, behind the tenant's other files."""
    async with runtime.work(tenant) as work:
        stands = await store.take(work, import_id)
        if stands is not None and stands.status == "running":
            await _write(work, replace(stands, due_at=work.real_now))


async def _records(runtime: Runtime, tenant: Tenant, found: Import) -> AsyncIterator[Record]:
    """The records of lines behind the mark. A part is held at a time, and no connection between two."""
    delimiter = found.delimiter if found.format == "csv" else None
    cutter = Cutter(bytes_done=found.bytes_done, lines_done=found.lines_done, delimiter=delimiter)
    async for number, piece in _pieces(runtime, tenant, found, found.bytes_done):
        for record in cutter.feed(piece, last=number == found.parts):
            yield record


async def _pieces(runtime: Runtime, tenant: Tenant, found: Import, behind: int) -> AsyncIterator[tuple[int, bytes]]:
    """(part, bytes) of the file behind so many bytes, in order. Raises Moved."""
    passed = 0
    async with runtime.reading(tenant) as work:
        sizes = await store.sizes(work, found.id)
    for number, size in sizes:
        if passed + size > behind:
            async with runtime.reading(tenant) as work:
                sealed = await store.part(work, found.id, number)
                if sealed is None:
                    raise Moved
                piece = work.keys.open_sealed(sealed, part_place(found.id, number))
            yield number, piece[max(0, behind - passed) :]
        passed += size


def part_place(import_id: UUID, number: int) -> bytes:
    """Where a part is sealed for."""
    return import_id.bytes + number.to_bytes(8, "big")


async def _begin(runtime: Runtime, tenant: Tenant, found: Import, record: Record) -> Import:
    """The first line of a CSV file names its columns."""
    header = lines.header(record, found.delimiter)
    lines.wanted(found, header)
    async with runtime.work(tenant) as work:
        stands = await _stands(work, found)
        return await _write(
            work, replace(stands, header=header, bytes_done=record.bytes_done, lines_done=record.lines_done)
        )


async def _timed(
    runtime: Runtime, tenant: Tenant, found: Import, caller: Caller, chunk: Sequence[Record], pace: _Pace
) -> Import:
    began = time.monotonic()
    done = await _carried_out(runtime, tenant, found, caller, chunk, pace)
    pace.took(len(chunk), time.monotonic() - began)
    return done


async def _carried_out(
    runtime: Runtime, tenant: Tenant, found: Import, caller: Caller, chunk: Sequence[Record], pace: _Pace
) -> Import:
    """The chunk as a whole; where that fails by a fault of ours in halves, until a line that fails alone is left behind."""
    for attempt in range(TRIES):
        try:
            return await carry_out(runtime, tenant, found, caller, chunk)
        except RETRIED:
            await asyncio.sleep(0.005 * attempt)
        except (Moved, Unreadable, Unavailable, *LOST, *BUSY):
            raise
        except Exception as fault:
            if len(chunk) > 1:
                middle = len(chunk) // 2
                halfway = await _carried_out(runtime, tenant, found, caller, chunk[:middle], pace)
                return await _carried_out(runtime, tenant, halfway, caller, chunk[middle:], pace)
            pace.faults += 1
            if pace.faults > FAULTS_MAX:
                raise
            logs.log().error("A line of a file could not be taken.", import_id=found.id, exc_info=fault)
            return await carry_out(runtime, tenant, found, caller, chunk, is_faulty=True)
    raise Unavailable("Too much contention just now; the file is read on later.")


async def carry_out(
    runtime: Runtime, tenant: Tenant, found: Import, caller: Caller, chunk: Sequence[Record], *, is_faulty: bool = False
) -> Import:
    """Carry out a chunk, or leave it behind, and move the mark behind it, in one transaction. Raises Moved."""
    asked = Asked(caller, found.request_id, "POST", resource.IMPORT.path)
    async with runtime.work(tenant) as work:
        stands = await _stands(work, found)
        commands, rejections = await reading.commands(work, stands, asked, () if is_faulty else chunk)
        if is_faulty:
            rejections = [lines.rejection(each, UnexpectedError.code, FAULT) for each in chunk]
        told = [command for command, _ in commands]
        outcomes = await activity.accept(work, told, all_moved=stands.tell_progress) if told else []
        duplicates = 0
        for (_, record), outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                rejections.append(lines.rejection(record, outcome.code, outcome.detail))
            else:
                duplicates += outcome.duplicate
        rejections.sort(key=lambda each: each.line)
        sealed = [work.keys.seal(each.text, line_place(stands.id, each.line)) for each in rejections]
        await store.reject(work, stands.id, rejections, sealed)
        taken = sum(isinstance(outcome, Recorded) for outcome in outcomes) - duplicates
        return await _write(
            work,
            replace(
                stands,
                bytes_done=chunk[-1].bytes_done,
                lines_done=chunk[-1].lines_done,
                accepted=stands.accepted + taken,
                duplicates=stands.duplicates + duplicates,
                rejected=stands.rejected + len(rejections),
                due_at=work.real_now + LEASE,
            ),
        )


def line_place(import_id: UUID, line: int) -> bytes:
    """Where a line that was not taken is sealed for."""
    return b"line" + import_id.bytes + line.to_bytes(8, "big")


async def _stands(work: Work, found: Import) -> Import:
    """The import as it stands, locked, with its mark where it was left. Raises Moved."""
    stands = await store.lock(work, found.id)
    if stands is None or (stands.status, stands.bytes_done) != ("running", found.bytes_done):
        raise Moved
    return stands


async def _write(work: Work, found: Import) -> Import:
    written = replace(found, version=found.version + 1, updated_at=work.now)
    await store.update(work, written)
    return written


async def _complete(runtime: Runtime, tenant: Tenant, found: Import) -> None:
    async with runtime.work(tenant) as work:
        stands = await _stands(work, found)
        due = work.real_now + timedelta(days=KEPT_DAYS)
        done = await _write(work, replace(stands, status="completed", finished_at=work.now, due_at=due))
        events.record(work, resource.event("import.completed", done))


async def _fail(runtime: Runtime, tenant: Tenant, found: Import, why: str) -> None:
    async with runtime.work(tenant) as work:
        try:
            stands = await _stands(work, found)
        except Moved:
            return
        due = work.real_now + timedelta(days=KEPT_DAYS)
        failed = replace(stands, status="failed", detail=why, finished_at=work.now, due_at=due)
        done = await _write(work, failed)
        events.record(work, resource.event("import.failed", done))
