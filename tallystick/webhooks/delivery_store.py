"""Statements that take deliveries to be sent, and write what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.work import Work
from tallystick.webhooks.model import Delivery, DeliveryStatus

# One index entry is read for each endpoint; those that have no room now are not asked for.
DISCOVERY_DUE: Final = """
select t.id, t.programme_id, t.environment, array_agg(w.id)
from webhooks as w
join tenants as t on t.id = w.tenant_id
where w.status = 'enabled' and not w.id = any($2::uuid[]) and exists (
    select from webhook_deliveries as d
    where d.tenant_id = w.tenant_id and d.webhook_id = w.id and d.status = 'pending' and d.due_at <= $1
)
group by t.id
"""

DISCOVERY_OFF: Final = """
select t.id, t.programme_id, t.environment, array_agg(w.id)
from webhooks as w
join tenants as t on t.id = w.tenant_id
where w.status <> 'enabled' and exists (
    select from webhook_deliveries as d
    where d.tenant_id = w.tenant_id and d.webhook_id = w.id and d.status = 'pending' and (d.lease is null or d.due_at <= $1)
)
group by t.id
"""

# Of each endpoint what is due longest, as many as it has room for. Where order is wanted, nothing overtakes what is about the same
# subject: also not what is under way, which is still pending. What others are taking just now is left to them.
TAKE: Final = """
with wanted as materialized (
    select asked.webhook_id, asked.room
    from unnest($2::uuid[], $3::integer[]) as asked (webhook_id, room)
    join webhooks as w on w.tenant_id = $1 and w.id = asked.webhook_id and w.status = 'enabled'
), due as materialized (
    select found.webhook_id, found.position, found.due_at
    from wanted
    cross join lateral (
        select d.webhook_id, d.position, d.due_at
        from webhook_deliveries as d
        where d.tenant_id = $1 and d.webhook_id = wanted.webhook_id and d.status = 'pending' and d.due_at <= $4
            and not (d.fifo and exists (
                select from webhook_deliveries as earlier
                where earlier.tenant_id = $1 and earlier.webhook_id = wanted.webhook_id
                    and earlier.subject_id = d.subject_id and earlier.position < d.position
                    and earlier.status = 'pending' and earlier.fifo
            ))
        order by d.due_at, d.position
        limit wanted.room
        for update of d skip locked
    ) as found
), taken as (
    update webhook_deliveries as d
    set due_at = $5, lease = $6, attempts = d.attempts + 1, tries = d.tries + 1
    from due
    where d.tenant_id = $1 and d.webhook_id = due.webhook_id and d.position = due.position
    returning d.webhook_id, d.position, d.event_id, d.recorded_at, d.topic, d.subject_id, d.attempts, d.tries, d.replayed,
        due.due_at as was_due_at
)
select t.webhook_id, t.position, t.event_id, t.topic, t.subject_id, e.sequence, e.at, e.document, t.attempts, t.tries,
    t.replayed, t.was_due_at
from taken as t
left join events as e on e.tenant_id = $1 and e.position = t.position and e.recorded_at = t.recorded_at
order by t.was_due_at, t.position
"""

# What somebody else took meanwhile, since the lease had ended, is theirs; the attempt was made all the same.
END: Final = """
with ended as (
    update webhook_deliveries as d
    set status = e.status, due_at = coalesce(e.due_at, d.due_at), lease = null, concluded_at = e.concluded_at
    from unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::timestamptz[], $7::timestamptz[]) as e (
        webhook_id, position, lease, status, due_at, concluded_at
    )
    where d.tenant_id = $1 and d.webhook_id = e.webhook_id and d.position = e.position and d.lease = e.lease
)
insert into webhook_attempts (
    tenant_id, webhook_id, position, id, number, at, milliseconds, status_code, fault, answer_sealed, replayed
)
select $1, a.webhook_id, a.position, a.id, a.number, a.at, a.milliseconds, a.status_code, a.fault, a.answer_sealed, a.replayed
from unnest($2::uuid[], $3::bigint[], $8::uuid[], $9::integer[], $10::timestamptz[], $11::integer[], $12::smallint[],
    $13::text[], $14::bytea[], $15::boolean[]) as a (
    webhook_id, position, id, number, at, milliseconds, status_code, fault, answer_sealed, replayed
)
on conflict (tenant_id, webhook_id, position, id) do nothing
"""

# As if it had never been taken.
GIVE_BACK: Final = """
update webhook_deliveries as d
set due_at = b.due_at, lease = null, attempts = d.attempts - 1, tries = d.tries - 1
from unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::timestamptz[]) as b (webhook_id, position, lease, due_at)
where d.tenant_id = $1 and d.webhook_id = b.webhook_id and d.position = b.position and d.lease = b.lease
"""

# What cannot be sent, since its event is no longer kept.
DROP: Final = """
update webhook_deliveries as d
set status = 'skipped', lease = null, concluded_at = $5
from unnest($2::uuid[], $3::bigint[], $4::uuid[]) as l (webhook_id, position, lease)
where d.tenant_id = $1 and d.webhook_id = l.webhook_id and d.position = l.position and d.lease = l.lease
"""

# What is under way ends by itself.
SKIP: Final = """
with off as materialized (
    select d.webhook_id, d.position
    from webhook_deliveries as d
    where d.tenant_id = $1 and d.webhook_id = $2 and d.status = 'pending' and (d.lease is null or d.due_at <= $3)
    limit $4
    for update skip locked
), skipped as (
    update webhook_deliveries as d
    set status = 'skipped', lease = null, concluded_at = $3
    from off
    where d.tenant_id = $1 and d.webhook_id = off.webhook_id and d.position = off.position
    returning 1
)
select count(*) from skipped
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that was taken; `due_at` is when it had been due."""

    delivery: Delivery
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Lost:
    """A delivery that was taken, of an event that is no longer kept."""

    webhook_id: UUID
    position: int
    lease: UUID


@dataclass(frozen=True, slots=True)
class Ended:
    """What an attempt came to: how the delivery stands after it, and the attempt itself."""

    delivery: Delivery
    status: DeliveryStatus
    due_at: datetime | None
    id: UUID
    at: datetime
    milliseconds: int
    status_code: int | None
    fault: str | None
    answer_sealed: bytes | None


async def take(work: Work, rooms: Mapping[UUID, int], lease: UUID, ends_at: datetime) -> tuple[list[Taken], list[Lost]]:
    """Take what is due in real time of these endpoints, at most as many as each has room for, until the lease ends."""
    rows = await work.db.rows(TAKE, work.tenant.id, list(rooms), list(rooms.values()), work.real_now, ends_at, lease)
    taken = [
        Taken(
            Delivery(
                tenant=work.tenant,
                webhook_id=row[0],
                position=row[1],
                event_id=row[2],
                topic=row[3],
                subject_id=row[4],
                sequence=row[5],
                at=row[6],
                document=row[7],
                number=row[8],
                tries=row[9],
                replayed=row[10],
                lease=lease,
            ),
            row[11],
        )
        for row in rows
        if row[7] is not None
    ]
    return taken, [Lost(row[0], row[1], lease) for row in rows if row[7] is None]


async def end(work: Work, ended: Sequence[Ended]) -> None:
    """Write what attempts came to."""
    deliveries = [each.delivery for each in ended]
    await work.db.run(
        END,
        work.tenant.id,
        [each.webhook_id for each in deliveries],
        [each.position for each in deliveries],
        [each.lease for each in deliveries],
        [each.status for each in ended],
        [each.due_at for each in ended],
        [None if each.status == "pending" else each.at for each in ended],
        [each.id for each in ended],
        [each.number for each in deliveries],
        [each.at for each in ended],
        [each.milliseconds for each in ended],
        [each.status_code for each in ended],
        [each.fault for each in ended],
        [each.answer_sealed for each in ended],
        [each.replayed for each in deliveries],
    )


async def give_back(work: Work, taken: Sequence[Taken]) -> None:
    """Let others have what was taken and not sent."""
    await work.db.run(
        GIVE_BACK,
        work.tenant.id,
        [each.delivery.webhook_id for each in taken],
        [each.delivery.position for each in taken],
        [each.delivery.lease for each in taken],
        [each.due_at for each in taken],
    )


async def drop(work: Work, lost: Sequence[Lost]) -> None:
    """Skip what was taken of events that are no longer kept."""
    await work.db.run(
        DROP,
        work.tenant.id,
        [each.webhook_id for each in lost],
        [each.position for each in lost],
        [each.lease for each in lost],
        work.real_now,
    )


async def skip(work: Work, webhook_id: UUID, limit: int) -> int:
    """Skip what waits for an endpoint, up to a number; how many there were."""
    found: int = await work.db.value(SKIP, work.tenant.id, webhook_id, work.real_now, limit)
    return found
