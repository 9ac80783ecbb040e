"""Every statement that makes what one customer did another's."""

from typing import Final
from uuid import UUID

from tallystick.activity.outcome_store import COLUMNS, Outcome
from tallystick.base.db import Row
from tallystick.base.work import Work

# Tenants in which customers were merged and whose changes of customers nobody follows yet.
DISCOVERY_UNFOLLOWED: Final = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select from customer_merges as m where m.tenant_id = t.id)
    and exists (select from activity_keys as k where k.tenant_id = t.id)
    and not exists (select from activity_cursors as c where c.tenant_id = t.id)
"""

FOLLOW: Final = """
insert into activity_cursors (tenant_id, name, changed_at, customer_id)
select $1, named.name, first.at - interval '1 second', '00000000-0000-0000-0000-000000000000'
from unnest(array['fresh', 'sure']) as named (name)
cross join (select min(m.merged_at) as at from customer_merges as m where m.tenant_id = $1) as first
where first.at is not null
on conflict on constraint activity_cursors_pkey do nothing
"""

LOCK: Final = "select a.id from activities as a where a.tenant_id = $1 and a.customer_id = $2 order by a.id for update"

# The newest of each merchant first.
GIVE: Final = """
update activities as a set customer_id = $3 where a.tenant_id = $1 and a.customer_id = $2
returning a.merchant_id, a.occurred_at, a.id, a.location_id
"""

STANDING: Final = f"""
select {COLUMNS}
from threshold_outcomes as o
where o.tenant_id = $1 and o.customer_id = $2 and o.threshold_id = any(
    select p.threshold_id from threshold_progress as p where p.tenant_id = $1 and p.customer_id = $2
) and o.status <> 'returned'
"""

OF_CUSTOMER: Final = f"""
select {COLUMNS}
from threshold_outcomes as o
where o.tenant_id = $1 and o.customer_id = $2 and o.threshold_id = any($3::uuid[])
"""


async def follow(work: Work) -> None:
    """From the first merge on the changes of this tenant's customers are followed."""
    await work.db.run(FOLLOW, work.tenant.id)


async def give(work: Work, customer_id: UUID, into_id: UUID) -> dict[UUID, tuple[UUID, UUID | None]]:
    """Make what a customer did another's; of each merchant the newest of it, and where that was."""
    await work.db.run(LOCK, work.tenant.id, customer_id)
    rows: list[Row] = list(await work.db.rows(GIVE, work.tenant.id, customer_id, into_id))
    return {row[0]: (row[2], row[3]) for row in sorted(rows, key=lambda row: (row[1], row[2]))}


async def standing(work: Work, customer_id: UUID) -> list[Outcome]:
    """What stands of a customer's outcomes."""
    return [Outcome(*row) for row in await work.db.rows(STANDING, work.tenant.id, customer_id)]


async def of_customer(work: Work, customer_id: UUID, threshold_ids: list[UUID]) -> list[Outcome]:
    """Everything that a customer's progress in these thresholds came to."""
    return [Outcome(*row) for row in await work.db.rows(OF_CUSTOMER, work.tenant.id, customer_id, threshold_ids)]
