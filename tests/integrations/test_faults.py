"""Signed documents that could not be taken: told to the partner, kept sealed, and taken after all when they can be."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Caller, DataPolicy, Runtime
from tallystick.integrations import forget_due, receiving
from tallystick.integrations.door import RATE_BURST, RATE_PER_MINUTE
from tallystick.main import build
from tests.api import SETTINGS, Api, served
from tests.conftest import Clock
from tests.integrations.cast import Shop, activities, connect, document


def broken() -> Any:
    """A payment whose amount is missing."""
    event = document("square_payment")
    del event["data"]["object"]["payment"]["amount_money"]
    return event


async def test_a_document_that_cannot_be_read_is_told_once(api: Api) -> None:
    shop = await connect(api, "square")
    for _ in range(3):
        answer = await shop.send(broken())
        assert (answer.status, answer.body["outcome"]) == (200, "fault")
    (fault,) = await shop.faults(status="open")
    assert fault["attributes"] == {
        "integrationId": shop.id,
        "at": "2026-03-02T09:00:00.000Z",
        "code": "Unreadable",
        "detail": "At data.object.payment.amount_money there should be an object.",
        "status": "open",
        "takenAt": None,
    }
    assert await shop.faults(status="taken") == []


async def test_a_fault_is_sealed(api: Api, runtime: Runtime) -> None:
    shop = await connect(api, "shopify")
    await shop.send(document("shopify_order") | {"total_price": "free"})
    async with runtime.work(api.tenant) as work:
        rows = await work.db.rows("select document_sealed from integration_faults where tenant_id = $1", api.tenant.id)
    assert len(rows) == 1 and b"kim@example.com" not in rows[0][0] and b"555" not in rows[0][0]


async def test_a_changed_duplicate_is_reported_and_never_applied(api: Api) -> None:
    shop = await connect(api, "square")
    await shop.send(document("square_payment"))
    event = document("square_payment")
    event["data"]["object"]["payment"]["amount_money"]["amount"] = 99
    assert (await shop.send(event)).body["outcome"] == "fault"
    (fault,) = await shop.faults()
    assert fault["attributes"]["code"] == "ChangedDuplicate"
    assert [each["attributes"]["amount"] for each in await activities(api)] == [1350]


async def test_a_later_version_of_a_payment_that_says_the_same_is_a_duplicate(api: Api) -> None:
    shop = await connect(api, "square")
    await shop.send(document("square_payment"))
    event = document("square_payment") | {"event_id": "another", "created_at": "2026-03-02T08:59:00Z"}
    event["data"]["object"]["payment"] |= {"updated_at": "2026-03-02T08:58:59Z", "version_token": "next"}
    event["data"]["object"]["payment"]["refunded_money"] = {"amount": 450, "currency": "USD"}
    assert (await shop.send(event)).body["outcome"] == "recorded"
    assert len(await activities(api)) == 1 and await shop.faults() == []


async def test_a_fault_that_is_still_one_stays_open(api: Api) -> None:
    shop = await connect(api, "square")
    await shop.send(broken())
    (fault,) = await shop.faults()
    answer = await api.post(f"integrations/{shop.id}/faults/{fault['id']}/retry")
    assert (answer.status, answer.codes) == (409, ["InvalidState"])
    assert "amount_money" in answer.body["errors"][0]["detail"]
    assert await shop.faults() == [fault]
    assert (await shop.shown())["received"] == 1


async def test_a_fault_is_taken_when_its_reason_is_gone(api: Api, clock: Clock, runtime: Runtime) -> None:
    shop = await connect(api, "square")
    event = document("square_payment")
    event["data"]["object"]["payment"]["created_at"] = "2026-03-02T10:00:00Z"  # a till whose clock is fast
    assert (await shop.send(event)).body["outcome"] == "fault"
    (fault,) = await shop.faults()
    assert fault["attributes"]["code"] == "InvalidRequest"
    clock.now = clock.now.replace(hour=10)
    for _ in range(2):
        answer = await api.post(f"integrations/{shop.id}/faults/{fault['id']}/retry")
        assert (answer.status, answer.attributes["status"]) == (200, "taken"), answer.text
        assert answer.attributes["takenAt"] == "2026-03-02T10:00:00.000Z"
    assert len(await activities(api)) == 1
    assert await shop.faults(status="open") == []
    async with runtime.work(api.tenant) as work:
        kept = await work.db.value(
            "select count(document_sealed) from integration_faults where tenant_id = $1", api.tenant.id
        )
    assert kept == 0


async def test_a_fault_that_is_not_there_is_not_found(api: Api) -> None:
    shop, other = await connect(api, "square"), await connect(api, "shopify")
    await shop.send(b"{}")
    (fault,) = await shop.faults()
    for path in (
        f"integrations/{other.id}/faults/{fault['id']}/retry",
        f"integrations/{shop.id}/faults/{ids.new()}/retry",
        f"integrations/{shop.id}/faults/1/retry",
    ):
        answer = await api.post(path)
        assert (answer.status, answer.body["errors"][0]["detail"]) == (
            404,
            "The integration has no fault of this id. Verify the id.",
        )


async def test_faults_are_listed_by_page(api: Api) -> None:
    shop = await connect(api, "square")
    for number in range(3):
        await shop.send({"number": number})
    answer = await api.get(f"integrations/{shop.id}/faults?page[limit]=2")
    assert (len(answer.data), answer.body["meta"]["total"]) == (2, 3)
    assert (await api.get(f"integrations/{shop.id}/faults?filter[status]=lost")).status == 400


@pytest.mark.parametrize("policy", [DataPolicy(transactions="none"), DataPolicy(transactions="consented")])
async def test_whose_data_may_not_be_sent_leaves_nothing_behind(api: Api, runtime: Runtime, policy: DataPolicy) -> None:
    async with runtime.pool.lend() as db:
        await db.run(
            "update agreements set transactions_policy = $2 where partner_id = $1", api.partner_id, policy.transactions
        )
    shop = await connect(api, "shopify")
    answer = await shop.send(document("shopify_order"))
    assert (answer.status, answer.body["outcome"]) == (200, "ignored")
    assert (await shop.shown())["ignored"] == 1
    assert await shop.faults() == []
    assert await activities(api) == []


async def test_while_the_database_is_away_the_system_is_asked_to_send_again(
    api: Api, keys: MasterKeys, session: aiohttp.ClientSession
) -> None:
    shop = await connect(api, "square")
    async with served(build(SETTINGS, "postgresql://nobody@127.0.0.1:1/gone", keys)) as address:
        body = shop.body(document("square_payment"))
        async with session.post(f"{address}/in/{shop.id}", data=body, headers=shop.signed(body, None)) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_an_integration_spends_a_rate_of_its_own(
    api: Api, dsn: str, keys: MasterKeys, session: aiohttp.ClientSession, clock: Clock
) -> None:
    shop = await connect(api, "square")
    application = build(SETTINGS, dsn, keys, clock)
    application.limiter._ticks = lambda: 0.0  # nothing is given back while the test runs
    spender = Caller(api.tenant, api.partner_id, UUID(shop.id), frozenset(), None, False, RATE_PER_MINUTE, RATE_BURST)
    async with served(application) as address:
        while application.limiter.take(spender).refused is None:
            pass
        own = Shop(api, "square", shop.id, shop.url, shop.secret)
        body = own.body(document("square_payment"))
        async with session.post(f"{address}/in/{shop.id}", data=body, headers=own.signed(body, None)) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 1
        # Who cannot prove anything learns nothing of it, and spends nothing.
        async with session.post(f"{address}/in/{shop.id}", data=body) as answer:
            assert (answer.status, answer.headers.get("RateLimit")) == (401, None)


async def test_one_bad_document_harms_none_of_its_batch(api: Api, runtime: Runtime) -> None:
    square, shopify = await connect(api, "square"), await connect(api, "shopify")
    answers = await asyncio.gather(
        *(square.send(broken() | {"number": number}) for number in range(5)),
        *(square.send(document("square_payment")) for _ in range(5)),
        *(shopify.send(document("shopify_order")) for _ in range(5)),
        *(shopify.send(document("shopify_refund"), "refunds/create") for _ in range(5)),
    )
    assert [answer.body["outcome"] for answer in answers] == ["fault"] * 5 + ["recorded"] * 15
    assert len(await activities(api)) == 3
    assert len(await square.faults()) == 5
    assert ((await square.shown())["received"], (await shopify.shown())["received"]) == (10, 10)


async def test_a_fault_is_forgotten_after_thirty_days(api: Api, runtime: Runtime, clock: Clock) -> None:
    shop = await connect(api, "square")
    await shop.send(broken())
    clock.move(timedelta(days=29, hours=23))
    assert await forget_due(runtime) is False
    assert len(await shop.faults()) == 1
    clock.move(timedelta(hours=2))
    assert await forget_due(runtime) is True
    assert await shop.faults() == [] and await forget_due(runtime) is False


async def test_a_system_gone_wrong_fills_no_disk(api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "FAULTS_MAX", 3)
    shop = await connect(api, "square")
    for amount in range(5):
        event = broken()
        event["data"]["object"]["payment"]["id"] = f"payment-{amount}"
        assert (await shop.send(event)).body["outcome"] == "fault"
    assert len(await shop.faults()) == 3
    assert (await api.get(f"integrations/{shop.id}")).attributes["received"] == 5
