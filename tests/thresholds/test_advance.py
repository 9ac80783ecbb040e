"""Progress is what the whole list of what happened amounts to, in whatever order and batches it comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick import thresholds
from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.thresholds.model import Move, Standing
from tests.thresholds.recount import EPOCH, Happened, Place, Rule, recount
from tests.world import T0

INSERT_ACTIVITY = """
insert into activities (
    tenant_id, id, partner_id, merchant_id, kind, type, source, source_id, occurred_at, received_at, channel, location_id, currency,
    amount, tax, units, categories, category_amounts, category_taxes, category_units, methods, method_amounts, customer_id,
    attribution, request_id
)
values ($1, $2::uuid, $2, $3, $4, $5, 'test', ($2::uuid)::text, $6, $6, $7, $8, 'USD', $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18,
    'counted', $2)
"""
INSERT_VERSION = """
insert into threshold_versions (
    tenant_id, threshold_id, number, merchant_id, metric, before_tax, currency, time_zone, kinds, locations, groups, channels,
    categories, methods, excluded_methods, minimum, weekdays, minute_from, minute_until, window_kind, window_from, window_until,
    window_period, window_days, repeat, targets, rewards, caps, budgets, refund_policy, published_at, created_at
)
values ($1, $2, $3, $4, $5, $6, 'USD', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    '[]', '{}', '[]', 'full', $26, $26)
"""
INSERT_INTERVAL = """
insert into threshold_intervals (tenant_id, threshold_id, from_at, until_at, number, merchant_id) values ($1, $2, $3, $4, $5, $6)
"""
INSERT_PLACE = """
insert into locations (tenant_id, id, partner_id, merchant_id, name, time_zone, groups, created_at, updated_at)
values ($1, $2, $2, $3, 'a place', $4, $5, $6, $6)
"""
PROGRESS = "select customer_id, window_start, current, pending from threshold_progress where tenant_id = $1 and threshold_id = $2"

PLACES = {"here": Place("America/New_York", ("city", "airport")), "there": Place("Asia/Tokyo", ("airport",))}
CUSTOMERS = ("ann", "bob")
CATEGORIES = ("coffee", "cake")
METHODS = ("Cash", "CreditCard", "GiftCard")
MINUTE = timedelta(minutes=1)


@dataclass
class Ground:
    """A threshold in the database, and the ids behind the names."""

    work: Work
    merchant_id: UUID
    threshold_id: UUID
    ids: dict[str, UUID]

    async def lay(
        self, rules: Sequence[Rule], targets: Sequence[int] = (10**12,), repeat: str = "once", *, places: bool = True
    ) -> None:
        for name, place in PLACES.items() if places else ():
            row = (self.work.tenant.id, self.ids[name], self.merchant_id, place.zone, list(place.groups), T0)
            await self.work.db.run(INSERT_PLACE, *row)
        for number, rule in enumerate(rules, 1):
            f = rule.filters
            locations = [self.ids[name] for name in f["locations"]] if "locations" in f else None
            await self.work.db.run(
                INSERT_VERSION, self.work.tenant.id, self.threshold_id, number, self.merchant_id, rule.metric, rule.before_tax,
                rule.zone, list(rule.kinds), locations, f.get("groups"), f.get("channels"), f.get("categories"), f.get("methods"),
                f.get("excluded_methods"), f.get("minimum"), f.get("weekdays"), f.get("minute_from"), f.get("minute_until"),
                rule.window, rule.window_from, rule.window_until, rule.period, rule.days, repeat, list(targets), T0,
            )  # fmt: skip
            for start, end in rule.stretches:
                await self.work.db.run(
                    INSERT_INTERVAL, self.work.tenant.id, self.threshold_id, start, end, number, self.merchant_id
                )

    async def happen(self, each: Happened) -> UUID:
        activity_id = ids.new()
        kind = {"transaction": "Purchase", "visit": "Visit", "order": "Order"}[each.kind]
        lines = _columns(each.lines, 4)
        paid = _columns(each.payments, 2)
        place = None if each.place is None else self.ids[each.place]
        await self.work.db.run(
            INSERT_ACTIVITY, self.work.tenant.id, activity_id, self.merchant_id, each.kind, kind, each.at, each.channel, place,
            each.amount, each.tax, each.units, *lines, *paid, self.ids[each.customer],
        )  # fmt: skip
        return activity_id

    async def progress(self) -> dict[tuple[str, datetime], tuple[int, int]]:
        names = {id_: name for name, id_ in self.ids.items()}
        rows = await self.work.db.rows(PROGRESS, self.work.tenant.id, self.threshold_id)
        return {(names[row[0]], row[1]): (row[2], row[3]) for row in rows if row[2] or row[3]}


def ground(work: Work) -> Ground:
    return Ground(work, ids.new(), ids.new(), {name: ids.new() for name in (*CUSTOMERS, *PLACES)})


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any] | None]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [None] * width


def arrived(activity_id: UUID, each: Happened) -> Move:
    return Move(activity_id, Standing("absent"), _standing(each))


def _standing(each: Happened) -> Standing:
    state: Any = each.state
    return Standing(state, each.returned_amount, each.returned_units)


instants = st.integers(0, 14 * 1440).map(lambda minutes: T0 - timedelta(days=7) + minutes * MINUTE)


@st.composite
def things(draw: st.DrawFn) -> Happened:
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        amount = draw(st.integers(1, 90))
        lines.append((draw(st.sampled_from(CATEGORIES)), amount, draw(st.integers(0, amount)), draw(st.integers(1, 3))))
    amount = sum(line[1] for line in lines)
    rest = draw(st.integers(0, amount))
    payments = [(draw(st.sampled_from(METHODS)), part) for part in (rest, amount - rest) if part]
    merged = _by_category(lines)
    return Happened(
        name="",
        customer=draw(st.sampled_from(CUSTOMERS)),
        at=draw(instants),
        kind=draw(st.sampled_from(("transaction", "transaction", "visit", "order"))),
        amount=amount,
        tax=sum(line[2] for line in lines),
        units=sum(line[3] for line in lines),
        lines=merged,
        payments=payments if draw(st.booleans()) else (),
        channel=draw(st.sampled_from((None, "web", "till"))),
        place=draw(st.sampled_from((None, "here", "there"))),
        state=draw(st.sampled_from(("counted", "counted", "pending", "absent"))),
    )


def _by_category(lines: Sequence[tuple[str, int, int, int]]) -> list[tuple[str, int, int, int]]:
    sums: dict[str, list[int]] = {}
    for category, *numbers in lines:
        sums[category] = [a + b for a, b in zip(sums.get(category, [0, 0, 0]), numbers, strict=True)]
    return [(category, of[0], of[1], of[2]) for category, of in sums.items()]


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    """One to three versions of one rule, with a pause here and there; metric and window stay."""
    metric = draw(st.sampled_from(("spend", "visits", "orders", "items", "distinctDays", "distinctLocations")))
    window = draw(st.sampled_from(("ever", "dates", "calendar", "rolling")))
    if metric == "distinctLocations" and window == "rolling":
        window = "calendar"
    period = draw(st.sampled_from(("day", "week", "month", "quarter", "year")))
    days = draw(st.integers(1, 10))
    zone = draw(st.sampled_from(("UTC", "America/New_York", "Asia/Tokyo")))
    bounds = sorted(draw(st.lists(instants, min_size=2, max_size=2, unique=True)))
    kinds = draw(st.sampled_from((("transaction", "visit", "order"), ("transaction",), ("transaction", "visit"))))
    cuts = sorted([T0 - timedelta(days=6), *draw(st.lists(instants, max_size=3))])
    stretches = [(start, end) for start, end in zip(cuts, [*cuts[1:], None], strict=True)]
    kept = [stretch for stretch in stretches if draw(st.booleans())] or stretches
    versions = min(len(kept), draw(st.integers(1, 3)))
    made = []
    for number in range(versions):
        own = kept[number::versions]
        made.append(
            Rule(
                metric, own, zone, draw(st.booleans()), kinds, window, period if window == "calendar" else None,
                days if window == "rolling" else None, bounds[0] if window == "dates" else None,
                bounds[1] if window == "dates" else None, draw(filters()),
            )
        )  # fmt: skip
    return made


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    every: dict[str, Any] = {
        "locations": ["here"], "groups": ["city"], "channels": ["web", "till"], "categories": ["coffee"],
        "methods": ["Cash", "CreditCard"], "excluded_methods": ["GiftCard"], "minimum": draw(st.integers(1, 60)),
        "weekdays": [1, 2, 6, 7], "minute_from": 300, "minute_until": 1200,
    }  # fmt: skip
    return {name: every[name] for name in draw(st.lists(st.sampled_from(sorted(every)), max_size=1))}


class Undone(Exception):
    """Leaves nothing behind."""


@asynccontextmanager
async def undone(runtime: Runtime, tenant: Tenant) -> AsyncIterator[Work]:
    """A work that leaves nothing behind."""
    with suppress(Undone):
        async with runtime.work(tenant) as work:
            yield work
            raise Undone


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=rules(), happened=st.lists(things(), min_size=3, max_size=14), data=st.data())
async def test_progress_is_what_the_whole_list_amounts_to(
    runtime: Runtime, tenant: Tenant, made: list[Rule], happened: list[Happened], data: st.DataObject
) -> None:
    """Activities come in any order and any batches; some are returned in part or whole, released or rejected later."""
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay(made)
        known = [(await there.happen(each), each) for each in happened]
        waiting = [arrived(id_, each) for id_, each in known]
        while waiting:
            cut = data.draw(st.integers(1, len(waiting)))
            await thresholds.advance(work, waiting[:cut])
            waiting = waiting[cut:]
        for number, (id_, each) in enumerate(known):
            if data.draw(st.booleans()):
                later = replace(
                    each,
                    state=data.draw(st.sampled_from(("counted", "counted", "pending", "absent"))),
                    returned_amount=data.draw(
                        st.sampled_from((0, each.amount // 3, each.amount // 2 + 1, each.amount, each.amount + 5))
                    ),
                    returned_units=data.draw(st.integers(0, each.units + 1)),
                )
                await thresholds.advance(work, [Move(id_, _standing(each), _standing(later))])
                known[number] = (id_, later)
        expected = recount(made, [each for _, each in known], PLACES)
        assert await there.progress() == {where: found for where, found in expected.items() if any(found)}


async def test_what_crosses_a_step_is_told_apart(runtime: Runtime, tenant: Tenant) -> None:
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay([Rule("spend", [(T0 - timedelta(days=1), None)])], targets=(100, 250), repeat="repeating")

        async def spend(amount: int) -> list[tuple[int, int]]:
            each = Happened("", "ann", T0, amount=amount)
            moved = await thresholds.advance(work, [arrived(await there.happen(each), each)], all_moved=False)
            return [(one.before, one.current) for one in moved]

        async def settle(needs: int) -> None:
            await thresholds.settled(work, [(there.threshold_id, there.ids["ann"], EPOCH.astimezone(UTC), needs)])

        assert await spend(99) == []
        assert await spend(1) == [(99, 100)]
        assert await spend(10) == [(100, 110)], "what was not settled is told again"
        await settle(100)
        assert await spend(100) == []
        assert await spend(60) == [(210, 270)]
        await settle(250)
        assert await spend(79) == []
        assert await spend(1) == [(349, 350)], "a new cycle begins behind the last step"


async def _amount(runtime: Runtime, tenant: Tenant, made: Rule, *happened: Happened) -> int:
    """What ann has of one rule."""
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay([made])
        await thresholds.advance(work, [arrived(await there.happen(each), each) for each in happened])
        found = await there.progress()
        assert found == {where: amount for where, amount in recount([made], happened, PLACES).items() if any(amount)}
        return sum(counted for counted, _ in found.values())
    raise AssertionError("the work is undone behind its end")


ALWAYS = [(T0 - timedelta(days=300), None)]


async def test_a_window_of_three_days_holds_three_days(runtime: Runtime, tenant: Tenant) -> None:
    made = Rule("spend", ALWAYS, window="rolling", days=3)
    days = [Happened("", "ann", T0 - timedelta(days=n), amount=10) for n in (0, 2, 3)]
    assert await _amount(runtime, tenant, made, *days) == 20
    assert await _amount(runtime, tenant, made, *days, Happened("", "ann", T0 - timedelta(days=1), amount=10)) == 30


async def test_the_minimum_itself_counts(runtime: Runtime, tenant: Tenant) -> None:
    made = Rule("spend", ALWAYS, filters={"minimum": 50})
    assert await _amount(runtime, tenant, made, Happened("", "ann", T0, amount=50)) == 50
    assert await _amount(runtime, tenant, made, Happened("", "ann", T0, amount=49)) == 0


async def test_a_day_is_of_the_place_where_it_was(runtime: Runtime, tenant: Tenant) -> None:
    """Midnight in Tokyo parts what is one day in New York."""
    made = Rule("distinctDays", ALWAYS, zone="America/New_York")
    evening = datetime(2026, 2, 20, 14, 30, tzinfo=UTC)
    assert (
        await _amount(runtime, tenant, made, *(_at("there", evening), _at("there", evening + timedelta(hours=1)))) == 2
    )
    assert await _amount(runtime, tenant, made, *(_at("here", evening), _at("here", evening + timedelta(hours=1)))) == 1


def _at(place: str, at: datetime) -> Happened:
    return Happened("", "ann", at, amount=10, place=place)


async def test_what_moves_nothing_writes_nothing(runtime: Runtime, tenant: Tenant) -> None:
    for made in (Rule("spend", ALWAYS, filters={"minimum": 50}), Rule("distinctDays", ALWAYS), Rule("visits", [])):
        async with undone(runtime, tenant) as work:
            there = ground(work)
            await there.lay([made])
            first, again = (Happened("", "ann", T0 + n * MINUTE, amount=60) for n in range(2))
            await thresholds.advance(work, [arrived(await there.happen(first), first)])
            small = replace(again, amount=40)
            moved = await thresholds.advance(work, [arrived(await there.happen(small), small)])
            assert moved == [], "too small, the same day, or no version in force"


async def test_what_cost_nothing_is_returned_without_harm(runtime: Runtime, tenant: Tenant) -> None:
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay([Rule("spend", ALWAYS), Rule("visits", [], kinds=("transaction",))])
        free = Happened("", "ann", T0, amount=0)
        id_ = await there.happen(free)
        await thresholds.advance(work, [arrived(id_, free)])
        await thresholds.advance(work, [Move(id_, Standing("counted"), Standing("counted", 5, 5))])
        assert await there.progress() == {}


async def test_the_largest_amounts_do_not_overflow(runtime: Runtime, tenant: Tenant) -> None:
    most = 2_147_483_647
    each = Happened(
        "", "ann", T0, amount=most, lines=[("coffee", most, 0, 1)], payments=[("Cash", most - 1), ("GiftCard", 1)]
    )
    made = Rule("spend", ALWAYS, filters={"excluded_methods": ["GiftCard"], "categories": ["coffee"]})
    assert await _amount(runtime, tenant, made, each, replace(each, returned_amount=most - 1)) == most


async def test_works_that_move_the_same_customers_at_once_lose_nothing(runtime: Runtime, tenant: Tenant) -> None:
    """Sums, different days and windows that roll, moved from both ends at once."""
    made = [Rule("spend", ALWAYS), Rule("distinctDays", ALWAYS), Rule("spend", ALWAYS, window="rolling", days=3)]
    merchant_id, known = ids.new(), {name: ids.new() for name in (*CUSTOMERS, *PLACES)}
    async with runtime.work(tenant) as work:
        grounds = [Ground(work, merchant_id, ids.new(), known) for _ in made]
        for there, one in zip(grounds, made, strict=True):
            await there.lay([one], places=there is grounds[0])
    happened = [Happened("", name, T0 - timedelta(days=day), amount=10 + day) for day in range(8) for name in CUSTOMERS]

    async def tell(some: Sequence[Happened]) -> None:
        async with runtime.work(tenant) as work:
            there = replace(grounds[0], work=work)
            moves = [arrived(await there.happen(each), each) for each in some]
            await thresholds.advance(work, moves)

    await asyncio.gather(*(tell(happened[n::6][:: 1 if n % 2 else -1]) for n in range(6)))
    async with runtime.work(tenant) as work:
        for there, one in zip(grounds, made, strict=True):
            assert await replace(there, work=work).progress() == recount([one], happened, PLACES)
