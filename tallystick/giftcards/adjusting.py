"""Correct what is on a card, for a reason; above the merchant's limit a second person has to agree.

Every correction is kept with who asked for it and who decided. Up to the limit it is decided and done at once. What an increase
gives expires with the card, and what is left of it then returns to where corrections come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from uuid import UUID

import tallystick.giftcards.life_store as life_store
import tallystick.giftcards.store as store
from tallystick import audit, ledger
from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Caller, Work
from tallystick.giftcards import activities, life_resource, lives
from tallystick.giftcards.activities import Change, deplete, moved_on
from tallystick.giftcards.life_store import GiftCardAdjustment
from tallystick.giftcards.lives import Standing, new_lot, own, post
from tallystick.giftcards.model import ValueClass
from tallystick.ledger import Code, Transfer, house_account

INCREASE_REASONS: Final = ("complimentary", "support_issue", "transaction_voided")
DECREASE_REASONS: Final = (
    "suspicious_activity",
    "balance_accidentally_increased",
    "support_issue",
    "purchase_was_refunded",
)
OTHER_SIDE: Final[Code] = "merchant.adjustments"


class SecondPersonNeeded(Refusal):
    code, status, title = "SecondPersonNeeded", 409, "Somebody else has to decide on this."


@dataclass(frozen=True, slots=True)
class AdjustCard:
    """Add or take off `amount` minor units (signed, never 0). `value_class`: of what is added."""

    asked: Asked
    card_id: UUID
    amount: int
    reason: str
    value_class: ValueClass = "promotional"


@dataclass(frozen=True, slots=True)
class DecideAdjustment:
    """Approve a correction that waits, which carries it out; or reject it."""

    asked: Asked
    adjustment_id: UUID
    verdict: Literal["approved", "rejected"]


def refuse_reason(amount: int, reason: str) -> InvalidRequest | None:
    """The refusal where this is no reason to add, or none to take off."""
    reasons = INCREASE_REASONS if amount > 0 else DECREASE_REASONS
    if reason in reasons:
        return None
    direction = "increase" if amount > 0 else "decrease"
    return InvalidRequest(f"The reason of {direction} is one of {', '.join(reasons)}.", source=attribute("reason"))


async def adjust(work: Work, commands: Sequence[AdjustCard]) -> list[Answer | Refusal]:
    """The correction for each command: approved and done, or pending."""

    async def prepare(work: Work, commands: Sequence[AdjustCard]) -> None:
        await lives.lock_own(work, commands, codes=(OTHER_SIDE,), lots=True)

    return await lives.keyed(work, "adjust", commands, _adjust, prepare=prepare)


async def decide(work: Work, commands: Sequence[DecideAdjustment]) -> list[Answer | Refusal]:
    """The correction for each command as it was decided; approved, it is done."""
    return await lives.keyed(work, "decide-adjustment", commands, _decide, prepare=_lock)


def missing() -> NotFound:
    """The refusal for a correction that is unknown, or someone else's."""
    return NotFound("No adjustment has this id. Verify the id.")


def seen_by(caller: Caller, adjustment: GiftCardAdjustment) -> bool:
    """Whether a caller may read it: its partner's own, or the whole programme by agreement, at its merchants."""
    if caller.merchant_ids is not None and adjustment.merchant_id not in caller.merchant_ids:
        return False
    return caller.sees_programme or adjustment.partner_id == caller.partner_id


async def _adjust(work: Work, command: AdjustCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = refuse_reason(command.amount, command.reason) or _unfit(stands, command.amount)
    if refusal is not None:
        return refusal
    limit = stands.terms.adjust_maximum
    is_done = limit is None or abs(command.amount) <= limit
    client_id = command.asked.caller.client_id
    adjustment = GiftCardAdjustment(
        id=ids.new(),
        card_id=stands.card.id,
        partner_id=stands.card.partner_id,
        merchant_id=stands.card.merchant_id,
        amount=command.amount,
        value_class=command.value_class,
        reason=command.reason,
        status="approved" if is_done else "pending",
        asked_by=client_id,
        decided_by=client_id if is_done else None,
        version=1,
        created_at=work.now,
        decided_at=work.now if is_done else None,
    )
    await life_store.insert_adjustment(work, adjustment)
    if is_done:
        await _carry_out(work, stands, adjustment, command.asked)
    audit.note(work, command.asked, status=202, resource_id=adjustment.id)
    location = f"{life_resource.ADJUSTMENT.path}/{adjustment.id}"
    return Answer(202, life_resource.adjustment_document(adjustment, stands.card), adjustment.id, location)


async def _lock(work: Work, commands: Sequence[DecideAdjustment]) -> None:
    """Every lock of the batch in the one order: cards, corrections, accounts; nobody locks what is not theirs."""
    asking = {command.adjustment_id: command.asked.caller for command in commands}
    known = await life_store.adjustments(work, list(asking))
    mine = {each.id: each.card_id for each in known.values() if _may_decide(asking[each.id], each)}
    if mine:
        cards = await store.lock(work, list(set(mine.values())))
        await life_store.lock_adjustments(work, list(mine))
        await lives.lock_accounts(work, cards.values(), codes=(OTHER_SIDE,))


async def _decide(work: Work, command: DecideAdjustment) -> Answer | Refusal:
    caller = command.asked.caller
    adjustment = (await life_store.adjustments(work, [command.adjustment_id])).get(command.adjustment_id)
    if adjustment is None or not _may_decide(caller, adjustment):
        return missing()
    if adjustment.status != "pending":
        return InvalidState(f"The adjustment is {adjustment.status}; only one that is pending can be decided.")
    if adjustment.asked_by == caller.client_id:
        detail = "You asked for this adjustment; another client of yours has to decide on it."
        return SecondPersonNeeded(detail)
    card = (await store.by_ids(work, [adjustment.card_id]))[adjustment.card_id]
    stands = await lives.standing(work, card)
    if command.verdict == "approved":
        refusal = _unfit(stands, adjustment.amount)
        if refusal is not None:
            return refusal
    decided = replace(
        adjustment,
        status=command.verdict,
        decided_by=caller.client_id,
        decided_at=work.now,
        version=adjustment.version + 1,
    )
    await life_store.decide_adjustment(work, decided)
    if command.verdict == "approved":
        await _carry_out(work, stands, decided, command.asked)
    audit.note(work, command.asked, status=200, resource_id=decided.id)
    return Answer(200, life_resource.adjustment_document(decided, stands.card), decided.id)


def _may_decide(caller: Caller, adjustment: GiftCardAdjustment) -> bool:
    return adjustment.partner_id == caller.partner_id and seen_by(caller, adjustment)


def _unfit(stands: Standing, amount: int) -> Refusal | None:
    refusal = stands.refuse_state("adjust")
    if refusal is not None:
        return refusal
    if amount > 0:
        return stands.refuse_above_maximum(amount)
    if -amount <= stands.available:
        return None
    detail = f"Only {stands.available} minor units are available on the gift card; no more can be taken off."
    return InvalidRequest(detail, source=attribute("amount"))


async def _carry_out(work: Work, stands: Standing, adjustment: GiftCardAdjustment, asked: Asked) -> None:
    """Move the value, and tell of it."""
    card, amount = stands.card, adjustment.amount
    other_side = house_account(card.merchant_id, OTHER_SIDE)
    if amount > 0:
        funder_id = None if adjustment.value_class == "paid" else other_side
        lot = new_lot(card, adjustment.value_class, funder_id=funder_id, cause_id=adjustment.id)
        journal_id = await post(work, card, "card.adjust", [Transfer(other_side, lot.id, amount)], [lot])
        reason = adjustment.reason if stands.status == "depleted" else card.reason
        card = moved_on(card, "adjust", work.now, status="active", reason=reason)
    else:
        taken = ledger.lots.take(stands.usable, -amount)
        journal_id = await post(work, card, "card.adjust", [Transfer(lot.id, other_side, part) for lot, part in taken])
        card = moved_on(card, "adjust", work.now)
    change = Change(
        card,
        "gift_card.adjusted",
        "adjust",
        amount,
        stands.balance + amount,
        stands.held,
        reason=adjustment.reason,
        journal_id=journal_id,
        cause_id=adjustment.id,
        asked=asked,
    )
    await activities.record(work, deplete([change], adjustment.reason, work.now))
