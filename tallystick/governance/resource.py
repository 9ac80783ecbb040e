"""Quotas on the wire: what is used, what is charged, and the terms."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Tenant
from tallystick.governance import model
from tallystick.governance.model import Line, Terms
from tallystick.governance.reading import Reckoned

_PARTNER: Final = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11"
_PERIOD: Final[Mapping[str, Any]] = {
    "metric": "rewards.value",
    "currency": "USD",
    "period": "month",
    "timeZone": "America/New_York",
    "periodStart": "2026-06-01T04:00:00.000Z",
    "periodEnd": "2026-07-01T04:00:00.000Z",
    "included": 1_000_000,
}
_USAGE: Final = {
    "partnerId": _PARTNER,
    "programmeId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a12",
    "environment": "production",
    **_PERIOD,
    "beyond": "allow",
    "cap": 1_500_000,
    "used": 1_024_000,
    "remaining": 0,
    "overage": 24_000,
    "overageCharge": 240,
    "priceCurrency": "USD",
    "refused": 0,
    "forecast": 1_870_000,
    "state": "exceeded",
}
_LINE: Final = {
    "id": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a13",
    "metric": "rewards.value",
    "currency": "USD",
    "period": "month",
    "timeZone": "America/New_York",
    "included": 1_000_000,
    "beyond": "allow",
    "cap": 1_500_000,
    "unitPrice": 1,
    "per": 100,
    "priceCurrency": "USD",
}


class UsageAttributes(msgspec.Struct, rename="camel", gc=False):
    """What is used of a quota in one period: minor units of `currency` for values, else numbers. `forecast` is what will be used
    at its end, if it goes on as it did.
    """

    partner_id: str
    programme_id: str
    environment: str
    metric: str
    currency: str | None
    period: str
    time_zone: str
    period_start: str
    period_end: str
    included: int
    beyond: str
    cap: int | None
    used: int
    remaining: int
    overage: int
    overage_charge: int
    price_currency: str | None
    refused: int
    forecast: int
    state: str


class UsageEventAttributes(msgspec.Struct, rename="camel", gc=False):
    """A period as an event tells it. `percent` is what was reached; null where more than what is included was asked for."""

    metric: str
    currency: str | None
    period: str
    time_zone: str
    period_start: str
    period_end: str
    included: int
    used: int
    overage: int
    refused: int
    percent: int | None
    state: str


class OverageLineAttributes(msgspec.Struct, rename="camel", gc=False):
    """A line of the invoice: `charge` is `unitPrice` for every `per` units of the overage, rounded once, half a unit up."""

    metric: str
    currency: str | None
    period: str
    period_start: str
    period_end: str
    included: int
    used: int
    overage: int
    unit_price: int
    per: int
    charge: int
    price_currency: str


class QuotaLineAttributes(msgspec.Struct, rename="camel", gc=False):
    """A line of terms, as it was agreed."""

    id: str
    metric: str
    currency: str | None
    period: str
    time_zone: str
    included: int
    beyond: str
    cap: int | None
    unit_price: int | None
    per: int | None
    price_currency: str | None


class QuotaTermsAttributes(msgspec.Struct, rename="camel", gc=False):
    """A version of a partner's terms. `versionInForce` is the one that holds now, null where none has begun."""

    agreement_id: str
    environment: str
    version: int
    version_in_force: int | None
    effective_from: str
    created_by: str | None
    created_at: str
    lines: list[QuotaLineAttributes]


USAGE: Final = Resource("Usage", "/api/v1/usage", UsageAttributes, _USAGE)
USAGE_EVENT: Final = Resource("Usage", "/api/v1/usage", UsageEventAttributes)
OVERAGE_LINE: Final = Resource(
    "OverageLine",
    "/api/v1/usage/overage-lines",
    OverageLineAttributes,
    {
        **{name: value for name, value in _PERIOD.items() if name != "timeZone"},
        "used": 1_024_000,
        "overage": 24_000,
        "unitPrice": 1,
        "per": 100,
        "charge": 240,
        "priceCurrency": "USD",
    },
)
QUOTA_TERMS: Final = Resource(
    "QuotaTerms",
    "/admin/v1/agreements",
    QuotaTermsAttributes,
    {
        "agreementId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a14",
        "environment": "production",
        "version": 3,
        "versionInForce": 2,
        "effectiveFrom": "2026-07-01T04:00:00.000Z",
        "createdBy": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a15",
        "createdAt": "2026-06-17T12:00:00.000Z",
        "lines": [_LINE],
    },
)


def attributes(tenant: Tenant, each: Reckoned, now: datetime) -> UsageAttributes:
    """A period as it stands."""
    usage, line, charged = each.usage, each.line, each.charged
    return UsageAttributes(
        partner_id=str(usage.partner_id),
        programme_id=str(tenant.programme_id),
        environment=tenant.environment,
        metric=usage.metric,
        currency=usage.currency,
        period=usage.period,
        time_zone=usage.time_zone,
        period_start=clock.render(usage.period_start),
        period_end=clock.render(usage.period_end),
        included=line.included,
        beyond=line.beyond,
        cap=line.cap,
        used=usage.used,
        remaining=max(0, line.included - usage.used),
        overage=model.overage(line, usage.used),
        overage_charge=0 if charged is None else charged.minor,
        price_currency=line.price_currency,
        refused=usage.refused,
        forecast=model.forecast(usage, now),
        state=model.state(line, usage.used, usage.refused),
    )


def usage(tenant: Tenant, each: Reckoned, now: datetime) -> bytes:
    """The resource object of a period."""
    return jsonapi.resource(USAGE, each.usage.id, attributes(tenant, each, now))


def told(each: Reckoned, percent: int | None) -> bytes:
    """The resource object of a period as an event tells it."""
    usage, line = each.usage, each.line
    shown = UsageEventAttributes(
        metric=usage.metric,
        currency=usage.currency,
        period=usage.period,
        time_zone=usage.time_zone,
        period_start=clock.render(usage.period_start),
        period_end=clock.render(usage.period_end),
        included=line.included,
        used=usage.used,
        overage=model.overage(line, usage.used),
        refused=usage.refused,
        percent=percent,
        state=model.state(line, usage.used, usage.refused),
    )
    return jsonapi.resource(USAGE_EVENT, usage.id, shown)


def overage_attributes(each: Reckoned) -> OverageLineAttributes:
    """A line of the invoice."""
    usage, line, charged = each.usage, each.line, each.charged
    assert charged is not None and line.unit_price is not None and line.per is not None, "what is allowed has a price"
    return OverageLineAttributes(
        metric=usage.metric,
        currency=usage.currency,
        period=usage.period,
        period_start=clock.render(usage.period_start),
        period_end=clock.render(usage.period_end),
        included=line.included,
        used=usage.used,
        overage=model.overage(line, usage.used),
        unit_price=line.unit_price,
        per=line.per,
        charge=charged.minor,
        price_currency=charged.currency,
    )


def overage_line(each: Reckoned) -> bytes:
    """The resource object of a line of the invoice; it has the id of its period."""
    return jsonapi.resource(OVERAGE_LINE, each.usage.id, overage_attributes(each))


def terms(agreement_id: UUID, environment: str, shown: Terms, in_force: Terms | None) -> bytes:
    """The resource object of a version of terms."""
    return jsonapi.resource(QUOTA_TERMS, shown.id, terms_attributes(agreement_id, environment, shown, in_force))


def terms_attributes(
    agreement_id: UUID, environment: str, shown: Terms, in_force: Terms | None
) -> QuotaTermsAttributes:
    """A version of terms with its lines."""
    return QuotaTermsAttributes(
        agreement_id=str(agreement_id),
        environment=environment,
        version=shown.version,
        version_in_force=None if in_force is None else in_force.version,
        effective_from=clock.render(shown.effective_from),
        created_by=None if shown.created_by is None else str(shown.created_by),
        created_at=clock.render(shown.created_at),
        lines=[_line(line) for line in shown.lines],
    )


def _line(line: Line) -> QuotaLineAttributes:
    return QuotaLineAttributes(
        id=str(line.id),
        metric=line.metric,
        currency=line.currency,
        period=line.period,
        time_zone=line.time_zone,
        included=line.included,
        beyond=line.beyond,
        cap=line.cap,
        unit_price=line.unit_price,
        per=line.per,
        price_currency=line.price_currency,
    )
