"""Every statement on `reports`, `report_parts`, `breakage_terms` and `breakage_runs`, and what closing a period looks up."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.reports.model import BreakageTerms, Report, Run

COLUMNS = """id, partner_id, client_id, merchant_id, request_id, kind, status, from_at, to_at, from_version, to_version,
    dormant_months, final, row_count, byte_count, digest, figures, tries, created_at, updated_at"""

INSERT = """
insert into reports (
    tenant_id, id, partner_id, client_id, merchant_id, request_id, kind, status, from_at, to_at, from_version, to_version,
    dormant_months, due_at, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, 'accepted', $8, $9, $10, $11, $12, $13, $14, $14)
"""

BY_ID = f"select {COLUMNS} from reports where tenant_id = $1 and id = $2"

LISTED = """
from reports
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
    and ($4::uuid is null or merchant_id = $4) and ($5::text is null or kind = $5)
"""
COUNT = f"select count(*) {LISTED}"
LIST = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $6 limit $7"

# A lease: whoever takes the report moves its due time on; a killed maker's report becomes due again.
LEASE = f"""
update reports
set due_at = $2, status = 'running', tries = tries + 1
where tenant_id = $1 and id = (
    select id from reports
    where tenant_id = $1 and due_at <= $3
    order by due_at
    limit 1
    for update skip locked
)
returning {COLUMNS}
"""

COMPLETE = f"""
update reports
set status = 'completed', due_at = null, from_version = $3, to_version = $4, final = $5, row_count = $6, byte_count = $7,
    digest = $8, figures = $9, updated_at = $10
where tenant_id = $1 and id = $2 and status <> 'completed'
returning {COLUMNS}
"""

FAIL = """
update reports set status = 'failed', due_at = null, updated_at = $3 where tenant_id = $1 and id = $2 and status = 'running'
"""

INSERT_PART = "insert into report_parts (tenant_id, report_id, part, content) values ($1, $2, $3, $4)"

PART = "select content from report_parts where tenant_id = $1 and report_id = $2 and part = $3"

# Which tenants have a report to make or a period to close; leases are in real time.
DISCOVERY_DUE = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select 1 from reports as r where r.tenant_id = t.id and r.due_at <= $1)
    or exists (select 1 from periods as p where p.tenant_id = t.id and p.due_at <= $1)
"""

SET_TERMS = """
insert into breakage_terms (tenant_id, merchant_id, effective_from, rate_basis_points, basis, partner_id)
values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, merchant_id, effective_from)
    do update set rate_basis_points = excluded.rate_basis_points, basis = excluded.basis, partner_id = excluded.partner_id
"""

TERMS = """
select merchant_id, rate_basis_points, basis, effective_from
from breakage_terms
where tenant_id = $1 and merchant_id = $2
order by effective_from desc
limit 1
"""

INSERT_RUN = """
insert into breakage_runs (
    tenant_id, merchant_id, number, ends_at, rate_basis_points, sold, redeemed, expired, unredeemed, contra_before, recognised,
    journal_id, at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""

RUNS = """
select number, ends_at, rate_basis_points, sold, redeemed, expired, unredeemed, contra_before, recognised, journal_id
from breakage_runs
where tenant_id = $1 and merchant_id = $2 and ends_at > $3 and ends_at <= $4
order by number
"""

BEGINNING = "select created_at from merchants where tenant_id = $1 and id = $2"

# What fell due before an instant at a merchant and is not done: counts by what it is. Each is found by its index of due work.
OUTSTANDING = """
select
    (
        select count(*) from lot_deadlines as l
        where l.tenant_id = $1 and l.code in ('wallet.lot', 'card.lot') and l.due_at < $3 and l.merchant_id = $2
    ),
    (
        select count(*) from rewards as r
        where r.tenant_id = $1 and r.status = 'Created' and r.claim_expires_at < $3 and r.merchant_id = $2
    ),
    (
        select count(*) from payment_intents as p
        where p.tenant_id = $1 and p.status = 'authorized' and p.expires_at < $3 and p.merchant_id = $2
    )
"""


async def insert(work: Work, report: Report) -> None:
    """Insert an ordered report, due at once."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        report.id,
        report.partner_id,
        report.client_id,
        report.merchant_id,
        report.request_id,
        report.kind,
        report.from_at,
        report.to_at,
        report.from_version,
        report.to_version,
        report.dormant_months,
        work.real_now,
        report.created_at,
    )


async def by_id(work: Work, report_id: UUID) -> Report | None:
    """One report."""
    return _report(await work.db.row(BY_ID, work.tenant.id, report_id))


async def listed(
    work: Work,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    merchant_id: UUID | None,
    kind: str | None,
    offset: int,
    limit: int,
) -> tuple[list[Report], int]:
    """One page of reports, newest first, and how many there are in all."""
    wanted = (work.tenant.id, partner_id, merchant_ids, merchant_id, kind)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [Report(*row) for row in rows], total


async def lease(work: Work, until: datetime) -> Report | None:
    """Take the report that has waited longest, for ourselves until an instant of real time."""
    return _report(await work.db.row(LEASE, work.tenant.id, until, work.real_now))


async def complete(work: Work, report: Report) -> Report | None:
    """Write what a made report is; None where it was completed already."""
    row = await work.db.row(
        COMPLETE,
        work.tenant.id,
        report.id,
        report.from_version,
        report.to_version,
        report.final,
        report.row_count,
        report.byte_count,
        report.digest,
        report.figures,
        work.now,
    )
    return _report(row)


async def fail(work: Work, report_id: UUID) -> None:
    """Give a report up."""
    await work.db.run(FAIL, work.tenant.id, report_id, work.now)


async def insert_part(work: Work, report_id: UUID, part: int, content: bytes) -> None:
    """Keep a part of a report's rows; parts count from 1."""
    await work.db.run(INSERT_PART, work.tenant.id, report_id, part, content)


async def part(work: Work, report_id: UUID, number: int) -> bytes | None:
    """A part of a report's rows; None behind the last."""
    content: bytes | None = await work.db.value(PART, work.tenant.id, report_id, number)
    return content


async def set_terms(work: Work, terms: BreakageTerms, partner_id: UUID) -> None:
    """Terms that hold from an instant on."""
    await work.db.run(
        SET_TERMS,
        work.tenant.id,
        terms.merchant_id,
        terms.effective_from,
        terms.rate_basis_points,
        terms.basis,
        partner_id,
    )


async def terms(work: Work, merchant_id: UUID) -> BreakageTerms | None:
    """The terms set last."""
    row = await work.db.row(TERMS, work.tenant.id, merchant_id)
    return None if row is None else BreakageTerms(*row)


async def insert_run(work: Work, merchant_id: UUID, run: Run) -> None:
    """Keep what was recognised for a period, and from which figures."""
    await work.db.run(
        INSERT_RUN,
        work.tenant.id,
        merchant_id,
        run.number,
        run.ends_at,
        run.rate_basis_points,
        run.sold,
        run.redeemed,
        run.expired,
        run.unredeemed,
        run.contra_before,
        run.recognised,
        run.journal_id,
        work.now,
    )


async def runs(work: Work, merchant_id: UUID, since: datetime, until: datetime) -> list[Run]:
    """What was recognised for periods that ended behind `since` and by `until`."""
    return [Run(*row) for row in await work.db.rows(RUNS, work.tenant.id, merchant_id, since, until)]


async def beginning(work: Work, merchant_id: UUID) -> datetime | None:
    """When the merchant's books began; None when there is no such merchant."""
    instant: datetime | None = await work.db.value(BEGINNING, work.tenant.id, merchant_id)
    return instant


async def outstanding(work: Work, merchant_id: UUID, before: datetime) -> tuple[int, int, int]:
    """How many lots, waiting rewards and payments of a merchant fell due before an instant and are not done."""
    row = await work.db.row(OUTSTANDING, work.tenant.id, merchant_id, before)
    assert row is not None, "a select of counts answers one row"
    return row[0], row[1], row[2]


def _report(row: Row | None) -> Report | None:
    return None if row is None else Report(*row)
