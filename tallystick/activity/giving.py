"""Give what a step gives, and take it back: wallet credits through rewards, and gift cards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

import tallystick.activity.outcome_store as store
from tallystick import customers, rewards
from tallystick.activity.outcome_store import Outcome
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked, Contended, Work
from tallystick.customers import recipients
from tallystick.giftcards import issuing as cards
from tallystick.giftcards import withdrawing
from tallystick.giftcards.deciding import Terms
from tallystick.giftcards.issuing import IssueCard
from tallystick.giftcards.sent import DeliveryWish, Letter
from tallystick.governance import quotas
from tallystick.rewards import IssueReward
from tallystick.thresholds.model import StepReward

OPERATION: Final = "thresholds.issue"
NO_PHONE: Final = "PhoneMissing"


@dataclass(frozen=True, slots=True)
class Award:
    """A reward to be given for a step: so much as the outcome says, on behalf of whoever wrote the rule."""

    outcome: Outcome
    reward: StepReward
    asked: Asked

    @property
    def key(self) -> str:
        """What names it for ever, so that it is given once."""
        each = self.outcome
        at = int(each.window_start.timestamp())
        return f"{each.threshold_id}:{each.customer_id}:{at}:{each.cycle}:{each.step}:{each.generation}"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What was given is to be taken back; `owing`: what of it was spent is owed."""

    outcome: Outcome
    owing: bool
    asked: Asked


async def give(work: Work, awards: Sequence[Award]) -> dict[UUID, Outcome]:
    """What became of each award, by its outcome: given, or refused with the refusal's code.

    Who gives again in the same work calls `write_now` between. Raises Contended where one of the customers was merged just now.
    """
    if not awards:
        return {}
    phones = await customers.phones_of(work, list({each.outcome.customer_id for each in awards}))
    found = {
        each.outcome.id: replace(each.outcome, status="refused", code=NO_PHONE)
        for each in awards
        if each.outcome.customer_id not in phones
    }
    reachable = [each for each in awards if each.outcome.id not in found]
    credits_ = [each for each in reachable if each.reward.type == "walletCredit"]
    given = [each for each in reachable if each.reward.type == "giftCard"]
    if credits_:
        commands = [_reward(each, phones[each.outcome.customer_id]) for each in credits_]
        for each, came in zip(credits_, await rewards.issue(work, commands, operation=OPERATION), strict=True):
            found[each.outcome.id] = _concluded(each, came if isinstance(came, Refusal) else came.reward_id)
    if given:
        if credits_:
            await write_now(work)
        wishes = [_card(each, phones[each.outcome.customer_id]) for each in given]
        for each, made in zip(given, await cards.issue(work, wishes, operation=OPERATION), strict=True):
            found[each.outcome.id] = _concluded(each, made if isinstance(made, Refusal) else made.card_id)
    await _prove_still_there(work, {each.outcome.customer_id for each in credits_})
    return found


async def _prove_still_there(work: Work, customer_ids: Collection[UUID]) -> None:
    """Their recipients are locked now. Who was merged since their phones were read is to be given nothing by them."""
    if customer_ids and await store.active(work, list(customer_ids)) < len(customer_ids):
        raise Contended("A customer was merged meanwhile.")


async def lock_people(work: Work, customer_ids: Collection[UUID]) -> None:
    """Everybody's rows at once, in the one order, where a work takes back from some and gives to others."""
    await recipients.lock(work, list((await customers.phones_of(work, list(customer_ids))).values()))


async def write_now(work: Work) -> None:
    """What was given is written only at the end of the work, and its quotas are counted there: now, if more is to be decided on."""
    await quotas.write(work)
    await work.finish()


async def take_back(work: Work, withdrawals: Sequence[Withdrawal]) -> dict[UUID, tuple[int, bool]]:
    """By outcome: how many minor units came back, and whether nothing of it is left with the customer.

    A gift card has no holder who could owe: what of it was spent stays spent.
    """
    credits_ = [each for each in withdrawals if each.outcome.reward_id is not None]
    given = [each for each in withdrawals if each.outcome.gift_card_id is not None]
    came: dict[UUID, tuple[int, bool]] = {}
    if credits_:
        wanted = [
            rewards.Withdraw(each.asked, each.outcome.reward_id, each.owing)
            for each in credits_
            if each.outcome.reward_id is not None
        ]
        for each, back in zip(credits_, await rewards.withdraw(work, wanted), strict=True):
            came[each.outcome.id] = (back.returned, back.whole)
    if given:
        wanted_cards = [
            withdrawing.Withdraw(each.asked, each.outcome.gift_card_id)
            for each in given
            if each.outcome.gift_card_id is not None
        ]
        for each, gone in zip(given, await withdrawing.withdraw(work, wanted_cards), strict=True):
            # What somebody put on the card besides is taken back with it, and was not given for the step.
            came[each.outcome.id] = (min(gone.returned, each.outcome.amount), gone.whole)
    return came


def _concluded(award: Award, came: UUID | Refusal) -> Outcome:
    if isinstance(came, Refusal):
        return replace(award.outcome, status="refused", code=came.code)
    if award.reward.type == "giftCard":
        return replace(award.outcome, status="given", gift_card_id=came, code=None, due_at=None)
    return replace(award.outcome, status="given", reward_id=came, code=None, due_at=None)


def _reward(award: Award, phone: str) -> IssueReward:
    return IssueReward(
        asked=award.asked,
        merchant_id=award.outcome.merchant_id,
        merchant_named=True,
        phone=phone,
        amount=award.outcome.amount,
        key=award.key,
        message=award.reward.message,
        reason_code=award.reward.reason_code,
        behind=True,
    )


def _card(award: Award, phone: str) -> IssueCard:
    terms = Terms(
        merchant_id=award.outcome.merchant_id,
        amount=award.outcome.amount,
        value_class="promotional",
        reloadable=False,
    )
    delivery = DeliveryWish("sms", Letter(phone, award.reward.message, None, None), None)
    return IssueCard(award.asked, award.key, terms, merchant_named=True, delivery=delivery, behind=True)
