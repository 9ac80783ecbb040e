"""Corrections of a card's balance, and the second person."""

import asyncio
from typing import Any

import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join
from tests.giftcards.cast import books, lots_of, show
from tests.giftcards.living import (
    balance_of,
    check_cards,
    decide,
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
from tests.rewards.cast import another_client, configure, header, refused, story


async def _adjust(api: Api, card_id: str, amount: int, reason: str = "support_issue", **more: Any) -> Any:
    return await do(api, card_id, "adjust", amount=amount, reason=reason, **more)


async def test_up_to_the_limit_a_correction_is_done_at_once(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=500)
    card_id = await new(api, 900)
    answer = await _adjust(api, card_id, 500, "complimentary")
    assert answer.status == 202
    assert (answer.attributes["status"], answer.attributes["giftCardId"]) == ("approved", card_id)
    assert answer.attributes["askedBy"] == answer.attributes["decidedBy"] == api.client_id
    assert header(answer, "location") == f"/api/v1/gift-card-adjustments/{answer.data['id']}"
    assert await balance_of(api, card_id) == (1400, 0)
    assert {(lot.lot_class, lot.available) for lot in await lots_of(runtime, api, card_id)} == {
        ("paid", 900),
        ("promotional", 500),
    }
    assert await journals(runtime, api, "card.adjust") == [[("card.lot", 500), ("merchant.adjustments", -500)]]
    # What was given is taken off first; what was paid for behind it.
    assert (await _adjust(api, card_id, -500)).status == 202
    assert [lot.lot_class for lot in await lots_of(runtime, api, card_id)] == ["paid"]
    assert await books(runtime, api, "merchant.adjustments") == 0
    assert await told(api, card_id) == [("issue", 900, 900), ("adjust", 500, 1400), ("adjust", -500, 900)]


async def test_without_a_limit_every_correction_is_done_at_once(api: Api) -> None:
    card_id = await new(api, 900)
    assert (await _adjust(api, card_id, 2**31 - 1)).attributes["status"] == "approved"


async def test_paid_value_can_be_restored(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    await done(api, card_id, "adjust", amount=50, reason="transaction_voided", valueClass="paid")
    assert {lot.lot_class for lot in await lots_of(runtime, api, card_id)} == {"paid"}


async def test_above_the_limit_another_client_has_to_approve(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=500)
    card_id = await new(api, 900)
    asked = await _adjust(api, card_id, 501)
    assert (asked.status, asked.attributes["status"], asked.attributes["decidedBy"]) == (202, "pending", None)
    assert await balance_of(api, card_id) == (900, 0)
    adjustment_id = asked.data["id"]
    refused(await decide(api, adjustment_id, "approve"), 409, "SecondPersonNeeded")
    refused(await decide(api, adjustment_id, "reject"), 409, "SecondPersonNeeded")
    second = await another_client(runtime, api)
    answer = await decide(second, adjustment_id, "approve", key="a-1")
    assert (answer.attributes["status"], answer.attributes["decidedBy"]) == ("approved", second.client_id)
    assert await balance_of(api, card_id) == (1401, 0)
    assert (await decide(second, adjustment_id, "approve", key="a-1")).text == answer.text
    refused(await decide(second, adjustment_id, "approve"), 409, "InvalidState")
    refused(await decide(second, adjustment_id, "reject"), 409, "InvalidState")
    assert await balance_of(api, card_id) == (1401, 0)
    shown = await api.get(f"gift-card-adjustments/{adjustment_id}")
    assert shown.attributes == answer.attributes
    assert [topic for topic, _, _ in await story(api, card_id)] == ["gift_card.issued", "gift_card.adjusted"]


async def test_a_decrease_above_the_limit_waits_too(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=0)
    card_id = await new(api, 900)
    asked = await _adjust(api, card_id, -900, "suspicious_activity")
    assert asked.attributes["status"] == "pending"
    second = await another_client(runtime, api)
    assert (await decide(second, asked.data["id"], "approve")).status == 200
    assert await status_of(api, card_id) == "depleted"
    assert (await show(api, card_id))["reason"] == "suspicious_activity"


async def test_a_rejected_correction_never_happens(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=0)
    card_id = await new(api, 900)
    adjustment_id = (await _adjust(api, card_id, 100)).data["id"]
    second = await another_client(runtime, api)
    answer = await decide(second, adjustment_id, "reject")
    assert (answer.attributes["status"], answer.attributes["decidedBy"]) == ("rejected", second.client_id)
    refused(await decide(second, adjustment_id, "approve"), 409, "InvalidState")
    assert await told(api, card_id) == [("issue", 900, 900)]


async def test_of_many_approvers_at_once_one_carries_it_out(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=0)
    card_id = await new(api, 900)
    adjustment_id = (await _adjust(api, card_id, 100)).data["id"]
    seconds = [await another_client(runtime, api) for _ in range(3)]
    answers = await asyncio.gather(*(decide(one, adjustment_id, "approve") for one in seconds * 2))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert await balance_of(api, card_id) == (1000, 0)


async def test_what_is_approved_later_has_to_fit_the_card_as_it_is_then(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=0)
    card_id = await new(api, 900)
    adjustment_id = (await _adjust(api, card_id, -900)).data["id"]
    second = await another_client(runtime, api)
    await pay(api, card_id, 100)
    refused(await decide(second, adjustment_id, "approve"), 400, "InvalidRequest")
    await done(api, card_id, "freeze", reason="lost")
    refused(await decide(second, adjustment_id, "approve"), 409, "InvalidState")
    assert (await api.get(f"gift-card-adjustments/{adjustment_id}")).attributes["status"] == "pending"


async def test_no_more_is_taken_off_than_is_available(api: Api, auditor: Db) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 400, "manual")
    refused(await _adjust(api, card_id, -501), 400, "InvalidRequest", "/data/attributes/amount")
    assert (await _adjust(api, card_id, -500)).status == 202
    assert (await balance_of(api, card_id), await status_of(api, card_id)) == ((0, 400), "active")
    await settle(api, intent_id, "cancel")
    assert (await _adjust(api, card_id, -400)).status == 202
    assert await status_of(api, card_id) == "depleted"
    assert [kind for kind, _, _ in await told(api, card_id)] == ["issue", "adjust", "adjust", "deplete"]
    await check_cards(auditor, api.tenant)


async def test_an_increase_keeps_to_the_most_a_card_may_hold_and_revives_a_depleted_one(
    api: Api, runtime: Runtime
) -> None:
    await configure(runtime, api, card_maximum=1000)
    card_id = await in_state(api, "depleted")
    refused(await _adjust(api, card_id, 1001), 400, "InvalidRequest", "/data/attributes/amount")
    assert (await _adjust(api, card_id, 1000)).status == 202
    assert (await show(api, card_id))["reason"] == "support_issue"
    assert await status_of(api, card_id) == "active"


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (0, "support_issue"),
        (5, "suspicious_activity"),
        (5, "purchase_was_refunded"),
        (-5, "complimentary"),
        (-5, "transaction_voided"),
        (5, "whatever"),
        (5, None),
        ("5", "support_issue"),
        (5.5, "support_issue"),
        (2**31, "support_issue"),
        (-(2**31), "support_issue"),
    ],
)
async def test_amounts_and_reasons_have_to_fit_each_other(api: Api, amount: Any, reason: Any) -> None:
    card_id = await new(api, 900)
    answer = await do(api, card_id, "adjust", amount=amount, reason=reason)
    assert answer.status == 400, answer.text
    assert await told(api, card_id) == [("issue", 900, 900)]


async def test_adjustments_of_others_are_missing(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=0)
    adjustment_id = (await _adjust(api, await new(api), 100)).data["id"]
    elsewhere = await join(runtime, api.session, api.base_url)
    beside = await join(runtime, api.session, api.base_url, tenant=api.tenant)
    walled = await another_client(runtime, api, merchant_ids=(ids.new(),))
    for stranger in (elsewhere, beside, walled):
        refused(await stranger.get(f"gift-card-adjustments/{adjustment_id}"), 404, "NotFound")
        refused(await decide(stranger, adjustment_id, "approve"), 404, "NotFound")
        assert (await stranger.get("gift-card-adjustments")).data == []
    seeing = await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme")
    assert (await seeing.get(f"gift-card-adjustments/{adjustment_id}")).status == 200
    refused(await decide(seeing, adjustment_id, "approve"), 404, "NotFound")
    refused(await decide(api, "nothing", "approve"), 404, "NotFound")


async def test_approving_needs_its_own_scope(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=0)
    adjustment_id = (await _adjust(api, await new(api), 100)).data["id"]
    second = await another_client(runtime, api, scopes=frozenset({"gift-cards:write"}))
    refused(await decide(second, adjustment_id, "approve"), 403, "InsufficientScope")


async def test_adjustments_are_listed_by_card_and_status(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=50)
    one, other = await new(api), await new(api)
    for card_id, amount in ((one, 10), (one, 100), (other, 100)):
        await done(api, card_id, "adjust", amount=amount, reason="complimentary")

    async def amounts(query: str) -> list[int]:
        return [each["attributes"]["amount"] for each in (await api.get(f"gift-card-adjustments{query}")).data]

    assert await amounts("") == [100, 100, 10]
    assert await amounts(f"?filter[giftCardId]={one}") == [100, 10]
    assert await amounts("?filter[status]=pending") == [100, 100]
    assert await amounts(f"?filter[giftCardId]={one}&filter[status]=approved") == [10]
    assert await amounts("?page[limit]=1&page[offset]=2") == [10]
    refused(await api.get("gift-card-adjustments?filter[status]=done"), 400, "InvalidRequest", "filter[status]")
    refused(await api.get("gift-card-adjustments?filter[giftCardId]=x"), 400, "InvalidRequest", "filter[giftCardId]")


async def test_the_decision_takes_its_own_document_or_none(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, adjust_maximum=0)
    adjustment_id = (await _adjust(api, await new(api), 100)).data["id"]
    second = await another_client(runtime, api)
    wrong = await second.post(f"gift-card-adjustments/{adjustment_id}/approve", document_of("RejectGiftCardAdjustment"))
    refused(wrong, 409, "TypeConflict")
    right = await second.post(
        f"gift-card-adjustments/{adjustment_id}/approve", document_of("ApproveGiftCardAdjustment")
    )
    assert right.status == 200
