"""Make the progress of one customer part of another's: sums add up, days and places that both were at count once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work

PLACES: Final = """
select p.threshold_id, p.window_start
from threshold_progress as p
where p.tenant_id = $1 and p.customer_id = $2 and (p.current <> 0 or p.pending <> 0 or p.reached <> 0)
"""

OPEN: Final = """
insert into threshold_progress (
    tenant_id, threshold_id, customer_id, window_start, id, merchant_id, current, pending, number, moved, created_at, updated_at
)
select $1, p.threshold_id, $3, p.window_start, threshold_progress_id(p.threshold_id, $3, p.window_start), p.merchant_id, 0, 0,
    p.number, 0, $6, $6
from unnest($4::uuid[], $5::timestamptz[]) as place (threshold_id, window_start)
join threshold_progress as p
    on p.tenant_id = $1 and p.threshold_id = place.threshold_id and p.customer_id = $2 and p.window_start = place.window_start
order by p.threshold_id, p.window_start
on conflict on constraint threshold_progress_pkey do nothing
"""

LOCK: Final = """
select p.customer_id, p.threshold_id, p.window_start, p.merchant_id, p.number, p.current, p.pending, p.reached
from threshold_progress as p
where p.tenant_id = $1 and p.customer_id = any($2::uuid[]) and p.threshold_id = any($3::uuid[])
    and p.window_start = any($4::timestamptz[])
order by p.threshold_id, p.customer_id, p.window_start
for update
"""

MARK: Final = """
insert into threshold_marks as k (tenant_id, threshold_id, customer_id, window_start, mark, counted, pending)
select $1, m.threshold_id, $3, m.window_start, m.mark, m.counted, m.pending
from unnest($4::uuid[], $5::timestamptz[]) as place (threshold_id, window_start)
join threshold_marks as m
    on m.tenant_id = $1 and m.threshold_id = place.threshold_id and m.customer_id = $2 and m.window_start = place.window_start
where m.counted <> 0 or m.pending <> 0
order by m.threshold_id, m.window_start, m.mark
on conflict on constraint threshold_marks_pkey do update
set counted = k.counted + excluded.counted, pending = k.pending + excluded.pending
"""

UNMARK: Final = """
update threshold_marks as m
set counted = 0, pending = 0
from unnest($3::uuid[], $4::timestamptz[]) as place (threshold_id, window_start)
where m.tenant_id = $1 and m.customer_id = $2 and m.threshold_id = place.threshold_id and m.window_start = place.window_start
    and m.threshold_id = any($3)
"""

# What counts different days or places, and what rolls, is what the marks of both come to.
ADD: Final = """
update threshold_progress as p
set number = v.number, moved = p.moved + 1, updated_at = $6,
    current = case
        when v.window_kind = 'rolling' then coalesce((
            select max(stretch.held)
            from (
                select sum(case v.metric when 'distinctDays' then 1 else k.counted end) over (
                    order by k.mark::date range between make_interval(days => v.window_days - 1) preceding and current row
                ) as held
                from threshold_marks as k
                where k.tenant_id = $1 and k.threshold_id = p.threshold_id and k.customer_id = $3
                    and k.window_start = p.window_start and k.counted > 0
            ) as stretch
        ), 0)
        when v.metric in ('distinctDays', 'distinctLocations') then (
            select count(*)
            from threshold_marks as k
            where k.tenant_id = $1 and k.threshold_id = p.threshold_id and k.customer_id = $3
                and k.window_start = p.window_start and k.counted > 0
        )
        else p.current + a.current
    end,
    pending = case
        when v.metric in ('distinctDays', 'distinctLocations') then (
            select count(*)
            from threshold_marks as k
            where k.tenant_id = $1 and k.threshold_id = p.threshold_id and k.customer_id = $3
                and k.window_start = p.window_start and k.counted = 0 and k.pending > 0
        )
        else p.pending + a.pending
    end
from unnest($4::uuid[], $5::timestamptz[]) as place (threshold_id, window_start)
join threshold_progress as a
    on a.tenant_id = $1 and a.threshold_id = place.threshold_id and a.customer_id = $2 and a.window_start = place.window_start
join threshold_versions as v on v.tenant_id = $1 and v.threshold_id = a.threshold_id
where p.tenant_id = $1 and p.customer_id = $3 and p.threshold_id = a.threshold_id and p.window_start = a.window_start
    and p.threshold_id = any($4) and v.number = greatest(p.number, a.number)
returning p.threshold_id, p.window_start, p.number, p.current, p.pending
"""

CLEAR: Final = """
update threshold_progress as p
set current = 0, pending = 0, reached = 0, moved = p.moved + 1, updated_at = $5
from unnest($3::uuid[], $4::timestamptz[]) as place (threshold_id, window_start)
where p.tenant_id = $1 and p.customer_id = $2 and p.threshold_id = place.threshold_id and p.window_start = place.window_start
    and p.threshold_id = any($3)
"""

Window = tuple[UUID, datetime]
"""A threshold, and the beginning of a window."""


@dataclass(frozen=True, slots=True)
class Stood:
    """A row of progress as it stood before."""

    merchant_id: UUID
    number: int
    current: int
    pending: int
    reached: int


@dataclass(frozen=True, slots=True)
class Joined:
    """Progress in one window that is one customer's since now. `number`, `current` and `pending` are as it stands."""

    threshold_id: UUID
    window_start: datetime
    given: Stood
    taken: Stood
    number: int
    current: int
    pending: int


async def join(work: Work, customer_id: UUID, into_id: UUID, more: Sequence[Window]) -> list[Joined]:
    """Give a customer's progress to another, wherever there is any, and in `more` windows. The rows of both stay locked.

    What was settled of it is for the caller to say.
    """
    found = await work.db.rows(PLACES, work.tenant.id, customer_id)
    wanted = sorted({*((row[0], row[1]) for row in found), *more})
    if not wanted:
        return []
    places = [window[0] for window in wanted], [window[1] for window in wanted]
    await work.db.run(OPEN, work.tenant.id, customer_id, into_id, *places, work.now)
    stood = _stood(await work.db.rows(LOCK, work.tenant.id, [customer_id, into_id], *places))
    await work.db.run(MARK, work.tenant.id, customer_id, into_id, *places)
    await work.db.run(UNMARK, work.tenant.id, customer_id, *places)
    rows = await work.db.rows(ADD, work.tenant.id, customer_id, into_id, *places, work.now)
    await work.db.run(CLEAR, work.tenant.id, customer_id, *places, work.now)
    return [
        Joined(
            row[0], row[1], stood[customer_id, row[0], row[1]], stood[into_id, row[0], row[1]], row[2], row[3], row[4]
        )
        for row in sorted(rows, key=lambda row: (row[0], row[1]))
    ]


def _stood(rows: Sequence[Row]) -> dict[tuple[UUID, UUID, datetime], Stood]:
    return {(row[0], row[1], row[2]): Stood(*list(row)[3:]) for row in rows}
