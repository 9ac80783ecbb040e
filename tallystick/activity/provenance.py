"""Where a reward or a gift card came from: a rule's version and the activities behind it, or a request; and its journals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import tallystick.activity.outcome_store as outcome_store
import tallystick.activity.provenance_store as store
from tallystick import wallets
from tallystick.activity.outcome_store import Outcome
from tallystick.base.work import Asked, Work
from tallystick.customers import lookup
from tallystick.giftcards import looking
from tallystick.ledger import causes, lots
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
    """Everything behind a reward or a card. `outcome` is None where a request gave it."""

    id: UUID
    partner_id: UUID
    batch_id: UUID | None
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
    return Provenance(
        id=reward.id,
        partner_id=reward.partner_id,
        batch_id=reward.batch_id,
        agreement_id=await store.agreement_id(work, reward.partner_id),
        request_id=await store.request_id(work, reward_id, "Reward") if outcome is None else outcome.request_id,
        outcome=outcome,
        behind=None if outcome is None else await _behind(work, outcome),
        journals=await causes.journals_of(work, reward_id, await _accounts(work, reward)),
    )


async def of_card(work: Work, asked: Asked, card_id: UUID) -> Provenance | None:
    """Where a card came from, or the first of those that it replaced; None where the caller may not see the card.

    Payments are behind what they moved themselves: of those its own history tells.
    """
    card = await looking.visible(work, asked.caller, card_id)
    if card is None:
        return None
    chain = await looking.issued_as(work, card)
    outcome = await outcome_store.of_cards(work, chain)
    journals = [
        each for one in reversed(chain) for each in await causes.journals_of(work, one, await lots.ever_of(work, one))
    ]
    return Provenance(
        id=card.id,
        partner_id=card.partner_id,
        batch_id=card.batch_id,
        agreement_id=await store.agreement_id(work, card.partner_id),
        request_id=await store.request_id(work, chain[-1], "GiftCard") if outcome is None else outcome.request_id,
        outcome=outcome,
        behind=None if outcome is None else await _behind(work, outcome),
        journals=journals,
    )


async def _accounts(work: Work, reward: Reward) -> list[UUID]:
    """Where its value is or was, and where its holder owes what was spent of it."""
    held = [] if reward.wallet_id is None else list((await wallets.by_ids(work, [reward.wallet_id])).values())
    return [reward.value_account_id, *(each.owed_account_id for each in held if each.owed_account_id is not None)]


async def _behind(work: Work, outcome: Outcome) -> Behind:
    living = await lookup.survivors(work, [outcome.customer_id])
    rows = await store.behind(work, outcome.id, living.get(outcome.customer_id, outcome.customer_id))
    return Behind([Counted(*list(row)[:5]) for row in rows], *((rows[0][5], int(rows[0][6])) if rows else (0, 0)))
