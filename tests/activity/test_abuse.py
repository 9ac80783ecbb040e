"""Who returns often is told of once in a window, where the merchant wants to know; numbers only, and nothing else comes of it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tallystick import activity
from tallystick.activity import RecordActivity, Recorded
from tallystick.base.batcher import run_batch
from tallystick.base.work import Runtime
from tests.activity.cast import purchase, recorded, send, told, transaction
from tests.api import Api, document_of, join, luna
from tests.rewards.cast import feed
from tests.world import T0

TOPIC = "customer.returns_suspicious"


async def watch(api: Api, **settings: Any) -> None:
    """Let Café Luna be told of returns."""
    document = document_of("MerchantConfiguration", **settings)
    answer = await api.patch(f"merchants/{api.merchant_id}/configuration", document)
    assert answer.status == 200, answer.text


async def signals(api: Api) -> list[Any]:
    return [each for each in await feed(api) if each["topic"] == TOPIC]


async def back_and_forth(runtime: Runtime, api: Api, user: str, times: int, name: str = "p") -> None:
    """Buy and return, so many times, each in a work of its own."""
    at = runtime.clock()
    for number in range(times):
        await recorded(runtime, api, told(api, f"{name}{number}", user=user, occurred_at=at))
        await recorded(runtime, api, _return(api, f"{name}{number}", at))


def _return(api: Api, source_id: str, at: Any = T0, **more: Any) -> RecordActivity:
    return told(
        api,
        f"back of {source_id}",
        type="Refund",
        linked_source_id=source_id,
        occurred_at=at,
        **({"amount": 1000} | more),
    )


async def test_who_returns_so_often_is_told_of_once(api: Api, runtime: Runtime) -> None:
    await watch(api, returnCountSignal=3, returnWindowDays=30)
    user = await api.user()
    await back_and_forth(runtime, api, user, 2)
    assert await signals(api) == []
    await back_and_forth(runtime, api, user, 3, "more")
    (only,) = await signals(api)
    assert (only["subjectType"], only["subjectId"], only["sequence"]) == ("User", user, 1)
    assert only["document"]["attributes"] == {
        "merchantId": str(api.merchant_id),
        "returns": 3,
        "windowDays": 30,
        "since": "2026-01-31T09:00:00.000Z",
        "until": "2026-03-02T09:00:00.000Z",
    }


async def test_nobody_is_told_of_unless_the_merchant_asks(api: Api, runtime: Runtime) -> None:
    await back_and_forth(runtime, api, await api.user(), 5)
    assert await signals(api) == []


async def test_behind_the_window_it_is_told_again_and_numbered_on(api: Api, runtime: Runtime, clock: Any) -> None:
    await watch(api, returnCountSignal=2, returnWindowDays=10)
    user = await api.user()
    await back_and_forth(runtime, api, user, 3)
    clock.move(timedelta(days=10))
    await back_and_forth(runtime, api, user, 1, "single")
    assert len(await signals(api)) == 1, "what was told of before has left the window"
    await back_and_forth(runtime, api, user, 1, "second")
    assert [each["sequence"] for each in await signals(api)] == [1, 2]


async def test_returns_out_of_the_window_are_not_counted(api: Api, runtime: Runtime) -> None:
    await watch(api, returnCountSignal=2, returnWindowDays=10)
    user = await api.user()
    for days in (11, 10, 0):
        at = T0 - timedelta(days=days)
        await recorded(runtime, api, told(api, f"d{days}", user=user, occurred_at=at), _return(api, f"d{days}", at))
    assert await signals(api) == []


async def test_each_customer_is_counted_alone(api: Api, runtime: Runtime) -> None:
    await watch(api, returnCountSignal=2)
    ann, bob = await api.user(), await api.user("+12025550111")
    commands = [told(api, "a", user=ann), told(api, "b", user=bob), _return(api, "a"), _return(api, "b")]
    await recorded(runtime, api, *commands)
    assert await signals(api) == []


async def test_a_refund_that_waited_counts_when_its_purchase_comes(api: Api, runtime: Runtime) -> None:
    await watch(api, returnCountSignal=2)
    user = await api.user()
    await recorded(runtime, api, _return(api, "a"), _return(api, "b"))
    assert await signals(api) == []
    await recorded(runtime, api, told(api, "a", user=user), told(api, "b", user=user))
    assert len(await signals(api)) == 1


async def test_a_void_counts_and_what_takes_nothing_back_does_not(api: Api) -> None:
    await watch(api, returnCountSignal=2)
    user = await api.user()
    await send(api, purchase("a", 1000, user=user))
    await send(api, transaction("Void", "v", linkedExternalTransactionId="a"))
    await send(api, transaction("Refund", "nothing", 500, user=user))
    assert await signals(api) == []
    await send(api, purchase("b", 1000, user=user))
    answer = await send(api, transaction("Void", "w", linkedExternalTransactionId="b"))
    (only,) = await signals(api)
    assert (only["document"]["attributes"]["returns"], answer.status) == (2, 201)


async def test_a_rehearsal_tells_nobody(api: Api) -> None:
    await watch(api, returnCountSignal=1)
    await send(api, purchase("a", 1000, user=await api.user()))
    assert (
        await send(api, transaction("Void", "v", linkedExternalTransactionId="a"), query="?dryRun=true")
    ).status == 200
    assert await signals(api) == []


@pytest.mark.parametrize("merchants", [1, 2], ids=["one merchant", "two merchants"])
async def test_works_at_the_same_time_number_what_they_tell_without_a_gap(
    api: Api, runtime: Runtime, merchants: int
) -> None:
    """The second finds the number taken when the first commits, and is carried out anew."""
    shops = [api.merchant_id, (await luna(runtime, api.tenant, "Another")).id]
    for shop in shops:
        document = document_of("MerchantConfiguration", returnCountSignal=1)
        assert (await api.patch(f"merchants/{shop}/configuration", document)).status == 200
    user = await api.user()
    places = {"first": shops[0], "second": shops[merchants - 1]}
    await recorded(runtime, api, *(told(api, name, user=user, merchant_id=shop) for name, shop in places.items()))
    first, second = (_return(api, name, merchant_id=shop) for name, shop in places.items())
    async with runtime.work(api.tenant) as work:
        await activity.accept(work, [first])
        waits = asyncio.create_task(run_batch(runtime, activity.accept, api.tenant, [second]))
        done, _ = await asyncio.wait({waits}, timeout=0.3)
        assert not done, "it waits for the number"
    (outcome,) = await waits
    assert isinstance(outcome, Recorded)
    found = [(each["sequence"], each["document"]["attributes"]["merchantId"]) for each in await signals(api)]
    assert found == [(number, str(shop)) for number, shop in enumerate(shops[:merchants], 1)]


async def test_it_is_told_to_the_partner_that_has_the_user(api: Api, runtime: Runtime) -> None:
    await watch(api, returnCountSignal=1)
    user = await api.user()
    till = await join(runtime, api.session, api.base_url, tenant=api.tenant)
    till.merchant_id = api.merchant_id
    await recorded(runtime, till, told(till, "a", user=user), _return(till, "a"))
    assert (len(await signals(api)), await signals(till)) == (1, [])
