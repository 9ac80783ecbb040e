"""Hold a partner's own totals, and its rows where it sends them, against a report; keep and tell what differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

import msgspec

import tallystick.reports.reconciliation_store as store
import tallystick.reports.store as reports_store
from tallystick import audit, events, merchants
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.reports import ordering, reconciliation
from tallystick.reports import reconciliation_comparing as comparing
from tallystick.reports import reconciliation_resource as resource
from tallystick.reports.model import Report, ReportNotReady
from tallystick.reports.reconciliation_model import (
    DIFFERENCES_KEPT,
    EVENTS_MAX,
    NUMBER_MAX,
    Compared,
    Difference,
    Reconciliation,
    Row,
    Sum,
    bounds,
)
from tallystick.reports.reconciliation_store import Span

PAGE: Final = 2_000
_rows = msgspec.json.Decoder(list[tuple[Any, ...]]).decode


@dataclass(frozen=True, slots=True)
class Reconcile:
    """A partner's totals by topic and its rows, about a report, or about a day of a merchant that the caller may act for."""

    asked: Asked
    report_id: UUID | None
    merchant_id: UUID | None
    day: date | None
    currency: str | None
    totals: dict[str, Sum]
    rows: tuple[Row, ...]


async def reconcile(work: Work, commands: Sequence[Reconcile]) -> list[Answer | Refusal]:
    """What came of each, once for its key."""
    return await idempotency.keyed(
        work,
        "reconciliations.create",
        commands,
        _reconcile,
        fingerprint=lambda each: msgspec.json.encode(
            [each.report_id, each.merchant_id, each.day, each.currency, sorted(each.totals.items()), each.rows]
        ),
        seal=HouseSeal(),
    )


async def _reconcile(work: Work, command: Reconcile) -> Answer | Refusal:
    report = await _report(work, command)
    if isinstance(report, Refusal):
        return report
    assert report.from_at is not None and report.to_at is not None, "it is about a stretch of time"
    currency = (await merchants.by_ids(work, [report.merchant_id]))[report.merchant_id].currency
    if command.currency not in (None, currency):
        return InvalidRequest(f"The merchant's books are kept in {currency}.", source=attribute("currency"))
    made = comparing.of_rows(command.rows)
    if any(abs(each.amount or 0) > NUMBER_MAX for each in made.values()):
        return InvalidRequest("The rows come to more than there can be.", source=attribute("rows"))
    ours = await _totals(work, report)
    compared = comparing.totals(ours, {**made, **command.totals})
    differing = comparing.of_totals(compared)
    if sum(ours.get(topic, comparing.NOTHING).count for topic in made) > EVENTS_MAX:
        told = f"There are more than {EVENTS_MAX} events of these topics: send totals, and rows of fewer topics."
        return InvalidRequest(told, source=attribute("rows"))
    rows, count = await _differing_rows(work, report, command.rows)
    found = _found(work, command, report, currency, compared, len(differing) + count)
    return await _kept(work, command.asked, found, (differing + rows)[:DIFFERENCES_KEPT])


async def _report(work: Work, command: Reconcile) -> Report | Refusal:
    if command.report_id is not None:
        found = await ordering.visible(work, command.asked, command.report_id)
        if found is None or found.kind != "reconciliation":
            return InvalidRequest("There is no such report of the kind reconciliation.", source=attribute("reportId"))
        if found.status != "completed":
            return ReportNotReady("The report is not made; its status says whether it will be.")
        return found
    assert command.merchant_id is not None and command.day is not None, "a request names one or the other"
    merchant = (await merchants.by_ids(work, [command.merchant_id]))[command.merchant_id]
    since, until = bounds(command.day, merchant.time_zone)
    found = await store.of_day(work, command.asked.caller.partner_id, merchant.id, since, until)
    if found is None:
        told = "You have no report of this day that is made. Order one, and come back when it is ready."
        return InvalidRequest(told, source=attribute("date"))
    return found


async def _totals(work: Work, report: Report) -> dict[str, Sum]:
    """What the report says of each topic, over all of its days."""
    sums: dict[str, Sum] = {}
    part = 1
    while (content := await reports_store.part(work, report.id, part)) is not None:
        for _day, section, topic, _class, count, amount, *_ in _rows(content):
            if section == reconciliation.EVENTS:
                before = sums.get(topic, Sum(0, None))
                both = [each for each in (before.amount, amount) if each is not None]
                sums[topic] = Sum(before.count + count, sum(both) if both else None)
        part += 1
    return sums


async def _differing_rows(work: Work, report: Report, sent: Sequence[Row]) -> tuple[list[Difference], int]:
    """The events that the report covers, those of the topics of these rows, compared with them."""
    if not sent:
        return [], 0
    assert report.from_at is not None and report.to_at is not None and report.figures is not None, "it is made"
    upto = msgspec.json.decode(report.figures, type=dict[str, int])["position"]
    sight = await reconciliation.sees_programme(work, report)
    span = Span(report.merchant_id, report.partner_id, sight, upto, report.from_at, report.to_at)
    topics = sorted({row.topic for row in sent})
    rows = comparing.Rows.of(sent)
    after = 0
    while page := await store.happened(work, span, topics, after, PAGE):
        for event in page:
            rows.see(event)
        after = page[-1].position
    return rows.differences()


def _found(
    work: Work, command: Reconcile, report: Report, currency: str, compared: Sequence[Compared], differences: int
) -> Reconciliation:
    assert report.from_at is not None and report.to_at is not None, "it is about a stretch of time"
    return Reconciliation(
        id=ids.new(),
        partner_id=command.asked.caller.partner_id,
        client_id=command.asked.caller.client_id,
        merchant_id=report.merchant_id,
        request_id=command.asked.request_id,
        report_id=report.id,
        from_at=report.from_at,
        to_at=report.to_at,
        currency=currency,
        status="mismatched" if differences else "matched",
        totals=compared,
        row_count=len(command.rows),
        difference_count=differences,
        created_at=work.now,
    )


async def _kept(work: Work, asked: Asked, found: Reconciliation, differences: Sequence[Difference]) -> Answer:
    await store.insert(work, found, differences)
    if found.status == "mismatched":
        events.record(work, resource.event(found))
    audit.note(work, asked, status=201, resource_id=found.id)
    location = f"{resource.RECONCILIATION.path}/{found.id}"
    return Answer(201, resource.reconciliation_document(found), found.id, location)
