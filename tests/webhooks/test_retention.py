"""What became of events is kept for a while; what was a deleted endpoint's is gone soon."""

from datetime import timedelta

from tallystick import webhooks
from tallystick.base.db import Db
from tallystick.base.work import Runtime
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
