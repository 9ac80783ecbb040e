"""On the wire: what happened to a card, corrections of its balance, and the rules of law it keeps to."""

from typing import Final
from uuid import uuid5

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.giftcards.jurisdictions import GiftCardRule
from tallystick.giftcards.life_store import GiftCardAdjustment
from tallystick.giftcards.model import Activity, GiftCard


class ActivityAttributes(msgspec.Struct, rename="camel", gc=False):
    """One thing that happened to a card. Minor units; `amount` is signed, 0 where no value moved."""

    gift_card_id: str
    sequence: int
    kind: str
    amount: int
    balance_after: int
    currency: str
    reason: str | None
    cause_id: str | None
    external_reference: str | None
    request_id: str | None
    at: str


class AdjustmentAttributes(msgspec.Struct, rename="camel", gc=False):
    """A correction of a card's balance: signed minor units, and the clients who asked and decided."""

    gift_card_id: str
    merchant_id: str
    amount: int
    currency: str
    value_class: str
    reason: str
    status: str
    asked_by: str
    decided_by: str | None
    created_at: str
    decided_at: str | None


class SourceAttributes(msgspec.Struct, rename="camel", gc=False):
    """Where a rule is written down."""

    title: str
    url: str


class RuleAttributes(msgspec.Struct, rename="camel", gc=False):
    """A rule of law for gift cards, from its first day until just before its last, in the time of its country or region."""

    name: str
    country: str
    region: str | None
    kind: str
    months: int | None
    below: int | None
    currency: str | None
    allowed: bool | None
    effective_from: str | None
    effective_until: str | None
    note: str
    source: SourceAttributes


CARD_ID: Final = "0199d3c0-6e0d-7f43-a2b7-1c9e8d5f6b20"
AT: Final = "2026-06-17T12:00:00.000Z"
ACTIVITY = Resource(
    "GiftCardActivity",
    "/api/v1/gift-cards/{id}/activities",
    ActivityAttributes,
    {
        "giftCardId": CARD_ID,
        "sequence": 3,
        "kind": "load",
        "amount": 2500,
        "balanceAfter": 6200,
        "currency": "USD",
        "reason": None,
        "causeId": None,
        "externalReference": None,
        "requestId": "0199d3c0-7a31-7b0e-8f6c-2d4e6f8a0b1c",
        "at": AT,
    },
)
ADJUSTMENT = Resource(
    "GiftCardAdjustment",
    "/api/v1/gift-card-adjustments",
    AdjustmentAttributes,
    {
        "giftCardId": CARD_ID,
        "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
        "amount": 10000,
        "currency": "USD",
        "valueClass": "promotional",
        "reason": "support_issue",
        "status": "pending",
        "askedBy": "0199d3c0-4c2b-7d1a-9e3f-5a6b7c8d9e0f",
        "decidedBy": None,
        "createdAt": AT,
        "decidedAt": None,
    },
)
RULE = Resource(
    "GiftCardRule",
    "/api/v1/gift-card-rules",
    RuleAttributes,
    {
        "name": "nz-minimum-expiry",
        "country": "NZ",
        "region": None,
        "kind": "minimumExpiry",
        "months": 36,
        "below": None,
        "currency": None,
        "allowed": None,
        "effectiveFrom": "2026-03-16",
        "effectiveUntil": None,
        "note": "Loyalty cards are exempt.",
        "source": {
            "title": "Gift cards and vouchers (Commerce Commission New Zealand)",
            "url": "https://www.comcom.govt.nz/business/dealing-with-typical-situations/selling-goods-and-services/"
            "gift-cards-and-vouchers",
        },
    },
)


def activity(card: GiftCard, each: Activity, external_reference: str | None) -> bytes:
    """One line of a card's history. It is known by the card and its sequence; its id on the wire is made of those."""
    shown = ActivityAttributes(
        gift_card_id=str(card.id),
        sequence=each.sequence,
        kind=each.kind,
        amount=each.amount,
        balance_after=each.balance_after,
        currency=card.currency,
        reason=each.reason,
        cause_id=None if each.cause_id is None else str(each.cause_id),
        external_reference=external_reference,
        request_id=None if each.request_id is None else str(each.request_id),
        at=clock.render(each.at),
    )
    return jsonapi.resource(ACTIVITY, uuid5(card.id, str(each.sequence)), shown)


def adjustment(each: GiftCardAdjustment, currency: str) -> bytes:
    """One correction."""
    shown = AdjustmentAttributes(
        gift_card_id=str(each.card_id),
        merchant_id=str(each.merchant_id),
        amount=each.amount,
        currency=currency,
        value_class=each.value_class,
        reason=each.reason,
        status=each.status,
        asked_by=str(each.asked_by),
        decided_by=None if each.decided_by is None else str(each.decided_by),
        created_at=clock.render(each.created_at),
        decided_at=None if each.decided_at is None else clock.render(each.decided_at),
    )
    return jsonapi.resource(ADJUSTMENT, each.id, shown)


def adjustment_document(each: GiftCardAdjustment, card: GiftCard) -> bytes:
    """The document of one correction of this card."""
    return jsonapi.document(adjustment(each, card.currency))


def rule(each: GiftCardRule) -> bytes:
    """One rule."""
    shown = RuleAttributes(
        name=each.name,
        country=each.country,
        region=each.region,
        kind=each.kind,
        months=each.months,
        below=each.below,
        currency=each.currency,
        allowed=each.allowed,
        effective_from=None if each.effective_from is None else each.effective_from.isoformat(),
        effective_until=None if each.effective_until is None else each.effective_until.isoformat(),
        note=each.note,
        source=SourceAttributes(each.source.title, each.source.url),
    )
    return jsonapi.resource(RULE, each.id, shown)
