"""Every statement on `locations`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work

COLUMNS: Final = (
    """id, partner_id, merchant_id, name, external_id, time_zone, groups, status, version, created_at, updated_at"""
)

INSERT: Final = f"""
insert into locations (tenant_id, {COLUMNS})
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (tenant_id, merchant_id, external_id) where external_id is not null do nothing
returning id
"""

UPDATE: Final = """
update locations as l
set name = $3, external_id = $4, time_zone = $5, groups = $6, status = $7, version = $8, updated_at = $9
where l.tenant_id = $1 and l.id = $2 and not exists (
    select from locations as o
    where o.tenant_id = $1 and o.merchant_id = l.merchant_id and o.external_id = $4 and o.id <> $2
)
returning l.id
"""

BY_IDS: Final = f"select {COLUMNS} from locations where tenant_id = $1 and id = any($2::uuid[])"
LOCK: Final = f"{BY_IDS} order by id for update"

BY_EXTERNAL: Final = """
select external_id, id from locations where tenant_id = $1 and merchant_id = $2 and external_id = any($3::text[])
"""

LISTED: Final = """
from locations
where tenant_id = $1 and ($2::uuid[] is null or merchant_id = any($2)) and ($3::uuid is null or merchant_id = $3)
    and ($4::text is null or external_id = $4) and ($5::text is null or $5 = any(groups))
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $6 limit $7"


@dataclass(frozen=True, slots=True)
class Location:
    """A place as its row stands. `external_id` is the partner's own name of it; `groups` are words for sets of places."""

    id: UUID
    partner_id: UUID
    merchant_id: UUID
    name: str
    external_id: str | None
    time_zone: str
    groups: tuple[str, ...]
    status: Literal["active", "closed"]
    version: int
    created_at: datetime
    updated_at: datetime


async def insert(work: Work, location: Location) -> bool:
    """Insert a new place; false where another of the merchant has its external id."""
    inserted = await work.db.value(
        INSERT,
        work.tenant.id,
        location.id,
        location.partner_id,
        location.merchant_id,
        location.name,
        location.external_id,
        location.time_zone,
        location.groups,
        location.status,
        location.version,
        location.created_at,
        location.updated_at,
    )
    return inserted is not None


async def update(work: Work, location: Location) -> bool:
    """Write a place that is locked; false where another of the merchant has its external id."""
    updated = await work.db.value(
        UPDATE,
        work.tenant.id,
        location.id,
        location.name,
        location.external_id,
        location.time_zone,
        location.groups,
        location.status,
        location.version,
        location.updated_at,
    )
    return updated is not None


async def by_ids(work: Work, location_ids: Sequence[UUID]) -> dict[UUID, Location]:
    """Places by id; unknown ids are absent."""
    return {row[0]: _location(row) for row in await work.db.rows(BY_IDS, work.tenant.id, location_ids)}


async def lock(work: Work, location_ids: Sequence[UUID]) -> None:
    """Lock places in the order of their ids."""
    await work.db.rows(LOCK, work.tenant.id, location_ids)


async def ids_by_external(work: Work, merchant_id: UUID, external_ids: Sequence[str]) -> dict[str, UUID]:
    """The ids of a merchant's places by external id."""
    rows = await work.db.rows(BY_EXTERNAL, work.tenant.id, merchant_id, external_ids)
    return {row[0]: row[1] for row in rows}


async def listed(
    work: Work,
    merchant_ids: Sequence[UUID] | None,
    merchant_id: UUID | None,
    external_id: str | None,
    group: str | None,
    offset: int,
    limit: int,
) -> tuple[list[Location], int]:
    """One page of places, newest first, and how many there are in all."""
    wanted = (work.tenant.id, merchant_ids, merchant_id, external_id, group)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [_location(row) for row in rows], total


def _location(row: Row) -> Location:
    return Location(row[0], row[1], row[2], row[3], row[4], row[5], tuple(row[6]), *list(row)[7:])
