"""Chunks of a file: how many lines each takes, and what they tell, read while the chunk before is carried out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from tallystick import merchants
from tallystick.activity import sent
from tallystick.activity.model import RecordActivity
from tallystick.base.errors import UnexpectedError
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.imports import lines, resource
from tallystick.imports.cutting import Record
from tallystick.imports.lines import Said
from tallystick.imports.model import Import, Rejection
from tallystick.imports.reading import Reading, place_in

LEAST: Final = 50
FIRST: Final = 500
MOST: Final = 5_000
LOCKED_SECONDS: Final = 0.2
"""For about so long a chunk may hold its locks: the next one is cut by how long the last took."""
CHUNK_BYTES: Final = 8 * 1024 * 1024
AT_ONCE: Final = 50
"""After so many lines others have their turn: the chunk before, whose answers come meanwhile."""
INVALID: Final = "InvalidRequest"
FAULT: Final = "The fault is ours and has been recorded. Send the line again later."


@dataclass(slots=True)
class Pace:
    """How many lines the next chunk takes, and how many lines of the step were left behind by a fault of ours."""

    size: int = FIRST
    faults: int = 0

    def took(self, count: int, seconds: float) -> None:
        """So long a chunk of so many lines took. Chunks grow and shrink by halves, since neighbours share the processors."""
        if count:
            wanted = count * LOCKED_SECONDS / max(seconds, 0.001)
            self.size = min(MOST, max(LEAST, int(min(max(wanted, self.size / 2), self.size * 1.5))))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that are carried out together: what they tell, each with its record, and those that cannot be read."""

    records: Sequence[Record]
    told: Sequence[tuple[RecordActivity, Record]]
    rejections: Sequence[Rejection]

    @classmethod
    def left_behind(cls, records: Sequence[Record]) -> "Chunk":
        """Records that could not be carried out by a fault of ours."""
        return cls(records, (), [lines.rejection(each, UnexpectedError.code, FAULT) for each in records])


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a file: for which tenant, which import as it stood when reading began, and on whose behalf."""

    runtime: Runtime
    tenant: Tenant
    found: Import
    caller: Caller

    async def read(self, records: Sequence[Record]) -> Chunk:
        """The chunk of these records."""
        found = self.found
        names = found.header or ()
        columns = lines.wanted(found, names) if found.format == "csv" else {}
        rejections: list[Rejection] = []
        read: list[tuple[Said, Record]] = []
        for number, record in enumerate(records):
            said = lines.values(found, record, columns, len(names))
            if isinstance(said, Rejection):
                rejections.append(said)
            elif said is not None:
                read.append((said, record))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        reading = await self._reading([said for said, _ in read])
        told = []
        for number, (said, record) in enumerate(read):
            try:
                told.append((reading.activity(said, record.line), record))
            except ValueError as wrong:
                rejections.append(lines.rejection(record, INVALID, f"{str(wrong).rstrip('.')}."))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return Chunk(records, told, rejections)

    async def _reading(self, told: Sequence[Said]) -> Reading:
        found = self.found
        named = {place for said in told if isinstance(place := place_in(said), str)}
        async with self.runtime.reading(self.tenant) as work:
            places = await merchants.location_ids_by_external(work, found.merchant_id, sorted(named)) if named else {}
            shop = (await merchants.by_ids(work, [found.merchant_id]))[found.merchant_id]
        asked = Asked(self.caller, found.request_id, "POST", resource.IMPORT.path)
        return Reading(found, asked, shop.country, sent.source(self.caller, found.kind, None), places)


async def chunks(reader: Reader, coming: AsyncIterator[Record], pace: Pace) -> AsyncGenerator[Chunk]:
    """The records that come, as chunks."""
    records: list[Record] = []
    size = 0
    async for record in coming:
        records.append(record)
        size += len(record.text)
        if len(records) >= pace.size or size >= CHUNK_BYTES:
            yield await reader.read(records)
            records, size = [], 0
        elif len(records) % AT_ONCE == 0:
            await asyncio.sleep(0)
    if records:
        yield await reader.read(records)
