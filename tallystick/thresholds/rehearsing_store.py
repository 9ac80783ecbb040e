"""The statement that rehearses: one version over what is stored, set-based, in a work that only reads."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base.db import Row
from tallystick.base.work import Work
from tallystick.thresholds.model import Version

SECONDS_MAX: Final = 60
"""How long one version may take, all that it reads included."""
WORK_MEMORY: Final = "64MB"

# A rehearsal reads much by one plan of its own, unlike everything else here, which reads little by plans that are kept.
SETTINGS: Final = f"""
set local statement_timeout = '{SECONDS_MAX}s';
set local work_mem = '{WORK_MEMORY}';
set local plan_cache_mode = force_custom_plan;
set local enable_seqscan = on
"""

REHEARSE: Final = """
select day, step, rewards, bounded, customers, rewarded
from threshold_rehearse($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
order by day, step
"""

# A page of it ends with the last crossing of an activity.
OPEN: Final = """
declare threshold_crossed no scroll cursor for
select customer_id, window_start, day, at, tie, location_id, step, already, rewards
from threshold_crossings($1, $2, $3, $4, $5, $6)
where customer_id is not null
order by at, tie, customer_id, window_start, step
"""
NEXT: Final = "fetch 2000 from threshold_crossed"
CLOSE: Final = "close threshold_crossed"


async def prepare(work: Work) -> None:
    """Let the statements of this work read much."""
    await work.db.script(SETTINGS)


async def rehearse(
    work: Work, version: Version, from_at: datetime, until_at: datetime, since: UUID, cycles: int
) -> Sequence[Row]:
    """By day and step what the version would have given; behind them one row without a day: customers and rewarded."""
    caps = version.caps
    return await work.db.rows(
        REHEARSE,
        work.tenant.id,
        version.threshold_id,
        version.number,
        from_at,
        until_at,
        since,
        [reward.amount for reward in version.rewards],
        caps.customer_count,
        caps.customer_amount,
        caps.customer_day_count,
        cycles,
    )


async def crossings(
    work: Work, version: Version, from_at: datetime, until_at: datetime, since: UUID
) -> AsyncIterator[Sequence[Row]]:
    """Each time that steps would have been reached, in their order, some at a time; what one activity reaches is in one piece."""
    stretch = (work.tenant.id, version.threshold_id, version.number, from_at, until_at, since)
    await work.db.run(OPEN, *stretch)
    held: list[Row] = []
    while rows := await work.db.rows(NEXT):
        held += rows
        last = next((n for n in range(len(held) - 1, 0, -1) if held[n][4] != held[n - 1][4]), 0)
        if last:
            yield held[:last]
            held = held[last:]
    if held:
        yield held
    await work.db.run(CLOSE)
