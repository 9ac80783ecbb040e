"""Paying out the rest of a card, where the law asks for it."""

import asyncio

import pytest

from tallystick.base.work import Runtime
from tests.api import Api
from tests.giftcards.cast import books, lots_of
from tests.giftcards.living import balance_of, do, done, journals, new, pay, settle, status_of, told
from tests.rewards.cast import advance, configure, refused, story


@pytest.fixture
async def california(api: Api, runtime: Runtime) -> Api:
    """Café Luna is in California."""
    await configure(runtime, api, region="US-CA")
    return api


async def test_less_than_ten_dollars_are_paid_out_in_california(california: Api, runtime: Runtime) -> None:
    card_id = await new(california, 1999)
    await pay(california, card_id, 1000)
    answer = await done(california, card_id, "cash-out")
    assert (answer.attributes["status"], answer.attributes["reason"]) == ("depleted", "cashed_out")
    assert await books(runtime, california, "merchant.cash_out") == 999
    assert await journals(runtime, california, "card.cash_out") == [[("card.lot", -999), ("merchant.cash_out", 999)]]
    assert (await told(california, card_id))[2:] == [("cash_out", -999, 0), ("deplete", 0, 0)]
    assert [topic for topic, _, _ in await story(california, card_id)][2:] == [
        "gift_card.cashed_out",
        "gift_card.depleted",
    ]


async def test_from_april_2026_it_is_less_than_fifteen(california: Api) -> None:
    ten, fourteen, fifteen = await new(california, 1000), await new(california, 1499), await new(california, 1500)
    refused(await do(california, ten, "cash-out"), 409, "CashOutNotAllowed")
    # The first of April begins at seven in the morning, by UTC.
    await advance(california, "P29DT21H59M")
    refused(await do(california, ten, "cash-out"), 409, "CashOutNotAllowed")
    await advance(california, "PT1M")
    await done(california, ten, "cash-out")
    await done(california, fourteen, "cash-out")
    refused(await do(california, fifteen, "cash-out"), 409, "CashOutNotAllowed")


async def test_elsewhere_nothing_is_paid_out(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 1)
    refused(await do(api, card_id, "cash-out"), 409, "CashOutNotAllowed")
    await configure(runtime, api, region="US-NV")
    refused(await do(api, card_id, "cash-out"), 409, "CashOutNotAllowed")
    assert await told(api, card_id) == [("issue", 1, 1)]


async def test_what_was_given_is_not_paid_out_and_stays(california: Api, runtime: Runtime) -> None:
    card_id = await new(california, 900)
    await done(california, card_id, "adjust", amount=5000, reason="complimentary")
    answer = await done(california, card_id, "cash-out")
    assert (answer.attributes["status"], answer.attributes["balance"]["available"]) == ("active", 5000)
    assert [lot.lot_class for lot in await lots_of(runtime, california, card_id)] == ["promotional"]
    refused(await do(california, card_id, "cash-out"), 409, "InvalidState")


async def test_what_payments_hold_has_to_end_first(california: Api) -> None:
    card_id = await new(california, 900)
    intent_id = await pay(california, card_id, 100, "manual")
    refused(await do(california, card_id, "cash-out"), 409, "ValueHeld")
    await settle(california, intent_id, "cancel")
    await done(california, card_id, "cash-out")


async def test_a_card_that_was_paid_out_can_be_loaded_again(california: Api) -> None:
    card_id = await new(california, 900)
    await done(california, card_id, "cash-out")
    await done(california, card_id, "load", amount=100)
    assert (await status_of(california, card_id), await balance_of(california, card_id)) == ("active", (100, 0))


async def test_it_is_paid_out_once(california: Api, runtime: Runtime) -> None:
    card_id = await new(california, 900)
    answers = await asyncio.gather(*(do(california, card_id, "cash-out") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    first = await do(california, await new(california, 900), "cash-out", key="c-1")
    assert first.status == 200
    assert await books(runtime, california, "merchant.cash_out") == 1800
