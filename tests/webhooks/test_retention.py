"""What became of events is kept for a while; what was a deleted endpoint's is gone soon."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from tallystick import webhooks
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Caller, Runtime
from tallystick.webhooks import fanning_store, replay_api
from tests.api import Api
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE
from tests.webhooks.at_work import at_work, settled
from tests.webhooks.cast import Receiver, enabled, says

ROWS = """
select (select count(*) from webhooks where tenant_id = $1), (select count(*) from webhook_secrets where tenant_id = $1),
    (select count(*) from webhook_deliveries where tenant_id = $1), (select count(*) from webhook_attempts where tenant_id = $1)
"""
KEPT = timedelta(days=90)


async def rows(auditor: Db, api: Api) -> tuple[int, ...]:
    """Endpoints, secrets, deliveries and attempts that there are."""
    found = await auditor.row(ROWS, api.tenant.id)
    assert found is not None
    return tuple(found)


async def forget(runtime: Runtime) -> None:
    step = webhooks.forgetting(KEPT)
    while await step(runtime):
        pass


async def test_old_deliveries_and_attempts_are_forgotten_and_what_waits_is_not(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, clock: Clock
) -> None:
    await enabled(api, receiver, "reward.pre_issued")
    receiver.answers = [says(200), says(500)]
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
        await api.issue(OTHER_PHONE)
        await settled(runtime, auditor, api)
    assert await rows(auditor, api) == (1, 1, 2, 2)
    clock.move(KEPT - timedelta(seconds=1))
    await forget(runtime)
    assert await rows(auditor, api) == (1, 1, 2, 2)
    clock.move(timedelta(seconds=2))
    await forget(runtime)
    assert await rows(auditor, api) == (1, 1, 1, 0)


async def test_of_a_deleted_endpoint_nothing_is_left(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    other = await enabled(api, receiver, "reward.pre_issued")
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
    await api.delete(f"webhooks/{made.data['id']}")
    await forget(runtime)
    assert await rows(auditor, api) == (1, 1, 1, 1)
    assert (await api.get(f"webhooks/{other.data['id']}/deliveries")).body["meta"]["total"] == 1


@pytest.mark.parametrize("who", ["one who sends again", "one who hands out"])
async def test_what_is_under_way_while_an_endpoint_is_cleared_leaves_nothing_behind(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver, who: str
) -> None:
    made = await enabled(api, receiver, "reward.pre_issued")
    await api.issue()
    (event,) = (await api.get("webhook-events?filter[topic]=reward.pre_issued")).data
    caller = Caller(api.tenant, api.partner_id, UUID(api.client_id), frozenset(), None, False, 1, 1)
    asked = Asked(caller, ids.new(), "POST", "/api/v1/webhook-events/{id}/redeliver")
    async with runtime.work(api.tenant) as work:
        if who == "one who sends again":
            (answer,) = await replay_api.redeliver(work, [replay_api.Redeliver(asked, UUID(event["id"]), None)])
            assert isinstance(answer, Answer)
        else:
            assert await fanning_store.lock_head(work) is not None
            await fanning_store.hand_out(work, 0, await fanning_store.last(work), {api.partner_id: False})
        assert (await api.delete(f"webhooks/{made.data['id']}")).status == 204
        clearing = asyncio.create_task(forget(runtime))
        _, waiting = await asyncio.wait([clearing], timeout=0.3)
        assert waiting, "who clears waits for who is under way"
    await clearing
    assert await rows(auditor, api) == (0, 0, 0, 0)
