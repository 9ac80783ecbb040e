"""Activating, freezing and unfreezing cards."""

import asyncio
from typing import Any, Final

import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join
from tests.giftcards.cast import show
from tests.giftcards.living import balance_of, do, done, in_state, new, pay, settle, status_of, told
from tests.rewards.cast import another_client, refused, story


async def test_a_card_that_waits_is_activated_and_can_be_spent(api: Api) -> None:
    card_id = await new(api, 900, activate=False)
    refused(await _spend(api, card_id, 100), 409, "SourceNotUsable")
    answer = await done(api, card_id, "activate")
    assert (answer.attributes["status"], answer.attributes["activatedAt"]) == ("active", "2026-03-02T09:00:00.000Z")
    await pay(api, card_id, 100)
    assert await told(api, card_id) == [("issue", 900, 900), ("activate", 0, 900), ("redeem", -100, 800)]


async def test_a_frozen_card_lets_nothing_in_and_nothing_out(api: Api) -> None:
    card_id = await new(api, 900)
    answer = await done(api, card_id, "freeze", reason="stolen")
    assert (answer.attributes["status"], answer.attributes["reason"]) == ("frozen", "stolen")
    refused(await _spend(api, card_id, 100), 409, "SourceNotUsable")
    refused(await do(api, card_id, "load", amount=100), 409, "InvalidState")
    answer = await done(api, card_id, "unfreeze", reason="found")
    assert (answer.attributes["status"], answer.attributes["reason"]) == ("active", "found")
    await pay(api, card_id, 100)
    assert [(topic, number) for topic, number, _ in await story(api, card_id)][1:3] == [
        ("gift_card.frozen", 2),
        ("gift_card.unfrozen", 3),
    ]


async def test_unfreezing_needs_no_body(api: Api) -> None:
    card_id = await in_state(api, "frozen")
    assert (await done(api, card_id, "unfreeze")).attributes["reason"] == "cleared"


async def test_a_card_is_unfrozen_to_the_state_it_was_in(api: Api) -> None:
    for state in ("pending", "active", "depleted"):
        card_id = await in_state(api, state)
        await done(api, card_id, "freeze", reason="customer_request")
        assert (await done(api, card_id, "unfreeze")).attributes["status"] == state


async def test_what_a_payment_holds_stays_held_while_the_card_is_frozen(api: Api) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 900, "manual")
    await done(api, card_id, "freeze", reason="suspected_fraud")
    assert await balance_of(api, card_id) == (0, 900)
    await settle(api, intent_id, "capture")
    assert await status_of(api, card_id) == "frozen"
    assert (await done(api, card_id, "unfreeze")).attributes["status"] == "depleted"


async def test_freezing_and_loading_at_once_end_as_one_after_the_other(api: Api) -> None:
    for _ in range(5):
        card_id = await new(api, 900)
        loaded, frozen = await asyncio.gather(
            do(api, card_id, "load", amount=100), do(api, card_id, "freeze", reason="lost")
        )
        assert frozen.status == 200
        assert await balance_of(api, card_id) == (1000 if loaded.status == 200 else 900, 0)
        lines = [kind for kind, _, _ in await told(api, card_id)]
        assert lines == (["issue", "load", "freeze"] if loaded.status == 200 else ["issue", "freeze"])


async def test_of_two_who_freeze_at_once_one_is_told_that_it_is_frozen(api: Api) -> None:
    card_id = await new(api, 900)
    answers = await asyncio.gather(*(do(api, card_id, "freeze", reason="lost") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    assert len(await told(api, card_id)) == 2


@pytest.mark.parametrize(
    "sent", [{}, {"reason": "because"}, {"reason": None}, {"reason": ["lost"]}, {"reason": "LOST"}]
)
async def test_freezing_needs_a_reason_of_the_list(api: Api, sent: dict[str, object]) -> None:
    card_id = await new(api)
    answer = await api.post(f"gift-cards/{card_id}/freeze", document_of("FreezeGiftCard", **sent))
    assert answer.status == 400, answer.text
    assert await status_of(api, card_id) == "active"


VERBS: Final[dict[str, dict[str, Any]]] = {
    "activate": {},
    "load": {"amount": 1},
    "adjust": {"amount": 1, "reason": "complimentary"},
    "freeze": {"reason": "lost"},
    "unfreeze": {"reason": "found"},
    "replace": {"reason": "lost"},
    "cancel": {"reason": "customer_request", "refund": True},
    "charge-back": {"externalReference": "x"},
    "cash-out": {},
}


@pytest.mark.parametrize("verb", VERBS)
async def test_somebody_elses_card_is_missing_like_one_that_is_unknown(api: Api, runtime: Runtime, verb: str) -> None:
    card_id = await new(api)
    told_before = await told(api, card_id)
    elsewhere = await join(runtime, api.session, api.base_url)
    beside = await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme")
    walled = await another_client(runtime, api, merchant_ids=(ids.new(),))
    unknown = await do(api, str(ids.new()), verb, **VERBS[verb])
    refused(unknown, 404, "NotFound")
    for stranger in (elsewhere, beside, walled):
        answer = await do(stranger, card_id, verb, **VERBS[verb])
        refused(answer, 404, "NotFound")
        assert answer.body["errors"][0]["detail"] == unknown.body["errors"][0]["detail"]
    refused(await do(api, "not-an-id", verb, **VERBS[verb]), 404, "NotFound")
    assert (await told(api, card_id), (await show(api, card_id))["status"]) == (told_before, "active")


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_needs_its_scope_and_its_own_type(api: Api, runtime: Runtime, verb: str) -> None:
    card_id = await new(api)
    reader = await another_client(runtime, api, scopes=frozenset({"gift-cards:read"}))
    refused(await do(reader, card_id, verb, **VERBS[verb]), 403, "InsufficientScope")
    answer = await api.post(f"gift-cards/{card_id}/{verb}", document_of("GiftCard", **VERBS[verb]))
    refused(answer, 409, "TypeConflict")
    answer = await api.post(f"gift-cards/{card_id}/{verb}", document_of(_kind(verb), **VERBS[verb], colour="red"))
    assert answer.status == 400, answer.text
    assert await told(api, card_id) == [("issue", 900, 900)]


def _kind(verb: str) -> str:
    return "".join(word.title() for word in verb.split("-")) + "GiftCard"


async def _spend(api: Api, card_id: str, amount: int) -> Answer:
    document = document_of(
        "PaymentIntent", amount=amount, idempotencyKey=str(ids.new()), sources=[{"giftCardId": card_id}]
    )
    return await api.post("payment-intents", document)
