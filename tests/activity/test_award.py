"""Crossings become rewards the moment they happen, each once; and what a return undoes is taken back, each once."""

from typing import Any

import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.activity.cast import purchase, send, send_many, transaction
from tests.api import Api, document_of
from tests.rewards.cast import advance, balance, check_whole, configure, feed
from tests.thresholds.cast import republish, rule, step
from tests.world import MIRA_PHONE as PHONE


@pytest.fixture
async def wallet(api: Api) -> str:
    return await api.wallet()


async def _user(api: Api) -> str:
    return str((await api.get(f"users?filter[phoneNumber]={PHONE.replace('+', '%2B')}")).data[0]["id"])


async def _told(api: Api, *topics: str) -> list[str]:
    return [each["topic"] for each in await feed(api) if each["topic"] in topics]


async def _progress(api: Api, threshold_id: str) -> Any:
    (only,) = (await api.get(f"threshold-progress?filter[thresholdId]={threshold_id}")).data
    return only["attributes"]


async def _rewards(api: Api) -> list[tuple[str, int, int]]:
    found = (await api.get(f"rewards?filter[phoneNumber]={PHONE.replace('+', '%2B')}&page[limit]=50")).data
    return [
        (each["attributes"]["status"], each["attributes"]["amount"], each["attributes"]["reversedAmount"])
        for each in found
    ]


async def test_four_purchases_and_a_resend_give_two_rewards(api: Api, wallet: str, auditor: Db) -> None:
    club = await rule(api, steps=[step(5000, 500)], repeat="repeating")
    user = await _user(api)
    for number, amount in enumerate((3000, 2500, 3000, 1500), 1):
        answer = await send(api, purchase(f"r{number}", amount, user=user))
        assert answer.status == 201, answer.text
    again = await send(api, purchase("r4", 1500, user=user))
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert await _rewards(api) == [("Credited", 500, 0)] * 2
    assert (await balance(api, wallet))["available"] == 1000
    progress = await _progress(api, club)
    assert (progress["current"], progress["total"], progress["target"], progress["cycle"]) == (0, 10_000, 5000, 3)
    assert await _told(api, "threshold.reached", "threshold.reset") == ["threshold.reached", "threshold.reset"] * 2
    assert len(await _told(api, "threshold.progress_updated")) == 4
    await check_whole(auditor, api.tenant)


async def test_steps_are_reached_one_after_another_and_all_at_once(api: Api, wallet: str) -> None:
    await rule(api, steps=[step(1000, 100), step(2000, 200), step(3000, 300)])
    user = await _user(api)
    await send(api, purchase("a", 1500, user=user))
    assert (await balance(api, wallet))["available"] == 100
    await send(api, purchase("b", 5000, user=user))
    assert (await balance(api, wallet))["available"] == 600
    assert await _told(api, "threshold.milestone_reached", "threshold.reached") == [
        "threshold.milestone_reached", "threshold.milestone_reached", "threshold.reached",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "kept"), [("full", 0), ("unspent_only", 0), ("none", 500)], ids=["full", "unspent only", "none"]
)
async def test_buying_refunding_and_buying_again_rewards_once(
    api: Api, wallet: str, auditor: Db, policy: str, kept: int
) -> None:
    club = await rule(api, steps=[step(5000, 500)], refundPolicy=policy)
    user = await _user(api)
    await send(api, purchase("first", 5000, user=user))
    back = await send(api, transaction("Refund", "back", 5000, linkedExternalTransactionId="first"))
    assert back.status == 201, back.text
    assert (await balance(api, wallet))["available"] == kept
    assert (await _progress(api, club))["current"] == 0
    assert len(await _told(api, "threshold.progress_reversed")) == 1
    await send(api, purchase("second", 6000, user=user))
    assert (await balance(api, wallet))["available"] == 500
    await send(api, purchase("third", 6000, user=user))
    assert (await balance(api, wallet))["available"] == 500
    await check_whole(auditor, api.tenant)


@pytest.mark.parametrize(
    ("policy", "owed", "then"), [("full", 400, 0), ("unspent_only", 0, 0)], ids=["is owed", "stays theirs"]
)
async def test_what_was_spent_of_a_reward_that_a_refund_undoes(
    api: Api, wallet: str, auditor: Db, policy: str, owed: int, then: int
) -> None:
    await rule(api, steps=[step(5000, 500)], refundPolicy=policy)
    user = await _user(api)
    await send(api, purchase("first", 5000, user=user))
    paid = document_of("PaymentIntent", amount=400, sources=[{"walletId": wallet}], idempotencyKey="k")
    assert (await api.post("payment-intents", paid)).status == 201
    await send(api, transaction("Refund", "back", 5000, linkedExternalTransactionId="first"))
    shown = await balance(api, wallet)
    assert (shown["available"], shown["owed"]) == (then, owed)
    await check_whole(auditor, api.tenant)


async def test_a_refund_in_parts_takes_back_when_the_step_is_lost(api: Api, wallet: str) -> None:
    club = await rule(api, steps=[step(5000, 500)])
    user = await _user(api)
    await send_many(api, [purchase("a", 4000, user=user), purchase("b", 2000, user=user)])
    await send(api, transaction("Refund", "x", 1000, linkedExternalTransactionId="a"))
    assert ((await _progress(api, club))["current"], (await balance(api, wallet))["available"]) == (5000, 500)
    await send(api, transaction("Refund", "y", 1, linkedExternalTransactionId="a"))
    assert ((await _progress(api, club))["current"], (await balance(api, wallet))["available"]) == (4999, 0)
    await send(api, transaction("Void", "z", linkedExternalTransactionId="b"))
    assert (await _progress(api, club))["current"] == 2999


async def test_a_refund_before_its_purchase_waits_for_it(api: Api, wallet: str) -> None:
    club = await rule(api, steps=[step(5000, 500)])
    user = await _user(api)
    early = await send(api, transaction("Refund", "back", 1000, linkedExternalTransactionId="late"))
    assert early.status == 201, early.text
    await send(api, purchase("late", 5500, user=user))
    assert ((await _progress(api, club))["current"], (await balance(api, wallet))["available"]) == (4500, 0)


async def test_who_has_no_wallet_gets_a_reward_that_waits_and_a_refund_cancels_it(api: Api, auditor: Db) -> None:
    user = await api.user()
    await rule(api, steps=[step(5000, 500)])
    await send(api, purchase("a", 5000, user=user))
    assert await _rewards(api) == [("Created", 500, 0)]
    await send(api, transaction("Void", "b", linkedExternalTransactionId="a"))
    assert await _rewards(api) == [("Cancelled", 500, 0)]
    await check_whole(auditor, api.tenant)


async def test_a_reward_that_is_refused_is_given_later(api: Api, wallet: str, runtime: Runtime) -> None:
    """A suspended wallet takes no reward; an hour later it does."""
    await rule(api, steps=[step(5000, 500)])
    user = await _user(api)
    await api.post(f"wallets/{wallet}/suspend")
    answer = await send(api, purchase("a", 5000, user=user))
    assert answer.status == 201, answer.text
    assert await _rewards(api) == []
    await api.post(f"wallets/{wallet}/resume")
    await advance(api, "PT2M")
    assert await _rewards(api) == [("Credited", 500, 0)]
    await advance(api, "P2D")
    assert await _rewards(api) == [("Credited", 500, 0)]


async def test_a_new_version_takes_nothing_away_and_gives_what_is_new(api: Api, wallet: str) -> None:
    club = await rule(api, steps=[step(1000, 100)])
    user = await _user(api)
    await send(api, purchase("a", 1500, user=user))
    await republish(api, club, steps=[step(2000, 100), step(3000, 300)])
    assert (await balance(api, wallet))["available"] == 100
    await send(api, purchase("b", 700, user=user))
    assert (await balance(api, wallet))["available"] == 100, "the first step is taken"
    await send(api, purchase("c", 900, user=user))
    assert (await balance(api, wallet))["available"] == 400
    await send(api, transaction("Refund", "d", 900, linkedExternalTransactionId="a"))
    assert (await balance(api, wallet))["available"] == 100, "what the old version gave needs 1000 only"


async def test_a_gift_card_is_given_and_taken_back(api: Api, wallet: str, auditor: Db) -> None:
    await rule(api, steps=[step(5000, 700, type="giftCard")])
    user = await _user(api)
    await send(api, purchase("a", 5000, user=user))
    (card,) = (await api.get("gift-cards")).data
    assert (card["attributes"]["status"], card["attributes"]["valueClass"]) == ("active", "promotional")
    assert card["attributes"]["balance"]["available"] == 700
    await send(api, transaction("Void", "b", linkedExternalTransactionId="a"))
    (card,) = (await api.get("gift-cards")).data
    assert (card["attributes"]["status"], card["attributes"]["balance"]["available"]) == ("cancelled", 0)
    await check_whole(auditor, api.tenant)


async def test_without_funds_nothing_is_given_and_nothing_is_lost(api: Api, wallet: str, runtime: Runtime) -> None:
    await configure(runtime, api, reward_maximum=100)
    club = await rule(api, steps=[step(5000, 500)])
    user = await _user(api)
    answer = await send(api, purchase("a", 5000, user=user))
    assert (answer.status, await _rewards(api)) == (201, [])
    assert (await _progress(api, club))["status"] == "reached"


@pytest.mark.parametrize(
    ("bounds", "given"),
    [
        ({"caps": {"customerCount": 2}}, [500, 500]),
        ({"caps": {"customerAmount": 1200}}, [500, 500, 200]),
        ({"caps": {"customerDayCount": 1}}, [500]),
        ({"budgets": [{"scope": "rule", "amount": 800}]}, [500, 300]),
        ({"budgets": [{"scope": "merchant", "amount": 500, "period": "month"}]}, [500]),
    ],
    ids=["count", "amount", "a day", "rule", "merchant"],
)
async def test_caps_and_budgets_give_a_part_and_then_nothing(
    api: Api, wallet: str, auditor: Db, bounds: dict[str, Any], given: list[int]
) -> None:
    await rule(api, steps=[step(1000, 500)], repeat="repeating", **bounds)
    user = await _user(api)
    for number in range(4):
        await send(api, purchase(f"r{number}", 1000, user=user))
    assert sorted((amount for _, amount, _ in await _rewards(api)), reverse=True) == given
    await check_whole(auditor, api.tenant)


async def test_what_comes_back_is_in_the_budget_again(api: Api, wallet: str) -> None:
    await rule(api, steps=[step(1000, 500)], repeat="repeating", budgets=[{"scope": "rule", "amount": 500}])
    user = await _user(api)
    await send(api, purchase("a", 1000, user=user))
    await send(api, transaction("Void", "b", linkedExternalTransactionId="a"))
    assert (await balance(api, wallet))["available"] == 0
    await send(api, purchase("c", 1000, user=user))
    assert (await balance(api, wallet))["available"] == 500


async def test_a_huge_purchase_settles_a_bounded_number_of_steps_at_once(api: Api, wallet: str) -> None:
    await rule(api, steps=[step(1, 1)], repeat="repeating")
    user = await _user(api)
    answer = await send(api, purchase("a", 2_000_000_000, user=user))
    assert answer.status == 201, answer.text
    assert (await balance(api, wallet))["available"] == 100
    await send(api, purchase("b", 1, user=user))
    assert (await balance(api, wallet))["available"] == 200
