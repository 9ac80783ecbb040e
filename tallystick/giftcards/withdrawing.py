"""Take back gift cards that were given for something that is deserved no more: what is unspent returns to who paid for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import tallystick.giftcards.store as store
from tallystick import ledger
from tallystick.base.work import Asked, Work
from tallystick.giftcards import activities, states
from tallystick.giftcards.activities import Change, moved_on
from tallystick.giftcards.lives import journal_of, lock_accounts
from tallystick.giftcards.model import GiftCard
from tallystick.ledger import Journal, Lot, Transfer, house_account
from tallystick.ledger.lots import burn_order

REASON: Final = "purchase_refunded"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back what is unspent of a card that was given."""

    asked: Asked
    card_id: UUID


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """How many minor units came back, and whether nothing of it is left with its holder, nor was ever spent.

    What payments hold stays until they end.
    """

    returned: int
    whole: bool


async def withdraw(work: Work, commands: Sequence[Withdraw]) -> list[Withdrawn]:
    """Empty these cards, each named once, or those that replaced them, and cancel them unless payments hold something of them.

    What was spent stays spent. A card that has ended gives nothing any more.
    """
    chains = await _lock(work, [command.card_id for command in commands])
    living = {card_id: chain[-1] for card_id, chain in chains.items()}
    await lock_accounts(work, living.values(), codes=("merchant.sales",), funders=True)
    lots = await _lots(work, living.values())
    spent = await store.spent(work, [card.id for chain in chains.values() for card in chain]) if chains else {}
    changes: list[Change] = []
    journals: list[Journal] = []
    outcomes: list[Withdrawn] = []
    for command in commands:
        chain = chains.get(command.card_id, ())
        used = sum(spent.get(card.id, 0) for card in chain)
        card = chain[-1] if chain else None
        if card is None or not states.meets("cancel", card.effective(work.now)):
            outcomes.append(Withdrawn(0, whole=used == 0))
            continue
        mine = lots.get(card.id, [])
        held = sum(lot.held for lot in mine)
        usable = burn_order(mine, work.now)
        available = sum(lot.available for lot in usable)
        if usable:
            journals.append(_journal(card, usable))
            card = moved_on(card, "refund_purchase", work.now)
            changes.append(_emptied(card, available, held, journals[-1].id, command.asked))
        if not held:
            card = moved_on(card, "cancel", work.now, status="cancelled", reason=REASON)
            changes.append(Change(card, "gift_card.cancelled", "cancel", 0, 0, reason=REASON, asked=command.asked))
        outcomes.append(Withdrawn(available, whole=used == 0 and held == 0))
    verdicts = await ledger.post(work, journals)
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused what was taken back: {verdicts}"
    await activities.record(work, changes)
    return outcomes


async def _lock(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, list[GiftCard]]:
    """Each card with those that replaced it, one after the other, locked; unknown ids are absent."""
    chains: dict[UUID, list[GiftCard]] = {}
    wanted = {card_id: card_id for card_id in card_ids}
    while wanted:
        locked = await store.lock(work, list(set(wanted.values())))
        found = {first: locked[card_id] for first, card_id in wanted.items() if card_id in locked}
        for first, card in found.items():
            chains.setdefault(first, []).append(card)
        wanted = {first: card.replaced_by for first, card in found.items() if card.replaced_by is not None}
    return chains


async def _lots(work: Work, cards: Collection[GiftCard]) -> dict[UUID, list[Lot]]:
    lots: dict[UUID, list[Lot]] = {}
    for lot in await ledger.lots.of_parents(work, [card.id for card in cards]) if cards else ():
        lots.setdefault(lot.parent_id, []).append(lot)
    return lots


def _journal(card: GiftCard, usable: Sequence[Lot]) -> Journal:
    sales = house_account(card.merchant_id, "merchant.sales")
    transfers = [Transfer(lot.id, lot.funder_id or sales, lot.available) for lot in usable]
    return journal_of(card, "card.refund_purchase", transfers)


def _emptied(card: GiftCard, available: int, held: int, journal_id: UUID, asked: Asked) -> Change:
    return Change(
        card, "gift_card.refunded", "refund_purchase", -available, held, held,
        reason=REASON, journal_id=journal_id, asked=asked,
    )  # fmt: skip
