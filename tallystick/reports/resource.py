"""Periods, reports and terms of breakage on the wire."""

from typing import Final

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.ledger.periods_model import Period
from tallystick.reports.model import BreakageTerms, Report

EXAMPLE_MERCHANT: Final = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"
EXAMPLE_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class PeriodAttributes(msgspec.Struct, rename="camel"):
    """A stretch of a merchant's books, its end not included. Figures are null until it is closed.

    `sums` is what moved on the accounts of each code, credits less debits; `inTransit` is what of a journal is dated in the period
    while its other side is dated in the next: sums and it make nothing. `digest` is a SHA-256 over every entry.
    """

    merchant_id: str
    number: int
    currency: str
    starts_at: str
    ends_at: str
    status: str
    entries: int | None
    sums: dict[str, int] | None
    in_transit: int | None
    digest: str | None
    closed_at: str | None
    created_at: str


class ReportAttributes(msgspec.Struct, rename="camel"):
    """An ordered report. It covers `from` up to and without `to`; a settlement, versions behind `fromVersion` up to `toVersion`.

    `final`: nothing can change it, since it covers closed periods or versions. `digest` is a SHA-256 of its rows, `figures` sum it
    up.
    """

    merchant_id: str
    kind: str
    status: str
    from_: str | None = msgspec.field(name="from")
    to: str | None
    from_version: int | None
    to_version: int | None
    dormant_months: int | None
    final: bool | None
    rows: int | None
    digest: str | None
    figures: dict[str, int] | None
    created_at: str
    updated_at: str


class TermsAttributes(msgspec.Struct, rename="camel"):
    """Which share of the paid value a merchant sells is expected never to be redeemed, in basis points, and on what evidence."""

    rate_basis_points: int
    basis: str | None
    effective_from: str | None


PERIOD: Final = Resource(
    "Period",
    "/api/v1/periods",
    PeriodAttributes,
    {
        "merchantId": EXAMPLE_MERCHANT,
        "number": 3,
        "currency": "EUR",
        "startsAt": "2026-05-31T22:00:00.000Z",
        "endsAt": "2026-06-30T22:00:00.000Z",
        "status": "closed",
        "entries": 48210,
        "sums": {"card.lot": 125000, "merchant.payable": 310000, "merchant.sales": -435000},
        "inTransit": 0,
        "digest": EXAMPLE_DIGEST,
        "closedAt": "2026-07-02T08:00:00.000Z",
        "createdAt": "2026-07-02T07:59:58.000Z",
    },
)

REPORT: Final = Resource(
    "Report",
    "/api/v1/reports",
    ReportAttributes,
    {
        "merchantId": EXAMPLE_MERCHANT,
        "kind": "settlement",
        "status": "completed",
        "from": "2026-05-31T22:00:00.000Z",
        "to": "2026-06-30T22:00:00.000Z",
        "fromVersion": 8120,
        "toVersion": 16404,
        "dormantMonths": None,
        "final": True,
        "rows": 7911,
        "digest": EXAMPLE_DIGEST,
        "figures": {"opening": 0, "captured": 320000, "refunded": 10000, "other": 0, "net": 310000, "closing": 310000},
        "createdAt": "2026-07-02T08:00:00.000Z",
        "updatedAt": "2026-07-02T08:00:01.000Z",
    },
)

TERMS: Final = Resource(
    "BreakageTerms",
    "/api/v1/merchants/{id}/breakage-terms",
    TermsAttributes,
    {
        "rateBasisPoints": 450,
        "basis": "Cards sold in 2019 to 2021: 4.5 percent of their value was never redeemed.",
        "effectiveFrom": "2026-07-02T08:00:00.000Z",
    },
)


def period(period: Period) -> bytes:
    """The resource object of a period. Nothing in it is personal, so that events hold the same."""
    sums: dict[str, int] = {}
    for movement, amount in period.movements().items():
        sums[movement.code] = sums.get(movement.code, 0) + amount
    closed = period.status == "closed"
    return jsonapi.resource(
        PERIOD,
        period.id,
        PeriodAttributes(
            merchant_id=str(period.merchant_id),
            number=period.number,
            currency=period.currency,
            starts_at=clock.render(period.starts_at),
            ends_at=clock.render(period.ends_at),
            status=period.status,
            entries=period.entries,
            sums=dict(sorted(sums.items())) if closed else None,
            in_transit=-sum(sums.values()) if closed else None,
            digest=None if period.digest is None else period.digest.hex(),
            closed_at=None if period.closed_at is None else clock.render(period.closed_at),
            created_at=clock.render(period.created_at),
        ),
    )


def period_document(shown: Period) -> bytes:
    """The document of one period."""
    return jsonapi.document(period(shown))


def report(report: Report) -> bytes:
    """The resource object of a report; events hold the same."""
    return jsonapi.resource(
        REPORT,
        report.id,
        ReportAttributes(
            merchant_id=str(report.merchant_id),
            kind=report.kind,
            status=report.status,
            from_=None if report.from_at is None else clock.render(report.from_at),
            to=None if report.to_at is None else clock.render(report.to_at),
            from_version=report.from_version,
            to_version=report.to_version,
            dormant_months=report.dormant_months,
            final=report.final,
            rows=report.row_count,
            digest=None if report.digest is None else report.digest.hex(),
            figures=None if report.figures is None else msgspec.json.decode(report.figures, type=dict[str, int]),
            created_at=clock.render(report.created_at),
            updated_at=clock.render(report.updated_at),
        ),
    )


def report_document(shown: Report) -> bytes:
    """The document of one report."""
    return jsonapi.document(report(shown))


def terms_document(terms: BreakageTerms) -> bytes:
    """The document of a merchant's terms of breakage; its id is the merchant's."""
    attributes = TermsAttributes(
        rate_basis_points=terms.rate_basis_points,
        basis=terms.basis,
        effective_from=None if terms.effective_from is None else clock.render(terms.effective_from),
    )
    return jsonapi.document(jsonapi.resource(TERMS, terms.merchant_id, attributes))
