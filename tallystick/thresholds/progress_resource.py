"""Progress on the wire, and in events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.db import Row
from tallystick.base.routes import Resource
from tallystick.thresholds.model import Version
from tallystick.thresholds.progress import Progress, Shown, standing, window_end


class WindowAttributes(msgspec.Struct, rename="camel", gc=False):
    """In which stretch of time it adds up; null: without a bound on that side."""

    start: str | None
    end: str | None


class ThresholdProgressAttributes(msgspec.Struct, rename="camel", gc=False):
    """How far a user is. In a rule that repeats, `current` and `target` are of the cycle, and `total` is of all of them.

    `pending` waits to be reconciled. `percent` is rounded down.
    """

    user_id: str
    threshold_id: str
    merchant_id: str
    current: int
    pending: int
    total: int
    target: int
    remaining: int
    percent: int
    step: int
    steps: int
    cycle: int
    window: WindowAttributes | None
    status: Shown
    threshold_version: int
    updated_at: str


class CountedActivityAttributes(msgspec.Struct, rename="camel", gc=False):
    """Something that counted: by how much, by which version, and what there was by then. What is `pending` is not in the total."""

    kind: str
    type: str
    source_id: str
    occurred_at: str
    location_id: str | None
    attribution: str
    counted: int
    threshold_version: int
    total: int


EXAMPLE: Final[dict[str, Any]] = {
    "userId": "0199d3c0-6a01-7d52-8f3e-3b5a6c7d8e90",
    "thresholdId": "0199d3c0-7b22-7a11-9c4d-5e6f7a8b9c0d",
    "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
    "current": 3200,
    "pending": 0,
    "total": 3200,
    "target": 5000,
    "remaining": 1800,
    "percent": 64,
    "step": 0,
    "steps": 1,
    "cycle": 1,
    "window": {"start": "2026-06-01T04:00:00.000Z", "end": "2026-07-01T04:00:00.000Z"},
    "status": "inProgress",
    "thresholdVersion": 1,
    "updatedAt": "2026-06-17T12:00:00.000Z",
}
PROGRESS: Final = Resource("ThresholdProgress", "/api/v1/threshold-progress", ThresholdProgressAttributes, EXAMPLE)
PROGRESS_EVENT: Final = PROGRESS
"""Nothing of it is personal, so that events hold the same."""

COUNTED: Final = Resource(
    "CountedActivity",
    "/api/v1/threshold-progress/{id}/history",
    CountedActivityAttributes,
    {
        "kind": "transaction",
        "type": "Purchase",
        "sourceId": "receipt-1001",
        "occurredAt": "2026-06-17T11:58:00.000Z",
        "locationId": None,
        "attribution": "counted",
        "counted": 1200,
        "thresholdVersion": 1,
        "total": 3200,
    },
)


def shown(progress: Progress, version: Version, now: datetime) -> bytes:
    """Progress as a resource object, as it stands at `now`."""
    stands = standing(progress, version, now)
    return jsonapi.resource(
        PROGRESS,
        progress.id,
        ThresholdProgressAttributes(
            user_id=str(progress.customer_id),
            threshold_id=str(progress.threshold_id),
            merchant_id=str(progress.merchant_id),
            current=stands.current,
            pending=progress.pending,
            total=stands.total,
            target=stands.target,
            remaining=stands.remaining,
            percent=stands.percent,
            step=stands.step,
            steps=len(version.targets),
            cycle=stands.cycle,
            window=_window(progress, version),
            status=stands.status,
            threshold_version=progress.number,
            updated_at=clock.render(progress.updated_at),
        ),
    )


def counted(rows: Sequence[Row]) -> list[bytes]:
    """What counted, as resource objects."""
    return [
        jsonapi.resource(
            COUNTED,
            row[0],
            CountedActivityAttributes(
                kind=row[1],
                type=row[2],
                source_id=row[3],
                occurred_at=clock.render(row[4]),
                location_id=None if row[5] is None else str(row[5]),
                attribution=row[6],
                counted=row[7],
                threshold_version=row[8],
                total=row[9],
            ),
        )
        for row in rows
    ]


def _window(progress: Progress, version: Version) -> WindowAttributes | None:
    window = version.window
    if window.kind == "calendar":
        return WindowAttributes(_rendered(progress.window_start), _rendered(window_end(version, progress.window_start)))
    if window.kind == "dates":
        return WindowAttributes(_rendered(window.from_at), _rendered(window.until_at))
    return None


def _rendered(at: datetime | None) -> str | None:
    return None if at is None else clock.render(at)
