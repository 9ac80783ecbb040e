"""Find cards by their numbers, at a lookup or at a till, so that nobody finds out anything by trying.

Whatever is not found is refused alike: a number that does not exist, that is mistyped, of another merchant or another programme, of
a card that was cancelled or replaced, with a wrong PIN, without the PIN it needs, or locked. The answer is the same, and so is
the work: the same statements in the same order, and a PIN is compared for every number, also where there is no card. What is
counted is counted whether or not the request is refused, since a refusal is a value and its work commits.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from msgspec.structs import replace

import tallystick.giftcards.lookup_store as lookup_store
import tallystick.giftcards.store as store
from tallystick import events
from tallystick.base import clock, jsonapi, logs
from tallystick.base.errors import Refusal, Source
from tallystick.base.work import Asked, Caller, Work
from tallystick.giftcards import breaker, canaries, codes, pins, resource
from tallystick.giftcards.breaker import Window
from tallystick.giftcards.canaries import CardAlertAttributes
from tallystick.giftcards.model import EMPTY, Balance, GiftCard
from tallystick.giftcards.pins import Tries

NO_NUMBER: Final = "-"
"""Stands for what cannot be a number: no card has it."""
NO_CARD: Final = UUID(int=0)
NO_DIGEST: Final = bytes(32)
LOST: Final = ("cancelled", "replaced")
"""States in which a number is dead."""


class CodeRefused(Refusal):
    code, status, title = "CodeRefused", 404, "No gift card can be used with this code."


@dataclass(frozen=True, slots=True)
class CodeTried:
    """A number as somebody typed or scanned it, and the PIN, if they gave one. Neither shows in a log or a traceback."""

    asked: Asked
    merchant_id: UUID | None
    """Whose card it must be; None: of any merchant that the client may act for."""
    code: str = field(repr=False)
    pin: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """The card and the answer that shows it."""

    card_id: UUID
    document: bytes = field(repr=False)


@dataclass(slots=True)
class _Facts:
    """What the batch knows under its locks. Each lookup changes it, so that rivals act as if one came after the other."""

    windows: dict[UUID, Window]
    cards: dict[bytes, GiftCard]
    canaries: dict[bytes, str]
    tries: dict[UUID, Tries] = field(default_factory=dict)


def refused(source: Source | None = None) -> CodeRefused:
    """The one refusal for all that is not found; `source` is where in the request the number stands."""
    return CodeRefused(
        "The code, or the PIN with it, is not valid here or cannot be tried just now. Check both; after several wrong PINs a "
        "card is locked for a while.",
        source=source,
    )


async def look_up(work: Work, commands: Sequence[CodeTried]) -> list[Found | Refusal]:
    """The card of each number with what it holds now."""
    outcomes = await find(work, commands)
    held = await store.balances(work, list({card.id for card in outcomes if isinstance(card, GiftCard)}))
    return [
        Found(card.id, _shown(work, tried.asked.caller, card, held.get(card.id, EMPTY)))
        if isinstance(card, GiftCard)
        else card
        for tried, card in zip(commands, outcomes, strict=True)
    ]


async def find(work: Work, wanted: Sequence[CodeTried]) -> list[GiftCard | Refusal]:
    """The card of each number as its row is, not locked: whoever moves its value locks it and looks at its state again.

    To be called before wallets and cards are locked. The refusal is `CodeRefused`, or `LookupsBlocked` by the breaker.
    """
    if not wanted:
        return []
    indexes = [codes.index(work, codes.canonical(tried.code) or NO_NUMBER) for tried in wanted]
    windows = await lookup_store.lock_windows(work, list({tried.asked.caller.client_id for tried in wanted}))
    facts = _Facts(
        windows={client_id: breaker.at(window, work.real_now) for client_id, window in windows.items()},
        cards=await store.by_codes(work, indexes),
        canaries=await lookup_store.canaries(work, indexes),
    )
    candidates = [_candidate(work, tried, index, facts) for tried, index in zip(wanted, indexes, strict=True)]
    with_pin = {card.id for card in candidates if card is not None and card.has_pin}
    facts.tries = await lookup_store.lock_tries(work, list(with_pin))
    outcomes: list[GiftCard | Refusal] = [
        _look(work, tried, index, card, facts) for tried, index, card in zip(wanted, indexes, candidates, strict=True)
    ]
    await lookup_store.count(work, list(facts.tries.values()), list(facts.windows.values()))
    return outcomes


def _candidate(work: Work, tried: CodeTried, index: bytes, facts: _Facts) -> GiftCard | None:
    """The card that the caller may find by this number, if the PIN is right."""
    caller, card = tried.asked.caller, facts.cards.get(index)
    if card is None or card.status in LOST or facts.windows[caller.client_id].is_blocked(work.real_now):
        return None
    if tried.merchant_id is not None and card.merchant_id != tried.merchant_id:
        return None
    may_act = caller.merchant_ids is None or card.merchant_id in caller.merchant_ids
    return card if may_act else None


def _look(work: Work, tried: CodeTried, index: bytes, card: GiftCard | None, facts: _Facts) -> GiftCard | Refusal:
    client_id = tried.asked.caller.client_id
    window = facts.windows[client_id]
    if window.is_blocked(work.real_now):
        return breaker.refusal(window, work.real_now)
    # Compared in any case, so that it takes the same time.
    digest = codes.pin_digest(work, NO_CARD if card is None else card.id, tried.pin or "")
    kept = None if card is None else card.pin_digest
    matches = hmac.compare_digest(digest, kept or NO_DIGEST)
    is_open = card is not None and (not card.has_pin or _opens(work, card, tried, facts, right=matches))
    if index in facts.canaries:
        canaries.alarm(work, tried.asked, facts.canaries[index], tried.merchant_id)
    facts.windows[client_id] = breaker.after(window, work.real_now, missed=not is_open)
    if facts.windows[client_id].is_blocked(work.real_now):
        _tell_blocked(work, tried.asked, window, facts.windows[client_id])
    return card if card is not None and is_open else refused()


def _opens(work: Work, card: GiftCard, tried: CodeTried, facts: _Facts, *, right: bool) -> bool:
    """Whether the PIN opens the card, which is counted. What was not sent is no guess."""
    tries = facts.tries[card.id]
    if tried.pin is None:
        return False
    facts.tries[card.id] = pins.after(tries, work.real_now, right=right)
    return right and not tries.is_locked(work.real_now)


def _tell_blocked(work: Work, asked: Asked, before: Window, window: Window) -> None:
    caller = asked.caller
    assert window.blocked_until is not None, "a client that is blocked is so until an instant"
    tried, missed = before.tried + 1, before.missed + 1
    logs.log(request_id=asked.request_id).warning(
        "Lookups of gift cards are refused for a while: most of them found nothing.",
        tenant_id=work.tenant.id,
        partner_id=caller.partner_id,
        client_id=caller.client_id,
        count=missed,
        limit=tried,
    )
    shown = CardAlertAttributes(
        "lookupsBlocked",
        str(caller.partner_id),
        str(caller.client_id),
        clock.render(work.real_now),
        lookups=tried,
        missed=missed,
        blocked_until=clock.render(window.blocked_until),
    )
    event = canaries.alert("gift_card.lookups_blocked", shown)
    events.record(work, replace(event, partner_id=caller.partner_id, request_id=asked.request_id))


def _shown(work: Work, caller: Caller, card: GiftCard, balance: Balance) -> bytes:
    """The card for whoever holds its number. What its maker notes about it is its own."""
    shown = resource.attributes(card, balance, work.now)
    if not (caller.sees_programme or card.partner_id == caller.partner_id):
        shown.reason = shown.external_reference = shown.batch_id = None
    return jsonapi.document(jsonapi.resource(resource.GIFT_CARD, card.id, shown))
