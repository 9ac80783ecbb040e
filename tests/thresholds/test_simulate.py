"""A rehearsal tells what a version would have given for what is stored, and leaves everything as it was."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.base import clock
from tallystick.base.work import Runtime, Tenant
from tallystick.thresholds import rehearsing, rehearsing_store
from tallystick.thresholds import store as rules_store
from tallystick.thresholds.model import Caps, StepReward, Version
from tallystick.thresholds.rehearsing import Given
from tests.activity.cast import purchase, recorded, send_many, told, transaction
from tests.api import Answer, Api, document_of, join
from tests.thresholds.cast import change, draft, republish, rule, shown, step
from tests.thresholds.recount import Happened, Rule, recount
from tests.thresholds.test_advance import PLACES, ground, rules, things, undone
from tests.world import MIRA_PHONE as PHONE
from tests.world import T0

NOBODY = "0199d3c0-0000-7000-8000-000000000000"
AMOUNTS = (70, 200, 500)
Crossing = tuple[str, date, int]
"""Who, on which day, which step."""


async def simulate(api: Api, threshold_id: str, **wanted: Any) -> Answer:
    document = document_of("SimulateThreshold", **wanted) if wanted else None
    return await api.post(f"thresholds/{threshold_id}/simulate", document)


async def figures(api: Api, threshold_id: str, **wanted: Any) -> Any:
    answer = await simulate(api, threshold_id, **wanted)
    assert answer.status == 200, answer.text
    return answer.attributes


def earlier(days: float) -> datetime:
    return T0 - timedelta(days=days)


async def _bought(runtime: Runtime, api: Api, user: str, *bought: tuple[float, int], **more: Any) -> None:
    """So many days ago, for so much."""
    await recorded(
        runtime,
        api,
        *(told(api, user=user, occurred_at=earlier(days), amount=amount, **more) for days, amount in bought),
    )


def crossings(version: Version, made: Rule, known: Sequence[tuple[UUID, Happened]]) -> list[Crossing]:
    """Every step in the order in which it is reached, reckoned anew behind each thing that happened."""
    found: list[Crossing] = []
    reached: dict[tuple[str, datetime], int] = {}
    order = sorted(known, key=lambda each: (each[1].at, each[0]))
    for n, (_, each) in enumerate(order, 1):
        day = each.at.astimezone(ZoneInfo(made.zone)).date()
        for where, (current, _) in recount([made], [one for _, one in order[:n]], PLACES).items():
            after = reached.get(where, 0)
            found += [(where[0], day, number) for _, number, _ in version.deserved(current, after)]
            reached[where] = max(after, current)
    return found


def within(caps: Caps, reached: Sequence[Crossing]) -> int:
    """What is given of these within the caps of each customer, one after another."""
    count: dict[str, int] = {}
    amount: dict[str, int] = {}
    of_day: dict[tuple[str, date], int] = {}
    for who, day, number in reached:
        left = AMOUNTS[number - 1]
        if caps.customer_amount is not None:
            left = min(left, caps.customer_amount - amount.get(who, 0))
        if caps.customer_count is not None and count.get(who, 0) >= caps.customer_count:
            left = 0
        if caps.customer_day_count is not None and of_day.get((who, day), 0) >= caps.customer_day_count:
            left = 0
        if left > 0:
            count[who] = count.get(who, 0) + 1
            amount[who] = amount.get(who, 0) + left
            of_day[who, day] = of_day.get((who, day), 0) + 1
    return sum(amount.values())


maybe = st.none() | st.integers(1, 4)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=rules(), happened=st.lists(things(), min_size=3, max_size=14), data=st.data())
async def test_a_rehearsal_is_what_step_after_step_would_have_come_to(
    runtime: Runtime, tenant: Tenant, made: list[Rule], happened: list[Happened], data: st.DataObject
) -> None:
    from_at, until_at = earlier(data.draw(st.integers(3, 9))), T0 + timedelta(days=data.draw(st.integers(-1, 9)))
    days = made[0].window == "rolling"
    repeat = "once" if days else data.draw(st.sampled_from(("once", "repeating")))
    least = 90 if made[0].metric == "spend" else 3
    targets = sorted(data.draw(st.lists(st.integers(1, least), min_size=1, max_size=3, unique=True)))
    caps = Caps(data.draw(maybe), data.draw(st.none() | st.integers(1, 900)), None if days else data.draw(maybe))
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay(made[:1], targets, repeat)
        known = [(await there.happen(each), each) for each in happened if each.state == "counted"]
        version = (await rules_store.versions(work, [(there.threshold_id, 1)]))[there.threshold_id, 1]
        rewards = tuple(StepReward("walletCredit", amount) for amount in AMOUNTS[: len(targets)])
        found = await rehearsing.rehearse(work, replace(version, rewards=rewards, caps=caps), from_at, until_at)
        reached = crossings(version, replace(made[0], stretches=[(from_at, until_at)]), known)
        assert found.given == Given(len(reached), sum(AMOUNTS[n - 1] for _, _, n in reached), within(caps, reached))
        assert [one.rewards for one in found.by_step] == [
            sum(number == n for _, _, number in reached) for n, _ in enumerate(targets, 1)
        ]
        assert found.rewarded == len({who for who, _, _ in reached})
        if not days:
            of_day = {day: sum(each == day for _, each, _ in reached) for _, day, _ in reached}
            assert {one.day: one.given.rewards for one in found.days} == of_day


async def test_a_draft_is_rehearsed_beside_the_live_version(api: Api, runtime: Runtime) -> None:
    ann, bob = await api.user(), await api.user("+15551230001")
    await _bought(runtime, api, ann, (9, 3000), (8, 2500), (2, 1000))
    await _bought(runtime, api, bob, (5, 4000))
    club = await rule(api, steps=[step(5000, 500)])
    await change(api, club, steps=[step(2000, 100), step(6000, 400)])
    found = await figures(api, club)
    assert (found["version"], found["customers"], found["rewarded"]) == (2, 2, 2)
    assert (found["rewards"], found["cost"], found["bounded"]) == (3, 600, 600)
    assert found["byStep"] == [
        {"step": 1, "rewards": 2, "cost": 200, "bounded": 200},
        {"step": 2, "rewards": 1, "cost": 400, "bounded": 400},
    ]
    assert [(each["date"], each["cost"], each["spent"]) for each in found["burn"]] == [
        (earlier(9).date().isoformat(), 100, 100),
        (earlier(5).date().isoformat(), 100, 200),
        (earlier(2).date().isoformat(), 400, 600),
    ]
    live = found["live"]
    assert (live["version"], live["rewarded"], live["rewards"], live["cost"]) == (1, 1, 1, 500)
    assert found["difference"] == {"rewarded": 1, "rewards": 2, "cost": 100, "bounded": 100}
    assert (found["from"], found["until"]) == (clock.render(earlier(30)), clock.render(T0))


async def test_a_rehearsal_touches_nothing(api: Api, runtime: Runtime) -> None:
    wallet = await api.wallet()
    user = str((await api.get(f"wallets/{wallet}")).attributes["userId"])
    await _bought(runtime, api, user, (1, 9000))
    club = await draft(api, steps=[step(1000, 100)], repeat="repeating")
    before = await shown(api, club)
    assert (await figures(api, club))["rewards"] == 9
    assert await shown(api, club) == before
    assert (await api.get(f"threshold-progress?filter[thresholdId]={club}")).body["meta"]["total"] == 0
    assert (await api.get(f"rewards?filter[phoneNumber]={PHONE.replace('+', '%2B')}")).body["meta"]["total"] == 0


async def test_a_draft_that_was_never_published_has_nothing_beside_it(api: Api) -> None:
    found = await figures(api, await draft(api))
    assert (found["live"], found["difference"], found["customers"], found["burn"]) == (None, None, 0, [])


async def test_what_was_returned_or_waits_is_counted_as_it_stands_now(api: Api) -> None:
    user = await api.user()
    await send_many(
        api,
        [
            purchase("whole", 5000, user=user), purchase("part", 3000, user=user), purchase("void", 4000, user=user),
            transaction("Refund", "r1", 5000, linkedExternalTransactionId="whole"),
            transaction("Refund", "r2", 1000, linkedExternalTransactionId="part"),
            transaction("Void", "v", linkedExternalTransactionId="void"),
        ],
    )  # fmt: skip
    until = clock.render(T0 + timedelta(hours=1))
    club = await draft(api, steps=[step(2000, 100), step(2001, 100)])
    found = await figures(api, club, until=until)
    assert [each["rewards"] for each in found["byStep"]] == [1, 0]


async def test_the_end_of_a_stretch_is_not_in_it(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    await _bought(runtime, api, user, (2, 1000), (1, 1000))
    club = await draft(api, steps=[step(1000, 100)], repeat="repeating")
    stretch = {"from": clock.render(earlier(2)), "until": clock.render(earlier(1))}
    assert (await figures(api, club, **stretch))["rewards"] == 1
    stretch["until"] = clock.render(earlier(1) + timedelta(milliseconds=1))
    assert (await figures(api, club, **stretch))["rewards"] == 2


async def test_many_cycles_at_once_are_counted_not_walked(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    await _bought(runtime, api, user, (1, 2_000_000_000))
    club = await draft(api, steps=[step(1, 3)], repeat="repeating", caps={"customerAmount": 1000})
    found = await figures(api, club)
    assert (found["rewards"], found["cost"], found["bounded"]) == (2_000_000_000, 6_000_000_000, 1000)


async def test_of_one_day_a_customer_gets_as_many_as_the_cap_lets_them(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    await _bought(runtime, api, user, *((days, 1000) for days in (4, 3.99, 3.98, 2)))
    club = await draft(api, steps=[step(1000, 100)], repeat="repeating", caps={"customerDayCount": 2})
    found = await figures(api, club)
    assert (found["rewards"], found["bounded"]) == (4, 300)
    assert [each["bounded"] for each in found["burn"]] == [200, 100]


@pytest.mark.parametrize(("days", "rewards"), [(3, 1), (2, 0)])
async def test_a_window_that_rolls_holds_its_days_and_no_more(
    api: Api, runtime: Runtime, days: int, rewards: int
) -> None:
    await _bought(runtime, api, await api.user(), (9, 1000), (7, 1000), (4, 1000))
    club = await draft(api, steps=[step(2000, 100)], window={"kind": "rolling", "days": days})
    found = await figures(api, club)
    assert found["rewards"] == rewards
    assert [each["date"] for each in found["burn"]] == [earlier(7).date().isoformat()] * rewards


async def test_a_period_begins_anew(api: Api, runtime: Runtime) -> None:
    await _bought(runtime, api, await api.user(), (3, 600), (2, 600), (1, 1000))
    club = await draft(api, steps=[step(1000, 100)], window={"kind": "calendar", "period": "day"})
    assert (await figures(api, club))["rewards"] == 1


async def test_budgets_are_held_against_what_it_comes_to(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    await _bought(runtime, api, user, *((days, 1000) for days in (5, 4, 3, 2)))
    budgets = [{"scope": "rule", "amount": 300}, {"scope": "merchant", "amount": 100, "period": "day"}]
    club = await draft(api, steps=[step(1000, 100)], repeat="repeating", budgets=budgets)
    first, second = (await figures(api, club))["budgets"]
    assert (first["most"], first["usedUp"], first["firstUsedUpOn"]) == (400, 1, earlier(3).date().isoformat())
    assert (second["most"], second["usedUp"], second["firstUsedUpOn"]) == (100, 4, earlier(5).date().isoformat())


async def test_an_earlier_version_can_be_rehearsed(api: Api, runtime: Runtime) -> None:
    await _bought(runtime, api, await api.user(), (1, 5000))
    club = await rule(api, steps=[step(5000, 500)])
    await republish(api, club, steps=[step(6000, 500)])
    found = await figures(api, club, version=1)
    assert (found["version"], found["rewards"], found["live"]["version"], found["live"]["rewards"]) == (1, 1, 2, 0)


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"version": 2}, "version"),
        ({"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "from"),
        ({"from": "2025-01-01T00:00:00Z", "until": "2026-01-02T00:00:00.001Z"}, "from"),
        ({"until": "0001-01-01T00:00:00Z"}, "until"),
        ({"from": "yesterday"}, "from"),
    ],
)
async def test_what_cannot_be_rehearsed_is_refused(api: Api, wanted: dict[str, Any], pointer: str) -> None:
    answer = await simulate(api, await draft(api), **wanted)
    assert (answer.status, answer.pointers) == (400, [f"/data/attributes/{pointer}"]), answer.text


async def test_a_foreign_rule_is_as_one_that_is_missing(api: Api, runtime: Runtime) -> None:
    club = await draft(api)
    other = await join(runtime, api.session, api.base_url, tenant=api.tenant)
    foreign, none = await simulate(other, club), await simulate(api, NOBODY)
    assert (foreign.status, none.status) == (404, 404)
    assert foreign.body["errors"][0]["detail"] == none.body["errors"][0]["detail"]


async def test_what_takes_too_long_is_answered_later(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends the statement, and the connection serves on."""
    club = await draft(api)
    with monkeypatch.context() as patience:
        patience.setattr(rehearsing_store, "SETTINGS", "set local statement_timeout = '1ms'")
        answer = await simulate(api, club)
    assert (answer.status, answer.codes, answer.headers["Retry-After"]) == (503, ["Unavailable"], "60"), answer.text
    assert (await simulate(api, club)).status == 200


async def test_only_so_many_are_rehearsed_at_once(api: Api) -> None:
    """Whoever comes then is sent away at once, and keeps no connection waiting."""
    club = await draft(api)
    answers = await asyncio.gather(*(simulate(api, club) for _ in range(30)))
    assert {answer.status for answer in answers} == {200, 503}
    assert all(answer.headers["Retry-After"] == "5" for answer in answers if answer.status == 503)
    assert (await simulate(api, club)).status == 200


async def test_rehearsing_needs_the_scope_of_writing(api: Api, runtime: Runtime) -> None:
    reader = await join(runtime, api.session, api.base_url, tenant=api.tenant, scopes=frozenset({"thresholds:read"}))
    assert (await simulate(reader, await draft(api))).status == 403
