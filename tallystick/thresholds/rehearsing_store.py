"""The statement that rehearses: one version over what is stored, set-based, in a work that only reads."""

from collections.abc import Sequence
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
