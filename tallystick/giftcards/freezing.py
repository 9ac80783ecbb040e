"""The verbs that move no value: a card that waits is activated, one in the wrong hands is frozen, and used again later."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Work
from tallystick.giftcards.activities import Change, moved_on
from tallystick.giftcards.lives import CHARGED_BACK, CardChange, Standing, answered, keyed, lock_own, own
from tallystick.giftcards.model import ActivityKind, GiftCard, Status


@dataclass(frozen=True, slots=True)
class ActivateCard:
    """Let a card that waits be spent."""

    asked: Asked
    card_id: UUID


@dataclass(frozen=True, slots=True)
class FreezeCard:
    """Let nothing in and nothing out, for this reason."""

    asked: Asked
    card_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class UnfreezeCard:
    """Let a frozen card be used as before."""

    asked: Asked
    card_id: UUID
    reason: str


async def activate(work: Work, commands: Sequence[ActivateCard]) -> list[Answer | Refusal]:
    """The active card for each command."""
    return await keyed(work, "activate", commands, _activate, prepare=lock_own)


async def freeze(work: Work, commands: Sequence[FreezeCard]) -> list[Answer | Refusal]:
    """The frozen card for each command. What payments hold stays held."""
    return await keyed(work, "freeze", commands, _freeze, prepare=lock_own)


async def unfreeze(work: Work, commands: Sequence[UnfreezeCard]) -> list[Answer | Refusal]:
    """The card for each command, in the state it had before it was frozen, or would have come to since."""
    return await keyed(work, "unfreeze", commands, _unfreeze, prepare=lock_own)


def thawed(stands: Standing) -> Status:
    """The state a card is in once it is not frozen."""
    if stands.card.activated_at is None:
        return "pending"
    return "active" if stands.balance else "depleted"


async def _activate(work: Work, command: ActivateCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = stands.refuse_state("activate")
    if refusal is not None:
        return refusal
    card = moved_on(stands.card, "activate", work.now, status="active", activated_at=work.now, reason=None)
    return await _told(work, command, stands, card, "gift_card.activated", "activate", "activated")


async def _freeze(work: Work, command: FreezeCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = stands.refuse_state("freeze")
    if refusal is not None:
        return refusal
    card = moved_on(stands.card, "freeze", work.now, status="frozen", reason=command.reason)
    return await _told(work, command, stands, card, "gift_card.frozen", "freeze", command.reason)


async def _unfreeze(work: Work, command: UnfreezeCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = stands.refuse_state("unfreeze")
    if refusal is not None:
        return refusal
    if stands.card.reason == CHARGED_BACK:
        return InvalidState("The card is frozen for good: its purchase was charged back. Issue a new one.")
    card = moved_on(stands.card, "unfreeze", work.now, status=thawed(stands), reason=command.reason)
    return await _told(work, command, stands, card, "gift_card.unfrozen", "unfreeze", command.reason)


async def _told(
    work: Work, command: CardChange, stands: Standing, card: GiftCard, topic: str, kind: ActivityKind, reason: str
) -> Answer:
    change = Change(card, topic, kind, 0, stands.balance, stands.held, reason=reason, asked=command.asked)
    return await answered(work, command.asked, [change])
