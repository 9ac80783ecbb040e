"""Whatever comes in whatever order and however split, progress and rewards are what the whole list deserves."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tallystick import activity
from tallystick.activity import RecordActivity
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.activity.cast import told
from tests.api import Api, join
from tests.rewards.cast import balance, check_whole
from tests.thresholds.cast import rule, step
from tests.thresholds.recount import Happened, Rule, recount
from tests.world import T0

STEPS = ((300, 30), (1000, 100))


@dataclass(frozen=True)
class Bought:
    """A purchase and what came back of it: amounts of refunds, and whether it was voided."""

    amount: int
    day: int
    refunds: tuple[tuple[int, int], ...]
    """What came back, and how often that was voided."""
    voided: bool
    again: bool
    """Whether it is told twice."""


purchases = st.builds(
    Bought,
    st.integers(1, 900),
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(1, 400), st.sampled_from((0, 0, 1, 2))), max_size=2).map(tuple),
    st.integers(0, 9).map(lambda n: n == 0),
    st.booleans(),
)


def commands(api: Api, user: str, bought: list[Bought]) -> list[RecordActivity]:
    """All that is told, in no order that matters."""
    made: list[RecordActivity] = []
    for number, each in enumerate(bought):
        at = T0 + timedelta(days=each.day - 45)
        name = f"p{number}"
        buy = told(api, name, user=user, amount=each.amount, occurred_at=at)
        made += [buy, structs.replace(buy)] if each.again else [buy]
        back: dict[str, Any] = {"occurred_at": at + timedelta(hours=1), "linked_source_id": name}
        for n, (part, voids) in enumerate(each.refunds):
            made.append(told(api, f"{name}-r{n}", type="Refund", amount=part, **back))
            wrong = {**back, "linked_source_id": f"{name}-r{n}"}
            made += [told(api, f"{name}-r{n}-v{m}", type="Void", amount=0, **wrong) for m in range(voids)]
        if each.voided:
            made.append(told(api, f"{name}-v", type="Void", amount=0, **back))
    return made


def expected(bought: list[Bought], rules: Rule) -> dict[Any, int]:
    happened = [
        Happened(
            str(n), "mira", T0 + timedelta(days=each.day - 45), amount=each.amount,
            returned_amount=sum(part for part, voids in each.refunds if not voids),
            state="absent" if each.voided else "counted",
        )
        for n, each in enumerate(bought)
    ]  # fmt: skip
    return {where: counted for (_, where), (counted, _) in recount([rules], happened, {}).items() if counted}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    bought=st.lists(purchases, min_size=1, max_size=10),
    data=st.data(),
    repeat=st.sampled_from(("perPeriod", "repeating")),
)
async def test_any_order_and_any_batches_deserve_the_same(
    runtime: Runtime,
    session: aiohttp.ClientSession,
    base_url: str,
    auditor: Db,
    bought: list[Bought],
    data: st.DataObject,
    repeat: str,
) -> None:
    api = await join(runtime, session, base_url)
    wallet = await api.wallet()
    user = str((await api.get(f"wallets/{wallet}")).attributes["userId"])
    window = {"kind": "calendar", "period": "month"}
    club = await rule(api, steps=[step(*each) for each in STEPS], window=window, repeat=repeat)
    start = T0 - timedelta(days=60)
    async with runtime.pool.lend() as db:
        await db.script("begin")
        await db.run("select set_config('tallystick.tenant', $1, true)", str(api.tenant.id))
        await db.run("update threshold_intervals set from_at = $2 where tenant_id = $1", api.tenant.id, start)
        await db.script("commit")
    waiting = data.draw(st.permutations(commands(api, user, bought)))
    while waiting:
        cut = data.draw(st.integers(1, len(waiting)))
        async with runtime.work(api.tenant) as work:
            await activity.accept(work, waiting[:cut])
        waiting = waiting[cut:]
    zone = Rule("spend", [(start, None)], "America/New_York", window="calendar", period="month")
    counted = expected(bought, zone)
    rows = (await api.get(f"threshold-progress?filter[thresholdId]={club}&page[limit]=50")).data
    found = [each["attributes"]["total"] for each in rows if each["attributes"]["total"]]
    assert sorted(found) == sorted(counted.values())
    shown = await balance(api, wallet)
    assert shown["available"] - shown["owed"] == sum(_deserved(amount, repeat) for amount in counted.values())
    await check_whole(auditor, api.tenant)


def _deserved(amount: int, repeat: str) -> int:
    lap = STEPS[-1][0]
    cycles = amount // lap if repeat == "repeating" else 0
    rest = amount - cycles * lap
    return cycles * sum(gives for _, gives in STEPS) + sum(gives for target, gives in STEPS if target <= rest)
