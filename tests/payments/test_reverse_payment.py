"""A till that timed out takes its payment back by its own reference, before or after the payment arrives."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join, luna
from tests.conftest import Clock
from tests.payments.changes import (
    balance,
    cancel,
    capture,
    held,
    pay,
    payable,
    refund,
    reverse,
    shown,
    taken,
    till,
    topics,
    wallet_with,
)
from tests.rewards.cast import advance, another_client, configure, header, refused

REFERENCE = "till-4/0117"


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


def told(api: Api, answer: Answer, status: str, intent_id: str | None, amount: int) -> None:
    """The reversal says this, and nothing else."""
    assert (answer.status, answer.data["type"]) == (200, "PaymentReversal"), answer.text
    assert answer.attributes == {
        "externalReference": REFERENCE,
        "merchantId": str(api.merchant_id),
        "paymentIntentId": intent_id,
        "status": status,
        "reversedAmount": amount,
        "currency": "USD",
    }


async def test_what_is_held_is_released(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400, externalReference=REFERENCE)
    told(api, await reverse(api, REFERENCE), "reversed", intent_id, 400)
    assert await balance(api, wallet_id) == (500, 0)
    assert (await shown(api, intent_id))["status"] == "cancelled"
    assert await topics(api, intent_id) == ["redemption.authorized", "redemption.cancelled"]


async def test_what_was_captured_is_refunded(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400, externalReference=REFERENCE)
    told(api, await reverse(api, REFERENCE), "reversed", intent_id, 400)
    assert await balance(api, wallet_id) == (500, 0)
    assert (await shown(api, intent_id))["status"] == "refunded"
    assert await topics(api, intent_id) == ["redemption.captured", "redemption.refunded"]
    assert await payable(runtime, api) == 0


async def test_what_was_refunded_in_part_is_refunded_for_the_rest(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400, externalReference=REFERENCE)
    await capture(api, intent_id, 300)
    await refund(api, intent_id, 100)
    told(api, await reverse(api, REFERENCE), "reversed", intent_id, 300)
    assert await balance(api, wallet_id) == (500, 0)


async def test_a_second_reversal_answers_the_same_and_does_nothing(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400, externalReference=REFERENCE)
    first = await reverse(api, REFERENCE)
    for _ in range(2):
        assert (await reverse(api, REFERENCE)).text == first.text
    assert await topics(api, intent_id) == ["redemption.captured", "redemption.refunded"]
    assert await balance(api, wallet_id) == (500, 0)


async def test_a_reversal_that_comes_first_lets_no_payment_in(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    first = await reverse(api, REFERENCE)
    told(api, first, "awaited", None, 0)
    refused(await pay(api, wallet_id, 400, externalReference=REFERENCE), 409, "PaymentReversed")
    refused(await pay(api, wallet_id, 400, externalReference=REFERENCE, capture="automatic"), 409, "PaymentReversed")
    assert await balance(api, wallet_id) == (500, 0)
    assert (await reverse(api, REFERENCE)).text == first.text
    assert (await pay(api, wallet_id, 400, externalReference="another")).status == 201
    assert await payable(runtime, api) == 0


async def test_a_reversed_reference_is_used_up(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    await held(api, wallet_id, 400, externalReference=REFERENCE)
    await reverse(api, REFERENCE)
    refused(await pay(api, wallet_id, 400, externalReference=REFERENCE), 409, "PaymentReversed")


async def test_the_payments_own_key_is_still_answered_as_the_first_time(api: Api) -> None:
    wallet_id = await wallet_with(api, 500)
    first = await pay(api, wallet_id, 400, externalReference=REFERENCE, idempotencyKey="k")
    await reverse(api, REFERENCE)
    again = await pay(api, wallet_id, 400, externalReference=REFERENCE, idempotencyKey="k")
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (201, first.text, "true")
    assert await balance(api, wallet_id) == (500, 0)


async def test_what_was_cancelled_or_has_expired_is_reversed_already(api: Api, clock: Clock) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400, externalReference=REFERENCE)
    await cancel(api, intent_id)
    told(api, await reverse(api, REFERENCE), "reversed", intent_id, 400)
    late = await held(api, wallet_id, 300, externalReference="late")
    clock.move(timedelta(days=8))
    # Past its deadline it holds nothing any more, though the books have not moved yet.
    answer = await reverse(api, "late")
    assert (answer.attributes["status"], answer.attributes["reversedAmount"]) == ("reversed", 300)
    assert (await shown(api, late))["status"] == "expired"
    await advance(api, "PT1S")
    assert (await reverse(api, "late")).text == answer.text
    assert await topics(api, late) == ["redemption.authorized", "redemption.expired"]


async def test_a_source_that_is_closed_for_good_gets_nothing_back(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 400)
    await taken(api, wallet_id, 400, externalReference=REFERENCE)
    await api.post(f"wallets/{wallet_id}/close")
    refused(await reverse(api, REFERENCE), 409, "SourceClosed")
    refused(await reverse(api, REFERENCE), 409, "SourceClosed")
    assert await payable(runtime, api) == 400
    refused(await pay(api, wallet_id, 1, externalReference=REFERENCE), 409, "DuplicateReference")


async def test_what_was_reversed_counts_no_more_if_it_was_not_captured(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=400)
    wallet_id = await wallet_with(api, 500)
    await held(api, wallet_id, 400, externalReference=REFERENCE)
    await reverse(api, REFERENCE)
    assert (await pay(api, wallet_id, 400)).status == 201


async def test_a_key_is_answered_byte_for_byte(api: Api) -> None:
    await held(api, await wallet_with(api, 500), 400, externalReference=REFERENCE)
    first = await reverse(api, REFERENCE, key="v")
    again = await reverse(api, REFERENCE, key="v")
    assert (again.text, header(again, "idempotent-replayed")) == (first.text, "true")
    refused(await reverse(api, "another", key="v"), 409, "IdempotencyConflict", "Idempotency-Key")


async def test_a_reference_belongs_to_the_partner_that_used_it(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400, externalReference=REFERENCE)
    other = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    told(api, await reverse(other, REFERENCE), "awaited", None, 0)
    assert (await shown(api, intent_id))["status"] == "authorized"
    assert await balance(api, wallet_id) == (100, 400)
    told(api, await reverse(api, REFERENCE), "reversed", intent_id, 400)


async def test_a_reference_is_of_one_merchant(api: Api, runtime: Runtime) -> None:
    sol, here = await luna(runtime, api.tenant, name="Café Sol"), str(api.merchant_id)
    wallet_id = await api.wallet()
    assert (await api.issue(amount=500, merchantId=here)).status == 200
    await held(api, wallet_id, 400, externalReference=REFERENCE, merchantId=here)
    at_sol = await another_client(runtime, api, (sol.id,))
    refused(await reverse(at_sol, REFERENCE, merchantId=here), 400, "InvalidRequest", "/data/attributes/merchantId")
    elsewhere = await reverse(at_sol, REFERENCE)
    assert (elsewhere.attributes["status"], elsewhere.attributes["merchantId"]) == ("awaited", str(sol.id))
    assert await balance(api, wallet_id) == (100, 400)
    assert api.merchant_id is not None
    both = await another_client(runtime, api, (sol.id, api.merchant_id))
    refused(await reverse(both, REFERENCE), 400, "InvalidRequest", "/data/attributes/merchantId")
    found = await reverse(both, REFERENCE, merchantId=here)
    assert found.attributes["reversedAmount"] == 400


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({}, None),
        ({"externalReference": ""}, "/data/attributes/externalReference"),
        ({"externalReference": "x" * 256}, "/data/attributes/externalReference"),
        ({"externalReference": 5}, "/data/attributes/externalReference"),
        ({"externalReference": "r", "merchantId": "no-id"}, "/data/attributes/merchantId"),
        ({"externalReference": "r", "merchantId": str(ids.new())}, "/data/attributes/merchantId"),
        ({"externalReference": "r", "amount": 5}, "/data/attributes/amount"),
    ],
)
async def test_a_wrong_reversal_is_told_at_its_place(api: Api, attributes: dict[str, Any], place: str | None) -> None:
    answer = await api.post("payment-intents/reverse", document_of("ReversePayment", **attributes))
    refused(answer, 400, "InvalidRequest", *([] if place is None else [place]))


async def test_a_payment_and_its_reversal_at_once_leave_nothing_taken(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 5000)
    captures = ["automatic", "manual"]
    pairs = [
        (pay(api, wallet_id, 100, externalReference=f"r{n}", capture=captures[n // 2 % 2]), reverse(api, f"r{n}"))
        for n in range(16)
    ]
    answers = await asyncio.gather(*(asyncio.gather(*(pair if n % 2 else pair[::-1])) for n, pair in enumerate(pairs)))
    for n, pair in enumerate(answers):
        paid, back = pair if n % 2 else pair[::-1]
        assert (paid.status, back.attributes["status"]) in {(201, "reversed"), (409, "awaited")}, paid.text
    assert await balance(api, wallet_id) == (5000, 0)
    assert await payable(runtime, api) == 0


async def test_reversals_at_once_take_back_once(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await taken(api, wallet_id, 400, externalReference=REFERENCE)
    answers = await asyncio.gather(*(reverse(api, REFERENCE) for _ in range(10)))
    assert {(answer.status, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert await balance(api, wallet_id) == (500, 0)
    assert len(await topics(api, intent_id)) == 2


async def test_a_reversal_and_a_capture_at_once_leave_nothing_taken(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 2000)
    made = [(await held(api, wallet_id, 100, externalReference=f"r{n}"), f"r{n}") for n in range(10)]
    answers = await asyncio.gather(
        *(asyncio.gather(capture(api, intent_id, 60), reverse(api, name)) for intent_id, name in made)
    )
    assert all(back.attributes["status"] == "reversed" for _, back in answers)
    assert all(back.attributes["reversedAmount"] == (60 if took.status == 200 else 100) for took, back in answers)
    assert await balance(api, wallet_id) == (2000, 0)
    assert await payable(runtime, api) == 0
