"""Reconciliations, their differences, and schedules of reports on the wire."""

from typing import Final, Literal

import msgspec

from tallystick import events
from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.reports.reconciliation_model import (
    Compared,
    Difference,
    DifferenceKind,
    Reconciliation,
    Schedule,
    Status,
)
from tallystick.reports.resource import EXAMPLE_MERCHANT

EXAMPLE_REPORT: Final = "0199d3c0-63c4-7d1e-8a52-9b0e4f6a7c21"
MISMATCH: Final = "reconciliation.mismatch_found"


class ComparedTotal(msgspec.Struct, rename="camel"):
    """A topic's total: of the report (`our`) beside what was sent (`their`). Amounts are null where there are none."""

    topic: str
    matches: bool
    our_count: int
    our_amount: int | None
    their_count: int
    their_amount: int | None


class ReconciliationAttributes(msgspec.Struct, rename="camel"):
    """Your totals, held against a report. `rows` is how many were sent; `differenceCount` counts differing totals and rows."""

    merchant_id: str
    report_id: str
    from_: str = msgspec.field(name="from")
    to: str
    currency: str
    status: Status
    totals: list[ComparedTotal]
    rows: int
    difference_count: int
    created_at: str


class DifferenceAttributes(msgspec.Struct, rename="camel"):
    """Where both differ: a topic's `total`; a row that is `missingHere`; an event that no row names (`missingThere`); a row whose
    number of events or amount `differs`. `subjectId` is what the event is about, `reference` the name that you gave it.
    """

    number: int
    kind: DifferenceKind
    topic: str
    event_id: str | None
    subject_id: str | None
    reference: str | None
    our_count: int
    our_amount: int | None
    their_count: int
    their_amount: int | None


class ScheduleAttributes(msgspec.Struct, rename="camel"):
    """A report that is made every day. `nextDate`, the merchant's own day, is reported at `dueAt`; both null: it is off."""

    kind: Literal["reconciliation"]
    merchant_id: str
    enabled: bool
    next_date: str | None
    due_at: str | None
    last_report_id: str | None
    created_at: str
    updated_at: str


RECONCILIATION: Final = Resource(
    "Reconciliation",
    "/api/v1/reconciliations",
    ReconciliationAttributes,
    {
        "merchantId": EXAMPLE_MERCHANT,
        "reportId": EXAMPLE_REPORT,
        "from": "2026-06-16T22:00:00.000Z",
        "to": "2026-06-17T22:00:00.000Z",
        "currency": "EUR",
        "status": "mismatched",
        "totals": [
            {
                "topic": "reward.credited",
                "matches": False,
                "ourCount": 412,
                "ourAmount": 206000,
                "theirCount": 411,
                "theirAmount": 205500,
            }
        ],
        "rows": 411,
        "differenceCount": 2,
        "createdAt": "2026-06-18T06:00:00.000Z",
    },
)
DIFFERENCE: Final = Resource(
    "ReconciliationDifference",
    "/api/v1/reconciliations/{id}/differences",
    DifferenceAttributes,
    {
        "number": 2,
        "kind": "missingThere",
        "topic": "reward.credited",
        "eventId": "0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01",
        "subjectId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
        "reference": None,
        "ourCount": 1,
        "ourAmount": 500,
        "theirCount": 0,
        "theirAmount": None,
    },
)
SCHEDULE: Final = Resource(
    "ReportSchedule",
    "/api/v1/report-schedules",
    ScheduleAttributes,
    {
        "kind": "reconciliation",
        "merchantId": EXAMPLE_MERCHANT,
        "enabled": True,
        "nextDate": "2026-06-17",
        "dueAt": "2026-06-17T23:00:00.000Z",
        "lastReportId": EXAMPLE_REPORT,
        "createdAt": "2026-06-01T08:00:00.000Z",
        "updatedAt": "2026-06-01T08:00:00.000Z",
    },
)


def reconciliation(found: Reconciliation) -> bytes:
    """The resource object of a reconciliation. Names that a partner gave are in its differences only; events hold the same."""
    return jsonapi.resource(
        RECONCILIATION,
        found.id,
        ReconciliationAttributes(
            merchant_id=str(found.merchant_id),
            report_id=str(found.report_id),
            from_=clock.render(found.from_at),
            to=clock.render(found.to_at),
            currency=found.currency,
            status=found.status,
            totals=[_total(each) for each in found.totals],
            rows=found.row_count,
            difference_count=found.difference_count,
            created_at=clock.render(found.created_at),
        ),
    )


def reconciliation_document(found: Reconciliation) -> bytes:
    """The document of one reconciliation."""
    return jsonapi.document(reconciliation(found))


def event(found: Reconciliation) -> events.Event:
    """What tells that both differ."""
    return events.Event(
        topic=MISMATCH,
        subject_type=RECONCILIATION.type,
        subject_id=found.id,
        sequence=1,
        document=reconciliation(found),
        partner_id=found.partner_id,
        merchant_id=found.merchant_id,
        request_id=found.request_id,
    )


def difference(found: Reconciliation, number: int, each: Difference) -> bytes:
    """The resource object of one difference."""
    return jsonapi.resource(
        DIFFERENCE,
        f"{found.id}:{number}",
        DifferenceAttributes(
            number=number,
            kind=each.kind,
            topic=each.topic,
            event_id=None if each.event_id is None else str(each.event_id),
            subject_id=None if each.subject_id is None else str(each.subject_id),
            reference=each.reference,
            our_count=each.ours.count,
            our_amount=each.ours.amount,
            their_count=each.theirs.count,
            their_amount=each.theirs.amount,
        ),
    )


def schedule(found: Schedule) -> bytes:
    """The resource object of a schedule."""
    return jsonapi.resource(
        SCHEDULE,
        found.id,
        ScheduleAttributes(
            kind=found.kind,
            merchant_id=str(found.merchant_id),
            enabled=found.due_at is not None,
            next_date=None if found.due_at is None else found.next_day.isoformat(),
            due_at=None if found.due_at is None else clock.render(found.due_at),
            last_report_id=None if found.last_report_id is None else str(found.last_report_id),
            created_at=clock.render(found.created_at),
            updated_at=clock.render(found.updated_at),
        ),
    )


def schedule_document(found: Schedule) -> bytes:
    """The document of one schedule."""
    return jsonapi.document(schedule(found))


def _total(each: Compared) -> ComparedTotal:
    return ComparedTotal(
        each.topic, each.matches, each.ours.count, each.ours.amount, each.theirs.count, each.theirs.amount
    )
