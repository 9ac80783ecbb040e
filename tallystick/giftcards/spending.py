"""Gift cards as payments see them: found by a number, locked, and told of what was spent and what came back.

The value itself moves in the books, by whoever calls; here a card's state, its history and its events follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import tallystick.giftcards.store as store
from tallystick import ledger
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked, Work
from tallystick.giftcards import activities, lookup
from tallystick.giftcards.activities import Change
from tallystick.giftcards.lookup import CodeRefused, CodeTried
from tallystick.giftcards.model import EMPTY, ActivityKind, Balance, GiftCard
from tallystick.ledger.lots import FOREVER

__all__ = [
    "CodeRefused",
    "CodeTried",
    "Movement",
    "find_codes",
    "lock_cards",
    "note_redeemed",
    "note_refunded",
    "successors",
]


@dataclass(frozen=True, slots=True)
class Movement:
    """Value that a payment took from a card, or gave back to it: `amount` > 0 minor units."""

    card_id: UUID
    amount: int
    asked: Asked | None
    """The request behind it; None where time did it."""
    cause_id: UUID
    """The payment."""
    balance_after: int
    """What the card holds then, held by payments or not, and not past its expiry unless held."""
    held: int | None = None
    """How much of that payments hold; None: to be read from the books, which no journal that is still to be posted changes."""
    journal_id: UUID | None = None


async def find_codes(work: Work, wanted: Sequence[CodeTried]) -> list[UUID | Refusal]:
    """The card of each number, in their order; or the one refusal, CodeRefused, whatever is wrong, or LookupsBlocked.

    Counts PIN tries and misses. To be called once the keys are claimed and before wallets and cards are locked: the card is not
    locked here, so its state is to be looked at again behind its lock.
    """
    outcomes = await lookup.find(work, wanted)
    return [found.id if isinstance(found, GiftCard) else found for found in outcomes]


async def lock_cards(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, GiftCard]:
    """The cards as they are, locked in the order of their ids until the work ends; unknown ids are absent."""
    return await store.lock(work, card_ids) if card_ids else {}


async def successors(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Where the value of each card lives now: on itself, or on the last of those that replaced it; unknown ids are absent.

    Final only for whoever holds the cards: one may be replaced until then.
    """
    living: dict[UUID, UUID] = {}
    origins = {card_id: [card_id] for card_id in card_ids}
    while origins:
        following: dict[UUID, list[UUID]] = {}
        for card in (await store.by_ids(work, list(origins))).values():
            if card.replaced_by is None:
                living |= dict.fromkeys(origins[card.id], card.id)
            else:
                following.setdefault(card.replaced_by, []).extend(origins[card.id])
        origins = following
    return living


async def note_redeemed(work: Work, movements: Sequence[Movement], *, last: bool = False) -> None:
    """Payments took value from cards that are locked; a card with nothing left is depleted.

    `last` says that nothing else in the work writes these cards, so that they are written in the round trip at its end.
    """
    noted = await _Noted.of(work, movements)
    for movement in movements:
        noted.tell("redeem", "gift_card.redeemed", movement)
        noted.changes[-1:] = activities.deplete(noted.changes[-1:], "spent", work.now)
        noted.cards[movement.card_id] = noted.changes[-1].card
    await activities.record(work, noted.changes, last=last)


async def note_refunded(work: Work, movements: Sequence[Movement]) -> None:
    """Payments gave value back to cards that are locked, and their journals are posted.

    A depleted card is active again. So is one that has expired, for as long as what came back can be spent; one that is frozen
    stays so.
    """
    noted = await _Noted.of(work, movements)
    ends = await _ends(work, [card.id for card in noted.cards.values() if card.effective(work.now) == "expired"])
    for movement in movements:
        card = noted.cards[movement.card_id]
        awake: dict[str, Any] = {"status": "active", "reason": "refunded"}
        if card.id in ends and card.effective(work.now) == "expired":
            # A frozen one stays frozen: what came back can be spent once it is not.
            awake = {} if card.status == "frozen" else awake
            noted.tell("refund", "gift_card.refunded", movement, **awake, expires_at=ends[card.id])
        elif card.status == "depleted" and movement.balance_after > 0:
            noted.tell("refund", "gift_card.refunded", movement, **awake)
        else:
            noted.tell("refund", "gift_card.refunded", movement)
    await activities.record(work, noted.changes)


async def _ends(work: Work, card_ids: Sequence[UUID]) -> dict[UUID, datetime | None]:
    """When the last value of each card expires that can be spent now; None: never. Cards without such value are absent."""
    ends: dict[UUID, datetime] = {}
    for lot in await ledger.lots.of_parents(work, card_ids) if card_ids else ():
        if not lot.has_expired(work.now):
            ends[lot.parent_id] = max(lot.expires_at or FOREVER, ends.get(lot.parent_id, work.now))
    return {card_id: None if end == FOREVER else end for card_id, end in ends.items()}


@dataclass(slots=True)
class _Noted:
    """The cards of several movements as each of them leaves them, and what is told of it."""

    now: datetime
    cards: dict[UUID, GiftCard]
    held: dict[UUID, Balance]
    changes: list[Change]

    @classmethod
    async def of(cls, work: Work, movements: Sequence[Movement]) -> "_Noted":
        cards = await lock_cards(work, list({movement.card_id for movement in movements}))
        unknown = list({movement.card_id for movement in movements if movement.held is None})
        return cls(work.now, cards, await store.balances(work, unknown) if unknown else {}, [])

    def tell(self, kind: ActivityKind, topic: str, movement: Movement, **changes: Any) -> None:
        """The card one version on, with these fields changed."""
        card = activities.moved_on(self.cards[movement.card_id], kind, self.now, **changes)
        self.cards[card.id] = card
        held = self.held.get(card.id, EMPTY).held if movement.held is None else movement.held
        self.changes.append(
            Change(
                card=card,
                topic=topic,
                kind=kind,
                amount=movement.amount if kind == "refund" else -movement.amount,
                balance_after=movement.balance_after,
                held=held,
                journal_id=movement.journal_id,
                cause_id=movement.cause_id,
                asked=movement.asked,
            )
        )
