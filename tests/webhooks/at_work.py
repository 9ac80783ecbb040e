"""The background work of webhooks, in this process and with the clock of the tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network

from tallystick import webhooks
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api

UNSETTLED = """
select (select position from tenant_heads where tenant_id = $1) > coalesce(
    (select position from webhook_heads where tenant_id = $1), 0
) or exists (
    select from webhook_deliveries as d
    join webhooks as w on w.tenant_id = $1 and w.id = d.webhook_id
    where d.tenant_id = $1 and d.status = 'pending' and (d.due_at <= $2 or d.lease is not null)
        and (w.status = 'enabled' or d.lease is not null)
        and not (d.fifo and exists (
            select from webhook_deliveries as earlier
            where earlier.tenant_id = $1 and earlier.webhook_id = d.webhook_id and earlier.subject_id = d.subject_id
                and earlier.position < d.position and earlier.status = 'pending'
        ))
) or exists (select from webhook_replays where tenant_id = $1 and status = 'running')
"""
RULES = webhooks.Rules((ip_network("127.0.0.1/32"),))
PATIENCE_SECONDS = 20.0


@contextlib.asynccontextmanager
async def at_work(runtime: Runtime) -> AsyncIterator[None]:
    """Events are handed out, delivered and sent again while the block runs."""
    sender = webhooks.Sender(RULES).open()
    deliverer = webhooks.Deliverer(runtime, sender)
    stopping = asyncio.Event()

    async def hand_out() -> None:
        while not stopping.is_set():
            did = await webhooks.fan_out_due(runtime)
            did = await webhooks.replay_due(runtime) or did
            did = await webhooks.skip_due(runtime) or did
            if did:
                deliverer.wake()
            else:
                await asyncio.sleep(0.02)

    working = asyncio.gather(deliverer.run(stopping), hand_out())
    try:
        yield
    finally:
        stopping.set()
        await working
        await sender.close()


async def settled(runtime: Runtime, auditor: Db, api: Api) -> None:
    """Wait until whatever is due was told to everybody it is for."""

    async def is_unsettled() -> bool:
        return bool(await auditor.value(UNSETTLED, api.tenant.id, runtime.clock()))

    async with asyncio.timeout(PATIENCE_SECONDS):
        while await is_unsettled():  # noqa: ASYNC110 - it is another's doing
            await asyncio.sleep(0.02)


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():  # noqa: ASYNC110 - it is another's doing
            await asyncio.sleep(0.01)
