"""Every statement on payments, their sources, parts, refunds and the tills' references. The days' counters are in `velocity`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.db import Step
from tallystick.base.work import Work
from tallystick.payments.model import Part, PaymentIntent, Refund, Source, TillReference

INTENT = """id, partner_id, merchant_id, location_id, currency, status, capture, allow_partial, amount, authorized_amount,
    authorized_tender, captured_amount, captured_tender, captured_discount, refunded_amount, refunded_tender,
    refunded_discount, external_reference, expires_at, counted_on, version, created_at, updated_at"""

SOURCE = "intent_id, ordinal, kind, source_id, asked_amount, authorized_amount, counted_on"

PART = "intent_id, ordinal, source_ordinal, account_id, lot_class, hold_id, amount, captured, refunded"

BY_IDS = f"select {INTENT} from payment_intents where tenant_id = $1 and id = any($2::uuid[])"

LOCK = f"{BY_IDS} order by id for update"

SOURCES = f"""
select {SOURCE}
from payment_sources
where tenant_id = $1 and intent_id = any($2::uuid[])
order by intent_id, ordinal
"""

PARTS = f"""
select {PART}
from payment_parts
where tenant_id = $1 and intent_id = any($2::uuid[])
order by intent_id, ordinal
"""

REFUNDS = """
select id, intent_id, amount, tender, discount, reason, journal_id, created_at
from payment_refunds
where tenant_id = $1 and intent_id = $2
order by id
"""

# What may change of a payment, set whole: its row is locked.
UPDATE = """
update payment_intents as old
set status = changed.status, amount = changed.amount, authorized_amount = changed.authorized_amount,
    authorized_tender = changed.authorized_tender, captured_amount = changed.captured_amount,
    captured_tender = changed.captured_tender, captured_discount = changed.captured_discount,
    refunded_amount = changed.refunded_amount, refunded_tender = changed.refunded_tender,
    refunded_discount = changed.refunded_discount, expires_at = changed.expires_at, version = changed.version,
    updated_at = changed.updated_at
from unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::timestamptz[], $14::integer[], $15::timestamptz[]) as changed (
    id, status, amount, authorized_amount, authorized_tender, captured_amount, captured_tender, captured_discount,
    refunded_amount, refunded_tender, refunded_discount, expires_at, version, updated_at
)
where old.tenant_id = $1 and old.id = changed.id and old.id = any($2)
"""

UPDATE_SOURCES = """
update payment_sources as old
set authorized_amount = changed.authorized_amount
from unnest($2::uuid[], $3::smallint[], $4::bigint[]) as changed (intent_id, ordinal, authorized_amount)
where old.tenant_id = $1 and old.intent_id = changed.intent_id and old.ordinal = changed.ordinal and old.intent_id = any($2)
"""

UPDATE_PARTS = """
update payment_parts as old
set captured = changed.captured, refunded = changed.refunded
from unnest($2::uuid[], $3::integer[], $4::bigint[], $5::bigint[]) as changed (intent_id, ordinal, captured, refunded)
where old.tenant_id = $1 and old.intent_id = changed.intent_id and old.ordinal = changed.ordinal and old.intent_id = any($2)
"""

INSERT = """
insert into payment_intents (
    tenant_id, id, partner_id, merchant_id, location_id, currency, status, capture, allow_partial, amount, authorized_amount,
    authorized_tender, captured_amount, captured_tender, captured_discount, external_reference, expires_at, counted_on,
    answer_sealed, created_at, updated_at
)
select $1, made.id, made.partner_id, made.merchant_id, made.location_id, made.currency, made.status, made.capture,
    made.allow_partial, made.amount, made.authorized_amount, made.authorized_tender, made.captured_amount, made.captured_tender,
    made.captured_discount, made.external_reference, made.expires_at, made.counted_on, made.answer_sealed, $2, $2
from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::boolean[], $11::bigint[],
    $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::timestamptz[], $19::date[],
    $20::bytea[]) as made (
    id, partner_id, merchant_id, location_id, currency, status, capture, allow_partial, amount, authorized_amount,
    authorized_tender, captured_amount, captured_tender, captured_discount, external_reference, expires_at, counted_on,
    answer_sealed
)
"""

INSERT_SOURCES = """
insert into payment_sources (tenant_id, intent_id, ordinal, kind, source_id, asked_amount, authorized_amount, counted_on)
select $1, made.intent_id, made.ordinal, made.kind, made.source_id, made.asked_amount, made.authorized_amount, made.counted_on
from unnest($2::uuid[], $3::smallint[], $4::text[], $5::uuid[], $6::bigint[], $7::bigint[], $8::date[]) as made (
    intent_id, ordinal, kind, source_id, asked_amount, authorized_amount, counted_on
)
"""

INSERT_PARTS = """
insert into payment_parts (
    tenant_id, intent_id, ordinal, source_ordinal, account_id, lot_class, hold_id, amount, captured, refunded
)
select $1, made.intent_id, made.ordinal, made.source_ordinal, made.account_id, made.lot_class, made.hold_id, made.amount,
    made.captured, made.refunded
from unnest($2::uuid[], $3::integer[], $4::smallint[], $5::uuid[], $6::text[], $7::uuid[], $8::bigint[], $9::bigint[],
    $10::bigint[]) as made (
    intent_id, ordinal, source_ordinal, account_id, lot_class, hold_id, amount, captured, refunded
)
"""

INSERT_REFUND = """
insert into payment_refunds (tenant_id, id, intent_id, amount, tender, discount, reason, journal_id, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

MARK_REVERSED = """
update till_references
set reversed_at = $5
where tenant_id = $1 and partner_id = $2 and merchant_id = $3 and reference = $4 and reversed_at is null
"""

DUE = """
select id
from payment_intents
where tenant_id = $1 and status = 'authorized' and expires_at <= $2
order by expires_at
limit $3
"""

NEXT_DUE = """
select min(expires_at) from payment_intents where tenant_id = $1 and status = 'authorized' and expires_at is not null
"""

# Which tenants have authorisations past their deadline, and the earliest; a sandbox looks at its own clock.
DISCOVERY_DUE = """
select t.id, t.programme_id, t.environment, earliest.deadline
from tenants as t
cross join lateral (
    select min(p.expires_at) as deadline
    from payment_intents as p
    where p.tenant_id = t.id and p.status = 'authorized' and p.expires_at is not null
) as earliest
where earliest.deadline <= $1::timestamptz + t.clock_offset
"""

ANSWERS = "select id, merchant_id, answer_sealed from payment_intents where tenant_id = $1 and id = any($2::uuid[])"

INSERT_STEP = Step((("paid", INSERT),))
INSERT_SOURCES_STEP = Step((("paid_from", INSERT_SOURCES),))
INSERT_PARTS_STEP = Step((("paid_parts", INSERT_PARTS),))


async def by_ids(work: Work, intent_ids: Sequence[UUID]) -> dict[UUID, PaymentIntent]:
    """Payments by id, for reading; unknown ids are absent."""
    return {row[0]: PaymentIntent(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, intent_ids)}


async def lock(work: Work, intent_ids: Sequence[UUID]) -> dict[UUID, PaymentIntent]:
    """Payments by id, locked; after their wallets and cards, before the accounts."""
    return {row[0]: PaymentIntent(*row) for row in await work.db.rows(LOCK, work.tenant.id, intent_ids)}


async def sources_of(work: Work, intent_ids: Sequence[UUID]) -> dict[UUID, list[Source]]:
    """The sources of each payment in their order. Which they are never changes; what they give only under the payment's lock."""
    found: dict[UUID, list[Source]] = {intent_id: [] for intent_id in intent_ids}
    for row in await work.db.rows(SOURCES, work.tenant.id, intent_ids):
        found[row[0]].append(Source(*row))
    return found


async def parts_of(work: Work, intent_ids: Sequence[UUID]) -> dict[UUID, list[Part]]:
    """The parts of each payment in their order; final under the payment's lock."""
    found: dict[UUID, list[Part]] = {intent_id: [] for intent_id in intent_ids}
    for row in await work.db.rows(PARTS, work.tenant.id, intent_ids):
        found[row[0]].append(Part(*row))
    return found


async def refunds_of(work: Work, intent_id: UUID) -> list[Refund]:
    """What was given back of a payment, oldest first."""
    return [Refund(*row) for row in await work.db.rows(REFUNDS, work.tenant.id, intent_id)]


async def update(work: Work, intents: Sequence[PaymentIntent]) -> None:
    """Write locked payments as they now are, their `version` and `updated_at` too."""
    await work.db.run(
        UPDATE,
        work.tenant.id,
        [each.id for each in intents],
        [each.status for each in intents],
        [each.amount for each in intents],
        [each.authorized_amount for each in intents],
        [each.authorized_tender for each in intents],
        [each.captured_amount for each in intents],
        [each.captured_tender for each in intents],
        [each.captured_discount for each in intents],
        [each.refunded_amount for each in intents],
        [each.refunded_tender for each in intents],
        [each.refunded_discount for each in intents],
        [each.expires_at for each in intents],
        [each.version for each in intents],
        [each.updated_at for each in intents],
    )


async def update_sources(work: Work, sources: Sequence[Source]) -> None:
    """Write what each source of a locked payment gives."""
    await work.db.run(
        UPDATE_SOURCES,
        work.tenant.id,
        [each.intent_id for each in sources],
        [each.ordinal for each in sources],
        [each.authorized_amount for each in sources],
    )


async def update_parts(work: Work, parts: Sequence[Part]) -> None:
    """Write what was captured and refunded of each part of a locked payment."""
    await work.db.run(
        UPDATE_PARTS,
        work.tenant.id,
        [each.intent_id for each in parts],
        [each.ordinal for each in parts],
        [each.captured for each in parts],
        [each.refunded for each in parts],
    )


async def insert_parts(work: Work, parts: Sequence[Part]) -> None:
    """Further parts of payments that are locked."""
    await work.db.run(INSERT_PARTS, work.tenant.id, *_part_columns(parts))


async def insert_refund(work: Work, refund: Refund) -> None:
    """A refund of a locked payment."""
    await work.db.run(
        INSERT_REFUND,
        work.tenant.id,
        refund.id,
        refund.intent_id,
        refund.amount,
        refund.tender,
        refund.discount,
        refund.reason,
        refund.journal_id,
        refund.created_at,
    )


def insert(
    work: Work, intents: Sequence[tuple[PaymentIntent, bytes]], sources: Sequence[Source], parts: Sequence[Part]
) -> None:
    """New payments with their sealed first answers, their sources and their parts, at the end of the work."""
    made = [intent for intent, _ in intents]
    work.defer(INSERT_STEP, work.tenant.id, work.now, *_intent_columns(made), [answer for _, answer in intents])
    work.defer(
        INSERT_SOURCES_STEP,
        work.tenant.id,
        [each.intent_id for each in sources],
        [each.ordinal for each in sources],
        [each.kind for each in sources],
        [each.source_id for each in sources],
        [each.asked_amount for each in sources],
        [each.authorized_amount for each in sources],
        [each.counted_on for each in sources],
    )
    work.defer(INSERT_PARTS_STEP, work.tenant.id, *_part_columns(parts))


def _intent_columns(made: Sequence[PaymentIntent]) -> tuple[Sequence[object], ...]:
    return (
        [each.id for each in made],
        [each.partner_id for each in made],
        [each.merchant_id for each in made],
        [each.location_id for each in made],
        [each.currency for each in made],
        [each.status for each in made],
        [each.capture for each in made],
        [each.allow_partial for each in made],
        [each.amount for each in made],
        [each.authorized_amount for each in made],
        [each.authorized_tender for each in made],
        [each.captured_amount for each in made],
        [each.captured_tender for each in made],
        [each.captured_discount for each in made],
        [each.external_reference for each in made],
        [each.expires_at for each in made],
        [each.counted_on for each in made],
    )


def _part_columns(parts: Sequence[Part]) -> tuple[Sequence[object], ...]:
    return (
        [each.intent_id for each in parts],
        [each.ordinal for each in parts],
        [each.source_ordinal for each in parts],
        [each.account_id for each in parts],
        [each.lot_class for each in parts],
        [each.hold_id for each in parts],
        [each.amount for each in parts],
        [each.captured for each in parts],
        [each.refunded for each in parts],
    )


async def mark_reversed(work: Work, found: TillReference) -> None:
    """The till took this payment back: from now on nobody pays under its reference."""
    await work.db.run(MARK_REVERSED, work.tenant.id, found.partner_id, found.merchant_id, found.reference, work.now)


async def due(work: Work, limit: int) -> list[UUID]:
    """Authorisations past their deadline, earliest first; not locked."""
    return [row[0] for row in await work.db.rows(DUE, work.tenant.id, work.now, limit)]


async def next_due(work: Work) -> datetime | None:
    """The earliest deadline of an authorisation that was not captured."""
    instant: datetime | None = await work.db.value(NEXT_DUE, work.tenant.id)
    return instant


async def first_answers(work: Work, intent_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, bytes]]:
    """The merchant and the sealed first answer of each payment."""
    rows = await work.db.rows(ANSWERS, work.tenant.id, intent_ids)
    return {row[0]: (row[1], row[2]) for row in rows}
