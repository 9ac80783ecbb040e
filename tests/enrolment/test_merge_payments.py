"""Merged users and their payments: what is held forbids it, what is given back finds the survivor, and tills may be in between."""

import asyncio
from datetime import timedelta
from typing import Any

from tallystick import wallets
from tallystick.base.work import Runtime
from tests import world
from tests.api import Answer, Api, document_of
from tests.conftest import Clock
from tests.enrolment.merge_cast import NOTHING, holder, merge, merged, parted, status, topics, unmerge
from tests.payments.cast import pay
from tests.payments.conftest import api
from tests.rewards.cast import OTHER_PHONE, balance, configure, refused
from tests.wallets.cast import told, until_done

__all__ = ["api"]

MIRA, MIRA_AGAIN = world.MIRA_PHONE, OTHER_PHONE


async def change(api: Api, intent_id: str, verb: str, kind: str, **attributes: Any) -> Answer:
    document = document_of(kind, **attributes) if attributes else None
    return await api.post(f"payment-intents/{intent_id}/{verb}", document)


async def refund(api: Api, intent_id: str, amount: int) -> Answer:
    return await change(api, intent_id, "refund", "RefundPaymentIntent", amount=amount)


async def test_an_authorised_payment_keeps_its_holder_apart_until_it_ends(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    intent = await pay(api, 200, walletId=wallet_id, capture="manual")
    assert intent.status == 201, intent.text
    refused(await merge(api, user_id, into), 409, "ValueHeld")
    assert (await change(api, intent.data["id"], "cancel", "CancelPaymentIntent")).status == 200
    await merged(api, user_id, into)
    assert await balance(api, into_wallet) == {**NOTHING, "available": 500}
    refused(await pay(api, 1, walletId=wallet_id), 409, "SourceNotUsable")


async def test_what_is_given_back_after_a_merge_goes_to_the_survivor_and_after_its_undoing_to_the_first(
    api: Api,
) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    intent_id = (await pay(api, 400, walletId=wallet_id)).data["id"]
    await merged(api, user_id, into)
    assert (await refund(api, intent_id, 150)).status == 200
    assert await balance(api, into_wallet) == {**NOTHING, "available": 250}
    assert await balance(api, wallet_id) == NOTHING
    (part,) = await parted(api, user_id)
    assert part["returnedAmount"] == 100
    assert (await refund(api, intent_id, 250)).status == 200
    assert await balance(api, wallet_id) == {**NOTHING, "available": 350}
    assert await balance(api, into_wallet) == {**NOTHING, "available": 150}


async def test_what_is_given_back_after_the_undoing_of_what_was_spent_while_merged_stays_with_the_survivor(
    api: Api,
) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    await merged(api, user_id, into)
    intent_id = (await pay(api, 400, walletId=into_wallet)).data["id"]
    await parted(api, user_id)
    assert (await refund(api, intent_id, 400)).status == 200
    assert await balance(api, wallet_id) == {**NOTHING, "available": 100}
    assert await balance(api, into_wallet) == {**NOTHING, "available": 400}


async def test_a_merge_and_tills_at_once_lose_nothing(api: Api) -> None:
    for n in range(2):
        phones = f"+1202555016{n}", f"+1202555017{n}"
        user_id, wallet_id = await holder(api, phones[0])
        into, into_wallet = await holder(api, phones[1])
        for phone in phones:
            await api.issue(phone, 300)
        tills = [
            pay(api, 70, walletId=each, capture=capture)
            for each in (wallet_id, into_wallet)
            for capture in ("automatic", "manual", "automatic")
        ]
        answer, paid = await asyncio.gather(merge(api, user_id, into), asyncio.gather(*tills))
        taken = sum(each.attributes["authorizedAmount"] for each in paid if each.status == 201)
        held = await balance(api, wallet_id), await balance(api, into_wallet)
        assert sum(each["available"] for each in held) == 600 - taken
        if answer.status == 200:
            assert held[0] == NOTHING
        else:
            refused(answer, 409, "ValueHeld")
            assert await status(api, wallet_id) == "active"


async def test_undoing_and_tills_at_once_lose_nothing(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    for _ in range(3):
        await api.issue(MIRA, 100)
    await merged(api, user_id, into)
    tills = [pay(api, 40, walletId=each, allowPartial=True) for each in (wallet_id, into_wallet) * 3]
    answer, paid = await asyncio.gather(unmerge(api, user_id), asyncio.gather(*tills))
    assert answer.status == 200
    taken = sum(each.attributes["authorizedAmount"] for each in paid if each.status == 201)
    held = await balance(api, wallet_id), await balance(api, into_wallet)
    assert sum(each["available"] for each in held) == 300 - taken


async def test_a_code_that_was_drawn_before_the_merge_pays_from_the_survivors_wallet(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    code = (await api.post(f"wallets/{wallet_id}/till-codes")).attributes["code"]
    await merged(api, user_id, into)
    assert (await pay(api, 120, code=code)).status == 201
    assert await balance(api, into_wallet) == {**NOTHING, "available": 380}


async def test_two_tills_that_read_one_code_at_once_make_one_payment(api: Api) -> None:
    _, wallet_id = await holder(api, MIRA)
    await api.issue(MIRA, 500)
    code = (await api.post(f"wallets/{wallet_id}/till-codes")).attributes["code"]
    answers = await asyncio.gather(*(pay(api, 100, code=code) for _ in range(5)))
    assert sorted(answer.status == 201 for answer in answers) == [False] * 4 + [True]
    assert await balance(api, wallet_id) == {**NOTHING, "available": 400}


async def test_a_closing_wallet_is_spent_empty_and_then_is_closed(api: Api) -> None:
    _, wallet_id = await holder(api, MIRA)
    await api.issue(MIRA, 500)
    await api.post(f"wallets/{wallet_id}/close")
    refused(await api.issue(MIRA, 1), 409, "WalletNotIssuable")
    assert (await pay(api, 499, walletId=wallet_id)).status == 201
    assert await status(api, wallet_id) == "closing"
    intent = await pay(api, 1, walletId=wallet_id, capture="manual")
    assert (intent.status, await status(api, wallet_id)) == (201, "closing")
    captured = await change(api, intent.data["id"], "capture", "CapturePaymentIntent")
    assert captured.status == 200, captured.text
    assert await status(api, wallet_id) == "closed"
    assert await topics(api, wallet_id) == [("wallet.created", 1), ("wallet.closed", 2)]


async def test_what_a_payment_held_beyond_its_expiry_expires_when_the_payment_is_cancelled(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await configure(runtime, api, value_days=3)
    _, wallet_id = await holder(api, MIRA)
    await api.issue(MIRA, 500)
    intent = await pay(api, 200, walletId=wallet_id, capture="manual")
    clock.move(timedelta(days=4))
    await until_done(runtime, wallets.expire_due)
    assert await balance(api, wallet_id) == {**NOTHING, "held": 200}
    assert (await change(api, intent.data["id"], "cancel", "CancelPaymentIntent")).status == 200
    assert await balance(api, wallet_id) == NOTHING
    await until_done(runtime, wallets.expire_due)
    expiry = "2026-03-05T09:00:00.000Z"
    assert [(at, amount) for _, at, amount, _ in await told(api, wallet_id, "wallet.value_expired")] == [
        (expiry, 300),
        ("2026-03-06T09:00:00.000Z", 200),
    ]
