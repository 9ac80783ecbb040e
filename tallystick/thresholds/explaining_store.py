"""The statement that explains: what a customer did, whether it counts for a rule, and what reaching its steps came to."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tallystick.base.work import Work

Reason = Literal[
    "counted", "pending", "rejected", "voided", "notInForce", "otherKind", "otherCurrency", "location", "group", "channel",
    "category", "weekday", "hour", "window", "method", "minimum", "returned", "nothing",
]  # fmt: skip
"""Why something counts or does not: the first that applies."""

# What others sent is told only where it moves the rule, unless the caller sees the whole programme.
EXPLAIN: Final = """
with lines as materialized (
    select l.activity_id, l.kind, l.source_id, l.occurred_at, l.number, l.reason, l.counted, l.partner_id
    from threshold_lines($1, $2, $3, $4) as l
    where $5::uuid is null or l.partner_id = $5 or l.reason in ('counted', 'pending')
),
page as (
    select l.activity_id, l.kind, l.occurred_at, l.number, l.reason, l.counted,
        case when $5::uuid is null or l.partner_id = $5 then l.source_id end as source_id
    from lines as l
    order by l.occurred_at desc, l.activity_id desc
    offset $7 limit $8
),
place as (
    select threshold_window(v.window_kind, v.window_period, v.time_zone, $4) as window_start
    from threshold_versions as v
    where v.tenant_id = $1 and v.threshold_id = $2 and v.number = $6
),
reached as (
    select o.cycle, o.step, o.generation, o.needs, o.status, o.code, o.amount, o.desired_amount, o.returned_amount, o.reward_id,
        o.gift_card_id, o.number, o.due_at, o.created_at
    from place
    join threshold_outcomes as o
        on o.tenant_id = $1 and o.threshold_id = $2 and o.customer_id = $3 and o.window_start = place.window_start
    order by o.cycle desc, o.step desc, o.generation desc
    limit $9
)
select threshold_progress_id($2, $3, place.window_start), place.window_start, (select count(*) from lines),
    (select json_agg(page order by page.occurred_at desc, page.activity_id desc) from page),
    (select json_agg(reached order by reached.cycle desc, reached.step desc, reached.generation desc) from reached)
from place
"""

OUTCOMES_MAX: Final = 50


class Line(msgspec.Struct, frozen=True, gc=False):
    """Something a customer did, and what it is to a rule."""

    activity_id: UUID
    kind: str
    source_id: str | None
    """None where another partner sent it."""
    occurred_at: datetime
    number: int | None
    """The version that was in force then."""
    reason: Reason
    counted: int


class Reached(msgspec.Struct, frozen=True, gc=False):
    """What reaching a step came to."""

    cycle: int
    step: int
    generation: int
    needs: int
    status: str
    code: str | None
    amount: int
    desired_amount: int
    returned_amount: int
    reward_id: UUID | None
    gift_card_id: UUID | None
    number: int
    due_at: datetime | None
    created_at: datetime


class Explained(msgspec.Struct, frozen=True):
    """One page of lines, newest first, how many there are in all, and the outcomes of the window, the last step first."""

    progress_id: UUID
    window_start: datetime
    total: int
    lines: list[Line]
    outcomes: list[Reached]


_lines = msgspec.json.Decoder(list[Line]).decode
_outcomes = msgspec.json.Decoder(list[Reached]).decode


async def explain(
    work: Work,
    threshold_id: UUID,
    customer_id: UUID,
    at: datetime,
    number: int,
    *,
    partner_id: UUID | None,
    offset: int,
    limit: int,
) -> Explained:
    """What counts for a rule and what does not, in the window of an instant by this version's calendar.

    `partner_id`: only what this partner sent, but for what counts; None: whoever sent it.
    """
    row = await work.db.row(
        EXPLAIN, work.tenant.id, threshold_id, customer_id, at, partner_id, number, offset, limit, OUTCOMES_MAX
    )
    assert row is not None, "the version is there"
    return Explained(row[0], row[1], row[2], _lines(row[3] or "[]"), _outcomes(row[4] or "[]"))
