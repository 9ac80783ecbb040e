"""What caps and budgets leave of a rehearsal: given one after the other, as it happens, by the rules that bound real rewards."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import groupby
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import tallystick.thresholds.rehearsing_store as store
from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.thresholds.budgets import Bound, Spent, lines
from tallystick.thresholds.model import Caps, Version

CYCLES_MAX: Final = 1_000
"""How many cycles that one activity completes are given one by one; without caps more of them are given at once."""
NOON: Final = time(12)


@dataclass(frozen=True, slots=True)
class Burnt:
    """So many rewards, in whole or part, and what they come to in minor units."""

    awarded: int = 0
    given: int = 0

    def __add__(self, other: "Burnt") -> "Burnt":
        return Burnt(self.awarded + other.awarded, self.given + other.given)


@dataclass(slots=True)
class Burn:
    """What is given within all caps and budgets, as if no other rule gave anything of them."""

    version: Version
    by_step: dict[int, Burnt] = field(default_factory=lambda: defaultdict(Burnt))
    by_place: dict[tuple[date, UUID | None], Burnt] = field(default_factory=lambda: defaultdict(Burnt))
    """By day of the version's time zone, and location; None: at none that was told."""
    spent: dict[Bound, tuple[int, int]] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))
    used_up: dict[Bound, date] = field(default_factory=dict)
    """Of which budgets nothing is left, and on which day the last of it was given."""

    @property
    def total(self) -> Burnt:
        return sum(self.by_step.values(), Burnt())

    def give(self, rows: Sequence[Row]) -> None:
        """Give for what happened next, in its order: rows of `threshold_crossings`."""
        zone = ZoneInfo(self.version.time_zone)
        for (customer_id, _, at, _), of_one in groupby(rows, key=lambda row: (row[0], row[1], row[3], row[4])):
            crossings = list(of_one)
            day, location_id = at.astimezone(zone).date(), crossings[0][5]
            for step, times in _singles(crossings, self.version.caps):
                burnt = self._one(customer_id, location_id, day, step, times)
                if burnt.given:
                    self.by_step[step] += burnt
                    self.by_place[day, location_id] += burnt

    def _one(self, customer_id: UUID, location_id: UUID | None, day: date, step: int, times: int) -> Burnt:
        """The same reward so many times."""
        noon = datetime.combine(day, NOON, ZoneInfo(self.version.time_zone))
        bounds, spent = lines(self.version, customer_id, location_id, noon), Spent(self.spent)
        amount = self.version.rewards[step - 1].amount
        given = spent.left(bounds, times * amount)
        if not given:
            return Burnt()
        spent.take(bounds, given)
        for line in bounds:
            if line.amount is not None and line.bound[1] != "customer" and self.spent[line.bound][1] >= line.amount:
                self.used_up.setdefault(line.bound, day)
        return Burnt(-(-given // amount), given)


def _singles(crossings: Sequence[Row], caps: Caps) -> Iterator[tuple[int, int]]:
    """Which steps one activity reaches, in their order, and how many times one after the other."""
    many = max(int(row[8]) for row in crossings)
    if many > CYCLES_MAX and caps == Caps():
        yield from ((row[6], int(row[8])) for row in crossings)
        return
    cycles = ((int(row[7]) + n, row[6]) for row in crossings for n in range(min(int(row[8]), CYCLES_MAX)))
    yield from ((step, 1) for _, step in sorted(cycles))


async def burn(work: Work, version: Version, from_at: datetime, until_at: datetime, since: UUID) -> Burn:
    """What the version would have given within its caps and budgets for what happened in [from_at, until_at)."""
    burnt = Burn(version)
    async for rows in store.crossings(work, version, from_at, until_at, since):
        burnt.give(rows)
    return burnt
