"""The buyer's bank takes the price of a card back: the card is frozen for good and gives up what is on it, in one journal.

What was spent is the merchant's loss; so is, for now, what payments hold. When such a payment ends without taking it, or a refund
brings something back, the same loop that expires cards takes that too, and the loss is so much less. Nobody unfreezes such a card,
and it never expires: it may only be cancelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import tallystick.giftcards.life_store as life_store
from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Work
from tallystick.giftcards import looking
from tallystick.giftcards.activities import Change, moved_on
from tallystick.giftcards.life_store import ChargeBack
from tallystick.giftcards.lives import CHARGED_BACK, Standing, answered, journal_of, keyed, lock_own, own, post
from tallystick.giftcards.model import GiftCard
from tallystick.ledger import Code, Journal, Lot, Transfer, house_account

SIDES: Final[tuple[Code, ...]] = ("merchant.sales", "merchant.losses", "merchant.adjustments")
"""The accounts of a merchant that charge-backs move."""


@dataclass(frozen=True, slots=True)
class ChargeBackCard:
    """The purchase of a card is charged back. `external_reference` is the bank's, or whoever told of it."""

    asked: Asked
    card_id: UUID
    external_reference: str | None = None


async def charge_back(work: Work, commands: Sequence[ChargeBackCard]) -> list[Answer | Refusal]:
    """The frozen card for each command."""

    async def prepare(work: Work, commands: Sequence[ChargeBackCard]) -> None:
        await lock_own(work, commands, codes=SIDES, lots=True, funders=True)

    return await keyed(work, "charge-back", commands, _charge_back, prepare=prepare)


def take_back(card: GiftCard, taken: ChargeBack, lots: Sequence[Lot]) -> tuple[Journal, int]:
    """The journal that takes what is free in lots of a card that was charged back, and how much of its loss that recovers."""
    transfers, recovered = _taking(card, "merchant.losses", lots, taken.lost)
    return journal_of(card, "card.charge_back", transfers), recovered


async def _charge_back(work: Work, command: ChargeBackCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = _unfit(stands)
    if refusal is not None:
        return refusal
    card = stands.card
    paid = await _paid(work, card)
    if not paid:
        return InvalidState(
            "Nobody paid for this gift card: there is no purchase to be charged back. Cancel it instead."
        )
    free = [lot for lot in stands.lots if lot.available]
    transfers, unspent = _taking(card, "merchant.sales", free, paid)
    lost = paid - unspent
    if lost:
        losses, sales = (house_account(card.merchant_id, code) for code in ("merchant.losses", "merchant.sales"))
        transfers.append(Transfer(losses, sales, lost))
    journal_id = await post(work, card, "card.charge_back", transfers)
    await life_store.insert_charge_back(work, ChargeBack(card.id, command.external_reference, paid, lost, work.now))
    card = moved_on(card, "charge_back", work.now, status="frozen", reason=CHARGED_BACK, expires_at=None)
    change = Change(
        card,
        "gift_card.charged_back",
        "charge_back",
        -stands.available,
        stands.held,
        stands.held,
        reason=CHARGED_BACK,
        journal_id=journal_id,
        asked=command.asked,
    )
    return await answered(work, command.asked, [change])


def _unfit(stands: Standing) -> Refusal | None:
    card = stands.card
    if stands.status == "replaced":
        return InvalidState(f"The gift card was replaced: its value is on {card.replaced_by}. Charge that one back.")
    if stands.status == "frozen" and card.reason == CHARGED_BACK:
        return InvalidState("The gift card is frozen (charge_back): its purchase was charged back already.")
    return stands.refuse_state("charge_back")


async def _paid(work: Work, card: GiftCard) -> int:
    """The minor units that were paid for a card and those that it replaced, one after another; 0 for what was given away."""
    if card.value_class != "paid":
        return 0
    return await life_store.paid_in(work, await looking.issued_as(work, card))


def _taking(card: GiftCard, code: Code, lots: Sequence[Lot], most: int) -> tuple[list[Transfer], int]:
    """Transfers that empty the lots: to whoever paid for each; what was bought up to `most` to the account of this code, and what
    corrections added beyond that to where they come from. And how much the account of this code gets.
    """
    to, rest = house_account(card.merchant_id, code), house_account(card.merchant_id, "merchant.adjustments")
    transfers, left = [], most
    for lot in lots:
        if lot.funder_id is not None:
            transfers.append(Transfer(lot.id, lot.funder_id, lot.available))
            continue
        part = min(left, lot.available)
        left -= part
        transfers += [
            Transfer(lot.id, account_id, amount)
            for account_id, amount in ((to, part), (rest, lot.available - part))
            if amount
        ]
    return transfers, most - left
