"""Read files: chunk by chunk, each in one work that carries out its lines and moves the mark behind them.

The next chunk is read meanwhile. Whoever is killed leaves a mark behind the last chunk that was committed, and the next one goes on
there: no line is carried out twice, and none is left out. The lines' own names hold that, too.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import IO, Final
from uuid import UUID

import tallystick.imports.store as store
from tallystick import events, partners
from tallystick.base.ahead import one_ahead
from tallystick.base.db import Row
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant
from tallystick.imports import columnar, ending, lines, mark, resource
from tallystick.imports.carrying import LEASE, carry_on
from tallystick.imports.chunks import Pace, Reader, chunks
from tallystick.imports.cutting import Cutter, Record, Unreadable
from tallystick.imports.mark import Moved
from tallystick.imports.model import KEPT_DAYS, Import, part_place

STEP_SECONDS: Final = 5.0
"""After so long a step ends, so that others have their turn and a process can stop."""
WHOLE_SECONDS: Final = 60.0
"""The same for files that have to be put together first."""


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
            found = await mark.write(work, replace(found, due_at=work.real_now + LEASE + whole))
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
    until, pace = time.monotonic() + seconds, Pace()
    held: IO[bytes] | None = None
    try:
        if found.format == "parquet":
            held = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed below
            found, coming = await _rows(runtime, tenant, found, held)
        else:
            coming = _records(runtime, tenant, found)
        if found.format == "csv" and found.header is None and (first := await anext(coming, None)) is not None:
            found = await _begin(runtime, tenant, found, first)
        reader = Reader(runtime, tenant, found, caller)
        async with contextlib.aclosing(one_ahead(chunks(reader, coming, pace))) as ahead:
            found, was_all = await carry_on(reader, found, ahead, pace, until)
        if was_all:
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
            stands = await mark.stands(work, found)
            found = await mark.write(work, replace(stands, header=header))
    assert found.header is not None, "it was written just now"
    fields = columnar.fields_in(lines.wanted(found, found.header), found.header)
    return found, columnar.records(file, fields, rows_done=found.lines_done, size=found.byte_count)


async def _renew(runtime: Runtime, tenant: Tenant, found: Import) -> Import:
    async with runtime.work(tenant) as work:
        stands = await mark.stands(work, found)
        return await mark.write(work, replace(stands, due_at=work.real_now + LEASE + timedelta(seconds=WHOLE_SECONDS)))


async def _let_go(runtime: Runtime, tenant: Tenant, import_id: UUID) -> None:
    """Let others go on with a file that is not at its end: at once, behind the tenant's other files."""
    async with runtime.work(tenant) as work:
        stands = await store.take(work, import_id)
        if stands is not None and stands.status == "running":
            await mark.write(work, replace(stands, due_at=work.real_now))


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


async def _begin(runtime: Runtime, tenant: Tenant, found: Import, record: Record) -> Import:
    """The first line of a CSV file names its columns."""
    header = lines.header(record, found.delimiter)
    lines.wanted(found, header)
    async with runtime.work(tenant) as work:
        stands = await mark.stands(work, found)
        return await mark.write(
            work, replace(stands, header=header, bytes_done=record.bytes_done, lines_done=record.lines_done)
        )


async def _complete(runtime: Runtime, tenant: Tenant, found: Import) -> None:
    async with runtime.work(tenant) as work:
        stands = await mark.stands(work, found)
        due = work.real_now + timedelta(days=KEPT_DAYS)
        done = await mark.write(work, replace(stands, status="completed", finished_at=work.now, due_at=due))
        events.record(work, resource.event("import.completed", done))


async def _fail(runtime: Runtime, tenant: Tenant, found: Import, why: str) -> None:
    async with runtime.work(tenant) as work:
        try:
            stands = await mark.stands(work, found)
        except Moved:
            return
        due = work.real_now + timedelta(days=KEPT_DAYS)
        failed = replace(stands, status="failed", detail=why, finished_at=work.now, due_at=due)
        done = await mark.write(work, failed)
        events.record(work, resource.event("import.failed", done))
