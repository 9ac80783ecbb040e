"""Cancelling cards, and refunding their purchase."""

import asyncio
from typing import Any

import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api
from tests.giftcards.cast import books, lots_of, show
from tests.giftcards.living import (
    balance_of,
    check_cards,
    do,
    done,
    in_state,
    journals,
    new,
    pay,
    settle,
    status_of,
    told,
)
from tests.rewards.cast import configure, left, refused, story


async def _cancel(api: Api, card_id: str, reason: str = "customer_request", **more: Any) -> Any:
    return await do(api, card_id, "cancel", reason=reason, **more)


async def test_a_refund_returns_what_is_unspent_to_the_buyer(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    await pay(api, card_id, 300)
    answer = await done(api, card_id, "cancel", reason="customer_request", refund=True)
    assert (answer.attributes["status"], answer.attributes["reason"]) == ("cancelled", "customer_request")
    assert answer.attributes["balance"] == {"available": 0, "held": 0}
    assert await books(runtime, api, "merchant.sales") == -300
    assert await journals(runtime, api, "card.refund_purchase") == [[("card.lot", -600), ("merchant.sales", 600)]]
    assert await told(api, card_id) == [
        ("issue", 900, 900),
        ("redeem", -300, 600),
        ("refund_purchase", -600, 0),
        ("cancel", 0, 0),
    ]
    assert [topic for topic, _, _ in await story(api, card_id)][2:] == ["gift_card.refunded", "gift_card.cancelled"]


async def test_what_was_given_returns_to_whoever_gave_it(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, credit_limit=10_000)
    card_id = await new(api, 900, valueClass="promotional")
    assert await left(runtime, api) == 9100
    await done(api, card_id, "cancel", reason="issued_in_error")
    assert await left(runtime, api) == 10_000
    mixed = await new(api, 900)
    await done(api, mixed, "adjust", amount=50, reason="complimentary")
    await done(api, mixed, "cancel", reason="customer_request", refund=True)
    assert (await books(runtime, api, "merchant.adjustments"), await books(runtime, api, "merchant.sales")) == (0, 0)


async def test_what_was_paid_for_is_never_just_taken_away(api: Api) -> None:
    card_id = await new(api, 900)
    refused(await _cancel(api, card_id), 409, "InvalidState", "/data/attributes/refund")
    refused(await _cancel(api, card_id, refund=False), 409, "InvalidState", "/data/attributes/refund")
    assert await told(api, card_id) == [("issue", 900, 900)]
    await pay(api, card_id, 900)
    assert (await done(api, card_id, "cancel", reason="customer_request")).attributes["status"] == "cancelled"


async def test_what_payments_hold_has_to_end_first(api: Api) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 100, "manual")
    refused(await _cancel(api, card_id, refund=True), 409, "ValueHeld")
    await settle(api, intent_id, "capture")
    assert (await _cancel(api, card_id, refund=True)).status == 200


@pytest.mark.parametrize("state", ["pending", "frozen"])
async def test_a_card_is_cancelled_whatever_it_waits_for(api: Api, runtime: Runtime, state: str) -> None:
    card_id = await in_state(api, state)
    await done(api, card_id, "cancel", reason="suspected_fraud", refund=True)
    assert (await status_of(api, card_id), await lots_of(runtime, api, card_id)) == ("cancelled", [])


async def test_a_cancelled_card_stays_cancelled(api: Api) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 300)
    await done(api, card_id, "cancel", reason="purchase_refunded", refund=True)
    refused(await api.post(f"payment-intents/{intent_id}/refund"), 409, "SourceClosed")
    assert (await show(api, card_id))["status"] == "cancelled"


async def test_cancelling_and_loading_at_once_end_as_one_after_the_other(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    for _ in range(4):
        card_id = await new(api, 900)
        cancelled, loaded = await asyncio.gather(
            _cancel(api, card_id, refund=True), do(api, card_id, "load", amount=100)
        )
        assert cancelled.status == 200
        assert loaded.status in (200, 409)
        assert await balance_of(api, card_id) == (0, 0)
    assert await books(runtime, api, "merchant.sales") == 0
    await check_cards(auditor, api.tenant)


@pytest.mark.parametrize(
    "sent", [{"reason": "no"}, {"refund": True}, {"reason": "customer_request", "refund": "yes"}, {"reason": None}]
)
async def test_cancelling_needs_a_reason_of_the_list(api: Api, sent: dict[str, Any]) -> None:
    card_id = await new(api)
    assert (await do(api, card_id, "cancel", **sent)).status == 400
    assert await status_of(api, card_id) == "active"
