"""Move progress: one call for whatever changed its standing, for every version that was in force when it happened."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tallystick.base.columns import shortened
from tallystick.base.work import Work
from tallystick.thresholds.model import Move, Moved

ADVANCE = """
select threshold_id, customer_id, merchant_id, window_start, number, before, current, pending, activity_id, location_id,
    reached, crossed
from thresholds_advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

LOCK = """
select threshold_id, customer_id, merchant_id, window_start, number, current, current, pending, id, null::uuid, reached,
    true
from threshold_progress
where tenant_id = $1 and threshold_id = any($2::uuid[]) and customer_id = any($3::uuid[])
order by threshold_id, customer_id, window_start
for update
"""

# Each row is found by its key, and written where it stands: it is locked, and stays there.
SETTLE = """
update threshold_progress as p
set reached = s.reached
from (
    select held.at, s.reached
    from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::bigint[]) as s (threshold_id, customer_id, window_start, reached)
    cross join lateral (
        select k.ctid as at
        from threshold_progress as k
        where k.tenant_id = $1 and k.threshold_id = s.threshold_id and k.customer_id = s.customer_id
            and k.window_start = s.window_start
        offset 0  -- a fence
    ) as held
) as s
where p.tenant_id = $1 and p.ctid = s.at
"""

Place = tuple[UUID, UUID, datetime]
"""A threshold, a customer and the beginning of a window."""


async def advance(work: Work, moves: Sequence[Move], *, all_moved: bool = True) -> list[Moved]:
    """Move progress by activities whose rows are written; each activity once. The rows of progress stay locked.

    What moved; with `all_moved` false only what crossed a step, or fell below one that was settled.
    """
    assert len({move.activity_id for move in moves}) == len(moves), "an activity moves once in a call"
    if not moves:
        return []
    rows = await work.db.rows(
        ADVANCE,
        work.tenant.id,
        work.now,
        [move.activity_id for move in moves],
        shortened([move.before.state for move in moves]),
        shortened([move.before.returned_amount for move in moves]),
        shortened([move.before.returned_units for move in moves]),
        shortened([move.after.state for move in moves]),
        shortened([move.after.returned_amount for move in moves]),
        shortened([move.after.returned_units for move in moves]),
        all_moved,
    )
    return [Moved(*row) for row in rows]


async def lock_progress(work: Work, places: Sequence[Place]) -> list[Moved]:
    """The progress of these places as it stands, locked in the one order, as if nothing had moved it."""
    rows = await work.db.rows(
        LOCK, work.tenant.id, list({place[0] for place in places}), list({place[1] for place in places})
    )
    wanted = set(places)
    found = [Moved(*row) for row in rows]
    return [each for each in found if (each.threshold_id, each.customer_id, each.window_start) in wanted]


async def settled(work: Work, reached: Sequence[tuple[UUID, UUID, datetime, int]]) -> None:
    """Up to which need the steps of each place are settled; its row is locked."""
    if reached:
        await work.db.run(
            SETTLE,
            work.tenant.id,
            [each[0] for each in reached],
            [each[1] for each in reached],
            [each[2] for each in reached],
            [each[3] for each in reached],
        )
