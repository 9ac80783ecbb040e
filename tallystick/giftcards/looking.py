"""Look at a card, and at where its value is or was, for rooms above."""

from typing import Final
from uuid import UUID

import tallystick.giftcards.store as store
from tallystick.base.work import Caller, Work
from tallystick.giftcards.model import GiftCard

LOTS: Final = "select a.id from accounts as a where a.tenant_id = $1 and a.parent_id = $2 order by a.id"


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


async def lots(work: Work, card_id: UUID) -> list[UUID]:
    """Every account that ever held value of the card."""
    return [row[0] for row in await work.db.rows(LOTS, work.tenant.id, card_id)]
