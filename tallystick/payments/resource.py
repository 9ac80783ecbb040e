"""The payment on the wire. An event tells the same shape: it holds no code, and nothing personal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Asked, Work
from tallystick.events import Event
from tallystick.payments.model import PaymentIntent, Source

EXAMPLE: Final = {
    "status": "captured",
    "amount": 1250,
    "currency": "USD",
    "authorizedAmount": 1250,
    "capturedAmount": 1250,
    "refundedAmount": 0,
    "refundedTender": 0,
    "refundedDiscount": 0,
    "remaining": 0,
    "tender": 250,
    "discount": 1000,
    "capture": "automatic",
    "allowPartial": False,
    "walletId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
    "giftCardId": None,
    "sources": [
        {
            "walletId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
            "giftCardId": None,
            "amount": None,
            "authorizedAmount": 1250,
        }
    ],
    "externalReference": "till-4-000917",
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "locationId": None,
    "expiresAt": None,
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:00.000Z",
}


class SourceAttributes(msgspec.Struct, rename="camel", gc=False):
    """A wallet or card that a payment is paid from: at most how much of it was asked for, and what it gives."""

    wallet_id: str | None
    gift_card_id: str | None
    amount: int | None
    authorized_amount: int


class PaymentIntentAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a partner reads of a payment. Amounts are minor units of `currency`."""

    status: str
    amount: int
    currency: str
    authorized_amount: int
    captured_amount: int
    refunded_amount: int
    refunded_tender: int
    refunded_discount: int
    remaining: int
    tender: int
    discount: int
    capture: str
    allow_partial: bool
    wallet_id: str | None
    gift_card_id: str | None
    sources: list[SourceAttributes]
    external_reference: str | None
    merchant_id: str
    location_id: str | None
    expires_at: str | None
    created_at: str
    updated_at: str


PAYMENT_INTENT: Final = Resource("PaymentIntent", "/api/v1/payment-intents", PaymentIntentAttributes, EXAMPLE)


def location(intent_id: UUID) -> str:
    """Where a payment is read."""
    return f"{PAYMENT_INTENT.path}/{intent_id}"


def document(intent: PaymentIntent, sources: Sequence[Source], now: datetime) -> bytes:
    """The document with one payment as it stands at `now`."""
    return jsonapi.document(resource(intent, sources, now))


def resource(intent: PaymentIntent, sources: Sequence[Source], now: datetime) -> bytes:
    """The resource object of a payment as it stands at `now`."""
    return jsonapi.resource(PAYMENT_INTENT, intent.id, attributes(intent, sources, now))


def attributes(intent: PaymentIntent, sources: Sequence[Source], now: datetime) -> PaymentIntentAttributes:
    """What a partner reads of a payment at `now`, its sources in their order."""
    status = intent.effective(now)
    if status != intent.status:
        intent = replace(intent, status=status)
    waits = status in {"authorized", "expired"} and intent.expires_at is not None
    only = sources[0] if len(sources) == 1 else None
    return PaymentIntentAttributes(
        status=status,
        amount=intent.amount,
        currency=intent.currency,
        authorized_amount=intent.authorized_amount,
        captured_amount=intent.captured_amount,
        refunded_amount=intent.refunded_amount,
        refunded_tender=intent.refunded_tender,
        refunded_discount=intent.refunded_discount,
        remaining=intent.remaining,
        tender=intent.tender,
        discount=intent.discount,
        capture=intent.capture,
        allow_partial=intent.allow_partial,
        wallet_id=None if only is None else _id(only, "wallet"),
        gift_card_id=None if only is None else _id(only, "giftCard"),
        sources=[_source(source) for source in sources],
        external_reference=intent.external_reference,
        merchant_id=str(intent.merchant_id),
        location_id=intent.location_id,
        expires_at=clock.render(intent.expires_at) if waits and intent.expires_at is not None else None,
        created_at=clock.render(intent.created_at),
        updated_at=clock.render(intent.updated_at),
    )


def event(work: Work, topic: str, intent: PaymentIntent, sources: Sequence[Source], asked: Asked | None) -> Event:
    """The event that tells what became of a payment; `asked` is None where time did it."""
    return Event(
        topic=topic,
        subject_type=PAYMENT_INTENT.type,
        subject_id=intent.id,
        sequence=intent.version,
        document=resource(intent, sources, work.now),
        partner_id=intent.partner_id,
        merchant_id=intent.merchant_id,
        request_id=None if asked is None else asked.request_id,
    )


def _source(source: Source) -> SourceAttributes:
    return SourceAttributes(
        _id(source, "wallet"), _id(source, "giftCard"), source.asked_amount, source.authorized_amount
    )


def _id(source: Source, kind: str) -> str | None:
    return str(source.source_id) if source.kind == kind else None
