"""Deliveries: at least once, tried again on time, given up in the end; whatever becomes of processes and clocks in between."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.webhooks import concluding, delivery_store, pacing, schedule
from tallystick.webhooks.model import Answer
from tallystick.webhooks.schedule import DELAYS, JITTER
from tests.api import Api
from tests.conftest import Clock
from tests.webhooks.cast import Receiver, enabled, says
from tests.webhooks.deliveries import (
    attempts,
    delivering,
    endpoints,
    handed_out,
    happen,
    happen_much,
    moved,
    settled,
    stands,
    tried,
    until,
)
from tests.webhooks.sinks import sink


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
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "PAUSE_MAX", 0.01)
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


async def test_a_clock_that_runs_ahead_ends_leases_but_sends_nothing_twice_at_once(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock
) -> None:
    arrived: list[bytes] = []
    let_go = asyncio.Event()

    async def slowly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(b"")
        await let_go.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    async with sink(slowly) as slow:
        await moved(runtime, api.tenant, await enabled(api, receiver, "reward.pre_issued"), slow.url())
        await happen(api)
        await handed_out(runtime, api.tenant)
        async with delivering(runtime) as deliverer:
            await until(lambda: len(arrived) == 1)
            clock.move(timedelta(hours=1))
            deliverer.wake()
            await asyncio.sleep(0.4)
            clock.move(timedelta(hours=-2))
            deliverer.wake()
            await asyncio.sleep(0.2)
            let_go.set()
            (row,) = await settled(runtime, api.tenant, "delivered")
    assert len(arrived) == 1 and row["lease"] is None


async def test_what_somebody_else_took_meanwhile_is_theirs_and_the_late_attempt_is_written_beside_it(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    await happen(api)
    await handed_out(runtime, api.tenant)
    room, late, next_ = {UUID(made.data["id"]): 1}, ids.new(), ids.new()
    async with runtime.work(api.tenant) as work:
        ((first,), _) = await delivery_store.take(work, room, late, clock.now + timedelta(minutes=1))
    clock.move(timedelta(minutes=2))
    async with runtime.work(api.tenant) as work:
        ((_,), _) = await delivery_store.take(work, room, next_, clock.now + timedelta(minutes=1))
    answered = Answer(204, {}, b"", None, 5)
    verdict = schedule.verdict(answered, 1, clock.now, 0.0)
    async with runtime.work(api.tenant) as work:
        ended = concluding.ended(runtime.keys, first.delivery, clock.now, answered, verdict)
        await delivery_store.end(work, [ended])
    (row,) = await stands(runtime, api.tenant)
    assert (row["status"], row["lease"], row["attempts"]) == ("pending", next_, 2)
    assert [each["number"] for each in await attempts(runtime, api.tenant)] == [1]


async def test_a_clock_that_was_set_back_loses_nothing(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    await happen(api)
    await handed_out(runtime, api.tenant)
    clock.move(timedelta(hours=-1))
    async with delivering(runtime) as deliverer:
        await asyncio.sleep(0.3)
        assert receiver.heard == []
        clock.move(timedelta(hours=1))
        deliverer.wake()
        await settled(runtime, api.tenant, "delivered")
    assert len(receiver.heard) == 1


async def test_two_processes_share_the_work_and_send_nothing_twice(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    await happen_much(runtime, api.tenant, api, 120)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime), delivering(runtime):
        await settled(runtime, api.tenant, *["delivered"] * 121)
    assert len(receiver.heard) == len({each.headers["webhook-id"] for each in receiver.heard}) == 121


async def test_in_order_nothing_overtakes_what_is_about_the_same_subject(
    api: Api, runtime: Runtime, receiver: Receiver, clock: Clock
) -> None:
    await enabled(api, receiver, "reward.pre_issued", fifo=True)
    await happen_much(runtime, api.tenant, api, 12, subjects=3)
    await handed_out(runtime, api.tenant)
    receiver.answers = [says(500)] * 2
    async with delivering(runtime) as deliverer:

        async def done() -> bool:
            return [each["status"] for each in await stands(runtime, api.tenant)].count("delivered") >= 5

        await until(done)
        clock.move(DELAYS[0] * 2)
        deliverer.wake()
        await settled(runtime, api.tenant, *["delivered"] * 13)
    arrived: dict[str, list[int]] = {}
    for each in receiver.heard[2:]:
        arrived.setdefault(each.told["data"]["id"], []).append(each.told["sequence"])
    assert sorted(arrived.values()) == [[1], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]


async def test_an_endpoint_gets_no_more_a_minute_than_it_asked_for(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued", ratePerMinute=600)
    await happen_much(runtime, api.tenant, api, 60)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime):
        await asyncio.sleep(1.5)
    assert 10 <= len(receiver.heard) <= 27, "ten a second, and as many at the beginning"


async def test_who_asks_for_time_gets_it(api: Api, runtime: Runtime, receiver: Receiver, clock: Clock) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    receiver.answers = [says(429, retry_after="3600")]
    await happen(api)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime):
        await tried(runtime, api.tenant, 1)
        (row,) = await stands(runtime, api.tenant)
    assert row["due_at"] - clock.now == timedelta(hours=1)


async def test_who_wants_no_more_of_a_message_gets_no_more_of_it(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    receiver.answers = [says(500, webhook_delivery="abort-message")]
    await happen(api)
    await handed_out(runtime, api.tenant)
    async with delivering(runtime):
        await settled(runtime, api.tenant, "failed")
    (endpoint,) = await endpoints(runtime, api.tenant)
    assert endpoint["status"] == "enabled"


async def test_a_partner_without_agreement_is_sent_nothing_and_what_waited_is_skipped(
    api: Api, runtime: Runtime, receiver: Receiver
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    await happen(api, 2)
    await handed_out(runtime, api.tenant)
    async with runtime.pool.lend() as db, db.connection.transaction():
        await db.run("update agreements set status = 'ended' where partner_id = $1", api.partner_id)
    async with delivering(runtime):
        await settled(runtime, api.tenant, "skipped", "skipped")
    assert receiver.heard == []


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
