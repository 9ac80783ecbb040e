"""Every statement about the announcing of rewards that expire soon."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.work import Work

# A day is 24 hours here, whatever the time zone of the session. One probe for each merchant.
NEXT = """
select min(earliest.claim_expires_at - s.expiry_notice_days * interval '24 hours')
from spending_terms as s
cross join lateral (
    select r.claim_expires_at
    from rewards as r
    where r.tenant_id = $1 and r.merchant_id = s.merchant_id and r.status = 'Created' and r.announced_at is null
        and r.claim_expires_at > $2
    order by r.claim_expires_at
    limit 1
) as earliest
where s.tenant_id = $1
"""

TO_ANNOUNCE = """
select r.id, r.recipient_id
from spending_terms as s
cross join lateral (
    select soon.id, soon.recipient_id
    from rewards as soon
    where soon.tenant_id = $1 and soon.merchant_id = s.merchant_id and soon.status = 'Created' and soon.announced_at is null
        and soon.claim_expires_at > $2
        and soon.claim_expires_at <= $3::timestamptz + s.expiry_notice_days * interval '24 hours'
    order by soon.claim_expires_at
    limit $4
) as r
where s.tenant_id = $1
limit $4
"""

UNANNOUNCED = """
select id from rewards where tenant_id = $1 and id = any($2::uuid[]) and status = 'Created' and announced_at is null
"""

ANNOUNCE = """
update rewards set announced_at = $3, version = version + 1, updated_at = $3 where tenant_id = $1 and id = any($2::uuid[])
"""

# Which tenants may have rewards to announce, by the longest notice any of their merchants gives, and what time it is there.
DISCOVERY_NOTICES = """
select t.id, t.programme_id, t.environment, $1::timestamptz + t.clock_offset
from tenants as t
cross join lateral (
    select min(r.claim_expires_at) as claim_expires_at
    from rewards as r
    where r.tenant_id = t.id and r.status = 'Created' and r.claim_expires_at > $1::timestamptz + t.clock_offset
) as earliest
cross join lateral (
    select max(s.expiry_notice_days) as days from spending_terms as s where s.tenant_id = t.id
) as longest
where earliest.claim_expires_at <= $1::timestamptz + t.clock_offset + longest.days * interval '24 hours'
"""


async def next_notice(work: Work) -> datetime | None:
    """The earliest instant at which a reward that waits still is to be announced."""
    instant: datetime | None = await work.db.value(NEXT, work.tenant.id, work.now)
    return instant


async def to_announce(work: Work, until: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """(reward, recipient) of those that wait still and were to be announced by an instant; not locked."""
    rows = await work.db.rows(TO_ANNOUNCE, work.tenant.id, work.now, until, limit)
    return [(row[0], row[1]) for row in rows]


async def unannounced(work: Work, reward_ids: Sequence[UUID]) -> set[UUID]:
    """Those of locked rewards that wait still and were not announced."""
    return {row[0] for row in await work.db.rows(UNANNOUNCED, work.tenant.id, reward_ids)}


async def announce(work: Work, reward_ids: Sequence[UUID]) -> None:
    """Mark locked rewards as announced, each one version on."""
    await work.db.run(ANNOUNCE, work.tenant.id, reward_ids, work.now)
