"""The digest: who kept every event can prove it, and who did not gets what is missing in one call."""

import hashlib
import random
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick import events
from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.events.test_feed import happened, used_up
from tests.rewards.cast import another_client, refused

DAY = "2026-03-02"


async def kept(api: Api) -> list[dict[str, Any]]:
    """Everything that this partner may see, as it read it."""
    found: list[dict[str, Any]] = []
    after = 0
    while page := (await api.get(f"webhook-events?page[after]={after}&page[limit]=50")).data:
        found += page
        after = page[-1]["attributes"]["position"]
    return found


def digest_of(found: list[dict[str, Any]], topic: str) -> str:
    """As a partner reckons it."""
    joined = "\n".join(sorted(event["id"] for event in found if event["attributes"]["topic"] == topic))
    return hashlib.sha256(joined.encode()).hexdigest()


async def lines(api: Api, query: str = f"filter[date]={DAY}") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    total, path = 0, f"webhook-events/digest?{query}&page[limit]=2"
    while path:
        answer = await api.get(path)
        assert answer.status == 200, answer.text
        found += [line["attributes"] for line in answer.data]
        path, total = answer.body["links"]["next"], answer.body["meta"]["total"]
    assert len(found) == total
    return found


async def missing(api: Api, have: list[str], topic: str = "merchant.updated", query: str = "", date: str = DAY) -> Any:
    return await api.post(
        f"webhook-events/missing{query}", document_of("MissingEvents", date=date, topic=topic, have=have)
    )


async def spread(runtime: Runtime, api: Api, clock: Clock, number: int = 30) -> None:
    """Events over two days, some in one millisecond."""
    moved = random.Random(7)
    for _ in range(number):
        async with runtime.work(api.tenant) as work:
            for _ in range(moved.randint(1, 4)):
                events.record(work, happened(api))
        clock.move(timedelta(milliseconds=moved.randint(0, 5_000_000)))


async def test_what_a_partner_kept_gives_the_same_hash(api: Api, runtime: Runtime, clock: Clock) -> None:
    await api.issue()
    await spread(runtime, api, clock)
    found = await kept(api)
    days = sorted({event["attributes"]["recordedAt"][:10] for event in found})
    assert len(days) >= 2
    for day in days:
        that_day = [event for event in found if event["attributes"]["recordedAt"].startswith(day)]
        told = await lines(api, f"filter[date]={day}")
        assert [line["topic"] for line in told] == sorted({event["attributes"]["topic"] for event in that_day})
        for line in told:
            of_topic = [event for event in that_day if event["attributes"]["topic"] == line["topic"]]
            positions = [event["attributes"]["position"] for event in of_topic]
            assert line == {
                "date": day,
                "topic": line["topic"],
                "count": len(of_topic),
                "hash": digest_of(that_day, line["topic"]),
                "firstPosition": min(positions),
                "lastPosition": max(positions),
                "final": clock.now.isoformat() >= f"{day}T99" or day < clock.now.date().isoformat(),
            }
    assert await lines(api, f"filter[from]={days[0]}&filter[to]={days[-1]}") == [
        line for day in days for line in await lines(api, f"filter[date]={day}")
    ]


async def test_a_day_is_final_when_nothing_can_be_recorded_in_it_any_more(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    await api.issue()
    seen = []
    for by in (timedelta(hours=14, minutes=59), timedelta(minutes=10), timedelta(minutes=1)):
        clock.move(by)
        seen += [line["final"] for line in await lines(api)]
    assert seen == [False, False, True]


async def test_a_digest_is_of_what_its_reader_may_see(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    async with runtime.work(api.tenant) as work:
        events.record(work, happened(api))
        events.record(work, used_up(api))
    assert [(line["topic"], line["count"]) for line in await lines(api)] == [
        ("merchant.updated", 1),
        ("quota.warning", 1),
    ]
    assert await lines(other) == []
    assert [line["topic"] for line in await lines(overseer)] == ["merchant.updated"]
    assert (await missing(other, [])).data == []


async def test_what_is_missing_comes_in_one_call(api: Api, runtime: Runtime, clock: Clock) -> None:
    await api.issue()
    await spread(runtime, api, clock, 6)
    found = [e for e in await kept(api) if e["attributes"]["recordedAt"].startswith(DAY)]
    of_topic = [event for event in found if event["attributes"]["topic"] == "merchant.updated"]
    assert len(of_topic) > 5
    gone = [of_topic[0], of_topic[3]]
    have = [event["id"] for event in of_topic if event not in gone]
    answer = await missing(api, have)
    assert answer.data == gone
    assert answer.body["links"]["next"] is None
    assert (await missing(api, [event["id"] for event in of_topic])).data == []
    assert (await missing(api, [str(ids.new())], query="?page[limit]=50")).data == of_topic


async def test_what_is_missing_is_read_on_by_cursor(api: Api, runtime: Runtime) -> None:
    async with runtime.work(api.tenant) as work:
        for _ in range(5):
            events.record(work, happened(api))
    (second,) = (await api.get("webhook-events?page[after]=1&page[limit]=1")).data
    first = await missing(api, [second["id"]], query="?page[limit]=2")
    assert [event["attributes"]["position"] for event in first.data] == [1, 3]
    rest = await api.post(
        first.body["links"]["next"],
        document_of("MissingEvents", date=DAY, topic="merchant.updated", have=[second["id"]]),
    )
    assert [event["attributes"]["position"] for event in rest.data] == [4, 5]


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("filter[date]=2026-02-30", "filter[date]"),
        ("filter[date]=20260302", "filter[date]"),
        ("filter[date]=9999-12-31", "filter[date]"),
        ("filter[date]=0001-01-01", "filter[date]"),
        ("filter[date]=2026-03-02&filter[from]=2026-03-02", "filter[date]"),
        ("filter[from]=2026-03-02", "filter[date]"),
        ("filter[from]=2026-03-02&filter[to]=2026-03-01", "filter[to]"),
        ("filter[from]=2026-03-02&filter[to]=2026-04-02", "filter[to]"),
        ("filter[date]=2026-03-02&filter[topic]=x", "filter[topic]"),
    ],
)
async def test_a_day_that_cannot_be_told_is_refused(api: Api, query: str, where: str) -> None:
    refused(await api.get(f"webhook-events/digest?{query}"), 400, "InvalidRequest", where)


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"date": "yesterday"}, "/data/attributes/date"),
        ({"topic": "reward"}, "/data/attributes/topic"),
        ({"have": ["x"]}, "/data/attributes/have/0"),
        ({"have": ["0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01"] * 10_001}, "/data/attributes/have"),
    ],
)
async def test_what_cannot_be_missing_is_told_there(api: Api, sent: dict[str, Any], where: str) -> None:
    whole = {"date": DAY, "topic": "merchant.updated", "have": [], **sent}
    refused(
        await api.post("webhook-events/missing", document_of("MissingEvents", **whole)), 400, "InvalidRequest", where
    )


async def test_ten_thousand_ids_are_taken(api: Api, runtime: Runtime) -> None:
    async with runtime.work(api.tenant) as work:
        events.record(work, happened(api))
    answer = await missing(api, [str(ids.new()) for _ in range(10_000)])
    assert [event["attributes"]["position"] for event in answer.data] == [1]


async def test_without_a_day_it_is_today(api: Api) -> None:
    await api.issue()
    assert await lines(api, "") == await lines(api)
    assert len(await lines(api)) == 1


async def test_a_digest_needs_its_scope(api: Api, runtime: Runtime) -> None:
    limited = await another_client(runtime, api, scopes=frozenset({"rewards:read"}))
    refused(await limited.get(f"webhook-events/digest?filter[date]={DAY}"), 403, "InsufficientScope")
    refused(await missing(limited, []), 403, "InsufficientScope")
