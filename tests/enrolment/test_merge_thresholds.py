"""Two users that turn out to be one are one for the rules, too: what both did adds up, and nothing is given twice."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick import activity
from tallystick.activity.model import SURE_AFTER
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.activity.cast import progress_of, purchase, recorded, send, told, transaction
from tests.api import Api
from tests.api import join as partner_joins
from tests.conftest import Clock
from tests.enrolment.merge_cast import holder, merged, parted, spend
from tests.rewards.cast import OTHER_PHONE, advance, balance, check_whole, feed
from tests.thresholds.cast import done, rule, step

STANDING = """
select o.cycle, o.step, o.generation, o.needs, o.status, o.amount
from threshold_outcomes as o
where o.tenant_id = $1 and o.customer_id::text = $2 and o.status <> 'returned'
order by o.needs, o.cycle
"""
SPENT = "select count, amount from threshold_spent where tenant_id = $1 and scope_id::text = $2 order by period_start"


@pytest.fixture
async def mira(api: Api) -> tuple[str, str]:
    return await holder(api, world.MIRA_PHONE)


@pytest.fixture
async def again(api: Api) -> tuple[str, str]:
    return await holder(api, OTHER_PHONE)


async def count(runtime: Runtime) -> None:
    """What the loop does until nothing is left to look at."""
    while await activity.count_known(runtime):
        pass


async def join(runtime: Runtime, api: Api, user_id: str, into: str) -> None:
    await merged(api, user_id, into)
    await count(runtime)


async def standing(runtime: Runtime, api: Api, user_id: str) -> list[tuple[Any, ...]]:
    """Cycle, step, generation, need, status and amount of what stands."""
    async with runtime.reading(api.tenant) as work:
        return [tuple(row) for row in await work.db.rows(STANDING, work.tenant.id, user_id)]


async def spent(runtime: Runtime, api: Api, user_id: str) -> list[tuple[int, int]]:
    async with runtime.reading(api.tenant) as work:
        return [(row[0], row[1]) for row in await work.db.rows(SPENT, work.tenant.id, user_id)]


async def held(api: Api, wallet_id: str) -> tuple[int, int]:
    shown = await balance(api, wallet_id)
    return shown["available"], shown["owed"]


async def test_what_both_did_reaches_what_neither_reached(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(1000, 100), step(3000, 500)])
    await send(api, purchase("a", 900, user=mira[0]))
    await send(api, purchase("b", 2500, user=again[0]))
    assert await held(api, again[1]) == (100, 0)
    await join(runtime, api, mira[0], again[0])
    assert await progress_of(runtime, api, club, mira[0]) == (0, 0)
    assert await progress_of(runtime, api, club, again[0]) == (3400, 0)
    assert await held(api, again[1]) == (600, 0)
    assert await standing(runtime, api, again[0]) == [(1, 1, 1, 1000, "given", 100), (1, 2, 1, 3000, "given", 500)]
    await check_whole(auditor, api.tenant)


async def test_what_the_merged_user_was_given_is_not_given_again(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(1000, 100), step(3000, 500)])
    await send(api, purchase("a", 3500, user=mira[0]))
    await send(api, purchase("b", 500, user=again[0]))
    await join(runtime, api, mira[0], again[0])
    assert await held(api, again[1]) == (600, 0)
    await send(api, purchase("c", 3500, user=again[0]))
    assert await held(api, again[1]) == (600, 0)
    await check_whole(auditor, api.tenant)


async def test_cycles_of_both_add_up(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(1000, 100)], repeat="repeating", caps={"customerCount": 9, "customerDayCount": 9})
    await send(api, purchase("a", 2600, user=mira[0]))
    await send(api, purchase("b", 1500, user=again[0]))
    assert [await spent(runtime, api, each) for each in (mira[0], again[0])] == [[(2, 200)] * 2, [(1, 100)] * 2]
    await join(runtime, api, mira[0], again[0])
    assert await standing(runtime, api, again[0]) == [(n, 1, 1, n * 1000, "given", 100) for n in (1, 2, 3, 4)]
    assert [await spent(runtime, api, each) for each in (mira[0], again[0])] == [[(0, 0)] * 2, [(4, 400)] * 2]
    assert await held(api, again[1]) == (400, 0)
    await send(api, purchase("c", 900, user=again[0]))
    assert await held(api, again[1]) == (500, 0)
    await send(api, transaction("Void", "v", linkedExternalTransactionId="a"))
    assert await held(api, again[1]) == (200, 0)
    await check_whole(auditor, api.tenant)


async def test_what_both_were_given_stays_and_goes_first_when_progress_falls(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(1000, 100)])
    await send(api, purchase("a", 1100, user=mira[0]))
    await send(api, purchase("b", 1200, user=again[0]))
    await join(runtime, api, mira[0], again[0])
    assert await held(api, again[1]) == (200, 0)
    await send(api, purchase("c", 5000, user=again[0]))
    assert await held(api, again[1]) == (200, 0), "the one step is taken"
    await send(api, transaction("Void", "vc", linkedExternalTransactionId="c"))
    assert await held(api, again[1]) == (200, 0)
    await send(api, transaction("Void", "va", linkedExternalTransactionId="a"))
    assert await held(api, again[1]) == (100, 0)
    await send(api, transaction("Void", "vb", linkedExternalTransactionId="b"))
    assert await held(api, again[1]) == (0, 0)
    await send(api, purchase("d", 5000, user=again[0]))
    assert await held(api, again[1]) == (100, 0)
    await check_whole(auditor, api.tenant)


@pytest.mark.parametrize("gone", [200, 500], ids=["in part", "as a whole"])
async def test_what_was_spent_of_the_merged_users_reward_is_owed_by_the_survivor(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str], gone: int
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await send(api, purchase("a", 1000, user=mira[0]))
    assert await spend(runtime, api, mira[1], gone) == gone
    await join(runtime, api, mira[0], again[0])
    assert await held(api, again[1]) == (500 - gone, 0)
    await send(api, transaction("Void", "v", linkedExternalTransactionId="a"))
    assert await held(api, again[1]) == (0, gone)
    await check_whole(auditor, api.tenant)


async def test_what_was_kept_is_not_given_again_to_the_survivor(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(1000, 500)], refundPolicy="none")
    await send(api, purchase("a", 1000, user=mira[0]))
    await send(api, transaction("Void", "v", linkedExternalTransactionId="a"))
    await join(runtime, api, mira[0], again[0])
    assert await standing(runtime, api, again[0]) == [(1, 1, 1, 1000, "kept", 500)]
    await send(api, purchase("b", 1000, user=again[0]))
    assert await held(api, again[1]) == (500, 0)
    await check_whole(auditor, api.tenant)


@pytest.mark.parametrize("both", [False, True], ids=["which neither was given", "which the survivor was given"])
async def test_what_was_refused_is_given_to_the_survivor_where_it_is_due(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str], both: bool
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await api.post(f"wallets/{mira[1]}/suspend")
    await send(api, purchase("a", 1000, user=mira[0]))
    if both:
        await send(api, purchase("b", 1000, user=again[0]))
    await api.post(f"wallets/{mira[1]}/resume")
    await join(runtime, api, mira[0], again[0])
    await advance(api, "PT2M")
    assert await held(api, again[1]) == (500, 0)
    assert [each[4] for each in await standing(runtime, api, again[0])] == ["given"]
    await check_whole(auditor, api.tenant)


async def test_a_refused_step_of_the_survivor_gives_way_to_what_the_merged_user_was_given(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await api.post(f"wallets/{again[1]}/suspend")
    await send(api, purchase("a", 1000, user=mira[0]))
    await send(api, purchase("b", 1000, user=again[0]))
    await api.post(f"wallets/{again[1]}/resume")
    await join(runtime, api, mira[0], again[0])
    await advance(api, "PT2M")
    assert await held(api, again[1]) == (500, 0)
    await check_whole(auditor, api.tenant)


async def test_in_a_rule_that_repeats_a_refused_step_of_the_survivor_becomes_the_next(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(1000, 500)], repeat="repeating")
    await api.post(f"wallets/{again[1]}/suspend")
    await send(api, purchase("a", 1000, user=mira[0]))
    await send(api, purchase("b", 1000, user=again[0]))
    await api.post(f"wallets/{again[1]}/resume")
    await join(runtime, api, mira[0], again[0])
    assert await standing(runtime, api, again[0]) == [(1, 1, 2, 1000, "given", 500), (2, 1, 1, 2000, "refused", 0)]
    await advance(api, "PT2M")
    assert await held(api, again[1]) == (1000, 0)
    await check_whole(auditor, api.tenant)


@pytest.mark.parametrize(
    ("written", "together"),
    [
        ({"metric": "distinctDays"}, 3),
        ({"metric": "spend", "window": {"kind": "rolling", "days": 2}}, 300),
        ({"metric": "distinctDays", "window": {"kind": "rolling", "days": 2}}, 2),
    ],
    ids=["different days", "rolling", "different days, rolling"],
)
async def test_days_that_both_were_there_count_once_and_stretches_anew(
    runtime: Runtime, api: Api, auditor: Db, clock: Clock, mira: tuple[str, str], again: tuple[str, str],
    written: dict[str, Any], together: int,
) -> None:  # fmt: skip
    club = await rule(api, steps=[step(100_000, 100)], **written)
    for day, who in enumerate((mira, again, again)):
        clock.move(timedelta(days=1))
        at = runtime.clock()
        await recorded(runtime, api, told(api, f"p{day}", user=who[0], amount=100, occurred_at=at))
        if day == 1:
            await recorded(runtime, api, told(api, "both", user=mira[0], amount=100, occurred_at=at))
    await join(runtime, api, mira[0], again[0])
    assert await progress_of(runtime, api, club, again[0]) == (together, 0)
    await check_whole(auditor, api.tenant)


async def test_what_waits_to_be_reconciled_waits_for_the_survivor(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(2000, 100)])
    await recorded(runtime, api, told(api, "a", user=mira[0], attribution="reconciled"))
    await send(api, purchase("b", 500, user=again[0]))
    await join(runtime, api, mira[0], again[0])
    assert await progress_of(runtime, api, club, again[0]) == (500, 1000)
    await check_whole(auditor, api.tenant)


async def test_a_landing_that_did_not_see_the_merge_is_looked_at_again(
    runtime: Runtime, api: Api, auditor: Db, clock: Clock, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(2000, 100)])
    async with runtime.work(api.tenant) as slow:
        await activity.accept(slow, [told(api, "a", user=mira[0], amount=1000)])
        await merged(api, mira[0], again[0])
        await count(runtime)
    assert await progress_of(runtime, api, club, mira[0]) == (1000, 0)
    clock.move(SURE_AFTER)
    await count(runtime)
    assert await progress_of(runtime, api, club, mira[0]) == (0, 0)
    assert await progress_of(runtime, api, club, again[0]) == (1000, 0)
    await check_whole(auditor, api.tenant)


async def test_a_merge_in_the_middle_of_everything_loses_nothing(
    runtime: Runtime, api: Api, auditor: Db, clock: Clock, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(300, 10), step(1000, 50)], repeat="repeating")
    await send(api, purchase("first", 400, user=mira[0]))

    async def buy(number: int) -> None:
        who = mira if number % 2 else again
        answer = await send(api, purchase(f"p{number}", 100, user=who[0]))
        assert answer.status == 201, answer.text
        if number % 5 == 0:
            await send(api, transaction("Refund", f"r{number}", 30, linkedExternalTransactionId=f"p{number}"))

    async def counting() -> None:
        for _ in range(6):
            await count(runtime)
            await asyncio.sleep(0.02)

    await asyncio.gather(
        *(buy(number) for number in range(30)), merged(api, mira[0], again[0]), counting(),
    )  # fmt: skip
    clock.move(SURE_AFTER)
    await count(runtime)
    assert await progress_of(runtime, api, club, mira[0]) == (0, 0)
    assert await progress_of(runtime, api, club, again[0]) == (3400 - 6 * 30, 0)
    given = [each for each in await standing(runtime, api, again[0]) if each[4] == "given"]
    assert sum(each[5] for each in given) == (await held(api, again[1]))[0]
    await check_whole(auditor, api.tenant)


async def test_parted_again_what_was_counted_stays_with_the_survivor_and_the_other_begins_anew(
    runtime: Runtime, api: Api, auditor: Db, clock: Clock, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(1000, 100)])
    await send(api, purchase("a", 1000, user=mira[0]))
    await join(runtime, api, mira[0], again[0])
    clock.move(timedelta(minutes=1))
    await parted(api, mira[0])
    await count(runtime)
    assert await progress_of(runtime, api, club, again[0]) == (1000, 0)
    await send(api, purchase("b", 1000, user=mira[0]))
    assert await progress_of(runtime, api, club, mira[0]) == (1000, 0)
    assert await standing(runtime, api, mira[0]) == [(1, 1, 2, 1000, "given", 100)]
    clock.move(timedelta(minutes=1))
    await join(runtime, api, mira[0], again[0])
    assert await progress_of(runtime, api, club, again[0]) == (2000, 0)
    await check_whole(auditor, api.tenant)


async def test_a_chain_of_merges_ends_with_the_last_survivor(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(3000, 100)])
    last = await holder(api, "+12025550133")
    for name, who in (("a", mira), ("b", again), ("c", last)):
        await send(api, purchase(name, 1000, user=who[0]))
    await merged(api, mira[0], again[0])
    await join(runtime, api, again[0], last[0])
    assert await progress_of(runtime, api, club, last[0]) == (3000, 0)
    assert await held(api, last[1]) == (100, 0)
    await check_whole(auditor, api.tenant)


async def test_a_rule_that_is_paused_joins_progress_and_gives_nothing(
    runtime: Runtime, api: Api, auditor: Db, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(2000, 100)])
    await send(api, purchase("a", 1000, user=mira[0]))
    await send(api, purchase("b", 1000, user=again[0]))
    await done(api, club, "pause")
    await join(runtime, api, mira[0], again[0])
    assert await progress_of(runtime, api, club, again[0]) == (2000, 0)
    assert await held(api, again[1]) == (0, 0)
    await check_whole(auditor, api.tenant)


async def test_who_asks_for_the_merged_user_is_shown_the_survivor(
    runtime: Runtime, api: Api, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(1000, 100)])
    await send(api, purchase("a", 400, user=mira[0]))
    await join(runtime, api, mira[0], again[0])
    (shown,) = [
        each["attributes"]
        for each in (await api.get(f"threshold-progress?filter[userId]={mira[0]}")).data
        if each["attributes"]["current"]
    ]
    assert (shown["userId"], shown["current"]) == (again[0], 400)


async def test_explanations_and_provenance_follow_the_merge(
    runtime: Runtime, api: Api, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    club = await rule(api, steps=[step(1000, 100)])
    await send(api, purchase("a", 1000, user=mira[0]))
    await join(runtime, api, mira[0], again[0])
    why = (await api.get(f"thresholds/{club}/why-not?userId={mira[0]}")).attributes
    assert (why["userId"], why["progress"]["total"]) == (again[0], 1000)
    assert [each["sourceId"] for each in why["activities"]["lines"]] == ["a"]
    (reward,) = (await api.get(f"rewards?filter[phoneNumber]={world.MIRA_PHONE.replace('+', '%2B')}")).data
    cause = (await api.get(f"rewards/{reward['id']}/provenance")).attributes["threshold"]
    assert (cause["userId"], cause["activities"]["counted"]) == (again[0], 1000)


async def test_of_both_it_is_told_what_became_of_their_progress(
    runtime: Runtime, api: Api, mira: tuple[str, str], again: tuple[str, str]
) -> None:
    await rule(api, steps=[step(2000, 100)])
    await send(api, purchase("a", 1000, user=mira[0]))
    await send(api, purchase("b", 1000, user=again[0]))
    await join(runtime, api, mira[0], again[0])
    told_of = [each["topic"] for each in await feed(api) if each["topic"].startswith("threshold.")]
    assert sorted(told_of[-3:]) == [
        "threshold.progress_reversed",
        "threshold.progress_updated",
        "threshold.reached",
    ]


STEPS = ((300, 30), (1000, 100))


def deserved(progress: int, repeat: str) -> list[int]:
    """How often so much deserves each step."""
    laps = [(progress - target) // STEPS[-1][0] + 1 if progress >= target else 0 for target, _ in STEPS]
    return laps if repeat == "repeating" else [min(1, each) for each in laps]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    before=st.lists(st.tuples(st.booleans(), st.integers(1, 1500)), max_size=5),
    after=st.lists(st.integers(1, 1500), max_size=3),
    repeat=st.sampled_from(("once", "repeating")),
)
async def test_whatever_both_did_each_step_is_given_as_often_as_it_is_due_or_was_given(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db,
    before: list[tuple[bool, int]], after: list[int], repeat: str,
) -> None:  # fmt: skip
    api = await partner_joins(runtime, session, base_url)
    await rule(api, steps=[step(*each) for each in STEPS], repeat=repeat)
    mira, again = await holder(api, world.MIRA_PHONE), await holder(api, OTHER_PHONE)
    for number, (whose, amount) in enumerate(before):
        await recorded(runtime, api, told(api, f"b{number}", user=(mira if whose else again)[0], amount=amount))
    await join(runtime, api, mira[0], again[0])
    for number, amount in enumerate(after):
        await recorded(runtime, api, told(api, f"a{number}", user=again[0], amount=amount))
    alone = [deserved(sum(amount for whose, amount in before if whose is mine), repeat) for mine in (True, False)]
    together = deserved(sum(amount for _, amount in before) + sum(after), repeat)
    due = [max(sum(had), now) for *had, now in zip(*alone, together, strict=True)]
    assert await held(api, again[1]) == (sum(n * gives for n, (_, gives) in zip(due, STEPS, strict=True)), 0)
    await check_whole(auditor, api.tenant)
    names = [f"b{n}" for n in range(len(before))] + [f"a{n}" for n in range(len(after))]
    await recorded(
        runtime, api, *(told(api, f"v{name}", type="Void", amount=0, linked_source_id=name) for name in names)
    )
    assert await held(api, again[1]) == (0, 0)
    await check_whole(auditor, api.tenant)
