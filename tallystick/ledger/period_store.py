"""Every statement on `periods` and `book_closings`, and the reading of what moved in a stretch of the books."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.ledger.periods_model import Figures, Leaf, Movement, Period, Slice, text_of

COLUMNS = """id, merchant_id, number, currency, starts_at, ends_at, status, partner_id, closed_by, request_id, fenced_at, cut,
    entries, sums, digest, sealed_at, closed_at, created_at"""

OPEN_BOOK = """
insert into book_closings (tenant_id, merchant_id, closed_until) values ($1, $2, '-infinity') on conflict do nothing
"""
LOCK_BOOK = "select merchant_id from book_closings where tenant_id = $1 and merchant_id = $2 for update"

LAST = f"select {COLUMNS} from periods where tenant_id = $1 and merchant_id = $2 order by number desc limit 1"

BY_ID = f"select {COLUMNS} from periods where tenant_id = $1 and id = $2"

LOCK = f"{BY_ID} for update"

INSERT = """
insert into periods (
    tenant_id, merchant_id, number, id, currency, starts_at, ends_at, status, partner_id, closed_by, request_id, due_at, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, 'closing', $8, $9, $10, $11, $12)
"""

LISTED = """
from periods
where tenant_id = $1 and ($2::uuid[] is null or merchant_id = any($2)) and ($3::uuid is null or merchant_id = $3)
"""
COUNT = f"select count(*) {LISTED}"
LIST = f"select {COLUMNS} {LISTED} order by ends_at desc, id desc offset $4 limit $5"

CLOSED = (
    f"select {COLUMNS} from periods where tenant_id = $1 and merchant_id = $2 and status = 'closed' order by number"
)

# A lease: whoever takes the period moves its due time on; a killed holder's period becomes due again.
LEASE = f"""
update periods
set due_at = $2
where tenant_id = $1 and id = (
    select id from periods
    where tenant_id = $1 and due_at <= $3
    order by due_at
    limit 1
    for update skip locked
)
returning {COLUMNS}
"""

DUE_AT = "update periods set due_at = $3 where tenant_id = $1 and id = $2 and status = 'closing'"

FENCE = "update book_closings set closed_until = $3 where tenant_id = $1 and merchant_id = $2"
FENCED = "update periods set fenced_at = $3 where tenant_id = $1 and id = $2"

# Seen from a transaction to which the fence is visible already: whoever may not have seen it has an id below this one.
CUT = """
update periods set cut = pg_snapshot_xmax(pg_current_snapshot())::text::bigint
where tenant_id = $1 and id = $2 and fenced_at is not null and status = 'closing'
returning cut
"""

# The oldest transaction that still runs, and the next to begin.
RUNNING = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint"

CLOSE = f"""
update periods
set status = 'closed', due_at = null, entries = $3, sums = $4, digest = $5, sealed_at = $6, closed_at = $7
where tenant_id = $1 and id = $2 and status = 'closing' and fenced_at is not null
returning {COLUMNS}
"""

SEALED_UNTIL = "select max(ends_at) from periods where tenant_id = $1 and merchant_id = $2 and status = 'closed'"

BORDER = "select id from accounts where tenant_id = $1 and id > $2 order by id offset $3 - 1 limit 1"

STRETCH = """
from accounts as a
where a.tenant_id = $1 and a.id > $2 and ($3::uuid is null or a.id <= $3) and a.merchant_id = $4 and a.version > 0
"""

ACCOUNTS_MOVED = f"""
select a.id, a.code, a.lot_class, a.version
{STRETCH} and a.last_at >= $5 and a.opened_at < $6
    and (not $7 or a.lot_class is not null or a.code = 'reward.unclaimed')
order by a.id
"""

BALANCES = f"""
select held.code, held.lot_class, coalesce(sum(held.balance), 0)::bigint
from (
    select a.code, a.lot_class, case
        when a.last_at < $5 then a.balance
        when a.version > 256 then (
            select e.balance_after from entries as e
            where e.tenant_id = $1 and e.account_id = a.id and e.version = ledger_version_before($1, a.id, $5)
        )
        else (
            select e.balance_after from entries as e
            where e.tenant_id = $1 and e.account_id = a.id and e.at < $5
            order by e.version desc
            limit 1
        )
    end as balance
    {STRETCH} and a.opened_at < $5 and (not $6 or a.lot_class is not null or a.code = 'reward.unclaimed')
) as held
group by held.code, held.lot_class
"""

BOUNDS = """
select account.id, ledger_version_before($1, account.id, $3), ledger_version_before($1, account.id, $4)
from unnest($2::uuid[]) as account (id)
"""

ENTRIES = """
join entries as e on e.tenant_id = $1 and e.account_id = slice.account_id and e.version > slice.low and e.version <= slice.high
    and e.at >= $5 and e.at < $6
join journals as j on j.tenant_id = $1 and j.id = e.journal_id
"""

MOVEMENTS = f"""
select slice.code, slice.lot_class, j.kind, e.amount > 0, sum(e.amount)::bigint, count(*)
from unnest($2::uuid[], $3::bigint[], $4::bigint[], $7::text[], $8::text[]) as slice (account_id, low, high, code, lot_class)
{ENTRIES}
group by 1, 2, 3, 4
"""

# An entry as bytes, with the kind of its journal: what a digest covers.
ENTRY_BYTES = """uuid_send(e.account_id) || int8send(e.version) || uuid_send(e.journal_id) || int2send(e.leg)
    || uuid_send(e.counterpart_id) || int8send(e.amount) || int8send(e.balance_after) || timestamptz_send(e.at)
    || convert_to(j.kind, 'UTF8')"""

LEAVES = f"""
select count(*), max(j.recorded_at), sha256(string_agg({ENTRY_BYTES}, ''::bytea order by e.version))
from unnest($2::uuid[], $3::bigint[], $4::bigint[]) with ordinality as slice (account_id, low, high, n)
{ENTRIES}
group by slice.n
order by slice.n
"""


async def lock_book(work: Work, merchant_id: UUID) -> None:
    """Lock the closing of a merchant's books against others who close; posting never waits for it."""
    await work.db.run(OPEN_BOOK, work.tenant.id, merchant_id)
    await work.db.run(LOCK_BOOK, work.tenant.id, merchant_id)


async def last(work: Work, merchant_id: UUID) -> Period | None:
    """The merchant's latest period."""
    return _period(await work.db.row(LAST, work.tenant.id, merchant_id))


async def by_id(work: Work, period_id: UUID) -> Period | None:
    """One period, for reading."""
    return _period(await work.db.row(BY_ID, work.tenant.id, period_id))


async def lock(work: Work, period_id: UUID) -> Period | None:
    """One period, locked."""
    return _period(await work.db.row(LOCK, work.tenant.id, period_id))


async def insert(work: Work, period: Period) -> None:
    """Insert a period that is to close, due at once."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        period.merchant_id,
        period.number,
        period.id,
        period.currency,
        period.starts_at,
        period.ends_at,
        period.partner_id,
        period.closed_by,
        period.request_id,
        work.real_now,
        period.created_at,
    )


async def listed(
    work: Work, merchant_ids: Sequence[UUID] | None, merchant_id: UUID | None, offset: int, limit: int
) -> tuple[list[Period], int]:
    """A page of the periods of these merchants, latest first, and how many there are."""
    total: int = await work.db.value(COUNT, work.tenant.id, merchant_ids, merchant_id)
    rows = await work.db.rows(LIST, work.tenant.id, merchant_ids, merchant_id, offset, limit) if offset < total else []
    return [Period(*row) for row in rows], total


async def closed(work: Work, merchant_id: UUID) -> list[Period]:
    """The merchant's closed periods, oldest first."""
    return [Period(*row) for row in await work.db.rows(CLOSED, work.tenant.id, merchant_id)]


async def lease(work: Work, until: datetime) -> Period | None:
    """Take the period that has waited longest, for ourselves until an instant of real time."""
    return _period(await work.db.row(LEASE, work.tenant.id, until, work.real_now))


async def set_due(work: Work, period_id: UUID, due_at: datetime) -> None:
    """Say when a closing period is to go on."""
    await work.db.run(DUE_AT, work.tenant.id, period_id, due_at)


async def fence(work: Work, period: Period) -> None:
    """Close the book until the period's end."""
    await work.db.run(FENCE, work.tenant.id, period.merchant_id, period.ends_at)
    await work.db.run(FENCED, work.tenant.id, period.id, work.now)


async def cut(work: Work, period_id: UUID) -> int | None:
    """Note which transactions are to be waited for: those below the answer. None where the period closes no more."""
    found: int | None = await work.db.value(CUT, work.tenant.id, period_id)
    return found


async def running(work: Work) -> tuple[int, int]:
    """The id of the oldest transaction that still runs (or of the next, when none does), and the next id."""
    row = await work.db.row(RUNNING)
    assert row is not None, "a select without a table answers one row"
    return row[0], row[1]


async def close(work: Work, period_id: UUID, figures: Figures, sealed_at: datetime) -> Period | None:
    """Seal a fenced period with its figures; None where somebody else has."""
    return _period(
        await work.db.row(
            CLOSE,
            work.tenant.id,
            period_id,
            figures.entries,
            text_of(figures.sums),
            figures.digest,
            sealed_at,
            work.now,
        )
    )


async def sealed_until(work: Work, merchant_id: UUID) -> datetime | None:
    """The end of the merchant's last closed period."""
    until: datetime | None = await work.db.value(SEALED_UNTIL, work.tenant.id, merchant_id)
    return until


async def border(work: Work, behind: UUID, count: int) -> UUID | None:
    """The id of the account that many behind; None where there are fewer."""
    found: UUID | None = await work.db.value(BORDER, work.tenant.id, behind, count)
    return found


async def accounts_moved(
    work: Work, first: UUID, last: UUID | None, merchant_id: UUID, since: datetime, until: datetime, *, value_only: bool
) -> list[Slice]:
    """Accounts of a stretch of ids that may have moved in the interval, ascending, each with all its versions."""
    rows = await work.db.rows(ACCOUNTS_MOVED, work.tenant.id, first, last, merchant_id, since, until, value_only)
    return [Slice(row[0], row[1], row[2], 0, row[3]) for row in rows]


async def bounds(
    work: Work, account_ids: Sequence[UUID], since: datetime, until: datetime
) -> dict[UUID, tuple[int, int]]:
    """The versions at which each account stood before the interval and at its end."""
    rows = await work.db.rows(BOUNDS, work.tenant.id, account_ids, since, until)
    return {row[0]: (row[1], row[2]) for row in rows}


async def balances(
    work: Work, first: UUID, last: UUID | None, merchant_id: UUID, before: datetime, *, value_only: bool
) -> list[tuple[str, str | None, int]]:
    """(code, class, what the accounts of a stretch of ids held) just before an instant."""
    rows = await work.db.rows(BALANCES, work.tenant.id, first, last, merchant_id, before, value_only)
    return [(row[0], row[1], row[2]) for row in rows]


async def movements(
    work: Work, slices: Sequence[Slice], since: datetime, until: datetime
) -> list[tuple[Movement, int, int]]:
    """Amount and number of the entries in these slices and the interval, by movement."""
    codes, classes = [each.code for each in slices], [each.lot_class for each in slices]
    rows = await work.db.rows(MOVEMENTS, work.tenant.id, *_columns(slices), since, until, codes, classes)
    return [(Movement(row[0], row[1], row[2], row[3]), row[4], row[5]) for row in rows]


async def leaves(work: Work, slices: Sequence[Slice], since: datetime, until: datetime) -> list[Leaf]:
    """Each slice that has entries in the interval, reckoned up, in order."""
    rows = await work.db.rows(LEAVES, work.tenant.id, *_columns(slices), since, until)
    return [Leaf(row[0], row[1], row[2]) for row in rows]


def _period(row: Row | None) -> Period | None:
    return None if row is None else Period(*row)


def _columns(slices: Sequence[Slice]) -> tuple[list[UUID], list[int], list[int]]:
    return [each.account_id for each in slices], [each.low for each in slices], [each.high for each in slices]
