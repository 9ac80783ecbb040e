"""Rules on the wire: the rule with the version that is shown, its versions, and what an event tells of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

import msgspec

from tallystick import events
from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Asked
from tallystick.thresholds.model import Budget, Filters, Threshold, Version, Window

FILTERS_EXAMPLE: Final[dict[str, Any]] = {
    "kinds": ["transaction"],
    "locations": None,
    "groups": ["city"],
    "channels": None,
    "categories": None,
    "methods": None,
    "excludedMethods": ["GiftCard", "Wallet"],
    "minimum": 300,
    "weekdays": [1, 2, 3, 4, 5],
    "hours": {"from": "07:00", "until": "11:00"},
}
RULE_EXAMPLE: Final[dict[str, Any]] = {
    "metric": "spend",
    "beforeTax": False,
    "currency": "USD",
    "timeZone": "America/New_York",
    "filters": FILTERS_EXAMPLE,
    "steps": [
        {
            "target": 5000,
            "reward": {
                "type": "walletCredit",
                "amount": 500,
                "message": "Your coffee is on us.",
                "reasonCode": "BREAKFAST-50",
            },
        }
    ],
    "window": {"kind": "calendar", "from": None, "until": None, "period": "month", "days": None},
    "repeat": "perPeriod",
    "caps": {"customerCount": 12, "customerAmount": None, "customerDayCount": 1},
    "budgets": [{"scope": "rule", "amount": 100000, "period": "month", "locationId": None}],
    "refundPolicy": "full",
}
EXAMPLE: Final = {
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "name": "Breakfast club",
    **RULE_EXAMPLE,
    "status": "active",
    "version": 1,
    "liveVersion": 1,
    "latestVersion": 1,
    "scheduledVersion": None,
    "scheduledAt": None,
    "draft": None,
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:00.000Z",
}
VERSION_EXAMPLE: Final = {
    "thresholdId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "version": 1,
    **RULE_EXAMPLE,
    "counted": [{"from": "2026-06-17T12:00:00.000Z", "until": None}],
    "publishedAt": "2026-06-17T12:00:00.000Z",
    "createdAt": "2026-06-17T12:00:00.000Z",
}


class HoursShown(msgspec.Struct, rename="camel"):
    """Hours of the location's own day: from included, until not."""

    from_: str = msgspec.field(name="from")
    until: str


class FiltersShown(msgspec.Struct, rename="camel"):
    """What counts; null takes everything."""

    kinds: list[str]
    locations: list[str] | None
    groups: list[str] | None
    channels: list[str] | None
    categories: list[str] | None
    methods: list[str] | None
    excluded_methods: list[str] | None
    minimum: int | None
    weekdays: list[int] | None
    hours: HoursShown | None


class StepRewardShown(msgspec.Struct, rename="camel"):
    """What a step gives, in minor units of the merchant's currency."""

    type: str
    amount: int
    message: str | None
    reason_code: str | None


class StepShown(msgspec.Struct, rename="camel"):
    """How far a customer must come in all, and what that gives."""

    target: int
    reward: StepRewardShown


class WindowShown(msgspec.Struct, rename="camel"):
    """In which stretch of time what happened adds up."""

    kind: str
    from_: str | None = msgspec.field(name="from")
    until: str | None
    period: str | None
    days: int | None


class CapsShown(msgspec.Struct, rename="camel"):
    """What one customer gets at most; null: no bound."""

    customer_count: int | None
    customer_amount: int | None
    customer_day_count: int | None


class BudgetShown(msgspec.Struct, rename="camel"):
    """What is given at most of one scope, in each period; null: in all."""

    scope: str
    amount: int
    period: str | None
    location_id: str | None


class RuleShown(msgspec.Struct, rename="camel"):
    """What one version says."""

    metric: str
    before_tax: bool
    currency: str
    time_zone: str
    filters: FiltersShown
    steps: list[StepShown]
    window: WindowShown
    repeat: str
    caps: CapsShown
    budgets: list[BudgetShown]
    refund_policy: str


class DraftShown(RuleShown, rename="camel"):
    """What the next version will say, as far as it is written."""

    version: int
    created_at: str


class ThresholdAttributes(RuleShown, rename="camel"):
    """What a partner reads of a rule: the version in force, else the one that waits, else the newest; and a newer draft."""

    merchant_id: str
    name: str
    status: str
    version: int
    live_version: int | None
    latest_version: int
    scheduled_version: int | None
    scheduled_at: str | None
    draft: DraftShown | None
    created_at: str
    updated_at: str


class StretchShown(msgspec.Struct, rename="camel"):
    """From included, until not; null: it goes on."""

    from_: str = msgspec.field(name="from")
    until: str | None


class VersionAttributes(RuleShown, rename="camel"):
    """What a partner reads of one version: what it says, and when it counted what happened."""

    threshold_id: str
    version: int
    counted: list[StretchShown]
    published_at: str | None
    created_at: str


class ThresholdToldAttributes(msgspec.Struct, rename="camel"):
    """What an event tells of a rule: nothing that somebody wrote freely."""

    merchant_id: str
    metric: str
    status: str
    version: int
    live_version: int | None
    latest_version: int
    scheduled_version: int | None
    scheduled_at: str | None
    created_at: str
    updated_at: str


THRESHOLD: Final = Resource("Threshold", "/api/v1/thresholds", ThresholdAttributes, EXAMPLE)
VERSION: Final = Resource("ThresholdVersion", "/api/v1/thresholds/{id}/versions", VersionAttributes, VERSION_EXAMPLE)
THRESHOLD_EVENT: Final = Resource("Threshold", THRESHOLD.path, ThresholdToldAttributes)

Stretch = tuple[int, datetime, datetime | None]
"""The number of a version, and from when until when it counted what happened."""


def threshold(threshold: Threshold, version: Version, draft: Version | None) -> bytes:
    """The resource object of a rule that shows this version of it."""
    shown = ThresholdAttributes(
        **_rule(version),
        merchant_id=str(threshold.merchant_id),
        name=threshold.name,
        status=threshold.status,
        version=version.number,
        live_version=threshold.live_number,
        latest_version=threshold.latest_number,
        scheduled_version=threshold.waiting_number,
        scheduled_at=_instant(threshold.scheduled_at),
        draft=None
        if draft is None
        else DraftShown(**_rule(draft), version=draft.number, created_at=clock.render(draft.created_at)),
        created_at=clock.render(threshold.created_at),
        updated_at=clock.render(threshold.updated_at),
    )
    return jsonapi.resource(THRESHOLD, threshold.id, shown)


def document(rule: Threshold, version: Version, draft: Version | None) -> bytes:
    """The document of one rule."""
    return jsonapi.document(threshold(rule, version, draft))


def version(version: Version, stretches: Sequence[Stretch]) -> bytes:
    """The resource object of one version; its id is made of the rule's and its number."""
    counted = [
        StretchShown(clock.render(from_at), _instant(until_at))
        for number, from_at, until_at in stretches
        if number == version.number
    ]
    shown = VersionAttributes(
        **_rule(version),
        threshold_id=str(version.threshold_id),
        version=version.number,
        counted=counted,
        published_at=_instant(version.published_at),
        created_at=clock.render(version.created_at),
    )
    return jsonapi.resource(VERSION, uuid5(version.threshold_id, str(version.number)), shown)


def event(topic: str, threshold: Threshold, version: Version, asked: Asked | None) -> events.Event:
    """What happened to a rule; `asked` is the request behind it, None where time did it."""
    told = ThresholdToldAttributes(
        merchant_id=str(threshold.merchant_id),
        metric=version.metric,
        status=threshold.status,
        version=version.number,
        live_version=threshold.live_number,
        latest_version=threshold.latest_number,
        scheduled_version=threshold.waiting_number,
        scheduled_at=_instant(threshold.scheduled_at),
        created_at=clock.render(threshold.created_at),
        updated_at=clock.render(threshold.updated_at),
    )
    return events.Event(
        topic=topic,
        subject_type=THRESHOLD.type,
        subject_id=threshold.id,
        sequence=threshold.version,
        document=jsonapi.resource(THRESHOLD_EVENT, threshold.id, told),
        partner_id=threshold.partner_id,
        merchant_id=threshold.merchant_id,
        request_id=None if asked is None else asked.request_id,
    )


def _rule(version: Version) -> dict[str, Any]:
    """What a version says, as the attributes that all who show it share."""
    return {
        "metric": version.metric,
        "before_tax": version.before_tax,
        "currency": version.currency,
        "time_zone": version.time_zone,
        "filters": _filters(version.filters),
        "steps": [
            StepShown(target, StepRewardShown(reward.type, reward.amount, reward.message, reward.reason_code))
            for target, reward in zip(version.targets, version.rewards, strict=True)
        ],
        "window": _window(version.window),
        "repeat": version.repeat,
        "caps": CapsShown(version.caps.customer_count, version.caps.customer_amount, version.caps.customer_day_count),
        "budgets": [_budget(budget) for budget in version.budgets],
        "refund_policy": version.refund_policy,
    }


def _filters(filters: Filters) -> FiltersShown:
    return FiltersShown(
        kinds=list(filters.kinds),
        locations=None if filters.locations is None else [str(each) for each in filters.locations],
        groups=_list(filters.groups),
        channels=_list(filters.channels),
        categories=_list(filters.categories),
        methods=_list(filters.methods),
        excluded_methods=_list(filters.excluded_methods),
        minimum=filters.minimum,
        weekdays=None if filters.weekdays is None else list(filters.weekdays),
        hours=None
        if filters.minute_from is None or filters.minute_until is None
        else HoursShown(_hour(filters.minute_from), _hour(filters.minute_until)),
    )


def _window(window: Window) -> WindowShown:
    return WindowShown(window.kind, _instant(window.from_at), _instant(window.until_at), window.period, window.days)


def _budget(budget: Budget) -> BudgetShown:
    place = None if budget.location_id is None else str(budget.location_id)
    return BudgetShown(budget.scope, budget.amount, budget.period, place)


def _hour(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _list(words: Sequence[str] | None) -> list[str] | None:
    return None if words is None else list(words)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else clock.render(at)
