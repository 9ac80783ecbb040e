"""Deliveries: at least once, tried again on time, given up in the end; whatever becomes of processes and clocks in between."""

import asyncio
from datetime import timedelta

import pytest

from tallystick.base.work import Runtime
from tallystick.webhooks.model import LEASE
from tallystick.webhooks.schedule import DELAYS, JITTER
from tests.api import Api
from tests.conftest import Clock
from tests.webhooks.cast import Receiver, enabled, says
from tests.webhooks.deliveries import attempts, delivering, endpoints, handed_out, happen, settled, stands, tried, until


async def test_what_happened_arrives_once_and_the_attempt_is_written(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    await happen(api, 3)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime):
        rows = await settled(runtime, api.tenant, "delivered", "delivered", "delivered")
    assert [each["attempts"] for each in rows] == [1, 1, 1] and all(each["lease"] is None for each in rows)
    assert sorted(each.told["type"] for each in receiver.heard) == ["reward.pre_issued"] * 3
    assert len({each.headers["webhook-id"] for each in receiver.heard}) == 3
    assert all(each.told["id"] == each.headers["webhook-id"] for each in receiver.heard)
    made = await attempts(runtime, api.tenant)
    assert [(each["number"], each["status_code"], each["fault"]) for each in made] == [(1, 200, None)] * 3


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
async def test_only_2xx_is_success_and_what_failed_is_tried_again_when_it_is_time(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock, status: int
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    receiver.answers = [says(status, Location="http://127.0.0.1:1/")]
    await happen(api)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime) as deliverer:
        (made,) = await tried(runtime, api.tenant, 1)
        assert (made["status_code"], made["fault"]) == (status, "status")
        (row,) = await stands(runtime, api.tenant)
        assert row["status"] == "pending" and row["lease"] is None
        assert DELAYS[0] <= row["due_at"] - clock.now <= DELAYS[0] * (1 + JITTER)
        await asyncio.sleep(0.3)
        assert len(receiver.heard) == 1, "nothing is tried before its time"
        clock.move(DELAYS[0] * (1 + JITTER))
        deliverer.wake()
        await settled(runtime, api.tenant, "delivered")
    assert receiver.heard[0].body == receiver.heard[1].body
    assert receiver.heard[0].headers["webhook-id"] == receiver.heard[1].headers["webhook-id"]
    assert receiver.heard[0].headers["webhook-timestamp"] != receiver.heard[1].headers["webhook-timestamp"]


async def test_after_three_days_of_failures_a_delivery_is_given_up(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    receiver.answer = says(500)
    began = clock.now
    await happen(api)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime) as deliverer:
        for number in range(1, len(DELAYS) + 2):
            await tried(runtime, api.tenant, number)
            (row,) = await stands(runtime, api.tenant)
            if row["status"] == "pending":
                clock.now = row["due_at"]
                deliverer.wake()
        (row,) = await settled(runtime, api.tenant, "failed")
    assert row["attempts"] == len(DELAYS) + 1 == 10
    assert clock.now - began >= timedelta(hours=72)


async def test_who_stops_lets_go_of_what_was_not_sent_and_another_goes_on(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued", ratePerMinute=60)
    await happen(api, 5)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime):
        await until(lambda: len(receiver.heard) == 1)
    rows = await stands(runtime, api.tenant)
    assert [each["lease"] for each in rows] == [None] * 5
    assert sum(each["attempts"] for each in rows) == len(receiver.heard)


async def test_what_a_process_died_with_is_sent_again_when_its_lease_ends(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock
) -> None:
    hang = asyncio.Event()
    await enabled(api, receiver, "reward.pre_issued")
    await happen(api)
    await handed_out(runtime, api.tenant)
    slow = receiver.take

    async with delivering(runtime, end_seconds=0.0):
        receiver.answer = says(500)
        receiver.take = slow  # type: ignore[method-assign]
        await until(lambda: len(receiver.heard) >= 1)
        hang.set()
    clock.move(LEASE)


async def test_the_partner_learns_nothing_more_when_the_receiver_is_gone(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    receiver.answer = says(410)
    await happen(api)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime):
        await settled(runtime, api.tenant, "failed")
    (endpoint,) = await endpoints(runtime, api.tenant)
    assert (endpoint["status"], endpoint["reason"]) == ("disabled", "gone")
