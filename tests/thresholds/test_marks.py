"""Marks: different days and places, and windows that roll, follow whatever made them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random

import pytest

from tallystick import thresholds
from tallystick.base.work import Runtime, Tenant
from tallystick.thresholds.model import Move
from tests.thresholds.ground import ALWAYS, PLACES, amount_of, arrived, ground, standing, undone
from tests.thresholds.recount import Happened, Rule, recount
from tests.world import T0


async def test_a_window_of_three_days_holds_three_days(runtime: Runtime, tenant: Tenant) -> None:
    made = Rule("spend", ALWAYS, window="rolling", days=3)
    days = [Happened("", "ann", T0 - timedelta(days=n), amount=10) for n in (0, 2, 3)]
    assert await amount_of(runtime, tenant, made, *days) == 20
    assert await amount_of(runtime, tenant, made, *days, Happened("", "ann", T0 - timedelta(days=1), amount=10)) == 30


async def test_a_day_is_of_the_place_where_it_was(runtime: Runtime, tenant: Tenant) -> None:
    """Midnight in Tokyo parts what is one day in New York."""
    made = Rule("distinctDays", ALWAYS, zone="America/New_York")
    evening = datetime(2026, 2, 20, 14, 30, tzinfo=UTC)
    assert (
        await amount_of(runtime, tenant, made, *(_at("there", evening), _at("there", evening + timedelta(hours=1))))
        == 2
    )
    assert (
        await amount_of(runtime, tenant, made, *(_at("here", evening), _at("here", evening + timedelta(hours=1)))) == 1
    )


def _at(place: str, at: datetime) -> Happened:
    return Happened("", "ann", at, amount=10, place=place)


async def test_the_best_days_are_found_in_whatever_order_they_come(runtime: Runtime, tenant: Tenant) -> None:
    """Only around the days that gained is looked anew, on both sides of them."""
    made = Rule("spend", ALWAYS, window="rolling", days=3)
    happened = [Happened("", "ann", T0 - timedelta(days=day), amount=10 + day) for day in (0, 1, 2, 3, 5)]
    for order in permutations(happened):
        async with undone(runtime, tenant) as work:
            there = ground(work)
            await there.lay([made])
            for count, each in enumerate(order, 1):
                await thresholds.advance(work, [arrived(await there.happen(each), each)])
                assert await there.progress() == recount([made], order[:count], PLACES)


@pytest.mark.parametrize("metric", ["distinctDays", "distinctLocations", "spend"])
@pytest.mark.parametrize("window", ["ever", "rolling"])
async def test_marks_follow_every_change_of_what_made_them(
    runtime: Runtime, tenant: Tenant, metric: str, window: str
) -> None:
    """Few days and places, and much that is counted, pending, returned and gone on each of them."""
    if (metric, window) == ("distinctLocations", "rolling"):
        window = "dates"
    made, chance = Rule(metric, ALWAYS, window=window, days=2 if window == "rolling" else None), Random(20)
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay([made])
        known = [
            Happened(
                "",
                "ann",
                T0 - timedelta(days=number % 3),
                amount=10 + number,
                place=("here", "there", None)[number % 3],
            )
            for number in range(7)
        ]
        known = [replace(each, state="absent") for each in known]
        rows = [await there.happen(each) for each in known]
        for _ in range(60):
            changed = chance.sample(range(7), chance.randint(1, 3))
            later = {
                number: replace(
                    known[number],
                    state=chance.choice(("counted", "pending", "absent")),
                    returned_amount=chance.choice((0, 0, 5, 99)),
                )
                for number in changed
            }
            await thresholds.advance(
                work, [Move(rows[n], standing(known[n]), standing(each)) for n, each in later.items()]
            )
            known = [later.get(number, each) for number, each in enumerate(known)]
            expected = recount([made], known, PLACES)
            assert await there.progress() == {where: found for where, found in expected.items() if any(found)}


async def test_what_marks_decide_is_told_once_and_only_where_it_changed(runtime: Runtime, tenant: Tenant) -> None:
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay([Rule("distinctDays", ALWAYS)], targets=(2,))

        async def visit(day: int, *, all_moved: bool = True) -> list[tuple[int, int, bool]]:
            each = Happened("", "ann", T0 - timedelta(days=day), amount=10)
            moved = await thresholds.advance(work, [arrived(await there.happen(each), each)], all_moved=all_moved)
            return [(one.before, one.current, one.crossed) for one in moved]

        assert await visit(0) == [(0, 1, False)]
        assert await visit(0) == []
        assert await visit(1, all_moved=False) == [(1, 2, True)]
        assert await visit(2, all_moved=False) == [(2, 3, True)], "what was not settled is told again"
