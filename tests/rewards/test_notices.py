"""A reward that waits and expires soon is told of once, as long before as the merchant's terms say."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest

from tallystick import rewards
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.customers import recipients
from tallystick.rewards import notices
from tallystick.sandbox import DueWork
from tallystick.sandbox import advance as move_clock
from tests import world
from tests.api import Api, join
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE, cancel, check_whole, configure, feed, story, update

DUE = (
    DueWork("tell of rewards that expire", notices.next_notice, notices.notify_at),
    DueWork("expire rewards", rewards.next_deadline, rewards.expire_at),
)
NOTICE, DEADLINE = "2026-05-17T09:00:00.000Z", "2026-05-31T09:00:00.000Z"


async def notify(runtime: Runtime) -> None:
    while await notices.notify_due(runtime):
        pass


async def told(api: Api, reward_id: str) -> list[str]:
    return [at for topic, _, at in await story(api, reward_id) if topic == "reward.expiring"]


async def test_a_reward_is_announced_two_weeks_before_its_deadline_and_then_expires(runtime: Runtime, api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    await move_clock(runtime, api.tenant, world.T0 + timedelta(days=100), DUE)
    assert await story(api, reward_id) == [
        ("reward.pre_issued", 1, "2026-03-02T09:00:00.000Z"),
        ("reward.expiring", 2, NOTICE),
        ("reward.expired", 3, DEADLINE),
    ]
    document = next(each["document"] for each in await feed(api) if each["topic"] == "reward.expiring")
    assert (document["attributes"]["status"], document["attributes"]["claimExpiresAt"]) == ("Created", DEADLINE)
    assert "message" not in document["attributes"]


async def test_the_loop_tells_once_and_dates_it_when_it_tells(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, expiry_notice_days=3)
    reward_id = (await api.issue()).data["id"]
    clock.move(timedelta(days=87) - timedelta(milliseconds=1))
    await notify(runtime)
    assert await told(api, reward_id) == []
    clock.move(timedelta(hours=1))
    await notify(runtime)
    await notify(runtime)
    assert await told(api, reward_id) == ["2026-05-28T09:59:59.999Z"]


async def test_what_is_announced_can_still_be_changed_cancelled_and_claimed(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    first = (await api.issue()).data["id"]
    second = (await api.issue(OTHER_PHONE)).data["id"]
    clock.move(timedelta(days=80))
    await notify(runtime)
    assert (await update(api, first, amount=7)).status == 200
    assert (await cancel(api, first)).status == 204
    await api.wallet(OTHER_PHONE)
    assert [topic for topic, _, _ in await story(api, first)] == [
        "reward.pre_issued",
        "reward.expiring",
        "reward.updated",
        "reward.cancelled",
    ]
    assert [topic for topic, _, _ in await story(api, second)][1:] == ["reward.expiring", "reward.claimed"]


async def test_what_no_longer_waits_is_not_announced(runtime: Runtime, api: Api, clock: Clock) -> None:
    cancelled = (await api.issue()).data["id"]
    await cancel(api, cancelled)
    expired = (await api.issue()).data["id"]
    claimed = (await api.issue(OTHER_PHONE)).data["id"]
    await api.wallet(OTHER_PHONE)
    clock.move(timedelta(days=90))
    await notify(runtime)
    assert [await told(api, each) for each in (cancelled, expired, claimed)] == [[], [], []]
    async with runtime.reading(api.tenant) as work:
        assert await notices.next_notice(work) is None


async def test_loops_that_found_the_same_reward_tell_once(runtime: Runtime, api: Api, clock: Clock) -> None:
    reward_id = (await api.issue()).data["id"]
    clock.move(timedelta(days=80))
    async with runtime.work(api.tenant) as work:
        people = await work.db.rows("select id from recipients where tenant_id = $1", api.tenant.id)
        await recipients.lock_by_ids(work, [row[0] for row in people])
        loops = asyncio.gather(*(notices.notify_at(runtime, api.tenant, clock.now) for _ in range(3)))
        await asyncio.sleep(0.2)  # all of them have found it by now, and wait for the lock
        assert not loops.done()
    await loops
    assert [topic for topic, _, _ in await story(api, reward_id)] == ["reward.pre_issued", "reward.expiring"]


async def test_a_loop_that_found_what_is_cancelled_meanwhile_says_nothing(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    reward_id = (await api.issue()).data["id"]
    clock.move(timedelta(days=80))
    await asyncio.gather(notices.notify_at(runtime, api.tenant, clock.now), cancel(api, reward_id))
    topics = [topic for topic, _, _ in await story(api, reward_id)]
    assert topics in (
        ["reward.pre_issued", "reward.expiring", "reward.cancelled"],
        ["reward.pre_issued", "reward.cancelled"],
    )


async def test_more_than_one_work_can_carry_is_told_all_the_same(
    runtime: Runtime, api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "NOTIFY_AT_ONCE", 2)
    made = [(await api.issue(f"+1202555010{n}", key=str(ids.new()))).data["id"] for n in range(5)]
    clock.move(timedelta(days=80))
    await notify(runtime)
    assert [len(await told(api, each)) for each in made] == [1] * 5


async def test_the_loop_serves_production_too(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, environment="production")
    reward_id = (await api.issue()).data["id"]
    clock.move(timedelta(days=80))
    await notify(runtime)
    assert len(await told(api, reward_id)) == 1
    await check_whole(auditor, api.tenant)
