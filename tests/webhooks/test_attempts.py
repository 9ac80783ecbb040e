"""What was tried to tell of an event: seen by those whose endpoint it went to, bounded, and sealed where it is kept."""

import aiohttp

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api, join
from tests.webhooks.at_work import at_work, settled
from tests.webhooks.cast import Receiver, enabled, receiving, says

SEALED = "select answer_sealed from webhook_attempts where tenant_id = $1"


async def test_each_partner_sees_the_attempts_at_its_own_endpoints(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db, receiver: Receiver
) -> None:
    neighbour = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    async with receiving() as theirs:
        receiver.answer, theirs.answer = says(200, "mine"), says(200, "theirs")
        made = {"mine": await enabled(api, receiver), "theirs": await enabled(neighbour, theirs)}
        async with at_work(runtime):
            await api.issue()
            await settled(runtime, auditor, api)
        event_id = receiver.heard[0].told["id"]
        assert theirs.heard[0].told["id"] == event_id
    for one, said in ((api, "mine"), (neighbour, "theirs")):
        (shown,) = (await one.get(f"webhook-events/{event_id}/attempts")).data
        attributes = shown["attributes"]
        assert (attributes["answer"], attributes["statusCode"], attributes["fault"]) == (said, 200, None)
        assert attributes["webhookId"] == made[said].data["id"]


async def test_only_the_beginning_of_an_answer_is_kept_and_that_sealed(
    api: Api, runtime: Runtime, auditor: Db, receiver: Receiver
) -> None:
    await enabled(api, receiver)
    receiver.answer = says(500, "hush" * 1_000)
    async with at_work(runtime):
        await api.issue()
        await settled(runtime, auditor, api)
    event_id = receiver.heard[0].told["id"]
    (shown,) = (await api.get(f"webhook-events/{event_id}/attempts")).data
    assert (shown["attributes"]["answer"], shown["attributes"]["fault"]) == ("hush" * 256, "status")
    ((sealed,),) = await auditor.rows(SEALED, api.tenant.id)
    assert b"hush" not in bytes(sealed)


async def test_of_an_event_that_nobody_knows_there_are_no_attempts(api: Api) -> None:
    for unknown in (str(ids.new()), "Luna", "0"):
        answer = await api.get(f"webhook-events/{unknown}/attempts")
        assert (answer.status, answer.codes) == (404, ["NotFound"])
