"""Hold more for a payment that is authorised: out of the same sources, by the same rules, from what they can give now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

import tallystick.payments.store as store
from tallystick import ledger, merchants
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.ledger import Hold, Lot, lots
from tallystick.merchants import Merchant, SpendingTerms
from tallystick.payments import velocity
from tallystick.payments.changing import Held, Payment, answered, moved_on, not_open
from tallystick.payments.deciding import NOUNS, SPENDABLE
from tallystick.payments.model import AMOUNT_MAX, InsufficientValue, Part, PaymentLimit, Source, SourceNotUsable

AMOUNT: Final = attribute("amount")


@dataclass(frozen=True, slots=True)
class IncreasePaymentIntent:
    """Hold `amount` minor units more."""

    asked: Asked
    intent_id: UUID
    amount: int


Given = list[tuple[Source, list[tuple[Lot, int]]]]
"""What each source gives more: which part of which lots."""


async def increase(work: Work, commands: Sequence[IncreasePaymentIntent]) -> list[Answer | Refusal]:
    """The larger payment for each command."""
    held = Held()
    return await idempotency.keyed(
        work,
        "payments.increase",
        commands,
        partial(_increase, held),
        fingerprint=lambda command: msgspec.json.encode([command.intent_id, command.amount]),
        seal=HouseSeal(),
        prepare=partial(held.lock_own, every_lot=True),
    )


async def _increase(held: Held, work: Work, command: IncreasePaymentIntent) -> Answer | Refusal:
    payment = held.own(command)
    if isinstance(payment, Refusal):
        return payment
    intent = payment.intent
    shop = (await merchants.by_ids(work, [intent.merchant_id]))[intent.merchant_id]
    terms = (await merchants.terms(work, [shop.id]))[shop.id]
    refusal = (
        not_open(intent, "increased", work)
        or _against_terms(payment, command.amount, shop, terms)
        or _against_states(work, held, payment)
    )
    if refusal is not None:
        return refusal
    given = give(payment, command.amount, terms, await _lots(work, payment))
    refusal = _short(payment, command.amount, given) or _too_fast(held, payment, terms, given)
    if refusal is not None:
        return refusal
    larger = _larger(work, payment, command.amount, given)
    held.payments[intent.id] = larger
    await _hold(work, payment, larger)
    await velocity.save(work, held.counters)
    held.counters.added.clear()
    return answered(work, command.asked, "redemption.authorized", larger)


def give(payment: Payment, amount: int, terms: SpendingTerms, held: Mapping[UUID, Sequence[Lot]]) -> Given:
    """Up to `amount` minor units more from the sources in their order, each up to what was asked of it in all."""
    given: Given = []
    for source in payment.sources:
        bound = amount if source.asked_amount is None else min(amount, source.asked_amount - source.authorized_amount)
        # Where days are counted, one that gave nothing at first has no day in which it could count.
        if source.authorized_amount == 0 and velocity.is_counted(terms, source.kind):
            bound = 0
        taken = lots.take(held.get(source.source_id, ()), bound)
        given.append((source, taken))
        amount -= _sum(taken)
    return given


def _against_terms(payment: Payment, amount: int, shop: Merchant, terms: SpendingTerms) -> Refusal | None:
    wanted = payment.intent.amount + amount
    if shop.status != "active":
        return InvalidRequest("This merchant is closed; it takes no payments.")
    if wanted > AMOUNT_MAX:
        return InvalidRequest(f"A payment is of at most {AMOUNT_MAX} minor units in all.", source=AMOUNT)
    if terms.payment_maximum is not None and wanted > terms.payment_maximum:
        return PaymentLimit(
            f"The merchant takes stored value for payments of at most {terms.payment_maximum} minor units.",
            source=AMOUNT,
        )
    return None


def _against_states(work: Work, held: Held, payment: Payment) -> SourceNotUsable | None:
    for source in payment.sources:
        kind, place = source.kind, source.source_id
        status = held.wallets[place].status if kind == "wallet" else held.cards[place].effective(work.now)
        if status not in SPENDABLE[kind]:
            return SourceNotUsable(f"The {NOUNS[kind]} is {status}. Take the rest by another means of payment.")
    return None


async def _lots(work: Work, payment: Payment) -> dict[UUID, list[Lot]]:
    """What each source can give now, in the order in which it is burnt."""
    found: dict[UUID, list[Lot]] = {}
    for lot in await lots.lock(work, [source.source_id for source in payment.sources]):
        found.setdefault(lot.parent_id, []).append(lot)
    return {parent_id: lots.burn_order(each, work.now) for parent_id, each in found.items()}


def _short(payment: Payment, amount: int, given: Given) -> InsufficientValue | None:
    found = sum(_sum(taken) for _, taken in given)
    deficit = amount - found
    if deficit == 0 or (payment.intent.allow_partial and found > 0):
        return None
    what = "There is nothing more to take" if found == 0 else f"The sources give {found} minor units more"
    return InsufficientValue(f"{what}; the deficit is {deficit}. Take the rest in another way.", source=AMOUNT)


def _too_fast(held: Held, payment: Payment, terms: SpendingTerms, given: Given) -> PaymentLimit | None:
    amounts = [(source, _sum(taken)) for source, taken in given]
    return velocity.increase(held.counters, terms, payment.intent, amounts, AMOUNT)


def _larger(work: Work, payment: Payment, amount: int, given: Given) -> Payment:
    intent, found = payment.intent, sum(_sum(taken) for _, taken in given)
    first = len(payment.parts) + 1
    taken = [(source, lot, part) for source, of_one in given for lot, part in of_one]
    fresh = [
        Part(intent.id, ordinal, source.ordinal, lot.id, lot.lot_class, ids.new(), part, 0, 0)
        for ordinal, (source, lot, part) in enumerate(taken, first)
    ]
    larger = replace(
        moved_on(work, intent, "authorized"),
        amount=intent.amount + amount,
        authorized_amount=intent.authorized_amount + found,
        authorized_tender=intent.authorized_tender + sum(part.amount for part in fresh if part.is_tender),
    )
    sources = [replace(each, authorized_amount=each.authorized_amount + _sum(of_one)) for each, of_one in given]
    return Payment(larger, sources, [*payment.parts, *fresh])


async def _hold(work: Work, payment: Payment, larger: Payment) -> None:
    intent, fresh = larger.intent, larger.parts[len(payment.parts) :]
    holds = [
        Hold(part.hold_id, part.account_id, part.amount, intent.id, intent.expires_at)
        for part in fresh
        if part.hold_id is not None
    ]
    verdicts = await ledger.hold(work, holds)
    assert all(verdict == "held" for verdict in verdicts), f"the books refused what was foreseen: {verdicts}"
    await store.update(work, [intent])
    await store.update_sources(work, larger.sources)
    await store.insert_parts(work, fresh)


def _sum(taken: Sequence[tuple[Lot, int]]) -> int:
    return sum(part for _, part in taken)
