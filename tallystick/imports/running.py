"""Read files: chunk by chunk, each in one work that carries out its lines and moves the mark behind them.

Whoever is killed leaves a mark behind the last chunk that was committed, and the next one goes on there: no line is carried out
twice, and none is left out. The lines' own names hold that, too.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import tallystick.imports.store as store
from tallystick import activity, events, merchants, partners
from tallystick.activity.model import RecordActivity, Recorded
from tallystick.activity.sent import source
from tallystick.base.db import Row
from tallystick.base.errors import Refusal
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Asked, Caller, Runtime, Tenant, Work
from tallystick.imports import lines, resource
from tallystick.imports.lines import INVALID, Cutter, Reading, Record, Unreadable
from tallystick.imports.model import KEPT_DAYS, Import, Rejection

FIRST: Final = 500
MOST: Final = 5_000
LOCKED_SECONDS: Final = 0.2
"""For about so long a chunk may hold its locks: the next one is cut by how long the last took."""
STEP_SECONDS: Final = 5.0
"""After so long a step ends, so that others have their turn and a process can stop."""
RELEASED_AT_ONCE: Final = 500


class Moved(Exception):
    """Somebody else reads this file now."""


@dataclass(slots=True)
class _Pace:
    """How many lines the next chunk takes."""

    size: int = FIRST

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
            found = await _write(work, replace(found, status="running", started_at=work.now))
    if found.status == "running":
        await _read(runtime, tenant, found, seconds)
    else:
        await _behind_its_end(runtime, tenant, import_id)
    return True


async def _read(runtime: Runtime, tenant: Tenant, found: Import, seconds: float) -> None:
    caller = await partners.caller_of(runtime.pool, found.client_id)
    if caller is None:
        await _fail(runtime, tenant, found, "The partner that sent the file is not let in any more.")
        return
    until, pace = time.monotonic() + seconds, _Pace()
    try:
        chunk: list[Record] = []
        async for record in _records(runtime, tenant, found):
            if found.format == "csv" and found.header is None:
                found = await _begin(runtime, tenant, found, record)
                continue
            chunk.append(record)
            if len(chunk) >= pace.size:
                found = await _timed(runtime, tenant, found, caller, chunk, pace)
                chunk = []
                if time.monotonic() > until:
                    return
        if chunk:
            found = await _timed(runtime, tenant, found, caller, chunk, pace)
        await _complete(runtime, tenant, found)
    except Unreadable as wrong:
        await _fail(runtime, tenant, found, str(wrong))
    except Moved:
        return


async def _records(runtime: Runtime, tenant: Tenant, found: Import) -> AsyncIterator[Record]:
    """The records behind the mark. A part is held at a time, and no connection between two."""
    cutter = Cutter(bytes_done=found.bytes_done, lines_done=found.lines_done, quoted=found.format == "csv")
    passed = 0
    async with runtime.reading(tenant) as work:
        sizes = await store.sizes(work, found.id)
    for number, size in sizes:
        if passed + size <= found.bytes_done:
            passed += size
            continue
        async with runtime.reading(tenant) as work:
            sealed = await store.part(work, found.id, number)
            if sealed is None:
                raise Moved
            piece = work.keys.open_sealed(sealed, part_place(found.id, number))
        for record in cutter.feed(piece[max(0, found.bytes_done - passed) :], last=number == found.parts):
            yield record
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
    done = await carry_out(runtime, tenant, found, caller, chunk)
    pace.took(len(chunk), time.monotonic() - began)
    return done


async def carry_out(runtime: Runtime, tenant: Tenant, found: Import, caller: Caller, chunk: Sequence[Record]) -> Import:
    """Carry out a chunk and move the mark behind it, in one transaction. Raises Moved."""
    asked = Asked(caller, found.request_id, "POST", resource.IMPORT.path)
    async with runtime.work(tenant) as work:
        stands = await _stands(work, found)
        commands, rejections = await _commands(work, stands, asked, chunk)
        outcomes = (
            await activity.accept(work, [command for command, _ in commands], all_moved=stands.tell_progress)
            if commands
            else []
        )
        duplicates = 0
        for (_, record), outcome in zip(commands, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                rejections.append(Rejection(record.line, outcome.code, outcome.detail, record.text))
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
            ),
        )


def line_place(import_id: UUID, line: int) -> bytes:
    """Where a line that was not taken is sealed for."""
    return b"line" + import_id.bytes + line.to_bytes(8, "big")


async def _commands(
    work: Work, found: Import, asked: Asked, chunk: Sequence[Record]
) -> tuple[list[tuple[RecordActivity, Record]], list[Rejection]]:
    """What the lines of a chunk tell, each with its line, and those that cannot be read."""
    names = found.header or ()
    columns = lines.wanted(found, names) if found.format == "csv" else {}
    rejections: list[Rejection] = []
    read = []
    for record in chunk:
        said = lines.values(found, record, columns, len(names))
        if isinstance(said, Rejection):
            rejections.append(said)
        elif said is not None:
            read.append((said, record))
    named = {said["locationExternalId"] for said, _ in read if isinstance(said.get("locationExternalId"), str)}
    places = await merchants.location_ids_by_external(work, found.merchant_id, sorted(named))
    shop = (await merchants.by_ids(work, [found.merchant_id]))[found.merchant_id]
    reading = Reading(found, asked, shop.country, source(asked.caller, found.kind, None))
    commands = []
    for said, record in read:
        try:
            commands.append((reading.activity(said, record.line, places), record))
        except ValueError as wrong:
            rejections.append(Rejection(record.line, INVALID, f"{wrong}.", record.text))
    return commands, rejections


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


async def _behind_its_end(runtime: Runtime, tenant: Tenant, import_id: UUID) -> None:
    """Release or reject what waits, where somebody decided; else forget the file."""
    async with runtime.work(tenant) as work:
        found = await store.lock(work, import_id)
        if found is None:
            return
        decided = found.released_at is not None and found.released_at + timedelta(days=KEPT_DAYS) > work.now
        if not decided:
            await store.forget_parts(work, import_id)
            await _write(work, replace(found, due_at=None))
    if decided:
        await _release(runtime, tenant, import_id)


async def _release(runtime: Runtime, tenant: Tenant, import_id: UUID) -> None:
    """Release, or reject, what waits, chunk by chunk."""
    while True:
        async with runtime.work(tenant) as work:
            found = await store.lock(work, import_id)
            if found is None or found.released_at is None:
                return
            caller = await partners.caller_of(runtime.pool, found.client_id)
            asked = (
                _behind(work, found)
                if caller is None
                else Asked(caller, found.request_id, "POST", resource.IMPORT.path)
            )
            after = await activity.release(
                work,
                asked,
                import_id,
                reject=found.rejecting,
                after=found.release_after or UUID(int=0),
                limit=RELEASED_AT_ONCE,
            )
            if after is None:
                kept = work.real_now + timedelta(days=KEPT_DAYS)
                await _write(work, replace(found, release_after=None, due_at=kept))
                return
            await _write(work, replace(found, release_after=after))


def _behind(work: Work, found: Import) -> Asked:
    """Whoever sent the file, though it is not let in any more: what waits is decided all the same."""
    caller = Caller(work.tenant, found.partner_id, found.client_id, frozenset(), None, False, 1, 1)  # noqa: FBT003
    return Asked(caller, found.request_id, "POST", resource.IMPORT.path)
