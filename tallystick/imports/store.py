"""Every statement on `imports`, `import_parts` and `import_rejections`."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.imports.model import Import, Part, Rejection

COLUMNS: Final = """id, partner_id, client_id, merchant_id, request_id, kind, format, columns, delimiter, currency,
    time_zone, tell_progress, status,
    attribution, released_at, rejecting, release_after, parts, byte_count, bytes_done, lines_done, header, accepted,
    duplicates, rejected,
    detail, due_at, started_at, finished_at, version, created_at, updated_at, sha256, size"""

INSERT: Final = """
insert into imports (
    tenant_id, id, partner_id, client_id, merchant_id, request_id, kind, format, columns, delimiter, currency,
    time_zone, tell_progress, status,
    attribution, due_at, created_at, updated_at, sha256, size
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'uploading', $14, $15, $16, $16, $17, $18)
"""

UPDATE: Final = """
update imports
set status = $3, released_at = $4, rejecting = $5, release_after = $6, parts = $7, byte_count = $8, bytes_done = $9,
    lines_done = $10,
    header = $11, accepted = $12, duplicates = $13, rejected = $14, detail = $15, due_at = $16, started_at = $17,
    finished_at = $18,
    version = $19, updated_at = $20
where tenant_id = $1 and id = $2
"""

BY_ID: Final = f"select {COLUMNS} from imports where tenant_id = $1 and id = $2"
LOCK: Final = f"{BY_ID} for update"
TAKE: Final = f"{BY_ID} for update skip locked"
HOLD: Final = f"{BY_ID} for share"

LISTED: Final = """
from imports where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $4 limit $5"

PUT_PART: Final = """
insert into import_parts (tenant_id, import_id, part, byte_count, digest, content) values ($1, $2, $3, $4, $5, $6)
on conflict on constraint import_parts_pkey do nothing
"""
PART: Final = (
    "select byte_count, digest, content from import_parts where tenant_id = $1 and import_id = $2 and part = $3"
)
SIZES: Final = "select part, byte_count from import_parts where tenant_id = $1 and import_id = $2 order by part"
COUNT_PARTS: Final = "select count(*) from import_parts where tenant_id = $1 and import_id = $2"
PARTS: Final = """
select part, byte_count, digest from import_parts where tenant_id = $1 and import_id = $2
order by part
offset $3 limit $4
"""
FORGET_PARTS: Final = "delete from import_parts where tenant_id = $1 and import_id = $2"

REJECT: Final = """
insert into import_rejections (tenant_id, import_id, line, code, detail, line_sealed)
select $1, $2, r.line, r.code, r.detail, r.line_sealed
from unnest($3::bigint[], $4::text[], $5::text[], $6::bytea[]) as r (line, code, detail, line_sealed)
"""
COUNT_REJECTIONS: Final = "select count(*) from import_rejections where tenant_id = $1 and import_id = $2"
REJECTIONS: Final = """
select line, code, detail, line_sealed from import_rejections
where tenant_id = $1 and import_id = $2 and line > $3
order by line
offset $4 limit $5
"""

DUE: Final = "select id from imports where tenant_id = $1 and due_at <= $2 order by due_at, id limit 1"

# Which tenants have a file to read, to release or to forget; `due_at` is in real time.
DISCOVERY_DUE: Final = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select 1 from imports as i where i.tenant_id = t.id and i.due_at <= $1)
"""

_columns = msgspec.json.Decoder(dict[str, str]).decode
_header = msgspec.json.Decoder(tuple[str, ...]).decode


async def insert(work: Work, made: Import) -> None:
    """Insert a new import, that waits for its file."""
    await work.db.run(
        INSERT, work.tenant.id, made.id, made.partner_id, made.client_id, made.merchant_id, made.request_id,
        made.kind, made.format,
        msgspec.json.encode(made.columns).decode(), made.delimiter, made.currency, made.time_zone,
        made.tell_progress, made.attribution, made.due_at, made.created_at, made.sha256, made.size,
    )  # fmt: skip


async def update(work: Work, found: Import) -> None:
    """Write an import that is locked."""
    header = None if found.header is None else msgspec.json.encode(found.header).decode()
    await work.db.run(
        UPDATE, work.tenant.id, found.id, found.status, found.released_at, found.rejecting, found.release_after,
        found.parts,
        found.byte_count, found.bytes_done, found.lines_done, header, found.accepted, found.duplicates,
        found.rejected, found.detail,
        found.due_at, found.started_at, found.finished_at, found.version, found.updated_at,
    )  # fmt: skip


async def by_id(work: Work, import_id: UUID) -> Import | None:
    """One import, for reading."""
    return _import(await work.db.row(BY_ID, work.tenant.id, import_id))


async def lock(work: Work, import_id: UUID) -> Import | None:
    """One import, locked."""
    return _import(await work.db.row(LOCK, work.tenant.id, import_id))


async def hold(work: Work, import_id: UUID) -> Import | None:
    """One import, which nobody changes until the work ends; several may hold it."""
    return _import(await work.db.row(HOLD, work.tenant.id, import_id))


async def take(work: Work, import_id: UUID) -> Import | None:
    """One import, locked; None where somebody else is at it."""
    return _import(await work.db.row(TAKE, work.tenant.id, import_id))


async def due(work: Work) -> UUID | None:
    """The next import that something is to be done for, by real time."""
    found: UUID | None = await work.db.value(DUE, work.tenant.id, work.real_now)
    return found


async def listed(
    work: Work, partner_id: UUID | None, merchant_ids: Sequence[UUID] | None, offset: int, limit: int
) -> tuple[list[Import], int]:
    """One page of imports, newest first, and how many there are."""
    wanted = (work.tenant.id, partner_id, merchant_ids)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [found for row in rows if (found := _import(row)) is not None], total


async def put_part(work: Work, import_id: UUID, part: int, size: int, digest: bytes, sealed: bytes) -> bytes:
    """Keep a part, sealed; the digest of the one that is there, this or an earlier one."""
    await work.db.run(PUT_PART, work.tenant.id, import_id, part, size, digest, sealed)
    row = await work.db.row(PART, work.tenant.id, import_id, part)
    assert row is not None, "it is kept now"
    return bytes(row[1])


async def sizes(work: Work, import_id: UUID) -> list[tuple[int, int]]:
    """(part, bytes) of what was sent of a file."""
    return [(row[0], row[1]) for row in await work.db.rows(SIZES, work.tenant.id, import_id)]


async def parts(work: Work, import_id: UUID, offset: int, limit: int) -> list[Part]:
    """What was received of a file, in order."""
    return [
        Part(row[0], row[1], bytes(row[2]))
        for row in await work.db.rows(PARTS, work.tenant.id, import_id, offset, limit)
    ]


async def count_parts(work: Work, import_id: UUID) -> int:
    """How many parts of a file were received."""
    total: int = await work.db.value(COUNT_PARTS, work.tenant.id, import_id)
    return total


async def part(work: Work, import_id: UUID, number: int) -> bytes | None:
    """A part of a file, sealed."""
    row = await work.db.row(PART, work.tenant.id, import_id, number)
    return None if row is None else bytes(row[2])


async def forget_parts(work: Work, import_id: UUID) -> None:
    """The file is kept no longer."""
    await work.db.run(FORGET_PARTS, work.tenant.id, import_id)


async def reject(work: Work, import_id: UUID, rejections: Sequence[Rejection], sealed: Sequence[bytes]) -> None:
    """Keep the lines that were not taken."""
    if rejections:
        await work.db.run(
            REJECT,
            work.tenant.id,
            import_id,
            [each.line for each in rejections],
            [each.code for each in rejections],
            [each.detail for each in rejections],
            sealed,
        )


async def rejections(
    work: Work, import_id: UUID, after: int, offset: int, limit: int
) -> list[tuple[int, str, str, bytes]]:
    """Lines that were not taken, in order, from behind a line on: line, code, detail, and the line sealed."""
    rows = await work.db.rows(REJECTIONS, work.tenant.id, import_id, after, offset, limit)
    return [(row[0], row[1], row[2], bytes(row[3])) for row in rows]


async def count_rejections(work: Work, import_id: UUID) -> int:
    """How many lines were not taken."""
    total: int = await work.db.value(COUNT_REJECTIONS, work.tenant.id, import_id)
    return total


def _import(row: Row | None) -> Import | None:
    if row is None:
        return None
    found = list(row)
    found[7], found[21] = _columns(row[7]), None if row[21] is None else _header(row[21])
    return Import(*found)
