"""Payments and gift cards over HTTP, as pydantic models: the names, limits and order of the product's own documents."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from benchmarks.usual.documents import Camel, Document, Instant
from benchmarks.usual.spending_models import GiftCard, PaymentIntent


class PayAttributes(Camel):
    amount: Annotated[int, Field(strict=True, ge=1, le=2_147_483_647)]
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)]
    gift_card_id: UUID
    merchant_id: UUID | None = None


class PayResource(BaseModel):
    type: Literal["PaymentIntent"]
    attributes: PayAttributes


class PayDocument(BaseModel):
    data: PayResource


class LookUpAttributes(Camel):
    code: Annotated[str, Field(min_length=1, max_length=100)]
    merchant_id: UUID | None = None


class LookUpResource(BaseModel):
    type: Literal["LookUpGiftCard"]
    attributes: LookUpAttributes


class LookUpDocument(BaseModel):
    data: LookUpResource


class SourceAttributes(Camel):
    wallet_id: UUID | None
    gift_card_id: UUID | None
    amount: int | None
    authorized_amount: int


class PaymentAttributes(Camel):
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
    wallet_id: UUID | None
    gift_card_id: UUID | None
    sources: list[SourceAttributes]
    external_reference: str | None
    merchant_id: UUID
    location_id: str | None
    expires_at: Instant | None
    created_at: Instant
    updated_at: Instant


class PaymentResource(BaseModel):
    id: UUID
    type: Literal["PaymentIntent"] = "PaymentIntent"
    attributes: PaymentAttributes


class Balance(Camel):
    available: int
    held: int


class CardAttributes(Camel):
    merchant_id: UUID
    status: str
    value_class: str
    currency: str
    initial_amount: int
    balance: Balance
    reloadable: bool
    code: str | None
    code_tail: str
    pin: str | None
    has_pin: bool
    design_id: UUID | None
    batch_id: UUID | None
    expires_at: Instant | None
    issued_at: Instant
    activated_at: Instant | None
    replaces: UUID | None
    replaced_by: UUID | None
    reason: str | None
    external_reference: str | None
    created_at: Instant
    updated_at: Instant


class CardResource(BaseModel):
    id: UUID
    type: Literal["GiftCard"] = "GiftCard"
    attributes: CardAttributes


PaymentDocument = Document[PaymentResource]
CardDocument = Document[CardResource]

NUMBERS = {"attributes": {"code", "pin"}}
"""What an event does not tell of a card."""


def card_shown(card: GiftCard, balance: Balance, now: datetime) -> CardResource:
    """A card without its number."""
    expired = card.expires_at is not None and card.expires_at <= now
    shown = CardAttributes(
        merchant_id=card.merchant_id,
        status="expired" if expired else card.status,
        value_class=card.value_class,
        currency=card.currency,
        initial_amount=card.initial_amount,
        balance=balance,
        reloadable=card.reloadable,
        code=None,
        code_tail=card.code_tail,
        pin=None,
        has_pin=card.pin_digest is not None,
        design_id=card.design_id,
        batch_id=card.batch_id,
        expires_at=card.expires_at,
        issued_at=card.issued_at,
        activated_at=card.activated_at,
        replaces=card.replaces,
        replaced_by=card.replaced_by,
        reason=card.reason,
        external_reference=card.external_reference,
        created_at=card.created_at,
        updated_at=card.updated_at,
    )
    return CardResource(id=card.id, attributes=shown)


def payment_shown(intent: PaymentIntent, card_id: UUID) -> PaymentResource:
    """A payment from one card, captured at once."""
    source = SourceAttributes(
        wallet_id=None, gift_card_id=card_id, amount=None, authorized_amount=intent.authorized_amount
    )
    shown = PaymentAttributes(
        status=intent.status,
        amount=intent.amount,
        currency=intent.currency,
        authorized_amount=intent.authorized_amount,
        captured_amount=intent.captured_amount,
        refunded_amount=0,
        refunded_tender=0,
        refunded_discount=0,
        remaining=intent.amount - intent.authorized_amount,
        tender=intent.captured_tender,
        discount=intent.captured_discount,
        capture=intent.capture,
        allow_partial=intent.allow_partial,
        wallet_id=None,
        gift_card_id=card_id,
        sources=[source],
        external_reference=None,
        merchant_id=intent.merchant_id,
        location_id=None,
        expires_at=None,
        created_at=intent.created_at,
        updated_at=intent.updated_at,
    )
    return PaymentResource(id=intent.id, attributes=shown)
