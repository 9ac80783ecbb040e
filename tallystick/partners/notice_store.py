"""Statements on what partners are told of before it falls due: secrets that end, and agreements to be reviewed. In real time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.db import Db, Row
from tallystick.base.work import Work

EXPIRING: Final = """s.revoked_at is null and s.expires_at > $1 and c.status = 'active'
    and ((s.expires_at <= $2 and s.expiry_told < 1) or (s.expires_at <= $3 and s.expiry_told < 2))"""

DISCOVERY_EXPIRING: Final = f"""
select distinct t.id, t.programme_id, t.environment
from client_secrets as s
join clients as c on c.id = s.client_id
join tenants as t on t.id = c.tenant_id
where {EXPIRING}
"""

EXPIRING_CLIENTS: Final = f"""
select c.id from clients as c
where c.tenant_id = $4 and exists (select from client_secrets as s where s.client_id = c.id and {EXPIRING})
order by c.id
limit $5
for no key update of c
"""

# Of each due secret the nearest mark that it passed: a secret that ends within a day is told of once.
TOLD_EXPIRING: Final = f"""
update client_secrets as s set expiry_told = case when s.expires_at <= $3 then 2 else 1 end
from clients as c
where c.id = s.client_id and c.id = any($4::uuid[]) and {EXPIRING}
returning c.id
"""

REVIEW: Final = """a.status = 'active'
    and ((a.review_due_at <= $2 and a.review_told < 1) or (a.review_due_at <= $1 and a.review_told < 2))"""

DISCOVERY_REVIEWS: Final = f"""
select distinct t.id, t.programme_id, t.environment
from agreements as a
join tenants as t on t.programme_id = a.programme_id and t.environment = 'production'
where {REVIEW}
"""

TOLD_REVIEWS: Final = """
update agreements as a set review_told = case when a.review_due_at <= $1 then 2 else 1 end
where a.id in (
    select due.id from agreements as due
    where due.programme_id = $3 and due.status = 'active'
        and ((due.review_due_at <= $2 and due.review_told < 1) or (due.review_due_at <= $1 and due.review_told < 2))
    order by due.id
    limit $4
    for no key update
)
returning a.id, a.partner_id, a.visibility, a.status, a.created_at, a.review_due_at
"""

REVIEWED: Final = """
update agreements set review_due_at = $2, review_told = 0 where id = $1 and status = 'active' returning id
"""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """An agreement and when it is to be reviewed next."""

    id: UUID
    partner_id: UUID
    visibility: Literal["own", "programme"]
    status: Literal["active", "ended"]
    created_at: datetime
    review_due_at: datetime


@dataclass(frozen=True, slots=True)
class Marks:
    """Now, and the instants before which an end is near, and very near."""

    now: datetime
    near: datetime
    nearest: datetime


async def expiring_tenants(db: Db, marks: Marks) -> Sequence[Row]:
    """Every tenant with a secret whose end is to be told."""
    return await db.rows(DISCOVERY_EXPIRING, marks.now, marks.near, marks.nearest)


async def lock_expiring(work: Work, marks: Marks, limit: int) -> list[UUID]:
    """Some of the tenant's clients with such a secret, held until the work ends."""
    rows = await work.db.rows(EXPIRING_CLIENTS, marks.now, marks.near, marks.nearest, work.tenant.id, limit)
    return [row[0] for row in rows]


async def told_expiring(work: Work, marks: Marks, client_ids: Sequence[UUID]) -> set[UUID]:
    """Remember that the ends of these clients' secrets are told; those of whom there was one to tell."""
    rows = await work.db.rows(TOLD_EXPIRING, marks.now, marks.near, marks.nearest, client_ids)
    return {row[0] for row in rows}


async def review_tenants(db: Db, now: datetime, near: datetime) -> Sequence[Row]:
    """The production of every programme with an agreement whose review is to be told."""
    return await db.rows(DISCOVERY_REVIEWS, now, near)


async def told_reviews(work: Work, now: datetime, near: datetime, limit: int) -> list[Reviewed]:
    """Remember that some reviews of the programme are told, and hold their agreements until the work ends."""
    rows = await work.db.rows(TOLD_REVIEWS, now, near, work.tenant.programme_id, limit)
    return [Reviewed(*row) for row in rows]


async def reviewed(db: Db, agreement_id: UUID, due_at: datetime) -> bool:
    """The active agreement is to be reviewed next at this instant; False where there is none."""
    return await db.value(REVIEWED, agreement_id, due_at) is not None
