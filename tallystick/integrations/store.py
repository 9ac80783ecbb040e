"""Every statement on `integration_doors`, `integrations` and `integration_faults`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.db import Db, Row, Step
from tallystick.base.work import Work
from tallystick.integrations.model import Fault, Integration

COLUMNS: Final = """id, partner_id, client_id, merchant_id, system, account, name, secret_sealed, former_secret_sealed,
    former_until, locations, status, received, ignored, refused, last_at, version, created_at, updated_at"""

INSERT: Final = """
insert into integrations (
    tenant_id, id, partner_id, client_id, merchant_id, system, account, name, secret_sealed, locations, status, created_at,
    updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
"""
INSERT_DOOR: Final = "insert into integration_doors (integration_id, tenant_id, client_id) values ($1, $2, $3)"

# Only what a partner changes: what arrives meanwhile counts on.
UPDATE: Final = """
update integrations
set name = $3, secret_sealed = $4, former_secret_sealed = $5, former_until = $6, locations = $7, status = $8, version = $9,
    updated_at = $10
where tenant_id = $1 and id = $2
"""

BY_IDS: Final = f"select {COLUMNS} from integrations where tenant_id = $1 and id = any($2::uuid[])"
LOCK: Final = f"{BY_IDS} order by id for update"

LISTED: Final = """
from integrations
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
    and ($4::uuid is null or merchant_id = $4) and ($5::text is null or system = $5) and ($6::text is null or status = $6)
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $7 limit $8"

# Counted at the end of a work, behind its other locks, in the order of ids.
COUNT_IN: Final = Step(
    (
        (
            "integrations_counted",
            """
            update integrations as counted
            set received = counted.received + told.received, ignored = counted.ignored + told.ignored,
                last_at = greatest(counted.last_at, $2)
            from (
                select held.id, told.received, told.ignored
                from unnest($3::uuid[], $4::int[], $5::int[]) as told (id, received, ignored)
                join (
                    select i.id from integrations as i
                    where i.tenant_id = $1 and i.id = any($3::uuid[]) order by i.id for update
                ) as held on held.id = told.id
            ) as told
            where counted.tenant_id = $1 and counted.id = told.id and counted.id = any($3::uuid[])
            """,
        ),
    )
)

COUNT_REFUSED: Final = """
update integrations as counted
set refused = counted.refused + told.refused
from unnest($2::uuid[], $3::int[]) as told (id, refused)
where counted.tenant_id = $1 and counted.id = told.id and counted.id = any($2::uuid[])
"""

FAULT_COLUMNS: Final = "id, integration_id, at, code, detail, document_sealed, taken_at"

INSERT_FAULT: Final = """
insert into integration_faults (tenant_id, id, integration_id, at, code, detail, digest, document_sealed)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (tenant_id, integration_id, digest) do nothing
"""
FAULT: Final = f"""
select {FAULT_COLUMNS} from integration_faults where tenant_id = $1 and integration_id = $2 and id = $3
"""
LOCK_FAULTS: Final = f"""
select {FAULT_COLUMNS} from integration_faults where tenant_id = $1 and id = any($2::uuid[]) order by id for update
"""
TAKEN: Final = """
update integration_faults set taken_at = $3, document_sealed = null where tenant_id = $1 and id = $2
"""
STILL: Final = "update integration_faults set code = $3, detail = $4 where tenant_id = $1 and id = $2"

FAULTS: Final = """
from integration_faults
where tenant_id = $1 and integration_id = $2 and ($3::boolean is null or (taken_at is not null) = $3)
"""
COUNT_FAULTS: Final = f"select count(*) {FAULTS}"
LIST_FAULTS: Final = f"select {FAULT_COLUMNS} {FAULTS} order by at desc, id desc offset $4 limit $5"

# How many stand open, counted no further than matters.
OPEN_FAULTS: Final = """
select count(*) from (
    select from integration_faults where tenant_id = $1 and integration_id = $2 and taken_at is null limit $3
) as open
"""

DISCOVERY_OLD: Final = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (
    select from integration_faults as f where f.tenant_id = t.id and f.at < $1::timestamptz + t.clock_offset - $2::interval
)
"""
FORGET: Final = """
with old as (
    select id from integration_faults where tenant_id = $1 and at < $2 order by id limit $3 for update skip locked
),
gone as (
    delete from integration_faults as f using old where f.tenant_id = $1 and f.id = old.id returning f.id
)
select count(*) from gone
"""

DOOR: Final = "select tenant_id, client_id from integration_doors where integration_id = $1"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a listing is limited to; None: nothing."""

    merchant_id: UUID | None = None
    system: str | None = None
    status: str | None = None


async def door(db: Db, integration_id: UUID) -> tuple[UUID, UUID] | None:
    """Whose integration it is: the tenant, and the client that connected it."""
    row = await db.row(DOOR, integration_id)
    return None if row is None else (row[0], row[1])


async def insert(work: Work, integration: Integration) -> None:
    """Insert a new integration, and its door."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        integration.id,
        integration.partner_id,
        integration.client_id,
        integration.merchant_id,
        integration.system,
        integration.account,
        integration.name,
        integration.secret_sealed,
        _written(integration),
        integration.status,
        integration.created_at,
    )
    await work.db.run(INSERT_DOOR, integration.id, work.tenant.id, integration.client_id)


async def update(work: Work, integration: Integration) -> None:
    """Write what a partner changed of an integration that is locked."""
    await work.db.run(
        UPDATE,
        work.tenant.id,
        integration.id,
        integration.name,
        integration.secret_sealed,
        integration.former_secret_sealed,
        integration.former_until,
        _written(integration),
        integration.status,
        integration.version,
        integration.updated_at,
    )


async def by_ids(work: Work, integration_ids: Sequence[UUID]) -> dict[UUID, Integration]:
    """Integrations by id, for reading; unknown ids are absent."""
    return {row[0]: _integration(row) for row in await work.db.rows(BY_IDS, work.tenant.id, integration_ids)}


async def lock(work: Work, integration_ids: Sequence[UUID]) -> dict[UUID, Integration]:
    """Integrations by id, locked."""
    return {row[0]: _integration(row) for row in await work.db.rows(LOCK, work.tenant.id, integration_ids)}


async def listed(
    work: Work,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    filters: Filters,
    offset: int,
    limit: int,
) -> tuple[list[Integration], int]:
    """One page of integrations, newest first, and how many there are in all."""
    wanted = (work.tenant.id, partner_id, merchant_ids, filters.merchant_id, filters.system, filters.status)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [_integration(row) for row in rows], total


def count(work: Work, counted: dict[UUID, tuple[int, int]]) -> None:
    """Leave it to the end of the work to count documents, received and ignored, by integration."""
    wanted = sorted(counted)
    received, ignored = [counted[each][0] for each in wanted], [counted[each][1] for each in wanted]
    work.defer(COUNT_IN, work.tenant.id, work.now, wanted, received, ignored)


async def count_refused(work: Work, refused: dict[UUID, int]) -> None:
    """Count documents that were not signed by the system, by integration."""
    wanted = sorted(refused)
    await work.db.run(COUNT_REFUSED, work.tenant.id, wanted, [refused[each] for each in wanted])


async def insert_fault(work: Work, fault: Fault, digest: bytes) -> None:
    """Insert a fault, unless this very document is one already."""
    await work.db.run(
        INSERT_FAULT,
        work.tenant.id,
        fault.id,
        fault.integration_id,
        fault.at,
        fault.code,
        fault.detail,
        digest,
        fault.document_sealed,
    )


async def open_faults(work: Work, integration_id: UUID, most: int) -> int:
    """How many faults of an integration were not taken yet, counted up to `most`."""
    found: int = await work.db.value(OPEN_FAULTS, work.tenant.id, integration_id, most)
    return found


async def forget(work: Work, before: datetime, most: int) -> int:
    """Delete faults from before an instant; how many."""
    gone: int = await work.db.value(FORGET, work.tenant.id, before, most)
    return gone


async def fault(work: Work, integration_id: UUID, fault_id: UUID) -> Fault | None:
    """One fault of an integration, for reading."""
    row = await work.db.row(FAULT, work.tenant.id, integration_id, fault_id)
    return None if row is None else Fault(*row)


async def lock_faults(work: Work, fault_ids: Sequence[UUID]) -> dict[UUID, Fault]:
    """Faults by id, locked."""
    return {row[0]: Fault(*row) for row in await work.db.rows(LOCK_FAULTS, work.tenant.id, fault_ids)}


async def taken(work: Work, fault_id: UUID) -> None:
    """The document of a fault was taken after all, and is not kept here any more."""
    await work.db.run(TAKEN, work.tenant.id, fault_id, work.now)


async def still(work: Work, fault_id: UUID, code: str, detail: str) -> None:
    """The document of a fault could not be taken again, for this reason."""
    await work.db.run(STILL, work.tenant.id, fault_id, code, detail)


async def faults(
    work: Work, integration_id: UUID, offset: int, limit: int, *, is_taken: bool | None
) -> tuple[list[Fault], int]:
    """One page of an integration's faults, newest first, and how many there are in all."""
    wanted = (work.tenant.id, integration_id, is_taken)
    total: int = await work.db.value(COUNT_FAULTS, *wanted)
    rows = await work.db.rows(LIST_FAULTS, *wanted, offset, limit) if offset < total else []
    return [Fault(*row) for row in rows], total


def _written(integration: Integration) -> str:
    return json.dumps({theirs: str(ours) for theirs, ours in integration.locations.items()})


def _integration(row: Row) -> Integration:
    values = list(row)
    values[10] = {theirs: UUID(ours) for theirs, ours in json.loads(row[10]).items()}
    return Integration(*values)
