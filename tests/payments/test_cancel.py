"""Letting go of what a payment holds, and what can no longer be let go of."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join
from tests.payments.changes import (
    add_lot,
    balance,
    cancel,
    capture,
    held,
    lots_of,
    pay,
    payable,
    refund,
    shown,
    taken,
    till,
    topics,
    wallet_with,
)
from tests.rewards.cast import advance, configure, header, left, refused


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


async def test_a_cancellation_frees_everything_that_was_held(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 100, 200, 300)
    intent_id = await held(api, wallet_id, 600)
    assert await balance(api, wallet_id) == (0, 600)
    answer = await cancel(api, intent_id)
    assert (answer.status, answer.attributes["status"], answer.attributes["capturedAmount"]) == (200, "cancelled", 0)
    assert await balance(api, wallet_id) == (600, 0)
    assert await payable(runtime, api) == 0
    assert await topics(api, intent_id) == ["redemption.authorized", "redemption.cancelled"]
    assert await shown(api, intent_id) == answer.attributes


async def test_a_cancellation_takes_a_document_too(api: Api) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 400)
    path = f"payment-intents/{intent_id}/cancel"
    refused(await api.post(path, document_of("CancelPaymentIntent", amount=1)), 400, "InvalidRequest")
    assert (await api.post(path, document_of("CancelPaymentIntent"))).attributes["status"] == "cancelled"


async def test_what_was_captured_is_not_cancelled_but_refunded(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    answer = await cancel(api, intent_id)
    refused(answer, 409, "InvalidState")
    assert "is captured" in answer.text and "Refund" in answer.text
    await refund(api, intent_id)
    answer = await cancel(api, intent_id)
    refused(answer, 409, "InvalidState")
    assert "is refunded" in answer.text


async def test_a_second_cancellation_says_what_it_is(api: Api) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 400)
    await cancel(api, intent_id)
    answer = await cancel(api, intent_id)
    refused(answer, 409, "InvalidState")
    assert "is cancelled" in answer.text
    assert await topics(api, intent_id) == ["redemption.authorized", "redemption.cancelled"]


async def test_a_key_cancels_once_and_is_answered_byte_for_byte(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    first = await cancel(api, intent_id, key="c")
    again = await cancel(api, intent_id, key="c")
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (200, first.text, "true")
    refused(await cancel(api, await held(api, wallet_id, 100), key="c"), 409, "IdempotencyConflict")


async def test_nobody_cancels_what_is_not_theirs(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 400)
    other = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    refused(await cancel(other, intent_id), 404, "NotFound")
    refused(await cancel(api, str(ids.new())), 404, "NotFound")


async def test_a_strangers_try_at_the_same_time_does_not_stand_in_the_way(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    wallet_id = await wallet_with(api, 500)
    for intent_id in [await held(api, wallet_id, 100) for _ in range(4)]:
        tries = [cancel(other, intent_id), cancel(api, intent_id), cancel(other, intent_id)]
        answers = await asyncio.gather(*tries)
        assert [answer.status for answer in answers] == [404, 200, 404]


async def test_what_a_cancelled_payment_held_of_an_expired_lot_expires(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=3, credit_limit=1000)
    wallet_id = await wallet_with(api, 500)
    await add_lot(runtime, api, wallet_id, 50)
    intent_id = await held(api, wallet_id, 400)
    await advance(api, "P4D")
    assert await left(runtime, api) == 600
    await cancel(api, intent_id)
    # Past its expiry it is no value of the wallet any more, whether or not the books have moved yet.
    assert await balance(api, wallet_id) == (50, 0)
    refused(await pay(api, wallet_id, 51), 409, "InsufficientValue")
    await advance(api, "PT1S")
    assert await left(runtime, api) == 1000
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(0, 0), (50, 0)]


async def test_a_closing_wallet_whose_released_value_has_expired_closes(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=3)
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 500)
    await api.post(f"wallets/{wallet_id}/close")
    await advance(api, "P4D")
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
    await cancel(api, intent_id)
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closed"
    await advance(api, "PT1S")
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(0, 0)]


async def test_what_was_cancelled_counts_no_more_in_its_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=1000, wallet_day_count=1, merchant_day_maximum=1000)
    wallet_id = await wallet_with(api, 3000)
    intent_id = await held(api, wallet_id, 1000)
    refused(await pay(api, wallet_id, 1), 409, "PaymentLimit")
    await cancel(api, intent_id)
    assert (await pay(api, wallet_id, 1000)).status == 201
    refused(await pay(api, wallet_id, 1), 409, "PaymentLimit")


async def test_cancellations_of_one_batch_give_back_to_one_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=1000)
    wallet_id = await wallet_with(api, 3000)
    made = [await held(api, wallet_id, 100) for _ in range(10)]
    await asyncio.gather(*(cancel(api, intent_id) for intent_id in made))
    assert (await pay(api, wallet_id, 1000)).status == 201


async def test_of_cancellations_at_once_one_frees(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    answers = await asyncio.gather(*(cancel(api, intent_id) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    assert await balance(api, wallet_id) == (500, 0)


async def test_what_is_freed_can_be_held_again_at_once(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 300)
    for _ in range(3):
        intent_id = await held(api, wallet_id, 300)
        refused(await pay(api, wallet_id, 1), 409, "InsufficientValue")
        await cancel(api, intent_id)
    assert (await capture(api, await held(api, wallet_id, 300))).status == 200
    assert await payable(runtime, api) == 300
