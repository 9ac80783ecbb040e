"""Taking back what was credited: the unspent part returns, the spent part is owed and paid by later rewards."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join
from tests.rewards.cast import (
    advance,
    balance,
    cancel,
    check_whole,
    configure,
    header,
    left,
    refused,
    reverse,
    spend,
    story,
)

AMOUNT = "/data/attributes/amount"


@pytest.fixture
async def limited(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    """A partner whose merchant is invoiced up to 10.00, so that what returns can be counted."""
    joined = await join(runtime, session, base_url, credit_limit=1000)
    yield joined
    await check_whole(auditor, joined.tenant)


async def test_what_was_not_spent_returns_to_the_funding(limited: Api, runtime: Runtime) -> None:
    wallet_id = await limited.wallet()
    reward_id = (await limited.issue(amount=500)).data["id"]
    answer = await reverse(limited, reward_id)
    shown = answer.attributes
    assert (answer.status, shown["status"], shown["amount"], shown["reversedAmount"]) == (200, "Credited", 500, 500)
    assert (shown["canUpdate"], shown["canCancel"], shown["walletId"]) == (False, False, wallet_id)
    assert await balance(limited, wallet_id) == {"available": 0, "pending": 0, "held": 0, "owed": 0}
    assert await left(runtime, limited) == 1000
    assert [topic for topic, _, _ in await story(limited, reward_id)] == ["reward.credited", "reward.reversed"]
    assert (await limited.get(f"rewards/{reward_id}")).data == answer.data


async def test_a_part_can_be_reversed_and_then_the_rest(limited: Api, runtime: Runtime) -> None:
    wallet_id = await limited.wallet()
    reward_id = (await limited.issue(amount=500)).data["id"]
    assert (await reverse(limited, reward_id, 200)).attributes["reversedAmount"] == 200
    refused(await reverse(limited, reward_id, 301), 400, "InvalidRequest", AMOUNT)
    assert (await balance(limited, wallet_id))["available"] == 300
    assert (await reverse(limited, reward_id)).attributes["reversedAmount"] == 500
    refused(await reverse(limited, reward_id), 409, "InvalidState")
    refused(await reverse(limited, reward_id, 1), 409, "InvalidState")
    assert await left(runtime, limited) == 1000


async def test_what_was_spent_is_owed(limited: Api, runtime: Runtime) -> None:
    wallet_id = await limited.wallet()
    reward_id = (await limited.issue(amount=500)).data["id"]
    await spend(runtime, limited, reward_id, 300)
    assert (await reverse(limited, reward_id)).attributes["reversedAmount"] == 500
    assert await balance(limited, wallet_id) == {"available": 0, "pending": 0, "held": 0, "owed": 300}
    assert await left(runtime, limited) == 1000


async def test_a_partial_reversal_takes_the_unspent_part_first(limited: Api, runtime: Runtime) -> None:
    wallet_id = await limited.wallet()
    reward_id = (await limited.issue(amount=500)).data["id"]
    await spend(runtime, limited, reward_id, 300)
    await reverse(limited, reward_id, 150)
    assert await balance(limited, wallet_id) == {"available": 50, "pending": 0, "held": 0, "owed": 0}
    await reverse(limited, reward_id, 100)
    assert await balance(limited, wallet_id) == {"available": 0, "pending": 0, "held": 0, "owed": 50}


async def test_what_has_expired_returned_already_and_is_taken_back_from_nobody(limited: Api, runtime: Runtime) -> None:
    await configure(runtime, limited, value_days=5)
    wallet_id = await limited.wallet()
    whole, spent = [(await limited.issue(amount=amount)).data["id"] for amount in (400, 300)]
    await spend(runtime, limited, spent, 100)
    await advance(limited, "P6D")
    assert await left(runtime, limited) == 900
    refused(await reverse(limited, whole), 409, "InvalidState")
    refused(await reverse(limited, spent, 101), 400, "InvalidRequest", "/data/attributes/amount")
    assert (await reverse(limited, spent)).attributes["reversedAmount"] == 100
    assert await balance(limited, wallet_id) == {"available": 0, "pending": 0, "held": 0, "owed": 100}
    assert await left(runtime, limited) == 1000


@pytest.mark.parametrize("reversed_", ["before it closed", "before the next opened", "after that"])
async def test_a_wallet_that_is_opened_again_owes_what_the_closed_one_did(
    limited: Api, runtime: Runtime, reversed_: str
) -> None:
    wallet_id = await limited.wallet()
    user_id = (await limited.get(f"wallets/{wallet_id}")).attributes["userId"]
    reward_id = (await limited.issue(amount=300)).data["id"]
    await spend(runtime, limited, reward_id, 300)
    if reversed_ == "before it closed":
        await reverse(limited, reward_id)
    assert (await limited.post(f"wallets/{wallet_id}/close")).attributes["status"] == "closed"
    if reversed_ == "before the next opened":
        await reverse(limited, reward_id)
    opened = await limited.post("wallets", document_of("Wallet", userId=user_id, merchantId=str(limited.merchant_id)))
    if reversed_ == "after that":
        await reverse(limited, reward_id)
    else:
        assert opened.attributes["balance"]["owed"] == 300
    assert (await balance(limited, opened.data["id"]))["owed"] == 300
    assert (await balance(limited, wallet_id))["owed"] == 0
    await limited.issue(amount=400)
    assert await balance(limited, opened.data["id"]) == {"available": 100, "pending": 0, "held": 0, "owed": 0}


async def test_what_is_owed_is_paid_by_later_rewards(api: Api, runtime: Runtime) -> None:
    wallet_id = await api.wallet()
    first = (await api.issue(amount=500)).data["id"]
    await spend(runtime, api, first, 500)
    await reverse(api, first)
    later = await api.issue(amount=200)
    assert later.attributes["amount"] == 200
    assert await balance(api, wallet_id) == {"available": 0, "pending": 0, "held": 0, "owed": 300}
    await api.issue(amount=400)
    assert await balance(api, wallet_id) == {"available": 100, "pending": 0, "held": 0, "owed": 0}
    # The later one paid a debt with all of it: nothing is left in its lot, so taking it back is owed anew.
    await reverse(api, later.data["id"])
    assert await balance(api, wallet_id) == {"available": 100, "pending": 0, "held": 0, "owed": 200}


async def test_rewards_at_once_pay_a_debt_once(api: Api, runtime: Runtime) -> None:
    wallet_id = await api.wallet()
    first = (await api.issue(amount=500)).data["id"]
    await spend(runtime, api, first, 500)
    await reverse(api, first)
    await asyncio.gather(*(api.issue(amount=100) for _ in range(8)))
    assert await balance(api, wallet_id) == {"available": 300, "pending": 0, "held": 0, "owed": 0}


async def test_what_is_owed_is_paid_by_a_claim(api: Api, runtime: Runtime) -> None:
    user_id = await api.user()
    opened = document_of("Wallet", userId=user_id)
    wallet_id = (await api.post("wallets", opened)).data["id"]
    first = (await api.issue(amount=500)).data["id"]
    await spend(runtime, api, first, 500)
    await reverse(api, first, 300)
    # Another phone makes the wallet pending; what then waits for that phone is claimed when the user is verified.
    changed = await api.patch(f"users/{user_id}", document_of("User", phoneNumber="+12025550167"))
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "pending", changed.text
    waiting = (await api.issue("+12025550167", amount=400)).data["id"]
    await api.post(f"users/{user_id}/send-code")
    code = (await api.get("sandbox/mailbox")).data[0]["attributes"]["text"][:6]
    assert (await api.post(f"users/{user_id}/verify", document_of("VerifyUser", code=code))).status == 200
    assert (await api.get(f"rewards/{waiting}")).attributes["status"] == "Claimed"
    assert await balance(api, wallet_id) == {"available": 100, "pending": 0, "held": 0, "owed": 0}


async def test_a_claimed_reward_can_be_reversed_too(limited: Api, runtime: Runtime) -> None:
    reward_id = (await limited.issue(amount=500)).data["id"]
    wallet_id = await limited.wallet()
    await spend(runtime, limited, reward_id, 100)
    shown = (await reverse(limited, reward_id)).attributes
    assert (shown["kind"], shown["status"], shown["reversedAmount"]) == ("preIssued", "Claimed", 500)
    assert (await balance(limited, wallet_id))["owed"] == 100
    assert await left(runtime, limited) == 1000


async def test_what_was_not_credited_cannot_be_reversed(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    refused(await reverse(api, reward_id), 409, "InvalidState")
    await cancel(api, reward_id)
    refused(await reverse(api, reward_id), 409, "InvalidState")


async def test_a_closing_wallet_that_is_emptied_is_closed(api: Api) -> None:
    wallet_id = await api.wallet()
    reward_id = (await api.issue()).data["id"]
    await api.post(f"wallets/{wallet_id}/close")
    assert (await reverse(api, reward_id)).status == 200
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closed"


async def test_a_suspended_wallet_does_not_keep_a_reversal_away(api: Api) -> None:
    wallet_id = await api.wallet()
    reward_id = (await api.issue()).data["id"]
    await api.post(f"wallets/{wallet_id}/suspend")
    assert (await reverse(api, reward_id)).status == 200
    assert (await balance(api, wallet_id))["available"] == 0


async def test_a_reversal_with_a_key_happens_once(api: Api) -> None:
    wallet_id = await api.wallet()
    reward_id = (await api.issue(amount=500)).data["id"]
    first = await reverse(api, reward_id, 100, key="r")
    again = await reverse(api, reward_id, 100, key="r")
    assert (again.text, header(again, "idempotent-replayed")) == (first.text, "true")
    refused(await reverse(api, reward_id, 101, key="r"), 409, "IdempotencyConflict", "Idempotency-Key")
    assert (await balance(api, wallet_id))["available"] == 400


async def test_reversals_at_once_take_back_no_more_than_was_given(limited: Api, runtime: Runtime) -> None:
    await limited.wallet()
    reward_id = (await limited.issue(amount=500)).data["id"]
    answers = await asyncio.gather(*(reverse(limited, reward_id, 120) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] * 4 + [400] * 6
    assert await left(runtime, limited) == 980


@pytest.mark.parametrize("amount", [0, -1, 2**31, 1.5, "1", True])
async def test_a_wrong_amount_is_told_at_its_place(api: Api, amount: object) -> None:
    await api.wallet()
    reward_id = (await api.issue()).data["id"]
    answer = await api.post(f"rewards/{reward_id}/reverse", document_of("ReverseReward", amount=amount))
    refused(answer, 400, "InvalidRequest", AMOUNT)


async def test_a_body_without_an_amount_reverses_all_of_it(api: Api) -> None:
    await api.wallet()
    for attributes in ({}, {"amount": None}):
        reward_id = (await api.issue()).data["id"]
        answer = await api.post(f"rewards/{reward_id}/reverse", document_of("ReverseReward", **attributes))
        assert answer.attributes["reversedAmount"] == 500
