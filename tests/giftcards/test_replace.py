"""Replacing cards: a new number takes over, and the old one is dead."""

import asyncio
from typing import Any

import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.giftcards import codes
from tests.api import Api, document_of
from tests.giftcards.cast import issued, lots_of, rows, show
from tests.giftcards.hands import look_up
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
from tests.rewards.cast import advance, another_client, header, refused, story


async def test_a_new_card_takes_over_and_the_old_number_is_dead(api: Api) -> None:
    old = await issued(api, 900, pin=True, externalReference="order-1")
    answer = await done(api, old.data["id"], "replace", reason="lost")
    fresh, was = answer.attributes, old.attributes
    assert answer.status == 201
    assert header(answer, "location") == f"/api/v1/gift-cards/{answer.data['id']}"
    assert codes.canonical(fresh["code"]) is not None
    assert (fresh["code"] != was["code"], fresh["pin"] != was["pin"], fresh["hasPin"]) == (True, True, True)
    assert (fresh["status"], fresh["replaces"], fresh["externalReference"]) == ("active", old.data["id"], "order-1")
    assert fresh["balance"] == {"available": 900, "held": 0}
    left = await show(api, old.data["id"])
    assert (left["status"], left["reason"], left["replacedBy"]) == ("replaced", "lost", answer.data["id"])
    assert left["balance"] == {"available": 0, "held": 0}
    assert (await look_up(api, fresh["code"], fresh["pin"])).status == 200
    assert (await look_up(api, was["code"], was["pin"])).status != 200
    assert await told(api, old.data["id"]) == [("issue", 900, 900), ("replace", -900, 0)]
    assert await told(api, answer.data["id"]) == [("replace", 900, 900)]
    assert [topic for topic, _, _ in await story(api, old.data["id"])] == ["gift_card.issued", "gift_card.replaced"]
    assert [topic for topic, _, _ in await story(api, answer.data["id"])] == ["gift_card.issued"]


async def test_every_lot_moves_with_its_class_its_funder_and_its_expiry(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    card_id = await new(api, 900, expiresAt="2040-01-01T00:00:00.000Z")
    await done(api, card_id, "adjust", amount=70, reason="complimentary")
    before = {
        (lot.lot_class, lot.funder_id, lot.expires_at, lot.available) for lot in await _lots(runtime, api, card_id)
    }
    fresh = str((await done(api, card_id, "replace", reason="damaged")).data["id"])
    after = {(lot.lot_class, lot.funder_id, lot.expires_at, lot.available) for lot in await _lots(runtime, api, fresh)}
    assert (after, len(after)) == (before, 2)
    assert await _lots(runtime, api, card_id) == []
    assert (await show(api, fresh))["expiresAt"] == "2040-01-01T00:00:00.000Z"
    assert await journals(runtime, api, "card.replace") == [
        [("card.lot", -900), ("card.lot", -70), ("card.lot", 70), ("card.lot", 900)]
    ]
    await check_cards(auditor, api.tenant)


async def test_the_new_number_is_shown_again_for_a_day(api: Api, runtime: Runtime) -> None:
    card_id = (await issued(api, 900, pin=True)).data["id"]
    first = await do(api, card_id, "replace", key="r-1", reason="lost")
    assert (await do(api, card_id, "replace", key="r-1", reason="lost")).text == first.text
    refused(await do(api, card_id, "replace", key="r-1", reason="stolen"), 409, "IdempotencyConflict")
    refused(await do(api, card_id, "replace", reason="lost"), 409, "InvalidState")
    await advance(api, "PT23H59M")
    assert (await do(api, card_id, "replace", key="r-1", reason="lost")).text == first.text
    await advance(api, "PT1M")
    late = await do(api, card_id, "replace", key="r-1", reason="lost")
    assert (late.status, late.attributes["code"], late.attributes["pin"]) == (201, None, None)
    assert late.attributes == {**first.attributes, "code": None, "pin": None}
    walled = await another_client(runtime, api, merchant_ids=(ids.new(),))
    refused(await do(walled, card_id, "replace", key="r-1", reason="lost"), 409, "IdempotencyConflict")


async def test_the_new_number_is_nowhere_in_the_clear(api: Api, runtime: Runtime) -> None:
    answer = await done(api, await new(api, pin=True), "replace", reason="compromised")
    code, pin = answer.attributes["code"], answer.attributes["pin"]
    for table in ("gift_cards", "gift_card_activities", "events", "idempotency_keys", "request_log"):
        kept = str(await rows(runtime, api, f"select to_jsonb(t)::text from {table} as t where t.tenant_id = $1"))
        assert code not in kept and code.replace("-", "") not in kept and f'"{pin}"' not in kept, table


@pytest.mark.parametrize("state", ["pending", "depleted"])
async def test_the_new_card_is_in_the_state_of_the_old_one(api: Api, state: str) -> None:
    card_id = await in_state(api, state)
    fresh = (await done(api, card_id, "replace", reason="damaged")).attributes
    assert (fresh["status"], fresh["activatedAt"] is None) == (state, state == "pending")


async def test_a_frozen_card_is_replaced_where_it_was_lost_and_not_where_it_is_suspect(api: Api) -> None:
    lost, suspect = await in_state(api, "frozen"), await new(api)
    assert (await done(api, lost, "replace", reason="lost")).attributes["status"] == "active"
    await done(api, suspect, "freeze", reason="suspected_fraud")
    refused(await do(api, suspect, "replace", reason="lost"), 409, "InvalidState")
    assert await status_of(api, suspect) == "frozen"


async def test_what_payments_hold_has_to_end_first(api: Api) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 100, "manual")
    answer = await do(api, card_id, "replace", reason="lost")
    refused(answer, 409, "ValueHeld")
    assert "Freeze it" in answer.body["errors"][0]["detail"]
    await settle(api, intent_id, "cancel")
    assert (await done(api, card_id, "replace", reason="lost")).attributes["balance"]["available"] == 900


async def test_a_refund_goes_to_the_card_that_took_over(api: Api) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 400)
    fresh = str((await done(api, card_id, "replace", reason="lost")).data["id"])
    await settle(api, intent_id, "refund")
    assert (await balance_of(api, fresh), await balance_of(api, card_id)) == ((900, 0), (0, 0))


async def test_replacing_and_paying_at_once_neither_lose_nor_double_anything(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    for _ in range(4):
        card_id = await new(api, 900)
        wanted = document_of(
            "PaymentIntent", amount=300, idempotencyKey=str(ids.new()), sources=[{"giftCardId": card_id}]
        )
        paid, replaced = await asyncio.gather(
            api.post("payment-intents", wanted), do(api, card_id, "replace", reason="stolen")
        )
        assert replaced.status == 201
        left = 600 if paid.status == 201 else 900
        assert await balance_of(api, str(replaced.data["id"])) == (left, 0)
        assert await balance_of(api, card_id) == (0, 0)
    await check_cards(auditor, api.tenant)


async def test_of_many_who_replace_at_once_one_gets_the_new_card(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    answers = await asyncio.gather(*(do(api, card_id, "replace", reason="lost") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    assert (await rows(runtime, api, "select count(*) from gift_cards where tenant_id = $1")) == [(2,)]


@pytest.mark.parametrize("reason", ["", "worn", None, 7, ["lost"]])
async def test_replacing_needs_a_reason_of_the_list(api: Api, reason: Any) -> None:
    card_id = await new(api)
    assert (await do(api, card_id, "replace", reason=reason)).status == 400
    assert await status_of(api, card_id) == "active"


async def _lots(runtime: Runtime, api: Api, card_id: str) -> Any:
    return await lots_of(runtime, api, card_id)
