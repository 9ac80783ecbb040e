"""The pure decision whether a payment can be made, on facts that every payment that can moves on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from tallystick.base.errors import IdempotencyConflict, InvalidRequest, Refusal, attribute
from tallystick.base.errors import Source as Place
from tallystick.base.work import Asked
from tallystick.ledger import Lot, lots
from tallystick.merchants import SpendingTerms
from tallystick.payments.model import (
    Capture,
    DuplicateReference,
    InsufficientValue,
    PaymentLimit,
    PaymentReversed,
    SourceKind,
    SourceNotUsable,
)
from tallystick.payments.velocity import Counters, is_counted

SPENDABLE: Final[dict[SourceKind, frozenset[str]]] = {
    "wallet": frozenset({"active", "closing"}),
    "giftCard": frozenset({"active", "depleted"}),
}
"""In which states value can be taken out: a closing wallet may be drained, and on a depleted card there is just nothing."""

NOUNS: Final[dict[SourceKind, str]] = {"wallet": "wallet", "giftCard": "gift card"}


@dataclass(frozen=True, slots=True)
class SourceAsked:
    """A wallet or a card that the till names, by its id or by a code; at most `amount` of it, or as much as is due."""

    place: Place
    """Where in the request it stands."""
    kind: SourceKind | None = None
    source_id: UUID | None = None
    code: str | None = field(default=None, repr=False)
    pin: str | None = field(default=None, repr=False)
    amount: int | None = None


class AuthorizePayment(msgspec.Struct, frozen=True):
    """A till's wish to be paid `amount` minor units out of these sources, in their order."""

    asked: Asked
    merchant_id: UUID
    merchant_named: bool
    """Whether the request named the merchant; only then it counts in the fingerprint."""
    amount: int
    sources: tuple[SourceAsked, ...]
    key: str
    currency: str | None = None
    capture: Capture = "automatic"
    allow_partial: bool = False
    external_reference: str | None = None
    location_id: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Which wallet or card a source is. `till_code` is the single-use code that it was found by; `used` refuses a second use."""

    kind: SourceKind
    id: UUID
    till_code: str | None = field(default=None, repr=False)
    used: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Shop:
    """The merchant as its payments know it. `day` is its own day at this instant."""

    id: UUID
    status: str
    currency: str
    day: date
    terms: SpendingTerms


@dataclass(frozen=True, slots=True)
class Holder:
    """A locked wallet or card. Only a card expires as a whole."""

    kind: SourceKind
    id: UUID
    merchant_id: UUID
    status: str
    expires_at: datetime | None = None


Reference = tuple[UUID, UUID, str]
"""A partner's name for a payment at a merchant."""


@dataclass(slots=True)
class Facts:
    """What the batch knows under its locks. Each accepted payment changes it, so that rivals act as if one came after the other."""

    now: datetime
    shops: dict[UUID, Shop]
    holders: dict[UUID, Holder]
    lots: dict[UUID, list[Lot]]
    """What each wallet or card can give now, in the order in which it is burnt."""
    held: dict[UUID, int]
    """What payments hold of each wallet or card that they hold anything of."""
    counters: Counters
    keys: dict[tuple[UUID, str], tuple[bytes, UUID]] = field(default_factory=dict)
    """Keys in use: their fingerprint and payment, from earlier requests and from earlier in the batch."""
    references: dict[Reference, tuple[UUID | None, bool]] = field(default_factory=dict)
    """References in use: their payment, if it came, and whether it was reversed."""
    used_codes: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The key stands for this same request: its first answer again."""

    intent_id: UUID


class Given(msgspec.Struct, frozen=True):
    """What one source gives: which part of which lots, and in which day it counts; None: it does not."""

    found: Found
    asked_amount: int | None
    taken: tuple[tuple[Lot, int], ...]
    counted_on: date | None
    left: int
    """What the wallet or card can still give afterwards."""
    held: int
    """What payments hold of it before this one."""

    @property
    def amount(self) -> int:
        return sum(part for _, part in self.taken)


class Authorized(msgspec.Struct, frozen=True):
    """The payment can be made: at which merchant, out of what, and in which day it counts there; None: it does not."""

    shop: Shop
    given: tuple[Given, ...]
    counted_on: date | None

    @property
    def amount(self) -> int:
        return sum(each.amount for each in self.given)


def decide(
    command: AuthorizePayment, found: Sequence[Found | Refusal], fingerprint: bytes, intent_id: UUID, facts: Facts
) -> Authorized | Replayed | Refusal:
    """Whether this payment can be made. Pure but for `facts`, which it moves on when the answer is yes."""
    name = (command.asked.caller.partner_id, command.key)
    known = facts.keys.get(name)
    if known is not None:
        return Replayed(known[1]) if known[0] == fingerprint else key_conflict()
    shop = facts.shops.get(command.merchant_id)
    if shop is None:
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    refusal = _against_terms(command, shop) or _against_reference(command, facts)
    if refusal is not None:
        return refusal
    sources = _usable(command, found, facts)
    if isinstance(sources, Refusal):
        return sources
    authorized = _authorized(command, shop, sources, facts)
    refusal = _short(command, authorized.amount) or _too_fast(command, authorized, facts)
    if refusal is not None:
        return refusal
    _move_on(authorized, facts, held=command.capture == "manual")
    facts.keys[name] = (fingerprint, intent_id)
    if command.external_reference is not None:
        facts.references[reference_of(command, command.external_reference)] = (intent_id, False)
    return authorized


def reference_of(command: AuthorizePayment, reference: str) -> Reference:
    """The name under which the payment and its reversal meet."""
    return command.asked.caller.partner_id, command.merchant_id, reference


def key_conflict() -> Refusal:
    """The refusal for a key that stands for another request."""
    return IdempotencyConflict(
        "This idempotency key was used with a different request. Use a new key, or resend exactly the first request.",
        source=attribute("idempotencyKey"),
    )


def _against_terms(command: AuthorizePayment, shop: Shop) -> Refusal | None:
    if shop.status != "active":
        return InvalidRequest("This merchant is closed; it takes no payments.", source=attribute("merchantId"))
    if command.currency is not None and command.currency != shop.currency:
        return InvalidRequest(
            f"Value at this merchant is in {shop.currency}; pay in that currency.", source=attribute("currency")
        )
    least, most = shop.terms.payment_minimum, shop.terms.payment_maximum
    if least is not None and command.amount < least:
        return PaymentLimit(
            f"The merchant takes stored value for payments of at least {least} minor units.", source=attribute("amount")
        )
    if most is not None and command.amount > most:
        return PaymentLimit(
            f"The merchant takes stored value for payments of at most {most} minor units.", source=attribute("amount")
        )
    return None


def _against_reference(command: AuthorizePayment, facts: Facts) -> Refusal | None:
    if command.external_reference is None:
        return None
    known = facts.references.get(reference_of(command, command.external_reference))
    if known is None:
        return None
    if known[1]:
        return PaymentReversed(
            "The payment with this reference was reversed; it is not made any more. Begin a new one with a new reference.",
            source=attribute("externalReference"),
        )
    return DuplicateReference(
        "Another payment has this reference. Use that one, or begin a new one with a new reference.",
        source=attribute("externalReference"),
    )


def _usable(
    command: AuthorizePayment, found: Sequence[Found | Refusal], facts: Facts
) -> list[tuple[SourceAsked, Found]] | Refusal:
    """The sources, if each of them is this merchant's and can be spent now, and none stands twice."""
    sources: list[tuple[SourceAsked, Found]] = []
    seen: set[UUID] = set()
    for wanted, source in zip(command.sources, found, strict=True):
        if isinstance(source, Refusal):
            return source
        holder = facts.holders.get(source.id)
        if holder is None or holder.kind != source.kind or holder.merchant_id != command.merchant_id:
            return InvalidRequest(f"The merchant has no such {NOUNS[source.kind]}. Verify the id.", source=wanted.place)
        refusal = _against_state(wanted, source, holder, facts)
        if refusal is not None:
            return refusal
        if source.id in seen:
            return InvalidRequest("This source stands twice; name each once.", source=wanted.place)
        seen.add(source.id)
        sources.append((wanted, source))
    return sources


def _against_state(wanted: SourceAsked, source: Found, holder: Holder, facts: Facts) -> Refusal | None:
    if source.till_code in facts.used_codes:
        return source.used
    if holder.status not in SPENDABLE[holder.kind]:
        return SourceNotUsable(
            f"The {NOUNS[holder.kind]} is {holder.status}. Take another means of payment.", source=wanted.place
        )
    if holder.expires_at is not None and holder.expires_at <= facts.now:
        return SourceNotUsable("The gift card has expired. Take another means of payment.", source=wanted.place)
    return None


def _authorized(
    command: AuthorizePayment, shop: Shop, sources: Sequence[tuple[SourceAsked, Found]], facts: Facts
) -> Authorized:
    """As much of the amount as the sources give, each in its turn."""
    due, given = command.amount, []
    for wanted, source in sources:
        holds = facts.lots.get(source.id, [])
        taken = tuple(lots.take(holds, due if wanted.amount is None else min(due, wanted.amount)))
        amount = sum(part for _, part in taken)
        due -= amount
        counted_on = shop.day if amount and is_counted(shop.terms, source.kind) else None
        left = sum(lot.available for lot in holds) - amount
        given.append(Given(source, wanted.amount, taken, counted_on, left, facts.held.get(source.id, 0)))
    return Authorized(shop, tuple(given), shop.day if is_counted(shop.terms, "merchant") else None)


def _short(command: AuthorizePayment, authorized: int) -> Refusal | None:
    deficit = command.amount - authorized
    if deficit == 0 or (command.allow_partial and authorized > 0):
        return None
    what = "There is nothing to take" if authorized == 0 else f"The sources give {authorized} minor units"
    return InsufficientValue(
        f"{what}; the deficit is {deficit}. Take the rest in another way with allowPartial, or add a source.",
        source=attribute("amount"),
    )


def _too_fast(command: AuthorizePayment, authorized: Authorized, facts: Facts) -> Refusal | None:
    for wanted, each in zip(command.sources, authorized.given, strict=True):
        if each.counted_on is not None:
            day = (each.found.id, each.counted_on)
            refusal = facts.counters.refusal(authorized.shop.terms, each.found.kind, day, each.amount, wanted.place)
            if refusal is not None:
                return refusal
    if authorized.counted_on is None:
        return None
    day, place = (authorized.shop.id, authorized.counted_on), attribute("amount")
    return facts.counters.refusal(authorized.shop.terms, "merchant", day, authorized.amount, place)


def _move_on(authorized: Authorized, facts: Facts, *, held: bool) -> None:
    for each in authorized.given:
        parts = {lot.id: part for lot, part in each.taken}
        facts.lots[each.found.id] = [
            replace(lot, available=lot.available - parts.get(lot.id, 0))
            for lot in facts.lots.get(each.found.id, [])
            if lot.available > parts.get(lot.id, 0)
        ]
        if held:
            facts.held[each.found.id] = each.held + each.amount
        elif each.amount and each.left + each.held == 0 and facts.holders[each.found.id].status == "closing":
            facts.holders[each.found.id] = replace(facts.holders[each.found.id], status="closed")
        if each.counted_on is not None:
            facts.counters.add((each.found.id, each.counted_on), each.amount)
        if each.found.till_code is not None:
            facts.used_codes.add(each.found.till_code)
    if authorized.counted_on is not None:
        facts.counters.add((authorized.shop.id, authorized.counted_on), authorized.amount)
