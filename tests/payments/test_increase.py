"""Holding more for a payment: out of the same sources, by the same rules."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.errors import Refusal
from tallystick.base.work import Runtime
from tallystick.payments import increasing
from tallystick.payments.increasing import IncreasePaymentIntent
from tests import world
from tests.api import Answer, Api, document_of, join
from tests.conftest import Clock
from tests.giftcards.hands import asked
from tests.payments.changes import (
    add_lot,
    balance,
    cancel,
    capture,
    held,
    increase,
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
from tests.rewards.cast import OTHER_PHONE, advance, configure, header, refused

AMOUNT = "/data/attributes/amount"


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


async def test_an_increase_holds_more(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 200)
    answer = await increase(api, intent_id, 100)
    found = answer.attributes
    assert (answer.status, found["status"], found["amount"], found["authorizedAmount"]) == (200, "authorized", 300, 300)
    assert (found["sources"][0]["authorizedAmount"], found["discount"]) == (300, 300)
    assert await balance(api, wallet_id) == (200, 300)
    assert await topics(api, intent_id) == ["redemption.authorized", "redemption.authorized"]
    assert (await capture(api, intent_id)).attributes["capturedAmount"] == 300
    assert await payable(runtime, api) == 300
    assert await balance(api, wallet_id) == (200, 0)


async def test_an_increase_that_waited_for_another_adds_to_what_that_one_left(api: Api, runtime: Runtime) -> None:
    """Its sources, too: they were looked at before there was anything to wait for."""
    wallet_id = await wallet_with(api, 900)
    intent_id = await held(api, wallet_id, 200)
    async with runtime.work(api.tenant) as work:
        (larger,) = await increasing.increase(work, [IncreasePaymentIntent(asked(api), UUID(intent_id), 300)])
        assert not isinstance(larger, Refusal)
        behind = asyncio.create_task(increase(api, intent_id, 400))
        await asyncio.sleep(0.3)
        assert not behind.done()
    found = (await behind).attributes
    assert (found["authorizedAmount"], found["sources"][0]["authorizedAmount"]) == (900, 900)
    assert (await capture(api, intent_id)).attributes["sources"][0]["authorizedAmount"] == 900


async def test_an_increase_burns_what_is_there_now_and_captures_go_by_the_parts(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api)
    await add_lot(runtime, api, wallet_id, 300)
    intent_id = await held(api, wallet_id, 100)
    # What came later expires soon, so the increase takes it first.
    await add_lot(runtime, api, wallet_id, 150, lot_class="promotional", expires_at=world.T0 + timedelta(days=30))
    found = (await increase(api, intent_id, 250)).attributes
    assert (found["tender"], found["discount"]) == (200, 150)
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(300, 200), (150, 150)]
    found = (await capture(api, intent_id, 240)).attributes
    assert (found["tender"], found["discount"]) == (100, 140)
    found = (await refund(api, intent_id, 150)).attributes
    assert found["refundedAmount"] == 150
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(210, 0), (150, 0)]


async def test_what_the_sources_do_not_give_is_refused_with_the_deficit(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 200)
    answer = await increase(api, intent_id, 301)
    refused(answer, 409, "InsufficientValue", AMOUNT)
    assert "deficit is 1." in answer.text
    assert await balance(api, wallet_id) == (300, 200)
    assert (await shown(api, intent_id))["amount"] == 200


async def test_a_payment_that_may_be_partial_takes_what_is_there(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 200, allowPartial=True)
    found = (await increase(api, intent_id, 400)).attributes
    assert (found["amount"], found["authorizedAmount"], found["remaining"]) == (600, 500, 100)
    refused(await increase(api, intent_id, 1), 409, "InsufficientValue", AMOUNT)
    assert (await capture(api, intent_id)).attributes["capturedAmount"] == 500


async def _two(api: Api, first: str, second: str, amount: int, **more: Any) -> Answer:
    sources = [{"walletId": first, **({"amount": more.pop("most")} if "most" in more else {})}, {"walletId": second}]
    wanted = {"capture": "manual", "idempotencyKey": str(ids.new()), "amount": amount, "sources": sources, **more}
    return await api.post("payment-intents", document_of("PaymentIntent", **wanted))


async def test_several_sources_give_more_in_their_order_up_to_what_was_asked_of_each(
    api: Api, runtime: Runtime
) -> None:
    first = await wallet_with(api, 500)
    second = await api.wallet(OTHER_PHONE)
    await api.issue(OTHER_PHONE, amount=500)
    intent_id = (await _two(api, first, second, 250, most=200)).data["id"]
    assert (await balance(api, first), await balance(api, second)) == ((300, 200), (450, 50))
    found = (await increase(api, intent_id, 100)).attributes
    assert [source["authorizedAmount"] for source in found["sources"]] == [200, 150]
    unbound = (await _two(api, first, second, 250)).data["id"]
    found = (await increase(api, unbound, 100)).attributes
    assert [source["authorizedAmount"] for source in found["sources"]] == [300, 50]
    assert (await capture(api, intent_id)).status == (await capture(api, unbound)).status == 200


async def test_limits_apply_to_what_is_added(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=1000, wallet_day_count=1, payment_maximum=1500)
    wallet_id = await wallet_with(api, 5000)
    intent_id = await held(api, wallet_id, 900)
    refused(await increase(api, intent_id, 101), 409, "PaymentLimit", AMOUNT)
    # An increase is no further payment.
    assert (await increase(api, intent_id, 100)).status == 200
    refused(await increase(api, intent_id, 1), 409, "PaymentLimit", AMOUNT)
    await configure(runtime, api, wallet_day_maximum=None, wallet_day_count=None)
    refused(await increase(api, intent_id, 501), 409, "PaymentLimit", AMOUNT)
    assert (await increase(api, intent_id, 500)).status == 200


async def test_what_is_added_counts_and_is_given_back_with_the_rest(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, merchant_day_maximum=1000)
    wallet_id = await wallet_with(api, 5000)
    intent_id = await held(api, wallet_id, 300)
    assert (await increase(api, intent_id, 400)).status == 200
    refused(await pay(api, wallet_id, 301), 409, "PaymentLimit")
    await cancel(api, intent_id)
    assert (await pay(api, wallet_id, 1000)).status == 201


async def test_a_source_that_gave_nothing_evades_no_limit(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=100)
    first = await wallet_with(api, 50)
    second = await api.wallet(OTHER_PHONE)
    await api.issue(OTHER_PHONE, amount=5000)
    intent_id = (await _two(api, first, second, 50)).data["id"]
    refused(await increase(api, intent_id, 101), 409, "InsufficientValue")
    assert (await balance(api, second)) == (5000, 0)


async def test_the_largest_payment_bounds_an_increase(api: Api) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 100)
    refused(await increase(api, intent_id, 2**31 - 100), 400, "InvalidRequest", AMOUNT)


@pytest.mark.parametrize("amount", [0, -1, 2**31, 1.5, "1"])
async def test_a_wrong_amount_is_told_at_its_place(api: Api, amount: object) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 100)
    refused(await increase(api, intent_id, amount), 400, "InvalidRequest", AMOUNT)


async def test_an_increase_says_by_how_much(api: Api) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 100)
    empty = document_of("IncreasePaymentIntent")
    refused(await api.post(f"payment-intents/{intent_id}/increase", empty), 400, "InvalidRequest")


async def test_only_what_is_authorised_is_increased(api: Api, clock: Clock) -> None:
    wallet_id = await wallet_with(api, 500)
    refused(await increase(api, await taken(api, wallet_id, 10), 1), 409, "InvalidState")
    cancelled = await held(api, wallet_id, 10)
    await cancel(api, cancelled)
    refused(await increase(api, cancelled, 1), 409, "InvalidState")
    late = await held(api, wallet_id, 10)
    clock.move(timedelta(days=7))
    refused(await increase(api, late, 1), 409, "HoldExpired")


async def test_what_is_added_expires_with_the_payment(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100)
    await advance(api, "P6D")
    await increase(api, intent_id, 100)
    await advance(api, "P1D")
    assert (await shown(api, intent_id))["status"] == "expired"
    assert await balance(api, wallet_id) == (500, 0)


async def test_a_wallet_that_cannot_be_spent_gives_no_more(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100)
    await api.post(f"wallets/{wallet_id}/suspend")
    refused(await increase(api, intent_id, 100), 409, "SourceNotUsable")
    await api.post(f"wallets/{wallet_id}/resume")
    assert (await increase(api, intent_id, 100)).status == 200


async def test_a_closed_merchant_takes_no_more(api: Api, runtime: Runtime) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 100)
    await configure(runtime, api, status="closed")
    refused(await increase(api, intent_id, 100), 400, "InvalidRequest")
    assert (await capture(api, intent_id)).status == 200


async def test_a_key_increases_once_and_is_answered_byte_for_byte(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100)
    first = await increase(api, intent_id, 100, key="i")
    await increase(api, intent_id, 50)
    again = await increase(api, intent_id, 100, key="i")
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (200, first.text, "true")
    refused(await increase(api, intent_id, 101, key="i"), 409, "IdempotencyConflict", "Idempotency-Key")
    assert await balance(api, wallet_id) == (250, 250)


async def test_nobody_increases_what_is_not_theirs(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    intent_id = await held(api, await wallet_with(api, 500), 100)
    other = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    refused(await increase(other, intent_id, 1), 404, "NotFound")


async def test_increases_at_once_hold_no_more_than_there_is(api: Api) -> None:
    wallet_id = await wallet_with(api, 100, 100, 100)
    intent_id = await held(api, wallet_id, 10)
    answers = await asyncio.gather(*(increase(api, intent_id, 40) for _ in range(12)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [409] * 5
    assert await balance(api, wallet_id) == (10, 290)
    assert (await capture(api, intent_id)).attributes["capturedAmount"] == 290


async def test_increases_and_payments_at_once_share_one_wallet(api: Api) -> None:
    wallet_id = await wallet_with(api, 300)
    intent_id = await held(api, wallet_id, 100)
    answers = await asyncio.gather(
        *(increase(api, intent_id, 30) for _ in range(8)), *(pay(api, wallet_id, 30) for _ in range(8))
    )
    assert sum(answer.status in (200, 201) for answer in answers) == 6
    assert await balance(api, wallet_id) == (20, 280)
