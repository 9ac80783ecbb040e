"""What waits to be reconciled: released, so that it counts, or rejected, so that it never was."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import tallystick.activity.changing_store as store
import tallystick.activity.store as activity_store
from tallystick import events
from tallystick.activity import linking, resource
from tallystick.activity.accepting import advance
from tallystick.activity.looking import Purchase
from tallystick.activity.model import Attribution
from tallystick.base.db import Row
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import NOBODY, Asked, Caller, Runtime, Tenant, Work
from tallystick.thresholds.model import Standing

AT_ONCE: Final = 1_000
"""How many one work decides: cut by how long their locks are held."""
FIRST: Final = UUID(int=0)


async def release(
    work: Work, asked: Asked, import_id: UUID, *, reject: bool, after: UUID = FIRST, limit: int = AT_ONCE
) -> UUID | None:
    """Count, or reject, the next of what an import brought and what still waits; the last id, for `after`. None: all is done."""
    found = await store.pending_of_import(work, import_id, after, limit)
    if not found:
        return None
    await _decide(work, asked, found, "rejected" if reject else "counted")
    return found[-1][0]


async def next_release(work: Work) -> datetime | None:
    """When the next activity is released that came by no import."""
    return await store.next_release(work)


async def release_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Release what is due at `at`, up to a number; whether anything was."""
    async with runtime.work(tenant, at=at) as work:
        found = await store.pending_due(work, AT_ONCE)
        if found:
            await _decide(work, of_the_house(tenant), found, "counted")
    return bool(found)


async def release_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, release what is due; whether anything was."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_RELEASE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: release_at(runtime, tenant, row[3]))


def of_the_house(tenant: Tenant) -> Asked:
    """What nobody asked for: time did it."""
    caller = Caller.behind(tenant, NOBODY, NOBODY)
    return Asked(caller, NOBODY, "POST", "/api/v1/external-transactions")


async def _decide(
    work: Work, asked: Asked, found: Sequence[tuple[UUID, UUID | None]], attribution: Attribution
) -> None:
    """Under the locks of all of them and of what they take back. A refund that is rejected takes nothing back any more."""
    wanted = {activity_id for activity_id, _ in found}
    locked = await _lock(work, wanted.union(linked for _, linked in found if linked is not None))
    before = {activity_id: linking.standing(each) for activity_id, (each, _) in locked.items()}
    took = {activity_id for activity_id, (each, _) in locked.items() if linking.takes(each)}
    decided = [locked[activity_id] for activity_id in sorted(wanted) if locked[activity_id][0].attribution == "pending"]
    for each, _ in decided:
        each.attribution = attribution
    await store.attribute(work, [each.id for each, _ in decided], attribution)
    if attribution == "rejected":
        await _undo(work, locked, took, [row["linked_id"] for each, row in decided if each.type == "Void"])
        await _tell_rejected(work, [each.id for each, _ in decided])
    await _move(work, asked, [(each, before[each.id]) for each, _ in locked.values()])


async def _lock(work: Work, activity_ids: Collection[UUID]) -> dict[UUID, tuple[Purchase, Row]]:
    """These and what they take back, which may have come since they were found; and behind a void what its refund takes back."""
    locked: dict[UUID, tuple[Purchase, Row]] = {}
    asked: set[UUID] = set()
    while fresh := set(activity_ids) - asked:
        asked |= fresh
        locked |= await store.lock(work, list(fresh))
        activity_ids = [row["linked_id"] for _, row in locked.values() if row["linked_id"] is not None]
    return locked


async def _tell_rejected(work: Work, activity_ids: Sequence[UUID]) -> None:
    """What came by an import was told of by the import alone, so that this is its first event."""
    for activity in (await activity_store.by_ids(work, activity_ids)).values():
        sequence = 2 if activity.import_id is None else 1
        events.record(work, resource.event("transaction.rejected", sequence, activity))


async def _undo(
    work: Work, locked: Mapping[UUID, tuple[Purchase, Row]], took: Collection[UUID], voids_of: Collection[UUID | None]
) -> None:
    """Void by what voids are left, of what lost one; and let refunds take back what they do now, where they did otherwise."""
    changed = {each.id: each for activity_id, (each, _) in locked.items() if activity_id in voids_of}
    standing = await store.standing_voids(work, list(changed))
    for activity_id, each in changed.items():
        each.voided = activity_id in standing
    for activity_id, (refund, row) in locked.items():
        sign = linking.takes(refund) - (activity_id in took)
        if sign and row["linked_id"] in locked:
            target = changed[row["linked_id"]] = locked[row["linked_id"]][0]
            target.returned_amount += sign * row["amount"]
            target.returned_units += sign * row["units"]
    if changed:
        await store.write_returns(work, list(changed.values()))


async def _move(work: Work, asked: Asked, before: Sequence[tuple[Purchase, Standing]]) -> None:
    await advance(work, asked, linking.moves(before))
