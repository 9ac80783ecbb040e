"""Every statement on `lot_deadlines`, and the reading of lots."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.work import Work
from tallystick.ledger.model import Deadline, Lot

LOTS = """
select id, parent_id, merchant_id, currency, lot_class, funder_id, expires_at, balance - held, held
from accounts
where tenant_id = $1 and parent_id = any($2::uuid[]) and lot_class is not null and balance > 0
order by id
"""

LOCK = f"{LOTS} for update"

EVER = "select id from accounts where tenant_id = $1 and parent_id = $2 order by id"

NEXT_DUE = "select min(due_at) from lot_deadlines where tenant_id = $1 and code = $2 and due_at is not null"

DUE = """
select account_id, parent_id, merchant_id, expires_at
from lot_deadlines
where tenant_id = $1 and code = $2 and due_at <= $3
order by due_at
limit $4
"""

# A lot whose deadline has not come stays due at its expiry.
SET_DUE = """
update lot_deadlines
set due_at = $3
where tenant_id = $1 and account_id = any($2::uuid[]) and expires_at <= $4
"""

SET_DUE_AT_EXPIRY = """
update lot_deadlines
set due_at = expires_at
where tenant_id = $1 and account_id = any($2::uuid[]) and due_at is null
"""

UNANNOUNCED = """
select account_id, parent_id, merchant_id, expires_at
from lot_deadlines
where tenant_id = $1 and code = $2 and announced_at is null and expires_at <= $3
order by expires_at
limit $4
for update skip locked
"""

ANNOUNCE = "update lot_deadlines set announced_at = $3 where tenant_id = $1 and account_id = any($2::uuid[])"


async def of_parents(work: Work, parent_ids: Sequence[UUID]) -> list[Lot]:
    """The lots of these parents that hold anything."""
    return [Lot(*row) for row in await work.db.rows(LOTS, work.tenant.id, parent_ids)]


async def ever_of(work: Work, parent_id: UUID) -> list[UUID]:
    """Every account that ever held value of this parent."""
    return [row[0] for row in await work.db.rows(EVER, work.tenant.id, parent_id)]


async def lock(work: Work, parent_ids: Sequence[UUID]) -> list[Lot]:
    """The same, locked."""
    return [Lot(*row) for row in await work.db.rows(LOCK, work.tenant.id, parent_ids)]


async def next_due(work: Work, code: str) -> datetime | None:
    """The earliest instant at which a lot of this code is due."""
    instant: datetime | None = await work.db.value(NEXT_DUE, work.tenant.id, code)
    return instant


async def due(work: Work, code: str, limit: int) -> list[Deadline]:
    """Lots that are due at `work.now`."""
    return [Deadline(*row) for row in await work.db.rows(DUE, work.tenant.id, code, work.now, limit)]


async def set_due(work: Work, account_ids: Sequence[UUID], at: datetime | None) -> None:
    """Say when expired lots are due, or that they no longer are."""
    await work.db.run(SET_DUE, work.tenant.id, account_ids, at, work.now)


async def set_due_at_expiry(work: Work, account_ids: Sequence[UUID]) -> None:
    """Those of the lots that expire and are not due at any time are due at their expiry."""
    await work.db.run(SET_DUE_AT_EXPIRY, work.tenant.id, account_ids)


async def unannounced(work: Work, code: str, until: datetime, limit: int) -> list[Deadline]:
    """Lots that expire by `until` and were not announced, locked."""
    return [Deadline(*row) for row in await work.db.rows(UNANNOUNCED, work.tenant.id, code, until, limit)]


async def announce(work: Work, account_ids: Sequence[UUID]) -> None:
    """Mark lots as announced."""
    await work.db.run(ANNOUNCE, work.tenant.id, account_ids, work.now)
