"""Sending again: what may be asked for, by whom, and that nothing is ever under way twice."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick import webhooks
from tallystick.base import clock as instants
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE
from tests.webhooks.at_work import at_work, settled, until
from tests.webhooks.cast import Receiver, enabled

BEGAN = "2026-03-01T00:00:00Z"


def replay(**attributes: Any) -> Any:
    return document_of("ReplayWebhook", **({"from": BEGAN} | attributes))


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": None}, "from"),
        ({"to": "2026-02-01T00:00:00Z"}, "to"),
        ({"topics": ["reward.melted"]}, "topics/0"),
        ({"topics": ["*"]}, "topics/0"),
        ({"onlyMissing": "yes"}, "onlyMissing"),
        ({"since": BEGAN}, "since"),
        ({"eventIds": []}, "eventIds"),
        ({"eventIds": ["Luna"]}, "eventIds/0"),
    ],
)
async def test_a_bad_wish_is_refused_at_its_place(api: Api, receiver: Receiver, attributes: Any, pointer: str) -> None:
    made = await enabled(api, receiver)
    answer = await api.post(f"webhooks/{made.data['id']}/replay", replay(**attributes))
    assert (answer.status, answer.pointers) == (400, [f"/data/attributes/{pointer}"]), answer.text


async def test_what_is_under_way_is_not_sent_a_second_time_meanwhile(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    receiver.gate = asyncio.Event()
    async with at_work(runtime):
        await api.issue()
        await until(lambda: len(receiver.heard) == 1)
        event_id = receiver.heard[0].told["id"]
        for _ in range(3):
            again = await api.post(f"webhook-events/{event_id}/redeliver")
            assert (again.status, again.attributes["matched"]) == (202, 0)
            await api.post(f"webhooks/{made.data['id']}/replay", replay(onlyMissing=False))
        receiver.gate.set()
        await settled(runtime, auditor, api)
    assert len(receiver.heard) == 1


async def test_a_stretch_and_a_topic_of_it(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock
) -> None:
    made = await enabled(api, receiver)
    one = f"webhooks/{made.data['id']}/replay"
    async with at_work(runtime):
        await api.wallet()
        await api.issue()
        middle = instants.render(clock.now)
        await settled(runtime, auditor, api)
        clock.move(timedelta(hours=1))
        await api.issue(OTHER_PHONE)
        await settled(runtime, auditor, api)
        clock.move(timedelta(hours=1))
        receiver.heard.clear()
        for attributes, matched in (
            ({}, 0),
            ({"onlyMissing": False}, 3),
            ({"onlyMissing": False, "topics": ["reward.credited"]}, 1),
            ({"onlyMissing": False, "to": middle}, 0),
            ({"onlyMissing": False, "to": "2026-03-02T09:30:00Z"}, 2),
            ({"onlyMissing": False, "from": "2026-03-02T09:30:00Z"}, 1),
            ({"onlyMissing": False, "from": "2026-03-02T12:30:00Z"}, 0),
        ):
            rehearsed = await api.post(one, replay(**attributes, dryRun=True))
            assert (rehearsed.attributes["matched"], rehearsed.attributes["status"]) == (matched, "rehearsed")
            await api.post(one, replay(**attributes))
            await settled(runtime, auditor, api)
            assert len(receiver.heard) == matched, attributes
            receiver.heard.clear()


async def test_the_same_wish_with_the_same_key_is_one_replay(api: Api, receiver: Receiver) -> None:
    made = await enabled(api, receiver)
    key = {"Idempotency-Key": str(ids.new())}
    one = f"webhooks/{made.data['id']}"
    answers = await asyncio.gather(*(api.post(f"{one}/replay", replay(), headers=key) for _ in range(4)))
    assert {each.text for each in answers} == {answers[0].text}
    assert (await api.get(f"{one}/replays")).body["meta"]["total"] == 1


async def test_nobody_sends_again_what_is_not_theirs(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, receiver: Receiver
) -> None:
    made = await enabled(api, receiver)
    await api.issue()
    (event,) = (await api.get("webhook-events")).data
    neighbour = await join(runtime, session, base_url, tenant=api.tenant)
    stranger = await join(runtime, session, base_url)
    for other in (neighbour, stranger):
        for answer in (
            await other.post(f"webhooks/{made.data['id']}/replay", replay()),
            await other.get(f"webhooks/{made.data['id']}/replays"),
            await other.post(f"webhook-events/{event['id']}/redeliver"),
            await other.get(f"webhook-events/{event['id']}/attempts"),
        ):
            assert (answer.status, answer.codes) == (404, ["NotFound"])
    sees = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    assert (await sees.get(f"webhook-events/{event['id']}/attempts")).data == []
    refused = await sees.post(
        f"webhook-events/{event['id']}/redeliver", document_of("RedeliverEvent", webhookId=made.data["id"])
    )
    assert (refused.status, refused.pointers) == (400, ["/data/attributes/webhookId"])


async def test_who_dies_while_sending_again_goes_on_where_they_were(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await api.issue(f"+1202555014{number}")
    made = await enabled(api, receiver)
    clock.move(timedelta(seconds=1))
    monkeypatch.setattr(webhooks.replaying, "AT_ONCE", 2)
    await api.post(f"webhooks/{made.data['id']}/replay", replay())
    assert await webhooks.replay_due(runtime)
    (shown,) = (await api.get(f"webhooks/{made.data['id']}/replays")).data
    assert (shown["attributes"]["status"], shown["attributes"]["matched"]) == ("running", 2)
    async with at_work(runtime):
        await settled(runtime, auditor, api)
    assert len({each.told["id"] for each in receiver.heard}) == len(receiver.heard) == 5


async def test_single_events_are_sent_again_by_their_ids(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    one = f"webhooks/{made.data['id']}/replay"
    async with at_work(runtime):
        for number in range(3):
            await api.issue(f"+1202555014{number}")
        await settled(runtime, auditor, api)
        wanted = [each.told["id"] for each in receiver.heard][::2]
        receiver.heard.clear()
        clock.move(timedelta(seconds=1))
        for attributes, matched in (({}, 0), ({"onlyMissing": False}, 2)):
            rehearsed = await api.post(one, replay(eventIds=wanted, dryRun=True, **attributes))
            assert rehearsed.attributes["matched"] == matched
            wished = await api.post(one, replay(eventIds=[*wanted, str(ids.new())], **attributes))
            assert (wished.status, wished.attributes["status"], wished.attributes["matched"]) == (
                202,
                "completed",
                matched,
            )
            await settled(runtime, auditor, api)
            assert len(receiver.heard) == matched
    assert sorted(each.told["id"] for each in receiver.heard) == sorted(wanted)
