"""What is undone is undone exactly: bounds, kept rewards, spent and held value, cards, and what was refused on the way."""

from datetime import timedelta
from typing import Any

import pytest

from tallystick import activity
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.activity.cast import purchase, send, send_many, transaction
from tests.api import Api, document_of
from tests.conftest import Clock
from tests.rewards.cast import advance, balance, check_whole, configure, reverse, top_up
from tests.thresholds.cast import rule, step
from tests.world import MIRA_PHONE as PHONE

OUTCOMES = """
select needs, generation, status, amount, returned_amount, code
from threshold_outcomes
where tenant_id = $1
order by needs, generation, amount desc
"""
SPENT = "select scope, count, amount from threshold_spent where tenant_id = $1 order by scope, period_start"

Told = tuple[int, int, str, int, int, str | None]
"""What a step needed, its generation, status, amount, what of it came back, and why it was refused or capped."""


@pytest.fixture
async def wallet(api: Api) -> str:
    return await api.wallet()


@pytest.fixture
async def user(api: Api, wallet: str) -> str:
    return str((await api.get(f"wallets/{wallet}")).attributes["userId"])


async def outcomes(runtime: Runtime, api: Api) -> list[Told]:
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(OUTCOMES, work.tenant.id)
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]


async def spent(runtime: Runtime, api: Api) -> list[tuple[str, int, int]]:
    """Of each bound: its scope, how often something of it was given, and how much."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(SPENT, work.tenant.id)
    return [(row[0], row[1], row[2]) for row in rows]


async def another(api: Api, number: int) -> tuple[str, str]:
    """Another wallet and its user."""
    wallet = await api.wallet(f"+1202555012{number}")
    return wallet, str((await api.get(f"wallets/{wallet}")).attributes["userId"])


async def pay(api: Api, amount: int, *, capture: str = "automatic", **source: str) -> str:
    document = document_of("PaymentIntent", amount=amount, sources=[source], idempotencyKey="k", capture=capture)
    answer = await api.post("payment-intents", document)
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def only_card(api: Api) -> tuple[str, Any]:
    (card,) = (await api.get("gift-cards")).data
    return str(card["id"]), card["attributes"]


async def retry(runtime: Runtime) -> None:
    while await activity.retry_due(runtime):
        pass


async def void(api: Api, source_id: str = "a") -> None:
    answer = await send(api, transaction("Void", f"void of {source_id}", linkedExternalTransactionId=source_id))
    assert answer.status == 201, answer.text


async def test_what_was_kept_is_not_given_again_and_what_was_taken_back_below_it_is(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 100), step(2000, 700, type="giftCard")])
    await send(api, purchase("a", 2000, user=user))
    card_id, _ = await only_card(api)
    await pay(api, 300, giftCardId=card_id)
    await void(api)
    kept: Told = (2000, 1, "kept", 700, 400, None)
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 100, 100, None), kept]
    assert (await only_card(api))[1]["status"] == "cancelled"
    await send(api, purchase("b", 1000, user=user))
    again: list[Told] = [(1000, 1, "returned", 100, 100, None), (1000, 2, "given", 100, 0, None), kept]
    assert await outcomes(runtime, api) == again
    await send(api, purchase("c", 5000, user=user))
    assert await outcomes(runtime, api) == again
    assert (await balance(api, wallet))["available"] == 100
    await check_whole(auditor, api.tenant)


async def test_funds_for_one_step_of_two_give_that_one_and_the_other_later(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await configure(runtime, api, funding_mode="prefunded")
    await top_up(runtime, api, 500)
    await rule(api, steps=[step(1000, 400), step(2000, 400, type="giftCard")])
    assert (await send(api, purchase("a", 2000, user=user))).status == 201
    first: Told = (1000, 1, "given", 400, 0, None)
    assert await outcomes(runtime, api) == [first, (2000, 1, "refused", 0, 0, "InsufficientFunding")]
    await top_up(runtime, api, 500)
    await advance(api, "PT2M")
    assert await outcomes(runtime, api) == [first, (2000, 1, "given", 400, 0, None)]
    assert (await only_card(api))[1]["balance"]["available"] == 400
    await check_whole(auditor, api.tenant)


async def test_what_expired_in_the_wallet_is_owed_by_nobody(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await configure(runtime, api, value_days=1)
    await rule(api, steps=[step(1000, 500)])
    await send(api, purchase("a", 1000, user=user))
    await pay(api, 300, walletId=wallet)
    await advance(api, "P3D")
    await void(api)
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 500, 300, None)]
    assert (await balance(api, wallet))["owed"] == 300
    await check_whole(auditor, api.tenant)


async def test_a_closed_wallet_that_spent_a_reward_owes_it(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await send(api, purchase("a", 1000, user=user))
    await pay(api, 500, walletId=wallet)
    assert (await api.post(f"wallets/{wallet}/close")).attributes["status"] == "closed"
    await void(api)
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 500, 500, None)]
    assert (await balance(api, wallet))["owed"] == 500
    await check_whole(auditor, api.tenant)


@pytest.mark.parametrize("split", [False, True], ids=["in one batch", "one after the other"])
async def test_a_refused_reward_takes_nothing_from_the_budget(
    runtime: Runtime, api: Api, wallet: str, user: str, split: bool
) -> None:
    await rule(api, steps=[step(1000, 500)], budgets=[{"scope": "rule", "amount": 600}])
    other, bob = await another(api, 0)
    await api.post(f"wallets/{wallet}/suspend")
    sent = [purchase("a", 1000, user=user), purchase("b", 1000, user=bob)]
    for batch in [[each] for each in sent] if split else [sent]:
        await send_many(api, batch)
    assert await outcomes(runtime, api) == [
        (1000, 1, "given", 500, 0, None),
        (1000, 1, "refused", 0, 0, "WalletNotIssuable"),
    ]
    assert (await balance(api, other))["available"] == 500
    assert await spent(runtime, api) == [("rule", 1, 500)]
    await api.post(f"wallets/{wallet}/resume")
    await advance(api, "PT2M")
    assert (await balance(api, wallet))["available"] == 100, "the rest of the budget"
    assert await spent(runtime, api) == [("rule", 2, 600)]


async def test_a_batch_gives_all_of_a_budget_whoever_is_refused(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)], budgets=[{"scope": "rule", "amount": 600}])
    await api.post(f"wallets/{wallet}/suspend")
    others = [(await another(api, number))[1] for number in range(6)]
    bought = [purchase("x", 1000, user=user), *(purchase(f"b{n}", 1000, user=each) for n, each in enumerate(others))]
    await send_many(api, bought)
    found = await outcomes(runtime, api)
    assert sorted(((status, amount) for _, _, status, amount, _, _ in found), reverse=True)[:3] in (
        [("refused", 0), ("given", 500), ("given", 100)],
        [("given", 500), ("given", 100), ("capped", 0)],  # who is refused may come when the budget is gone
    )
    assert sum(each[3] for each in found) == 600
    assert await spent(runtime, api) == [("rule", 2, 600)]
    await check_whole(auditor, api.tenant)


async def test_the_rest_of_a_budget_is_given_to_the_next_where_the_first_is_refused_it(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)], budgets=[{"scope": "rule", "amount": 100}])
    wallets = [wallet] + [(await another(api, number))[0] for number in range(3)]
    people = [str((await api.get(f"wallets/{each}")).attributes["userId"]) for each in wallets]
    for each in wallets[:-1]:
        await api.post(f"wallets/{each}/suspend")
    await send_many(api, [purchase(f"b{n}", 1000, user=each) for n, each in enumerate(people)])
    assert (await balance(api, wallets[-1]))["available"] == 100
    assert [each[3] for each in await outcomes(runtime, api)] == [100, 0, 0, 0]
    assert await spent(runtime, api) == [("rule", 1, 100)]
    await check_whole(auditor, api.tenant)


async def test_what_was_refused_is_tried_again_soon_after_the_customer_moves(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db, clock: Clock
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await api.post(f"wallets/{wallet}/suspend")
    await send(api, purchase("a", 1000, user=user))
    clock.move(timedelta(days=40))
    await retry(runtime)
    await api.post(f"wallets/{wallet}/resume")
    clock.move(timedelta(days=1))
    await retry(runtime)
    assert (await balance(api, wallet))["available"] == 0, "trying was given up"
    await send(api, purchase("b", 10, user=user))
    await retry(runtime)
    assert await outcomes(runtime, api) == [(1000, 1, "given", 500, 0, None)]
    assert (await balance(api, wallet))["available"] == 500
    await check_whole(auditor, api.tenant)


async def test_what_was_refused_and_is_deserved_no_more_is_never_given(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)])
    await api.post(f"wallets/{wallet}/suspend")
    await send(api, purchase("a", 1000, user=user))
    await void(api)
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 0, 0, "WalletNotIssuable")]
    await api.post(f"wallets/{wallet}/resume")
    await advance(api, "P1D")
    assert (await balance(api, wallet))["available"] == 0
    await check_whole(auditor, api.tenant)


async def test_what_a_payment_holds_is_owed_until_it_is_free_again(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)], refundPolicy="full")
    await send(api, purchase("a", 1000, user=user))
    payment = await pay(api, 300, capture="manual", walletId=wallet)
    await void(api)
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 500, 500, None)]
    assert await balance(api, wallet) == {"available": 0, "pending": 0, "held": 300, "owed": 300}
    assert (await api.post(f"payment-intents/{payment}/cancel")).status == 200
    assert await balance(api, wallet) == {"available": 300, "pending": 0, "held": 0, "owed": 300}
    await check_whole(auditor, api.tenant)


async def test_a_card_that_a_payment_holds_something_of_keeps_that(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500, type="giftCard")], refundPolicy="full")
    await send(api, purchase("a", 1000, user=user))
    card_id, _ = await only_card(api)
    payment = await pay(api, 300, capture="manual", giftCardId=card_id)
    await void(api)
    assert await outcomes(runtime, api) == [(1000, 1, "kept", 500, 200, None)]
    assert (await api.post(f"payment-intents/{payment}/cancel")).status == 200
    _, card = await only_card(api)
    assert (card["status"], card["balance"]) == ("active", {"available": 300, "held": 0})
    await send(api, purchase("b", 1000, user=user))
    assert await outcomes(runtime, api) == [(1000, 1, "kept", 500, 200, None)]
    await check_whole(auditor, api.tenant)


async def test_what_was_put_on_a_card_besides_was_not_given_for_the_step(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500, type="giftCard")], budgets=[{"scope": "rule", "amount": 500}])
    await send(api, purchase("a", 1000, user=user))
    card_id, _ = await only_card(api)
    more = document_of("AdjustGiftCard", amount=200, reason="support_issue")
    assert (await api.post(f"gift-cards/{card_id}/adjust", more)).status == 202
    await void(api)
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 500, 500, None)]
    assert (await only_card(api))[1]["balance"]["available"] == 0
    assert await spent(runtime, api) == [("rule", 0, 0)]
    await check_whole(auditor, api.tenant)


async def test_what_a_partner_took_back_already_is_not_taken_back_twice(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(1000, 500)], caps={"customerAmount": 500})
    await send(api, purchase("a", 1000, user=user))
    (reward,) = (await api.get(f"rewards?filter[phoneNumber]={PHONE.replace('+', '%2B')}")).data
    assert (await reverse(api, reward["id"], 200)).status == 200
    await void(api)
    assert await outcomes(runtime, api) == [(1000, 1, "returned", 500, 300, None)]
    assert await balance(api, wallet) == {"available": 0, "pending": 0, "held": 0, "owed": 0}
    assert await spent(runtime, api) == [("customer", 0, 200)]
    await check_whole(auditor, api.tenant)


async def test_one_void_takes_back_the_rewards_of_many_steps_at_once(
    runtime: Runtime, api: Api, wallet: str, user: str, auditor: Db
) -> None:
    await rule(api, steps=[step(100, 10)], repeat="repeating", caps={"customerCount": 30})
    await send(api, purchase("a", 4000, user=user))
    await pay(api, 295, walletId=wallet)
    assert await spent(runtime, api) == [("customer", 30, 300)]
    await void(api)
    found = await outcomes(runtime, api)
    assert [(each[2], each[3], each[4]) for each in found] == [("returned", 10, 10)] * 30 + [("returned", 0, 0)] * 10
    assert await balance(api, wallet) == {"available": 0, "pending": 0, "held": 0, "owed": 295}
    assert await spent(runtime, api) == [("customer", 0, 0)]
    await check_whole(auditor, api.tenant)
