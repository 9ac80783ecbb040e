"""Show the number of a card again, and its PIN: to the partner that made it, and never without a trace."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

import msgspec

import tallystick.giftcards.store as store
from tallystick import audit
from tallystick.base import jsonapi
from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.routes import Resource
from tallystick.base.work import Asked, Work
from tallystick.giftcards import codes
from tallystick.giftcards.delivery import missing
from tallystick.giftcards.lives import lock_own, may_change
from tallystick.giftcards.model import GiftCard

DEAD: Final = ("cancelled", "replaced")
"""States in which a number is of no use to anybody who should have it."""


class GiftCardSecretAttributes(msgspec.Struct, rename="camel", gc=False):
    """The whole number as people are shown it, and the PIN where the card has one."""

    code: str
    pin: str | None


GIFT_CARD_SECRET: Final = Resource(
    "GiftCardSecret",
    "/api/v1/gift-cards/{id}/reveal",
    GiftCardSecretAttributes,
    {"code": "7K3M-9XQ2-B8TR-04ZN-H5WC", "pin": "4821"},
)


@dataclass(frozen=True, slots=True)
class RevealCard:
    """A partner's wish to see the number of a card."""

    asked: Asked
    card_id: UUID


@dataclass(frozen=True, slots=True)
class Revealed:
    """The answer that shows it."""

    card_id: UUID
    document: bytes = field(repr=False)


async def reveal(work: Work, commands: Sequence[RevealCard]) -> list[Revealed | Refusal]:
    """The number of each card. Each time stands in the log of requests if and only if it is answered."""
    await lock_own(work, commands)
    cards = await store.by_ids(work, list({command.card_id for command in commands}))
    outcomes = [_reveal(work, command, cards.get(command.card_id)) for command in commands]
    shown = [cards[card_id] for card_id in {each.card_id for each in outcomes if isinstance(each, Revealed)}]
    first = [replace(card, first_revealed_at=work.now) for card in shown if card.first_revealed_at is None]
    await store.update(work, first)
    return outcomes


def _reveal(work: Work, command: RevealCard, card: GiftCard | None) -> Revealed | Refusal:
    if card is None or not may_change(command.asked.caller, card):
        return missing()
    if card.status in DEAD:
        return InvalidState(f"The gift card is {card.status}; its number is of no use any more and is not shown.")
    pin = None if card.pin_sealed is None else codes.unseal_pin(work, card.id, card.pin_sealed)
    shown = GiftCardSecretAttributes(codes.written(codes.unseal(work, card.id, card.code_sealed)), pin)
    audit.note(work, command.asked, status=200, resource_id=card.id)
    return Revealed(card.id, jsonapi.document(jsonapi.resource(GIFT_CARD_SECRET, card.id, shown)))
