"""Every statement on schedules of reports, reconciliations and their differences, and the reading of a merchant's events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.reports.model import Report
from tallystick.reports.reconciliation_model import Compared, Difference, Happened, Reconciliation, Schedule, Sum
from tallystick.reports.store import COLUMNS as REPORT_COLUMNS

DRIFT: Final = timedelta(hours=1)
"""By how much the clocks of two processes may differ."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# An event's amount is what this event moved; null where a topic has none. A document says what its subject came to, so that of what
# grows the event before it is taken off. Events are forgotten one day: then a refund is found by its instant. What moved on a card
# stands beside the event, under its sequence. An event is recorded at its own instant or later, by which few blocks are read.
EVENTS: Final = """
select e.position, e.id, e.topic, e.subject_id,
    coalesce(e.document -> 'attributes' ->> 'externalReference', e.document -> 'attributes' -> 'source' ->> 'id') as reference,
    case
        when e.topic in (
            'reward.credited', 'reward.pre_issued', 'reward.updated', 'reward.claimed', 'reward.expired', 'reward.cancelled',
            'wallet.value_expired', 'transaction.accepted', 'transaction.rejected'
        ) then (e.document -> 'attributes' ->> 'amount')::bigint
        when e.topic = 'reward.reversed'
            then (e.document -> 'attributes' ->> 'reversedAmount')::bigint
                - coalesce((before.document -> 'attributes' ->> 'reversedAmount')::bigint, 0)
        when e.topic = 'redemption.authorized'
            then (e.document -> 'attributes' ->> 'authorizedAmount')::bigint
                - coalesce((before.document -> 'attributes' ->> 'authorizedAmount')::bigint, 0)
        when e.topic = 'redemption.captured'
            then (e.document -> 'attributes' ->> 'capturedAmount')::bigint
                - coalesce((before.document -> 'attributes' ->> 'capturedAmount')::bigint, 0)
        when e.topic = 'redemption.refunded' and before.document is null
            then (
                select r.amount
                from payment_refunds as r
                where r.tenant_id = $1 and r.intent_id = e.subject_id and r.created_at = e.at
                order by r.id
                limit 1
            )
        when e.topic = 'redemption.refunded'
            then (e.document -> 'attributes' ->> 'refundedAmount')::bigint
                - (before.document -> 'attributes' ->> 'refundedAmount')::bigint
        when e.subject_type = 'GiftCard'
            then (
                select case
                    when e.topic in (
                        'gift_card.redeemed', 'gift_card.replaced', 'gift_card.transferred', 'gift_card.cashed_out',
                        'gift_card.expired', 'gift_card.cancelled', 'gift_card.charged_back'
                    ) then -a.amount
                    else a.amount
                end
                from gift_card_activities as a
                where a.tenant_id = $1 and a.card_id = e.subject_id and a.sequence = e.sequence
            )
    end as amount
from events as e
left join lateral (
    select b.document
    from events as b
    where b.tenant_id = $1 and b.subject_id = e.subject_id and b.sequence = e.sequence - 1 and e.sequence > 1
        and b.recorded_at <= e.recorded_at
        and e.topic in ('reward.reversed', 'redemption.authorized', 'redemption.captured', 'redemption.refunded')
    limit 1
) as before on true
where e.tenant_id = $1 and e.merchant_id = $2 and ($3 or e.partner_id = $4) and e.position <= $5 and e.recorded_at >= $6
    and e.at >= $7 and e.at < $8
"""

TOTALS: Final = f"""
select happened.topic, count(*), sum(happened.amount)::bigint,
    encode(sha256(convert_to(string_agg(happened.id::text, E'\\n' order by happened.id), 'UTF8')), 'hex')
from ({EVENTS}) as happened
group by happened.topic
order by happened.topic
"""

HAPPENED: Final = f"{EVENTS} and e.topic = any($9) and e.position > $10 order by e.position limit $11"

HEAD: Final = "select position from tenant_heads where tenant_id = $1"

SOMETHING: Final = """
select exists (
    select 1 from events where tenant_id = $1 and merchant_id = $2 and recorded_at >= $3 and at >= $4 and at < $5
)
"""

SCHEDULE_COLUMNS: Final = """id, partner_id, merchant_id, kind, client_id, request_id, next_day, due_at, last_report_id,
    created_at, updated_at"""

PUT_SCHEDULE: Final = f"""
insert into report_schedules as kept (
    tenant_id, partner_id, merchant_id, kind, id, client_id, request_id, next_day, due_at, created_at, updated_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
on conflict (tenant_id, partner_id, merchant_id, kind) do update
set client_id = excluded.client_id, request_id = excluded.request_id, updated_at = excluded.updated_at,
    next_day = case when kept.due_at is null then excluded.next_day else kept.next_day end,
    due_at = case when excluded.due_at is null then null else coalesce(kept.due_at, excluded.due_at) end
returning {SCHEDULE_COLUMNS}
"""

SCHEDULES_LISTED: Final = """
from report_schedules
where tenant_id = $1 and partner_id = $2 and ($3::uuid[] is null or merchant_id = any($3))
"""
COUNT_SCHEDULES: Final = f"select count(*) {SCHEDULES_LISTED}"
LIST_SCHEDULES: Final = f"select {SCHEDULE_COLUMNS} {SCHEDULES_LISTED} order by created_at, id offset $4 limit $5"

NEXT_DUE: Final = "select min(due_at) from report_schedules where tenant_id = $1 and due_at is not null"

TAKE_DUE: Final = f"""
select {SCHEDULE_COLUMNS}
from report_schedules
where tenant_id = $1 and due_at <= $2
order by due_at, id
limit $3
for update skip locked
"""

MOVE_ON: Final = """
update report_schedules
set next_day = $5, due_at = $6, last_report_id = coalesce($7, last_report_id)
where tenant_id = $1 and partner_id = $2 and merchant_id = $3 and kind = $4
"""

DISCOVERY_SCHEDULES: Final = """
select t.id, t.programme_id, t.environment, earliest.due_at
from tenants as t
cross join lateral (
    select min(s.due_at) as due_at from report_schedules as s where s.tenant_id = t.id and s.due_at is not null
) as earliest
where earliest.due_at <= $1::timestamptz + coalesce(t.clock_offset, interval '0')
"""

OF_DAY: Final = f"""
select {REPORT_COLUMNS}
from reports
where tenant_id = $1 and partner_id = $2 and merchant_id = $3 and kind = 'reconciliation' and from_at = $4 and to_at = $5
    and status = 'completed'
order by created_at desc, id desc
limit 1
"""

COLUMNS: Final = """id, partner_id, client_id, merchant_id, request_id, report_id, from_at, to_at, currency, status, totals,
    row_count, difference_count, created_at"""

INSERT: Final = """
insert into reconciliations (
    tenant_id, id, partner_id, client_id, merchant_id, request_id, report_id, from_at, to_at, currency, status, totals, row_count,
    difference_count, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""

BY_ID: Final = f"select {COLUMNS} from reconciliations where tenant_id = $1 and id = $2"

LISTED: Final = """
from reconciliations
where tenant_id = $1 and ($2::uuid is null or partner_id = $2) and ($3::uuid[] is null or merchant_id = any($3))
    and ($4::uuid is null or merchant_id = $4) and ($5::text is null or status = $5)
"""
COUNT: Final = f"select count(*) {LISTED}"
LIST: Final = f"select {COLUMNS} {LISTED} order by created_at desc, id desc offset $6 limit $7"

INSERT_DIFFERENCES: Final = """
insert into reconciliation_differences (
    tenant_id, reconciliation_id, number, kind, topic, subject_id, event_id, reference, our_count, their_count, our_amount,
    their_amount
)
select $1, $2, d.number, d.kind, d.topic, d.subject_id, d.event_id, d.reference, d.our_count, d.their_count, d.our_amount,
    d.their_amount
from unnest(
    $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[]
) with ordinality as d (
    kind, topic, subject_id, event_id, reference, our_count, their_count, our_amount, their_amount, number
)
"""

COUNT_DIFFERENCES: Final = (
    "select count(*) from reconciliation_differences where tenant_id = $1 and reconciliation_id = $2"
)
DIFFERENCES: Final = """
select number, kind, topic, our_count, our_amount, their_count, their_amount, subject_id, event_id, reference
from reconciliation_differences
where tenant_id = $1 and reconciliation_id = $2
order by number
offset $3 limit $4
"""

_totals = msgspec.json.Decoder(tuple[Compared, ...]).decode


@dataclass(frozen=True, slots=True)
class Span:
    """Which events: of a merchant, between two instants, up to a position; of one partner only, where it does not see all."""

    merchant_id: UUID
    partner_id: UUID
    sees_programme: bool
    upto: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Total:
    """What happened of one topic; `digest` is of the sorted ids, joined by line breaks."""

    topic: str
    count: int
    amount: int | None
    digest: str


async def totals(work: Work, span: Span) -> list[Total]:
    """What happened, by topic."""
    return [Total(*row) for row in await work.db.rows(TOTALS, *_span(work, span))]


async def happened(work: Work, span: Span, topics: Sequence[str], after: int, limit: int) -> list[Happened]:
    """Events of these topics behind a position, oldest first."""
    return [Happened(*row) for row in await work.db.rows(HAPPENED, *_span(work, span), topics, after, limit)]


async def head(work: Work) -> int:
    """The position of the newest event."""
    position: int = await work.db.value(HEAD, work.tenant.id)
    return position


async def something_happened(work: Work, merchant_id: UUID, since: datetime, until: datetime) -> bool:
    """Whether there is any event of a merchant between two instants."""
    earliest = _recorded_since(work, since)
    return bool(await work.db.value(SOMETHING, work.tenant.id, merchant_id, earliest, since, until))


async def put_schedule(work: Work, wanted: Schedule) -> Schedule:
    """The wish as it is from now on; one that is on already goes on where it is."""
    row = await work.db.row(
        PUT_SCHEDULE, work.tenant.id, wanted.partner_id, wanted.merchant_id, wanted.kind, wanted.id, wanted.client_id,
        wanted.request_id, wanted.next_day, wanted.due_at, wanted.created_at,
    )  # fmt: skip
    assert row is not None, "an upsert answers its row"
    return Schedule(*row)


async def schedules(
    work: Work, partner_id: UUID, merchant_ids: Sequence[UUID] | None, offset: int, limit: int
) -> tuple[list[Schedule], int]:
    """A page of a partner's wishes, oldest first, and how many there are."""
    wanted = (work.tenant.id, partner_id, merchant_ids)
    total: int = await work.db.value(COUNT_SCHEDULES, *wanted)
    rows = await work.db.rows(LIST_SCHEDULES, *wanted, offset, limit) if offset < total else []
    return [Schedule(*row) for row in rows], total


async def next_due(work: Work) -> datetime | None:
    """When the next day is to be reported."""
    instant: datetime | None = await work.db.value(NEXT_DUE, work.tenant.id)
    return instant


async def take_due(work: Work, limit: int) -> list[Schedule]:
    """Wishes that are due by the work's instant, locked; those that others hold are left to them."""
    return [Schedule(*row) for row in await work.db.rows(TAKE_DUE, work.tenant.id, work.now, limit)]


async def move_on(
    work: Work, schedule: Schedule, next_day: date, due_at: datetime | None, report_id: UUID | None
) -> None:
    """A day is reported, or had nothing to report; the next one follows."""
    await work.db.run(
        MOVE_ON, work.tenant.id, schedule.partner_id, schedule.merchant_id, schedule.kind, next_day, due_at, report_id
    )


async def of_day(work: Work, partner_id: UUID, merchant_id: UUID, since: datetime, until: datetime) -> Report | None:
    """The partner's latest report on exactly this stretch of time that is made."""
    row = await work.db.row(OF_DAY, work.tenant.id, partner_id, merchant_id, since, until)
    return None if row is None else Report(*row)


async def insert(work: Work, made: Reconciliation, differences: Sequence[Difference]) -> None:
    """Keep what was found, with these of its differences."""
    await work.db.run(
        INSERT, work.tenant.id, made.id, made.partner_id, made.client_id, made.merchant_id, made.request_id, made.report_id,
        made.from_at, made.to_at, made.currency, made.status, msgspec.json.encode(made.totals).decode(), made.row_count,
        made.difference_count, made.created_at,
    )  # fmt: skip
    if differences:
        await work.db.run(
            INSERT_DIFFERENCES, work.tenant.id, made.id,
            [each.kind for each in differences], [each.topic for each in differences],
            [each.subject_id for each in differences], [each.event_id for each in differences],
            [each.reference for each in differences],
            [each.ours.count for each in differences], [each.theirs.count for each in differences],
            [each.ours.amount for each in differences], [each.theirs.amount for each in differences],
        )  # fmt: skip


async def by_id(work: Work, reconciliation_id: UUID) -> Reconciliation | None:
    """One reconciliation."""
    row = await work.db.row(BY_ID, work.tenant.id, reconciliation_id)
    return None if row is None else _reconciliation(row)


async def listed(
    work: Work,
    partner_id: UUID | None,
    merchant_ids: Sequence[UUID] | None,
    merchant_id: UUID | None,
    status: str | None,
    offset: int,
    limit: int,
) -> tuple[list[Reconciliation], int]:
    """A page of reconciliations, newest first, and how many there are."""
    wanted = (work.tenant.id, partner_id, merchant_ids, merchant_id, status)
    total: int = await work.db.value(COUNT, *wanted)
    rows = await work.db.rows(LIST, *wanted, offset, limit) if offset < total else []
    return [_reconciliation(row) for row in rows], total


async def differences(
    work: Work, reconciliation_id: UUID, offset: int, limit: int
) -> tuple[list[tuple[int, Difference]], int]:
    """A page of the differences that are kept, each with its number, and how many there are."""
    total: int = await work.db.value(COUNT_DIFFERENCES, work.tenant.id, reconciliation_id)
    rows = await work.db.rows(DIFFERENCES, work.tenant.id, reconciliation_id, offset, limit) if offset < total else []
    return [
        (row[0], Difference(row[1], row[2], Sum(row[3], row[4]), Sum(row[5], row[6]), row[7], row[8], row[9]))
        for row in rows
    ], total


def _span(work: Work, span: Span) -> tuple[object, ...]:
    return (
        work.tenant.id, span.merchant_id, span.sees_programme, span.partner_id, span.upto, _recorded_since(work, span.since),
        span.since, span.until,
    )  # fmt: skip


def _recorded_since(work: Work, since: datetime) -> datetime:
    """No event of `since` or later was recorded before that. A sandbox's clock may be far ahead of when it was."""
    return since - DRIFT if work.tenant.environment == "production" else EPOCH


def _reconciliation(row: Row) -> Reconciliation:
    found = list(row)
    found[10] = _totals(row[10])
    return Reconciliation(*found)
