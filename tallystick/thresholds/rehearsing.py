"""Rehearse a version: what it would have given for what is stored, had it been in force through a stretch of time.

It touches nothing. What was returned since is counted as it stands now, progress begins with the stretch, and when a version
really was in force does not matter. Caps and budgets are kept as if no other rule gave anything of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import tallystick.thresholds.rehearsing_store as store
from tallystick.base import ids
from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.thresholds.burning import CYCLES_MAX, Burn, Burnt, burn
from tallystick.thresholds.model import Budget, Period, Version

AHEAD: Final = timedelta(days=1)
"""How much later than it was kept something may be said to have happened, with room for clocks that differ."""
NEVER: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Given:
    """So many rewards, what they come to, and what is left of that within the caps of each customer; in minor units."""

    rewards: int
    cost: int
    bounded: int


@dataclass(frozen=True, slots=True)
class Day:
    """What was given on one day, and all until its end within the caps."""

    day: date
    given: Given
    spent: int


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """One budget of the rule, held against what it comes to within the caps, as if nothing else were given of it. A location's is
    held against what is given there within all budgets."""

    budget: Budget
    most: int
    """What the dearest of its periods comes to."""
    used_up: int
    """In how many periods that is as much as there is, or more."""
    first_on: date | None
    """The first day on which nothing was left."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What one version would have given in a stretch of time."""

    version: Version
    customers: int
    """Who did anything that counts."""
    rewarded: int
    given: Given
    by_step: Sequence[Given]
    days: Sequence[Day]
    burn: Burn

    @property
    def budgets(self) -> list[BudgetUse]:
        """How the version's budgets would have held."""
        return [
            _use_of_places(budget, self.burn) if budget.scope == "location" else _use(budget, self.days)
            for budget in self.version.budgets
        ]

    @property
    def places(self) -> list[tuple[UUID | None, Burnt]]:
        """What was given at each location, the most first."""
        found: dict[UUID | None, Burnt] = {}
        for (_, location_id), burnt in self.burn.by_place.items():
            found[location_id] = found.get(location_id, Burnt()) + burnt
        return sorted(found.items(), key=lambda each: (-each[1].given, str(each[0])))


async def rehearse(work: Work, version: Version, from_at: datetime, until_at: datetime) -> Rehearsal:
    """What the version would have given for what happened in [from_at, until_at). The work only reads."""
    await store.prepare(work)
    since = _since(work, from_at)
    rows = await store.rehearse(work, version, from_at, until_at, since, CYCLES_MAX)
    return _read(version, rows, await burn(work, version, from_at, until_at, since))


def _since(work: Work, from_at: datetime) -> UUID:
    """No activity of the stretch has a smaller id. A sandbox's clock may run ahead of the one that ids are made by."""
    if work.tenant.environment != "production":
        return NEVER
    made_ms = max(0, int((from_at - AHEAD).timestamp() * 1000))
    return UUID(int=min(made_ms, ids.MS_LIMIT - 1) << 80)


def _read(version: Version, rows: Sequence[Row], burnt: Burn) -> Rehearsal:
    *lines, whole = rows
    amounts = [reward.amount for reward in version.rewards]
    of_step = [Given(0, 0, 0) for _ in amounts]
    of_day: dict[date, Given] = {}
    for day, step, rewards, bounded, _, _ in lines:
        given = Given(int(rewards), int(rewards) * amounts[step - 1], int(bounded))
        of_step[step - 1] = _sum(of_step[step - 1], given)
        of_day[day] = _sum(of_day.get(day, Given(0, 0, 0)), given)
    total = Given(0, 0, 0)
    for given in of_step:
        total = _sum(total, given)
    return Rehearsal(version, whole[4], whole[5], total, of_step, list(_days(of_day)), burnt)


def _days(of_day: dict[date, Given]) -> Iterator[Day]:
    spent = 0
    for day in sorted(of_day):
        spent += of_day[day].bounded
        yield Day(day, of_day[day], spent)


def _sum(one: Given, other: Given) -> Given:
    return Given(one.rewards + other.rewards, one.cost + other.cost, one.bounded + other.bounded)


def _use(budget: Budget, days: Sequence[Day]) -> BudgetUse:
    spent: dict[date, int] = {}
    used_up: set[date] = set()
    first_on = None
    for each in days:
        start = _period(budget.period, each.day)
        spent[start] = spent.get(start, 0) + each.given.bounded
        if spent[start] >= budget.amount:
            used_up.add(start)
            first_on = first_on or each.day
    return BudgetUse(budget, max(spent.values(), default=0), len(used_up), first_on)


def _use_of_places(budget: Budget, burnt: Burn) -> BudgetUse:
    of = {
        bound: amount
        for bound, (_, amount) in burnt.spent.items()
        if bound[1] == "location" and bound[3] == (budget.period or "ever") and budget.location_id in (None, bound[2])
    }
    gone = [bound for bound, amount in of.items() if amount >= budget.amount]
    days = [burnt.used_up[bound] for bound in gone if bound in burnt.used_up]
    return BudgetUse(budget, max(of.values(), default=0), len(gone), min(days, default=None))


def _period(period: Period | None, day: date) -> date:
    """The first day of the period that a day is in; of all time there is only one."""
    match period:
        case None:
            return date.min
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
