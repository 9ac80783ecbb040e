"""Progress reckoned anew from the whole list of what happened, told without the product.

Written from the documents: which version looks at an activity, what it is worth to it, and what the windows add up to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))


@dataclass
class Place:
    """A location: its zone and its groups."""

    zone: str
    groups: tuple[str, ...] = ()


@dataclass
class Happened:
    """A purchase, a visit or an order, with what came back of it; `state` is counted, pending or absent."""

    name: str
    customer: str
    at: datetime
    kind: str = "transaction"
    amount: int = 0
    tax: int = 0
    units: int = 0
    lines: Sequence[tuple[str, int, int, int]] = ()
    """Category, amount, tax, units."""
    payments: Sequence[tuple[str, int]] = ()
    channel: str | None = None
    place: str | None = None
    returned_amount: int = 0
    returned_units: int = 0
    state: str = "counted"


@dataclass
class Rule:
    """One version and when it is in force; filters as the API names them."""

    metric: str
    stretches: Sequence[tuple[datetime, datetime | None]]
    zone: str = "UTC"
    before_tax: bool = False
    kinds: Sequence[str] = ("transaction",)
    window: str = "ever"
    period: str | None = None
    days: int | None = None
    window_from: datetime | None = None
    window_until: datetime | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def marks(self) -> bool:
        return self.window == "rolling" or self.metric in ("distinctDays", "distinctLocations")


def recount(
    rules: Sequence[Rule], happened: Sequence[Happened], places: Mapping[str, Place]
) -> dict[tuple[str, datetime], tuple[int, int]]:
    """By customer and window: what counts and what waits. The last rule says what the marks amount to."""
    sums: dict[tuple[str, datetime], list[int]] = {}
    marks: dict[tuple[str, datetime], dict[str, list[int]]] = {}
    for each in happened:
        if each.state == "absent":
            continue
        for rule in rules:
            worth = _worth(rule, each, places)
            if not worth:
                continue
            column = 0 if each.state == "counted" else 1
            where = (each.customer, _window(rule, each.at))
            if rule.marks:
                mark = str(each.place) if rule.metric == "distinctLocations" else str(_local(rule, each, places).date())
                marks.setdefault(where, {}).setdefault(mark, [0, 0])[column] += worth
            else:
                sums.setdefault(where, [0, 0])[column] += worth
    found = {where: (amounts[0], amounts[1]) for where, amounts in sums.items()}
    for where, of_place in marks.items():
        found[where] = _amount(rules[-1], of_place)
    return found


def _amount(rule: Rule, marks: Mapping[str, Sequence[int]]) -> tuple[int, int]:
    distinct = rule.metric in ("distinctDays", "distinctLocations")
    if distinct:
        pending = sum(1 for counted, waits in marks.values() if not counted and waits)
    else:
        pending = sum(waits for _, waits in marks.values())
    if rule.window != "rolling":
        return sum(1 for counted, _ in marks.values() if counted), pending
    assert rule.days is not None
    days = {date.fromisoformat(mark): (1 if distinct else counted) for mark, (counted, _) in marks.items() if counted}
    reach = timedelta(days=rule.days)
    return max((sum(n for day, n in days.items() if last - reach < day <= last) for last in days), default=0), pending


def _worth(rule: Rule, each: Happened, places: Mapping[str, Place]) -> int:
    if not _matches(rule, each, places):
        return 0
    share, units = _share(rule, each), each.units
    wanted = rule.filters.get("categories")
    if wanted is not None:
        if not any(line[0] in wanted for line in each.lines):
            return 0
        units = sum(line[3] for line in each.lines if line[0] in wanted)
    if share < rule.filters.get("minimum", 0) or (each.amount and each.returned_amount >= each.amount):
        return 0
    if rule.metric == "spend":
        return share - (share * each.returned_amount // each.amount if each.amount else 0)
    if rule.metric == "items":
        return max(0, units - each.returned_units)
    if rule.metric == "distinctLocations" and each.place is None:
        return 0
    return 1


def _matches(rule: Rule, each: Happened, places: Mapping[str, Place]) -> bool:
    if not any(start <= each.at and (end is None or each.at < end) for start, end in rule.stretches):
        return False
    filters, local = rule.filters, _local(rule, each, places)
    groups = places[each.place].groups if each.place is not None else ()
    if rule.window == "dates" and not (
        (rule.window_from is None or each.at >= rule.window_from)
        and (rule.window_until is None or each.at < rule.window_until)
    ):
        return False
    minute = local.hour * 60 + local.minute
    return (
        each.kind in rule.kinds
        and ("locations" not in filters or each.place in filters["locations"])
        and ("groups" not in filters or bool(set(groups) & set(filters["groups"])))
        and ("channels" not in filters or each.channel in filters["channels"])
        and ("weekdays" not in filters or local.isoweekday() in filters["weekdays"])
        and filters.get("minute_from", 0) <= minute < filters.get("minute_until", 1440)
    )


def _share(rule: Rule, each: Happened) -> int:
    wanted = rule.filters.get("categories")
    if wanted is None:
        amount = each.amount - (each.tax if rule.before_tax else 0)
    else:
        amount = sum(line[1] - (line[2] if rule.before_tax else 0) for line in each.lines if line[0] in wanted)
    methods, excluded = rule.filters.get("methods"), rule.filters.get("excluded_methods")
    if methods is None and excluded is None:
        return amount
    paid = sum(part for _, part in each.payments)
    if not paid:
        return amount if methods is None else 0
    allowed = sum(
        part
        for method, part in each.payments
        if (methods is None or method in methods) and (excluded is None or method not in excluded)
    )
    return amount * allowed // paid


def _local(rule: Rule, each: Happened, places: Mapping[str, Place]) -> datetime:
    return each.at.astimezone(ZoneInfo(rule.zone if each.place is None else places[each.place].zone))


def _window(rule: Rule, at: datetime) -> datetime:
    if rule.window != "calendar":
        return EPOCH
    zone = ZoneInfo(rule.zone)
    day = at.astimezone(zone).date()
    if rule.period == "week":
        day -= timedelta(days=day.weekday())
    elif rule.period == "month":
        day = day.replace(day=1)
    elif rule.period == "quarter":
        day = day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1)
    elif rule.period == "year":
        day = day.replace(day=1, month=1)
    return datetime.combine(day, time(), zone)
