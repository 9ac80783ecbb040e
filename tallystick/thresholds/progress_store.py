"""Every statement that reads `threshold_progress`, and the one that counts what is told of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.thresholds.progress import Progress

# What a window that rolls holds now: its last days, to the day that it is in the version's time zone.
ROLLING: Final = """case v.window_kind when 'rolling' then (
        select coalesce(sum(case v.metric when 'distinctDays' then 1 else k.counted end), 0)::bigint
        from threshold_marks as k
        where k.tenant_id = p.tenant_id and k.threshold_id = p.threshold_id and k.customer_id = p.customer_id
            and k.window_start = p.window_start and k.counted > 0
            and k.mark::date > ($2::timestamptz at time zone v.time_zone)::date - v.window_days
            and k.mark::date <= ($2::timestamptz at time zone v.time_zone)::date
    ) end"""

COLUMNS: Final = f"""p.id, p.threshold_id, p.customer_id, p.merchant_id, p.window_start, p.current, p.pending, p.reached, p.number,
    p.told, p.updated_at, {ROLLING}"""

OF_VERSION: Final = """
join threshold_versions as v on v.tenant_id = p.tenant_id and v.threshold_id = p.threshold_id and v.number = p.number
"""

BY_IDS: Final = (
    f"select {COLUMNS} from threshold_progress as p {OF_VERSION} where p.tenant_id = $1 and p.id = any($3::uuid[])"
)

# Each row is found by its key, with its version, and written where it stands: it is locked, and stays there. The subqueries are
# fenced, so that each is found so, whatever the statistics of a young table say.
TELL: Final = f"""
update threshold_progress as p
set told = p.told + v.times
from (
    select held.at, t.times, said.metric, said.time_zone, said.window_kind, said.window_days
    from unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::integer[]) as t (threshold_id, customer_id, window_start, times)
    cross join lateral (
        select k.ctid as at, k.number
        from threshold_progress as k
        where k.tenant_id = $1 and k.threshold_id = t.threshold_id and k.customer_id = t.customer_id
            and k.window_start = t.window_start
        offset 0
    ) as held
    cross join lateral (
        select n.metric, n.time_zone, n.window_kind, n.window_days
        from threshold_versions as n
        where n.tenant_id = $1 and n.threshold_id = t.threshold_id and n.number = held.number
        offset 0
    ) as said
) as v
where p.tenant_id = $1 and p.ctid = v.at
returning {COLUMNS}
"""

# What `progress.standing` shows a reader: a rule that is reached once stays so; else a window is over behind its end.
STATUS: Final = f"""case
        when v.repeat <> 'repeating' and p.current >= v.targets[cardinality(v.targets)] then 'reached'
        when v.window_kind = 'dates' and v.window_until <= $2 then 'ended'
        when v.window_kind = 'calendar' and p.window_start < date_trunc(v.window_period, $2::timestamptz, v.time_zone) then 'ended'
        when p.pending = 0 and coalesce({ROLLING}, p.current) = 0 then 'notStarted'
        else 'inProgress'
    end"""

LISTED: Final = f"""
from threshold_progress as p
join thresholds as r on r.tenant_id = p.tenant_id and r.id = p.threshold_id
join threshold_versions as v on v.tenant_id = p.tenant_id and v.threshold_id = p.threshold_id and v.number = p.number
where p.tenant_id = $1 and ($3::uuid is null or r.partner_id = $3) and ($4::uuid[] is null or p.merchant_id = any($4))
    and ($5::uuid[] is null or p.customer_id = any($5)) and ($6::uuid is null or p.threshold_id = $6)
    and (not $7::boolean or case v.window_kind
        when 'calendar' then p.window_start = date_trunc(v.window_period, $2::timestamptz, v.time_zone)
        when 'dates' then v.window_until is null or v.window_until > $2
        else true
    end)
    and ($8::text is null or {STATUS} = $8)
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by p.updated_at desc, p.id desc offset $9 limit $10"

# What is not asked for by a user or a threshold may be all there is: it is read in the order of the primary key, and only so much
# of it for one page, whether or not the filters find any there. Nothing is kept in order of the last move: each would pay for it.
KEY: Final = "(p.threshold_id, p.customer_id, p.window_start)"
EDGE: Final = f"""
select p.threshold_id, p.customer_id, p.window_start
from threshold_progress as p
where p.tenant_id = $1 and ($2::uuid is null or p.threshold_id = $2) and {KEY} > ($3::uuid, $4::uuid, $5::timestamptz)
order by p.threshold_id, p.customer_id, p.window_start
offset $6 limit 1
"""
STRETCH: Final = f"""
select {COLUMNS} {LISTED} and {KEY} > ($9::uuid, $10::uuid, $11::timestamptz) and {KEY} <= ($12::uuid, $13::uuid, $14::timestamptz)
order by p.threshold_id, p.customer_id, p.window_start
limit $15
"""
SCANNED_MAX: Final = 5_000
"""How many rows are looked at for one page."""
Key = tuple[UUID, UUID, datetime]
"""A threshold, a customer and the beginning of a window."""
FIRST: Final[Key] = (UUID(int=0), UUID(int=0), datetime(1, 1, 2, tzinfo=UTC))
LAST: Final[Key] = (UUID(int=2**128 - 1), UUID(int=2**128 - 1), datetime(9999, 12, 30, tzinfo=UTC))

# What an activity is worth to the version that was in force when it happened, newest first, with what there was by then.
COUNTED: Final = """
select a.id, a.kind, a.type, a.source_id, a.occurred_at, a.location_id, a.attribution, w.counted, i.number,
    coalesce(sum(w.counted) filter (where a.attribution = 'counted') over (order by a.occurred_at, a.id), 0)::bigint as total
from threshold_progress as p
join activities as a on a.tenant_id = p.tenant_id and a.customer_id = p.customer_id
join threshold_intervals as i
    on i.tenant_id = p.tenant_id and i.threshold_id = p.threshold_id and i.from_at <= a.occurred_at
    and (i.until_at is null or i.until_at > a.occurred_at)
join threshold_versions as v on v.tenant_id = p.tenant_id and v.threshold_id = p.threshold_id and v.number = i.number
left join locations as l on l.tenant_id = p.tenant_id and l.id = a.location_id
cross join lateral (select threshold_counted(v, a, l.time_zone, l.groups) as counted) as w
where p.tenant_id = $1 and p.id = $2 and a.merchant_id = p.merchant_id and not a.voided and a.attribution <> 'rejected'
    and w.counted > 0
    and threshold_window(v.window_kind, v.window_period, v.time_zone, a.occurred_at) = p.window_start
"""
COUNT_COUNTED: Final = f"select count(*) from ({COUNTED}) as h"
LIST_COUNTED: Final = f"""
select h.id, h.kind, h.type, h.source_id, h.occurred_at, h.location_id, h.attribution, h.counted, h.number, h.total
from ({COUNTED}) as h
order by h.occurred_at desc, h.id desc
offset $3 limit $4
"""


async def by_ids(work: Work, progress_ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """Progress by id as it stands; unknown ids are absent."""
    return {row[0]: Progress(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, work.now, progress_ids)}


async def tell(work: Work, places: Sequence[tuple[UUID, UUID, datetime]], times: Sequence[int]) -> list[Progress]:
    """Count what is told of each place; the progress as it stands, `told` at the last. Their rows are locked."""
    columns = ([place[n] for place in places] for n in range(3))
    rows = await work.db.rows(TELL, work.tenant.id, work.now, *columns, times)
    return [Progress(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which progress is listed; None: whatever. `current`: only of windows that are not over."""

    partner_id: UUID | None
    merchant_ids: Sequence[UUID] | None
    customer_ids: Sequence[UUID] | None
    threshold_id: UUID | None
    current: bool
    status: str | None

    def parameters(self, work: Work) -> tuple[object, ...]:
        """The first eight parameters of every statement that lists."""
        return (
            work.tenant.id, work.now, self.partner_id, self.merchant_ids, self.customer_ids, self.threshold_id, self.current,
            self.status,
        )  # fmt: skip


async def listed(work: Work, of: Wanted, offset: int, limit: int) -> tuple[list[Progress], int]:
    """One page of progress, last moved first, and how much there is in all."""
    wanted = of.parameters(work)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [Progress(*row) for row in rows], total


async def stretch(work: Work, of: Wanted, behind: Key, limit: int) -> tuple[list[Progress], Key | None]:
    """One page of progress in the order of keys, and the key behind which to go on; None: there is no more.

    A page may hold less than `limit`, or nothing, and there be more.
    """
    edge = await work.db.row(EDGE, work.tenant.id, of.threshold_id, *behind, SCANNED_MAX - 1)
    until = LAST if edge is None else (edge[0], edge[1], edge[2])
    rows = await work.db.rows(STRETCH, *of.parameters(work), *behind, *until, limit + 1)
    page = [Progress(*row) for row in rows[:limit]]
    if len(rows) > limit:
        return page, (page[-1].threshold_id, page[-1].customer_id, page[-1].window_start)
    return page, None if edge is None else until


async def counted(work: Work, progress_id: UUID, offset: int, limit: int) -> tuple[list[Row], int]:
    """One page of what counted, newest first, and how many there are: what, when, where, by how much, and the sum by then."""
    total: Any = await work.db.value(COUNT_COUNTED, work.tenant.id, progress_id)
    rows = await work.db.rows(LIST_COUNTED, work.tenant.id, progress_id, offset, limit) if offset < total else []
    return list(rows), total
