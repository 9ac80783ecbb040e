"""Giving back what was captured: to the same lots, the last that gave first, and never more than was taken."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from tallystick.base import clock as clocks
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, document_of, join
from tests.payments.changes import (
    add_lot,
    balance,
    cancel,
    capture,
    held,
    lots_of,
    pay,
    pay_from,
    payable,
    refund,
    refunds_of,
    shown,
    taken,
    till,
    topics,
    wallet_with,
)
from tests.rewards.cast import OTHER_PHONE, advance, configure, header, left, refused

AMOUNT = "/data/attributes/amount"
GRACE = timedelta(days=30)


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


async def test_a_refund_gives_back_all_that_was_captured(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    answer = await refund(api, intent_id, reason="returned goods")
    found = answer.attributes
    assert (answer.status, found["status"], found["capturedAmount"], found["refundedAmount"]) == (
        200, "refunded", 400, 400,
    )  # fmt: skip
    assert await balance(api, wallet_id) == (500, 0)
    assert await payable(runtime, api) == 0
    assert await topics(api, intent_id) == ["redemption.captured", "redemption.refunded"]
    assert await refunds_of(runtime, api, intent_id) == [(400, 0, 400, "returned goods")]
    assert "returned goods" not in answer.text
    assert await shown(api, intent_id) == found


async def test_a_refund_in_parts_goes_up_to_what_was_captured(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    await capture(api, intent_id, 300)
    found = (await refund(api, intent_id, 120)).attributes
    assert (found["status"], found["refundedAmount"]) == ("captured", 120)
    refused(await refund(api, intent_id, 181), 400, "InvalidRequest", AMOUNT)
    found = (await refund(api, intent_id)).attributes
    assert (found["status"], found["refundedAmount"]) == ("refunded", 300)
    refused(await refund(api, intent_id), 409, "InvalidState")
    refused(await refund(api, intent_id, 1), 409, "InvalidState")
    assert await balance(api, wallet_id) == (500, 0)
    assert await payable(runtime, api) == 0


async def test_the_last_lot_that_gave_gets_first_and_tender_is_told_from_discount(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api)
    await add_lot(runtime, api, wallet_id, 200, lot_class="promotional")
    await add_lot(runtime, api, wallet_id, 300)
    intent_id = await taken(api, wallet_id, 450)
    await refund(api, intent_id, 100)
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(0, 0), (150, 0)]
    await refund(api, intent_id, 200)
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(50, 0), (300, 0)]
    await refund(api, intent_id)
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(200, 0), (300, 0)]
    assert [each[:3] for each in await refunds_of(runtime, api, intent_id)] == [
        (100, 100, 0),
        (200, 150, 50),
        (150, 0, 150),
    ]


async def test_only_what_was_captured_is_refunded(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    waiting = await held(api, wallet_id, 100)
    answer = await refund(api, waiting)
    refused(answer, 409, "InvalidState")
    assert "is authorized" in answer.text and "Cancel" in answer.text
    await cancel(api, waiting)
    answer = await refund(api, waiting)
    refused(answer, 409, "InvalidState")
    assert "is cancelled" in answer.text
    late = await held(api, wallet_id, 100)
    await advance(api, "P7D")
    answer = await refund(api, late)
    refused(answer, 409, "InvalidState")
    assert "is expired" in answer.text


async def test_a_refund_long_after_the_deadline_of_the_capture_is_fine(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    await capture(api, intent_id)
    await advance(api, "P90D")
    assert (await refund(api, intent_id)).attributes["status"] == "refunded"
    assert await balance(api, wallet_id) == (500, 0)


async def test_a_lot_that_has_expired_comes_back_with_a_grace(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=3, credit_limit=1000)
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    await advance(api, "P5D")
    now = clocks.parse_instant((await api.get("sandbox/clock")).attributes["now"])
    assert await left(runtime, api) == 600
    await refund(api, intent_id, 150)
    assert await balance(api, wallet_id) == (150, 0)
    lots = await lots_of(runtime, api, wallet_id)
    assert lots[0][:3] == (0, 0, "compensation") and lots[1][:3] == (150, 0, "compensation")
    assert lots[1][3] is not None and now + GRACE <= lots[1][3] < now + GRACE + timedelta(minutes=1)
    # It can be spent, and what is left at the end of the grace goes to who paid for the first lot.
    await taken(api, wallet_id, 50)
    await advance(api, "P30DT1M")
    assert await balance(api, wallet_id) == (0, 0)
    assert await left(runtime, api) == 700


async def test_the_merchant_says_how_long_the_grace_is(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=3, refund_grace_days=1)
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 500)
    await advance(api, "P5D")
    await refund(api, intent_id, 100)
    await advance(api, "P1DT1S")
    await refund(api, intent_id, 100)
    assert await balance(api, wallet_id) == (100, 0)


async def test_at_its_very_expiry_a_lot_has_expired(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api)
    await add_lot(runtime, api, wallet_id, 300, expires_at=world.T0 + timedelta(days=1))
    await add_lot(runtime, api, wallet_id, 300, expires_at=world.T0 + timedelta(days=2))
    intent_id = await taken(api, wallet_id, 600)
    answer = await api.post("sandbox/clock/advance", document_of("AdvanceClock", to="2026-03-03T09:00:00.000Z"))
    assert answer.status == 200, answer.text
    await refund(api, intent_id)
    lots = await lots_of(runtime, api, wallet_id)
    assert [lot[0] for lot in lots] == [0, 300, 300]
    assert lots[2][3] == world.T0 + timedelta(days=1) + GRACE


async def test_a_suspended_wallet_gets_back_what_is_its_holders(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    await api.post(f"wallets/{wallet_id}/suspend")
    assert (await refund(api, intent_id, 100)).status == 200
    assert await balance(api, wallet_id) == (200, 0)


async def test_a_closing_wallet_gets_it_back_and_goes_on_closing(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    await api.post(f"wallets/{wallet_id}/close")
    assert (await refund(api, intent_id)).status == 200
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
    assert await balance(api, wallet_id) == (500, 0)


async def test_a_closed_wallet_gets_nothing_back(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 500)
    await api.post(f"wallets/{wallet_id}/close")
    answer = await refund(api, intent_id, 100, key="r")
    refused(answer, 409, "SourceClosed")
    assert "other means" in answer.text
    assert await payable(runtime, api) == 500
    assert await refunds_of(runtime, api, intent_id) == []
    assert await topics(api, intent_id) == ["redemption.captured"]


async def test_what_came_from_an_open_source_can_still_go_back(api: Api) -> None:
    first = await wallet_with(api, 100)
    second = await api.wallet(OTHER_PHONE)
    await api.issue(OTHER_PHONE, amount=500)
    answer = await pay_from(api, [{"walletId": first}, {"walletId": second}], 250, capture="automatic")
    await api.post(f"wallets/{first}/close")
    refused(answer := await refund(api, answer.data["id"]), 409, "SourceClosed")
    assert "Only 150 minor units" in answer.text


async def test_of_two_sources_the_closed_one_is_left_out(api: Api) -> None:
    first = await wallet_with(api, 500)
    second = await api.wallet(OTHER_PHONE)
    await api.issue(OTHER_PHONE, amount=100)
    intent_id = (await pay_from(api, [{"walletId": first}, {"walletId": second, "amount": 100}], 600)).data["id"]
    await capture(api, intent_id)
    await api.post(f"wallets/{second}/close")
    found = (await refund(api, intent_id, 500)).attributes
    assert (found["status"], found["refundedAmount"]) == ("captured", 500)
    assert await balance(api, first) == (500, 0)
    refused(await refund(api, intent_id), 409, "SourceClosed")


async def test_a_merged_wallets_value_goes_to_the_one_behind_it(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=100)
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    mine = (await api.get(f"wallets/{wallet_id}")).attributes["userId"]
    other = await api.wallet(OTHER_PHONE)
    theirs = (await api.get(f"wallets/{other}")).attributes["userId"]
    merged = await api.post(f"users/{mine}/merge", document_of("MergeUser", intoUserId=theirs))
    assert merged.status == 200, merged.text
    assert await balance(api, other) == (100, 0)
    await refund(api, intent_id, 150)
    assert await balance(api, other) == (250, 0)
    lots = await lots_of(runtime, api, other)
    assert [(lot[0], lot[2], lot[3]) for lot in lots] == [
        (100, "compensation", world.T0 + timedelta(days=100)),
        (150, "compensation", world.T0 + timedelta(days=100)),
    ]
    await advance(api, "P101D")
    await refund(api, intent_id, 100)
    assert await balance(api, other) == (100, 0)


async def test_a_key_refunds_once_and_is_answered_byte_for_byte(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    first = await refund(api, intent_id, 100, key="r")
    await refund(api, intent_id, 100)
    again = await refund(api, intent_id, 100, key="r")
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (200, first.text, "true")
    refused(await refund(api, intent_id, 101, key="r"), 409, "IdempotencyConflict", "Idempotency-Key")
    refused(await refund(api, intent_id, 100, key="r", reason="another"), 409, "IdempotencyConflict")
    assert await balance(api, wallet_id) == (300, 0)


async def test_twins_at_once_refund_once(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400)
    answers = await asyncio.gather(*(refund(api, intent_id, 100, key="r") for _ in range(8)))
    assert {(answer.status, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert await balance(api, wallet_id) == (200, 0)


async def test_refunds_at_once_give_back_no_more_than_was_captured(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 100, 100, 100)
    intent_id = await taken(api, wallet_id, 300)
    answers = await asyncio.gather(*(refund(api, intent_id, 12) for _ in range(40)))
    assert sorted(answer.status for answer in answers) == [200] * 25 + [409] * 15
    assert await balance(api, wallet_id) == (300, 0)
    assert await payable(runtime, api) == 0
    assert len(await refunds_of(runtime, api, intent_id)) == 25


async def test_a_refund_and_a_payment_at_once_share_one_wallet(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 400)
    intent_id = await taken(api, wallet_id, 400)
    await asyncio.gather(
        *(refund(api, intent_id, 40) for _ in range(10)),
        *(pay(api, wallet_id, 40, capture="automatic") for _ in range(10)),
    )
    assert sum(await balance(api, wallet_id)) + await payable(runtime, api) == 400


@pytest.mark.parametrize("amount", [0, -1, 2**31, 1.5, "1", True])
async def test_a_wrong_amount_is_told_at_its_place(api: Api, amount: object) -> None:
    intent_id = await taken(api, await wallet_with(api, 500), 400)
    refused(await refund(api, intent_id, amount), 400, "InvalidRequest", AMOUNT)


async def test_a_reason_that_is_too_long_or_not_text_is_told_at_its_place(api: Api) -> None:
    intent_id = await taken(api, await wallet_with(api, 500), 400)
    for reason in ("x" * 256, "nul\x00", 5):
        sent = document_of("RefundPaymentIntent", reason=reason)
        answer = await api.post(f"payment-intents/{intent_id}/refund", sent)
        refused(answer, 400, "InvalidRequest")
    blank = await api.post(f"payment-intents/{intent_id}/refund", document_of("RefundPaymentIntent", reason="  "))
    assert blank.status == 200


async def test_nobody_refunds_what_is_not_theirs(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    intent_id = await taken(api, await wallet_with(api, 500), 400)
    other = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    refused(await refund(other, intent_id), 404, "NotFound")
    refused(await refund(api, str(ids.new())), 404, "NotFound")


async def test_what_was_refunded_still_counts_in_its_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=400)
    wallet_id = await wallet_with(api, 500)
    await refund(api, await taken(api, wallet_id, 400))
    refused(await pay(api, wallet_id, 1), 409, "PaymentLimit")
