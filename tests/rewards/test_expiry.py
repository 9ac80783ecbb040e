"""A reward that nobody claims: expired for every reader at its deadline, and in the books by the clock or by the loop."""

from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick import rewards
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, join
from tests.conftest import Clock
from tests.rewards.cast import (
    OTHER_PHONE,
    advance,
    cancel,
    check_whole,
    configure,
    left,
    listed,
    mailbox,
    refused,
    story,
    update,
)

DEADLINE = "2026-05-31T09:00:00.000Z"
NINETY_DAYS = timedelta(days=90)


async def drain(runtime: Runtime) -> None:
    """What the worker does until nothing is due."""
    while await rewards.expire_due(runtime):
        pass


async def entry_times(auditor: Db, api: Api, reward_id: str) -> list[Any]:
    rows = await auditor.rows(
        """select j.kind, e.at from entries e join journals j on j.tenant_id = e.tenant_id and j.id = e.journal_id
        where e.tenant_id = $1 and j.cause_id = $2 order by e.at, j.kind""",
        api.tenant.id,
        reward_id,
    )
    return [(row[0], row[1]) for row in rows]


async def test_the_clock_carries_a_reward_past_its_deadline(api: Api, auditor: Db) -> None:
    reward_id = (await api.issue(notificationEmail="agent@partner.example")).data["id"]
    await advance(api, "P1Y")
    shown = (await api.get(f"rewards/{reward_id}")).attributes
    assert (shown["status"], shown["canUpdate"], shown["canCancel"]) == ("Expired", False, False)
    assert (shown["claimExpiresAt"], shown["updatedAt"]) == (DEADLINE, DEADLINE)
    assert await story(api, reward_id) == [
        ("reward.pre_issued", 1, "2026-03-02T09:00:00.000Z"),
        ("reward.expiring", 2, "2026-05-17T09:00:00.000Z"),
        ("reward.expired", 3, DEADLINE),
    ]
    moved = [(kind, at - world.T0) for kind, at in await entry_times(auditor, api, reward_id)]
    assert moved == [("reward.pre_issue", timedelta(0))] * 2 + [("reward.expire", NINETY_DAYS)] * 2
    (told,) = await mailbox(api)
    assert (told["kind"], told["to"], told["createdAt"]) == ("expiry_notice", "agent@partner.example", DEADLINE)


async def test_the_loop_expires_what_is_due_dated_at_its_deadline(api: Api, runtime: Runtime, clock: Clock) -> None:
    early = (await api.issue()).data["id"]
    clock.move(timedelta(days=1))
    late = (await api.issue(OTHER_PHONE)).data["id"]
    clock.move(NINETY_DAYS + timedelta(hours=5))
    await drain(runtime)
    assert [at for _, _, at in await story(api, early)][1:] == [DEADLINE]
    assert [at for _, _, at in await story(api, late)][1:] == ["2026-06-01T09:00:00.000Z"]


async def test_the_loop_serves_production_too(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, environment="production")
    reward_id = (await api.issue()).data["id"]
    clock.move(NINETY_DAYS - timedelta(seconds=1))
    await drain(runtime)
    assert (await api.get(f"rewards/{reward_id}")).attributes["status"] == "Created"
    clock.move(timedelta(seconds=1))
    await drain(runtime)
    assert [topic for topic, _, _ in await story(api, reward_id)] == ["reward.pre_issued", "reward.expired"]
    await check_whole(auditor, api.tenant)


async def test_funding_returns_when_the_books_have_moved(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, credit_limit=500)
    await api.issue(amount=500)
    clock.move(NINETY_DAYS)
    await drain(runtime)
    assert await left(runtime, api) == 500
    assert (await api.issue(amount=500)).status == 200
    await check_whole(auditor, api.tenant)


async def test_readers_see_it_at_once_and_the_books_follow(api: Api, runtime: Runtime, clock: Clock) -> None:
    reward_id = (await api.issue()).data["id"]
    clock.move(NINETY_DAYS)
    before = (await api.get(f"rewards/{reward_id}")).attributes
    assert before["status"] == "Expired"
    assert len((await listed(api, status="Expired")).data) == 1
    refused(await update(api, reward_id, amount=1), 409, "InvalidState")
    refused(await cancel(api, reward_id), 409, "InvalidState")
    assert len(await story(api, reward_id)) == 1
    await drain(runtime)
    assert (await api.get(f"rewards/{reward_id}")).attributes == {**before, "updatedAt": DEADLINE}


async def test_expiring_happens_once(api: Api, runtime: Runtime, clock: Clock) -> None:
    reward_id = (await api.issue(notificationEmail="agent@partner.example")).data["id"]
    clock.move(NINETY_DAYS)
    await drain(runtime)
    await drain(runtime)
    await advance(api, "P1D")
    assert len(await story(api, reward_id)) == 2
    assert len(await mailbox(api)) == 1


async def test_what_was_cancelled_or_claimed_does_not_expire(api: Api, runtime: Runtime) -> None:
    cancelled = (await api.issue()).data["id"]
    await cancel(api, cancelled)
    claimed = (await api.issue(OTHER_PHONE)).data["id"]
    await api.wallet(OTHER_PHONE)
    await advance(api, "P1Y")
    statuses = [(await api.get(f"rewards/{each}")).attributes["status"] for each in (cancelled, claimed)]
    assert statuses == ["Cancelled", "Claimed"]


async def test_more_than_one_work_can_carry_expires_at_one_instant(api: Api, runtime: Runtime, clock: Clock) -> None:
    await configure(runtime, api, stacking=True)
    lines = [{"phoneNumber": f"+1202555{n:04}", "amount": 1} for n in range(250)]
    attributes = {"idempotencyKey": "b", "recipients": lines}
    await api.post("reward-batches", {"data": {"type": "RewardBatch", "attributes": attributes}})
    while await rewards.run_batches(runtime):
        pass
    await advance(api, "P90D")
    async with runtime.reading(api.tenant) as work:
        left_over = await work.db.value(
            "select count(*) from rewards where tenant_id = $1 and status <> 'Expired'", api.tenant.id
        )
    assert left_over == 0


async def test_a_tenants_fault_keeps_no_other_from_its_turn(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock
) -> None:
    """Each tenant's rewards expire although another's cannot be opened."""
    other = await join(runtime, session, base_url)
    sealed = (await api.issue(notificationEmail="agent@partner.example")).data["id"]
    reward_id = (await other.issue()).data["id"]
    async with runtime.work(api.tenant) as work:
        kept = await work.db.value("select private_sealed from rewards where tenant_id = $1", api.tenant.id)
        await work.db.run("update rewards set private_sealed = 'spoilt' where tenant_id = $1", api.tenant.id)
    clock.move(NINETY_DAYS)
    with pytest.raises(ExceptionGroup):
        await rewards.expire_due(runtime)
    assert len(await story(other, reward_id)) == 2
    async with runtime.work(api.tenant) as work:
        await work.db.run("update rewards set private_sealed = $2 where tenant_id = $1", api.tenant.id, kept)
    await drain(runtime)
    assert len(await story(api, sealed)) == 2
