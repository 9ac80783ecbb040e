"""Of everything a user did it is told whether it counts, and by which filter it does not."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.base import clock
from tallystick.base.work import Runtime, Tenant
from tests.activity.cast import purchase, recorded, send, send_many, told, transaction
from tests.api import Answer, Api, join
from tests.thresholds.cast import done, draft, republish, rule, step
from tests.thresholds.recount import Happened, Rule
from tests.thresholds.test_advance import ground, rules, things, undone
from tests.world import MIRA_PHONE as PHONE
from tests.world import T0

NOBODY = "0199d3c0-0000-7000-8000-000000000000"
REASONS = """
select count(*) filter (where (threshold_reason(v, a, l.time_zone, l.groups) = 'counted')
        is distinct from (threshold_counted(v, a, l.time_zone, l.groups) > 0)),
    count(*) filter (where threshold_reason(v, a, l.time_zone, l.groups) is null), count(*)
from activities as a
join threshold_versions as v on v.tenant_id = $1 and v.threshold_id = $2
left join locations as l on l.tenant_id = $1 and l.id = a.location_id
where a.tenant_id = $1 and a.merchant_id = $3
"""
RETURN = "update activities set returned_amount = $3, returned_units = $4 where tenant_id = $1 and id = $2"


async def why_not(api: Api, threshold_id: str, user: str, query: str = "") -> Answer:
    return await api.get(f"thresholds/{threshold_id}/why-not?userId={user}{query}")


async def explained(api: Api, threshold_id: str, user: str, query: str = "") -> Any:
    answer = await why_not(api, threshold_id, user, query)
    assert answer.status == 200, answer.text
    return answer.attributes


async def reasons(api: Api, threshold_id: str, user: str, query: str = "&page[limit]=50") -> dict[str, str]:
    """Why each counts or not, by source id, newest first."""
    lines = (await explained(api, threshold_id, user, query))["activities"]["lines"]
    assert all(each["counted"] == (each["reason"] == "counted") for each in lines)
    assert all((each["amount"] > 0) == (each["reason"] in ("counted", "pending")) for each in lines)
    return {each["sourceId"]: each["reason"] for each in lines}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(made=rules(), happened=st.lists(things(), min_size=3, max_size=14), data=st.data())
async def test_the_reason_is_that_it_counts_exactly_when_it_does(
    runtime: Runtime, tenant: Tenant, made: list[Rule], happened: list[Happened], data: st.DataObject
) -> None:
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay(made)
        for each in happened:
            id_ = await there.happen(each)
            back = data.draw(st.sampled_from((0, each.amount // 3, each.amount, each.amount + 5)))
            await work.db.run(RETURN, tenant.id, id_, back, data.draw(st.integers(0, each.units + 1)))
        row = await work.db.row(REASONS, tenant.id, there.threshold_id, there.merchant_id)
        assert row is not None
        assert tuple(row) == (0, 0, len(happened) * len(made))


@pytest.mark.parametrize(
    ("written", "bought", "reason"),
    [
        ({"metric": "visits"}, {}, "otherKind"),
        ({"filters": {"channels": ["app"]}}, {}, "channel"),
        ({"filters": {"groups": ["city"]}}, {}, "group"),
        ({"filters": {"weekdays": [7]}}, {}, "weekday"),
        ({"filters": {"hours": {"from": "12:00", "until": "13:00"}}}, {}, "hour"),
        ({"filters": {"minimum": 1001}}, {}, "minimum"),
        ({"filters": {"categories": ["tea"]}}, {"items": [{"amount": 1000, "category": "coffee"}]}, "category"),
        ({"filters": {"methods": ["Cash"]}}, {"payments": [{"amount": 1000, "method": "DebitCard"}]}, "method"),
        ({"metric": "distinctLocations"}, {}, "location"),
        ({"metric": "items"}, {}, "nothing"),
        ({"window": {"kind": "dates", "from": "2026-03-03T00:00:00Z"}}, {}, "window"),
        ({}, {}, "counted"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_each_filter_is_named_that_keeps_something_out(
    api: Api, written: dict[str, Any], bought: dict[str, Any], reason: str
) -> None:
    user = await api.user()
    club = await rule(api, **written)
    answer = await send(api, purchase("one", None if "items" in bought else 1000, user=user, **bought))
    assert answer.status == 201, answer.text
    assert await reasons(api, club, user) == {"one": reason}


async def test_what_came_back_is_named_and_is_no_line_of_its_own(api: Api) -> None:
    user = await api.user()
    club = await rule(api)
    await send_many(
        api,
        [
            purchase("kept", 1000, user=user), purchase("part", 1000, user=user), purchase("whole", 1000, user=user),
            purchase("void", 1000, user=user),
            transaction("Refund", "r1", 400, linkedExternalTransactionId="part"),
            transaction("Refund", "r2", 1000, linkedExternalTransactionId="whole"),
            transaction("Void", "v", linkedExternalTransactionId="void"),
        ],
    )  # fmt: skip
    found = await reasons(api, club, user)
    assert found == {"kept": "counted", "part": "counted", "whole": "returned", "void": "voided"}
    shown = await explained(api, club, user)
    assert sum(each["amount"] for each in shown["activities"]["lines"]) == shown["progress"]["total"] == 1600
    assert shown["next"] == {"cycle": 1, "step": 1, "target": 5000, "missing": 3400}


async def test_what_happened_before_or_in_a_pause_was_not_in_force(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api)
    await recorded(runtime, api, told(api, "before", user=user, occurred_at=T0 - timedelta(hours=1)))
    await recorded(runtime, api, told(api, "since", user=user))
    assert await reasons(api, club, user) == {"since": "counted", "before": "notInForce"}
    await done(api, club, "pause")
    await recorded(runtime, api, told(api, "paused", user=user))
    assert (await reasons(api, club, user))["paused"] == "notInForce"


async def test_what_waits_to_be_reconciled_is_pending(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api)
    await recorded(runtime, api, told(api, "waits", user=user, attribution="reconciled"))
    shown = await explained(api, club, user)
    (line,) = shown["activities"]["lines"]
    assert (line["reason"], line["counted"], line["amount"]) == ("pending", False, 1000)
    assert (shown["progress"]["pending"], shown["progress"]["total"]) == (1000, 0)


async def test_what_is_of_another_period_is_out_of_the_window(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api, window={"kind": "calendar", "period": "month"})
    await recorded(runtime, api, told(api, "march", user=user))
    assert await reasons(api, club, user) == {"march": "counted"}
    later = clock.render(T0 + timedelta(days=31)).replace(":", "%3A")
    assert await reasons(api, club, user, f"&at={later}") == {"march": "window"}
    assert (await explained(api, club, user, f"&at={later}"))["progress"]["status"] == "notStarted"


async def test_a_window_that_rolls_ends_with_the_day_that_is_asked_for(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api, window={"kind": "rolling", "days": 3})
    await recorded(runtime, api, told(api, "one", user=user))
    for days, reason in ((0, "counted"), (2, "counted"), (3, "window"), (-1, "window")):
        at = clock.render(T0 + timedelta(days=days)).replace(":", "%3A")
        assert await reasons(api, club, user, f"&at={at}") == {"one": reason}, days


async def test_what_was_given_refused_or_capped_is_told(api: Api, runtime: Runtime) -> None:
    await api.wallet()
    user = str((await api.get(f"users?filter[phoneNumber]={PHONE.replace('+', '%2B')}")).data[0]["id"])
    club = await rule(
        api, steps=[step(1000, 300), step(2000, 300), step(3000, 300)], budgets=[{"scope": "rule", "amount": 400}]
    )
    await send(api, purchase("one", 3000, user=user))
    shown = await explained(api, club, user)
    told_of = [
        (each["step"], each["status"], each["amount"], each["desiredAmount"], each["code"])
        for each in shown["outcomes"]
    ]
    assert told_of == [
        (3, "capped", 0, 300, "BudgetExhausted"),
        (2, "given", 100, 300, None),
        (1, "given", 300, 300, None),
    ]
    assert shown["outcomes"][1]["rewardId"] is not None
    assert (shown["next"], shown["progress"]["status"]) == (None, "reached")


async def test_each_line_is_of_the_version_that_was_in_force(api: Api, runtime: Runtime, clock: Any) -> None:
    user = await api.user()
    club = await rule(api)
    await recorded(runtime, api, told(api, "first", user=user))
    clock.move(timedelta(hours=1))
    await republish(api, club, filters={"minimum": 2000})
    await recorded(runtime, api, told(api, "second", user=user, occurred_at=T0 + timedelta(hours=1)))
    lines = (await explained(api, club, user))["activities"]["lines"]
    assert [(each["sourceId"], each["thresholdVersion"], each["reason"]) for each in lines] == [
        ("second", 2, "minimum"),
        ("first", 1, "counted"),
    ]


async def test_pages_go_from_the_newest_to_the_oldest(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api)
    names = [f"n{number}" for number in range(5)]
    many = [told(api, name, user=user, occurred_at=T0 + timedelta(seconds=n)) for n, name in enumerate(names)]
    await recorded(runtime, api, *many)
    found = []
    for offset in (0, 2, 4, 6):
        shown = (await explained(api, club, user, f"&page[offset]={offset}&page[limit]=2"))["activities"]
        assert (shown["total"], shown["offset"], shown["limit"]) == (5, offset, 2)
        found += [each["sourceId"] for each in shown["lines"]]
    assert found == names[::-1]


async def test_what_other_partners_sent_is_told_where_it_counts(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    club = await rule(api, filters={"minimum": 500})
    other = await join(runtime, api.session, api.base_url, tenant=api.tenant)
    other.merchant_id = api.merchant_id
    await recorded(
        runtime,
        api,
        told(other, "theirs", user=user, source="x"),
        told(other, "small", user=user, amount=1, source="x"),
    )
    (line,) = (await explained(api, club, user))["activities"]["lines"]
    assert (line["reason"], line["sourceId"]) == ("counted", None)
    whole = await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme")
    assert await reasons(whole, club, user) == {"theirs": "counted", "small": "minimum"}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("", "userId"),
        ("?userId=me", "userId"),
        (f"?userId={NOBODY}&at=noon", "at"),
        (f"?userId={NOBODY}&at=1969-12-31T23%3A59%3A59Z", "at"),
        (f"?userId={NOBODY}&page[limit]=0", "page[limit]"),
    ],
)
async def test_what_cannot_be_explained_is_refused(api: Api, query: str, wrong: str) -> None:
    answer = await api.get(f"thresholds/{await draft(api)}/why-not{query}")
    assert (answer.status, answer.pointers) == (400, [wrong]), answer.text


async def test_a_user_who_did_nothing_has_everything_before_them(api: Api) -> None:
    shown = await explained(api, await draft(api), NOBODY)
    assert (shown["progress"]["status"], shown["next"]["missing"], shown["outcomes"]) == ("notStarted", 5000, [])
    assert shown["activities"] == {"total": 0, "offset": 0, "limit": 10, "lines": []}


async def test_a_foreign_rule_is_as_one_that_is_missing(api: Api, runtime: Runtime) -> None:
    club = await draft(api)
    other = await join(runtime, api.session, api.base_url, tenant=api.tenant)
    foreign, none = await why_not(other, club, NOBODY), await why_not(api, NOBODY, NOBODY)
    assert (foreign.status, none.status) == (404, 404)
    assert foreign.body["errors"][0]["detail"] == none.body["errors"][0]["detail"]
