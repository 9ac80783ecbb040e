"""Take back gift cards that were given for something that is deserved no more: what is unspent returns to who paid for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import tallystick.giftcards.store as store
from tallystick.base.work import Asked, Work
from tallystick.giftcards import activities
from tallystick.giftcards.activities import Change, moved_on
from tallystick.giftcards.lives import lock_accounts, post, standing
from tallystick.ledger import Transfer, house_account


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back what is unspent of a card that was given."""

    asked: Asked
    card_id: UUID


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """How many minor units came back, and whether the card is at its end. What payments hold stays until they end."""

    returned: int
    whole: bool


async def withdraw(work: Work, commands: Sequence[Withdraw]) -> list[Withdrawn]:
    """Empty each card, and cancel it unless payments hold something of it; what was spent stays spent."""
    cards = await store.lock(work, list({command.card_id for command in commands})) if commands else {}
    await lock_accounts(work, cards.values(), codes=("merchant.sales",), funders=True)
    return [await _withdraw(work, command) for command in commands]


async def _withdraw(work: Work, command: Withdraw) -> Withdrawn:
    card = (await store.by_ids(work, [command.card_id])).get(command.card_id)
    if card is None:
        return Withdrawn(0, whole=True)
    if card.replaced_by is not None:
        await lock_accounts(
            work, (await store.lock(work, [card.replaced_by])).values(), codes=("merchant.sales",), funders=True
        )
        return await _withdraw(work, Withdraw(command.asked, card.replaced_by))
    stands = await standing(work, card)
    if stands.status not in ("pending", "active", "frozen", "depleted"):
        return Withdrawn(0, whole=True)
    changes: list[Change] = []
    if stands.usable:
        sales = house_account(card.merchant_id, "merchant.sales")
        transfers = [Transfer(lot.id, lot.funder_id or sales, lot.available) for lot in stands.usable]
        journal_id = await post(work, card, "card.refund_purchase", transfers)
        card = moved_on(card, work.now)
        taken = Change(
            card, "gift_card.refunded", "refund_purchase", -stands.available, stands.held, stands.held,
            reason="purchase_refunded", journal_id=journal_id, asked=command.asked,
        )  # fmt: skip
        changes.append(taken)
    if not stands.held:
        card = moved_on(card, work.now, status="cancelled", reason="purchase_refunded")
        changes.append(
            Change(card, "gift_card.cancelled", "cancel", 0, 0, reason="purchase_refunded", asked=command.asked)
        )
    if changes:
        await activities.record(work, changes)
    return Withdrawn(stands.available, whole=stands.available + stands.held == stands.card.initial_amount)
