"""Look at a card, and at those that it replaced, for rooms above."""

from uuid import UUID

import tallystick.giftcards.store as store
from tallystick.base.work import Caller, Work
from tallystick.giftcards.model import GiftCard


async def visible(work: Work, caller: Caller, card_id: UUID) -> GiftCard | None:
    """The card, where the caller may see it."""
    card = (await store.by_ids(work, [card_id])).get(card_id)
    return card if card is not None and card.seen_by(caller) else None


async def issued_as(work: Work, card: GiftCard) -> list[UUID]:
    """The card and those that it replaced, the latest first."""
    chain = [card.id]
    while card.replaces is not None:
        card = (await store.by_ids(work, [card.replaces]))[card.replaces]
        chain.append(card.id)
    return chain
