"""The rows of a report as a download: CSV (RFC 4180), a JSON array or Parquet, part by part: no report is ever held whole."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

import tallystick.reports.store as store
from tallystick.base.work import Runtime, Tenant
from tallystick.reports import parquet
from tallystick.reports.model import Line, Report
from tallystick.reports.sheets import COLUMNS


async def as_csv(runtime: Runtime, tenant: Tenant, report: Report) -> AsyncIterator[bytes]:
    """A line of column names, then a line for each row; null is empty."""
    yield _csv([COLUMNS[report.kind]])
    async for rows in _parts(runtime, tenant, report):
        yield _csv(rows)


async def as_json(runtime: Runtime, tenant: Tenant, report: Report) -> AsyncIterator[bytes]:
    """An array with an object for each row."""
    columns = COLUMNS[report.kind]
    before = b"["
    async for rows in _parts(runtime, tenant, report):
        yield before + b",\n".join(msgspec.json.encode(dict(zip(columns, row, strict=True))) for row in rows)
        before = b",\n"
    yield b"[]" if before == b"[" else b"]"


def as_parquet(runtime: Runtime, tenant: Tenant, report: Report) -> AsyncIterator[bytes]:
    """A table with typed columns."""
    return parquet.stream(COLUMNS[report.kind], _parts(runtime, tenant, report))


async def _parts(runtime: Runtime, tenant: Tenant, report: Report) -> AsyncIterator[list[Line]]:
    number = 1
    while True:
        # A reader may be slow: no connection is held while it takes what it was sent.
        async with runtime.reading(tenant) as work:
            content = await store.part(work, report.id, number)
        if content is None:
            return
        yield msgspec.json.decode(content, type=list[tuple[Any, ...]])
        number += 1


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
