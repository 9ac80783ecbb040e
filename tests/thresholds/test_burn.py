"""A rehearsal within budgets gives what the same history was given live: how much, how often, and where and when."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tallystick.base.work import Runtime
from tallystick.thresholds import rehearsing
from tallystick.thresholds import store as rules_store
from tests.activity.cast import recorded, told
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.thresholds.cast import rule, step
from tests.thresholds.test_simulate import figures
from tests.world import T0

DAY = timedelta(days=1)
BUDGETS: Sequence[list[dict[str, Any]]] = (
    [{"scope": "location", "amount": 500}],
    [{"scope": "location", "amount": 400, "period": "day"}, {"scope": "rule", "amount": 1500}],
    [{"scope": "location", "amount": 600, "period": "month"}, {"scope": "merchant", "amount": 700, "period": "week"}],
)
RULES: Sequence[dict[str, Any]] = (
    {"steps": [step(400, 300), step(1000, 250)], "repeat": "repeating"},
    {"steps": [step(400, 300), step(1000, 250)], "window": {"kind": "calendar", "period": "day"}},
    {"steps": [step(700, 300)], "window": {"kind": "rolling", "days": 2}},
    {"steps": [step(1, 200), step(3, 300)], "metric": "distinctDays", "filters": {"kinds": ["transaction"]}},
)
GIVEN = """
select o.location_id, (o.created_at at time zone 'America/New_York')::date as day, count(*) as awarded,
    sum(o.amount)::bigint as given
from threshold_outcomes as o
where o.tenant_id = $1 and o.amount > 0
group by 1, 2
"""
SPENT = """
select scope, scope_id, period, period_start, amount
from threshold_spent
where tenant_id = $1 and scope <> 'customer' and amount > 0
"""
Bought = tuple[int, int, int, int]
"""Who, for how much, at which place (2: at none), and how many hours after the one before."""
purchases = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 1500), st.integers(0, 2), st.integers(1, 40)), min_size=2, max_size=10
)


async def live(runtime: Runtime, api: Api, clock: Clock, bought: Sequence[Bought]) -> None:
    """Everything as it happens, one after the other."""
    people = []
    for number in range(3):
        wallet = await api.wallet(f"+1202555014{number}")
        people.append(str((await api.get(f"wallets/{wallet}")).attributes["userId"]))
    made = [await api.post("locations", document_of("Location", name=name)) for name in ("here", "there")]
    for n, (who, amount, place, hours) in enumerate(bought):
        clock.move(timedelta(hours=hours))
        where = {} if place == 2 else {"location_id": UUID(made[place].data["id"])}
        await recorded(
            runtime, api, told(api, f"p{n}", user=people[who], amount=amount, occurred_at=clock.now, **where)
        )


@settings(
    max_examples=16,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    bought=purchases,
    said=st.sampled_from(RULES),
    budgets=st.sampled_from(BUDGETS),
    caps=st.sampled_from(({}, {"customerCount": 3}, {"customerDayCount": 1, "customerAmount": 700})),
)
async def test_live_and_rehearsed_give_the_same(
    runtime: Runtime,
    session: aiohttp.ClientSession,
    base_url: str,
    clock: Clock,
    bought: list[Bought],
    said: dict[str, Any],
    budgets: list[dict[str, Any]],
    caps: dict[str, int],
) -> None:
    clock.now = T0
    api = await join(runtime, session, base_url)
    club = await rule(api, **said, budgets=budgets, caps=caps)
    await live(runtime, api, clock, bought)
    clock.move(timedelta(seconds=1))
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(GIVEN, work.tenant.id)
        spent = {tuple(row)[1:4]: row[4] for row in await work.db.rows(SPENT, work.tenant.id)}
        version = (await rules_store.versions(work, [(UUID(club), 1)]))[UUID(club), 1]
        found = await rehearsing.rehearse(work, version, T0 - DAY, clock.now)
    assert version.time_zone == "America/New_York"
    by_place = {(day, place): (each.awarded, each.given) for (day, place), each in found.burn.by_place.items()}
    assert by_place == {(row["day"], row["location_id"]): (row["awarded"], row["given"]) for row in rows}
    total = found.burn.total
    assert (total.awarded, total.given) == (sum(row["awarded"] for row in rows), sum(row["given"] for row in rows))
    assert {
        bound[2:]: amount for bound, (_, amount) in found.burn.spent.items() if bound[1] != "customer" and amount
    } == spent


async def test_a_budget_of_each_location_is_told_of(runtime: Runtime, api: Api, clock: Clock) -> None:
    budgets = [{"scope": "location", "amount": 500, "period": "day"}]
    club = await rule(api, steps=[step(1000, 400)], repeat="repeating", budgets=budgets)
    await live(runtime, api, clock, [(0, 1000, 0, 1), (1, 2000, 0, 1), (2, 1000, 1, 1), (2, 1000, 2, 24)])
    clock.move(timedelta(seconds=1))
    found = await figures(api, club)
    assert (found["rewards"], found["cost"], found["bounded"]) == (5, 2000, 2000)
    assert (found["awarded"], found["given"]) == (4, 1300)
    assert [(each["awarded"], each["given"]) for each in found["locations"]] == [(2, 500), (1, 400), (1, 400)]
    assert found["locations"][0]["locationId"] is not None
    (budget,) = found["budgets"]
    assert (budget["scope"], budget["most"], budget["usedUp"]) == ("location", 500, 1)
    assert budget["firstUsedUpOn"] == T0.date().isoformat()


@pytest.mark.parametrize("caps", [{}, {"customerCount": 10_000}])
async def test_a_budget_bounds_a_great_many_at_once(
    runtime: Runtime, api: Api, clock: Clock, caps: dict[str, int]
) -> None:
    budgets = [{"scope": "location", "amount": 1000}]
    club = await rule(api, steps=[step(1, 3)], repeat="repeating", budgets=budgets, caps=caps)
    await live(runtime, api, clock, [(0, 50_000, 0, 1)])
    clock.move(timedelta(seconds=1))
    found = await figures(api, club)
    assert (found["rewards"], found["awarded"], found["given"]) == (50_000, 334, 1000)
