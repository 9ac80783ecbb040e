"""Replace a card: a new number, and a new PIN where the old card had one, with all its value. The old number dies at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as with_
from typing import Final
from uuid import UUID

import msgspec

import tallystick.giftcards.store as store
from tallystick import audit
from tallystick.base import ids, jsonapi
from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.idempotency import KEY_HEADER, Answer, conflict
from tallystick.base.work import Asked, Work
from tallystick.giftcards import activities, codes, issuing, resource
from tallystick.giftcards.activities import Change, moved_on
from tallystick.giftcards.deciding import Terms
from tallystick.giftcards.freezing import thawed
from tallystick.giftcards.issuing import New
from tallystick.giftcards.lives import Standing, keyed, lock_own, may_change, own, post
from tallystick.giftcards.model import LOT, GiftCard
from tallystick.ledger import Lot, NewAccount, Transfer

THAWING: Final = frozenset({"lost", "stolen"})
"""Why a card may be frozen and replaced all the same: by another that is not."""


@dataclass(frozen=True, slots=True)
class ReplaceCard:
    """Let a new card take the place of this one."""

    asked: Asked
    card_id: UUID
    reason: str


async def replace(work: Work, commands: Sequence[ReplaceCard]) -> list[Answer | Refusal]:
    """The new card for each command, with its number and PIN; repeated, it shows them for a day."""

    async def prepare(work: Work, commands: Sequence[ReplaceCard]) -> None:
        await lock_own(work, commands, lots=True)

    outcomes = await keyed(work, "replace", commands, _replace, prepare=prepare)
    replays = {each.resource_id for each in outcomes if isinstance(each, Answer) and each.replayed}
    # Those of this very work are not there yet, and as fresh as can be.
    made = await store.by_ids(work, list(replays)) if replays else {}
    return [
        _replayed(work, command, outcome, made[outcome.resource_id])
        if isinstance(outcome, Answer) and outcome.replayed and outcome.resource_id in made
        else outcome
        for command, outcome in zip(commands, outcomes, strict=True)
    ]


async def _replace(work: Work, command: ReplaceCard) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = _unfit(stands)
    if refusal is not None:
        return refusal
    new = _draw(work, stands)
    old = moved_on(stands.card, "replace", work.now, status="replaced", replaced_by=new.card.id, reason=command.reason)
    opening = [_like(lot, new) for lot in stands.usable]
    transfers = [Transfer(lot.id, into.id, lot.available) for lot, into in zip(stands.usable, opening, strict=True)]
    journal_id = await post(work, old, "card.replace", transfers, opening) if transfers else None
    moved, asked = stands.available, command.asked
    left = Change(
        old,
        "gift_card.replaced",
        "replace",
        -moved,
        0,
        reason=command.reason,
        journal_id=journal_id,
        cause_id=new.card.id,
        asked=asked,
    )
    came = Change(
        new.card,
        "gift_card.issued",
        "replace",
        moved,
        moved,
        reason=command.reason,
        journal_id=journal_id,
        cause_id=old.id,
        asked=asked,
    )
    store.insert(work, [new.card])
    await activities.record(work, [left])
    activities.note(work, [came])
    audit.note(work, asked, status=201, resource_id=new.card.id)
    shown = resource.attributes(new.card, came.balance, work.now, code=codes.written(new.code), pin=new.pin)
    document = jsonapi.document(jsonapi.resource(resource.GIFT_CARD, new.card.id, shown))
    return Answer(201, document, new.card.id, f"{resource.GIFT_CARD.path}/{new.card.id}")


def _unfit(stands: Standing) -> Refusal | None:
    refusal = stands.refuse_state("replace")
    if refusal is not None:
        return refusal
    if stands.status == "frozen" and stands.card.reason not in THAWING:
        return InvalidState(
            f"The gift card is frozen ({stands.card.reason}); it can be replaced where that is because it was lost or stolen. "
            "Unfreeze it first."
        )
    return stands.refuse_held("replaced")


def _draw(work: Work, stands: Standing) -> New:
    """The new card, on the terms of the old one and in the state that one had when it was used."""
    old = stands.card
    terms = Terms(
        merchant_id=old.merchant_id,
        amount=stands.available,
        value_class=old.value_class,
        reloadable=old.reloadable,
        pin=old.has_pin,
        expires_at=old.expires_at,
        design_id=old.design_id,
        external_reference=old.external_reference,
    )
    new = issuing.draw(work, old.partner_id, terms, stands.shop)
    status = thawed(stands) if old.status == "frozen" else stands.status
    card = with_(
        new.card,
        currency=old.currency,
        status=status,
        activated_at=None if status == "pending" else work.now,
        replaces=old.id,
    )
    return with_(new, card=card)


def _like(lot: Lot, new: New) -> NewAccount:
    """A lot of the new card with the class, the funder and the expiry of the old one."""
    return NewAccount(
        id=ids.new(),
        merchant_id=lot.merchant_id,
        currency=lot.currency,
        code=LOT,
        owner_id=new.card.id,
        parent_id=new.card.id,
        lot_class=lot.lot_class,
        funder_id=lot.funder_id,
        expires_at=lot.expires_at,
        floor=0,
    )


def _replayed(work: Work, command: ReplaceCard, answer: Answer, card: GiftCard) -> Answer | Refusal:
    """A replay is authorised anew, and shows number and PIN no longer than the first answer of an issue does."""
    if not may_change(command.asked.caller, card):
        return conflict(KEY_HEADER)
    if card.reveal_until is not None and work.now < card.reveal_until:
        return answer
    assert answer.body is not None, "a replacement is answered by the new card"
    decoded = msgspec.json.decode(answer.body)
    decoded["data"]["attributes"] |= {"code": None, "pin": None}
    return with_(answer, body=msgspec.json.encode(decoded))
