"""Statements that hand events out to endpoints."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from tallystick.base.work import Work
from tallystick.webhooks.matching import MATCHES

DISCOVERY_BEHIND: Final = """
select t.id, t.programme_id, t.environment
from webhook_heads as h
join tenant_heads as e on e.tenant_id = h.tenant_id
join tenants as t on t.id = h.tenant_id
where h.position < e.position
"""

# Who else hands out in this tenant is left alone: there is one order of events.
LOCK_HEAD: Final = "select position from webhook_heads where tenant_id = $1 for update skip locked"
LAST: Final = "select position from tenant_heads where tenant_id = $1"
MOVE_HEAD: Final = "update webhook_heads set position = $2 where tenant_id = $1"

OWNERS: Final = "select distinct partner_id from webhooks where tenant_id = $1 and status <> 'deleted'"

# Whose agreement ended is told nothing; what an endpoint that is off would have got can be asked for later.
HAND_OUT: Final = f"""
insert into webhook_deliveries (
    tenant_id, webhook_id, position, event_id, recorded_at, topic, subject_id, fifo, status, due_at, concluded_at
)
select $1, w.id, e.position, e.id, e.recorded_at, e.topic, e.subject_id, w.fifo,
    case when w.status = 'enabled' then 'pending' else 'skipped' end, $4::timestamptz,
    case when w.status = 'enabled' then null else $4::timestamptz end
from events as e
join webhooks as w on w.tenant_id = $1 and w.status <> 'deleted' and e.position > w.since_position
join unnest($5::uuid[], $6::boolean[]) as s (partner_id, sees_programme) on s.partner_id = w.partner_id
where e.tenant_id = $1 and e.position > $2 and e.position <= $3 and {MATCHES}
on conflict (tenant_id, webhook_id, position) do nothing
"""


async def lock_head(work: Work) -> int | None:
    """How far events were handed out, locked; None where somebody else is about it."""
    found: int | None = await work.db.value(LOCK_HEAD, work.tenant.id)
    return found


async def last(work: Work) -> int:
    """The position of the newest event."""
    found: int = await work.db.value(LAST, work.tenant.id)
    return found


async def move_head(work: Work, position: int) -> None:
    """Events were handed out so far."""
    await work.db.run(MOVE_HEAD, work.tenant.id, position)


async def owners(work: Work) -> list[UUID]:
    """The partners that have endpoints."""
    return [row[0] for row in await work.db.rows(OWNERS, work.tenant.id)]


async def hand_out(work: Work, after: int, upto: int, sight: Mapping[UUID, bool]) -> None:
    """Hand out the events behind `after` up to `upto` to every endpoint that they are for."""
    await work.db.run(HAND_OUT, work.tenant.id, after, upto, work.real_now, list(sight), list(sight.values()))
