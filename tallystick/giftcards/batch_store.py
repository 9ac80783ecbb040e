"""Every statement on `gift_card_batches`, and those on cards that only batches need."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.work import Work
from tallystick.giftcards.deciding import Terms
from tallystick.giftcards.model import ValueClass

Status = Literal["accepted", "running", "paused", "completed", "cancelled"]
Activation = Literal["running", "completed"]

COLUMNS: Final = """id, partner_id, client_id, merchant_id, request_id, status, total, done, amount, currency, value_class,
    activate, reloadable, pin, design_id, expires_at, external_reference, error, activation, activated,
    activation_client_id, activation_request_id, activation_after, downloaded_at, download_until, download_key, version,
    created_at, updated_at"""

INSERT: Final = """
insert into gift_card_batches (
    tenant_id, id, partner_id, client_id, merchant_id, request_id, status, total, amount, currency, value_class, activate,
    reloadable, pin, design_id, expires_at, external_reference, due_at, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, 'accepted', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18)
"""

UPDATE: Final = """
update gift_card_batches
set status = $3, done = $4, error = $5, activation = $6, activated = $7, activation_client_id = $8, activation_request_id = $9,
    activation_after = $10, downloaded_at = $11, download_until = $12, download_key = $13, due_at = $14, version = $15,
    updated_at = $16
where tenant_id = $1 and id = $2
"""

BY_IDS: Final = f"select {COLUMNS} from gift_card_batches where tenant_id = $1 and id = any($2::uuid[])"
LOCK: Final = f"{BY_IDS} order by id for update"

LISTED: Final = """
from gift_card_batches
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
    and ($4::text is null or status = $4)
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $5 limit $6"

# A lease: whoever takes the batch moves its due time on; a killed holder's batch becomes due again.
LEASE: Final = """
update gift_card_batches
set due_at = $2
where tenant_id = $1 and id = (
    select id from gift_card_batches
    where tenant_id = $1 and due_at <= $3
    order by due_at
    limit 1
    for update skip locked
)
returning id
"""

# Which tenants have a batch to go on with; leases are in real time.
DISCOVERY_DUE: Final = """
select t.id, t.programme_id, t.environment
from tenants as t
where exists (select 1 from gift_card_batches as b where b.tenant_id = t.id and b.due_at <= $1)
"""

PENDING_AFTER: Final = """
select id
from gift_cards
where tenant_id = $1 and batch_id = $2 and id > $3 and status = 'pending'
order by id
limit $4
"""

SECRETS_AFTER: Final = """
select id, code_sealed, pin_sealed, initial_amount, currency, expires_at
from gift_cards
where tenant_id = $1 and batch_id = $2 and id > $3
order by id
limit $4
"""


@dataclass(frozen=True, slots=True)
class CardBatch:
    """A batch as its row stands: `done` of `total` equal cards are made."""

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    request_id: UUID
    status: Status
    total: int
    done: int
    amount: int
    currency: str
    value_class: ValueClass
    activate: bool
    reloadable: bool
    pin: bool
    design_id: UUID | None
    expires_at: datetime | None
    external_reference: str | None
    error: str | None
    """Why it is paused: an error of the API, as JSON."""
    activation: Activation | None
    activated: int
    activation_client_id: UUID | None
    activation_request_id: UUID | None
    activation_after: UUID | None
    """The last card that its activation has looked at."""
    downloaded_at: datetime | None
    download_until: datetime | None
    download_key: bytes | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def making(self) -> bool:
        return self.status in ("accepted", "running")

    @property
    def terms(self) -> Terms:
        """What each of its cards is to be."""
        return Terms(
            merchant_id=self.merchant_id,
            amount=self.amount,
            currency=self.currency,
            value_class=self.value_class,
            activate=self.activate,
            reloadable=self.reloadable,
            pin=self.pin,
            expires_at=self.expires_at,
            design_id=self.design_id,
            external_reference=self.external_reference,
            issued_at=self.created_at,
        )


@dataclass(frozen=True, slots=True)
class Secrets:
    """A card as its batch's download shows it, still sealed."""

    card_id: UUID
    code_sealed: bytes
    pin_sealed: bytes | None
    amount: int
    currency: str
    expires_at: datetime | None


async def insert(work: Work, batch: CardBatch) -> None:
    """Insert an accepted batch, due at once."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        batch.id,
        batch.partner_id,
        batch.client_id,
        batch.merchant_id,
        batch.request_id,
        batch.total,
        batch.amount,
        batch.currency,
        batch.value_class,
        batch.activate,
        batch.reloadable,
        batch.pin,
        batch.design_id,
        batch.expires_at,
        batch.external_reference,
        work.real_now,
        batch.created_at,
    )


async def update(work: Work, batch: CardBatch) -> None:
    """Write a batch that is locked, as it is to be: due at once where there is something left to do, else never."""
    going = batch.making or batch.activation == "running"
    await work.db.run(
        UPDATE,
        work.tenant.id,
        batch.id,
        batch.status,
        batch.done,
        batch.error,
        batch.activation,
        batch.activated,
        batch.activation_client_id,
        batch.activation_request_id,
        batch.activation_after,
        batch.downloaded_at,
        batch.download_until,
        batch.download_key,
        work.real_now if going else None,
        batch.version,
        batch.updated_at,
    )


async def by_id(work: Work, batch_id: UUID) -> CardBatch | None:
    """One batch, for reading."""
    row = await work.db.row(BY_IDS, work.tenant.id, [batch_id])
    return None if row is None else CardBatch(*row)


async def lock(work: Work, batch_ids: Sequence[UUID]) -> dict[UUID, CardBatch]:
    """Batches by id, locked in the order of their ids."""
    return {row[0]: CardBatch(*row) for row in await work.db.rows(LOCK, work.tenant.id, batch_ids)}


async def listed(
    work: Work,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    status: str | None,
    offset: int,
    limit: int,
) -> tuple[list[CardBatch], int]:
    """One page of batches, newest first, and how many there are in all."""
    wanted = (work.tenant.id, partner_id, merchant_ids, status)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [CardBatch(*row) for row in rows], total


async def lease(work: Work, until: datetime) -> UUID | None:
    """Take the batch that has waited longest, for ourselves until an instant of real time."""
    found: UUID | None = await work.db.value(LEASE, work.tenant.id, until, work.real_now)
    return found


async def pending_after(work: Work, batch_id: UUID, after: UUID, limit: int) -> list[UUID]:
    """Pending cards of a batch behind one of them, in the order of their ids."""
    return [row[0] for row in await work.db.rows(PENDING_AFTER, work.tenant.id, batch_id, after, limit)]


async def secrets_after(work: Work, batch_id: UUID, after: UUID, limit: int) -> list[Secrets]:
    """A page of a batch's cards behind one of them, in the order of their ids."""
    return [Secrets(*row) for row in await work.db.rows(SECRETS_AFTER, work.tenant.id, batch_id, after, limit)]
