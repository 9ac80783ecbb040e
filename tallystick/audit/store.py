"""Every statement on `request_log` and `unknown_requests`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Db, Step
from tallystick.base.work import Work

# A request that is noted twice is told once: what was written by a commit of unknown outcome is written again.
NOTES = """
insert into request_log (
    tenant_id, at, id, partner_id, client_id, method, route, status, code, resource_id, replayed
)
select $1::uuid, $2::timestamptz, noted.id, noted.partner_id, noted.client_id, noted.method, noted.route, noted.status, noted.code,
    noted.resource_id, false
from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::smallint[], $9::text[], $10::uuid[]) as noted (
    id, partner_id, client_id, method, route, status, code, resource_id
)
on conflict (tenant_id, at, id) do nothing
"""

INSERT_NOTES = Step((("requests_noted", NOTES),))

ENTER = "select set_config('tallystick.tenant', $1, true)"

INSERT = """
insert into request_log (
    tenant_id, at, id, partner_id, client_id, method, route, status, code, resource_id, replayed, latency_us
)
select $1, asked.at, asked.id, asked.partner_id, asked.client_id, asked.method, asked.route, asked.status, asked.code,
    asked.resource_id, asked.replayed, asked.latency_us
from unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::smallint[], $9::text[],
    $10::uuid[], $11::boolean[], $12::integer[]) as asked (
    at, id, partner_id, client_id, method, route, status, code, resource_id, replayed, latency_us
)
on conflict (tenant_id, at, id) do nothing
"""

INSERT_UNKNOWN = """
insert into unknown_requests (at, id, method, route, status, code, latency_us)
select asked.at, asked.id, asked.method, asked.route, asked.status, asked.code, asked.latency_us
from unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::integer[]) as asked (
    at, id, method, route, status, code, latency_us
)
on conflict (at, id) do nothing
"""

# The inner limit bounds how much of the tenant's log one page may look through, however rare what it looks for is.
LISTED = """
select looked.at, looked.id, looked.client_id, looked.method, looked.route, looked.status, looked.code, looked.resource_id,
    looked.replayed, looked.latency_us
from (
    select at, id, partner_id, client_id, method, route, status, code, resource_id, replayed, latency_us
    from request_log
    where tenant_id = $1 and at between $2 and $3 and (at, id) < ($3, $4)
    order by at desc, id desc
    limit $5
) as looked
where looked.partner_id = $6 and ($7::smallint is null or looked.status = $7)
    and ($8::text is null or looked.route = $8) and ($9::uuid is null or looked.id = $9)
order by looked.at desc, looked.id desc
limit $10
"""

WHERE_THE_LOOK_ENDED = """
select at, id
from request_log
where tenant_id = $1 and at between $2 and $3 and (at, id) < ($3, $4)
order by at desc, id desc
offset $5 limit 1
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """A request as it stands in the log."""

    at: datetime
    id: UUID
    client_id: UUID
    method: str
    route: str
    status: int
    code: str | None
    resource_id: UUID | None
    replayed: bool
    latency_us: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log a page ended: what is older than this comes next."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page looks for: a partner's own requests since an instant, and filters; None: any."""

    partner_id: UUID
    since: datetime
    status: int | None = None
    route: str | None = None
    request_id: UUID | None = None


def insert_notes(work: Work, columns: Sequence[Sequence[object]]) -> None:
    """Insert what a work noted, as columns, at its real instant, in the work's last round trip."""
    work.defer(INSERT_NOTES, work.tenant.id, work.real_now, *columns)


async def enter(db: Db, tenant_id: UUID) -> None:
    """See and write this tenant's rows until the transaction ends, or another tenant is entered."""
    await db.run(ENTER, str(tenant_id))


async def insert(db: Db, tenant_id: UUID, columns: Sequence[Sequence[object]]) -> None:
    """Insert requests of one tenant's callers, as columns; the tenant is entered."""
    await db.run(INSERT, tenant_id, *columns)


async def insert_unknown(db: Db, columns: Sequence[Sequence[object]]) -> None:
    """Insert requests whose caller is not known, as columns."""
    await db.run(INSERT_UNKNOWN, *columns)


async def listed(work: Work, wanted: Wanted, before: Place, limit: int, looked_max: int) -> list[Logged]:
    """A page of requests older than `before`, newest first, among the next `looked_max` of the tenant."""
    rows = await work.db.rows(
        LISTED,
        work.tenant.id,
        wanted.since,
        before.at,
        before.id,
        looked_max,
        wanted.partner_id,
        wanted.status,
        wanted.route,
        wanted.request_id,
        limit,
    )
    return [Logged(*row) for row in rows]


async def where_the_look_ended(work: Work, since: datetime, before: Place, looked_max: int) -> Place | None:
    """The last request that `listed` may have looked at; None when the log has no more than that."""
    row = await work.db.row(WHERE_THE_LOOK_ENDED, work.tenant.id, since, before.at, before.id, looked_max - 1)
    return None if row is None else Place(row[0], row[1])
