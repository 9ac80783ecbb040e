"""Caps and budgets: how much of a step's reward may still be given, and what giving it leaves. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from tallystick.base.work import NOBODY
from tallystick.thresholds.model import Period, Version

Scope = Literal["rule", "customer", "merchant", "location"]
Span = Literal["ever", "day", "week", "month", "quarter", "year"]
Bound = tuple[UUID, Scope, UUID, Span, datetime]
"""What is counted: a threshold (or nobody's, where several share it), whose it is, the kind of its period and where that begins."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def period_start(period: Period | None, zone: str, at: datetime) -> datetime:
    """When the period begins that an instant is in, by the days of a time zone; None: the only one there is."""
    if period is None:
        return EPOCH
    day = at.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if period == "week":
        day = day.fromordinal(day.toordinal() - day.weekday())
    elif period != "day":
        month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}[period]
        day = day.replace(month=month, day=1)
    return day.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """One bound of a version: how often, and how much, may be given; None: no end."""

    bound: Bound
    count: int | None
    amount: int | None


def lines(version: Version, customer_id: UUID, location_id: UUID | None, at: datetime) -> list[Line]:
    """What bounds a reward of this version to this customer, given at `at` for what happened at a location."""
    caps, zone, found = version.caps, version.time_zone, []
    if caps.customer_count is not None or caps.customer_amount is not None:
        bound: Bound = (version.threshold_id, "customer", customer_id, "ever", EPOCH)
        found.append(Line(bound, caps.customer_count, caps.customer_amount))
    if caps.customer_day_count is not None:
        day = period_start("day", zone, at)
        found.append(Line((version.threshold_id, "customer", customer_id, "day", day), caps.customer_day_count, None))
    for budget in version.budgets:
        period: tuple[Span, datetime] = (budget.period or "ever", period_start(budget.period, zone, at))
        if budget.scope == "location":
            if location_id is None or budget.location_id not in (None, location_id):
                continue
            found.append(Line((version.threshold_id, "location", location_id, *period), None, budget.amount))
        else:
            shared = budget.scope == "merchant"
            place = (NOBODY, version.merchant_id) if shared else (version.threshold_id, version.threshold_id)
            scope: Scope = "merchant" if shared else "rule"
            found.append(Line((place[0], scope, place[1], *period), None, budget.amount))
    return found


@dataclass(slots=True)
class Spent:
    """What was given of each bound, under its lock; moved on by whatever is given or comes back."""

    of: dict[Bound, tuple[int, int]]
    changed: set[Bound] = field(default_factory=set)

    def left(self, bounds: Sequence[Line], desired: int) -> int:
        """How much of a reward can be given: all, a part, or nothing."""
        for line in bounds:
            count, amount = self.of[line.bound]
            if line.count is not None and count >= line.count:
                return 0
            if line.amount is not None:
                desired = min(desired, max(0, line.amount - amount))
        return desired

    def take(self, bounds: Sequence[Line], amount: int) -> None:
        """So much was given once more."""
        for bound in {line.bound for line in bounds}:
            count, before = self.of[bound]
            self.of[bound] = (count + 1, before + amount)
            self.changed.add(bound)

    def give_back(self, bounds: Sequence[Line], amount: int, *, whole: bool) -> None:
        """So much of what was given came back; `whole`: it counts as given no more."""
        for bound in {line.bound for line in bounds}:
            count, before = self.of[bound]
            self.of[bound] = (max(0, count - whole), max(0, before - amount))
            self.changed.add(bound)
