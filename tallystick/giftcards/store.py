"""Every statement on `gift_cards` and `gift_card_activities` that more than one verb needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.db import Step
from tallystick.base.work import Work
from tallystick.giftcards.model import Activity, Balance, GiftCard

COLUMNS: Final = """id, partner_id, merchant_id, currency, status, value_class, initial_amount, reloadable, code_index, code_sealed,
    code_tail, pin_digest, pin_sealed, design_id, batch_id, expires_at, issued_at,
    activated_at, reveal_until, first_revealed_at, replaces, replaced_by, reason, external_reference, version, created_at,
    updated_at"""

INSERT: Final = """
insert into gift_cards (
    tenant_id, id, partner_id, merchant_id, currency, status, value_class, initial_amount, reloadable, code_index, code_sealed,
    code_tail, pin_digest, pin_sealed, design_id, batch_id, expires_at, issued_at, activated_at, reveal_until, replaces, reason,
    external_reference, answer_sealed, created_at, updated_at
)
select $1, card.id, card.partner_id, card.merchant_id, card.currency, card.status, card.value_class, card.initial_amount,
    card.reloadable, card.code_index, card.code_sealed, card.code_tail, card.pin_digest, card.pin_sealed, card.design_id,
    card.batch_id, card.expires_at, card.issued_at, card.activated_at, card.reveal_until, card.replaces, card.reason,
    card.external_reference, card.answer_sealed, card.created_at, card.updated_at
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::boolean[], $10::bytea[],
    $11::bytea[], $12::text[], $13::bytea[], $14::bytea[], $15::uuid[], $16::uuid[], $17::timestamptz[], $18::timestamptz[],
    $19::timestamptz[], $20::timestamptz[], $21::uuid[], $22::text[], $23::text[], $24::bytea[], $25::timestamptz[],
    $26::timestamptz[]) as card (
    id, partner_id, merchant_id, currency, status, value_class, initial_amount, reloadable, code_index, code_sealed, code_tail,
    pin_digest, pin_sealed, design_id, batch_id, expires_at, issued_at, activated_at, reveal_until, replaces, reason,
    external_reference, answer_sealed, created_at, updated_at
)
"""

# Everything of a card that changes.
UPDATE: Final = """
update gift_cards as card
set status = changed.status, expires_at = changed.expires_at, activated_at = changed.activated_at,
    first_revealed_at = changed.first_revealed_at, replaced_by = changed.replaced_by, reason = changed.reason,
    version = changed.version, updated_at = changed.updated_at
from unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::uuid[], $8::text[],
    $9::integer[], $10::timestamptz[]) as changed (
    id, status, expires_at, activated_at, first_revealed_at, replaced_by, reason, version, updated_at
)
where card.tenant_id = $1 and card.id = changed.id and card.id = any($2)
"""

INSERT_ACTIVITIES: Final = """
insert into gift_card_activities (
    tenant_id, card_id, sequence, kind, amount, balance_after, reason, journal_id, cause_id, partner_id, request_id, at
)
select $1, done.card_id, done.sequence, done.kind, done.amount, done.balance_after, done.reason, done.journal_id, done.cause_id,
    done.partner_id, done.request_id, done.at
from unnest($2::uuid[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::uuid[], $9::uuid[], $10::uuid[],
    $11::uuid[], $12::timestamptz[]) as done (
    card_id, sequence, kind, amount, balance_after, reason, journal_id, cause_id, partner_id, request_id, at
)
"""

BY_IDS: Final = f"select {COLUMNS} from gift_cards where tenant_id = $1 and id = any($2::uuid[])"
LOCK: Final = f"{BY_IDS} order by id for update"
BY_CODES: Final = f"select {COLUMNS} from gift_cards where tenant_id = $1 and code_index = any($2::bytea[])"
ANSWERS: Final = """
select id, merchant_id, answer_sealed, reveal_until from gift_cards where tenant_id = $1 and id = any($2::uuid[])
"""

# What is past its expiry is only there as far as a payment holds it.
BALANCES: Final = """
select parent_id,
    coalesce(sum(balance - held) filter (where expires_at is null or expires_at > $3), 0)::bigint,
    sum(held)::bigint
from accounts
where tenant_id = $1 and parent_id = any($2::uuid[]) and code = 'card.lot' and (balance > 0 or held > 0)
group by parent_id
"""

SEEN: Final = """
from gift_cards
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
    and ($4::uuid is null or merchant_id = $4)
    and ($5::text is null or $5 = case
        when status in ('pending', 'active', 'frozen', 'depleted') and expires_at <= $6 then 'expired' else status end)
"""
# One statement for each index: a plan that is made once cannot know which filter is given.
OF_BATCH: Final = f"{SEEN} and batch_id = $7 and ($8::text is null or external_reference = $8)"
BY_REFERENCE: Final = f"{SEEN} and $7::uuid is null and external_reference = $8::text"
ALL: Final = f"{SEEN} and $7::uuid is null and $8::text is null"
NEWEST: Final = "order by created_at desc, id desc offset $9 limit $10"

ACTIVITY_COLUMNS: Final = (
    "card_id, sequence, kind, amount, balance_after, reason, journal_id, cause_id, partner_id, request_id, at"
)
ACTIVITIES: Final = f"""
select {ACTIVITY_COLUMNS}
from gift_card_activities
where tenant_id = $1 and card_id = $2
order by sequence desc
offset $3 limit $4
"""
SPENT = """
select card_id, -sum(amount)::bigint
from gift_card_activities
where tenant_id = $1 and card_id = any($2::uuid[]) and kind in ('redeem', 'refund', 'transfer', 'cash_out')
group by card_id
"""

COUNT_ACTIVITIES: Final = "select count(*) from gift_card_activities where tenant_id = $1 and card_id = $2"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The sealed answer of a card's issue, and until when a repetition is shown the number."""

    merchant_id: UUID
    sealed: bytes
    reveal_until: datetime | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which cards are listed; None: any. `status` is the one that holds now."""

    status: str | None = None
    merchant_id: UUID | None = None
    batch_id: UUID | None = None
    external_reference: str | None = None


def insert(work: Work, cards: Sequence[GiftCard], answers: Sequence[bytes | None] | None = None) -> None:
    """Insert new cards at the end of the work, each at its version 1; with their sealed answers, where they have any."""
    if not cards:
        return
    columns: tuple[list[object], ...] = (
        [card.id for card in cards],
        [card.partner_id for card in cards],
        [card.merchant_id for card in cards],
        [card.currency for card in cards],
        [card.status for card in cards],
        [card.value_class for card in cards],
        [card.initial_amount for card in cards],
        [card.reloadable for card in cards],
        [card.code_index for card in cards],
        [card.code_sealed for card in cards],
        [card.code_tail for card in cards],
        [card.pin_digest for card in cards],
        [card.pin_sealed for card in cards],
        [card.design_id for card in cards],
        [card.batch_id for card in cards],
        [card.expires_at for card in cards],
        [card.issued_at for card in cards],
        [card.activated_at for card in cards],
        [card.reveal_until for card in cards],
        [card.replaces for card in cards],
        [card.reason for card in cards],
        [card.external_reference for card in cards],
        list(answers) if answers is not None else [None] * len(cards),
        [card.created_at for card in cards],
        [card.updated_at for card in cards],
    )
    _defer(work, "cards_inserted", INSERT, *columns)


async def update(work: Work, cards: Sequence[GiftCard]) -> None:
    """Write cards that are locked, as they are to be; each card once."""
    if cards:
        await work.db.run(UPDATE, work.tenant.id, *_changed(cards))


def update_later(work: Work, cards: Sequence[GiftCard]) -> None:
    """The same at the end of the work: only where nothing else in it writes any of these cards."""
    if cards:
        _defer(work, "cards_updated", UPDATE, *_changed(cards))


def insert_activities(work: Work, activities: Sequence[Activity]) -> None:
    """Write down what happened, at the end of the work."""
    if not activities:
        return
    _defer(
        work,
        "activities_inserted",
        INSERT_ACTIVITIES,
        [done.card_id for done in activities],
        [done.sequence for done in activities],
        [done.kind for done in activities],
        [done.amount for done in activities],
        [done.balance_after for done in activities],
        [done.reason for done in activities],
        [done.journal_id for done in activities],
        [done.cause_id for done in activities],
        [done.partner_id for done in activities],
        [done.request_id for done in activities],
        [done.at for done in activities],
    )


async def by_ids(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, GiftCard]:
    """Cards by id, for reading; unknown ids are absent."""
    return {row[0]: GiftCard(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, card_ids)}


async def lock(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, GiftCard]:
    """Cards by id, locked in the order of their ids; before any account."""
    return {row[0]: GiftCard(*row) for row in await work.db.rows(LOCK, work.tenant.id, card_ids)}


async def by_codes(work: Work, indexes: Sequence[bytes]) -> dict[bytes, GiftCard]:
    """Cards by the keyed index of their number, for reading; unknown ones are absent."""
    cards = [GiftCard(*row) for row in await work.db.rows(BY_CODES, work.tenant.id, indexes)]
    return {card.code_index: card for card in cards}


async def first_answers(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, KeptAnswer]:
    """The answer of each card's issue; absent where the card was not issued alone."""
    rows = await work.db.rows(ANSWERS, work.tenant.id, card_ids)
    return {row[0]: KeptAnswer(row[1], row[2], row[3]) for row in rows if row[2] is not None}


async def balances(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, Balance]:
    """What cards hold at `work.now`; those that hold nothing are absent."""
    rows = await work.db.rows(BALANCES, work.tenant.id, card_ids, work.now)
    return {row[0]: Balance(row[1], row[2]) for row in rows}


async def listed(
    work: Work,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    filters: Filters,
    offset: int,
    limit: int,
) -> tuple[list[GiftCard], int]:
    """One page of cards, newest first, and how many there are in all. `partner_id` None: of every partner of the programme."""
    wanted = OF_BATCH if filters.batch_id else BY_REFERENCE if filters.external_reference is not None else ALL
    arguments = (
        work.tenant.id,
        partner_id,
        merchant_ids,
        filters.merchant_id,
        filters.status,
        work.now,
        filters.batch_id,
        filters.external_reference,
    )
    total: int = await work.db.value(f"select count(*) {wanted}", *arguments)
    if offset >= total:
        return [], total
    rows = await work.db.rows(f"select {COLUMNS} {wanted} {NEWEST}", *arguments, offset, limit)
    return [GiftCard(*row) for row in rows], total


async def activities(work: Work, card_id: UUID, offset: int, limit: int) -> tuple[list[Activity], int]:
    """One page of what happened to a card, newest first, and how much there is in all."""
    total: int = await work.db.value(COUNT_ACTIVITIES, work.tenant.id, card_id)
    rows = await work.db.rows(ACTIVITIES, work.tenant.id, card_id, offset, limit) if offset < total else []
    return [Activity(*row) for row in rows], total


async def spent(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What holders made of cards, in payments or otherwise, less what payments gave back; cards that never moved so are absent."""
    return {row[0]: row[1] for row in await work.db.rows(SPENT, work.tenant.id, card_ids)}


def _changed(cards: Sequence[GiftCard]) -> tuple[Sequence[object], ...]:
    assert len({card.id for card in cards}) == len(cards), "a card is written once in a statement"
    return (
        [card.id for card in cards],
        [card.status for card in cards],
        [card.expires_at for card in cards],
        [card.activated_at for card in cards],
        [card.first_revealed_at for card in cards],
        [card.replaced_by for card in cards],
        [card.reason for card in cards],
        [card.version for card in cards],
        [card.updated_at for card in cards],
    )


def _defer(work: Work, name: str, sql: str, *columns: Sequence[object]) -> None:
    # The statements of one round trip have names of their own, so that a work may defer several of a kind.
    work.defer(Step(((f"{name}_{len(work.later)}", sql),)), work.tenant.id, *columns)
