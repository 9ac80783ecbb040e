"""Statements that send again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.webhooks.matching import MATCHES
from tallystick.webhooks.model import Replay

COLUMNS: Final = """id, webhook_id, partner_id, topics, only_missing, from_position, to_position, done_position, matched, status,
    created_at, updated_at"""

# The events of this endpoint in a stretch of the feed that a replay is about; those from before there was the endpoint, too.
STRETCH: Final = f"""
from events as e
join webhooks as w on w.tenant_id = $1 and w.id = $2 and w.status = 'enabled'
cross join (select $3::boolean as sees_programme) as s
where e.tenant_id = $1 and e.position > $4 and e.position <= $5 and {MATCHES}
    and ($6::text[] is null or e.topic = any($6)) and ($7::uuid[] is null or e.id = any($7))
"""

# Never what is under way just now; what waits for its next attempt need not wait any longer.
AGAIN: Final = f"""
with again as (
    insert into webhook_deliveries as d (
        tenant_id, webhook_id, position, event_id, recorded_at, topic, subject_id, fifo, status, replayed, due_at
    )
    select $1, w.id, e.position, e.id, e.recorded_at, e.topic, e.subject_id, w.fifo, 'pending', true, $8
    {STRETCH}
    on conflict (tenant_id, webhook_id, position) do update
    set status = 'pending', tries = case when d.status = 'pending' then d.tries else 0 end, replayed = true,
        due_at = excluded.due_at, lease = null, concluded_at = null, fifo = excluded.fifo
    where d.lease is null and (not $9::boolean or d.status <> 'delivered')
    returning d.position
)
select count(*) from again
"""

REHEARSE: Final = f"""
select count(*)
from (select w.id as webhook_id, e.position {STRETCH}) as found
left join webhook_deliveries as d
    on d.tenant_id = $1 and d.webhook_id = found.webhook_id and d.position = found.position
where d.position is null or (d.lease is null and (not $8::boolean or d.status <> 'delivered'))
"""

# Positions are in the order of time; blocks of other times are not read.
SPAN: Final = """
select min(position) - 1, max(position) from events
where tenant_id = $1 and recorded_at >= $2 and recorded_at < $3 and ($4::uuid[] is null or id = any($4))
"""

INSERT: Final = f"""
insert into webhook_replays (tenant_id, {COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
DISCOVERY_REPLAYS: Final = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select from webhook_replays as r where r.tenant_id = t.id and r.status = 'running')
"""
NEXT: Final = f"""
select {COLUMNS} from webhook_replays
where tenant_id = $1 and status = 'running'
order by id
limit 1
for update skip locked
"""
MOVE: Final = """
update webhook_replays set done_position = $3, matched = $4, status = $5, updated_at = $6 where tenant_id = $1 and id = $2
"""
LISTED: Final = "from webhook_replays where tenant_id = $1 and webhook_id = $2"
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $3 limit $4"
CANCEL: Final = """
update webhook_replays set status = 'cancelled', updated_at = $3 where tenant_id = $1 and webhook_id = $2 and status = 'running'
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which events of an endpoint are meant: behind a position up to another, of some topics, some of them by id."""

    webhook_id: UUID
    sees_programme: bool
    after: int
    upto: int
    topics: Sequence[str] | None = None
    event_ids: Sequence[UUID] | None = None

    @property
    def parameters(self) -> tuple[object, ...]:
        return (self.webhook_id, self.sees_programme, self.after, self.upto, self.topics, self.event_ids)


async def again(work: Work, stretch: Stretch, *, only_missing: bool) -> int:
    """Let these be sent, or sent again, as soon as can be; how many there are."""
    found: int = await work.db.value(AGAIN, work.tenant.id, *stretch.parameters, work.real_now, only_missing)
    return found


async def rehearse(work: Work, stretch: Stretch, *, only_missing: bool) -> int:
    """How many there would be."""
    found: int = await work.db.value(REHEARSE, work.tenant.id, *stretch.parameters, only_missing)
    return found


async def span(
    work: Work, since: datetime, until: datetime, event_ids: Sequence[UUID] | None
) -> tuple[int, int] | None:
    """The positions of what was recorded from one instant until before another, the first less one; None where there is none."""
    row = await work.db.row(SPAN, work.tenant.id, since, until, event_ids)
    return None if row is None or row[1] is None else (row[0], row[1])


async def insert(work: Work, replay: Replay) -> None:
    """Keep a wish."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        replay.id,
        replay.webhook_id,
        replay.partner_id,
        replay.topics,
        replay.only_missing,
        replay.from_position,
        replay.to_position,
        replay.done_position,
        replay.matched,
        replay.status,
        replay.created_at,
        replay.updated_at,
    )


async def next_running(work: Work) -> Replay | None:
    """A wish that is being carried out, locked; None where there is none, or others are about all of them."""
    row = await work.db.row(NEXT, work.tenant.id)
    return None if row is None else _replay(row)


async def move(work: Work, replay: Replay) -> None:
    """How far it is now."""
    await work.db.run(
        MOVE, work.tenant.id, replay.id, replay.done_position, replay.matched, replay.status, work.real_now
    )


async def cancel(work: Work, webhook_id: UUID) -> None:
    """Nothing more is sent again to this endpoint."""
    await work.db.run(CANCEL, work.tenant.id, webhook_id, work.real_now)


async def listed(work: Work, webhook_id: UUID, offset: int, limit: int) -> tuple[list[Replay], int]:
    """One page of an endpoint's replays, newest first, and how many there are in all."""
    total: int = await work.db.value(COUNT, work.tenant.id, webhook_id)
    rows = await work.db.rows(LIST, work.tenant.id, webhook_id, offset, limit) if offset < total else []
    return [_replay(row) for row in rows], total


def _replay(row: Row) -> Replay:
    values = list(row)
    values[3] = None if row[3] is None else tuple(row[3])
    return Replay(*values)
