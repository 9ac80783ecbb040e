"""The tables that gift cards and payments add, as SQLAlchemy maps them."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CHAR, Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.usual.models import Base


class SpendingTerms(Base):
    __tablename__ = "spending_terms"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    merchant_id: Mapped[UUID] = mapped_column(primary_key=True)
    payment_minimum: Mapped[int | None]
    payment_maximum: Mapped[int | None]


class GiftCard(Base):
    __tablename__ = "gift_cards"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID]
    merchant_id: Mapped[UUID]
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str]
    value_class: Mapped[str]
    initial_amount: Mapped[int]
    reloadable: Mapped[bool]
    code_index: Mapped[bytes]
    code_sealed: Mapped[bytes]
    code_tail: Mapped[str]
    pin_digest: Mapped[bytes | None]
    design_id: Mapped[UUID | None]
    batch_id: Mapped[UUID | None]
    expires_at: Mapped[datetime | None]
    issued_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    replaces: Mapped[UUID | None]
    replaced_by: Mapped[UUID | None]
    reason: Mapped[str | None]
    external_reference: Mapped[str | None]
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Activity(Base):
    __tablename__ = "gift_card_activities"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    card_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    amount: Mapped[int]
    balance_after: Mapped[int]
    reason: Mapped[str | None]
    journal_id: Mapped[UUID | None]
    cause_id: Mapped[UUID | None]
    partner_id: Mapped[UUID | None]
    request_id: Mapped[UUID | None]
    at: Mapped[datetime]


class CardBatch(Base):
    __tablename__ = "gift_card_batches"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID]
    client_id: Mapped[UUID]
    merchant_id: Mapped[UUID]
    request_id: Mapped[UUID]
    status: Mapped[str]
    total: Mapped[int] = mapped_column(Integer)
    done: Mapped[int] = mapped_column(Integer)
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(CHAR(3))
    value_class: Mapped[str]
    activate: Mapped[bool]
    reloadable: Mapped[bool]
    pin: Mapped[bool]
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Canary(Base):
    __tablename__ = "card_canaries"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    code_index: Mapped[bytes] = mapped_column(primary_key=True)
    label: Mapped[str]


class LookupWindow(Base):
    __tablename__ = "card_lookup_windows"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    client_id: Mapped[UUID] = mapped_column(primary_key=True)
    window_start: Mapped[datetime]
    tried: Mapped[int] = mapped_column(Integer)
    missed: Mapped[int] = mapped_column(Integer)
    blocked_until: Mapped[datetime | None]


class PaymentIntent(Base):
    __tablename__ = "payment_intents"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID]
    merchant_id: Mapped[UUID]
    location_id: Mapped[str | None]
    currency: Mapped[str] = mapped_column(CHAR(3))
    status: Mapped[str]
    capture: Mapped[str]
    allow_partial: Mapped[bool]
    amount: Mapped[int]
    authorized_amount: Mapped[int]
    authorized_tender: Mapped[int]
    captured_amount: Mapped[int]
    captured_tender: Mapped[int]
    captured_discount: Mapped[int]
    external_reference: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    counted_on: Mapped[date | None]
    answer_sealed: Mapped[bytes]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class PaymentSource(Base):
    __tablename__ = "payment_sources"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    intent_id: Mapped[UUID] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    kind: Mapped[str]
    source_id: Mapped[UUID]
    asked_amount: Mapped[int | None]
    authorized_amount: Mapped[int]
    counted_on: Mapped[date | None]


class PaymentPart(Base):
    __tablename__ = "payment_parts"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    intent_id: Mapped[UUID] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True)
    source_ordinal: Mapped[int] = mapped_column(SmallInteger)
    account_id: Mapped[UUID]
    lot_class: Mapped[str]
    hold_id: Mapped[UUID | None]
    amount: Mapped[int]
    captured: Mapped[int]
    refunded: Mapped[int]
