"""Giving back what a gift card gave: it can be spent again, wherever its value lives now."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from tallystick.base import clock as clocks
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api
from tests.giftcards.cast import show
from tests.giftcards.living import do, done
from tests.payments.changes import (
    capture,
    card_with,
    lots_of,
    pay_from,
    payable,
    refund,
    shown,
    till,
)
from tests.rewards.cast import advance, refused


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


async def test_a_card_gets_back_what_it_gave_and_can_be_spent_again(api: Api, runtime: Runtime) -> None:
    card_id = await card_with(api, 500)
    answer = await pay_from(api, [{"giftCardId": card_id}], 500, capture="automatic")
    assert (await show(api, card_id))["status"] == "depleted"
    found = (await refund(api, answer.data["id"], 200)).attributes
    assert (found["refundedAmount"], found["tender"], found["discount"]) == (200, 500, 0)
    assert (await show(api, card_id))["status"] == "active"
    await pay_from(api, [{"giftCardId": card_id}], 200, capture="automatic")
    assert (await show(api, card_id))["status"] == "depleted"


async def test_a_capture_tells_the_card(api: Api, runtime: Runtime) -> None:
    card_id = await card_with(api, 500)
    first = (await pay_from(api, [{"giftCardId": card_id}], 500)).data["id"]
    assert (await show(api, card_id))["status"] == "active"
    await capture(api, first, 300)
    second = (await pay_from(api, [{"giftCardId": card_id}], 200)).data["id"]
    await capture(api, second)
    assert (await show(api, card_id))["status"] == "depleted"
    await refund(api, first, 50)
    assert (await show(api, card_id))["status"] == "active"
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select kind, amount, balance_after from gift_card_activities where tenant_id = $1 and card_id = $2"
            " and kind <> 'issue' order by sequence",
            api.tenant.id,
            card_id,
        )
    assert [tuple(row) for row in rows] == [
        ("redeem", -300, 200),
        ("redeem", -200, 0),
        ("deplete", 0, 0),
        ("refund", 50, 50),
    ]


async def test_a_frozen_card_gets_back_what_is_its_holders(api: Api, runtime: Runtime) -> None:
    card_id = await card_with(api, 500)
    intent_id = (await pay_from(api, [{"giftCardId": card_id}], 400, capture="automatic")).data["id"]
    await done(api, card_id, "freeze", reason="lost")
    assert (await refund(api, intent_id, 150)).status == 200
    assert (await show(api, card_id))["status"] == "frozen"
    assert [lot[:2] for lot in await lots_of(runtime, api, card_id)] == [(250, 0)]


async def test_a_replaced_cards_value_goes_to_the_one_behind_it(api: Api, runtime: Runtime) -> None:
    first = await card_with(api, 500)
    intent_id = (await pay_from(api, [{"giftCardId": first}], 400, capture="automatic")).data["id"]
    second = (await done(api, first, "replace", reason="lost")).data["id"]
    third = (await done(api, second, "replace", reason="damaged")).data["id"]
    await refund(api, intent_id, 300)
    assert [(await show(api, card_id))["status"] for card_id in (first, second, third)] == [
        "replaced",
        "replaced",
        "active",
    ]
    assert [lot[0] for lot in await lots_of(runtime, api, first)] == [0]
    assert [lot[0] for lot in await lots_of(runtime, api, second)] == [0]
    assert [(lot[0], lot[2]) for lot in await lots_of(runtime, api, third)] == [(100, "paid"), (300, "paid")]
    await pay_from(api, [{"giftCardId": third}], 400, capture="automatic")


async def test_refunds_and_replacements_at_once_lose_nothing(api: Api, runtime: Runtime) -> None:
    card_id = await card_with(api, 500)
    intent_id = (await pay_from(api, [{"giftCardId": card_id}], 400, capture="automatic")).data["id"]
    *_, replaced = await asyncio.gather(
        *(refund(api, intent_id, 50) for _ in range(4)), do(api, card_id, "replace", reason="lost")
    )
    refunded = (await shown(api, intent_id))["refundedAmount"]
    assert refunded == 200
    assert sum(lot[0] for lot in await lots_of(runtime, api, card_id)) == 0
    assert sum(lot[0] for lot in await lots_of(runtime, api, replaced.data["id"])) == 300


async def test_a_cancelled_card_gets_nothing_back(api: Api, runtime: Runtime) -> None:
    card_id = await card_with(api, 500)
    intent_id = (await pay_from(api, [{"giftCardId": card_id}], 500, capture="automatic")).data["id"]
    await done(api, card_id, "cancel", reason="customer_request")
    refused(await refund(api, intent_id), 409, "SourceClosed")
    assert await payable(runtime, api) == 500


async def test_an_expired_card_can_be_spent_again_as_long_as_the_grace_lasts(api: Api, runtime: Runtime) -> None:
    until = clocks.render(world.T0 + timedelta(days=2000))
    card_id = await card_with(api, 500, expiresAt=until)
    intent_id = (await pay_from(api, [{"giftCardId": card_id}], 400, capture="automatic")).data["id"]
    await advance(api, "P2001D")
    assert (await show(api, card_id))["status"] == "expired"
    await refund(api, intent_id, 150)
    assert (await show(api, card_id))["status"] == "active"
    await pay_from(api, [{"giftCardId": card_id}], 150, capture="automatic")
