"""Statements that forget: attempts and deliveries that are old, and whatever was a deleted endpoint's."""

from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.work import Work

DISCOVERY_OLD: Final = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select from webhooks as w where w.tenant_id = t.id and w.status = 'deleted')
    or exists (select from webhook_attempts as a where a.tenant_id = t.id and a.at < $1)
    or exists (
        select from webhook_deliveries as d where d.tenant_id = t.id and d.recorded_at < $1 and d.status <> 'pending'
    )
"""

OLD_ATTEMPTS: Final = """
with old as (
    select webhook_id, position, id from webhook_attempts where tenant_id = $1 and at < $2 limit $3
),
gone as (
    delete from webhook_attempts as a using old
    where a.tenant_id = $1 and a.webhook_id = old.webhook_id and a.position = old.position and a.id = old.id
    returning a.id
)
select count(*) from gone
"""

# What waits for its next attempt is not old, whenever it happened.
OLD_DELIVERIES: Final = """
with old as (
    select webhook_id, position from webhook_deliveries
    where tenant_id = $1 and recorded_at < $2 and status <> 'pending'
    limit $3
),
gone as (
    delete from webhook_deliveries as d using old
    where d.tenant_id = $1 and d.webhook_id = old.webhook_id and d.position = old.position and d.status <> 'pending'
    returning d.position
)
select count(*) from gone
"""

DELETED: Final = (
    "select id from webhooks where tenant_id = $1 and status = 'deleted' order by id limit 1 for update skip locked"
)
ATTEMPTS_OF: Final = """
with old as (
    select position, id from webhook_attempts where tenant_id = $1 and webhook_id = $2 limit $3
),
gone as (
    delete from webhook_attempts as a using old
    where a.tenant_id = $1 and a.webhook_id = $2 and a.position = old.position and a.id = old.id
    returning a.id
)
select count(*) from gone
"""
DELIVERIES_OF: Final = """
with old as (
    select position from webhook_deliveries where tenant_id = $1 and webhook_id = $2 limit $3
),
gone as (
    delete from webhook_deliveries as d using old
    where d.tenant_id = $1 and d.webhook_id = $2 and d.position = old.position
    returning d.position
)
select count(*) from gone
"""
SECRETS_OF: Final = "delete from webhook_secrets where tenant_id = $1 and webhook_id = $2"
REPLAYS_OF: Final = "delete from webhook_replays where tenant_id = $1 and webhook_id = $2"
ENDPOINT: Final = "delete from webhooks where tenant_id = $1 and id = $2 and status = 'deleted'"


async def forget(work: Work, before: datetime, most: int) -> int:
    """Delete what is from before an instant, up to so many of each kind; how many."""
    attempts: int = await work.db.value(OLD_ATTEMPTS, work.tenant.id, before, most)
    deliveries: int = await work.db.value(OLD_DELIVERIES, work.tenant.id, before, most)
    return attempts + deliveries


async def deleted(work: Work) -> UUID | None:
    """A deleted endpoint of which something is left, locked."""
    found: UUID | None = await work.db.value(DELETED, work.tenant.id)
    return found


async def clear(work: Work, webhook_id: UUID, most: int) -> None:
    """Delete what was a deleted endpoint's, up to so many of each kind; the endpoint itself with the last of it."""
    attempts: int = await work.db.value(ATTEMPTS_OF, work.tenant.id, webhook_id, most)
    deliveries: int = await work.db.value(DELIVERIES_OF, work.tenant.id, webhook_id, most)
    if attempts + deliveries == 0:
        for statement in (SECRETS_OF, REPLAYS_OF, ENDPOINT):
            await work.db.run(statement, work.tenant.id, webhook_id)
