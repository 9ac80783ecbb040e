"""Why a user is where they are with a rule, on the wire."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.thresholds.explaining_store import Explained, Line, Reached, Reason
from tallystick.thresholds.model import Version
from tallystick.thresholds.progress import Progress, standing


class LineShown(msgspec.Struct, rename="camel"):
    """Something the user did: whether it counts, by how much, and why not. `sourceId` is null where another partner sent it."""

    activity_id: str
    kind: str
    source_id: str | None
    occurred_at: str
    counted: bool
    amount: int
    reason: Reason
    threshold_version: int | None


class ActivitiesShown(msgspec.Struct, rename="camel"):
    """One page of what the user did at the merchant, newest first."""

    total: int
    offset: int
    limit: int
    lines: list[LineShown]


class StandingShown(msgspec.Struct, rename="camel"):
    """How far the user is in the window, as `/threshold-progress` tells it."""

    current: int
    pending: int
    total: int
    target: int
    percent: int
    step: int
    steps: int
    cycle: int
    status: str


class NextShown(msgspec.Struct, rename="camel"):
    """The next step, and what is missing until it is reached."""

    cycle: int
    step: int
    target: int
    missing: int


class OutcomeShown(msgspec.Struct, rename="camel"):
    """What reaching a step came to: given, kept, returned, capped, or refused and tried again at `dueAt`; `code` says why."""

    cycle: int
    step: int
    needs: int
    status: str
    code: str | None
    amount: int
    desired_amount: int
    returned_amount: int
    reward_id: str | None
    gift_card_id: str | None
    threshold_version: int
    due_at: str | None
    created_at: str


class ThresholdExplanationAttributes(msgspec.Struct, rename="camel"):
    """Why a user is where they are with a rule, in the window of an instant."""

    threshold_id: str
    user_id: str
    at: str
    progress: StandingShown
    next: NextShown | None
    outcomes: list[OutcomeShown]
    activities: ActivitiesShown


EXAMPLE: Final[dict[str, Any]] = {
    "thresholdId": "0199d3c0-7b22-7a11-9c4d-5e6f7a8b9c0d",
    "userId": "0199d3c0-6a01-7d52-8f3e-3b5a6c7d8e90",
    "at": "2026-06-17T12:00:00.000Z",
    "progress": {
        "current": 3200,
        "pending": 0,
        "total": 3200,
        "target": 5000,
        "percent": 64,
        "step": 0,
        "steps": 1,
        "cycle": 1,
        "status": "inProgress",
    },
    "next": {"cycle": 1, "step": 1, "target": 5000, "missing": 1800},
    "outcomes": [],
    "activities": {
        "total": 1,
        "offset": 0,
        "limit": 10,
        "lines": [
            {
                "activityId": "0199d3c0-8c33-7b22-8d5e-6f7a8b9c0d1e",
                "kind": "transaction",
                "sourceId": "receipt-1002",
                "occurredAt": "2026-06-17T11:58:00.000Z",
                "counted": False,
                "amount": 0,
                "reason": "hour",
                "thresholdVersion": 1,
            }
        ],
    },
}
EXPLANATION: Final = Resource(
    "ThresholdExplanation", "/api/v1/thresholds/{id}/why-not", ThresholdExplanationAttributes, EXAMPLE
)


def document(
    progress: Progress, version: Version, explained: Explained, at: datetime, now: datetime, *, offset: int, limit: int
) -> bytes:
    """The document that explains; its id is that of the progress."""
    stands = standing(progress, version, now)
    following = None
    if stands.remaining:
        following = NextShown(stands.cycle, version.targets.index(stands.target) + 1, stands.target, stands.remaining)
    lines = [_line(each) for each in explained.lines]
    shown = ThresholdExplanationAttributes(
        threshold_id=str(progress.threshold_id),
        user_id=str(progress.customer_id),
        at=clock.render(at),
        progress=StandingShown(
            current=stands.current,
            pending=progress.pending,
            total=stands.total,
            target=stands.target,
            percent=stands.percent,
            step=stands.step,
            steps=len(version.targets),
            cycle=stands.cycle,
            status=stands.status,
        ),
        next=following,
        outcomes=[_outcome(each) for each in explained.outcomes],
        activities=ActivitiesShown(explained.total, offset, limit, lines),
    )
    return jsonapi.document(jsonapi.resource(EXPLANATION, explained.progress_id, shown))


def _line(each: Line) -> LineShown:
    return LineShown(
        activity_id=str(each.activity_id),
        kind=each.kind,
        source_id=each.source_id,
        occurred_at=clock.render(each.occurred_at),
        counted=each.reason == "counted",
        amount=each.counted,
        reason=each.reason,
        threshold_version=each.number,
    )


def _outcome(each: Reached) -> OutcomeShown:
    return OutcomeShown(
        cycle=each.cycle,
        step=each.step,
        needs=each.needs,
        status=each.status,
        code=each.code,
        amount=each.amount,
        desired_amount=each.desired_amount,
        returned_amount=each.returned_amount,
        reward_id=_text(each.reward_id),
        gift_card_id=_text(each.gift_card_id),
        threshold_version=each.number,
        due_at=None if each.due_at is None else clock.render(each.due_at),
        created_at=clock.render(each.created_at),
    )


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
