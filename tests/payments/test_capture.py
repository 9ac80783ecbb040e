"""Taking what a payment holds: all of it or a part, once, and never after its deadline."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, document_of, join, luna
from tests.conftest import Clock
from tests.payments.changes import (
    add_lot,
    balance,
    cancel,
    capture,
    held,
    lots_of,
    pay,
    payable,
    shown,
    taken,
    till,
    topics,
    wallet_with,
)
from tests.rewards.cast import advance, another_client, configure, header, left, refused

AMOUNT = "/data/attributes/amount"


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


async def test_a_capture_takes_all_that_is_held(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    assert await balance(api, wallet_id) == (100, 400)
    answer = await capture(api, intent_id)
    found = answer.attributes
    assert (answer.status, answer.data["type"], found["status"]) == (200, "PaymentIntent", "captured")
    assert (found["authorizedAmount"], found["capturedAmount"], found["refundedAmount"]) == (400, 400, 0)
    assert (found["tender"], found["discount"]) == (0, 400)
    assert await balance(api, wallet_id) == (100, 0)
    assert await payable(runtime, api) == 400
    assert await topics(api, intent_id) == ["redemption.authorized", "redemption.captured"]
    assert await shown(api, intent_id) == found


async def test_of_a_part_the_rest_is_free_again_and_nothing_more_can_be_taken(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    found = (await capture(api, intent_id, 150)).attributes
    assert (found["authorizedAmount"], found["capturedAmount"], found["discount"]) == (400, 150, 150)
    assert await balance(api, wallet_id) == (350, 0)
    refused(await capture(api, intent_id, 50), 409, "InvalidState")
    refused(await capture(api, intent_id), 409, "InvalidState")
    assert await payable(runtime, api) == 150


async def test_what_is_spent_first_is_captured_first_and_tender_is_told_from_discount(
    api: Api, runtime: Runtime
) -> None:
    wallet_id = await wallet_with(api)
    await add_lot(runtime, api, wallet_id, 300)
    await add_lot(runtime, api, wallet_id, 200, lot_class="promotional")
    soon = world.T0 + timedelta(days=40)
    await add_lot(runtime, api, wallet_id, 100, expires_at=soon)
    intent_id = await held(api, wallet_id, 450)
    # What expires goes first, then what was given, then what was paid for.
    assert await lots_of(runtime, api, wallet_id) == [
        (300, 150, "paid", None),
        (200, 200, "promotional", None),
        (100, 100, "paid", soon),
    ]
    found = (await capture(api, intent_id, 320)).attributes
    assert (found["tender"], found["discount"]) == (120, 200)
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(280, 0), (0, 0), (0, 0)]


async def test_lots_behind_what_is_captured_are_released_whole(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 100, 100, 100)
    intent_id = await held(api, wallet_id, 300)
    await capture(api, intent_id, 100)
    assert sorted(lot[:2] for lot in await lots_of(runtime, api, wallet_id)) == [(0, 0), (100, 0), (100, 0)]


async def test_more_than_is_held_is_refused_at_its_place(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    refused(await capture(api, intent_id, 401), 400, "InvalidRequest", AMOUNT)
    assert await balance(api, wallet_id) == (100, 400)
    assert await topics(api, intent_id) == ["redemption.authorized"]


@pytest.mark.parametrize("amount", [0, -1, 2**31, 1.5, "1", True])
async def test_a_wrong_amount_is_told_at_its_place(api: Api, amount: object) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 400)
    refused(await capture(api, intent_id, amount), 400, "InvalidRequest", AMOUNT)


async def test_a_body_without_an_amount_captures_all(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    for attributes in ({}, {"amount": None}):
        intent_id = await held(api, wallet_id, 200)
        sent = document_of("CapturePaymentIntent", **attributes)
        answer = await api.post(f"payment-intents/{intent_id}/capture", sent)
        assert answer.attributes["capturedAmount"] == 200


async def test_another_type_or_attribute_is_refused(api: Api) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 200)
    path = f"payment-intents/{intent_id}/capture"
    refused(await api.post(path, document_of("RefundPaymentIntent", amount=1)), 409, "TypeConflict")
    refused(await api.post(path, document_of("CapturePaymentIntent", amounts=1)), 400, "InvalidRequest")


async def test_what_was_captured_at_once_or_cancelled_says_what_it_is(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    answer = await capture(api, await taken(api, wallet_id, 100))
    refused(answer, 409, "InvalidState")
    assert "is captured" in answer.text and "Refund" in answer.text
    cancelled = await held(api, wallet_id, 100)
    await cancel(api, cancelled)
    answer = await capture(api, cancelled)
    refused(answer, 409, "InvalidState")
    assert "is cancelled" in answer.text


async def test_a_key_captures_once_and_is_answered_byte_for_byte(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    first = await capture(api, intent_id, 100, key="c")
    again = await capture(api, intent_id, 100, key="c")
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (200, first.text, "true")
    refused(await capture(api, intent_id, 101, key="c"), 409, "IdempotencyConflict", "Idempotency-Key")
    refused(await capture(api, await held(api, wallet_id, 10), 100, key="c"), 409, "IdempotencyConflict")
    assert await payable(runtime, api) == 100


async def test_a_refused_capture_leaves_its_key_free(api: Api) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 400)
    refused(await capture(api, intent_id, 401, key="c"), 400, "InvalidRequest")
    assert (await capture(api, intent_id, 400, key="c")).status == 200


async def test_a_capture_up_to_the_deadline_holds_and_at_it_does_not(api: Api, clock: Clock) -> None:
    wallet_id = await wallet_with(api, 500)
    first, second = await held(api, wallet_id, 200), await held(api, wallet_id, 200)
    clock.move(timedelta(days=7) - timedelta(milliseconds=1))
    assert (await capture(api, first)).status == 200
    clock.move(timedelta(milliseconds=1))
    refused(await capture(api, second), 409, "HoldExpired")
    assert (await shown(api, second))["status"] == "expired"
    refused(await cancel(api, second), 409, "InvalidState")


async def test_after_the_books_have_moved_a_late_capture_is_refused_the_same_way(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 200)
    await advance(api, "P7D")
    answer = await capture(api, intent_id)
    refused(answer, 409, "HoldExpired")
    assert await balance(api, wallet_id) == (500, 0)


async def test_a_replay_of_a_capture_after_the_deadline_is_its_first_answer(api: Api) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 200)
    first = await capture(api, intent_id, key="c")
    await advance(api, "P8D")
    assert (await capture(api, intent_id, key="c")).text == first.text


async def test_what_is_held_can_be_captured_though_its_lot_expires_meanwhile(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=3)
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    await advance(api, "P4D")
    assert await balance(api, wallet_id) == (0, 400)
    found = (await capture(api, intent_id, 150)).attributes
    assert (found["capturedAmount"], await payable(runtime, api)) == (150, 150)
    assert await balance(api, wallet_id) == (0, 0)
    # What the capture left has expired: it goes back to who paid for it as soon as anybody looks.
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(250, 0)]
    await advance(api, "PT1S")
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(0, 0)]


async def test_a_suspended_wallet_does_not_break_what_was_promised(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    await api.post(f"wallets/{wallet_id}/suspend")
    assert (await capture(api, intent_id, 300)).status == 200
    assert await balance(api, wallet_id) == (200, 0)


async def test_a_closing_wallet_closes_when_a_capture_takes_the_last_of_it(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 500)
    await api.post(f"wallets/{wallet_id}/close")
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
    assert (await capture(api, intent_id)).status == 200
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closed"


async def test_a_closing_wallet_stays_while_a_part_is_left(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 500)
    await api.post(f"wallets/{wallet_id}/close")
    await capture(api, intent_id, 499)
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
    assert await balance(api, wallet_id) == (1, 0)


async def test_what_is_not_taken_counts_no_more_in_its_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=1000, merchant_day_maximum=1000)
    wallet_id = await wallet_with(api, 3000)
    intent_id = await held(api, wallet_id, 1000)
    refused(await pay(api, wallet_id, 1), 409, "PaymentLimit")
    await capture(api, intent_id, 300)
    refused(await pay(api, wallet_id, 701), 409, "PaymentLimit")
    assert (await pay(api, wallet_id, 700)).status == 201


async def test_captures_of_one_batch_give_back_to_one_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=1000)
    wallet_id = await wallet_with(api, 3000)
    made = [await held(api, wallet_id, 100) for _ in range(10)]
    await asyncio.gather(*(capture(api, intent_id, 40) for intent_id in made))
    refused(await pay(api, wallet_id, 601), 409, "PaymentLimit")
    assert (await pay(api, wallet_id, 600)).status == 201


async def test_nobody_captures_what_is_not_theirs(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 400)
    other = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    foreign = await capture(other, intent_id)
    unknown = await capture(api, str(ids.new()))
    refused(foreign, 404, "NotFound")
    refused(unknown, 404, "NotFound")
    assert foreign.body["errors"][0]["detail"] == unknown.body["errors"][0]["detail"]
    refused(await capture(api, "no-id"), 404, "NotFound")
    elsewhere = await luna(runtime, api.tenant, name="Café Sol")
    refused(await capture(await another_client(runtime, api, (elsewhere.id,)), intent_id), 404, "NotFound")
    reader = await another_client(runtime, api, None, frozenset({"payment-intents:read"}))
    refused(await capture(reader, intent_id), 403, "InsufficientScope")
    assert (await shown(api, intent_id))["status"] == "authorized"


async def test_of_captures_at_once_one_takes(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    answers = await asyncio.gather(*(capture(api, intent_id, 100) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    assert await payable(runtime, api) == 100
    assert await balance(api, wallet_id) == (400, 0)


async def test_of_a_capture_and_a_cancellation_at_once_one_comes_first(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 2000)
    made = [await held(api, wallet_id, 100) for _ in range(12)]
    rivals = [(capture(api, each), cancel(api, each)) if n % 2 else (cancel(api, each), capture(api, each))
              for n, each in enumerate(made)]  # fmt: skip
    answers = await asyncio.gather(*(asyncio.gather(*pair) for pair in rivals))
    assert all(sorted(answer.status for answer in pair) == [200, 409] for pair in answers)
    captured = sum([(await shown(api, each))["capturedAmount"] for each in made])
    assert await payable(runtime, api) == captured
    assert await balance(api, wallet_id) == (2000 - captured, 0)


async def test_captures_of_many_payments_at_once_each_take_theirs(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 700, 600, 500)
    made = [await held(api, wallet_id, 60) for _ in range(30)]
    answers = await asyncio.gather(*(capture(api, each, n + 1) for n, each in enumerate(made)))
    assert [answer.attributes["capturedAmount"] for answer in answers] == list(range(1, 31))
    assert await payable(runtime, api) == 465
    assert await balance(api, wallet_id) == (1800 - 465, 0)


async def test_nothing_is_left_of_the_funding_by_a_capture(api: Api, runtime: Runtime) -> None:
    before = await left(runtime, api)
    intent_id = await held(api, await wallet_with(api, 500), 400)
    await capture(api, intent_id)
    assert await left(runtime, api) == before
