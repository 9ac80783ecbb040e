"""The gift card on the wire. Number and PIN are there once, in the answer that issues it; then only the last four characters."""

from datetime import datetime

import msgspec

from tallystick import events
from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Asked
from tallystick.giftcards.model import EMPTY, Balance, GiftCard

EXAMPLE = {
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "status": "active",
    "valueClass": "paid",
    "currency": "USD",
    "initialAmount": 5000,
    "balance": {"available": 5000, "held": 0},
    "reloadable": True,
    "code": None,
    "codeTail": "7K3M",
    "pin": None,
    "hasPin": False,
    "designId": None,
    "batchId": None,
    "expiresAt": None,
    "issuedAt": "2026-06-17T12:00:00.000Z",
    "activatedAt": "2026-06-17T12:00:00.000Z",
    "replaces": None,
    "replacedBy": None,
    "reason": None,
    "externalReference": "order-4711",
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:00.000Z",
}


class CardBalance(msgspec.Struct, rename="camel", gc=False):
    """Minor units: `available` to be spent, `held` by payments that are not captured yet."""

    available: int
    held: int


class GiftCardAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a partner reads of a gift card."""

    merchant_id: str
    status: str
    value_class: str
    currency: str
    initial_amount: int
    balance: CardBalance
    reloadable: bool
    code: str | None
    code_tail: str
    pin: str | None
    has_pin: bool
    design_id: str | None
    batch_id: str | None
    expires_at: str | None
    issued_at: str
    activated_at: str | None
    replaces: str | None
    replaced_by: str | None
    reason: str | None
    external_reference: str | None
    created_at: str
    updated_at: str


class GiftCardEventAttributes(msgspec.Struct, rename="camel", gc=False):
    """What an event tells of a gift card: neither number nor PIN."""

    merchant_id: str
    status: str
    value_class: str
    currency: str
    initial_amount: int
    balance: CardBalance
    reloadable: bool
    code_tail: str
    has_pin: bool
    design_id: str | None
    batch_id: str | None
    expires_at: str | None
    issued_at: str
    activated_at: str | None
    replaces: str | None
    replaced_by: str | None
    reason: str | None
    external_reference: str | None
    created_at: str
    updated_at: str


GIFT_CARD = Resource("GiftCard", "/api/v1/gift-cards", GiftCardAttributes, EXAMPLE)
GIFT_CARD_EVENT = Resource("GiftCard", "/api/v1/gift-cards", GiftCardEventAttributes)


def attributes(
    card: GiftCard, balance: Balance, now: datetime, *, code: str | None = None, pin: str | None = None
) -> GiftCardAttributes:
    """The card as it stands at `now`. `code` (as people are shown it) and `pin` only where they may be shown."""
    return GiftCardAttributes(
        merchant_id=str(card.merchant_id),
        status=card.effective(now),
        value_class=card.value_class,
        currency=card.currency,
        initial_amount=card.initial_amount,
        balance=CardBalance(balance.available, balance.held),
        reloadable=card.reloadable,
        code=code,
        code_tail=card.code_tail,
        pin=pin,
        has_pin=card.has_pin,
        design_id=_text(card.design_id),
        batch_id=_text(card.batch_id),
        expires_at=_instant(card.expires_at),
        issued_at=clock.render(card.issued_at),
        activated_at=_instant(card.activated_at),
        replaces=_text(card.replaces),
        replaced_by=_text(card.replaced_by),
        reason=card.reason,
        external_reference=card.external_reference,
        created_at=clock.render(card.created_at),
        updated_at=clock.render(card.updated_at),
    )


def resource(card: GiftCard, balance: Balance | None, now: datetime) -> bytes:
    """The resource object of a card, for whoever may read it; None: it holds nothing."""
    return jsonapi.resource(GIFT_CARD, card.id, attributes(card, balance or EMPTY, now))


def document(card: GiftCard, balance: Balance | None, now: datetime) -> bytes:
    """The document of one card."""
    return jsonapi.document(resource(card, balance, now))


def event(topic: str, card: GiftCard, balance: Balance, now: datetime, asked: Asked | None = None) -> events.Event:
    """What happened to a card, told as its version; `asked` is the request behind it, None where time did it."""
    return events.Event(
        topic=topic,
        subject_type=GIFT_CARD.type,
        subject_id=card.id,
        sequence=card.version,
        document=told(card, balance, now),
        partner_id=card.partner_id,
        merchant_id=card.merchant_id,
        request_id=None if asked is None else asked.request_id,
    )


def told(card: GiftCard, balance: Balance, now: datetime) -> bytes:
    """The card as an event tells it."""
    shown = attributes(card, balance, now)
    told = GiftCardEventAttributes(*(getattr(shown, name) for name in GiftCardEventAttributes.__struct_fields__))
    return jsonapi.resource(GIFT_CARD_EVENT, card.id, told)


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else clock.render(at)
