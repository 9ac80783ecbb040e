"""From a reward the way leads back: to the rule's version and the activities behind it, or to a request, and to the journals."""

from datetime import timedelta
from typing import Any

import pytest

from tallystick.base.work import Runtime
from tests.activity.cast import purchase, recorded, send, told, transaction
from tests.api import Api, document_of, join, luna
from tests.giftcards.cast import issued
from tests.rewards.cast import another_client
from tests.thresholds.cast import republish, rule, step
from tests.world import MIRA_PHONE as PHONE
from tests.world import T0

NOBODY = "0199d3c0-0000-7000-8000-000000000000"


@pytest.fixture
async def wallet(api: Api) -> str:
    return await api.wallet()


async def _user(api: Api) -> str:
    return str((await api.get(f"users?filter[phoneNumber]={PHONE.replace('+', '%2B')}")).data[0]["id"])


async def _rewards(api: Api) -> list[str]:
    """Ids, newest first."""
    answer = await api.get(f"rewards?filter[phoneNumber]={PHONE.replace('+', '%2B')}&page[limit]=50")
    return [each["id"] for each in answer.data]


async def provenance(api: Api, reward_id: str) -> Any:
    answer = await api.get(f"rewards/{reward_id}/provenance")
    assert answer.status == 200, answer.text
    assert (answer.data["id"], answer.data["type"]) == (reward_id, "RewardProvenance")
    return answer.attributes


async def card_provenance(api: Api, card_id: str) -> Any:
    answer = await api.get(f"gift-cards/{card_id}/provenance")
    assert answer.status == 200, answer.text
    assert (answer.data["id"], answer.data["type"]) == (card_id, "GiftCardProvenance")
    return answer.attributes


def kinds(found: Any) -> list[tuple[str, list[int]]]:
    return [(each["kind"], [one["amount"] for one in each["transfers"]]) for each in found["journals"]]


async def test_a_reward_leads_back_to_the_activities_that_reached_its_step(api: Api, wallet: str) -> None:
    club = await rule(api, steps=[step(5000, 500)])
    user = await _user(api)
    sent = [
        await send(api, purchase(name, amount, user=user)) for name, amount in (("a", 3000), ("b", 2500), ("c", 900))
    ]
    (reward,) = await _rewards(api)
    found = await provenance(api, reward)
    cause = found["threshold"]
    assert (found["cause"], found["partnerId"], found["batchId"]) == ("threshold", str(api.partner_id), None)
    assert found["requestId"] == sent[1].headers["Request-Id"]
    assert (cause["thresholdId"], cause["thresholdVersion"], cause["userId"]) == (club, 1, user)
    assert (cause["cycle"], cause["step"], cause["needs"], cause["status"]) == (1, 1, 5000, "given")
    assert (cause["amount"], cause["desiredAmount"], cause["returnedAmount"]) == (500, 500, 0)
    assert cause["activityId"] == sent[1].data["id"]
    behind = cause["activities"]
    assert {each["activityId"] for each in behind["newest"]} >= {sent[0].data["id"], sent[1].data["id"]}
    assert kinds(found) == [("reward.issue", [500])]


async def test_what_happened_behind_the_crossing_is_not_behind_the_reward(
    api: Api, wallet: str, runtime: Runtime, clock: Any
) -> None:
    await rule(api, steps=[step(2000, 500)])
    user = await _user(api)
    await recorded(runtime, api, told(api, "a", user=user), told(api, "b", user=user))
    clock.move(timedelta(hours=1))
    await recorded(runtime, api, told(api, "late", user=user))
    (reward,) = await _rewards(api)
    behind = (await provenance(api, reward))["threshold"]["activities"]
    assert (behind["number"], behind["counted"], len(behind["newest"])) == (2, 2000, 2)


async def test_of_many_activities_the_newest_fifty_are_named(api: Api, wallet: str, runtime: Runtime) -> None:
    await rule(api, steps=[step(60_000, 500)])
    user = await _user(api)
    many = [told(api, f"n{n}", user=user, occurred_at=T0 + timedelta(seconds=n)) for n in range(60)]
    await recorded(runtime, api, *many)
    (reward,) = await _rewards(api)
    behind = (await provenance(api, reward))["threshold"]["activities"]
    assert (behind["number"], behind["counted"], len(behind["newest"])) == (60, 60_000, 50)
    instants = [each["occurredAt"] for each in behind["newest"]]
    assert instants == sorted(instants, reverse=True)
    assert instants[0] == "2026-03-02T09:00:59.000Z"


async def test_activities_of_another_window_are_not_behind_it(
    api: Api, wallet: str, runtime: Runtime, clock: Any
) -> None:
    await rule(api, steps=[step(1000, 500)], window={"kind": "calendar", "period": "day"})
    user = await _user(api)
    await recorded(runtime, api, told(api, "a", user=user))
    clock.move(timedelta(days=1))
    await recorded(runtime, api, told(api, "b", user=user, occurred_at=T0 + timedelta(days=1)))
    for reward in await _rewards(api):
        assert (await provenance(api, reward))["threshold"]["activities"]["number"] == 1


async def test_behind_a_window_that_rolls_are_its_days(api: Api, wallet: str, runtime: Runtime, clock: Any) -> None:
    await rule(api, steps=[step(2000, 500)], window={"kind": "rolling", "days": 2})
    user = await _user(api)
    for days in (0, 3, 4):
        clock.now = T0 + timedelta(days=days)
        await recorded(runtime, api, told(api, f"d{days}", user=user, occurred_at=T0 + timedelta(days=days)))
    (reward,) = await _rewards(api)
    behind = (await provenance(api, reward))["threshold"]["activities"]
    assert (behind["number"], behind["counted"]) == (2, 2000)


async def test_a_reward_keeps_the_version_that_gave_it(api: Api, wallet: str) -> None:
    club = await rule(api, steps=[step(1000, 100)])
    await send(api, purchase("a", 1000, user=await _user(api)))
    await republish(api, club, steps=[step(9000, 100)])
    (reward,) = await _rewards(api)
    cause = (await provenance(api, reward))["threshold"]
    assert (cause["thresholdVersion"], cause["needs"]) == (1, 1000)


async def test_what_a_cap_left_of_it_is_told_beside_what_it_would_have_been(api: Api, wallet: str) -> None:
    await rule(api, steps=[step(1000, 500)], budgets=[{"scope": "rule", "amount": 200}])
    await send(api, purchase("a", 1000, user=await _user(api)))
    (reward,) = await _rewards(api)
    cause = (await provenance(api, reward))["threshold"]
    assert (cause["amount"], cause["desiredAmount"]) == (200, 500)


async def test_journals_tell_of_a_reversal_and_of_what_is_owed_since(api: Api, wallet: str) -> None:
    await rule(api, steps=[step(5000, 500)])
    user = await _user(api)
    await send(api, purchase("first", 5000, user=user))
    paid = document_of("PaymentIntent", amount=500, sources=[{"walletId": wallet}], idempotencyKey="k")
    assert (await api.post("payment-intents", paid)).status == 201
    await send(api, transaction("Refund", "back", 5000, linkedExternalTransactionId="first"))
    (reward,) = await _rewards(api)
    found = await provenance(api, reward)
    assert found["threshold"]["status"] == "returned"
    assert kinds(found) == [("reward.issue", [500]), ("reward.reverse", [500])]
    assert (found["threshold"]["activities"]["number"], found["threshold"]["returnedAmount"]) == (0, 500)


async def test_a_reward_that_waited_leads_back_past_its_claim(api: Api) -> None:
    user = await api.user()
    await rule(api, steps=[step(5000, 500)])
    await send(api, purchase("a", 5000, user=user))
    await api.post("wallets", document_of("Wallet", userId=user))
    (reward,) = await _rewards(api)
    found = await provenance(api, reward)
    assert kinds(found) == [("reward.pre_issue", [500]), ("reward.claim", [500])]


async def test_a_cancelled_reward_shows_both_ways(api: Api) -> None:
    user = await api.user()
    await rule(api, steps=[step(5000, 500)])
    await send(api, purchase("a", 5000, user=user))
    await send(api, transaction("Void", "b", linkedExternalTransactionId="a"))
    (reward,) = await _rewards(api)
    assert kinds(await provenance(api, reward)) == [("reward.pre_issue", [500]), ("reward.cancel", [500])]


async def test_a_card_leads_back_to_the_step_that_gave_it_also_when_it_was_replaced(api: Api, wallet: str) -> None:
    club = await rule(api, steps=[step(5000, 700, type="giftCard")])
    user = await _user(api)
    sent = await send(api, purchase("a", 5000, user=user))
    (card,) = (await api.get("gift-cards")).data
    found = await card_provenance(api, card["id"])
    assert (found["cause"], found["threshold"]["thresholdId"]) == ("threshold", club)
    assert (found["threshold"]["activityId"], found["threshold"]["activities"]["number"]) == (sent.data["id"], 1)
    assert found["requestId"] == sent.headers["Request-Id"]
    assert kinds(found) == [("card.issue", [700])]
    answer = await api.post(f"gift-cards/{card['id']}/replace", document_of("ReplaceGiftCard", reason="lost"))
    assert answer.status == 201, answer.text
    again = await card_provenance(api, answer.data["id"])
    assert again["threshold"] == found["threshold"]
    assert kinds(again)[0] == ("card.issue", [700])
    await send(api, transaction("Void", "b", linkedExternalTransactionId="a"))
    assert kinds(await card_provenance(api, answer.data["id"]))[-1] == ("card.refund_purchase", [700])


async def test_a_card_by_request_leads_back_to_the_request(api: Api) -> None:
    answer = await issued(api, 900)
    found = await card_provenance(api, answer.data["id"])
    assert (found["cause"], found["threshold"], found["requestId"]) == (
        "request",
        None,
        answer.headers["Request-Id"],
    )
    assert kinds(found) == [("card.issue", [900])]
    assert (await api.get(f"gift-cards/{NOBODY}/provenance")).status == 404


async def test_a_reward_by_request_leads_back_to_the_request(api: Api, wallet: str) -> None:
    answer = await api.issue(amount=700)
    found = await provenance(api, answer.data["id"])
    assert (found["cause"], found["threshold"]) == ("request", None)
    assert found["requestId"] == answer.headers["Request-Id"]
    assert found["agreementId"] is not None
    assert kinds(found) == [("reward.issue", [700])]
    other = await provenance(api, (await api.issue(amount=300)).data["id"])
    assert kinds(other) == [("reward.issue", [300])]


async def test_it_is_seen_exactly_where_the_reward_is(api: Api, wallet: str, runtime: Runtime) -> None:
    reward = (await api.issue()).data["id"]
    stranger = await join(runtime, api.session, api.base_url, tenant=api.tenant)
    whole = await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme")
    elsewhere = await another_client(runtime, api, ((await luna(runtime, api.tenant, "Another")).id,))
    told = [await each.get(f"rewards/{reward}/provenance") for each in (stranger, elsewhere)]
    told += [await api.get(f"rewards/{each}/provenance") for each in (NOBODY, "nothing")]
    assert [answer.status for answer in told] == [404] * 4
    assert len({answer.body["errors"][0]["detail"] for answer in told}) == 1
    assert (await provenance(whole, reward))["partnerId"] == str(api.partner_id)
