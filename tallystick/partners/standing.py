"""Who a client is, for what is done in its name without a request of its own."""

from collections.abc import Sequence
from uuid import UUID

import tallystick.partners.door_store as door_store
from tallystick.base.db import Pool
from tallystick.base.work import Caller, Work


async def caller_of(pool: Pool, client_id: UUID) -> Caller | None:
    """The caller that this client is, revoked or not; None once its partner is suspended or its agreement has ended."""
    async with pool.lend() as db:
        return await door_store.by_client(db, client_id)


async def sight(work: Work, partner_ids: Sequence[UUID]) -> dict[UUID, bool]:
    """Of these partners those that have an agreement with the work's programme just now, and whether it shows them all of it."""
    return await door_store.sight(work.db, work.tenant.programme_id, partner_ids)
