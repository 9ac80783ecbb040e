"""What a partner lives through: rewards are issued, its own system hears of each, and can prove who told it."""

from datetime import timedelta

import pytest
from standardwebhooks import Webhook as Standard
from svix.webhooks import Webhook as Svix

from tallystick.base import clock as instants
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, document_of
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE
from tests.webhooks.at_work import at_work, settled
from tests.webhooks.cast import Receiver, enabled, make, says

GONE = 410


@pytest.fixture
def clock(clock: Clock) -> Clock:
    """Strangers hold the instant of an attempt against the clock of this machine."""
    clock.now = instants.utc()
    return clock


async def test_strangers_verify_what_is_sent(api: Api, runtime: Runtime, auditor: Db, receiver: Receiver) -> None:
    secret = (await enabled(api, receiver)).attributes["secret"]
    await api.wallet()
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
    assert receiver.topics == ["wallet.created", "reward.credited"]
    for heard in receiver.heard:
        text = heard.body.decode()
        assert Standard(secret).verify(text, dict(heard.headers)) == heard.told
        Svix(secret).verify(text, dict(heard.headers))
    told = receiver.heard[1].told
    feed = (await api.get("webhook-events?filter[topic]=reward.credited")).data
    assert [(each["id"], each["attributes"]["envelope"]) for each in feed] == [(told["id"], told)]
    assert told["data"]["attributes"]["amount"] == 500 and told["sequence"] == 1


async def test_an_endpoint_hears_of_its_topics_only(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    await api.wallet()
    async with at_work(runtime):
        await api.issue()
        await api.issue(OTHER_PHONE)
        await settled(runtime, auditor, api)
    assert receiver.topics == ["reward.pre_issued"]


async def test_what_failed_is_tried_again_with_the_same_bytes_and_id(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    receiver.answers = [says(500, "later"), says(429, retry_after="600"), says(200, "thanks")]
    await api.issue()
    for seconds, heard in ((0, 1), (4, 1), (3, 2), (599, 2), (200, 3)):
        clock.move(timedelta(seconds=seconds))
        async with at_work(runtime):
            await settled(runtime, auditor, api)
        assert len(receiver.heard) == heard
    first, second, third = receiver.heard
    assert first.body == second.body == third.body
    assert {each.headers["webhook-id"] for each in receiver.heard} == {first.told["id"]}
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    shown = (await api.get(f"webhook-events/{first.told['id']}/attempts")).data
    assert [(each["attributes"]["number"], each["attributes"]["statusCode"]) for each in shown] == [
        (3, 200), (2, 429), (1, 500),
    ]  # fmt: skip
    assert [each["attributes"]["answer"] for each in shown] == ["thanks", None, "later"]
    (delivery,) = (await api.get(f"webhooks/{made.data['id']}/deliveries")).data
    assert (delivery["attributes"]["status"], delivery["attributes"]["attempts"]) == ("delivered", 3)


async def test_what_happened_while_it_was_off_is_kept_and_replayed(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    one = f"webhooks/{made.data['id']}"
    began = instants.render(clock.now)
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
        await api.post(f"{one}/disable")
        await api.issue(OTHER_PHONE)
        await settled(runtime, auditor, api)
        (skipped,) = (await api.get(f"{one}/deliveries?filter[status]=skipped")).data
        assert (await api.post(f"{one}/replay", document_of("ReplayWebhook", **{"from": began}))).status == 409
        await api.post(f"{one}/enable")
        receiver.heard.clear()
        clock.move(timedelta(seconds=1))
        rehearsed = await api.post(f"{one}/replay", document_of("ReplayWebhook", **{"from": began, "dryRun": True}))
        assert (rehearsed.status, rehearsed.attributes["matched"]) == (202, 1)
        assert receiver.heard == []
        wished = await api.post(f"{one}/replay", document_of("ReplayWebhook", **{"from": began}))
        assert (wished.status, wished.attributes["status"]) == (202, "running")
        await settled(runtime, auditor, api)
        (heard,) = receiver.heard
        assert (heard.told["id"], heard.headers["webhook-replay"]) == (skipped["id"], "true")
        (done,) = (await api.get(f"{one}/replays")).data
        assert (done["attributes"]["status"], done["attributes"]["matched"]) == ("completed", 1)
        await api.post(f"{one}/replay", document_of("ReplayWebhook", **{"from": began, "onlyMissing": False}))
        await settled(runtime, auditor, api)
    assert len(receiver.heard) == 3


async def test_a_new_endpoint_can_ask_for_what_was_before_it(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock
) -> None:
    began = instants.render(clock.now)
    await api.issue()
    made = await enabled(api, receiver)
    async with at_work(runtime):
        await settled(runtime, auditor, api)
        assert receiver.heard == []
        clock.move(timedelta(seconds=1))
        await api.post(f"webhooks/{made.data['id']}/replay", document_of("ReplayWebhook", **{"from": began}))
        await settled(runtime, auditor, api)
    assert receiver.topics == ["reward.pre_issued"]


async def test_one_event_is_sent_again_on_demand(api: Api, runtime: Runtime, auditor: Db, receiver: Receiver) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
        event_id = receiver.heard[0].told["id"]
        again = await api.post(f"webhook-events/{event_id}/redeliver")
        assert (again.status, again.attributes["matched"]) == (202, 1)
        await settled(runtime, auditor, api)
        named = document_of("RedeliverEvent", webhookId=made.data["id"])
        assert (await api.post(f"webhook-events/{event_id}/redeliver", named)).status == 202
        await settled(runtime, auditor, api)
    assert [each.told["id"] for each in receiver.heard] == [event_id] * 3
    assert len({each.body for each in receiver.heard}) == 1
    shown = (await api.get(f"webhook-events/{event_id}/attempts")).data
    assert [each["attributes"]["replayed"] for each in shown] == [True, True, False]


async def test_an_endpoint_that_is_gone_is_switched_off_and_its_partner_told_elsewhere(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    receiver.answers = [says(GONE)]
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
        await api.issue(OTHER_PHONE)
        await settled(runtime, auditor, api)
    shown = (await api.get(f"webhooks/{made.data['id']}")).attributes
    assert (shown["status"], shown["reason"], len(receiver.heard)) == ("disabled", "gone", 1)
    (told,) = (await api.get("webhook-events?filter[topic]=webhook.disabled")).data
    assert told["attributes"]["document"]["attributes"]["reason"] == "gone"


async def test_nothing_personal_and_no_code_is_ever_told(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    await enabled(api, receiver)
    await api.wallet()
    async with at_work(runtime):
        await api.issue()
        card = document_of("GiftCard", amount=500, idempotencyKey="one", pin=True)
        code = (await api.post("gift-cards", card)).attributes["code"]
        await settled(runtime, auditor, api)
    everything = b"".join(each.body for each in receiver.heard).decode()
    assert len(receiver.heard) >= 3
    for secret in (code, code.replace("-", ""), "+12025550143", "2025550143"):
        assert secret not in everything


async def test_events_come_in_one_order_for_each_subject_where_that_is_asked(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock
) -> None:
    await enabled(api, receiver, "reward.pre_issued", "reward.cancelled", fifo=True)
    receiver.answers = [says(500)]
    async with at_work(runtime):
        reward_id = (await api.issue()).data["id"]
        await settled(runtime, auditor, api)
        await api.delete(f"rewards/{reward_id}")
        await api.issue(OTHER_PHONE)
        await settled(runtime, auditor, api)
        told = [(each.told["type"], each.told["data"]["id"] == reward_id) for each in receiver.heard]
        assert told == [("reward.pre_issued", True), ("reward.pre_issued", False)]
    clock.move(timedelta(seconds=7))
    async with at_work(runtime):
        await settled(runtime, auditor, api)
    assert [each.told["type"] for each in receiver.heard][2:] == ["reward.pre_issued", "reward.cancelled"]


async def test_a_pending_endpoint_hears_nothing(api: Api, runtime: Runtime, auditor: Db, receiver: Receiver) -> None:
    made = await make(api, receiver.url)
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
    assert receiver.heard == []
    (kept,) = (await api.get(f"webhooks/{made.data['id']}/deliveries")).data
    assert kept["attributes"]["status"] == "skipped"
