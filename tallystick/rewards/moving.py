"""Rewards follow the value they gave, when a merge of wallets moves it to another lot, or undoing one moves it back.

So a reversal finds what is left of it where it is now. Nothing else of a reward changes; what is told is the wallets' own merge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tallystick.base.work import Work

LOCK: Final = "select id from rewards where tenant_id = $1 and id = any($2::uuid[]) order by id for update"

FOLLOW: Final = """
update rewards as r
set wallet_id = moved.wallet_id, value_account_id = moved.into_lot
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[]) as moved (id, from_lot, into_lot, wallet_id)
where r.tenant_id = $1 and r.id = moved.id and r.id = any($2) and r.value_account_id = moved.from_lot
"""


@dataclass(frozen=True, slots=True)
class Follow:
    """What a reward gave lies in another lot, of that wallet."""

    reward_id: UUID
    from_lot: UUID
    into_lot: UUID
    wallet_id: UUID


async def lock(work: Work, reward_ids: Sequence[UUID]) -> None:
    """Keep those of these ids that are rewards as they are until the work ends; after wallets, before accounts."""
    if reward_ids:
        await work.db.rows(LOCK, work.tenant.id, reward_ids)


async def follow(work: Work, moves: Sequence[Follow]) -> None:
    """Let rewards name the lots and wallets that have their value now. Whatever else gave a lot is no reward, and is left alone."""
    if moves:
        await work.db.run(
            FOLLOW,
            work.tenant.id,
            [each.reward_id for each in moves],
            [each.from_lot for each in moves],
            [each.into_lot for each in moves],
            [each.wallet_id for each in moves],
        )
