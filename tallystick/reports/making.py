"""Make what was ordered: read the books in one snapshot, keep the rows aside, then write them with the report in one work."""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import IO, Final

import msgspec

import tallystick.reports.store as store
from tallystick import events, merchants
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.ledger import periods, periods_figures
from tallystick.reports import resource
from tallystick.reports.model import Line, Report
from tallystick.reports.sheets import SHEETS, Making

ROWS_IN_PART: Final = 500
"""Fixed, since a digest covers the parts: the same rows are the same bytes."""

LEASE: Final = timedelta(minutes=2)
TRIES: Final = 5
"""How often the making of a report begins before it is given up; each failure is in the log."""

IN_MEMORY: Final = 4 * 2**20
LENGTH_BYTES: Final = 4


async def make_next(runtime: Runtime, tenant: Tenant) -> bool:
    """Make the tenant's report that has waited longest; whether there was one. A killed making is begun again after a while."""
    async with runtime.work(tenant) as work:
        report = await store.lease(work, work.real_now + LEASE)
        if report is not None and report.tries > TRIES:
            await store.fail(work, report.id)
            return True
    if report is None:
        return False
    # On disk when it is long: no second connection is borrowed while the first reads.
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as kept:
        made = await _read(runtime, tenant, report, kept)
        async with runtime.work(tenant) as work:
            await _write(work, made, kept)
    return True


async def _read(runtime: Runtime, tenant: Tenant, report: Report, kept: IO[bytes]) -> Report:
    """The report as made; its parts are in the file, each behind its length."""
    async with runtime.reading(tenant) as work:
        await work.db.script(periods_figures.READING)
        merchant = (await merchants.by_ids(work, [report.merchant_id]))[report.merchant_id]
        making = Making(work, report, merchant)
        waiting: list[Line] = []
        digest, rows, size = hashlib.sha256(), 0, 0

        def keep() -> None:
            nonlocal size
            content = msgspec.json.encode(waiting)
            digest.update(content)
            kept.write(len(content).to_bytes(LENGTH_BYTES, "big") + content)
            size += len(content)
            waiting.clear()

        async for line in SHEETS[report.kind](making):
            waiting.append(line)
            rows += 1
            if len(waiting) == ROWS_IN_PART:
                keep()
        if waiting:
            keep()
        final = report.kind == "settlement" or await _is_final(work, report)
    return replace(
        making.report,
        final=final,
        row_count=rows,
        byte_count=size,
        digest=digest.digest(),
        figures=msgspec.json.encode(making.figures).decode(),
    )


async def _is_final(work: Work, report: Report) -> bool:
    """Whether everything the report covers is closed."""
    closed_until = await periods.sealed_until(work, report.merchant_id)
    return closed_until is not None and report.to_at is not None and report.to_at <= closed_until


async def _write(work: Work, made: Report, kept: IO[bytes]) -> None:
    completed = await store.complete(work, made)
    if completed is None:
        return  # somebody else was faster
    for number, content in enumerate(_parts(kept), 1):
        await store.insert_part(work, made.id, number, content)
    topic = "settlement.report_ready" if made.kind == "settlement" else "reconciliation.report_ready"
    events.record(
        work,
        events.Event(
            topic=topic,
            subject_type=resource.REPORT.type,
            subject_id=completed.id,
            sequence=1,
            partner_id=completed.partner_id,
            merchant_id=completed.merchant_id,
            request_id=completed.request_id,
            document=resource.report(completed),
        ),
    )


def _parts(kept: IO[bytes]) -> Iterator[bytes]:
    kept.seek(0)
    while length := kept.read(LENGTH_BYTES):
        yield kept.read(int.from_bytes(length, "big"))
