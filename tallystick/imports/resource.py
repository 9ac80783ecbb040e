"""An import on the wire."""

from typing import Final, Literal

import msgspec

from tallystick import events
from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.imports.model import Format, Import, Part, Status


class ImportAttributes(msgspec.Struct, rename="camel", gc=False):
    """A file of activity, and how far its reading is. `percent` is of its bytes; `sha256` and `size` are what its sender named."""

    merchant_id: str
    kind: Literal["transaction", "visit", "order"]
    format: Format
    columns: dict[str, str]
    status: Status
    currency: str | None
    time_zone: str | None
    attribution: Literal["immediate", "reconciled"] | None
    tell_progress: bool
    sha256: str | None
    size: int | None
    byte_count: int
    lines_done: int
    accepted: int
    duplicates: int
    rejected: int
    percent: int
    detail: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    released_at: str | None


class PartAttributes(msgspec.Struct, rename="camel", gc=False):
    """A part of a file that was received, by its number."""

    number: int
    byte_count: int
    sha256: str


class RejectionAttributes(msgspec.Struct, rename="camel", gc=False):
    """A line that was not taken, by its number in the file, and why."""

    line: int
    code: str
    detail: str
    text: str


IMPORT: Final = Resource(
    "Import",
    "/api/v1/imports",
    ImportAttributes,
    {
        "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
        "kind": "transaction",
        "format": "csv",
        "columns": {"sourceId": "receipt", "occurredAt": "date"},
        "status": "running",
        "currency": None,
        "timeZone": "America/New_York",
        "attribution": None,
        "tellProgress": False,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "size": 104857600,
        "byteCount": 104857600,
        "linesDone": 481000,
        "accepted": 480112,
        "duplicates": 800,
        "rejected": 87,
        "percent": 48,
        "detail": None,
        "createdAt": "2026-06-17T12:00:00.000Z",
        "startedAt": "2026-06-17T12:00:04.000Z",
        "finishedAt": None,
        "releasedAt": None,
    },
)
IMPORT_EVENT: Final = IMPORT
"""Nothing of it is personal, so that events hold the same."""

PART: Final = Resource(
    "ImportPart",
    "/api/v1/imports/{id}/parts",
    PartAttributes,
    {
        "number": 3,
        "byteCount": 4194304,
        "sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    },
    is_named=True,
)

REJECTION: Final = Resource(
    "ImportRejection",
    "/api/v1/imports/{id}/rejections",
    RejectionAttributes,
    {
        "line": 118,
        "code": "InvalidRequest",
        "detail": "amount is a whole number of minor units",
        "text": "r-118,2026-06-17,12.50",
    },
    is_named=True,
)


def shown(found: Import) -> bytes:
    """An import as a resource object."""
    rendered = [
        None if at is None else clock.render(at) for at in (found.started_at, found.finished_at, found.released_at)
    ]
    return jsonapi.resource(
        IMPORT,
        found.id,
        ImportAttributes(
            merchant_id=str(found.merchant_id),
            kind=found.kind,
            format=found.format,
            columns=dict(found.columns),
            status=found.status,
            currency=found.currency,
            time_zone=found.time_zone,
            attribution=found.attribution,
            tell_progress=found.tell_progress,
            sha256=None if found.sha256 is None else found.sha256.hex(),
            size=found.size,
            byte_count=found.byte_count,
            lines_done=found.lines_done,
            accepted=found.accepted,
            duplicates=found.duplicates,
            rejected=found.rejected,
            percent=found.bytes_done * 100 // found.byte_count if found.byte_count else 0,
            detail=found.detail,
            created_at=clock.render(found.created_at),
            started_at=rendered[0],
            finished_at=rendered[1],
            released_at=rendered[2],
        ),
    )


def part(found: Import, received: Part) -> bytes:
    """A part that was received as a resource object."""
    told = PartAttributes(received.number, received.byte_count, received.digest.hex())
    return jsonapi.resource(PART, f"{found.id}:{received.number}", told)


def document(found: Import) -> bytes:
    """The same as a document."""
    return jsonapi.document(shown(found))


def event(topic: str, found: Import) -> events.Event:
    """What became of a file; told once."""
    return events.Event(
        topic=topic,
        subject_type="Import",
        subject_id=found.id,
        sequence=1,
        document=shown(found),
        partner_id=found.partner_id,
        merchant_id=found.merchant_id,
        request_id=found.request_id,
    )
