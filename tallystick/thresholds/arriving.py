"""By which activity of a batch each step was reached: the batch walked through again in the order in which it arrived.

Progress is moved by all of a batch at once. Only where it matters who came first is it asked when a step was reached, and only of
the customers whom it matters for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.thresholds.advancing import Place
from tallystick.thresholds.model import Move, Version

WHOSE: Final = """
select m.id
from unnest($2::uuid[]) as m (id)
cross join lateral (
    select held.customer_id from activities as held where held.tenant_id = $1 and held.id = m.id offset 0  -- a fence
) as a
where a.customer_id = any($3::uuid[])
"""

WORTH: Final = """
select w.threshold_id, w.customer_id, w.window_start, w.mark, w.activity_id, w.location_id, w.counted
from thresholds_moves($1, $2, $3, $4, $5, $6, $7, $8, false) as w
where w.counted <> 0 and w.threshold_id = any($9::uuid[])
"""

MARKS: Final = """
select k.threshold_id, k.customer_id, k.window_start, k.mark, k.counted
from unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) as place (threshold_id, customer_id, window_start)
join threshold_marks as k
    on k.tenant_id = $1 and k.threshold_id = place.threshold_id and k.customer_id = place.customer_id
    and k.window_start = place.window_start
where k.threshold_id = any($2)
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one activity moved progress by: its place in the order of the batch, from 0."""

    nth: int
    activity_id: UUID
    location_id: UUID | None
    mark: str | None
    counted: int


@dataclass(slots=True)
class Walk:
    """Progress in one place, moved by one activity after the other."""

    before: int
    version: Version
    arrivals: list[Arrival] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    """As they are behind all of it."""

    def reached(self, needs: Collection[int]) -> dict[int, Arrival]:
        """What each of these needs was reached by, and stayed so since; without those that were reached before."""
        found: dict[int, Arrival] = {}
        total = self.before
        marks = dict(self.marks)
        for each in self.arrivals:
            if each.mark is not None:
                marks[each.mark] = marks.get(each.mark, 0) - each.counted
        for each in sorted(self.arrivals, key=lambda each: each.nth):
            was = total
            if each.mark is None:
                total += each.counted
            else:
                marks[each.mark] = marks.get(each.mark, 0) + each.counted
                total = _amount(self.version, marks)
            found |= {need: each for need in needs if was < need <= total}
        return found


def _amount(version: Version, marks: Mapping[str, int]) -> int:
    """What marks come to: how many there are, or the most that a stretch of days holds."""
    distinct = version.metric in ("distinctDays", "distinctLocations")
    if version.window.kind != "rolling":
        return sum(1 for counted in marks.values() if counted > 0)
    assert version.window.days is not None, "a window that rolls has days"
    reach = timedelta(days=version.window.days)
    days = {date.fromisoformat(mark): 1 if distinct else counted for mark, counted in marks.items() if counted > 0}
    return max((sum(n for day, n in days.items() if last - reach < day <= last) for last in days), default=0)


async def reached(
    work: Work,
    moves: Sequence[Move],
    wanted: Mapping[Place, Collection[int]],
    before: Mapping[Place, int],
    versions: Mapping[UUID, Version],
) -> dict[tuple[Place, int], Arrival]:
    """By place and need, of those that are wanted: which of the moves reached it, in the order of their arrival.

    What was reached before any of them is absent. The rows of progress are locked, and moved by all of the moves; `before` is what
    they were.
    """
    walks = {place: Walk(before[place], versions[place[0]]) for place in wanted}
    theirs = await _of(work, moves, {customer_id for _, customer_id, _ in walks})
    nth = {move.activity_id: number for number, move in enumerate(moves)}
    rows = await work.db.rows(
        WORTH,
        work.tenant.id,
        [move.activity_id for move in theirs],
        [move.before.state for move in theirs],
        [move.before.returned_amount for move in theirs],
        [move.before.returned_units for move in theirs],
        [move.after.state for move in theirs],
        [move.after.returned_amount for move in theirs],
        [move.after.returned_units for move in theirs],
        list({threshold_id for threshold_id, _, _ in walks}),
    )
    for row in rows:
        if (walk := walks.get((row[0], row[1], row[2]))) is not None:
            walk.arrivals.append(Arrival(nth[row[4]], row[4], row[5], row[3], row[6]))
    marked = [place for place, walk in walks.items() if any(each.mark is not None for each in walk.arrivals)]
    for row in await _marks(work, marked):
        walks[row[0], row[1], row[2]].marks[row[3]] = row[4]
    return {(place, needs): by for place, walk in walks.items() for needs, by in walk.reached(wanted[place]).items()}


async def _of(work: Work, moves: Sequence[Move], customer_ids: Collection[UUID]) -> list[Move]:
    """The moves of these customers' activities."""
    rows = await work.db.rows(WHOSE, work.tenant.id, [move.activity_id for move in moves], list(customer_ids))
    theirs = {row[0] for row in rows}
    return [move for move in moves if move.activity_id in theirs]


async def _marks(work: Work, places: Sequence[Place]) -> Sequence[Row]:
    if not places:
        return []
    return await work.db.rows(MARKS, work.tenant.id, *([place[n] for place in places] for n in range(3)))
