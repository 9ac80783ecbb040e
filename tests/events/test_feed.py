"""The feed of everything that happened: gapless, in commit order, however many write, and nobody reads what is not theirs."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from msgspec import structs

from tallystick import events, main
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Work
from tallystick.merchants.resource import MERCHANT_EXAMPLE
from tests.api import Api, join, luna
from tests.conftest import Clock
from tests.rewards.cast import another_client, cancel, check_whole, feed, refused, update

PERSONAL = ("+12025550143", "2025550143", "canary message", "canary@partner.example")


MERCHANT_TOLD = json.dumps(MERCHANT_EXAMPLE).encode()
USAGE_TOLD = main.told().example(next(topic for topic in events.TOPICS if topic.name == "quota.warning"))["data"]


def used_up(api: Api) -> events.Event:
    """Something that is about no merchant."""
    document = json.dumps(USAGE_TOLD).encode()
    subject_id = UUID(USAGE_TOLD["id"])
    return structs.replace(
        happened(api),
        topic="quota.warning",
        subject_type="Usage",
        subject_id=subject_id,
        merchant_id=None,
        document=document,
    )


def happened(api: Api, number: int = 1) -> events.Event:
    """Something that happened to a thing of its own."""
    subject_id = ids.new()
    return events.Event(
        topic="merchant.updated",
        subject_type="Merchant",
        subject_id=subject_id,
        sequence=number,
        document=b'{"id":"%s","type":"Merchant","attributes":%s}' % (str(subject_id).encode(), MERCHANT_TOLD),
        partner_id=api.partner_id,
        merchant_id=api.merchant_id,
    )


async def positions(api: Api, after: int = 0) -> list[int]:
    answer = await api.get(f"webhook-events?page[after]={after}&page[limit]=50")
    return [event["attributes"]["position"] for event in answer.data]


async def test_an_event_tells_the_resource_as_it_became(api: Api) -> None:
    issued = await api.issue(reasonCode="CX")
    (event,) = (await api.get("webhook-events")).data
    assert event["type"] == "WebhookEvent"
    told = event["attributes"]
    document, envelope = told.pop("document"), told.pop("envelope")
    assert envelope == {
        "id": event["id"],
        "type": "reward.pre_issued",
        "timestamp": "2026-03-02T09:00:00.000Z",
        "sequence": 1,
        "data": document,
    }
    assert told == {
        "position": 1,
        "topic": "reward.pre_issued",
        "sequence": 1,
        "subjectType": "Reward",
        "subjectId": issued.data["id"],
        "timestamp": "2026-03-02T09:00:00.000Z",
        "recordedAt": "2026-03-02T09:00:00.000Z",
    }
    assert (document["id"], document["type"]) == (issued.data["id"], "Reward")
    personal = {"message", "notificationEmail"}
    assert document["attributes"] == {k: v for k, v in issued.attributes.items() if k not in personal}


async def test_the_cursor_goes_on_where_the_page_ended(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    for amount in range(501, 507):
        await update(api, reward_id, amount=amount)
    first = await api.get("webhook-events?page[limit]=3")
    assert [event["attributes"]["position"] for event in first.data] == [1, 2, 3]
    second = await api.get(first.body["links"]["next"])
    assert [event["attributes"]["position"] for event in second.data] == [4, 5, 6]
    third = await api.get(second.body["links"]["next"])
    assert [event["attributes"]["position"] for event in third.data] == [7]
    assert third.body["links"]["next"] is None
    after = third.body["meta"]["after"]
    assert await positions(api, int(after)) == []
    await cancel(api, reward_id)
    assert await positions(api, int(after)) == [8]


async def test_a_feed_may_be_asked_for_one_topic(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    await cancel(api, reward_id)
    (event,) = (await api.get("webhook-events?filter[topic]=reward.cancelled")).data
    assert event["attributes"]["position"] == 2
    refused(await api.get("webhook-events?filter[topic]=reward"), 400, "InvalidRequest", "filter[topic]")


@pytest.mark.parametrize("after", ["-1", "x", "1.0", "", "99999999999999999999", "%F0%9F%8E%81"])
async def test_what_is_no_cursor_is_told_there(api: Api, after: str) -> None:
    refused(await api.get(f"webhook-events?page[after]={after}"), 400, "InvalidRequest", "page[after]")


async def test_one_that_commits_late_is_never_skipped(api: Api, runtime: Runtime) -> None:
    """A transaction that recorded its event first and commits last is numbered last: whoever has read on still meets it."""
    recorded, go_on = asyncio.Event(), asyncio.Event()
    slow = happened(api)

    async def hold_open() -> None:
        async with runtime.work(api.tenant) as work:
            events.record(work, slow)
            recorded.set()
            await go_on.wait()

    holding = asyncio.create_task(hold_open())
    await recorded.wait()
    for number in range(5):
        assert (await api.issue(f"+1202555{number:04}")).status == 200
    assert await positions(api) == [1, 2, 3, 4, 5]
    go_on.set()
    await holding
    (late,) = (await api.get("webhook-events?page[after]=5")).data
    assert (late["attributes"]["position"], late["attributes"]["subjectId"]) == (6, str(slow.subject_id))


async def test_a_work_that_is_being_numbered_holds_the_next_back(api: Api, runtime: Runtime) -> None:
    """Between taking its numbers and committing nobody else can take later ones, so no reader can see past a gap."""
    numbered, go_on = asyncio.Event(), asyncio.Event()
    slow = happened(api)

    async def number_and_wait(work: Work) -> None:
        events.record(work, slow)
        await events.number(work)
        await work.finish()
        work.recorded.clear()
        work.later.clear()
        numbered.set()
        await go_on.wait()

    async def hold_open() -> None:
        async with runtime.work(api.tenant) as work:
            await number_and_wait(work)

    holding = asyncio.create_task(hold_open())
    await numbered.wait()
    issuing = asyncio.create_task(api.issue())
    await asyncio.sleep(0.1)
    assert not issuing.done()
    assert await positions(api) == []
    go_on.set()
    await holding
    assert (await issuing).status == 200
    assert [(e["position"], e["topic"]) for e in await feed(api)] == [(1, "merchant.updated"), (2, "reward.pre_issued")]


async def test_a_work_that_fails_leaves_no_gap(api: Api, runtime: Runtime) -> None:
    async def fail() -> None:
        async with runtime.work(api.tenant) as work:
            events.record(work, happened(api))
            await events.number(work)
            await work.finish()
            raise LookupError

    await api.issue()
    with pytest.raises(LookupError):
        await fail()
    await api.issue("+12025550100")
    assert await positions(api) == [1, 2]


async def test_however_many_write_a_reader_that_follows_misses_and_repeats_nothing(api: Api, runtime: Runtime) -> None:
    done = asyncio.Event()
    seen: list[int] = []

    async def follow() -> None:
        while True:
            ended = done.is_set()
            page = await positions(api, seen[-1] if seen else 0)
            seen.extend(page)
            if ended and not page:
                return

    async def write_directly(turns: int) -> None:
        for _ in range(turns):
            async with runtime.work(api.tenant) as work:
                for _ in range(3):
                    events.record(work, happened(api))
                await asyncio.sleep(0)

    following = asyncio.create_task(follow())
    writers: list[Any] = [api.issue(f"+1202555{number:04}") for number in range(60)]
    writers += [write_directly(10) for _ in range(4)]
    await asyncio.gather(*writers)
    done.set()
    await following
    assert seen == list(range(1, 60 + 4 * 10 * 3 + 1))


async def test_a_partner_reads_its_own_and_the_programmes_only_by_agreement(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    foreigner = await join(runtime, session, base_url)
    mine = (await api.issue()).data["id"]
    theirs = (await other.issue()).data["id"]
    await foreigner.issue()

    async def subjects(who: Api) -> list[str]:
        return [event["subjectId"] for event in await feed(who)]

    assert await subjects(api) == [mine]
    assert await subjects(other) == [theirs]
    assert await subjects(overseer) == [mine, theirs]
    await check_whole(auditor, api.tenant)


async def test_a_partner_whose_reward_another_ones_customer_claims_is_told(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = replace(await join(runtime, session, base_url, tenant=api.tenant), merchant_id=api.merchant_id)
    await api.issue()
    await other.wallet()
    assert [event["topic"] for event in await feed(api)] == ["reward.pre_issued", "reward.claimed"]
    assert [event["topic"] for event in await feed(other)] == ["wallet.created"]


async def test_what_is_about_no_merchant_is_for_its_own_partner_alone(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    assert api.merchant_id is not None
    neighbour = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    at_the_merchant = await another_client(runtime, api, (api.merchant_id,))
    async with runtime.work(api.tenant) as work:
        events.record(work, used_up(api))
        events.record(work, happened(api))
    told = [[event["topic"] for event in await feed(one)] for one in (api, at_the_merchant, neighbour)]
    assert told == [["quota.warning", "merchant.updated"], ["quota.warning", "merchant.updated"], ["merchant.updated"]]


async def test_a_client_for_one_merchant_reads_that_ones_only(api: Api, runtime: Runtime) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    limited = await another_client(runtime, api, (lagoon.id,))
    await api.issue(merchantId=str(api.merchant_id))
    here = (await api.issue(merchantId=str(lagoon.id))).data["id"]
    assert [event["subjectId"] for event in await feed(limited)] == [here]


async def test_reading_needs_its_scope(api: Api, runtime: Runtime) -> None:
    refused(
        await (await another_client(runtime, api, scopes=frozenset({"rewards:read"}))).get("webhook-events"),
        403,
        "InsufficientScope",
    )


async def test_nothing_personal_is_told_whatever_happens(api: Api, runtime: Runtime) -> None:
    more = {"message": "canary message", "notificationEmail": "canary@partner.example"}
    reward_id = (await api.issue(**more)).data["id"]
    await update(api, reward_id, amount=600, message="canary message two")
    await api.wallet()
    await api.post(f"rewards/{reward_id}/reverse")
    credited = (await api.issue(**more)).data["id"]
    assert {event["subjectId"] for event in await feed(api)} >= {reward_id, credited}
    answer = await api.get("webhook-events?page[limit]=50")
    contains: Callable[[str], bool] = answer.text.__contains__
    assert not [canary for canary in PERSONAL if contains(canary)]


async def test_one_event_is_found_by_its_id(api: Api, runtime: Runtime, clock: Clock) -> None:
    for _ in range(3):
        await api.issue("+12025550100", merchantId=str(api.merchant_id))
        clock.move(timedelta(microseconds=1_700))
        async with runtime.work(api.tenant) as work:
            events.record(work, happened(api))
            events.record(work, happened(api))
    page = (await api.get("webhook-events?page[limit]=50")).data
    assert len(page) == 9 - 2
    for event in page:
        assert (await api.get(f"webhook-events/{event['id']}")).data == event


async def test_an_event_of_somebody_else_is_not_there(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    foreigner = await join(runtime, session, base_url)
    await api.issue()
    (event,) = (await api.get("webhook-events")).data
    for who in (other, foreigner):
        refused(await who.get(f"webhook-events/{event['id']}"), 404, "NotFound")


@pytest.mark.parametrize(
    "named",
    [
        "0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01",
        "x",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-7fff-bfff-ffffffffffff",
    ],
)
async def test_what_is_no_event_is_not_there(api: Api, named: str) -> None:
    refused(await api.get(f"webhook-events/{named}"), 404, "NotFound")


async def test_a_feed_may_be_asked_for_several_topics_one_subject_and_a_time(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    reward_id = (await api.issue()).data["id"]
    clock.move(timedelta(hours=1))
    async with runtime.work(api.tenant) as work:
        events.record(work, happened(api))
    clock.move(timedelta(hours=1))
    await cancel(api, reward_id)

    async def found(query: str) -> list[int]:
        answer = await api.get(f"webhook-events?{query}")
        assert answer.status == 200, answer.text
        return [event["attributes"]["position"] for event in answer.data]

    assert await found("filter[topic]=reward.pre_issued,reward.cancelled") == [1, 3]
    assert await found(f"filter[subjectId]={reward_id}") == [1, 3]
    assert await found("filter[from]=2026-03-02T10:00:00Z") == [2, 3]
    assert await found("filter[to]=2026-03-02T10:00:00Z") == [1]
    assert await found("filter[from]=2026-03-02T09:00:00.001Z&filter[to]=2026-03-02T11:00:00Z") == [2]
    assert await found("filter[topic]=merchant.updated&filter[from]=2026-03-02T11:00:00Z") == []
    for wrong in ("filter[subjectId]=x", "filter[from]=x", "filter[to]=2026-03-02"):
        refused(await api.get(f"webhook-events?{wrong}"), 400, "InvalidRequest", wrong.split("=")[0])
    wrong = "filter[from]=2026-03-02T10:00:00Z&filter[to]=2026-03-02T10:00:00Z"
    refused(await api.get(f"webhook-events?{wrong}"), 400, "InvalidRequest", "filter[to]")
