"""The purchase of a card is charged back: what is unspent comes back, what was spent is lost, and the card is frozen for good."""

import asyncio
from datetime import timedelta

import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api
from tests.giftcards.cast import books, lots_of, now, show
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
    sweep,
    told,
)
from tests.rewards.cast import advance, refused, story


async def test_an_untouched_card_gives_everything_back(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    answer = await done(api, card_id, "charge-back", externalReference="case-2231")
    assert (answer.attributes["status"], answer.attributes["reason"]) == ("frozen", "charge_back")
    assert answer.attributes["balance"] == {"available": 0, "held": 0}
    assert await journals(runtime, api, "card.charge_back") == [[("card.lot", -900), ("merchant.sales", 900)]]
    assert await told(api, card_id) == [("issue", 900, 900), ("charge_back", -900, 0)]
    [last] = (await api.get(f"gift-cards/{card_id}/activities?page[limit]=1")).data
    assert (last["attributes"]["externalReference"], last["attributes"]["reason"]) == ("case-2231", "charge_back")
    assert [topic for topic, _, _ in await story(api, card_id)] == ["gift_card.issued", "gift_card.charged_back"]


async def test_what_was_spent_is_the_merchants_loss_in_the_same_journal(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    await done(api, card_id, "load", amount=100)
    await pay(api, card_id, 950)
    await done(api, card_id, "charge-back")
    [journal] = await journals(runtime, api, "card.charge_back")
    assert journal == [
        ("card.lot", -50),
        ("merchant.losses", -950),
        ("merchant.sales", 50),
        ("merchant.sales", 950),
    ]
    assert await books(runtime, api, "merchant.sales") == 0


async def test_what_was_given_returns_to_whoever_gave_it(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    await done(api, card_id, "adjust", amount=70, reason="complimentary")
    await done(api, card_id, "adjust", amount=30, reason="transaction_voided", valueClass="paid")
    await done(api, card_id, "charge-back")
    assert await lots_of(runtime, api, card_id) == []
    assert (await books(runtime, api, "merchant.sales"), await books(runtime, api, "merchant.losses")) == (0, 0)
    assert await books(runtime, api, "merchant.adjustments") == 0


async def test_a_depleted_card_is_a_loss_altogether(api: Api, runtime: Runtime) -> None:
    card_id = await in_state(api, "depleted")
    await done(api, card_id, "charge-back")
    assert await books(runtime, api, "merchant.losses") == -900
    assert await status_of(api, card_id) == "frozen"


@pytest.mark.parametrize("ending", ["cancel", "capture"])
async def test_what_was_held_is_taken_when_it_is_free_again(
    api: Api, runtime: Runtime, ending: str, auditor: Db
) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 400, "manual")
    answer = await done(api, card_id, "charge-back")
    assert answer.attributes["balance"] == {"available": 0, "held": 400}
    assert (await books(runtime, api, "merchant.losses"), await sweep(runtime, api.tenant)) == (-400, 0)
    await settle(api, intent_id, ending, 100 if ending == "capture" else None)
    assert await sweep(runtime, api.tenant) == 1
    assert await balance_of(api, card_id) == (0, 0)
    assert await books(runtime, api, "merchant.losses") == (-100 if ending == "capture" else 0)
    assert await sweep(runtime, api.tenant) == 0
    assert (await told(api, card_id))[-1] == ("charge_back", -300 if ending == "capture" else -400, 0)
    await check_cards(auditor, api.tenant)


async def test_what_a_refund_brings_back_is_taken_too(api: Api, runtime: Runtime, auditor: Db) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 400)
    await done(api, card_id, "charge-back")
    assert await books(runtime, api, "merchant.losses") == -400
    await settle(api, intent_id, "refund", 150)
    assert (await balance_of(api, card_id), await status_of(api, card_id)) == ((150, 0), "frozen")
    assert await sweep(runtime, api.tenant) == 1
    assert (await balance_of(api, card_id), await books(runtime, api, "merchant.losses")) == ((0, 0), -250)
    await check_cards(auditor, api.tenant)


async def test_a_sandbox_takes_it_as_its_clock_moves(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    await pay(api, card_id, 400, "manual")
    await done(api, card_id, "charge-back")
    await advance(api, "P8D")
    assert (await balance_of(api, card_id), await books(runtime, api, "merchant.losses")) == ((0, 0), 0)
    assert (await show(api, card_id))["updatedAt"].startswith("2026-03-09")
    assert await now(api) - timedelta(days=8) == runtime.clock()


async def test_a_replaced_card_names_its_successor_whose_purchase_is_the_same(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    card_id = await new(api, 900)
    await pay(api, card_id, 200)
    fresh = str((await done(api, card_id, "replace", reason="lost")).data["id"])
    await done(api, fresh, "load", amount=50)
    answer = await do(api, card_id, "charge-back")
    refused(answer, 409, "InvalidState")
    assert fresh in answer.body["errors"][0]["detail"]
    await done(api, fresh, "charge-back")
    assert (await books(runtime, api, "merchant.sales"), await books(runtime, api, "merchant.losses")) == (0, -200)
    await check_cards(auditor, api.tenant)


async def test_a_card_that_was_given_away_cannot_be_charged_back(api: Api) -> None:
    card_id = await new(api, 900, valueClass="promotional")
    refused(await do(api, card_id, "charge-back"), 409, "InvalidState")
    assert await told(api, card_id) == [("issue", 900, 900)]


async def test_it_stays_frozen_for_good(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900, expiresAt="2031-06-01T00:00:00.000Z")
    await done(api, card_id, "charge-back")
    for verb, attributes in (
        ("unfreeze", {"reason": "cleared"}),
        ("replace", {"reason": "lost"}),
        ("load", {"amount": 1}),
        ("charge-back", {}),
    ):
        refused(await do(api, card_id, verb, **attributes), 409, "InvalidState")
    assert (await show(api, card_id))["expiresAt"] is None
    await advance(api, "P2000D")
    assert await status_of(api, card_id) == "frozen"
    await done(api, card_id, "cancel", reason="suspected_fraud")


async def test_of_many_charge_backs_at_once_one_is_carried_out(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    answers = await asyncio.gather(*(do(api, card_id, "charge-back") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    assert (await books(runtime, api, "merchant.sales"), await books(runtime, api, "merchant.losses")) == (0, 0)


async def test_a_card_frozen_for_another_reason_is_charged_back(api: Api) -> None:
    card_id = await in_state(api, "frozen")
    assert (await done(api, card_id, "charge-back")).attributes["reason"] == "charge_back"


async def test_no_more_is_recovered_than_was_lost(api: Api, runtime: Runtime, auditor: Db) -> None:
    card_id = await new(api, 900)
    await done(api, card_id, "adjust", amount=30, reason="transaction_voided", valueClass="paid")
    intent_id = await pay(api, card_id, 500)
    await done(api, card_id, "charge-back")
    assert await books(runtime, api, "merchant.losses") == -470
    for amount in (300, 200):
        await settle(api, intent_id, "refund", amount)
        await sweep(runtime, api.tenant)
    # What a correction had added returns to where corrections come from.
    assert (await books(runtime, api, "merchant.losses"), await books(runtime, api, "merchant.adjustments")) == (0, 0)
    await check_cards(auditor, api.tenant)
