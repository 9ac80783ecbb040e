"""The statements on operators, and on agreements as operators see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from tallystick.base.db import Db, Row
from tallystick.base.work import DataPolicy, Tenant

COLUMNS = "id, name, email, tail, status, created_at, revoked_at"

INSERT = f"insert into operators ({COLUMNS}, digest) values ($1, $2, $3, $4, $5, $6, $7, $8)"

LISTED = f"select {COLUMNS} from operators order by created_at, id"

BY_DIGEST = f"select {COLUMNS} from operators where digest = any($1::bytea[])"

# Revoked once: the first instant stays.
REVOKE = f"""
update operators set status = 'revoked', revoked_at = coalesce(revoked_at, $2) where id = $1 returning {COLUMNS}
"""

AGREED = """
from agreements as a
join partners as p on p.id = a.partner_id
join programmes as g on g.id = a.programme_id
join tenants as s on s.programme_id = g.id and s.environment = 'sandbox'
join tenants as l on l.programme_id = g.id and l.environment = 'production'
where ($1::uuid is null or a.id = $1) and ($2::uuid is null or a.partner_id = $2)
    and ($3::uuid is null or a.programme_id = $3)
"""

COUNT_AGREED = f"select count(*) {AGREED}"

LIST_AGREED = f"""
select a.id, a.partner_id, p.name, a.programme_id, g.name, a.visibility, a.status, a.created_at, s.id, l.id,
    a.transactions_policy, a.visits_policy, a.orders_policy, a.review_due_at {AGREED}
order by a.created_at, a.id offset $4 limit $5
"""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who operates the house. `tail` is the end of the secret, which nobody can read again."""

    id: UUID
    name: str
    email: str | None
    tail: str
    status: Literal["active", "revoked"]
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class AgreementBooks:
    """An agreement by the names of its parties, with the books of its programme in both environments."""

    id: UUID
    partner_id: UUID
    partner_name: str
    programme_name: str
    visibility: str
    status: str
    created_at: datetime
    sandbox: Tenant
    production: Tenant
    data_policy: DataPolicy
    review_due_at: datetime | None


async def insert(db: Db, operator: Operator, digest: bytes) -> None:
    """Insert an operator, the secret as its keyed hash."""
    await db.run(
        INSERT,
        operator.id,
        operator.name,
        operator.email,
        operator.tail,
        operator.status,
        operator.created_at,
        operator.revoked_at,
        digest,
    )


async def listed(db: Db) -> list[Operator]:
    """Every operator there ever was, oldest first."""
    return [Operator(*row) for row in await db.rows(LISTED)]


async def by_digest(db: Db, digests: Sequence[bytes]) -> Operator | None:
    """Whose secret has one of these hashes."""
    row = await db.row(BY_DIGEST, digests)
    return None if row is None else Operator(*row)


async def revoke(db: Db, operator_id: UUID, now: datetime) -> Operator | None:
    """The operator is let in no more; None when there is no such operator."""
    row = await db.row(REVOKE, operator_id, now)
    return None if row is None else Operator(*row)


async def agreed(
    db: Db,
    offset: int,
    limit: int,
    *,
    agreement_id: UUID | None = None,
    partner_id: UUID | None = None,
    programme_id: UUID | None = None,
) -> tuple[list[AgreementBooks], int]:
    """One page of agreements, oldest first, and how many there are; all of them, or of these."""
    wanted = (agreement_id, partner_id, programme_id)
    total: int = await db.value(COUNT_AGREED, *wanted)
    rows = await db.rows(LIST_AGREED, *wanted, offset, limit) if offset < total else []
    return [_agreement(row) for row in rows], total


def _agreement(row: Row) -> AgreementBooks:
    return AgreementBooks(
        id=row[0],
        partner_id=row[1],
        partner_name=row[2],
        programme_name=row[4],
        visibility=row[5],
        status=row[6],
        created_at=row[7],
        sandbox=Tenant(row[8], row[3], "sandbox"),
        production=Tenant(row[9], row[3], "production"),
        data_policy=DataPolicy(row[10], row[11], row[12]),
        review_due_at=row[13],
    )
