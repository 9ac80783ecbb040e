"""Send again: what never arrived, or all of it, of a stretch of the feed; a part of it at a time, and never what is under way."""

from dataclasses import replace
from typing import Final

import tallystick.webhooks.replay_store as store
import tallystick.webhooks.store as endpoints
from tallystick import partners
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant
from tallystick.webhooks.replay_store import Stretch

AT_ONCE: Final = 2_000
"""How many positions of the feed one transaction looks at."""


async def replay_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, a part of one replay; whether there was any."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_REPLAYS)
    return await each_in_turn(rows, lambda tenant, _row: _replay(runtime, tenant))


async def _replay(runtime: Runtime, tenant: Tenant) -> bool:
    async with runtime.work(tenant) as work:
        wish = await store.next_running(work)
        if wish is None:
            return False
        webhook = (await endpoints.by_ids(work, [wish.webhook_id])).get(wish.webhook_id)
        sight = await partners.sight(work, [wish.partner_id])
        if webhook is None or webhook.status != "enabled" or wish.partner_id not in sight:
            await store.move(work, replace(wish, status="cancelled"))
            return True
        upto = min(wish.to_position, wish.done_position + AT_ONCE)
        stretch = Stretch(wish.webhook_id, sight[wish.partner_id], wish.done_position, upto, wish.topics)
        found = await store.again(work, stretch, only_missing=wish.only_missing)
        is_done = upto >= wish.to_position
        moved = replace(wish, done_position=upto, matched=wish.matched + found)
        await store.move(work, replace(moved, status="completed") if is_done else moved)
    return True
