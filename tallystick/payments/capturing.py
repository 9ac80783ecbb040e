"""Take what a payment holds: all of it or a part, once. The rest is free again."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import msgspec
from msgspec.structs import replace

import tallystick.payments.store as store
from tallystick import ledger
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.giftcards import spending
from tallystick.ledger import Journal, Resolution, Transfer
from tallystick.payments import velocity
from tallystick.payments.changing import Held, Payment, answered, moved_on, movements, not_open, settle
from tallystick.payments.model import Part, PaymentIntent


@dataclass(frozen=True, slots=True)
class CapturePaymentIntent:
    """Take `amount` minor units of what a payment holds; None: all of it."""

    asked: Asked
    intent_id: UUID
    amount: int | None = None


async def capture(work: Work, commands: Sequence[CapturePaymentIntent]) -> list[Answer | Refusal]:
    """The captured payment for each command; what it held beyond that is free again."""
    held = Held()
    return await idempotency.keyed(
        work,
        "payments.capture",
        commands,
        partial(_capture, held),
        fingerprint=lambda command: msgspec.json.encode([command.intent_id, command.amount]),
        seal=HouseSeal(),
        prepare=partial(held.lock_own, payable=True),
    )


def split(parts: Sequence[Part], amount: int) -> list[Part]:
    """The parts with `amount` minor units captured of them, in their order: those that are spent first give first."""
    captured = []
    for part in parts:
        taken = min(part.amount, amount)
        amount -= taken
        captured.append(replace(part, captured=taken))
    assert amount == 0, "no more is captured than the parts hold"
    return captured


async def _capture(held: Held, work: Work, command: CapturePaymentIntent) -> Answer | Refusal:
    payment = held.own(command)
    if isinstance(payment, Refusal):
        return payment
    intent = payment.intent
    refusal = not_open(intent, "captured", work)
    if refusal is not None:
        return refusal
    amount = intent.authorized_amount if command.amount is None else command.amount
    if amount > intent.authorized_amount:
        return InvalidRequest(
            f"The payment holds {intent.authorized_amount} minor units; increase it before more is captured.",
            source=attribute("amount"),
        )
    taken = _taken(work, payment, amount)
    held.payments[intent.id] = taken
    await _move(work, taken)
    await store.update(work, [taken.intent])
    await store.update_parts(work, taken.parts)
    rest = [(source, sum(part.amount - part.captured for part in taken.of_source(source))) for source in taken.sources]
    await velocity.give_back_part(work, taken.intent, [(source, less) for source, less in rest if less])
    await settle(work, held, [taken], command.asked)
    spent = [(source.source_id, sum(part.captured for part in taken.of_source(source))) for source in taken.cards]
    moved = await movements(work, spent, command.asked, taken.intent)
    if moved:
        await spending.note_redeemed(work, moved)
    return answered(work, command.asked, "redemption.captured", taken)


def _taken(work: Work, payment: Payment, amount: int) -> Payment:
    parts = split(payment.parts, amount)
    tender = sum(part.captured for part in parts if part.is_tender)
    intent = replace(
        moved_on(work, payment.intent, "captured"),
        captured_amount=amount,
        captured_tender=tender,
        captured_discount=amount - tender,
    )
    return Payment(intent, payment.sources, parts)


async def _move(work: Work, payment: Payment) -> None:
    """End the holds; the books take one journal for each lot that gives, since each hold ends by its own."""
    resolutions = [
        Resolution(part.hold_id, "captured", _journal(payment.intent, part))
        if part.captured
        else Resolution(part.hold_id, "released")
        for part in payment.parts
        if part.hold_id is not None
    ]
    assert len(resolutions) == len(payment.parts), "what was authorised by hand is held"
    verdicts = await ledger.resolve(work, resolutions)
    assert all(verdict == "resolved" for verdict in verdicts), f"the books refused a capture: {verdicts}"


def _journal(intent: PaymentIntent, part: Part) -> Journal:
    payable = ledger.house_account(intent.merchant_id, "merchant.payable")
    return Journal(
        id=ids.new(),
        kind="payment.capture",
        cause_id=intent.id,
        merchant_id=intent.merchant_id,
        currency=intent.currency,
        transfers=(Transfer(part.account_id, payable, part.captured),),
    )
