"""Reconciliations and schedules of reports over HTTP."""

import csv
import io
import re
from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

import tallystick.reports.reconciliation_store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    Refusal,
    Refusals,
    at,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers.api import path_id, replied
from tallystick.events import TOPICS
from tallystick.merchants import MerchantDirectory
from tallystick.reports import reconciliation_resource as resource
from tallystick.reports import reconciliation_schedules as schedules
from tallystick.reports import reconciling
from tallystick.reports.model import ReportNotReady
from tallystick.reports.reconciliation_model import NUMBER_MAX, ROWS_MAX, Reconciliation, Row, Sum, missing, parse_day
from tallystick.reports.reconciliation_schedules import PutSchedule
from tallystick.reports.reconciling import Reconcile

_WHOLE: Final = re.compile(r"-?[0-9]{1,16}")
TOPIC_NAMES: Final = frozenset(topic.name for topic in TOPICS)
CSV_MAX: Final = 3 * 2**20
FAULTS_SHOWN: Final = 20

Topic = Annotated[str, Meta(max_length=100)]
Count = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Amount = Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX, description="Minor units.")]
Reference = Annotated[str, Meta(min_length=1, max_length=255)]


class TotalSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How many events of a topic you had, and what they come to; without `amount` only the count is compared."""

    topic: Topic
    count: Count
    amount: Amount | None = None


class RowSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One thing you had: the `id` of the event or of its subject, or your name of that; without `amount` it need only be there."""

    topic: Topic
    id: str | None = None
    external_reference: Reference | None = None
    amount: Amount | None = None


class ReconcileAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Your totals for a report, named by its id, or by merchant and day. Topics that you do not name are not compared."""

    report_id: str | None = None
    merchant_id: str | None = None
    date: Annotated[str, Meta(description="The merchant's own day.", extra_json_schema={"format": "date"})] | None = (
        None
    )
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    totals: Annotated[list[TotalSent], Meta(max_length=200)] = []
    rows: Annotated[list[RowSent], Meta(max_length=ROWS_MAX)] = []
    csv: (
        Annotated[
            str,
            Meta(
                max_length=CSV_MAX, description="Rows as CSV, under a line with topic, id, externalReference, amount."
            ),
        ]
        | None
    ) = None


class PutScheduleAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Have a report made of every day of a merchant, or, with `enabled` false, no more of them."""

    kind: Literal["reconciliation"]
    merchant_id: str | None = None
    enabled: bool = True


async def reconcile(directory: MerchantDirectory, call: Call) -> Reply:
    """Hold your totals, and rows where you send them, against a report. What differs is kept, and told by an event."""
    sent: ReconcileAttributes = call.attributes
    faults: list[Refusal] = []
    report_id, merchant_id, day = None, None, None
    if sent.report_id is not None:
        report_id = ids.parse(sent.report_id)
        if report_id is None:
            faults.append(InvalidRequest("This is not an id.", source=attribute("reportId")))
        for name, value in (("merchantId", sent.merchant_id), ("date", sent.date)):
            if value is not None:
                faults.append(InvalidRequest("Name the report or the day, not both.", source=attribute(name)))
    elif sent.date is None:
        faults.append(InvalidRequest("Name a report, or a day of a merchant.", source=attribute("reportId")))
    else:
        merchant_id = await merchant_of(directory, call, sent.merchant_id, faults)
        day = day_in(sent.date, faults)
    totals = _totals(sent.totals, faults)
    rows = _rows(sent, faults)
    if not totals and not rows and not faults:
        faults.append(InvalidRequest("Send totals, or rows.", source=attribute("totals")))
    if faults:
        raise Refusals(faults[:FAULTS_SHOWN])
    command = Reconcile(call.asked, report_id, merchant_id, day, sent.currency, totals, rows)
    return replied(await call.house.batcher.submit(reconciling.reconcile, call.caller.tenant, command))


async def list_reconciliations(call: Call) -> Reply:
    """The caller's reconciliations, or the programme's by agreement, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    named, status = call.query.get("filter[merchantId]"), call.query.get("filter[status]")
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        faults.append(InvalidRequest("This is not an id.", source=parameter("filter[merchantId]")))
    if status not in (None, *STATUSES):
        faults.append(InvalidRequest("It is matched or mismatched.", source=parameter("filter[status]")))
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, partner_id, caller.merchant_ids, merchant_id, status, offset, limit)
    shown = [resource.reconciliation(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_reconciliation(call: Call) -> Reply:
    """What came of one reconciliation."""
    found = await _visible(call)
    return Reply(200, resource.reconciliation_document(found), resource_id=found.id)


async def list_differences(call: Call) -> Reply:
    """What differs: totals first, then rows, then events that no row names; the first 10,000 are kept."""
    offset, limit = jsonapi.page(call)
    found = await _visible(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await store.differences(work, found.id, offset, limit)
    shown = [resource.difference(found, number, each) for number, each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def put_schedule(directory: MerchantDirectory, call: Call) -> Reply:
    """Have a report of every day of a merchant made, when the day is over; or stop that. The first is the day that runs."""
    sent: PutScheduleAttributes = call.attributes
    faults: list[Refusal] = []
    merchant_id = await merchant_of(directory, call, sent.merchant_id, faults)
    if merchant_id is None:
        raise Refusals(faults)
    command = PutSchedule(call.asked, merchant_id, sent.enabled)
    return replied(await call.house.batcher.submit(schedules.put, call.caller.tenant, command))


async def list_schedules(call: Call) -> Reply:
    """The partner's schedules, oldest first."""
    offset, limit = jsonapi.page(call)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.schedules(work, caller.partner_id, caller.merchant_ids, offset, limit)
    shown = [resource.schedule(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def merchant_of(
    directory: MerchantDirectory, call: Call, named: str | None, faults: list[Refusal]
) -> UUID | None:
    """The merchant that is named, or the only one there is, where the caller may act for it; else a fault."""
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        detail = "There is no such merchant that you may act for."
        faults.append(InvalidRequest(detail, source=attribute("merchantId")))
        return None
    try:
        return (await directory.resolve(call.caller, merchant_id)).id
    except InvalidRequest as refused:
        faults.append(refused)
        return None


def day_in(sent: str, faults: list[Refusal]) -> date | None:
    """The day of the attribute `date`; else a fault."""
    try:
        return parse_day(sent)
    except ValueError as wrong:
        faults.append(InvalidRequest(str(wrong), source=attribute("date")))
        return None


async def _visible(call: Call) -> Reconciliation:
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await store.by_id(work, path_id(call, missing()))
    if found is None or not found.seen_by(call.caller):
        raise missing()
    return found


def _totals(sent: Sequence[TotalSent], faults: list[Refusal]) -> dict[str, Sum]:
    found: dict[str, Sum] = {}
    for number, total in enumerate(sent):
        place = at(f"/data/attributes/totals/{number}/topic")
        if total.topic not in TOPIC_NAMES:
            faults.append(InvalidRequest("There is no such topic.", source=place))
        elif total.topic in found:
            faults.append(InvalidRequest("This topic has a total already.", source=place))
        else:
            found[total.topic] = Sum(total.count, total.amount)
    return found


def _rows(sent: ReconcileAttributes, faults: list[Refusal]) -> tuple[Row, ...]:
    if sent.csv is None:
        return tuple(_row(row, f"/data/attributes/rows/{n}", "", faults) for n, row in enumerate(sent.rows))
    if sent.rows:
        faults.append(InvalidRequest("Send rows, or the same as CSV.", source=attribute("csv")))
        return ()
    found = []
    try:
        for line, row in _csv_rows(sent.csv):
            found.append(_row(row, "/data/attributes/csv", f"Line {line}: ", faults))
    except (ValueError, csv.Error) as wrong:
        faults.append(InvalidRequest(str(wrong), source=attribute("csv")))
    return tuple(found)


def _row(sent: RowSent, place: str, said: str, faults: list[Refusal]) -> Row:
    row_id = None if sent.id is None else ids.parse(sent.id)
    fault = None
    if sent.topic not in TOPIC_NAMES:
        fault = "There is no such topic."
    elif (sent.id is None) == (sent.external_reference is None):
        fault = "Give either id or externalReference."
    elif sent.id is not None and row_id is None:
        fault = "This is not an id."
    elif sent.external_reference is not None and not sent.external_reference.isprintable():
        fault = "A reference is printable text."
    if fault is not None:
        faults.append(InvalidRequest(said + fault, source=at(place)))
    return Row(sent.topic, row_id, sent.external_reference, sent.amount)


def _csv_rows(text: str) -> list[tuple[int, RowSent]]:
    """Each line with its number. Raises ValueError with a sentence for people."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns = [name.strip() for name in next(lines, [])]
    if "topic" not in columns or len(set(columns)) != len(columns) or not set(columns) <= set(CSV_COLUMNS):
        raise ValueError(
            f"The first line names the columns: {', '.join(CSV_COLUMNS)}; topic is needed, each comes once."
        )
    found: list[tuple[int, RowSent]] = []
    for cells in lines:
        if not cells:
            continue
        if len(found) == ROWS_MAX:
            raise ValueError(f"There are at most {ROWS_MAX} rows.")
        if len(cells) != len(columns):
            raise ValueError(f"Line {lines.line_num}: there are {len(columns)} columns.")
        said = {name: cell for name, cell in zip(columns, cells, strict=True) if cell != ""}
        if "amount" in said and _WHOLE.fullmatch(said["amount"]) is None:
            raise ValueError(f"Line {lines.line_num}: an amount is a whole number of minor units.")
        try:
            found.append((lines.line_num, msgspec.convert(said, RowSent, strict=False)))
        except msgspec.ValidationError as wrong:
            raise ValueError(f"Line {lines.line_num}: {wrong}") from None
    return found


STATUSES: Final = ("matched", "mismatched")
CSV_COLUMNS: Final = ("topic", "id", "externalReference", "amount")
MERCHANT_FILTER: Final = Parameter(
    "filter[merchantId]", "Only those of this merchant.", schema={"type": "string", "format": "uuid"}
)
STATUS_FILTER: Final = Parameter(
    "filter[status]", "Only those that matched, or did not.", schema={"type": "string", "enum": list(STATUSES)}
)
READ, WRITE = "reports:read", "reports:write"


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """The routes of reconciliations and of schedules."""
    found, wish = resource.RECONCILIATION, resource.SCHEDULE
    total = {"topic": "reward.credited", "count": 411, "amount": 205500}
    takes = Takes(ReconcileAttributes, ("Reconciliation",), {"reportId": resource.EXAMPLE_REPORT, "totals": [total]})
    puts = Takes(PutScheduleAttributes, ("ReportSchedule",), {"kind": "reconciliation"})
    return (
        Route(
            "POST", found.path, partial(reconcile, directory), WRITE, "Hold your own totals against a report",
            takes, found, status=201, keyed=True, large=True, errors=(ReportNotReady, IdempotencyConflict),
        ),
        Route(
            "GET", found.path, list_reconciliations, READ, "List reconciliations",
            gives=found, many=True, query=(MERCHANT_FILTER, STATUS_FILTER, *PAGE),
        ),
        Route("GET", f"{found.path}/{{id}}", get_reconciliation, READ, "Get a reconciliation", gives=found, errors=(NotFound,)),
        Route(
            "GET", resource.DIFFERENCE.path, list_differences, READ, "List what differs in a reconciliation",
            gives=resource.DIFFERENCE, many=True, query=PAGE, errors=(NotFound,),
        ),
        Route("GET", wish.path, list_schedules, READ, "List schedules of reports", gives=wish, many=True, query=PAGE),
        Route(
            "PUT", wish.path, partial(put_schedule, directory), WRITE, "Have a report made every day",
            puts, wish, keyed=True, errors=(IdempotencyConflict,),
        ),
    )  # fmt: skip
