"""Where a reward came from: the rule's version and the activities behind it, or a request; and the journals that moved it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import tallystick.activity.outcome_store as outcome_store
import tallystick.activity.provenance_store as store
from tallystick import wallets
from tallystick.activity.outcome_store import Outcome
from tallystick.base.work import Asked, Work
from tallystick.ledger import causes
from tallystick.ledger.causes import Caused
from tallystick.rewards import Reward, changing


@dataclass(frozen=True, slots=True)
class Counted:
    """An activity that counted towards the step, by how much, as it stands now."""

    activity_id: UUID
    kind: str
    occurred_at: datetime
    number: int
    counted: int


@dataclass(frozen=True, slots=True)
class Behind:
    """What an outcome came of: the newest activities, and of all of them how many and how much."""

    newest: Sequence[Counted]
    number: int
    counted: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything behind a reward. `outcome` is None where a request gave it."""

    reward: Reward
    agreement_id: UUID | None
    request_id: UUID | None
    outcome: Outcome | None
    behind: Behind | None
    journals: Sequence[Caused]


async def of_reward(work: Work, asked: Asked, reward_id: UUID) -> Provenance | None:
    """Where a reward came from; None where the caller may not see the reward."""
    reward = await changing.visible(work, asked, reward_id)
    if reward is None:
        return None
    outcome = await outcome_store.of_reward(work, reward_id)
    request_id = await store.request_id(work, reward_id, "Reward") if outcome is None else outcome.request_id
    return Provenance(
        reward=reward,
        agreement_id=await store.agreement_id(work, reward.partner_id),
        request_id=request_id,
        outcome=outcome,
        behind=None if outcome is None else await _behind(work, outcome),
        journals=await causes.journals_of(work, reward_id, await _accounts(work, reward)),
    )


async def _accounts(work: Work, reward: Reward) -> list[UUID]:
    """Where its value is or was, and where its holder owes what was spent of it."""
    held = [] if reward.wallet_id is None else list((await wallets.by_ids(work, [reward.wallet_id])).values())
    return [reward.value_account_id, *(each.owed_account_id for each in held if each.owed_account_id is not None)]


async def _behind(work: Work, outcome: Outcome) -> Behind:
    rows = await store.behind(work, outcome.id)
    return Behind([Counted(*list(row)[:5]) for row in rows], *((rows[0][5], int(rows[0][6])) if rows else (0, 0)))
