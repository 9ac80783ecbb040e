"""Endpoints that only fail: their partners are warned three times, then they are sent nothing any more."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

import tallystick.webhooks.store as store
from tallystick.base.work import Runtime, Tenant
from tallystick.webhooks import failing, skip_due
from tallystick.webhooks.failing import Fared, judged, matters
from tallystick.webhooks.model import PATIENCE, WARNINGS, Webhook
from tests.api import Api
from tests.conftest import Clock
from tests.webhooks.cast import Receiver, enabled, says
from tests.webhooks.deliveries import delivering, endpoints, handed_out, happen, happen_much, settled, stands, until
from tests.world import T0

TOLD = """
select topic, sequence, document from events
where tenant_id = $1 and topic in ('webhook.failing', 'webhook.disabled') order by position
"""


async def endpoint(api: Api, runtime: Runtime, receiver: Receiver) -> Webhook:
    made = await enabled(api, receiver, "reward.pre_issued")
    async with runtime.reading(api.tenant) as work:
        return (await store.by_ids(work, [UUID(made.data["id"])]))[UUID(made.data["id"])]


def failed(webhook: Webhook, at: datetime) -> Fared:
    return Fared(webhook.id, None, at, is_failing=True)


def went_well(webhook: Webhook, at: datetime) -> Fared:
    return Fared(webhook.id, at, None, is_failing=False)


async def note(runtime: Runtime, tenant: Tenant, fared: Fared) -> Webhook:
    async with runtime.work(tenant) as work:
        return (await failing.note(work, [fared]))[fared.webhook_id]


async def told(runtime: Runtime, tenant: Tenant) -> list[Any]:
    async with runtime.reading(tenant) as work:
        return [(row[0], row[1], json.loads(row[2])["attributes"]) for row in await work.db.rows(TOLD, tenant.id)]


async def test_a_partner_is_warned_at_half_of_the_patience_and_twice_more_then_it_is_over(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    webhook = await endpoint(api, runtime, receiver)
    for percent in (0, 10, 49, 50, 60, 69, 71, 89, 90, 99, 100):
        webhook = await note(runtime, api.tenant, failed(webhook, T0 + PATIENCE * percent / 100))
    assert (webhook.status, webhook.reason) == ("disabled", "failures")
    found = await told(runtime, api.tenant)
    assert [(each[0], each[2].get("percent")) for each in found] == [
        *(("webhook.failing", percent) for percent in WARNINGS),
        ("webhook.disabled", None),
    ]
    assert [each[1] for each in found] == sorted({each[1] for each in found}), "a sequence of its own"


async def test_one_success_ends_the_failing_and_all_of_its_warnings(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    webhook = await endpoint(api, runtime, receiver)
    await note(runtime, api.tenant, failed(webhook, T0))
    warned = await note(runtime, api.tenant, failed(webhook, T0 + PATIENCE * 0.95))
    assert warned.warned == 90 and warned.failing_since == T0
    well = await note(runtime, api.tenant, went_well(webhook, T0 + PATIENCE * 0.96))
    assert (well.failing_since, well.warned) == (None, 0)
    again = await note(runtime, api.tenant, failed(webhook, T0 + PATIENCE * 2))
    assert again.status == "enabled" and again.failing_since == T0 + PATIENCE * 2


async def test_failures_of_one_short_stretch_never_disable(api: Api, runtime: Runtime, receiver: Receiver) -> None:
    webhook = await endpoint(api, runtime, receiver)
    for minutes in range(100):
        webhook = await note(runtime, api.tenant, failed(webhook, T0 + timedelta(minutes=minutes)))
    assert webhook.status == "enabled" and await told(runtime, api.tenant) == []


async def test_an_endpoint_is_written_when_something_changes_and_else_once_a_minute(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    webhook = replace(await endpoint(api, runtime, receiver), succeeded_at=None)
    assert matters(webhook, went_well(webhook, T0))
    webhook = judged(webhook, went_well(webhook, T0))
    assert not matters(webhook, went_well(webhook, T0 + timedelta(seconds=59)))
    assert matters(webhook, went_well(webhook, T0 + timedelta(seconds=60)))
    assert matters(webhook, failed(webhook, T0 + timedelta(seconds=1)))
    webhook = judged(webhook, failed(webhook, T0 + timedelta(seconds=1)))
    assert not matters(webhook, failed(webhook, T0 + timedelta(seconds=59)))
    assert matters(webhook, went_well(webhook, T0 + timedelta(seconds=2)))
    assert not matters(webhook, failed(webhook, T0 - timedelta(hours=5))), "a clock that was set back writes nothing"


async def test_a_thousand_good_deliveries_write_their_endpoint_once(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    await happen_much(runtime, api.tenant, api, 300)
    await handed_out(runtime, api.tenant)

    async def written() -> Any:
        async with runtime.reading(api.tenant) as work:
            return await work.db.value("select xmin::text from webhooks where tenant_id = $1", api.tenant.id)

    async with delivering(runtime):
        await settled(runtime, api.tenant, *["delivered"] * 301)
        before = await written()
        await happen(api, 3)
        await handed_out(runtime, api.tenant)
        await settled(runtime, api.tenant, *["delivered"] * 304)
        assert await written() == before


@pytest.mark.parametrize(
    ("answer", "reason", "status"),
    [
        (says(410), "gone", "failed"),
        (says(200, webhook_delivery="disable"), "receiver", "delivered"),
    ],
)
async def test_who_wants_no_more_gets_no_more_and_what_waited_can_be_asked_for_later(
    api: Api, runtime: Runtime, receiver: Receiver, answer: Any, reason: str, status: str
) -> None:
    await enabled(api, receiver, "reward.pre_issued", ratePerMinute=60)
    await happen(api, 4)
    await handed_out(runtime, api.tenant)
    receiver.answer = answer
    async with delivering(runtime):

        async def over() -> bool:
            return bool((await endpoints(runtime, api.tenant))[0]["status"] == "disabled")

        await until(over)
    while await skip_due(runtime):
        pass
    await happen(api)
    await handed_out(runtime, api.tenant)
    rows = await stands(runtime, api.tenant)
    assert sorted(each["status"] for each in rows) == sorted([status, *["skipped"] * 4])
    (found,) = await endpoints(runtime, api.tenant)
    assert found["reason"] == reason
    assert [each[0] for each in await told(runtime, api.tenant)] == ["webhook.disabled"]


async def test_who_is_enabled_again_is_sent_what_happens_from_then_on(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    await happen(api)
    await handed_out(runtime, api.tenant)
    receiver.answers = [says(410)]
    async with delivering(runtime):
        await settled(runtime, api.tenant, "failed")
        answer = await api.post(f"webhooks/{made.data['id']}/enable")
        assert answer.attributes["status"] == "enabled", answer.text
        await happen(api)
        await handed_out(runtime, api.tenant)
        await settled(runtime, api.tenant, "failed", "delivered")
