"""Every statement on `reward_batches` and `reward_batch_items`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from tallystick.base.work import Work

Status = Literal["accepted", "running", "completed", "revoking", "revoked"]

COLUMNS = """id, partner_id, client_id, merchant_id, request_id, status, total, done, succeeded, failed, revoked, version,
    created_at, updated_at"""

INSERT = """
insert into reward_batches (
    tenant_id, id, partner_id, client_id, merchant_id, request_id, status, total, due_at, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, 'accepted', $7, $8, $9, $9)
"""

INSERT_LINES = """
insert into reward_batch_items (tenant_id, batch_id, line, command_sealed)
select $1, $2, line.n - 1, line.command_sealed
from unnest($3::bytea[]) with ordinality as line (command_sealed, n)
"""

BY_ID = f"select {COLUMNS} from reward_batches where tenant_id = $1 and id = $2"

LISTED = """
from reward_batches
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
"""
COUNT = f"select count(*) {LISTED}"
LIST = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $4 limit $5"

LOCK = f"select {COLUMNS} from reward_batches where tenant_id = $1 and id = $2 for update"

# A lease: whoever takes the batch moves its due time on; a killed holder's batch becomes due again.
LEASE = f"""
update reward_batches
set due_at = $2
where tenant_id = $1 and id = (
    select id from reward_batches
    where tenant_id = $1 and due_at <= $3
    order by due_at
    limit 1
    for update skip locked
)
returning {COLUMNS}
"""

PROGRESS = """
update reward_batches
set status = $3, done = $4, succeeded = $5, failed = $6, revoked = $7, due_at = $8, version = version + 1, updated_at = $9
where tenant_id = $1 and id = $2
"""

WAITING_LINES = """
select line, command_sealed
from reward_batch_items
where tenant_id = $1 and batch_id = $2 and line >= $3 and reward_id is null and error is null
order by line
limit $4
"""

CONCLUDE_LINES = """
update reward_batch_items as item
set reward_id = concluded.reward_id, error = concluded.error, command_sealed = null
from unnest($3::int[], $4::uuid[], $5::json[]) as concluded (line, reward_id, error)
where item.tenant_id = $1 and item.batch_id = $2 and item.line = concluded.line
"""

TALLY = """
select count(*) filter (where reward_id is not null), count(*) filter (where error is not null)
from reward_batch_items
where tenant_id = $1 and batch_id = $2
"""

LINES = """
from reward_batch_items
where tenant_id = $1 and batch_id = $2 and case $3::text
    when 'failed' then error is not null
    when 'succeeded' then reward_id is not null
    when 'waiting' then error is null and reward_id is null
    else true
end
"""
COUNT_LINES = f"select count(*) {LINES}"
LIST_LINES = f"select line, reward_id, error {LINES} order by line offset $4 limit $5"

# What a revocation still has to take back: rewards that wait, and credited ones of which something is left that can be. Nobody is
# left to take it from where the holder was erased, and what has expired has returned already.
STANDING = """
select r.id, r.status
from rewards as r
where r.tenant_id = $1 and r.batch_id = $2 and (
    (r.status = 'Created' and r.claim_expires_at > $3)
    or (
        r.status in ('Credited', 'Claimed')
        and r.reversed_amount + (
            select coalesce(-sum(e.amount), 0)
            from entries as e
            join journals as j on j.tenant_id = $1 and j.id = e.journal_id and j.kind = 'lot.expire'
            where e.tenant_id = $1 and e.account_id = r.value_account_id
        ) < r.amount
        and not exists (
            select from wallets as w
            join customers as c on c.tenant_id = $1 and c.id = w.customer_id and c.status = 'erased'
            where w.tenant_id = $1 and w.id = r.wallet_id
        )
    )
)
order by r.id
limit $4
"""

TAKEN_BACK = """
select count(*)
from rewards as r
where r.tenant_id = $1 and r.batch_id = $2 and (r.status = 'Cancelled' or r.reversed_amount = r.amount)
"""

# Which tenants have a batch to run; leases are in real time.
DISCOVERY_DUE = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select 1 from reward_batches as b where b.tenant_id = t.id and b.due_at <= $1)
"""


@dataclass(frozen=True, slots=True)
class RewardBatch:
    """A batch as its row stands."""

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    request_id: UUID
    status: Status
    total: int
    done: int
    succeeded: int
    failed: int
    revoked: int
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a batch and what became of it."""

    line: int
    reward_id: UUID | None
    error: str | None


async def insert(work: Work, batch: RewardBatch, commands_sealed: Sequence[bytes]) -> None:
    """Insert an accepted batch with all its lines, due at once."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        batch.id,
        batch.partner_id,
        batch.client_id,
        batch.merchant_id,
        batch.request_id,
        batch.total,
        work.real_now,
        work.now,
    )
    await work.db.run(INSERT_LINES, work.tenant.id, batch.id, commands_sealed)


async def by_id(work: Work, batch_id: UUID) -> RewardBatch | None:
    """One batch, for reading."""
    row = await work.db.row(BY_ID, work.tenant.id, batch_id)
    return None if row is None else RewardBatch(*row)


async def lock(work: Work, batch_id: UUID) -> RewardBatch | None:
    """One batch, locked."""
    row = await work.db.row(LOCK, work.tenant.id, batch_id)
    return None if row is None else RewardBatch(*row)


async def listed(
    work: Work, partner_id: UUID | None, merchant_ids: Sequence[UUID] | None, offset: int, limit: int
) -> tuple[list[RewardBatch], int]:
    """One page of batches, newest first, and how many there are in all."""
    total: int = await work.db.value(COUNT, work.tenant.id, partner_id, merchant_ids)
    rows = await work.db.rows(LIST, work.tenant.id, partner_id, merchant_ids, offset, limit) if offset < total else []
    return [RewardBatch(*row) for row in rows], total


async def lease(work: Work, until: datetime) -> RewardBatch | None:
    """Take the batch that has waited longest, for ourselves until an instant of real time."""
    row = await work.db.row(LEASE, work.tenant.id, until, work.real_now)
    return None if row is None else RewardBatch(*row)


async def progress(work: Work, batch: RewardBatch, due_at: datetime | None) -> None:
    """Write how far a batch is, one version on, and when it is to go on; None when there is nothing left to do."""
    await work.db.run(
        PROGRESS,
        work.tenant.id,
        batch.id,
        batch.status,
        batch.done,
        batch.succeeded,
        batch.failed,
        batch.revoked,
        due_at,
        work.now,
    )


async def waiting_lines(work: Work, batch_id: UUID, from_line: int, limit: int) -> list[tuple[int, bytes]]:
    """Lines that have not run, in order, with their sealed commands."""
    rows = await work.db.rows(WAITING_LINES, work.tenant.id, batch_id, from_line, limit)
    return [(row[0], row[1]) for row in rows]


async def conclude_lines(work: Work, batch_id: UUID, lines: Sequence[Line]) -> None:
    """Write what became of lines; their sealed commands are destroyed."""
    await work.db.run(
        CONCLUDE_LINES,
        work.tenant.id,
        batch_id,
        [line.line for line in lines],
        [line.reward_id for line in lines],
        [line.error for line in lines],
    )


async def tally(work: Work, batch_id: UUID) -> tuple[int, int]:
    """How many lines gave a reward, and how many were refused."""
    row = await work.db.row(TALLY, work.tenant.id, batch_id)
    assert row is not None
    return row[0], row[1]


async def lines(work: Work, batch_id: UUID, outcome: str | None, offset: int, limit: int) -> tuple[list[Line], int]:
    """One page of a batch's lines, in order, and how many there are in all."""
    total: int = await work.db.value(COUNT_LINES, work.tenant.id, batch_id, outcome)
    rows = await work.db.rows(LIST_LINES, work.tenant.id, batch_id, outcome, offset, limit) if offset < total else []
    return [Line(*row) for row in rows], total


async def standing(work: Work, batch_id: UUID, limit: int) -> list[tuple[UUID, str]]:
    """(reward, status) of what a revocation still has to take back."""
    rows = await work.db.rows(STANDING, work.tenant.id, batch_id, work.now, limit)
    return [(row[0], row[1]) for row in rows]


async def taken_back(work: Work, batch_id: UUID) -> int:
    """How many rewards of a batch were cancelled or wholly reversed, whoever did it."""
    number: int = await work.db.value(TAKEN_BACK, work.tenant.id, batch_id)
    return number
