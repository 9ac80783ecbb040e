"""Take back a payment by the till's own reference, for a till that timed out and does not know whether it was made.

It may come before the payment: then the reference is remembered, and the payment refused when it arrives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import msgspec

import tallystick.payments.change_store as change_store
import tallystick.payments.store as store
from tallystick import audit, merchants
from tallystick.base import idempotency, jsonapi
from tallystick.base.errors import Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import Resource
from tallystick.base.work import Asked, Work
from tallystick.payments.change_store import Reference
from tallystick.payments.changing import Held, Payment, release, settle, tell
from tallystick.payments.model import TillReference
from tallystick.payments.refunding import give_back


@dataclass(frozen=True, slots=True)
class ReversePayment:
    """Take back whatever this reference of the partner's till stands for, now or later."""

    asked: Asked
    merchant_id: UUID
    reference: str

    @property
    def name(self) -> Reference:
        return self.asked.caller.partner_id, self.merchant_id, self.reference


class PaymentReversalAttributes(msgspec.Struct, rename="camel", gc=False):
    """What became of a reversal. `awaited`: no payment has come under the reference, and none will be accepted."""

    external_reference: str
    merchant_id: str
    payment_intent_id: str | None
    status: Literal["reversed", "awaited"]
    reversed_amount: int
    currency: str


EXAMPLE: Final[dict[str, Any]] = {
    "externalReference": "till-4/2026-03-02/0117",
    "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
    "paymentIntentId": "0199d3c0-7a11-7d02-9f3e-3b5a6c7d8e90",
    "status": "reversed",
    "reversedAmount": 1250,
    "currency": "USD",
}

PAYMENT_REVERSAL: Final = Resource("PaymentReversal", "/api/v1/payment-intents", PaymentReversalAttributes, EXAMPLE)


async def reverse(work: Work, commands: Sequence[ReversePayment]) -> list[Answer | Refusal]:
    """What became of each reversal; a second one of the same reference answers the same, with a key or without."""
    batch = _Batch()
    return await idempotency.keyed(
        work,
        "payments.reverse",
        commands,
        partial(_reverse, batch),
        fingerprint=lambda command: msgspec.json.encode([command.merchant_id, command.reference]),
        seal=HouseSeal(),
        prepare=batch.lock,
    )


class _Batch:
    """The references of one batch under their locks, and the payments they stand for."""

    def __init__(self) -> None:
        self.found: dict[Reference, TillReference] = {}
        self.currencies: dict[UUID, str] = {}
        self.held = Held()

    async def lock(self, work: Work, commands: Sequence[ReversePayment]) -> None:
        """The references in their order, then everything that their payments need."""
        self.found = await change_store.claim_references(work, [command.name for command in commands])
        shops = await merchants.by_ids(work, list({command.merchant_id for command in commands}))
        self.currencies = {shop.id: shop.currency for shop in shops.values()}
        paid = {found.intent_id for found in self.found.values() if found.intent_id is not None}
        if paid:
            await self.held.lock(work, paid, payable=True)


async def _reverse(batch: _Batch, work: Work, command: ReversePayment) -> Answer | Refusal:
    found = batch.found[command.name]
    payment = None if found.intent_id is None else batch.held.payments[found.intent_id]
    if payment is not None:
        taken_back = await _take_back(work, batch.held, payment, command.asked)
        if isinstance(taken_back, Refusal):
            return taken_back
        payment = taken_back
        await store.mark_reversed(work, found)
    shown = _shown(command, payment, batch.currencies[command.merchant_id])
    answer_id = uuid5(command.merchant_id, f"{command.asked.caller.partner_id}:{command.reference}")
    resource_id = answer_id if payment is None else payment.intent.id
    audit.note(work, command.asked, status=200, resource_id=resource_id)
    return Answer(200, jsonapi.document(jsonapi.resource(PAYMENT_REVERSAL, answer_id, shown)), resource_id)


async def _take_back(work: Work, held: Held, payment: Payment, asked: Asked) -> Payment | Refusal:
    """The payment with nothing held and nothing taken any more. One that ended by itself stays as it is."""
    intent = payment.intent
    if intent.effective(work.now) == "authorized":
        (cancelled,) = await release(work, held, [payment], "cancelled", "released")
        await settle(work, held, [cancelled], asked)
        tell(work, "redemption.cancelled", cancelled, asked)
        return cancelled
    left = intent.captured_amount - intent.refunded_amount
    if left == 0:
        return payment
    refunded = await give_back(work, held, payment, left, asked, None)
    if isinstance(refunded, Payment):
        tell(work, "redemption.refunded", refunded, asked)
    return refunded


def _shown(command: ReversePayment, payment: Payment | None, currency: str) -> PaymentReversalAttributes:
    # What came back in all, by this reversal or before it: so that a second one answers the same.
    amount = 0 if payment is None else payment.intent.refunded_amount or payment.intent.authorized_amount
    return PaymentReversalAttributes(
        external_reference=command.reference,
        merchant_id=str(command.merchant_id),
        payment_intent_id=None if payment is None else str(payment.intent.id),
        status="awaited" if payment is None else "reversed",
        reversed_amount=amount,
        currency=currency,
    )
