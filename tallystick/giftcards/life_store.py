"""Statements on what only the later life of cards needs: adjustments, charge-backs, and what is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.work import Caller, Work
from tallystick.giftcards.model import ValueClass

AdjustmentStatus = Literal["pending", "approved", "rejected"]

ADJUSTMENT_COLUMNS: Final = """id, card_id, partner_id, merchant_id, amount, value_class, reason, status, asked_by, decided_by,
    version, created_at, decided_at"""

INSERT_ADJUSTMENT: Final = """
insert into gift_card_adjustments (
    tenant_id, id, card_id, partner_id, merchant_id, amount, value_class, reason, status, asked_by, decided_by, created_at,
    decided_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""

DECIDE_ADJUSTMENT: Final = """
update gift_card_adjustments
set status = $3, decided_by = $4, decided_at = $5, version = $6
where tenant_id = $1 and id = $2
"""

ADJUSTMENTS: Final = f"""
select {ADJUSTMENT_COLUMNS} from gift_card_adjustments where tenant_id = $1 and id = any($2::uuid[])
"""
LOCK_ADJUSTMENTS: Final = f"{ADJUSTMENTS} order by id for update"

SEEN_ADJUSTMENTS: Final = """
from gift_card_adjustments
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
    and ($4::text is null or status = $4)
"""
# One statement for each index: a plan that is made once cannot know which filter is given.
OF_CARD: Final = f"{SEEN_ADJUSTMENTS} and card_id = $5"
OF_ALL: Final = f"{SEEN_ADJUSTMENTS} and $5::uuid is null"
NEWEST: Final = "order by created_at desc, id desc offset $6 limit $7"

PAID_IN: Final = """
select coalesce(sum(amount), 0)::bigint
from gift_card_activities
where tenant_id = $1 and card_id = any($2::uuid[]) and kind in ('issue', 'load')
"""

INSERT_CHARGE_BACK: Final = """
insert into gift_card_charge_backs (tenant_id, card_id, external_reference, paid, lost, at) values ($1, $2, $3, $4, $5, $6)
"""
CHARGE_BACKS: Final = """
select card_id, external_reference, paid, lost, at
from gift_card_charge_backs
where tenant_id = $1 and card_id = any($2::uuid[])
"""
RECOVER: Final = """
update gift_card_charge_backs as taken
set lost = taken.lost - recovered.amount
from unnest($2::uuid[], $3::bigint[]) as recovered (card_id, amount)
where taken.tenant_id = $1 and taken.card_id = recovered.card_id and taken.card_id = any($2)
"""
# What the lots of one card sum up to is asked card by card: as a join it would be planned while the tenant was young, and walk all
# its accounts for ever after.
CHARGED_BACK: Final = """
from gift_card_charge_backs as c
where c.tenant_id = {tenant} and (
    select sum(a.balance - a.held) from accounts as a
    where a.tenant_id = {tenant} and a.parent_id = c.card_id and a.code = 'card.lot'
) > 0
"""
CHARGED_BACK_FREE: Final = f"select c.card_id {CHARGED_BACK.format(tenant='$1')} order by c.card_id limit $2"

# A card has expired for good when its expiry is past and no payment holds any of it: until then its lots are looked at as their
# holds end. A change behind the expiry, such as the capture of the last hold, is the instant at which it has.
EXPIRING: Final = """
from gift_cards as c
where c.tenant_id = {tenant} and c.expires_at is not null and c.status in ('pending', 'active', 'frozen', 'depleted')
    and coalesce((
        select sum(a.held) from accounts as a
        where a.tenant_id = {tenant} and a.parent_id = c.id and a.code = 'card.lot'
    ), 0) = 0
order by c.expires_at
"""
NEXT_EXPIRY: Final = f"select greatest(c.expires_at, c.updated_at) {EXPIRING.format(tenant='$1')} limit 1"
DUE: Final = f"""
select c.id, c.expires_at, c.updated_at
{EXPIRING.replace("order by", "and c.expires_at <= $2 order by").format(tenant="$1")}
limit $3
"""

# Which tenants have cards or lots past their deadline, and the earliest; a sandbox looks at its own clock. Value of a card that was
# charged back is due as soon as it is free.
DISCOVERY_DUE: Final = f"""
select t.id, t.programme_id, t.environment, least(lots.due_at, cards.due_at, taken.due_at)
from tenants as t
cross join lateral (
    select min(d.due_at) as due_at
    from lot_deadlines as d
    where d.tenant_id = t.id and d.code = 'card.lot' and d.due_at is not null
) as lots
left join lateral (
    select greatest(c.expires_at, c.updated_at) as due_at {EXPIRING.format(tenant="t.id")} limit 1
) as cards on true
left join lateral (
    select $1::timestamptz + t.clock_offset as due_at {CHARGED_BACK.format(tenant="t.id")} limit 1
) as taken on true
where least(lots.due_at, cards.due_at, taken.due_at) <= $1::timestamptz + t.clock_offset
"""


@dataclass(frozen=True, slots=True)
class GiftCardAdjustment:
    """A correction of a card's balance: `amount` signed minor units. Who asked and who decided are clients."""

    id: UUID
    card_id: UUID
    partner_id: UUID
    merchant_id: UUID
    amount: int
    value_class: ValueClass
    """Of what an increase gives."""
    reason: str
    status: AdjustmentStatus
    asked_by: UUID
    decided_by: UUID | None
    version: int
    created_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class ChargeBack:
    """What the charge-back of a card's purchase took, in minor units: `paid` for it, and of that not recovered yet."""

    card_id: UUID
    external_reference: str | None
    paid: int
    lost: int
    at: datetime


async def insert_adjustment(work: Work, adjustment: GiftCardAdjustment) -> None:
    """A new correction, decided already or not."""
    await work.db.run(
        INSERT_ADJUSTMENT,
        work.tenant.id,
        adjustment.id,
        adjustment.card_id,
        adjustment.partner_id,
        adjustment.merchant_id,
        adjustment.amount,
        adjustment.value_class,
        adjustment.reason,
        adjustment.status,
        adjustment.asked_by,
        adjustment.decided_by,
        adjustment.created_at,
        adjustment.decided_at,
    )


async def decide_adjustment(work: Work, adjustment: GiftCardAdjustment) -> None:
    """Write the decision on a locked correction."""
    await work.db.run(
        DECIDE_ADJUSTMENT,
        work.tenant.id,
        adjustment.id,
        adjustment.status,
        adjustment.decided_by,
        adjustment.decided_at,
        adjustment.version,
    )


async def adjustments(work: Work, adjustment_ids: Sequence[UUID]) -> dict[UUID, GiftCardAdjustment]:
    """Corrections by id, for reading; unknown ids are absent."""
    rows = await work.db.rows(ADJUSTMENTS, work.tenant.id, adjustment_ids)
    return {row[0]: GiftCardAdjustment(*row) for row in rows}


async def lock_adjustments(work: Work, adjustment_ids: Sequence[UUID]) -> dict[UUID, GiftCardAdjustment]:
    """Corrections by id, locked in the order of their ids; behind their cards."""
    rows = await work.db.rows(LOCK_ADJUSTMENTS, work.tenant.id, adjustment_ids)
    return {row[0]: GiftCardAdjustment(*row) for row in rows}


async def listed_adjustments(
    work: Work, caller: Caller, card_id: UUID | None, status: str | None, offset: int, limit: int
) -> tuple[list[GiftCardAdjustment], int]:
    """One page of the corrections a caller may see, newest first, and how many there are in all."""
    wanted = OF_ALL if card_id is None else OF_CARD
    partner_id = None if caller.sees_programme else caller.partner_id
    arguments = (work.tenant.id, partner_id, caller.merchant_ids, status, card_id)
    total: int = await work.db.value(f"select count(*) {wanted}", *arguments)
    if offset >= total:
        return [], total
    rows = await work.db.rows(f"select {ADJUSTMENT_COLUMNS} {wanted} {NEWEST}", *arguments, offset, limit)
    return [GiftCardAdjustment(*row) for row in rows], total


async def paid_in(work: Work, card_ids: Sequence[UUID]) -> int:
    """The minor units for which these cards were sold and loaded, all together."""
    paid: int = await work.db.value(PAID_IN, work.tenant.id, card_ids)
    return paid


async def insert_charge_back(work: Work, charge_back: ChargeBack) -> None:
    """A purchase is charged back; once for a card."""
    await work.db.run(
        INSERT_CHARGE_BACK,
        work.tenant.id,
        charge_back.card_id,
        charge_back.external_reference,
        charge_back.paid,
        charge_back.lost,
        charge_back.at,
    )


async def charge_backs(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, ChargeBack]:
    """The charge-backs of these cards, by card; they change only under their card's lock."""
    rows = await work.db.rows(CHARGE_BACKS, work.tenant.id, card_ids)
    return {row[0]: ChargeBack(*row) for row in rows}


async def recover(work: Work, recovered: dict[UUID, int]) -> None:
    """So much less is lost of the charge-backs of these cards."""
    if recovered:
        await work.db.run(RECOVER, work.tenant.id, list(recovered), list(recovered.values()))


async def charged_back_free(work: Work, limit: int) -> list[UUID]:
    """Cards that were charged back and on which value is free; not locked."""
    return [row[0] for row in await work.db.rows(CHARGED_BACK_FREE, work.tenant.id, limit)]


async def next_expiry(work: Work) -> datetime | None:
    """When the next card expires that no payment holds anything of."""
    instant: datetime | None = await work.db.value(NEXT_EXPIRY, work.tenant.id)
    return instant


async def due(work: Work, limit: int) -> list[UUID]:
    """Cards that have expired by `work.now` with nothing held, and whose status does not say so yet; not locked."""
    return [row[0] for row in await work.db.rows(DUE, work.tenant.id, work.now, limit)]
