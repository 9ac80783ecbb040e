"""The tables that issuing a reward reads and writes, as SQLAlchemy maps them; those of cards and payments are beside."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, CHAR, JSON, BigInteger, DateTime, LargeBinary, SmallInteger, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Every table; times are zoned, texts unbounded, whole numbers wide."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        str: Text,
        bytes: LargeBinary,
        int: BigInteger,
        list[UUID]: ARRAY(Uuid()),
        list[str]: ARRAY(Text),
    }


class Tenant(Base):
    __tablename__ = "tenants"
    id: Mapped[UUID] = mapped_column(primary_key=True)


class Agreement(Base):
    __tablename__ = "agreements"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID]
    status: Mapped[str]


class Client(Base):
    __tablename__ = "clients"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    agreement_id: Mapped[UUID]
    scopes: Mapped[list[str]]
    merchant_ids: Mapped[list[UUID] | None]
    status: Mapped[str]


class ClientSecret(Base):
    __tablename__ = "client_secrets"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    client_id: Mapped[UUID]
    digest: Mapped[bytes]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Merchant(Base):
    __tablename__ = "merchants"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(CHAR(3))
    country: Mapped[str] = mapped_column(CHAR(2))
    status: Mapped[str]
    claim_days: Mapped[int]
    pre_issuing: Mapped[bool]
    stacking: Mapped[bool]
    funding_mode: Mapped[str]
    reward_maximum: Mapped[int | None]
    receivable_account_id: Mapped[UUID]
    prefund_account_id: Mapped[UUID]


class IdempotencyKey(Base):
    __tablename__ = "idempotency_keys"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID] = mapped_column(primary_key=True)
    operation: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    resource_id: Mapped[UUID]
    status: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime]


class Recipient(Base):
    __tablename__ = "recipients"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    phone_index: Mapped[bytes] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    key_wrapped: Mapped[bytes]
    phone_sealed: Mapped[bytes]
    created_at: Mapped[datetime]


class Customer(Base):
    __tablename__ = "customers"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    recipient_id: Mapped[UUID | None]
    status: Mapped[str]


class Wallet(Base):
    __tablename__ = "wallets"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID]
    merchant_id: Mapped[UUID]
    status: Mapped[str]


class Reward(Base):
    __tablename__ = "rewards"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID]
    merchant_id: Mapped[UUID]
    recipient_id: Mapped[UUID]
    kind: Mapped[str]
    status: Mapped[str]
    amount: Mapped[int]
    reversed_amount: Mapped[int]
    currency: Mapped[str] = mapped_column(CHAR(3))
    wallet_id: Mapped[UUID | None]
    funding_account_id: Mapped[UUID]
    value_account_id: Mapped[UUID]
    claim_expires_at: Mapped[datetime | None]
    reason_code: Mapped[str | None]
    cost_center: Mapped[str | None]
    private_sealed: Mapped[bytes | None]
    answer_sealed: Mapped[bytes]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Account(Base):
    __tablename__ = "accounts"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    merchant_id: Mapped[UUID]
    currency: Mapped[str] = mapped_column(CHAR(3))
    code: Mapped[str]
    owner_id: Mapped[UUID]
    parent_id: Mapped[UUID | None]
    lot_class: Mapped[str | None]
    funder_id: Mapped[UUID | None]
    expires_at: Mapped[datetime | None]
    floor: Mapped[int | None]
    balance: Mapped[int]
    held: Mapped[int] = mapped_column(default=0)
    version: Mapped[int]
    last_at: Mapped[datetime]
    opened_at: Mapped[datetime]


class Journal(Base):
    __tablename__ = "journals"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    merchant_id: Mapped[UUID]
    currency: Mapped[str] = mapped_column(CHAR(3))
    kind: Mapped[str]
    cause_id: Mapped[UUID]
    at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class Entry(Base):
    __tablename__ = "entries"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    journal_id: Mapped[UUID]
    leg: Mapped[int] = mapped_column(SmallInteger)
    counterpart_id: Mapped[UUID]
    amount: Mapped[int]
    balance_after: Mapped[int]
    at: Mapped[datetime]


class TenantHead(Base):
    __tablename__ = "tenant_heads"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int]


class Event(Base):
    __tablename__ = "events"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    topic: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[UUID]
    sequence: Mapped[int]
    partner_id: Mapped[UUID]
    merchant_id: Mapped[UUID]
    request_id: Mapped[UUID]
    at: Mapped[datetime]
    document: Mapped[Any] = mapped_column(JSON)


class LoggedRequest(Base):
    __tablename__ = "request_log"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID]
    client_id: Mapped[UUID]
    method: Mapped[str]
    route: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    resource_id: Mapped[UUID | None]
    replayed: Mapped[bool] = mapped_column(default=False)
