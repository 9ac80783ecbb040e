"""How a card ends before its time: it is cancelled, with its purchase refunded, or its rest is paid out where the law asks for it.

What was paid for is never just taken away: only a refund, a cash-out, its expiry or a charge-back of the purchase ends it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tallystick.base.errors import InvalidState, Refusal, attribute
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Work
from tallystick.giftcards import jurisdictions
from tallystick.giftcards.activities import Change, deplete, moved_on
from tallystick.giftcards.lives import Standing, answered, keyed, lock_own, own, post
from tallystick.ledger import Transfer, house_account
from tallystick.ledger.lots import TENDER


class CashOutNotAllowed(Refusal):
    code, status, title = "CashOutNotAllowed", 409, "No rule asks for this card's rest to be paid out."


@dataclass(frozen=True, slots=True)
class CancelCard:
    """End a card for good. `refund`: what is unspent of what was paid for it goes back to its buyer."""

    asked: Asked
    card_id: UUID
    reason: str
    refund: bool = False


@dataclass(frozen=True, slots=True)
class CashOutCard:
    """Pay out what is left of what was paid for."""

    asked: Asked
    card_id: UUID


async def cancel(work: Work, commands: Sequence[CancelCard]) -> list[Answer | Refusal]:
    """The cancelled card for each command. What was given away returns to whoever gave it."""

    async def prepare(work: Work, commands: Sequence[CancelCard]) -> None:
        await lock_own(work, commands, codes=("merchant.sales",), lots=True, funders=True)

    return await keyed(work, "cancel", commands, _cancel, prepare=prepare)


async def cash_out(work: Work, commands: Sequence[CashOutCard]) -> list[Answer | Refusal]:
    """The card for each command, with nothing on it that was paid for."""

    async def prepare(work: Work, commands: Sequence[CashOutCard]) -> None:
        await lock_own(work, commands, codes=("merchant.cash_out",), lots=True)

    return await keyed(work, "cash-out", commands, _cash_out, prepare=prepare)


async def _cancel(work: Work, command: CancelCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = stands.refuse_state("cancel") or stands.refuse_held("cancelled") or _unpaid(stands, refund=command.refund)
    if refusal is not None:
        return refusal
    changes: list[Change] = []
    card = stands.card
    if stands.usable:
        sales = house_account(card.merchant_id, "merchant.sales")
        transfers = [Transfer(lot.id, lot.funder_id or sales, lot.available) for lot in stands.usable]
        journal_id = await post(work, card, "card.refund_purchase", transfers)
        card = moved_on(card, "refund_purchase", work.now)
        changes.append(
            Change(
                card,
                "gift_card.refunded",
                "refund_purchase",
                -stands.available,
                0,
                reason=command.reason,
                journal_id=journal_id,
                asked=command.asked,
            )
        )
    card = moved_on(card, "cancel", work.now, status="cancelled", reason=command.reason)
    changes.append(Change(card, "gift_card.cancelled", "cancel", 0, 0, reason=command.reason, asked=command.asked))
    return await answered(work, command.asked, changes)


def _unpaid(stands: Standing, *, refund: bool) -> InvalidState | None:
    """The refusal where somebody paid for what is there, and would not get it back."""
    paid = sum(lot.available for lot in stands.usable if lot.funder_id is None)
    if refund or not paid:
        return None
    return InvalidState(
        f"Somebody paid for {paid} minor units that are on the gift card: cancel it with `refund`, which returns them.",
        source=attribute("refund"),
    )


async def _cash_out(work: Work, command: CashOutCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = stands.refuse_state("cash_out") or stands.refuse_held("cashed out")
    if refusal is not None:
        return refusal
    paid = [lot for lot in stands.usable if lot.lot_class in TENDER]
    rest = sum(lot.available for lot in paid)
    if not paid:
        return InvalidState("Nothing on the gift card was paid for; what was given away is not paid out.")
    refused = _not_asked_for(work, stands, rest)
    if refused is not None:
        return refused
    till = house_account(stands.card.merchant_id, "merchant.cash_out")
    transfers = [Transfer(lot.id, till, lot.available) for lot in paid]
    journal_id = await post(work, stands.card, "card.cash_out", transfers)
    card = moved_on(stands.card, "cash_out", work.now)
    change = Change(
        card,
        "gift_card.cashed_out",
        "cash_out",
        -rest,
        stands.balance - rest,
        journal_id=journal_id,
        asked=command.asked,
    )
    return await answered(work, command.asked, deplete([change], "cashed_out", work.now))


def _not_asked_for(work: Work, stands: Standing, rest: int) -> CashOutNotAllowed | None:
    shop, currency = stands.shop, stands.card.currency
    threshold = jurisdictions.cash_out_threshold(shop.country, shop.region, currency, work.now)
    place = shop.region or shop.country
    if threshold is None:
        return CashOutNotAllowed(
            f"No rule in {place} asks for the rest of a gift card to be paid out. Let it be spent."
        )
    if rest < threshold:
        return None
    return CashOutNotAllowed(
        f"In {place} less than {threshold} minor units are paid out; {rest} are left on the gift card. Let it be spent."
    )
