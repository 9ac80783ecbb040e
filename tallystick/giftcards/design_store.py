"""Every statement on `gift_card_designs`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.work import Work

Status = Literal["active", "retired"]

COLUMNS: Final = """id, partner_id, merchant_id, name, image_url, background_colour, terms, status, version, created_at,
    updated_at"""

INSERT: Final = """
insert into gift_card_designs (
    tenant_id, id, partner_id, merchant_id, name, image_url, background_colour, terms, status, version, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""

UPDATE: Final = """
update gift_card_designs
set name = $3, image_url = $4, background_colour = $5, terms = $6, status = $7, version = $8, updated_at = $9
where tenant_id = $1 and id = $2
"""

BY_IDS: Final = f"select {COLUMNS} from gift_card_designs where tenant_id = $1 and id = any($2::uuid[])"
LOCK: Final = f"{BY_IDS} order by id for update"

LISTED: Final = """
from gift_card_designs
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
    and ($4::uuid is null or merchant_id = $4) and ($5::text is null or status = $5)
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $6 limit $7"


@dataclass(frozen=True, slots=True)
class Design:
    """How the cards of a merchant look, as its row stands. `background_colour` is #RRGGBB."""

    id: UUID
    partner_id: UUID
    merchant_id: UUID
    name: str
    image_url: str | None
    background_colour: str | None
    terms: str | None
    status: Status
    version: int
    created_at: datetime
    updated_at: datetime

    def serves(self, partner_id: UUID, merchant_id: UUID) -> bool:
        """Whether new cards that this partner issues for this merchant may have it."""
        return self.status == "active" and self.partner_id == partner_id and self.merchant_id == merchant_id


async def insert(work: Work, design: Design) -> None:
    """Insert a new design."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        design.id,
        design.partner_id,
        design.merchant_id,
        design.name,
        design.image_url,
        design.background_colour,
        design.terms,
        design.status,
        design.version,
        design.created_at,
        design.updated_at,
    )


async def update(work: Work, design: Design) -> None:
    """Write a design that is locked, as it is to be."""
    await work.db.run(
        UPDATE,
        work.tenant.id,
        design.id,
        design.name,
        design.image_url,
        design.background_colour,
        design.terms,
        design.status,
        design.version,
        design.updated_at,
    )


async def by_ids(work: Work, design_ids: Sequence[UUID]) -> dict[UUID, Design]:
    """Designs by id, for reading; unknown ids are absent."""
    return {row[0]: Design(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, design_ids)}


async def lock(work: Work, design_ids: Sequence[UUID]) -> dict[UUID, Design]:
    """Designs by id, locked."""
    return {row[0]: Design(*row) for row in await work.db.rows(LOCK, work.tenant.id, design_ids)}


async def listed(
    work: Work,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    merchant_id: UUID | None,
    status: str | None,
    offset: int,
    limit: int,
) -> tuple[list[Design], int]:
    """One page of designs, newest first, and how many there are in all."""
    wanted = (work.tenant.id, partner_id, merchant_ids, merchant_id, status)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [Design(*row) for row in rows], total
