"""What is read to tell where a reward came from."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work

NEWEST: Final = 50
"""How many of the activities behind a reward are named."""

# What counted by the time the step was reached: of a window that rolls, the days until then.
BEHIND: Final = """
with behind as materialized (
    select l.activity_id, l.kind, l.occurred_at, l.number, l.counted
    from threshold_outcomes as o
    join threshold_versions as v on v.tenant_id = $1 and v.threshold_id = o.threshold_id and v.number = o.number
    left join activities as c on c.tenant_id = $1 and c.id = o.activity_id
    cross join lateral threshold_lines($1, o.threshold_id, $4, null) as l
    where o.tenant_id = $1 and o.id = $2 and l.window_start = o.window_start and l.reason = 'counted'
        and l.received_at <= o.created_at
        and (v.window_kind <> 'rolling' or l.occurred_at > c.occurred_at - make_interval(days => v.window_days))
)
select b.activity_id, b.kind, b.occurred_at, b.number, b.counted, count(*) over (), sum(b.counted) over ()
from behind as b
order by b.occurred_at desc, b.activity_id desc
limit $3
"""

AGREEMENT: Final = "select id from agreements where partner_id = $1 and programme_id = $2"

# Whatever a subject went through, its first event tells of the request that made it.
REQUEST: Final = """
select request_id from events where tenant_id = $1 and subject_id = $2 and sequence = 1 and subject_type = $3 limit 1
"""


async def behind(work: Work, outcome_id: UUID, customer_id: UUID) -> Sequence[Row]:
    """The newest activities that an outcome came of, each with what it counts, and of all of them how many and how much.

    `customer_id` is who its customer is now.
    """
    return await work.db.rows(BEHIND, work.tenant.id, outcome_id, NEWEST, customer_id)


async def agreement_id(work: Work, partner_id: UUID) -> UUID | None:
    """The agreement by which a partner acts in the work's programme."""
    found: UUID | None = await work.db.value(AGREEMENT, partner_id, work.tenant.programme_id)
    return found


async def request_id(work: Work, subject_id: UUID, subject_type: str) -> UUID | None:
    """The request that made it; None where the event that told of it is gone."""
    found: UUID | None = await work.db.value(REQUEST, work.tenant.id, subject_id, subject_type)
    return found
