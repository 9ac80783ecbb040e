"""Every statement on `accounts`, `journals`, `entries`, `holds` and `hold_resolutions`, but for those of the proof."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Step
from tallystick.base.work import Work
from tallystick.ledger.model import Account, Ending, Entry, Hold, HoldVerdict, NewAccount, Verdict
from tallystick.ledger.postings import attributes

OPEN = """
with opened as (
    insert into accounts (
        tenant_id, id, merchant_id, currency, code, owner_id, parent_id, lot_class, funder_id, expires_at, floor, ceiling,
        last_at, opened_at
    )
    select $1, fresh.id, fresh.merchant_id, fresh.currency, fresh.code, fresh.owner_id, fresh.parent_id, fresh.lot_class,
        fresh.funder_id, fresh.expires_at, fresh.floor, fresh.ceiling, $2, $2
    from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], $9::text[], $10::uuid[],
        $11::timestamptz[], $12::bigint[], $13::bigint[]) as fresh (
        id, merchant_id, currency, code, owner_id, parent_id, lot_class, funder_id, expires_at, floor, ceiling
    )
    returning id, parent_id, merchant_id, code, expires_at
)
insert into lot_deadlines (tenant_id, account_id, parent_id, merchant_id, code, expires_at, due_at)
select $1, opened.id, opened.parent_id, opened.merchant_id, opened.code, opened.expires_at, opened.expires_at
from opened
where opened.expires_at is not null
"""

# One order of locks for everyone, so two works can wait but never deadlock.
LOCK = """
select id, merchant_id, currency, code, owner_id, parent_id, lot_class, funder_id, expires_at, floor, ceiling, balance, held,
    version
from accounts
where tenant_id = $1 and id = any($2)
order by id
for update
"""

LIMIT = "update accounts set floor = $3, ceiling = $4 where tenant_id = $1 and id = $2"

POST = f"select ledger_post({', '.join(f'${n}' for n in range(1, 29))}) as answer"

POST_LATER = Step((("posted", POST),), answers="posted")

HOLD = "select ledger_hold($1, $2, $3, $4, $5, $6, $7, $8)"

HELD = "select id, account_id, amount, expires_at from holds where tenant_id = $1 and id = any($2)"

RESOLVED = "select hold_id from hold_resolutions where tenant_id = $1 and hold_id = any($2)"

RESOLVE = """
insert into hold_resolutions (tenant_id, hold_id, kind, captured, journal_id, at)
select $1, ended.hold_id, ended.kind, ended.captured, ended.journal_id, $2
from unnest($3::uuid[], $4::text[], $5::bigint[], $6::uuid[]) as ended (hold_id, kind, captured, journal_id)
"""

BALANCE = "select balance from accounts where tenant_id = $1 and id = $2"

BALANCE_AT = "select ledger_balance_at($1, id, $3) from accounts where tenant_id = $1 and id = $2"

STATEMENT = """
select e.version, e.at, e.amount, e.balance_after, e.counterpart_id, e.journal_id, e.leg, j.kind, j.cause_id
from entries as e
join journals as j on j.tenant_id = $1 and j.id = e.journal_id
where e.tenant_id = $1 and e.account_id = $2 and e.version > $3
order by e.version
limit $4
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A hold as its row is. The row never changes."""

    id: UUID
    account_id: UUID
    amount: int
    expires_at: datetime | None


async def insert_accounts(work: Work, accounts: Sequence[NewAccount]) -> None:
    """New accounts, empty."""
    await work.db.run(
        OPEN,
        work.tenant.id,
        work.now,
        [each.id for each in accounts],
        [each.merchant_id for each in accounts],
        [each.currency for each in accounts],
        *attributes(accounts),
    )


async def lock(work: Work, account_ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Those of the accounts that exist, as they are once they are locked."""
    rows = await work.db.rows(LOCK, work.tenant.id, account_ids)
    return {row[0]: Account(*row) for row in rows}


async def limit(work: Work, account_id: UUID, floor: int | None, ceiling: int | None) -> None:
    """Bound a locked account anew."""
    await work.db.run(LIMIT, work.tenant.id, account_id, floor, ceiling)


async def post(work: Work, arrays: Sequence[Sequence[object]]) -> list[Verdict]:
    """The verdict on each journal; see `postings.arrays`."""
    verdicts: list[Verdict] = await work.db.value(POST, work.tenant.id, work.now, work.real_now, *arrays)
    return verdicts


def post_later(work: Work, arrays: Sequence[object], check: Callable[[list[Verdict]], None]) -> None:
    """Post at the end of the work; `check` is given the verdicts."""
    work.defer(POST_LATER, work.tenant.id, work.now, work.real_now, *arrays, check=check)


async def hold(work: Work, holds: Sequence[Hold], account_ids: Sequence[UUID]) -> list[HoldVerdict]:
    """The verdict on each hold. `account_ids` are those of the holds, each once, ascending."""
    number = {account_id: n for n, account_id in enumerate(account_ids, 1)}
    verdicts: list[HoldVerdict] = await work.db.value(
        HOLD,
        work.tenant.id,
        work.now,
        account_ids,
        [each.id for each in holds],
        [number[each.account_id] for each in holds],
        [each.amount for each in holds],
        [each.cause_id for each in holds],
        [each.expires_at for each in holds],
    )
    return verdicts


async def held(work: Work, hold_ids: Sequence[UUID]) -> dict[UUID, Held]:
    """Those of the holds that exist, resolved or not."""
    return {row[0]: Held(*row) for row in await work.db.rows(HELD, work.tenant.id, hold_ids)}


async def resolved(work: Work, hold_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the holds that are resolved. Final only under the lock of their accounts."""
    return {row[0] for row in await work.db.rows(RESOLVED, work.tenant.id, hold_ids)}


async def insert_resolutions(work: Work, ended: Sequence[tuple[UUID, Ending, int, UUID | None]]) -> None:
    """Holds that end: each with how, what was captured of it, and the capture's journal."""
    await work.db.run(
        RESOLVE,
        work.tenant.id,
        work.now,
        [hold_id for hold_id, _, _, _ in ended],
        [ending for _, ending, _, _ in ended],
        [captured for _, _, captured, _ in ended],
        [journal_id for _, _, _, journal_id in ended],
    )


async def balance(work: Work, account_id: UUID) -> int | None:
    """The balance now; None when there is no such account."""
    found: int | None = await work.db.value(BALANCE, work.tenant.id, account_id)
    return found


async def balance_at(work: Work, account_id: UUID, at: datetime) -> int | None:
    """The balance when every entry up to `at` was made; None when there is no such account."""
    found: int | None = await work.db.value(BALANCE_AT, work.tenant.id, account_id, at)
    return found


async def statement(work: Work, account_id: UUID, after_version: int, limit: int) -> list[Entry]:
    """Entries behind a version, in their order."""
    rows = await work.db.rows(STATEMENT, work.tenant.id, account_id, after_version, limit)
    return [Entry(*row) for row in rows]
