"""Every statement on `thresholds`, `threshold_versions` and `threshold_intervals`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.thresholds.model import Budget, Caps, Filters, StepReward, Threshold, Version, Window

# What waits to come into force is what counts from the instant it is scheduled for.
COLUMNS: Final = """t.id, t.partner_id, t.client_id, t.merchant_id, t.name, t.status, t.latest_number, t.live_number,
    t.scheduled_at, t.due_at, t.version, t.created_at, t.updated_at, (
        select i.number from threshold_intervals as i
        where i.tenant_id = t.tenant_id and i.threshold_id = t.id and i.from_at = t.scheduled_at
    )"""

INSERT: Final = """
insert into thresholds (
    tenant_id, id, partner_id, client_id, merchant_id, name, status, latest_number, live_number, scheduled_at, due_at, version,
    created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""

UPDATE: Final = """
update thresholds
set name = $3, status = $4, latest_number = $5, live_number = $6, scheduled_at = $7, due_at = $8, version = $9, updated_at = $10
where tenant_id = $1 and id = $2
"""

BY_IDS: Final = f"select {COLUMNS} from thresholds as t where t.tenant_id = $1 and t.id = any($2::uuid[])"
LOCK: Final = f"{BY_IDS} order by t.id for update of t"

# The status that holds now: what is scheduled for an instant that has passed is active.
LISTED: Final = """
from thresholds as t
where t.tenant_id = $1 and ($2::uuid is null or t.partner_id = $2) and ($3::uuid[] is null or t.merchant_id = any($3))
    and ($4::uuid is null or t.merchant_id = $4)
    and ($5::text is null or case when t.scheduled_at <= $6 then 'active' else t.status end = $5)
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by t.created_at desc, t.id desc offset $7 limit $8"

VERSION_COLUMNS: Final = """v.threshold_id, v.number, v.merchant_id, v.metric, v.before_tax, v.currency, v.time_zone, v.kinds,
    v.locations, v.groups, v.channels, v.categories, v.methods, v.excluded_methods, v.minimum, v.weekdays, v.minute_from,
    v.minute_until, v.window_kind, v.window_from, v.window_until, v.window_period, v.window_days, v.repeat, v.targets,
    v.rewards, v.caps, v.budgets, v.refund_policy, v.published_at, v.created_at"""

# A draft is written as a whole, again and again; what was published is never written again, so that nothing comes back.
WRITE_DRAFT: Final = """
insert into threshold_versions as v (
    tenant_id, threshold_id, number, merchant_id, metric, before_tax, currency, time_zone, kinds, locations, groups, channels,
    categories, methods, excluded_methods, minimum, weekdays, minute_from, minute_until, window_kind, window_from, window_until,
    window_period, window_days, repeat, targets, rewards, caps, budgets, refund_policy, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
    $27, $28, $29, $30, $31)
on conflict (tenant_id, threshold_id, number) do update
set metric = excluded.metric, before_tax = excluded.before_tax, currency = excluded.currency, time_zone = excluded.time_zone,
    kinds = excluded.kinds, locations = excluded.locations, groups = excluded.groups, channels = excluded.channels,
    categories = excluded.categories, methods = excluded.methods, excluded_methods = excluded.excluded_methods,
    minimum = excluded.minimum, weekdays = excluded.weekdays, minute_from = excluded.minute_from,
    minute_until = excluded.minute_until, window_kind = excluded.window_kind, window_from = excluded.window_from,
    window_until = excluded.window_until, window_period = excluded.window_period, window_days = excluded.window_days,
    repeat = excluded.repeat, targets = excluded.targets, rewards = excluded.rewards, caps = excluded.caps,
    budgets = excluded.budgets, refund_policy = excluded.refund_policy
where v.tenant_id = $1 and v.published_at is null
returning v.number
"""

# Publishing writes the one thing that is written of a version once it is not a draft: when that was.
PUBLISH: Final = """
update threshold_versions
set published_at = $4
where tenant_id = $1 and threshold_id = $2 and number = $3 and published_at is null
"""

VERSIONS: Final = f"""
select {VERSION_COLUMNS}
from unnest($2::uuid[], $3::integer[]) as wanted (threshold_id, number)
join threshold_versions as v
    on v.tenant_id = $1 and v.threshold_id = wanted.threshold_id and v.number = wanted.number and v.threshold_id = any($2)
"""

LIVE: Final = f"""
select {VERSION_COLUMNS}
from threshold_intervals as i
join threshold_versions as v on v.tenant_id = i.tenant_id and v.threshold_id = i.threshold_id and v.number = i.number
where i.tenant_id = $1 and i.threshold_id = any($2::uuid[]) and i.from_at <= $3 and (i.until_at is null or i.until_at > $3)
"""

COUNT_VERSIONS: Final = "select count(*) from threshold_versions where tenant_id = $1 and threshold_id = $2"
LIST_VERSIONS: Final = f"""
select {VERSION_COLUMNS}
from threshold_versions as v
where v.tenant_id = $1 and v.threshold_id = $2
order by v.number desc
offset $3 limit $4
"""

INTERVALS: Final = """
select number, from_at, until_at
from threshold_intervals
where tenant_id = $1 and threshold_id = $2 and number = any($3::integer[]) and (until_at is null or until_at > from_at)
order by from_at
"""

# Whatever counts at the instant or would begin later ends: what would have begun later never does.
CLOSE: Final = """
update threshold_intervals
set until_at = greatest(from_at, $3)
where tenant_id = $1 and threshold_id = $2 and (until_at is null or until_at > $3)
"""

# At one instant one interval begins: another that began there and ended at once gives way.
OPEN: Final = """
insert into threshold_intervals as i (tenant_id, threshold_id, from_at, number, merchant_id)
values ($1, $2, $3, $4, $5)
on conflict (tenant_id, threshold_id, from_at) do update
set until_at = null, number = excluded.number
where i.tenant_id = $1 and i.until_at = i.from_at
returning i.number
"""

# What was to give way to what is not coming goes on.
REOPEN: Final = """
update threshold_intervals
set until_at = null
where tenant_id = $1 and threshold_id = $2 and from_at < $3 and until_at = $3
"""

DUE: Final = "select id from thresholds where tenant_id = $1 and due_at <= $2 order by due_at, id limit $3"
NEXT_DUE: Final = "select min(due_at) from thresholds where tenant_id = $1 and due_at is not null"

# Which tenants have rules that are to come into force, and the earliest instant; a sandbox looks at its own clock.
DISCOVERY_DUE: Final = """
select t.id, t.programme_id, t.environment, earliest.due_at
from tenants as t
cross join lateral (
    select min(r.due_at) as due_at from thresholds as r where r.tenant_id = t.id and r.due_at is not null
) as earliest
where earliest.due_at <= $1::timestamptz + t.clock_offset
"""

_rewards = msgspec.json.Decoder(tuple[StepReward, ...]).decode
_caps = msgspec.json.Decoder(Caps).decode
_budgets = msgspec.json.Decoder(tuple[Budget, ...]).decode


async def insert(work: Work, threshold: Threshold) -> None:
    """Insert a new threshold."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        threshold.id,
        threshold.partner_id,
        threshold.client_id,
        threshold.merchant_id,
        threshold.name,
        threshold.status,
        threshold.latest_number,
        threshold.live_number,
        threshold.scheduled_at,
        threshold.due_at,
        threshold.version,
        threshold.created_at,
        threshold.updated_at,
    )


async def update(work: Work, threshold: Threshold) -> None:
    """Write a threshold that is locked, as it is to be."""
    await work.db.run(
        UPDATE,
        work.tenant.id,
        threshold.id,
        threshold.name,
        threshold.status,
        threshold.latest_number,
        threshold.live_number,
        threshold.scheduled_at,
        threshold.due_at,
        threshold.version,
        threshold.updated_at,
    )


async def by_ids(work: Work, threshold_ids: Sequence[UUID]) -> dict[UUID, Threshold]:
    """Thresholds by id as their rows stand, for reading; unknown ids are absent."""
    return {row[0]: Threshold(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, threshold_ids)}


async def lock(work: Work, threshold_ids: Sequence[UUID]) -> dict[UUID, Threshold]:
    """Thresholds by id, locked."""
    return {row[0]: Threshold(*row) for row in await work.db.rows(LOCK, work.tenant.id, threshold_ids)}


async def listed(
    work: Work,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    merchant_id: UUID | None,
    status: str | None,
    offset: int,
    limit: int,
) -> tuple[list[Threshold], int]:
    """One page of thresholds, newest first, and how many there are in all."""
    wanted = (work.tenant.id, partner_id, merchant_ids, merchant_id, status, work.now)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [Threshold(*row) for row in rows], total


async def write_draft(work: Work, version: Version) -> bool:
    """Write a draft, new or anew; whether it was: a version that is published stays as it is."""
    filters, window = version.filters, version.window
    number = await work.db.value(
        WRITE_DRAFT,
        work.tenant.id,
        version.threshold_id,
        version.number,
        version.merchant_id,
        version.metric,
        version.before_tax,
        version.currency,
        version.time_zone,
        filters.kinds,
        filters.locations,
        filters.groups,
        filters.channels,
        filters.categories,
        filters.methods,
        filters.excluded_methods,
        filters.minimum,
        filters.weekdays,
        filters.minute_from,
        filters.minute_until,
        window.kind,
        window.from_at,
        window.until_at,
        window.period,
        window.days,
        version.repeat,
        version.targets,
        _encoded(version.rewards),
        _encoded(version.caps),
        _encoded(version.budgets),
        version.refund_policy,
        version.created_at,
    )
    return number is not None


async def publish(work: Work, threshold_id: UUID, number: int) -> None:
    """The version is no draft any more; when it became so is written once."""
    await work.db.run(PUBLISH, work.tenant.id, threshold_id, number, work.now)


async def versions(work: Work, pairs: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], Version]:
    """Versions by threshold and number; unknown ones are absent."""
    ids, numbers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {(row[0], row[1]): _version(row) for row in await work.db.rows(VERSIONS, work.tenant.id, ids, numbers)}


async def live(work: Work, threshold_ids: Sequence[UUID]) -> dict[UUID, Version]:
    """The versions that count what happens at the work's instant, by threshold."""
    return {row[0]: _version(row) for row in await work.db.rows(LIVE, work.tenant.id, threshold_ids, work.now)}


async def list_versions(work: Work, threshold_id: UUID, offset: int, limit: int) -> tuple[list[Version], int]:
    """One page of a threshold's versions, newest first, and how many there are in all."""
    total: int = await work.db.value(COUNT_VERSIONS, work.tenant.id, threshold_id)
    rows = await work.db.rows(LIST_VERSIONS, work.tenant.id, threshold_id, offset, limit) if offset < total else []
    return [_version(row) for row in rows], total


async def intervals(
    work: Work, threshold_id: UUID, numbers: Sequence[int]
) -> list[tuple[int, datetime, datetime | None]]:
    """When these versions of a threshold count what happens: (number, from, until), in order; empty stretches are left out."""
    rows = await work.db.rows(INTERVALS, work.tenant.id, threshold_id, numbers)
    return [(row[0], row[1], row[2]) for row in rows]


async def close(work: Work, threshold_id: UUID, at: datetime) -> None:
    """From `at` on no version counts what happens."""
    await work.db.run(CLOSE, work.tenant.id, threshold_id, at)


async def open_at(work: Work, threshold: Threshold, number: int, at: datetime) -> None:
    """From `at` on this version counts what happens; none does there before."""
    opened = await work.db.value(OPEN, work.tenant.id, threshold.id, at, number, threshold.merchant_id)
    assert opened == number, f"another stretch of {threshold.id} begins at {at}"


async def reopen(work: Work, threshold_id: UUID, until: datetime) -> None:
    """What was to end at `until`, because another version was to begin there, goes on."""
    await work.db.run(REOPEN, work.tenant.id, threshold_id, until)


async def due(work: Work, limit: int) -> list[UUID]:
    """Thresholds that something comes into force of by now, earliest first."""
    return [row[0] for row in await work.db.rows(DUE, work.tenant.id, work.now, limit)]


async def next_due(work: Work) -> datetime | None:
    """When the next version comes into force."""
    instant: datetime | None = await work.db.value(NEXT_DUE, work.tenant.id)
    return instant


def _encoded(document: object) -> str:
    return msgspec.json.encode(document).decode()


def _version(row: Row) -> Version:
    (
        threshold_id, number, merchant_id, metric, before_tax, currency, time_zone, kinds, locations, groups, channels, categories,
        methods, excluded_methods, minimum, weekdays, minute_from, minute_until, window_kind, window_from, window_until,
        window_period, window_days, repeat, targets, rewards, caps, budgets, refund_policy, published_at, created_at,
    ) = row  # fmt: skip
    return Version(
        threshold_id=threshold_id,
        number=number,
        merchant_id=merchant_id,
        metric=metric,
        before_tax=before_tax,
        currency=currency,
        time_zone=time_zone,
        filters=Filters(
            kinds=tuple(kinds),
            locations=_tuple(locations),
            groups=_tuple(groups),
            channels=_tuple(channels),
            categories=_tuple(categories),
            methods=_tuple(methods),
            excluded_methods=_tuple(excluded_methods),
            minimum=minimum,
            weekdays=_tuple(weekdays),
            minute_from=minute_from,
            minute_until=minute_until,
        ),
        window=Window(window_kind, window_from, window_until, window_period, window_days),
        repeat=repeat,
        targets=tuple(targets),
        rewards=_rewards(rewards),
        caps=_caps(caps),
        budgets=_budgets(budgets),
        refund_policy=refund_policy,
        published_at=published_at,
        created_at=created_at,
    )


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
