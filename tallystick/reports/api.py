"""Reports, periods and terms of breakage over HTTP."""

from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

import tallystick.reports.store as store
from tallystick.base import clock, ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers.api import path_id, replied
from tallystick.ledger import periods
from tallystick.merchants import MerchantDirectory
from tallystick.reports import closing, downloads, ordering, reconciliation_api, resource
from tallystick.reports.closing import ClosePeriod
from tallystick.reports.model import KINDS, BreakageTerms, Report, ReportNotReady, WorkOutstanding, no_period, no_report
from tallystick.reports.ordering import NO_MERCHANT, OrderReport, SetTerms

VERSION_MAX: Final = 2**53 - 1

Instant = Annotated[str, Meta(max_length=100, extra_json_schema={"format": "date-time"})]
Day = Annotated[
    str, Meta(description="The merchant's own day, instead of instants.", extra_json_schema={"format": "date"})
]
Version = Annotated[
    int, Meta(ge=0, le=VERSION_MAX, description="A version of the account of what the merchant is owed.")
]


class ClosePeriodAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Until when to close the books; the end is not included, and now at the latest."""

    ends_at: Instant
    merchant_id: str | None = None


class OrderReportAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What to report: from the beginning of the books until now, unless told; a reconciliation, the last day that is over.

    A settlement may be between two versions instead, and a reconciliation about one `date`.
    """

    kind: Literal["liability", "breakage", "settlement", "aging", "dormancy", "reconciliation", "trialBalance"]
    merchant_id: str | None = None
    from_: Instant | None = msgspec.field(default=None, name="from")
    to: Instant | None = None
    date: Day | None = None
    from_version: Version | None = None
    to_version: Version | None = None
    dormant_months: Annotated[int, Meta(ge=1, le=600, description="12 unless told.")] | None = None


class SetTermsAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The share that is expected never to be redeemed, and on what evidence."""

    rate_basis_points: Annotated[int, Meta(ge=0, le=9_999, description="Hundredths of a percent.")]
    basis: Annotated[str, Meta(min_length=1, max_length=500, description="On what evidence the estimate rests.")]


async def close_period(directory: MerchantDirectory, call: Call) -> Reply:
    """Close a merchant's books up to an instant. Accepted at once; closed when it has every figure, within moments."""
    sent: ClosePeriodAttributes = call.attributes
    faults: list[Refusal] = []
    merchant_id = await reconciliation_api.merchant_of(directory, call, sent.merchant_id, faults)
    ends_at = _instant(sent.ends_at, "endsAt", faults)
    if merchant_id is None or ends_at is None:
        raise Refusals(faults)
    command = ClosePeriod(call.asked, merchant_id, ends_at)
    return replied(await call.house.batcher.submit(closing.close, call.caller.tenant, command))


async def list_periods(call: Call) -> Reply:
    """The periods of the merchants that the client may act for, latest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    merchant_id = _merchant_filter(call, faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await periods.listed(work, call.caller.merchant_ids, merchant_id, offset, limit)
    shown = [resource.period(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_period(call: Call) -> Reply:
    """One period; its figures are there once it is closed."""
    period_id = path_id(call, no_period())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        period = await periods.by_id(work, period_id)
    if period is None or not _may_act_for(call, period.merchant_id):
        raise no_period()
    return Reply(200, resource.period_document(period), resource_id=period_id)


async def order_report(directory: MerchantDirectory, call: Call) -> Reply:
    """Order a report; it is made in the background."""
    sent: OrderReportAttributes = call.attributes
    faults: list[Refusal] = []
    merchant_id = await reconciliation_api.merchant_of(directory, call, sent.merchant_id, faults)
    from_at = None if sent.from_ is None else _instant(sent.from_, "from", faults)
    to_at = None if sent.to is None else _instant(sent.to, "to", faults)
    day = None if sent.date is None else reconciliation_api.day_in(sent.date, faults)
    if merchant_id is None or faults:
        raise Refusals(faults)
    command = OrderReport(
        call.asked, merchant_id, sent.kind, from_at, to_at, sent.from_version, sent.to_version, sent.dormant_months, day
    )
    return replied(await call.house.batcher.submit(ordering.order, call.caller.tenant, command))


async def list_reports(call: Call) -> Reply:
    """The caller's reports, or the programme's by agreement, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    merchant_id = _merchant_filter(call, faults)
    kind = call.query.get("filter[kind]")
    if kind is not None and kind not in KINDS:
        faults.append(InvalidRequest(f"The kind is one of {', '.join(KINDS)}.", source=parameter("filter[kind]")))
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, partner_id, caller.merchant_ids, merchant_id, kind, offset, limit)
    shown = [resource.report(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_report(call: Call) -> Reply:
    """How far a report is, and its figures once it is made."""
    report = await _report(call)
    return Reply(200, resource.report_document(report), resource_id=report.id)


async def download_report(call: Call) -> Reply:
    """The rows of a report that is made, as CSV."""
    report = await _made(call)
    stream = downloads.as_csv(call.house.runtime, call.caller.tenant, report)
    return Reply(200, None, resource_id=report.id, stream=stream)


async def download_report_rows(call: Call) -> Reply:
    """The rows of a report that is made, as a JSON array of objects."""
    report = await _made(call)
    stream = downloads.as_json(call.house.runtime, call.caller.tenant, report)
    return Reply(200, None, resource_id=report.id, stream=stream)


async def download_report_table(call: Call) -> Reply:
    """The rows of a report that is made, as a Parquet file."""
    report = await _made(call)
    stream = downloads.as_parquet(call.house.runtime, call.caller.tenant, report)
    return Reply(200, None, resource_id=report.id, stream=stream)


async def get_terms(call: Call) -> Reply:
    """What share of a merchant's paid value is expected never to be redeemed; none, unless it was told."""
    merchant_id = path_id(call, NotFound(NO_MERCHANT))
    async with call.house.runtime.reading(call.caller.tenant) as work:
        terms = await store.terms(work, merchant_id)
        is_there = await store.beginning(work, merchant_id) is not None
    if not is_there or not _may_act_for(call, merchant_id):
        raise NotFound(NO_MERCHANT)
    shown = terms or BreakageTerms(merchant_id, 0, None, None)
    return Reply(200, resource.terms_document(shown), resource_id=merchant_id)


async def set_terms(call: Call) -> Reply:
    """Tell what share of a merchant's paid value will never be redeemed, as known now. The next period to close catches up."""
    sent: SetTermsAttributes = call.attributes
    command = SetTerms(call.asked, path_id(call, NotFound(NO_MERCHANT)), sent.rate_basis_points, sent.basis)
    return replied(await call.house.batcher.submit(ordering.set_terms, call.caller.tenant, command))


async def _report(call: Call) -> Report:
    report_id = path_id(call, no_report())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        report = await ordering.visible(work, call.asked, report_id)
    if report is None:
        raise no_report()
    return report


async def _made(call: Call) -> Report:
    report = await _report(call)
    if report.status == "completed":
        return report
    if report.status == "failed":
        raise ReportNotReady("The report could not be made. Order it again; the fault has been recorded.")
    raise ReportNotReady("The report is being made; ask again in a moment.")


def _instant(sent: str, name: str, faults: list[Refusal]) -> datetime | None:
    """The instant, in whole milliseconds as all of them are shown."""
    try:
        instant = clock.parse_instant(sent)
    except ValueError as error:
        faults.append(InvalidRequest(str(error), source=attribute(name)))
        return None
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _merchant_filter(call: Call, faults: list[Refusal]) -> UUID | None:
    sent = call.query.get("filter[merchantId]")
    merchant_id = None if sent is None else ids.parse(sent)
    if sent is not None and merchant_id is None:
        faults.append(InvalidRequest("This is not an id.", source=parameter("filter[merchantId]")))
    return merchant_id


def _may_act_for(call: Call, merchant_id: UUID) -> bool:
    allowed = call.caller.merchant_ids
    return allowed is None or merchant_id in allowed


MERCHANT_FILTER: Final = Parameter(
    "filter[merchantId]", "Only those of this merchant.", schema={"type": "string", "format": "uuid"}
)
KIND_FILTER: Final = Parameter(
    "filter[kind]", "Only reports of this kind.", schema={"type": "string", "enum": list(KINDS)}
)

READ, WRITE = "reports:read", "reports:write"


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """This room's routes."""
    return (*_periods(directory), *_reports(directory), *_terms(), *reconciliation_api.routes(directory))


def _periods(directory: MerchantDirectory) -> tuple[Route, ...]:
    period = resource.PERIOD
    takes = Takes(ClosePeriodAttributes, ("Period",), {"endsAt": "2026-06-30T22:00:00.000Z"})
    return (
        Route(
            "POST", period.path, partial(close_period, directory), WRITE, "Close a period of a merchant's books",
            takes, period, status=202, keyed=True, errors=(InvalidState, WorkOutstanding, IdempotencyConflict),
        ),
        Route(
            "GET", period.path, list_periods, READ, "List periods",
            gives=period, many=True, query=(MERCHANT_FILTER, *PAGE),
        ),
        Route("GET", f"{period.path}/{{id}}", get_period, READ, "Get a period", gives=period, errors=(NotFound,)),
    )  # fmt: skip


def _reports(directory: MerchantDirectory) -> tuple[Route, ...]:
    report = resource.REPORT
    one = f"{report.path}/{{id}}"
    example = {"kind": "liability", "from": "2026-05-31T22:00:00.000Z", "to": "2026-06-30T22:00:00.000Z"}
    takes = Takes(OrderReportAttributes, ("Report",), example)
    made = (NotFound, ReportNotReady)
    return (
        Route(
            "POST", report.path, partial(order_report, directory), WRITE, "Order a report",
            takes, report, status=202, keyed=True, errors=(IdempotencyConflict,),
        ),
        Route(
            "GET", report.path, list_reports, READ, "List reports",
            gives=report, many=True, query=(MERCHANT_FILTER, KIND_FILTER, *PAGE),
        ),
        Route("GET", one, get_report, READ, "Get a report", gives=report, errors=(NotFound,)),
        Route(
            "GET", f"{one}/download", download_report, READ, "Download a report's rows as CSV",
            errors=made, download="text/csv",
        ),
        Route(
            "GET", f"{one}/rows", download_report_rows, READ, "Download a report's rows as JSON",
            errors=made, download="application/json",
        ),
        Route(
            "GET", f"{one}/parquet", download_report_table, READ, "Download a report's rows as Parquet",
            errors=made, download="application/vnd.apache.parquet",
        ),
    )  # fmt: skip


def _terms() -> tuple[Route, ...]:
    terms = resource.TERMS
    takes = Takes(SetTermsAttributes, ("BreakageTerms",), {"rateBasisPoints": 450, "basis": terms.example["basis"]})
    return (
        Route("GET", terms.path, get_terms, READ, "Get a merchant's terms of breakage", gives=terms, errors=(NotFound,)),
        Route(
            "PUT", terms.path, set_terms, WRITE, "Set a merchant's terms of breakage",
            takes, terms, keyed=True, errors=(NotFound, IdempotencyConflict),
        ),
    )  # fmt: skip
