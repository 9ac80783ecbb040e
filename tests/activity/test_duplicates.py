"""Each name once for ever: resends are answered again, changed ones refused, whoever races whom."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from tallystick import activity
from tallystick.activity import ChangedDuplicate, Identity, Item, Payment, Recorded
from tallystick.base import ids
from tallystick.base.errors import InvalidRequest
from tallystick.base.work import Runtime
from tests.activity.cast import accept, caller_of, names, purchase, recorded, send, standing, stored, told
from tests.api import Api, join
from tests.conftest import Clock
from tests.rewards.cast import feed, header, refused
from tests.world import T0


async def test_a_resend_is_answered_as_the_first_and_changes_nothing(api: Api) -> None:
    first = await send(api, purchase("s1", payload={"try": 1}))
    again = await send(api, purchase("s1", payload={"try": 2}))
    assert (again.status, header(again, "idempotent-replayed")) == (201, "true")
    assert header(first, "idempotent-replayed") is None
    assert again.data == first.data
    assert len((await api.get("external-transactions")).data) == 1
    assert len([each for each in await feed(api) if each["topic"] == "transaction.accepted"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 1001},
        {"tax": 1},
        {"type": "Void"},
        {"occurred_at": T0 - timedelta(seconds=1)},
        {"channel": "web"},
        {"currency": "EUR"},
        {"identity": Identity("memberCode", "M1")},
        {"items": (Item(1000),)},
        {"payments": (Payment(1000, "Cash"),)},
        {"linked_source_id": "x"},
    ],
)
async def test_a_changed_resend_is_refused_and_leaves_nothing(
    runtime: Runtime, api: Api, changes: dict[str, Any]
) -> None:
    first = told(api, "s1")
    await recorded(runtime, api, first)
    (outcome,) = await accept(runtime, api, structs.replace(first, **changes))
    assert isinstance(outcome, ChangedDuplicate)
    assert await names(runtime, api) == {"s1": True}
    assert await standing(runtime, api, "s1") == (0, 0, False)


async def test_a_changed_resend_is_a_conflict_at_its_id(api: Api) -> None:
    await send(api, purchase("s1"))
    refused(await send(api, purchase("s1", 999)), 409, "ChangedDuplicate", "/data/attributes/source/id")


async def test_twins_of_one_batch_are_one(runtime: Runtime, api: Api) -> None:
    first = told(api, "s1")
    outcomes = await accept(runtime, api, first, first, structs.replace(first, amount=5))
    assert [isinstance(each, Recorded) and each.duplicate for each in outcomes] == [False, True, False]
    assert isinstance(outcomes[2], ChangedDuplicate)
    assert isinstance(outcomes[0], Recorded)
    assert isinstance(outcomes[1], Recorded)
    assert outcomes[0].activity_id == outcomes[1].activity_id


async def test_the_twin_of_a_refused_one_has_its_name(runtime: Runtime, api: Api) -> None:
    wrong, right = told(api, "s1", location_id=ids.new()), told(api, "s1")
    outcomes = await accept(runtime, api, wrong, right)
    assert isinstance(outcomes[0], InvalidRequest)
    assert isinstance(outcomes[1], Recorded)
    (again,) = await recorded(runtime, api, right)
    assert (again.duplicate, again.activity_id) == (True, outcomes[1].activity_id)


async def test_a_refused_one_leaves_no_name(runtime: Runtime, api: Api) -> None:
    back = {"type": "Refund", "linked_source_id": "p", "location_id": ids.new()}
    await accept(runtime, api, told(api, "s1", location_id=ids.new()), told(api, "s2", **back))
    assert await names(runtime, api) == {}


async def test_a_refused_refund_leaves_the_name_that_another_waits_for(runtime: Runtime, api: Api) -> None:
    await recorded(runtime, api, told(api, "r1", type="Refund", amount=100, linked_source_id="p"))
    await accept(runtime, api, told(api, "r2", type="Refund", linked_source_id="p", location_id=ids.new()))
    assert await names(runtime, api) == {"r1": True, "p": False}
    await recorded(runtime, api, told(api, "p"))
    assert await standing(runtime, api, "p") == (100, 0, False)


async def test_a_refused_purchase_stays_awaited(runtime: Runtime, api: Api) -> None:
    back = told(api, "r1", type="Refund", amount=100, linked_source_id="p")
    await accept(runtime, api, told(api, "p", location_id=ids.new()), back)
    assert await names(runtime, api) == {"r1": True, "p": False}
    await recorded(runtime, api, told(api, "p"))
    assert await standing(runtime, api, "p") == (100, 0, False)


@pytest.mark.parametrize("race", range(4))
async def test_twins_that_race_are_one(runtime: Runtime, api: Api, race: int) -> None:
    command = told(api, f"s{race}")
    answers = await asyncio.gather(*(accept(runtime, api, command) for _ in range(6)))
    found = [each for (each,) in answers if isinstance(each, Recorded)]
    assert len({each.activity_id for each in found}) == 1
    assert sorted(each.duplicate for each in found) == [False, True, True, True, True, True]


@pytest.mark.parametrize("race", range(6))
async def test_a_purchase_and_its_refunds_that_race_meet(runtime: Runtime, api: Api, race: int) -> None:
    backs = [told(api, f"r{n}", type="Refund", amount=100, linked_source_id="p") for n in range(4)]
    commands = [*backs[:2], told(api, "p"), *backs[2:]]
    await asyncio.gather(*(recorded(runtime, api, each) for each in commands[race % 5 :] + commands[: race % 5]))
    assert await standing(runtime, api, "p") == (400, 0, False)
    async with runtime.reading(api.tenant) as work:
        rows = await stored(work)
    assert {rows[each.source_id]["linked_id"] for each in backs} == {rows["p"]["id"]}


async def test_sources_are_apart_and_a_system_is_shared(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, api: Api
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    assert (await send(api, purchase("s1"))).status == 201
    own = await send(other, purchase("s1", 5))
    assert (own.status, own.attributes["amount"]) == (201, 5)
    shared = purchase("x", source={"id": "s1", "createdAt": T0.isoformat(), "system": "square:L88"})
    assert (await send(api, shared)).status == 201
    assert header(await send(other, shared), "idempotent-replayed") == "true"
    refused(await send(other, {**shared, "amount": 7}), 409, "ChangedDuplicate")


async def test_a_name_outlives_its_detached_row(runtime: Runtime, api: Api, owner: Any) -> None:
    command = told(api, "s1")
    (first,) = await recorded(runtime, api, command)
    await owner.execute("delete from activities where id = $1", first.activity_id)
    (again,) = await recorded(runtime, api, command)
    assert (again.activity_id, again.duplicate) == (first.activity_id, True)
    (back,) = await recorded(runtime, api, told(api, "r", type="Refund", amount=5, linked_source_id="s1"))
    assert back.takes_back == "nothing"
    assert isinstance((await accept(runtime, api, structs.replace(command, amount=3)))[0], ChangedDuplicate)


async def test_time_does_not_change_what_was_told(runtime: Runtime, api: Api, clock: Clock) -> None:
    command = told(api, "s1")
    await recorded(runtime, api, command)
    clock.move(timedelta(days=900))
    (again,) = await recorded(
        runtime, api, structs.replace(command, asked=structs.replace(command.asked, caller=caller_of(api)))
    )
    assert again.duplicate


async def test_each_is_named_once_whatever_is_deferred(runtime: Runtime, api: Api) -> None:
    async with runtime.work(api.tenant) as work:
        outcomes = await activity.accept(work, [])
    assert outcomes == []
