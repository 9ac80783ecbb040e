"""Every statement on `threshold_outcomes` and `threshold_spent`: what reaching a step came to, and what was given of each bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from tallystick.base.db import Step
from tallystick.base.work import Work
from tallystick.thresholds.budgets import Bound
from tallystick.thresholds.model import RewardType

Status = Literal["given", "kept", "returned", "capped", "refused"]

COLUMNS: Final = """o.id, o.threshold_id, o.customer_id, o.window_start, o.cycle, o.step, o.generation, o.number, o.merchant_id,
    o.needs, o.status, o.reward_type, o.reward_id, o.gift_card_id, o.amount, o.desired_amount, o.returned_amount, o.currency,
    o.location_id, o.activity_id, o.request_id, o.code, o.due_at, o.created_at, o.updated_at"""

# The latest of each step of these places, as far as it may matter: what needs more than was settled, or than there is now, and the
# cycles to be given.
LATEST: Final = f"""
select distinct on (o.threshold_id, o.customer_id, o.window_start, o.cycle, o.step) {COLUMNS}
from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::bigint[], $6::integer[]) as place (
    threshold_id, customer_id, window_start, settled, cycle
)
join threshold_outcomes as o
    on o.tenant_id = $1 and o.threshold_id = place.threshold_id and o.customer_id = place.customer_id
    and o.window_start = place.window_start and o.threshold_id = any($2) and (o.needs > place.settled or o.cycle >= place.cycle)
order by o.threshold_id, o.customer_id, o.window_start, o.cycle, o.step, o.generation desc
"""

INSERT: Final = """
insert into threshold_outcomes (
    tenant_id, id, threshold_id, customer_id, window_start, cycle, step, generation, number, merchant_id, needs, status,
    reward_type, reward_id, gift_card_id, amount, desired_amount, returned_amount, currency, location_id, activity_id,
    request_id, code, due_at, created_at, updated_at
)
select $1, fresh.id, fresh.threshold_id, fresh.customer_id, fresh.window_start, fresh.cycle, fresh.step, fresh.generation,
    fresh.number, fresh.merchant_id, fresh.needs, fresh.status, fresh.reward_type, fresh.reward_id, fresh.gift_card_id,
    fresh.amount, fresh.desired_amount, fresh.returned_amount, fresh.currency, fresh.location_id, fresh.activity_id,
    fresh.request_id, fresh.code, fresh.due_at, fresh.created_at, fresh.updated_at
from unnest(
    $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::integer[], $7::integer[], $8::integer[], $9::integer[],
    $10::uuid[], $11::bigint[], $12::text[], $13::text[], $14::uuid[], $15::uuid[], $16::bigint[], $17::bigint[],
    $18::bigint[], $19::text[], $20::uuid[], $21::uuid[], $22::uuid[], $23::text[], $24::timestamptz[],
    $25::timestamptz[], $26::timestamptz[]
) as fresh (
    id, threshold_id, customer_id, window_start, cycle, step, generation, number, merchant_id, needs, status, reward_type,
    reward_id, gift_card_id, amount, desired_amount, returned_amount, currency, location_id, activity_id, request_id, code,
    due_at, created_at, updated_at
)
"""

CHANGE: Final = """
update threshold_outcomes as o
set status = c.status, reward_id = c.reward_id, gift_card_id = c.gift_card_id, amount = c.amount,
    returned_amount = c.returned_amount, code = c.code, due_at = c.due_at, updated_at = c.updated_at
from unnest(
    $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[], $8::text[], $9::timestamptz[],
    $10::timestamptz[]
) as c (id, status, reward_id, gift_card_id, amount, returned_amount, code, due_at, updated_at)
where o.tenant_id = $1 and o.id = c.id and o.id = any($2)
"""

# Whoever moves again is tried again soon, also where trying had been given up.
HASTEN: Final = """
update threshold_outcomes as o
set due_at = $2
from unnest($3::uuid[], $4::uuid[], $5::timestamptz[]) as place (threshold_id, customer_id, window_start)
where o.tenant_id = $1 and o.threshold_id = place.threshold_id and o.customer_id = place.customer_id
    and o.window_start = place.window_start and o.threshold_id = any($3) and o.customer_id = any($4)
    and o.status = 'refused' and o.id <> all($6::uuid[]) and (o.due_at is null or o.due_at > $2)
"""

DUE: Final = f"""
select {COLUMNS} from threshold_outcomes as o where o.tenant_id = $1 and o.due_at <= $2 order by o.due_at, o.id limit $3
"""
NEXT_DUE: Final = "select min(due_at) from threshold_outcomes where tenant_id = $1 and due_at is not null"
BY_IDS: Final = f"select {COLUMNS} from threshold_outcomes as o where o.tenant_id = $1 and o.id = any($2::uuid[])"
OF_REWARD: Final = f"select {COLUMNS} from threshold_outcomes as o where o.tenant_id = $1 and o.reward_id = $2"
ACTIVE: Final = "select count(*) from customers where tenant_id = $1 and id = any($2::uuid[]) and status = 'active'"
OF_CARDS: Final = f"""
select {COLUMNS} from threshold_outcomes as o where o.tenant_id = $1 and o.gift_card_id = any($2::uuid[])
"""

# Which tenants have outcomes to be tried again, and the earliest instant; a sandbox looks at its own clock.
DISCOVERY_DUE: Final = """
select t.id, t.programme_id, t.environment, earliest.due_at
from tenants as t
cross join lateral (
    select min(o.due_at) as due_at from threshold_outcomes as o where o.tenant_id = t.id and o.due_at is not null
) as earliest
where earliest.due_at <= $1::timestamptz + t.clock_offset
"""

OPEN_SPENT: Final = """
insert into threshold_spent as s (tenant_id, threshold_id, scope, scope_id, period, period_start, count, amount)
select $1, w.threshold_id, w.scope, w.scope_id, w.period, w.period_start, 0, 0
from unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::timestamptz[]) as w (
    threshold_id, scope, scope_id, period, period_start
)
order by w.threshold_id, w.scope, w.scope_id, w.period, w.period_start
on conflict on constraint threshold_spent_pkey do nothing
"""

LOCK_SPENT: Final = """
select s.threshold_id, s.scope, s.scope_id, s.period, s.period_start, s.count, s.amount
from threshold_spent as s
where s.tenant_id = $1 and s.threshold_id = any($2::uuid[]) and s.scope_id = any($3::uuid[])
    and s.period_start = any($4::timestamptz[])
order by s.threshold_id, s.scope, s.scope_id, s.period, s.period_start
for update
"""

SPEND: Final = """
update threshold_spent as s
set count = w.count, amount = w.amount
from unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::timestamptz[], $7::bigint[], $8::bigint[]) as w (
    threshold_id, scope, scope_id, period, period_start, count, amount
)
where s.tenant_id = $1 and s.threshold_id = w.threshold_id and s.threshold_id = any($2) and s.scope = w.scope
    and s.scope_id = w.scope_id and s.period = w.period and s.period_start = w.period_start
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reaching a step came to, as its row stands. Amounts are minor units."""

    id: UUID
    threshold_id: UUID
    customer_id: UUID
    window_start: datetime
    cycle: int
    step: int
    generation: int
    number: int
    merchant_id: UUID
    needs: int
    status: Status
    reward_type: RewardType
    reward_id: UUID | None
    gift_card_id: UUID | None
    amount: int
    desired_amount: int
    returned_amount: int
    currency: str
    location_id: UUID | None
    activity_id: UUID | None
    request_id: UUID
    code: str | None
    due_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def place(self) -> tuple[UUID, UUID, datetime]:
        """Whose progress it came from."""
        return self.threshold_id, self.customer_id, self.window_start

    @property
    def stands(self) -> bool:
        """Whether the step is taken, so that nothing more is given for it."""
        return self.status != "returned"


async def latest(
    work: Work, wanted: Sequence[tuple[tuple[UUID, UUID, datetime], int, int]]
) -> dict[tuple[UUID, UUID, datetime], list[Outcome]]:
    """The latest outcomes of places that need more than what is settled, or are of a cycle from so many on: place, need, cycle."""
    rows = await work.db.rows(
        LATEST,
        work.tenant.id,
        *([place[n] for place, _, _ in wanted] for n in range(3)),
        [settled for _, settled, _ in wanted],
        [cycle for _, _, cycle in wanted],
    )
    found: dict[tuple[UUID, UUID, datetime], list[Outcome]] = {}
    for row in rows:
        outcome = Outcome(*row)
        found.setdefault(outcome.place, []).append(outcome)
    return found


async def insert(work: Work, outcomes: Sequence[Outcome]) -> None:
    """Insert what reaching these steps came to."""
    if outcomes:
        columns = ([getattr(each, name) for each in outcomes] for name in Outcome.__dataclass_fields__)
        await work.db.run(INSERT, work.tenant.id, *columns)


async def change(work: Work, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes as they are now."""
    if outcomes:
        names = (
            "id",
            "status",
            "reward_id",
            "gift_card_id",
            "amount",
            "returned_amount",
            "code",
            "due_at",
            "updated_at",
        )
        columns = ([getattr(each, name) for each in outcomes] for name in names)
        await work.db.run(CHANGE, work.tenant.id, *columns)


def hasten(work: Work, places: Sequence[tuple[UUID, UUID, datetime]], but: Sequence[UUID]) -> None:
    """What was refused at these places is due from the end of the work on, but for these. Their rows of progress are locked."""
    if places:
        step = Step(((f"outcomes_hastened_{len(work.later)}", HASTEN),))
        work.defer(step, work.tenant.id, work.now, *([place[n] for place in places] for n in range(3)), but)


async def due(work: Work, limit: int) -> list[Outcome]:
    """Outcomes to be tried again by now, earliest first."""
    return [Outcome(*row) for row in await work.db.rows(DUE, work.tenant.id, work.now, limit)]


async def next_due(work: Work) -> datetime | None:
    """When the next outcome is to be tried again."""
    instant: datetime | None = await work.db.value(NEXT_DUE, work.tenant.id)
    return instant


async def by_ids(work: Work, outcome_ids: Sequence[UUID]) -> dict[UUID, Outcome]:
    """Outcomes by id."""
    return {row[0]: Outcome(*row) for row in await work.db.rows(BY_IDS, work.tenant.id, outcome_ids)}


async def of_reward(work: Work, reward_id: UUID) -> Outcome | None:
    """What the reward came of; None: not of a threshold."""
    row = await work.db.row(OF_REWARD, work.tenant.id, reward_id)
    return None if row is None else Outcome(*row)


async def of_cards(work: Work, card_ids: Sequence[UUID]) -> Outcome | None:
    """What a card, or one of those that it replaced, came of; None: not of a threshold."""
    row = await work.db.row(OF_CARDS, work.tenant.id, card_ids)
    return None if row is None else Outcome(*row)


async def active(work: Work, customer_ids: Sequence[UUID]) -> int:
    """How many of these customers are active."""
    number: int = await work.db.value(ACTIVE, work.tenant.id, customer_ids)
    return number


async def lock_spent(work: Work, bounds: Sequence[Bound]) -> dict[Bound, tuple[int, int]]:
    """How often and how much was given of each bound, locked in their order; made where they are new."""
    if not bounds:
        return {}
    wanted = sorted(set(bounds))
    await work.db.run(OPEN_SPENT, work.tenant.id, *([each[n] for each in wanted] for n in range(5)))
    rows = await work.db.rows(
        LOCK_SPENT,
        work.tenant.id,
        list({each[0] for each in wanted}),
        list({each[2] for each in wanted}),
        list({each[4] for each in wanted}),
    )
    return {(row[0], row[1], row[2], row[3], row[4]): (row[5], row[6]) for row in rows}


async def spend(work: Work, spent: Mapping[Bound, tuple[int, int]]) -> None:
    """Write how often and how much was given of bounds that are locked."""
    if spent:
        bounds = list(spent)
        await work.db.run(
            SPEND,
            work.tenant.id,
            *([each[n] for each in bounds] for n in range(5)),
            [spent[each][0] for each in bounds],
            [spent[each][1] for each in bounds],
        )
