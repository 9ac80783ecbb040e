"""What partners send about rules, and how it is read."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallystick.base import clock, ids
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.work import NOBODY
from tallystick.thresholds.changes import ANY, Changes, Steps
from tallystick.thresholds.model import (
    Budget,
    Caps,
    Filters,
    Kind,
    Metric,
    Period,
    RefundPolicy,
    Repeat,
    RewardType,
    StepReward,
    Window,
    WindowKind,
)

NAME_MAX: Final = 100
WORD_MAX: Final = 100
WORDS_MAX: Final = 100
LOCATIONS_MAX: Final = 500
STEPS_MAX: Final = 20
BUDGETS_MAX: Final = 20
MESSAGE_MAX: Final = 500
CODE_MAX: Final = 100
NUMBER_MAX: Final = 2**53 - 1
"""The largest target, cap or budget: the largest whole number that every JSON reader keeps."""
REWARD_MAX: Final = 2_147_483_647
DAY: Final = 1440

HOUR: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")

Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Number = Annotated[int, Meta(ge=1, le=NUMBER_MAX)]
Amount = Annotated[int, Meta(ge=1, le=REWARD_MAX, description="Minor units of the merchant's currency.")]
Word = Annotated[str, Meta(min_length=1, max_length=WORD_MAX)]
Words = Annotated[list[Word], Meta(min_length=1, max_length=WORDS_MAX)]
Locations = Annotated[list[str], Meta(min_length=1, max_length=LOCATIONS_MAX)]
Instant = Annotated[str, Meta(max_length=40, description="RFC 3339, with Z or an offset.")]
Hour = Annotated[str, Meta(max_length=5, description="HH:MM of the location's own day; until may be 24:00.")]
Weekday = Annotated[int, Meta(ge=1, le=7, description="1 is Monday.")]
Method = Literal["Cash", "DebitCard", "CreditCard", "Wire", "GiftCard", "Wallet", "Other", "Unknown"]
Methods = Annotated[list[Method], Meta(min_length=1, max_length=8)]

S = TypeVar("S")
T = TypeVar("T")


class HoursSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """From included, until not, on one day."""

    from_: Hour = msgspec.field(name="from")
    until: Hour


class FiltersSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What counts; what is left out takes everything."""

    kinds: Annotated[list[Kind], Meta(min_length=1, max_length=3)] | None = None
    locations: Locations | None = None
    groups: Words | None = None
    channels: Words | None = None
    categories: Words | None = None
    methods: Methods | None = None
    excluded_methods: Methods | None = None
    minimum: Number | None = None
    weekdays: Annotated[list[Weekday], Meta(min_length=1, max_length=7)] | None = None
    hours: HoursSent | None = None


class RewardSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a step gives."""

    type: RewardType
    amount: Amount
    message: Annotated[str, Meta(max_length=MESSAGE_MAX)] | None = None
    reason_code: Annotated[str, Meta(max_length=CODE_MAX)] | None = None


class StepSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How far a customer must come in all, and what that gives."""

    target: Number
    reward: RewardSent


class WindowSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """In which stretch of time what happened adds up."""

    kind: WindowKind
    from_: Instant | None = msgspec.field(default=None, name="from")
    until: Instant | None = None
    period: Period | None = None
    days: Annotated[int, Meta(ge=1, le=366)] | None = None


class CapsSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What one customer gets at most."""

    customer_count: Number | None = None
    customer_amount: Number | None = None
    customer_day_count: Number | None = None


class BudgetSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is given at most of one scope, in each period or in all."""

    scope: Literal["rule", "merchant", "location"]
    amount: Number
    period: Period | None = None
    location_id: str | None = None


Steps20 = Annotated[list[StepSent], Meta(min_length=1, max_length=STEPS_MAX)]
Budgets20 = Annotated[list[BudgetSent], Meta(max_length=BUDGETS_MAX)]


class RuleSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A rule to write, as a draft."""

    name: Name
    metric: Metric
    steps: Steps20
    merchant_id: str | None = None
    before_tax: bool = False
    filters: FiltersSent | None = None
    window: WindowSent | None = None
    repeat: Repeat | None = None
    caps: CapsSent | None = None
    budgets: Budgets20 | None = None
    refund_policy: RefundPolicy | None = None


class RuleChanged(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is to change of a rule. What is left out stays; a part that is named is said as a whole, null empties it."""

    name: Name | UnsetType = UNSET
    metric: Metric | UnsetType = UNSET
    steps: Steps20 | UnsetType = UNSET
    before_tax: bool | UnsetType = UNSET
    filters: FiltersSent | UnsetType | None = UNSET
    window: WindowSent | UnsetType = UNSET
    repeat: Repeat | UnsetType = UNSET
    caps: CapsSent | UnsetType | None = UNSET
    budgets: Budgets20 | UnsetType | None = UNSET
    refund_policy: RefundPolicy | UnsetType = UNSET


class PublishSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """When the latest version comes into force; now, unless told."""

    at: Instant | None = None


def changes(sent: RuleSent | RuleChanged, faults: list[Refusal]) -> Changes:
    """What is wanted of a rule; what cannot be read adds to `faults`."""
    return Changes(
        name=_where_named(sent.name, lambda name: _line(name, "name", faults)),
        metric=sent.metric,
        before_tax=sent.before_tax,
        filters=_part(sent.filters, ANY, lambda each: _filters(each, faults)),
        steps=_where_named(sent.steps, lambda steps: _steps(steps, faults)),
        window=_part(sent.window, UNSET, lambda each: _window(each, faults)),
        repeat=_set(sent.repeat),
        caps=_part(sent.caps, Caps(), _caps),
        budgets=_part(sent.budgets, (), _budgets),
        refund_policy=_set(sent.refund_policy),
    )


def instant(sent: str | None, place: str, faults: list[Refusal]) -> datetime | None:
    """The instant in whole milliseconds; what is none is a fault at its place."""
    if sent is None:
        return None
    try:
        at = clock.parse_instant(sent)
    except ValueError as wrong:
        faults.append(InvalidRequest(str(wrong), source=attribute(place)))
        return None
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _filters(sent: FiltersSent, faults: list[Refusal]) -> Filters:
    lists = {"groups": sent.groups, "channels": sent.channels, "categories": sent.categories}
    words = {name: _words(each, f"filters/{name}", faults) for name, each in lists.items()}
    minutes = _hours(sent.hours, faults)
    return Filters(
        kinds=tuple(sent.kinds or ()),
        locations=_location_ids(sent.locations),
        **words,
        methods=_tuple(sent.methods),
        excluded_methods=_tuple(sent.excluded_methods),
        minimum=sent.minimum,
        weekdays=None if sent.weekdays is None else tuple(sorted(sent.weekdays)),
        minute_from=minutes[0],
        minute_until=minutes[1],
    )


def _hours(sent: HoursSent | None, faults: list[Refusal]) -> tuple[int, int] | tuple[None, None]:
    """The minutes of the day; none where one of them cannot be read."""
    if sent is None:
        return None, None
    from_minute = _minute(sent.from_, "filters/hours/from", faults)
    until_minute = _minute(sent.until, "filters/hours/until", faults)
    if from_minute is None or until_minute is None:
        return None, None
    return from_minute, until_minute


def _steps(sent: Sequence[StepSent], faults: list[Refusal]) -> Steps:
    steps = []
    for number, step in enumerate(sent):
        place, reward = f"steps/{number}/reward", step.reward
        code = None if _is_blank(reward.reason_code) else reward.reason_code
        if code is not None:
            _line(code, f"{place}/reasonCode", faults)
        message = None if _is_blank(reward.message) else reward.message
        steps.append((step.target, StepReward(reward.type, reward.amount, message, code)))
    return tuple(steps)


def _window(sent: WindowSent, faults: list[Refusal]) -> Window:
    from_at = instant(sent.from_, "window/from", faults)
    return Window(sent.kind, from_at, instant(sent.until, "window/until", faults), sent.period, sent.days)


def _caps(sent: CapsSent) -> Caps:
    return Caps(sent.customer_count, sent.customer_amount, sent.customer_day_count)


def _budgets(sent: Sequence[BudgetSent]) -> tuple[Budget, ...]:
    return tuple(
        Budget(
            each.scope,
            each.amount,
            each.period,
            None if each.location_id is None else _location_id(each.location_id),
        )
        for each in sent
    )


def _location_ids(sent: Sequence[str] | None) -> tuple[UUID, ...] | None:
    return None if sent is None else tuple(map(_location_id, sent))


def _location_id(sent: str) -> UUID:
    """What is no id is of no location, and found out with those that are."""
    return ids.parse(sent) or NOBODY


def _words(sent: Sequence[str] | None, place: str, faults: list[Refusal]) -> tuple[str, ...] | None:
    if sent is None:
        return None
    return tuple(_line(word, f"{place}/{number}", faults) for number, word in enumerate(sent))


def _line(text: str, place: str, faults: list[Refusal]) -> str:
    if _is_blank(text) or not text.isprintable():
        faults.append(InvalidRequest("One line of printable characters is wanted.", source=attribute(place)))
    return text


def _minute(sent: str, place: str, faults: list[Refusal]) -> int | None:
    """Minutes since midnight; the midnight that ends the day is 1440."""
    if sent == "24:00":
        return DAY
    if HOUR.fullmatch(sent) is None:
        faults.append(InvalidRequest("A time of day is written as 18:30.", source=attribute(place)))
        return None
    hours, minutes = sent.split(":")
    return int(hours) * 60 + int(minutes)


def _is_blank(text: str | None) -> bool:
    return text is None or not text.strip()


def _tuple(sent: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if sent is None else tuple(sent)


def _set(sent: T | UnsetType | None) -> T | UnsetType:
    return UNSET if sent is None else sent


def _where_named(sent: S | UnsetType, read: Callable[[S], T]) -> T | UnsetType:
    return UNSET if isinstance(sent, UnsetType) else read(sent)


def _part(sent: S | UnsetType | None, empty: T | UnsetType, read: Callable[[S], T]) -> T | UnsetType:
    """A part of a rule as it is read; null empties it."""
    return empty if sent is None else _where_named(sent, read)
