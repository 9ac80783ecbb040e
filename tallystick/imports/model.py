"""Imports as values: a file, how far its reading is, and what its lines may say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.activity.model import Kind
from tallystick.base.errors import NotFound
from tallystick.base.work import Caller

Format = Literal["csv", "ndjson", "parquet"]
Status = Literal["uploading", "accepted", "running", "completed", "failed", "cancelled"]

PARTS_MAX: Final = 100_000
PART_BYTES: Final = 4 * 1024 * 1024
KEPT_DAYS: Final = 7
"""For how long a file is kept behind its end, or waits for being started."""

FIELDS: Final = (
    "sourceId",
    "occurredAt",
    "type",
    "amount",
    "tax",
    "currency",
    "quantity",
    "channel",
    "category",
    "method",
    "locationId",
    "locationExternalId",
    "userId",
    "phoneNumber",
    "externalId",
    "memberCode",
    "cardToken",
    "linkedSourceId",
)
"""What a line may say, each in the column of that name unless `columns` names another."""


@dataclass(frozen=True, slots=True)
class Import:
    """A file as its row stands. `bytes_done` and `lines_done` are behind the last line that was carried out."""

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    request_id: UUID
    kind: Kind
    format: Format
    columns: Mapping[str, str]
    delimiter: str
    currency: str | None
    time_zone: str | None
    tell_progress: bool
    status: Status
    attribution: Literal["immediate", "reconciled"] | None
    released_at: datetime | None
    rejecting: bool
    release_after: UUID | None
    """Behind it what waits is released, or rejected; None: nothing is to be, or all is done."""
    parts: int
    byte_count: int
    bytes_done: int
    lines_done: int
    header: tuple[str, ...] | None
    accepted: int
    duplicates: int
    rejected: int
    detail: str | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    sha256: bytes | None
    size: int | None
    """Both of the whole file, where its sender named them: what was sent is held against them before it is read."""

    def seen_by(self, caller: Caller) -> bool:
        """Its partner's own, or the programme's by agreement; within its merchants."""
        if caller.merchant_ids is not None and self.merchant_id not in caller.merchant_ids:
            return False
        return caller.sees_programme or self.partner_id == caller.partner_id


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file that was received, by its number, and the SHA-256 of its bytes."""

    number: int
    byte_count: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was not taken, and why."""

    line: int
    code: str
    detail: str
    text: bytes


def missing() -> NotFound:
    """The refusal for an import that is unknown, or someone else's."""
    return NotFound("No import has this id. Verify the id.")


def part_place(import_id: UUID, number: int) -> bytes:
    """Where a part of a file is sealed for."""
    return import_id.bytes + number.to_bytes(8, "big")


def line_place(import_id: UUID, line: int) -> bytes:
    """Where a line that was not taken is sealed for."""
    return b"line" + import_id.bytes + line.to_bytes(8, "big")
