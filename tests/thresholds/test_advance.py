"""Progress is what the whole list of what happened amounts to, in whatever order and batches it comes."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick import thresholds
from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant
from tallystick.thresholds.model import Move, Standing
from tests.thresholds.ground import (
    ALWAYS,
    CATEGORIES,
    CUSTOMERS,
    METHODS,
    MINUTE,
    PLACES,
    Ground,
    amount_of,
    arrived,
    ground,
    standing,
    undone,
)
from tests.thresholds.recount import EPOCH, Happened, Rule, recount
from tests.world import T0

__all__ = ["PLACES", "ground", "undone"]

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
    cuts = sorted({T0 - timedelta(days=6), *draw(st.lists(instants, max_size=3))})
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
                await thresholds.advance(work, [Move(id_, standing(each), standing(later))])
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


async def test_the_minimum_itself_counts(runtime: Runtime, tenant: Tenant) -> None:
    made = Rule("spend", ALWAYS, filters={"minimum": 50})
    assert await amount_of(runtime, tenant, made, Happened("", "ann", T0, amount=50)) == 50
    assert await amount_of(runtime, tenant, made, Happened("", "ann", T0, amount=49)) == 0


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
    assert await amount_of(runtime, tenant, made, each, replace(each, returned_amount=most - 1)) == most


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


async def test_what_happens_as_one_version_gives_way_to_the_next_counts_once(runtime: Runtime, tenant: Tenant) -> None:
    async with undone(runtime, tenant) as work:
        there = ground(work)
        before = Rule("spend", [(T0 - timedelta(days=1), T0)], filters={"minimum": 20})
        await there.lay([before, Rule("spend", [(T0, T0 + timedelta(days=1))])])
        happened = [Happened("", "ann", T0 + n * timedelta(days=1), amount=10 + n) for n in (-1, 0, 1)]
        await thresholds.advance(work, [arrived(await there.happen(each), each) for each in happened])
        assert await there.progress() == {("ann", EPOCH): (10, 0)}


async def test_what_falls_below_a_settled_step_is_told_apart(runtime: Runtime, tenant: Tenant) -> None:
    """Also of a rule that is in force no more: what it gave is still to be taken back."""
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay([Rule("spend", [(T0 - timedelta(days=9), T0)])], targets=(100,))
        each = Happened("", "ann", T0 - timedelta(days=1), amount=150)
        id_ = await there.happen(each)
        assert await thresholds.advance(work, [arrived(id_, each)], all_moved=False) == [], "no version is in force now"
        await thresholds.settled(work, [(there.threshold_id, there.ids["ann"], EPOCH.astimezone(UTC), 100)])

        async def left(returned: int, before: int) -> list[tuple[int, int, bool]]:
            move = Move(id_, Standing("counted", before), Standing("counted", returned))
            moved = await thresholds.advance(work, [move], all_moved=False)
            return [(one.reached, one.current, one.crossed) for one in moved]

        assert await left(50, 0) == []
        assert await left(51, 50) == [(100, 99, True)]


async def test_an_order_without_a_wanted_line_is_none_and_a_free_one_is_one(runtime: Runtime, tenant: Tenant) -> None:
    made = Rule("orders", ALWAYS, kinds=("order",), filters={"categories": ["coffee"]})
    free = Happened("", "ann", T0, kind="order", amount=10, lines=[("coffee", 0, 0, 1), ("cake", 10, 0, 1)])
    assert await amount_of(runtime, tenant, made, free, replace(free, lines=[("cake", 10, 0, 1)])) == 1
