"""What happened to a card, written where it happened: the card one version on, a line of its history, and the event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import tallystick.giftcards.store as store
from tallystick import events
from tallystick.base.work import Asked, Work
from tallystick.giftcards import resource, states
from tallystick.giftcards.model import Activity, ActivityKind, Balance, GiftCard, Status


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a locked card. Amounts are minor units; `amount` is signed, 0 where no value moved."""

    card: GiftCard
    """As it is since, its version one higher than before."""
    topic: str | None
    """What is told of it; None: nothing is."""
    kind: ActivityKind
    amount: int
    balance_after: int
    """What it holds since, held by payments or not, and not past its expiry unless held."""
    held: int = 0
    """How much of that payments hold."""
    reason: str | None = None
    journal_id: UUID | None = None
    cause_id: UUID | None = None
    """What was behind it where it was not the card itself: a payment, a lot, another card, an adjustment."""
    asked: Asked | None = None
    """The request behind it; None where time did it."""

    @property
    def balance(self) -> Balance:
        return Balance(self.balance_after - self.held, self.held)


async def record(work: Work, changes: Sequence[Change], *, last: bool = False) -> None:
    """Write the cards as their last changes leave them, and note every change. Changes of one card are in their order.

    `last`: at the end of the work, where nothing else in it reads or writes these cards.
    """
    cards = list({change.card.id: change.card for change in changes}.values())
    if last:
        store.update_later(work, cards)
    else:
        await store.update(work, cards)
    note(work, changes)


def note(work: Work, changes: Sequence[Change]) -> None:
    """The histories and events of changes whose cards are written by whoever calls."""
    store.insert_activities(work, [_activity(change, work.now) for change in changes])
    for change in changes:
        if change.topic is not None:
            events.record(work, resource.event(change.topic, change.card, change.balance, work.now, change.asked))


def moved_on(
    card: GiftCard, verb: states.Verb, now: datetime, *, status: Status | None = None, **changes: Any
) -> GiftCard:
    """The card as a verb leaves it: one version on, in this state unless it keeps its own, with these fields changed."""
    left_in = states.left_in(verb, card.status, status or card.status)
    return replace(card, status=left_in, version=card.version + 1, updated_at=now, **changes)


def deplete(changes: Sequence[Change], reason: str, now: datetime) -> list[Change]:
    """The changes of one card, and behind them that it is depleted, where the last leaves an active one with nothing."""
    last = changes[-1]
    if last.card.status != "active" or last.balance_after:
        return list(changes)
    card = moved_on(last.card, "deplete", now, status="depleted", reason=reason)
    return [*changes, Change(card, "gift_card.depleted", "deplete", 0, 0, reason=reason, asked=last.asked)]


def _activity(change: Change, now: datetime) -> Activity:
    asked = change.asked
    return Activity(
        card_id=change.card.id,
        sequence=change.card.version,
        kind=change.kind,
        amount=change.amount,
        balance_after=change.balance_after,
        reason=change.reason,
        journal_id=change.journal_id,
        cause_id=change.cause_id,
        partner_id=None if asked is None else asked.caller.partner_id,
        request_id=None if asked is None else asked.request_id,
        at=now,
    )
