"""Spend from a gift card in one transaction: the product's decisions and rows, a request at a time, through the ORM.

Left out, in its favour, since no measured request meets it: wallets and codes as sources, captures by hand, tills' references, what
a merchant allows in a day, and a card that is spent to the last.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.usual.issuing import Principal, Refused
from benchmarks.usual.models import Account, Entry, Event, IdempotencyKey, Journal, LoggedRequest, Merchant, TenantHead
from benchmarks.usual.spending_documents import (
    NUMBERS,
    Balance,
    CardResource,
    PayAttributes,
    PaymentDocument,
    PaymentResource,
    card_shown,
    payment_shown,
)
from benchmarks.usual.spending_models import (
    Activity,
    GiftCard,
    PaymentIntent,
    PaymentPart,
    PaymentSource,
    SpendingTerms,
)
from tallystick.base import clock, ids
from tallystick.base.keys import MasterKeys
from tallystick.ledger import house_account
from tallystick.ledger.lots import BURN_RANK, FOREVER, TENDER

OPERATION = "payments.authorize"
PAYMENTS = "/api/v1/payment-intents"


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment, and the answer to whoever asked for it."""

    intent_id: UUID
    document: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """Part of a lot that is spent."""

    lot: Account
    amount: int


async def redeem(session: AsyncSession, keys: MasterKeys, who: Principal, wanted: PayAttributes) -> Paid:
    """Take the amount from the card. Raises Refused; the caller's transaction then leaves nothing behind."""
    now, intent_id, request_id = clock.utc(), ids.new(), ids.new()
    merchant = await _merchant(session, who, wanted)
    replayed = await _claim_key(session, keys, who, wanted, intent_id, now)
    if replayed is not None:
        return replayed
    card = await _locked_card(session, who, merchant, wanted.gift_card_id, now)
    lots = await _locked_lots(session, card, now)
    taken = _take(lots, wanted.amount)
    left = Balance(
        available=sum(lot.balance - lot.held for lot in lots) - wanted.amount, held=sum(lot.held for lot in lots)
    )
    intent = _intent(who, merchant, wanted, intent_id, taken, now)
    shown = payment_shown(intent, card.id)
    document = PaymentDocument(data=shown).model_dump_json(by_alias=True).encode()
    intent.answer_sealed = keys.seal(document, intent_id.bytes)
    card.version, card.updated_at = card.version + 1, now
    session.add_all((intent, *_from(intent, card, taken), _activity(who, card, intent, left, request_id, now)))
    session.add(log_row(who, PAYMENTS, 201, request_id, intent_id, now))
    await _post(session, intent, taken, now)
    await _record(session, who, intent, shown, card, card_shown(card, left, now), request_id, now)
    return Paid(intent_id, document)


async def _merchant(session: AsyncSession, who: Principal, wanted: PayAttributes) -> Merchant:
    """The merchant, with what it allows for one payment, in one question."""
    merchant_id = wanted.merchant_id
    if merchant_id is None and who.merchant_ids is not None and len(who.merchant_ids) == 1:
        merchant_id = who.merchant_ids[0]
    allowed = merchant_id is not None and (who.merchant_ids is None or merchant_id in who.merchant_ids)
    row = (
        await session.execute(
            select(Merchant, SpendingTerms)
            .join(
                SpendingTerms,
                (SpendingTerms.tenant_id == Merchant.tenant_id) & (SpendingTerms.merchant_id == Merchant.id),
            )
            .where(Merchant.tenant_id == who.tenant_id, Merchant.id == merchant_id)
        )
    ).first()
    if row is None or not allowed or row[0].status != "active":
        raise Refused(400, "InvalidRequest", "There is no such merchant that you may act for.", "merchantId")
    merchant, terms = row
    if terms.payment_minimum is not None and wanted.amount < terms.payment_minimum:
        raise Refused(409, "PaymentLimit", "The merchant takes stored value for larger payments.", "amount")
    if terms.payment_maximum is not None and wanted.amount > terms.payment_maximum:
        raise Refused(409, "PaymentLimit", "The merchant takes stored value for smaller payments.", "amount")
    assert isinstance(merchant, Merchant), "the first of the two"
    return merchant


async def _claim_key(
    session: AsyncSession, keys: MasterKeys, who: Principal, wanted: PayAttributes, intent_id: UUID, now: datetime
) -> Paid | None:
    """None when the key is ours now; else the payment that has it. A racing twin is waited for."""
    body = [wanted.amount, str(wanted.gift_card_id)]
    if wanted.merchant_id is not None:
        body.append(str(wanted.merchant_id))
    fingerprint = keys.fingerprint(who.tenant_id, json.dumps(body).encode())
    claimed = await session.scalar(
        insert(IdempotencyKey)
        .values(
            tenant_id=who.tenant_id,
            partner_id=who.partner_id,
            operation=OPERATION,
            key=wanted.idempotency_key,
            fingerprint=fingerprint,
            resource_id=intent_id,
            status=201,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.resource_id)
    )
    if claimed is not None:
        return None
    taken = await session.get_one(IdempotencyKey, (who.tenant_id, who.partner_id, OPERATION, wanted.idempotency_key))
    if taken.fingerprint != fingerprint:
        raise Refused(409, "IdempotencyConflict", "This key was used with a different request.", "idempotencyKey")
    intent = await session.get_one(PaymentIntent, (who.tenant_id, taken.resource_id))
    return Paid(intent.id, keys.open_sealed(intent.answer_sealed, intent.id.bytes))


async def _locked_card(
    session: AsyncSession, who: Principal, merchant: Merchant, card_id: UUID, now: datetime
) -> GiftCard:
    card = await session.get(GiftCard, (who.tenant_id, card_id), with_for_update=True)
    if card is None or card.merchant_id != merchant.id:
        raise Refused(400, "InvalidRequest", "The merchant has no such gift card. Verify the id.", "giftCardId")
    expired = card.expires_at is not None and card.expires_at <= now
    if expired or card.status not in ("active", "depleted"):
        raise Refused(409, "SourceNotUsable", f"The gift card is {card.status}.", "giftCardId")
    return card


async def _locked_lots(session: AsyncSession, card: GiftCard, now: datetime) -> list[Account]:
    """What the card can give, in the order in which it is burnt."""
    lots = await session.scalars(
        select(Account)
        .where(
            Account.tenant_id == card.tenant_id,
            Account.parent_id == card.id,
            Account.lot_class.is_not(None),
            Account.balance > 0,
        )
        .order_by(Account.id)
        .with_for_update()
    )
    usable = [lot for lot in lots if lot.balance > lot.held and (lot.expires_at is None or lot.expires_at > now)]
    return sorted(usable, key=lambda lot: (lot.expires_at or FOREVER, _rank(lot), lot.id.int))


def _rank(lot: Account) -> int:
    assert lot.lot_class is not None, "a lot has its class"
    return BURN_RANK[lot.lot_class]  # type: ignore[index]


def _take(lots: Sequence[Account], amount: int) -> list[Taken]:
    due, taken = amount, []
    for lot in lots:
        part = min(due, lot.balance - lot.held)
        if part:
            taken.append(Taken(lot, part))
            due -= part
    if due:
        raise Refused(409, "InsufficientValue", f"The deficit is {due}.", "amount")
    return taken


def _intent(
    who: Principal, merchant: Merchant, wanted: PayAttributes, intent_id: UUID, taken: Sequence[Taken], now: datetime
) -> PaymentIntent:
    tender = sum(part.amount for part in taken if part.lot.lot_class in TENDER)
    return PaymentIntent(
        tenant_id=who.tenant_id,
        id=intent_id,
        partner_id=who.partner_id,
        merchant_id=merchant.id,
        currency=merchant.currency,
        status="captured",
        capture="automatic",
        allow_partial=False,
        amount=wanted.amount,
        authorized_amount=wanted.amount,
        authorized_tender=tender,
        captured_amount=wanted.amount,
        captured_tender=tender,
        captured_discount=wanted.amount - tender,
        created_at=now,
        updated_at=now,
    )


def _from(intent: PaymentIntent, card: GiftCard, taken: Sequence[Taken]) -> list[PaymentSource | PaymentPart]:
    """What the payment is paid from: its one source, and a part for each lot."""
    source = PaymentSource(
        tenant_id=intent.tenant_id,
        intent_id=intent.id,
        ordinal=1,
        kind="giftCard",
        source_id=card.id,
        authorized_amount=intent.amount,
    )
    parts = [
        PaymentPart(
            tenant_id=intent.tenant_id,
            intent_id=intent.id,
            ordinal=ordinal,
            source_ordinal=1,
            account_id=part.lot.id,
            lot_class=part.lot.lot_class,
            amount=part.amount,
            captured=part.amount,
            refunded=0,
        )
        for ordinal, part in enumerate(taken, 1)
    ]
    return [source, *parts]


def _activity(
    who: Principal, card: GiftCard, intent: PaymentIntent, left: Balance, request_id: UUID, now: datetime
) -> Activity:
    return Activity(
        tenant_id=who.tenant_id,
        card_id=card.id,
        sequence=card.version,
        kind="redeem",
        amount=-intent.amount,
        balance_after=left.available + left.held,
        cause_id=intent.id,
        partner_id=who.partner_id,
        request_id=request_id,
        at=now,
    )


async def _post(session: AsyncSession, intent: PaymentIntent, taken: Sequence[Taken], now: datetime) -> None:
    """The journal and the lots' legs; then what the merchant is owed, in one statement that is its lock."""
    journal_id, payable_id = ids.new(), house_account(intent.merchant_id, "merchant.payable")
    session.add(
        Journal(
            tenant_id=intent.tenant_id,
            id=journal_id,
            merchant_id=intent.merchant_id,
            currency=intent.currency,
            kind="payment.capture",
            cause_id=intent.id,
            at=now,
            recorded_at=now,
        )
    )
    for leg, part in enumerate(taken, 1):
        lot = part.lot
        lot.balance, lot.version, lot.last_at = lot.balance - part.amount, lot.version + 1, max(now, lot.last_at)
        session.add(
            Entry(
                tenant_id=intent.tenant_id,
                account_id=lot.id,
                version=lot.version,
                journal_id=journal_id,
                leg=leg,
                counterpart_id=payable_id,
                amount=-part.amount,
                balance_after=lot.balance,
                at=lot.last_at,
            )
        )
    await session.flush()
    balance, version, at = (
        await session.execute(
            update(Account)
            .where(Account.tenant_id == intent.tenant_id, Account.id == payable_id)
            .values(
                balance=Account.balance + intent.amount,
                version=Account.version + len(taken),
                last_at=func.greatest(Account.last_at, now),
            )
            .returning(Account.balance, Account.version, Account.last_at)
            .execution_options(synchronize_session=False)
        )
    ).one()
    balance, version = balance - intent.amount, version - len(taken)
    for leg, part in enumerate(taken, 1):
        balance, version = balance + part.amount, version + 1
        session.add(
            Entry(
                tenant_id=intent.tenant_id,
                account_id=payable_id,
                version=version,
                journal_id=journal_id,
                leg=leg,
                counterpart_id=part.lot.id,
                amount=part.amount,
                balance_after=balance,
                at=at,
            )
        )


async def _record(
    session: AsyncSession,
    who: Principal,
    intent: PaymentIntent,
    payment: PaymentResource,
    card: GiftCard,
    shown: CardResource,
    request_id: UUID,
    now: datetime,
) -> None:
    """Both events, numbered under the tenant's head: last of all, since everyone of the tenant waits for it."""
    position = await session.scalar(
        update(TenantHead)
        .where(TenantHead.tenant_id == who.tenant_id)
        .values(position=TenantHead.position + 2)
        .returning(TenantHead.position)
        .execution_options(synchronize_session=False)
    )
    assert position is not None, "every tenant has its head"
    told: tuple[tuple[str, str, UUID, int, UUID, object], ...] = (
        (
            "gift_card.redeemed",
            "GiftCard",
            card.id,
            card.version,
            card.partner_id,
            shown.model_dump(mode="json", by_alias=True, exclude=NUMBERS),
        ),
        (
            "redemption.captured",
            "PaymentIntent",
            intent.id,
            1,
            intent.partner_id,
            payment.model_dump(mode="json", by_alias=True),
        ),
    )
    session.add_all(
        Event(
            tenant_id=who.tenant_id,
            position=position - 1 + n,
            recorded_at=now,
            id=ids.new(),
            topic=topic,
            subject_type=kind,
            subject_id=subject_id,
            sequence=sequence,
            partner_id=partner_id,
            merchant_id=intent.merchant_id,
            request_id=request_id,
            at=now,
            document=document,
        )
        for n, (topic, kind, subject_id, sequence, partner_id, document) in enumerate(told)
    )


def log_row(
    who: Principal, route: str, status: int, request_id: UUID, resource_id: UUID, now: datetime
) -> LoggedRequest:
    """The row of a request that was granted."""
    return LoggedRequest(
        tenant_id=who.tenant_id,
        at=now,
        id=request_id,
        partner_id=who.partner_id,
        client_id=who.client_id,
        method="POST",
        route=route,
        status=status,
        resource_id=resource_id,
    )
