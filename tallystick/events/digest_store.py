"""Statements that count a day's events, and find those that somebody has not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.work import Caller, Work
from tallystick.events.store import COLUMNS, VISIBLE, Recorded

# Ids name the millisecond in which their events were recorded: those of one slice of time are all before those of the next.
SLICE: Final = f"""
select topic, count(*), string_agg(id::text, E'\n' order by id), min(position), max(position)
from events
where tenant_id = $1 and {VISIBLE} and recorded_at >= $5 and recorded_at < $6 and ($7::text[] is null or topic = any($7))
group by topic
order by topic
"""

MISSING: Final = f"""
select {COLUMNS}
from events
where tenant_id = $1 and {VISIBLE} and recorded_at >= $5 and recorded_at < $6 and topic = $7 and position > $8
    and id not in (select had.id from unnest($9::uuid[]) as had (id))
order by position
limit $10
"""


@dataclass(frozen=True, slots=True)
class Slice:
    """The events of one topic in a stretch of time: how many, their ids in order, joined by line breaks, and which positions."""

    topic: str
    count: int
    ids: str
    first_position: int
    last_position: int


async def slice_of(
    work: Work, caller: Caller, since: datetime, until: datetime, topics: Sequence[str] | None
) -> list[Slice]:
    """What the caller may see of what was recorded from one instant until before another, by topic."""
    rows = await work.db.rows(
        SLICE, work.tenant.id, caller.partner_id, caller.sees_programme, caller.merchant_ids, since, until, topics
    )
    return [Slice(*row) for row in rows]


async def missing(
    work: Work,
    caller: Caller,
    since: datetime,
    until: datetime,
    topic: str,
    have: Sequence[UUID],
    after: int,
    limit: int,
) -> list[Recorded]:
    """Events of a topic that the caller may see and does not have, oldest first."""
    rows = await work.db.rows(
        MISSING,
        work.tenant.id,
        caller.partner_id,
        caller.sees_programme,
        caller.merchant_ids,
        since,
        until,
        topic,
        after,
        have,
        limit,
    )
    return [Recorded(*row) for row in rows]
