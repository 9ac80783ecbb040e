"""Every statement that changes whose an activity is, or whether it counts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.activity.looking import Purchase
from tallystick.base.db import Row
from tallystick.base.work import Work

LOCK = """
select a.id, a.type, a.merchant_id, a.currency, a.customer_id, a.attribution, a.returned_amount, a.returned_units, a.voided,
    a.linked_id, a.amount, a.units
from (select one.id from unnest($2::uuid[]) as one (id) order by one.id) as one
cross join lateral (
    select held.id, held.type, held.merchant_id, held.currency, held.customer_id, held.attribution, held.returned_amount,
        held.returned_units, held.voided, held.linked_id, held.amount, held.units
    from activities as held
    where held.tenant_id = $1 and held.id = one.id
    for update
) as a
"""

PENDING_OF_IMPORT = """
select id, linked_id
from activities
where tenant_id = $1 and import_id = $2 and attribution = 'pending' and id > $3
order by id
limit $4
"""

PENDING_DUE = """
select id, linked_id
from activities
where tenant_id = $1 and attribution = 'pending' and release_at <= $2
order by release_at
limit $3
"""

NEXT_RELEASE = (
    "select min(release_at) from activities where tenant_id = $1 and attribution = 'pending' and release_at is not null"
)

DISCOVERY_RELEASE = """
select t.id, t.programme_id, t.environment, earliest.due
from tenants as t
cross join lateral (
    select min(a.release_at) as due
    from activities as a
    where a.tenant_id = t.id and a.attribution = 'pending' and a.release_at is not null
) as earliest
where earliest.due <= $1::timestamptz + t.clock_offset
"""

ATTRIBUTE = """
update activities as a set attribution = $3 from unnest($2::uuid[]) as one (id)
where a.tenant_id = $1 and a.id = one.id and a.id = any($2)
"""

STANDING_VOIDS = """
select distinct linked_id from activities
where tenant_id = $1 and linked_id = any($2::uuid[]) and type = 'Void' and attribution <> 'rejected'
"""

RETURN = """
update activities as a
set returned_amount = fresh.returned_amount, returned_units = fresh.returned_units, voided = fresh.voided
from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::boolean[]) as fresh (id, returned_amount, returned_units, voided)
where a.tenant_id = $1 and a.id = fresh.id and a.id = any($2)
"""

OWN = """
update activities as a set customer_id = fresh.customer_id from unnest($2::uuid[], $3::uuid[]) as fresh (id, customer_id)
where a.tenant_id = $1 and a.id = fresh.id and a.id = any($2) and a.customer_id is null
"""

STRANGERS = """
select a.id, a.partner_id, a.identity_kind, a.identity_index
from activities as a
left join activity_terms as terms on terms.tenant_id = a.tenant_id and terms.merchant_id = a.merchant_id
where a.tenant_id = $1 and a.identity_index = any($2::bytea[]) and a.customer_id is null and a.identity_index is not null
    and a.received_at + coalesce(terms.unknown_days, 30) * interval '1 day' >= $3
order by a.id
"""

# The changes of customers behind a cursor; the sure one looks only at what no work can be under way with that has not seen it.
CHANGED = """
select u.id, u.updated_at
from customers as u
where u.tenant_id = $1 and (u.updated_at, u.id) > ($2::timestamptz, $3::uuid) and u.updated_at <= $4
order by u.updated_at, u.id
limit $5
"""

CURSOR = """
select changed_at, customer_id from activity_cursors where tenant_id = $1 and name = $2 for update skip locked
"""

MOVE_CURSOR = "update activity_cursors set changed_at = $3, customer_id = $4 where tenant_id = $1 and name = $2"

TOKENS = "select token_index, customer_id from card_tokens where tenant_id = $1 and customer_id = any($2::uuid[])"

DISCOVERY_CHANGED = """
select t.id, t.programme_id, t.environment, c.name
from activity_cursors as c
join tenants as t on t.id = c.tenant_id
where exists (
    select 1 from customers as u
    where u.tenant_id = c.tenant_id and (u.updated_at, u.id) > (c.changed_at, c.customer_id)
        and u.updated_at <= $1::timestamptz + t.clock_offset - case c.name when 'sure' then $2::interval else interval '0' end
)
"""


async def lock(work: Work, activity_ids: Sequence[UUID]) -> dict[UUID, tuple[Purchase, Row]]:
    """Activities by id, locked in the order of their ids, with their rows."""
    rows = await work.db.rows(LOCK, work.tenant.id, activity_ids)
    return {row[0]: (Purchase(*list(row)[:9]), row) for row in rows}


async def pending_of_import(work: Work, import_id: UUID, after: UUID, limit: int) -> list[tuple[UUID, UUID | None]]:
    """What an import brought that waits to be reconciled, with what it takes back."""
    return [(row[0], row[1]) for row in await work.db.rows(PENDING_OF_IMPORT, work.tenant.id, import_id, after, limit)]


async def pending_due(work: Work, limit: int) -> list[tuple[UUID, UUID | None]]:
    """What is to be released by now, the earliest first, with what it takes back."""
    return [(row[0], row[1]) for row in await work.db.rows(PENDING_DUE, work.tenant.id, work.now, limit)]


async def next_release(work: Work) -> datetime | None:
    """When the next activity of the tenant is to be released."""
    instant: datetime | None = await work.db.value(NEXT_RELEASE, work.tenant.id)
    return instant


async def attribute(work: Work, activity_ids: Sequence[UUID], attribution: str) -> None:
    """Write whether they count."""
    await work.db.run(ATTRIBUTE, work.tenant.id, activity_ids, attribution)


async def standing_voids(work: Work, activity_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the activities that a void takes back which was not rejected."""
    return {row[0] for row in await work.db.rows(STANDING_VOIDS, work.tenant.id, activity_ids)}


async def write_returns(work: Work, changed: Sequence[Purchase]) -> None:
    """Write what was returned of each, and whether it was voided."""
    await work.db.run(
        RETURN,
        work.tenant.id,
        [each.id for each in changed],
        [each.returned_amount for each in changed],
        [each.returned_units for each in changed],
        [each.voided for each in changed],
    )


async def own(work: Work, owners: Sequence[tuple[UUID, UUID]]) -> None:
    """Write whose activities are that were nobody's: (activity, customer)."""
    await work.db.run(OWN, work.tenant.id, [each[0] for each in owners], [each[1] for each in owners])


async def strangers(work: Work, indexes: Sequence[bytes]) -> Sequence[Row]:
    """(id, partner, kind and index of identity) of what is nobody's yet, named so, and not too old to be counted."""
    return await work.db.rows(STRANGERS, work.tenant.id, indexes, work.now)


async def cursor(work: Work, name: str) -> tuple[datetime, UUID] | None:
    """How far the changes were looked at, locked; None where another process has it."""
    row = await work.db.row(CURSOR, work.tenant.id, name)
    return None if row is None else (row[0], row[1])


async def changed(work: Work, after: tuple[datetime, UUID], until: datetime, limit: int) -> list[tuple[UUID, datetime]]:
    """The next customers that changed, and when."""
    return [(row[0], row[1]) for row in await work.db.rows(CHANGED, work.tenant.id, *after, until, limit)]


async def move_cursor(work: Work, name: str, to: tuple[datetime, UUID]) -> None:
    """Go on behind this change the next time."""
    await work.db.run(MOVE_CURSOR, work.tenant.id, name, *to)


async def tokens(work: Work, customer_ids: Sequence[UUID]) -> dict[bytes, UUID]:
    """Whose each card is, by the index of its token."""
    return {row[0]: row[1] for row in await work.db.rows(TOKENS, work.tenant.id, customer_ids)}
