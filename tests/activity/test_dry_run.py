"""Rehearsals: everything is done, told of, and left undone."""

from tests.activity.cast import purchase, send, send_many, transaction
from tests.api import Api
from tests.rewards.cast import feed, refused
from tests.thresholds.cast import rule

DRY = "?dryRun=true"


async def test_nothing_is_left_of_a_rehearsal(api: Api) -> None:
    threshold, user = await rule(api), await api.user()
    before = await feed(api)
    answer = await send(api, purchase("s1", user=user), query=DRY)
    assert answer.status == 200, answer.text
    assert [each["attributes"]["status"] for each in answer.data] == ["accepted"]
    assert answer.body["meta"]["effects"]["progress"] == [
        {"thresholdId": threshold, "userId": user, "before": 0, "current": 1000}
    ]
    assert answer.body["meta"]["accepted"] == 1
    assert (await api.get("external-transactions")).data == []
    assert await feed(api) == before
    assert (await send(api, purchase("s1", 7, user=user))).status == 201


async def test_a_refund_can_be_tried_first(api: Api) -> None:
    threshold, user = await rule(api), await api.user()
    bought = await send(api, purchase("s1", user=user))
    back = transaction("Refund", "r1", 400, linkedExternalTransactionId="s1")
    tried = await send_many(api, [back, {**back, "amount": -1}], query=DRY)
    assert [each["attributes"]["status"] for each in tried.data] == ["accepted", "rejected"]
    assert tried.body["meta"]["effects"]["progress"] == [
        {"thresholdId": threshold, "userId": user, "before": 1000, "current": 600}
    ]
    assert (await api.get(f"external-transactions/{bought.data['id']}")).attributes["returnedAmount"] == 0


async def test_a_rehearsal_of_nothing_good_has_no_effects(api: Api) -> None:
    tried = await send_many(api, [{**purchase("s1"), "amount": -1}], query=DRY)
    assert tried.body["meta"] == {
        "accepted": 0,
        "duplicates": 0,
        "rejected": 1,
        "effects": {"progress": [], "rewards": []},
    }
    refused(await send(api, purchase("s1"), query="?dryRun=yes"), 400, "InvalidRequest", "dryRun")
    refused(await send(api, {**purchase("s1"), "amount": -1}, query=DRY), 400, "InvalidRequest")


async def test_what_would_be_refused_is_told(api: Api) -> None:
    await send(api, purchase("s1"))
    tried = await send_many(api, [purchase("s1"), purchase("s1", 5)], query=DRY)
    assert [each["attributes"]["status"] for each in tried.data] == ["duplicate", "rejected"]
    assert tried.data[1]["attributes"]["errors"][0]["code"] == "ChangedDuplicate"


async def test_the_reward_it_would_bring_and_lose_is_told(api: Api) -> None:
    threshold, user = await rule(api), await api.user()
    answer = await send(api, purchase("s1", 5000, user=user), query=DRY)
    told = {"thresholdId": threshold, "userId": user, "cycle": 1, "step": 1, "desiredAmount": 500}
    assert answer.body["meta"]["effects"]["rewards"] == [
        {**told, "status": "given", "amount": 500, "returnedAmount": 0}
    ]
    assert (await send(api, purchase("s1", 5000, user=user))).status == 201
    back = await send(api, transaction("Void", "v1", linkedExternalTransactionId="s1"), query=DRY)
    assert back.body["meta"]["effects"]["rewards"] == [
        {**told, "status": "returned", "amount": 500, "returnedAmount": 500}
    ]
