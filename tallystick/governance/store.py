"""Every statement on quotas: the terms, their lines, and what is used."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Step
from tallystick.base.work import Work
from tallystick.governance.model import Line, Metric, Terms, Usage

LOOK = "select agreed from quotas_look($1, $2, $3, $4, $5)"

# Each row is locked only from here to the commit, in the order of ids, behind every other lock but the tenant's head. What was
# counted meanwhile is seen by the condition, also where the update had to wait: a row that it refuses is not among the answered.
COUNT = Step(
    (
        (
            "quotas_counted",
            """
insert into quota_usage as kept (
    tenant_id, id, partner_id, line_id, metric, currency, period, time_zone, period_start, period_end, included, most, used,
    refused, tell_at
)
select $1, told.id, told.partner_id, told.line_id, told.metric, told.currency, told.period, told.time_zone, told.period_start,
    told.period_end, told.included, told.most, told.used, told.refused,
    case
        when told.used > told.included or told.refused > 0
            or (told.included > 0 and told.used >= told.included - told.included / 5)
        then $2::timestamptz
    end
from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[],
    $11::timestamptz[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[]) as told (
    id, partner_id, line_id, metric, currency, period, time_zone, period_start, period_end, included, most, used, refused
)
order by told.id
on conflict (tenant_id, id) do update
set used = kept.used + excluded.used, refused = kept.refused + excluded.refused, line_id = excluded.line_id,
    included = excluded.included, most = excluded.most,
    tell_at = case
        when (kept.exceeded_at is null
                and (kept.used + excluded.used > excluded.included or kept.refused + excluded.refused > 0))
            or (kept.warned_100_at is null and excluded.included > 0 and kept.used + excluded.used >= excluded.included)
            or (kept.warned_80_at is null and excluded.included > 0
                and kept.used + excluded.used >= excluded.included - excluded.included / 5)
        then coalesce(kept.tell_at, $2)
        else kept.tell_at
    end
where excluded.used = 0 or kept.used + excluded.used <= excluded.most
returning kept.id
""",
        ),
        ("quotas_answered", "select count(*) as answer from quotas_counted"),
    ),
    answers="quotas_answered",
)

BEGIN = """
insert into agreement_heads (tenant_id, partner_id, version) values ($1, $2, 0) on conflict (tenant_id, partner_id) do nothing
"""

LOCK_HEAD = "select version from agreement_heads where tenant_id = $1 and partner_id = $2 for update"

MOVE_HEAD = "update agreement_heads set version = $3 where tenant_id = $1 and partner_id = $2"

INSERT_TERMS = """
insert into agreement_terms (tenant_id, partner_id, version, id, effective_from, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""

INSERT_LINES = """
insert into quota_lines (
    tenant_id, id, partner_id, version, metric, currency, period, time_zone, included, beyond, cap, unit_price, per,
    price_currency
)
select $1, line.id, $2, $3, line.metric, line.currency, line.period, line.time_zone, line.included, line.beyond, line.cap,
    line.unit_price, line.per, line.price_currency
from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[], $11::bigint[],
    $12::bigint[], $13::bigint[], $14::text[]) as line (
    id, metric, currency, period, time_zone, included, beyond, cap, unit_price, per, price_currency
)
"""

LINES = """
select version, id, partner_id, metric, currency, period, time_zone, included, beyond, cap, unit_price, per, price_currency
from quota_lines
where tenant_id = $1 and partner_id = $2
order by version, metric, currency, period
"""

TERMS = """
select id, partner_id, version, effective_from, created_by, created_at
from agreement_terms
where tenant_id = $1 and partner_id = $2
order by version
"""

# What is running is looked at again by the terms that hold now: they may include less than is used already.
LOOK_AGAIN = "update quota_usage set tell_at = $3 where tenant_id = $1 and partner_id = $2 and period_end > $3"

USAGE_COLUMNS = """id, partner_id, line_id, metric, currency, period, time_zone, period_start, period_end, used, refused,
    warned_80_at, warned_100_at, exceeded_at, version"""

RUNNING = f"""
select {USAGE_COLUMNS} from quota_usage where tenant_id = $1 and partner_id = $2 and period_end > $3
"""

ENDED = """
from quota_usage
where tenant_id = $1 and partner_id = $2 and period_end <= $3 and ($4::text is null or metric = $4)
"""

COUNT_ENDED = f"select count(*) {ENDED}"

LIST_ENDED = f"select {USAGE_COLUMNS} {ENDED} order by period_end desc, period_start desc, id offset $5 limit $6"

CHARGEABLE = f"""
select {USAGE_COLUMNS}
from quota_usage
where tenant_id = $1 and partner_id = $2 and period_end <= $3 and period_start >= $4 and used > 0
order by period_start, metric, currency, period
"""

USED = f"select {USAGE_COLUMNS} from quota_usage where tenant_id = $1 and partner_id = $2 and id = $3"

LOCK_TO_TELL = f"""
select {USAGE_COLUMNS}
from quota_usage
where tenant_id = $1 and id = any(array(
    select u.id from quota_usage as u where u.tenant_id = $1 and u.tell_at is not null order by u.tell_at limit $2
))
order by id
for update
"""

TOLD = """
update quota_usage
set tell_at = null, warned_80_at = $3, warned_100_at = $4, exceeded_at = $5, version = $6
where tenant_id = $1 and id = $2
"""

# Which tenants have somebody to tell.
DISCOVERY_TO_TELL = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select from quota_usage as u where u.tenant_id = t.id and u.tell_at is not null)
"""


async def look(work: Work, partners: Sequence[UUID], metrics: Sequence[Metric], asked: Sequence[int]) -> str | None:
    """The quotas that bound these metrics, with what is used of them, as JSON; those near a limit wait for one another."""
    agreed: str | None = await work.db.value(LOOK, work.tenant.id, work.now, partners, metrics, asked)
    return agreed


def count(work: Work, columns: Sequence[Sequence[object]], check: Callable[[int], None]) -> None:
    """Count what was taken at the work's end, given column by column; `check` is told how many rows could be counted."""
    work.defer(COUNT, work.tenant.id, work.now, *columns, check=check)


async def lock_head(work: Work, partner_id: UUID) -> int:
    """The partner's last version of terms, 0 where there is none, held until the work ends."""
    await work.db.run(BEGIN, work.tenant.id, partner_id)
    version: int = await work.db.value(LOCK_HEAD, work.tenant.id, partner_id)
    return version


async def insert_terms(work: Work, terms: Terms) -> None:
    """Insert the next version of a partner's terms. The head is locked."""
    await work.db.run(MOVE_HEAD, work.tenant.id, terms.partner_id, terms.version)
    await work.db.run(
        INSERT_TERMS,
        work.tenant.id,
        terms.partner_id,
        terms.version,
        terms.id,
        terms.effective_from,
        terms.created_by,
        terms.created_at,
    )
    lines = terms.lines
    await work.db.run(
        INSERT_LINES,
        work.tenant.id,
        terms.partner_id,
        terms.version,
        [line.id for line in lines],
        [line.metric for line in lines],
        [line.currency for line in lines],
        [line.period for line in lines],
        [line.time_zone for line in lines],
        [line.included for line in lines],
        [line.beyond for line in lines],
        [line.cap for line in lines],
        [line.unit_price for line in lines],
        [line.per for line in lines],
        [line.price_currency for line in lines],
    )
    await work.db.run(LOOK_AGAIN, work.tenant.id, terms.partner_id, work.now)


async def history(work: Work, partner_id: UUID) -> list[Terms]:
    """Every version of a partner's terms, oldest first."""
    lines: dict[int, list[Line]] = {}
    for row in await work.db.rows(LINES, work.tenant.id, partner_id):
        version, *line = row
        lines.setdefault(version, []).append(Line(*line))
    rows = await work.db.rows(TERMS, work.tenant.id, partner_id)
    return [Terms(row[0], row[1], row[2], row[3], row[4], row[5], tuple(lines.get(row[2], ()))) for row in rows]


async def running(work: Work, partner_id: UUID) -> list[Usage]:
    """What is used in periods that run now."""
    return [Usage(*row) for row in await work.db.rows(RUNNING, work.tenant.id, partner_id, work.now)]


async def ended(work: Work, partner_id: UUID, metric: str | None, offset: int, limit: int) -> tuple[list[Usage], int]:
    """One page of periods that are over, the last one first, and how many there are in all."""
    wanted = (work.tenant.id, partner_id, work.now, metric)
    total: int = await work.db.value(COUNT_ENDED, *wanted)
    rows = await work.db.rows(LIST_ENDED, *wanted, offset, limit) if offset < total else []
    return [Usage(*row) for row in rows], total


async def chargeable(work: Work, partner_id: UUID, since: datetime, until: datetime) -> list[Usage]:
    """What was used in periods that began at `since` or later and ended at `until` or earlier, in their order."""
    return [Usage(*row) for row in await work.db.rows(CHARGEABLE, work.tenant.id, partner_id, until, since)]


async def used(work: Work, partner_id: UUID, usage_id: UUID) -> Usage | None:
    """What the partner used in one period, where anything was asked of it."""
    row = await work.db.row(USED, work.tenant.id, partner_id, usage_id)
    return None if row is None else Usage(*row)


async def lock_to_tell(work: Work, limit: int) -> list[Usage]:
    """Usage of which somebody is to be told, locked."""
    return [Usage(*row) for row in await work.db.rows(LOCK_TO_TELL, work.tenant.id, limit)]


async def told(work: Work, usage: Usage) -> None:
    """Nothing is left to tell of it for now; write what was told, and its version."""
    await work.db.run(
        TOLD, work.tenant.id, usage.id, usage.warned_80_at, usage.warned_100_at, usage.exceeded_at, usage.version
    )
