"""Budgets and caps: which of them a reward is taken from, and who gets what is left of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tallystick.activity import RecordActivity
from tallystick.base.work import Runtime
from tests.activity.cast import purchase, recorded, send, told
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.thresholds.cast import rule, step
from tests.world import T0

SPENT = """
select scope, period, count, amount from threshold_spent where tenant_id = $1 order by scope, period, period_start
"""
FIRST = datetime.fromisoformat("2026-06-01T16:00:00+00:00")
"""Noon of the first of a month, and a Monday: a day, a week and a month begin together."""


async def holder(api: Api, phone: str | None = None) -> str:
    """Somebody new with a wallet."""
    wallet = await (api.wallet() if phone is None else api.wallet(phone))
    return str((await api.get(f"wallets/{wallet}")).attributes["userId"])


async def spent(runtime: Runtime, api: Api) -> list[tuple[str, str, int, int]]:
    """Of each bound: its scope and period, how often something of it was given, and how much."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(SPENT, work.tenant.id)
    return [(row[0], row[1], row[2], row[3]) for row in rows]


@pytest.mark.parametrize("scope", ["rule", "merchant"])
async def test_budgets_whose_periods_begin_together_are_counted_apart(
    runtime: Runtime, api: Api, clock: Clock, scope: str
) -> None:
    clock.now = FIRST
    budgets = [{"scope": scope, "amount": 700, "period": "month"}, {"scope": scope, "amount": 500, "period": "day"}]
    await rule(api, steps=[step(1000, 400)], repeat="repeating", budgets=budgets)
    user = await holder(api)
    await send(api, purchase("a", 2000, user=user, at=FIRST.isoformat()))
    assert await spent(runtime, api) == [(scope, "day", 2, 500), (scope, "month", 2, 500)]
    clock.now = FIRST.replace(day=2)
    await send(api, purchase("b", 1000, user=user, at=clock.now.isoformat()))
    assert await spent(runtime, api) == [(scope, "day", 2, 500), (scope, "day", 1, 200), (scope, "month", 3, 700)]


async def test_a_budget_of_another_rule_for_a_month_takes_nothing_from_one_for_the_day(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    clock.now = FIRST
    user = await holder(api)
    for period in ("month", "day"):
        budgets = [{"scope": "merchant", "amount": 400, "period": period}]
        await rule(api, steps=[step(1000, 400)], budgets=budgets)
    await send(api, purchase("a", 1000, user=user, at=FIRST.isoformat()))
    assert await spent(runtime, api) == [("merchant", "day", 1, 400), ("merchant", "month", 1, 400)]


METRICS = (
    {"metric": "spend"},
    {"metric": "spend", "repeat": "repeating"},
    {"metric": "distinctDays", "filters": {"kinds": ["transaction"]}},
    {"metric": "spend", "window": {"kind": "rolling", "days": 3}},
    {"metric": "spend", "window": {"kind": "calendar", "period": "day"}},
)
BUDGETS = (
    [{"scope": "rule", "amount": 700}],
    [{"scope": "merchant", "amount": 900}, {"scope": "rule", "amount": 1000, "period": "day"}],
    [{"scope": "location", "amount": 400}, {"scope": "merchant", "amount": 1100, "period": "month"}],
)
Bought = tuple[int, int, int, int]
"""Who (the second of four has a suspended wallet), for how much, how many days ago, and at which place (2: at none)."""
purchases = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 1500), st.integers(0, 4), st.integers(0, 2)), min_size=2, max_size=12
)
WINNERS = """
select o.threshold_id, o.customer_id, o.window_start, o.cycle, o.step, o.status, o.amount, o.location_id
from threshold_outcomes as o
where o.tenant_id = $1
"""
SPENT_OF = "select scope, scope_id, period, period_start, count, amount from threshold_spent where tenant_id = $1 and count > 0"


@dataclass
class Side:
    """One of two programmes that are told the same, with names instead of ids."""

    api: Api
    names: dict[Any, str]
    people: list[str]
    places: list[UUID]

    async def told(self, runtime: Runtime, batches: Sequence[Sequence[tuple[str, Bought]]]) -> None:
        for batch in batches:
            await recorded(runtime, self.api, *(self._command(name, each) for name, each in batch))

    def _command(self, name: str, each: Bought) -> RecordActivity:
        who, amount, days, place = each
        where = {} if place == 2 else {"location_id": self.places[place]}
        at = T0 - timedelta(days=days)
        return told(self.api, name, user=self.people[who], amount=amount, occurred_at=at, **where)

    async def found(self, runtime: Runtime, *, by_place: bool) -> tuple[list[Any], list[Any]]:
        """Who got what (and where, where that is bounded), and what of each bound is spent."""
        async with runtime.reading(self.api.tenant) as work:
            rows = await work.db.rows(WINNERS, work.tenant.id)
            won = [[self._named(value) for value in list(row)[: 8 if by_place else 7]] for row in rows]
            gone = [[self._named(value) for value in row] for row in await work.db.rows(SPENT_OF, work.tenant.id)]
        return sorted(won, key=str), sorted(gone, key=str)

    def _named(self, value: Any) -> Any:
        return self.names.get(value, value)


async def side(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, rules: Sequence[dict[str, Any]]
) -> Side:
    api = await join(runtime, session, base_url)
    wallets = [await api.wallet(f"+1202555012{number}") for number in range(4)]
    people = [str((await api.get(f"wallets/{wallet}")).attributes["userId"]) for wallet in wallets]
    await api.post(f"wallets/{wallets[1]}/suspend")
    made_places = [await api.post("locations", document_of("Location", name=name)) for name in ("here", "there")]
    places = [UUID(each.data["id"]) for each in made_places]
    made = [await rule(api, **each) for each in rules]
    async with runtime.pool.lend() as db:
        await db.script("begin")
        await db.run("select set_config('tallystick.tenant', $1, true)", str(api.tenant.id))
        start = T0 - timedelta(days=60)
        await db.run("update threshold_intervals set from_at = $2 where tenant_id = $1", api.tenant.id, start)
        await db.script("commit")
    names: dict[Any, str] = {api.merchant_id: "merchant"}
    names |= {UUID(each): f"rule {n}" for n, each in enumerate(made)}
    names |= {UUID(each): f"customer {n}" for n, each in enumerate(people)}
    names |= {each: f"place {n}" for n, each in enumerate(places)}
    return Side(api, names, people, places)


@settings(
    max_examples=20,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    bought=purchases,
    data=st.data(),
    kinds=st.lists(st.sampled_from(METRICS), min_size=1, max_size=2),
    budgets=st.sampled_from(BUDGETS),
    caps=st.sampled_from(({}, {"customerCount": 2})),
)
async def test_however_split_the_same_get_what_is_left_as_one_after_the_other(
    runtime: Runtime,
    session: aiohttp.ClientSession,
    base_url: str,
    bought: list[Bought],
    data: st.DataObject,
    kinds: list[dict[str, Any]],
    budgets: list[dict[str, Any]],
    caps: dict[str, Any],
) -> None:
    rules = [each | {"steps": steps(each["metric"]), "budgets": budgets, "caps": caps} for each in kinds]
    each_alone = await side(runtime, session, base_url, rules)
    split = await side(runtime, session, base_url, rules)
    named = [(f"p{n}", each) for n, each in enumerate(bought)]
    await each_alone.told(runtime, [[each] for each in named])
    batches, waiting = [], named
    while waiting:
        cut = data.draw(st.integers(1, len(waiting)))
        batches.append(waiting[:cut])
        waiting = waiting[cut:]
    await split.told(runtime, batches)
    by_place = any(budget["scope"] == "location" for budget in budgets)
    assert await split.found(runtime, by_place=by_place) == await each_alone.found(runtime, by_place=by_place)


def steps(metric: str) -> list[dict[str, Any]]:
    targets = (1, 3) if metric == "distinctDays" else (400, 1000)
    return [step(targets[0], 300), step(targets[1], 250)]


async def test_whoever_arrived_first_gets_what_is_left(runtime: Runtime, api: Api) -> None:
    """In one batch, and whatever was bought earlier, or by whomever's rule."""
    await rule(api, steps=[step(1000, 400)], budgets=[{"scope": "rule", "amount": 500}])
    people = [await holder(api, f"+1202555013{number}") for number in range(6)]
    order = [people[number] for number in (3, 0, 5, 1, 4, 2)]
    nearly = [told(api, user=each, amount=999) for each in people]
    await recorded(runtime, api, *nearly, *(told(api, user=each, amount=1) for each in order))
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(WINNERS, work.tenant.id)
    assert {str(row[1]): row[6] for row in rows if row[6]} == {order[0]: 400, order[1]: 100}
