"""A partner hears once in each period that a quota is nearly used up, is used up, or was exceeded."""

import asyncio
from typing import Any

from tallystick import governance
from tallystick.base.work import Runtime
from tests.api import Api
from tests.governance.cast import CARDS, Take, advance_to, agree, line, priced, rivals, warn
from tests.rewards.cast import feed, refused

Told = tuple[str, Any, int, int]


async def told(api: Api) -> list[Told]:
    """(topic, percent, used, sequence) of everything that was told of quotas."""
    found = [event for event in await feed(api) if event["topic"].startswith("quota.")]
    assert {event["subjectType"] for event in found} <= {"Usage"}
    documents = [event["document"] for event in found]
    assert [each["id"] for each in documents] == [event["subjectId"] for event in found]
    return [
        (event["topic"], each["attributes"]["percent"], each["attributes"]["used"], event["sequence"])
        for event, each in zip(found, documents, strict=True)
    ]


async def test_each_mark_is_told_once(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=1_000))
    await api.issue(amount=799)
    await warn(runtime)
    assert await told(api) == []
    await api.issue("+12025550101", 1)
    await warn(runtime)
    expected: list[Told] = [("quota.warning", 80, 800, 1)]
    assert await told(api) == expected
    await api.issue("+12025550102", 199)
    await warn(runtime)
    assert await told(api) == expected
    await api.issue("+12025550103", 1)
    await warn(runtime)
    expected += [("quota.warning", 100, 1_000, 2)]
    assert await told(api) == expected
    for _ in range(3):
        refused(await api.issue("+12025550104", 1), 409, "QuotaExceeded")
        await warn(runtime)
    expected += [("quota.exceeded", None, 1_000, 3)]
    assert await told(api) == expected


async def test_several_marks_that_are_passed_at_once_are_told_in_their_order(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, priced(included=100))
    await api.issue(amount=150)
    await warn(runtime)
    assert await told(api) == [
        ("quota.warning", 80, 150, 1),
        ("quota.warning", 100, 150, 2),
        ("quota.exceeded", None, 150, 3),
    ]
    await api.issue("+12025550101", 150)
    await warn(runtime)
    assert len(await told(api)) == 3
    document = next(e["document"] for e in await feed(api) if e["topic"] == "quota.exceeded")
    assert document["attributes"] == {
        "metric": "rewards.value",
        "currency": "USD",
        "period": "month",
        "timeZone": "America/New_York",
        "periodStart": "2026-03-01T05:00:00.000Z",
        "periodEnd": "2026-04-01T04:00:00.000Z",
        "included": 100,
        "used": 150,
        "overage": 50,
        "refused": 0,
        "percent": None,
        "state": "exceeded",
    }


async def test_a_first_request_that_is_too_large_is_told_as_exceeding(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=100), line(CARDS, 0, beyond="notify"))
    refused(await api.issue(amount=150), 409, "QuotaExceeded")
    await rivals([runtime], api.tenant, [[Take(api.partner_id, 1)]])
    await warn(runtime)
    assert sorted(await told(api), key=str) == [("quota.exceeded", None, 0, 1), ("quota.exceeded", None, 1, 1)]


async def test_the_next_period_is_told_anew(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=100))
    await api.issue(amount=80)
    await warn(runtime)
    await advance_to(api, "2026-04-01T04:00:00.000Z")
    await api.issue("+12025550101", 90)
    await warn(runtime)
    assert await told(api) == [("quota.warning", 80, 80, 1), ("quota.warning", 80, 90, 1)]


async def test_new_terms_are_looked_at_by_what_is_used_already(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=1_000))
    await api.issue(amount=800)
    await agree(runtime, api.tenant, api.partner_id, line(included=2_000))
    await warn(runtime)
    assert await told(api) == []
    await agree(runtime, api.tenant, api.partner_id, line(included=700))
    await warn(runtime)
    assert [(topic, percent) for topic, percent, _, _ in await told(api)] == [
        ("quota.warning", 80),
        ("quota.warning", 100),
        ("quota.exceeded", None),
    ]


async def test_loops_of_several_processes_tell_it_once(runtimes: tuple[Runtime, Runtime], api: Api) -> None:
    await agree(
        runtimes[0], api.tenant, api.partner_id, *(line(CARDS, 10, period=each) for each in ("day", "week", "year"))
    )
    for round_ in range(4):
        await rivals(runtimes, api.tenant, [[Take(api.partner_id, 1)] for _ in range(3)])
        await asyncio.gather(*(governance.warn_due(runtimes[n % 2]) for n in range(6)), rivals(
            runtimes, api.tenant, [[Take(api.partner_id, 1)]] if round_ == 3 else []
        ))  # fmt: skip
    await warn(runtimes[0])
    found = await told(api)
    assert sorted((topic, percent or 0, sequence) for topic, percent, _, sequence in found) == sorted(
        [("quota.warning", 80, 1), ("quota.warning", 100, 2), ("quota.exceeded", 0, 3)] * 3
    )


async def test_nothing_is_left_to_look_at_when_all_is_told(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=100))
    await api.issue(amount=90)
    assert await governance.warn_due(runtime)
    assert not await governance.warn_due(runtime)
    await api.issue("+12025550101", 5)
    assert not await governance.warn_due(runtime)
