"""Count what was nobody's, once its customer is known; and what a merged customer did, as the survivor's.

Changes of customers are followed by their instant, behind a cursor for each tenant, and each is looked at twice: at once, and when
no work can be under way any more that landed activity without having seen it. So nothing is ever looked for among all that is
nobody's: from a changed customer's names the few activities are found that bear one of them.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import tallystick.activity.changing_store as store
from tallystick import customers
from tallystick.activity import joining, joining_store, linking
from tallystick.activity.accepting import advance
from tallystick.activity.model import SURE_AFTER
from tallystick.activity.releasing import of_the_house
from tallystick.base.batcher import RETRIED, TRIES
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.customers import lookup

CUSTOMERS_AT_ONCE: Final = 200
ACTIVITIES_AT_ONCE: Final = 500
"""How many one work counts: cut by how long their locks are held."""


async def count_known(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, look at the next customers that changed; whether there were any."""
    async with runtime.discovering() as db:
        unfollowed = await db.rows(joining_store.DISCOVERY_UNFOLLOWED)
    began = await each_in_turn(unfollowed, lambda tenant, _: _follow(runtime, tenant))
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_CHANGED, runtime.clock(), SURE_AFTER)
    return await each_in_turn(rows, lambda tenant, row: step(runtime, tenant, row[3])) or began


async def step(runtime: Runtime, tenant: Tenant, cursor: str) -> bool:
    """Count what was nobody's, or a merged customer's, of the next customers behind a cursor.

    A killed step is repeated, and finds less to do.
    """
    async with runtime.work(tenant) as work:
        after = await store.cursor(work, cursor)
        if after is None:
            return False
        until = work.now - (SURE_AFTER if cursor == "sure" else timedelta(0))
        changed = await store.changed(work, after, until, CUSTOMERS_AT_ONCE)
        owners = await _owners(work, [customer_id for customer_id, _ in changed])
        merged = await _merged(work, [customer_id for customer_id, _ in changed])
    for start in range(0, len(owners), ACTIVITIES_AT_ONCE):
        async with runtime.work(tenant) as work:
            await _count(work, owners[start : start + ACTIVITIES_AT_ONCE])
    for customer_id in merged:
        await _join(runtime, tenant, customer_id)
    if changed:
        customer_id, at = changed[-1]
        async with runtime.work(tenant) as work:
            if await store.cursor(work, cursor) == after:
                await store.move_cursor(work, cursor, (at, customer_id))
    return bool(changed)


async def _follow(runtime: Runtime, tenant: Tenant) -> bool:
    async with runtime.work(tenant) as work:
        await joining_store.follow(work)
    return True


async def _join(runtime: Runtime, tenant: Tenant, customer_id: UUID) -> None:
    """Everything of a merged customer at once; anew, where others were in the way."""
    for attempt in range(1, TRIES + 1):
        try:
            async with runtime.work(tenant) as work:
                await joining.join(work, customer_id)
            return
        except RETRIED:
            if attempt == TRIES:
                raise
            await asyncio.sleep(0.005 * attempt)


async def _merged(work: Work, customer_ids: Sequence[UUID]) -> list[UUID]:
    """Those who are somebody else now."""
    living = await lookup.survivors(work, customer_ids) if customer_ids else {}
    return [customer_id for customer_id in customer_ids if living.get(customer_id, customer_id) != customer_id]


async def _owners(work: Work, customer_ids: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    """(activity, customer) of what is nobody's and bears a name by which one of these is known."""
    if not customer_ids:
        return []
    people = await customers.by_ids(work, customer_ids)
    names = {lookup.identity_index(work, name): name for person in people.values() for name in lookup.names_of(person)}
    cards = await store.tokens(work, customer_ids)
    found = await store.strangers(work, [*names, *cards])
    borne = {row["identity_index"] for row in found}
    wanted = [names[index] for index in borne if index in names]
    known = dict(zip(wanted, await lookup.known_by(work, wanted), strict=True))
    living = await lookup.survivors(work, [cards[index] for index in borne if index in cards])
    owners = []
    for row in found:
        index = row["identity_index"]
        owner = known[names[index]] if index in names else living.get(cards[index])
        if owner is not None:
            owners.append((row["id"], owner))
    return owners


async def _count(work: Work, owners: Sequence[tuple[UUID, UUID]]) -> None:
    locked = await store.lock(work, [activity_id for activity_id, _ in owners])
    fresh = [(i, owner) for i, owner in owners if i in locked and locked[i][0].customer_id is None]
    before = []
    for activity_id, owner in fresh:
        each = locked[activity_id][0]
        before.append((each, linking.standing(each)))
        each.customer_id = owner
    await store.own(work, fresh)
    await advance(work, of_the_house(work.tenant), linking.moves(before))
