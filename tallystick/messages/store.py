"""Every statement on `messages`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tallystick.base.db import Db
from tallystick.base.work import Tenant, Work
from tallystick.messages.model import Channel, Conclusion, Kind, Leased, SealedUnder

INSERT = """
insert into messages (
    tenant_id, id, partner_id, recipient_id, channel, kind, sealed_under, content_sealed, created_at, due_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

# Which tenants have messages to send, those that wait longest first. The loop's one look across tenants.
DISCOVERY_DUE = """
select t.id, t.programme_id, t.environment
from (
    select m.tenant_id, min(m.due_at) as since
    from messages as m
    where m.channel = any($1::text[]) and m.due_at <= $2 and m.sent_at is null and m.failed_at is null
    group by m.tenant_id
) as waiting
join tenants as t on t.id = waiting.tenant_id
order by waiting.since
limit $3
"""

# Whoever leases a message moves its due time behind the lease: when this process dies, another finds it due again.
LEASE = """
update messages as m
set attempts = m.attempts + 1, due_at = $4
from (
    select id
    from messages
    where tenant_id = $1 and channel = any($2::text[]) and due_at <= $3 and sent_at is null and failed_at is null
    order by due_at
    limit $5
    for update skip locked
) as due
where m.tenant_id = $1 and m.id = due.id
returning m.id, m.recipient_id, m.channel, m.kind, m.sealed_under, m.content_sealed, m.created_at, m.attempts
"""

# What was sent or given up is forgotten. An attempt whose lease ran out may still say that it was sent, but not that it failed.
CONCLUDE = """
update messages as m
set sent_at = case when done.sent then $2::timestamptz end,
    failed_at = case when not done.sent and done.again_at is null then $2::timestamptz end,
    due_at = done.again_at,
    content_sealed = case when not done.sent and done.again_at is not null then m.content_sealed end
from unnest($3::uuid[], $4::integer[], $5::boolean[], $6::timestamptz[]) as done (id, attempts, sent, again_at)
where m.tenant_id = $1 and m.id = done.id and (done.sent or m.attempts = done.attempts)
"""

LISTED = "from messages where tenant_id = $1 and ($2::uuid is null or partner_id = $2)"

COUNT = f"select count(*) {LISTED}"

LIST = f"""
select id, recipient_id, channel, kind, sealed_under, content_sealed, created_at, attempts
{LISTED}
order by created_at desc, id desc
offset $3 limit $4
"""


async def insert(
    work: Work,
    message_id: UUID,
    partner_id: UUID,
    recipient_id: UUID,
    channel: Channel,
    kind: Kind,
    sealed_under: SealedUnder,
    content_sealed: bytes,
    due_at: datetime | None,
) -> None:
    """Queue a message, or lay it in the mailbox where it is due at no time."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        message_id,
        partner_id,
        recipient_id,
        channel,
        kind,
        sealed_under,
        content_sealed,
        work.now,
        due_at,
    )


async def tenants_with_due(db: Db, channels: Sequence[Channel], now: datetime, limit: int) -> list[Tenant]:
    """The tenants that have messages due on these channels."""
    return [Tenant(row[0], row[1], row[2]) for row in await db.rows(DISCOVERY_DUE, channels, now, limit)]


async def lease(work: Work, channels: Sequence[Channel], length: timedelta, limit: int) -> list[Leased]:
    """Take due messages of this tenant that nobody else is sending."""
    rows = await work.db.rows(LEASE, work.tenant.id, channels, work.real_now, work.real_now + length, limit)
    return [Leased(*row) for row in rows]


async def conclude(work: Work, conclusions: Sequence[Conclusion]) -> None:
    """Write down what became of attempts."""
    await work.db.run(
        CONCLUDE,
        work.tenant.id,
        work.real_now,
        [done.message_id for done in conclusions],
        [done.attempts for done in conclusions],
        [done.sent for done in conclusions],
        [done.again_at for done in conclusions],
    )


async def count(work: Work, partner_id: UUID | None) -> int:
    """How many messages a partner caused; all of the tenant for None."""
    number: int = await work.db.value(COUNT, work.tenant.id, partner_id)
    return number


async def listed(work: Work, partner_id: UUID | None, offset: int, limit: int) -> list[Leased]:
    """The messages that a partner caused, newest first; all of the tenant for None. The content may be forgotten."""
    rows = await work.db.rows(LIST, work.tenant.id, partner_id, offset, limit)
    return [Leased(*row) for row in rows]
