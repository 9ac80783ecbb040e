"""Many gift cards by the usual stack: a loop of ORM inserts in one process, a chunk in each transaction, as people write it.

`python -m benchmarks.usual.cards` reads one JSON line (`Plan`), says `measuring` and `measured` when the loop begins and ends, and
then tells in one JSON line (`Counted`) how long it took. SQLAlchemy sends the rows of a chunk together, table by table.
"""

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import uvloop
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from benchmarks.usual.app import engine
from benchmarks.usual.models import Account, Entry, Event, Journal, Merchant, TenantHead
from benchmarks.usual.spending_documents import NUMBERS, Balance, card_shown
from benchmarks.usual.spending_models import Activity, CardBatch, GiftCard
from tallystick.base import clock, ids
from tallystick.base.keys import MasterKeys
from tallystick.giftcards import codes
from tallystick.giftcards.batch_resource import GIFT_CARD_BATCH
from tallystick.ledger import house_account

ROWS_EACH: Final = 7
"""A card's rows: itself, its lot, a journal with two entries, an activity and an event."""


class Plan(msgspec.Struct):
    """So many cards of one merchant, so many in each transaction."""

    dsn: str
    key_file: str
    tenant_id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    cards: int
    chunk: int
    amount: int


class Counted(msgspec.Struct):
    """What was made, and what that took."""

    cards: int
    seconds: float
    cpu_seconds: float


async def make(plan: Plan, keys: MasterKeys) -> None:
    """Make the batch and all of its cards."""
    pool = engine(plan.dsn, 1)
    sessions = async_sessionmaker(pool, expire_on_commit=False, autoflush=False)
    try:
        async with sessions() as session, session.begin():
            batch = _batch(plan, await session.get_one(Merchant, (plan.tenant_id, plan.merchant_id)))
            session.add(batch)
        for done in range(0, plan.cards, plan.chunk):
            async with sessions() as session, session.begin():
                locked = await session.get_one(CardBatch, (plan.tenant_id, batch.id), with_for_update=True)
                await _chunk(session, keys, locked, min(plan.chunk, plan.cards - done))
    finally:
        await pool.dispose()


async def _chunk(session: AsyncSession, keys: MasterKeys, batch: CardBatch, wanted: int) -> None:
    """The next cards; what they were sold for, and the tenant's head, are locked last."""
    now = clock.utc()
    sales_id = house_account(batch.merchant_id, "merchant.sales")
    cards = [_card(keys, batch, now) for _ in range(wanted)]
    lots = [_lot(card, now) for card in cards]
    journals = [_journal(card, now) for card in cards]
    session.add_all([*cards, *lots, *journals])
    session.add_all(_activity(batch, card, journal) for card, journal in zip(cards, journals, strict=True))
    batch.done += wanted
    batch.status = "completed" if batch.done == batch.total else "running"
    batch.version, batch.updated_at = batch.version + 1, now
    await session.flush()
    total = wanted * batch.amount
    balance, version, at = (
        await session.execute(
            update(Account)
            .where(Account.tenant_id == batch.tenant_id, Account.id == sales_id)
            .values(
                balance=Account.balance - total,
                version=Account.version + wanted,
                last_at=func.greatest(Account.last_at, now),
            )
            .returning(Account.balance, Account.version, Account.last_at)
            .execution_options(synchronize_session=False)
        )
    ).one()
    for n, (lot, journal) in enumerate(zip(lots, journals, strict=True), 1):
        after = balance + total - n * batch.amount
        session.add_all(
            (
                _entry(journal, sales_id, version - wanted + n, lot.id, -batch.amount, after, at),
                _entry(journal, lot.id, 1, sales_id, batch.amount, batch.amount, now),
            )
        )
    await _record(session, batch, cards, now)


async def _record(session: AsyncSession, batch: CardBatch, cards: list[GiftCard], now: datetime) -> None:
    completed = batch.status == "completed"
    told = len(cards) + completed
    position = await session.scalar(
        update(TenantHead)
        .where(TenantHead.tenant_id == batch.tenant_id)
        .values(position=TenantHead.position + told)
        .returning(TenantHead.position)
        .execution_options(synchronize_session=False)
    )
    assert position is not None, "every tenant has its head"
    first = position - told + 1
    session.add_all(
        _event(batch, first + n, "gift_card.issued", "GiftCard", card.id, _told(card, now), now)
        for n, card in enumerate(cards)
    )
    if completed:
        document = _batch_told(batch)
        session.add(_event(batch, position, "gift_card.batch_completed", GIFT_CARD_BATCH.type, batch.id, document, now))


def _batch(plan: Plan, merchant: Merchant) -> CardBatch:
    now = clock.utc()
    return CardBatch(
        tenant_id=plan.tenant_id,
        id=ids.new(),
        partner_id=plan.partner_id,
        client_id=plan.client_id,
        merchant_id=plan.merchant_id,
        request_id=ids.new(),
        status="accepted",
        total=plan.cards,
        done=0,
        amount=plan.amount,
        currency=merchant.currency,
        value_class="paid",
        activate=True,
        reloadable=True,
        pin=False,
        created_at=now,
        updated_at=now,
    )


def _card(keys: MasterKeys, batch: CardBatch, now: datetime) -> GiftCard:
    code, card_id = codes.new(), ids.new()
    return GiftCard(
        tenant_id=batch.tenant_id,
        id=card_id,
        partner_id=batch.partner_id,
        merchant_id=batch.merchant_id,
        currency=batch.currency,
        status="active",
        value_class=batch.value_class,
        initial_amount=batch.amount,
        reloadable=batch.reloadable,
        code_index=keys.blind_index(batch.tenant_id, f"gift-card:{code}"),
        code_sealed=keys.seal(code.encode(), b"gift-card:" + card_id.bytes),
        code_tail=codes.tail(code),
        batch_id=batch.id,
        issued_at=batch.created_at,
        activated_at=now,
        created_at=now,
        updated_at=now,
    )


def _lot(card: GiftCard, now: datetime) -> Account:
    return Account(
        tenant_id=card.tenant_id,
        id=ids.new(),
        merchant_id=card.merchant_id,
        currency=card.currency,
        code="card.lot",
        owner_id=card.id,
        parent_id=card.id,
        lot_class="paid",
        floor=0,
        balance=card.initial_amount,
        version=1,
        last_at=now,
        opened_at=now,
    )


def _journal(card: GiftCard, now: datetime) -> Journal:
    return Journal(
        tenant_id=card.tenant_id,
        id=ids.new(),
        merchant_id=card.merchant_id,
        currency=card.currency,
        kind="card.issue",
        cause_id=card.id,
        at=now,
        recorded_at=now,
    )


def _entry(
    journal: Journal, account_id: UUID, version: int, counterpart_id: UUID, amount: int, after: int, at: datetime
) -> Entry:
    return Entry(
        tenant_id=journal.tenant_id,
        account_id=account_id,
        version=version,
        journal_id=journal.id,
        leg=1,
        counterpart_id=counterpart_id,
        amount=amount,
        balance_after=after,
        at=at,
    )


def _activity(batch: CardBatch, card: GiftCard, journal: Journal) -> Activity:
    return Activity(
        tenant_id=card.tenant_id,
        card_id=card.id,
        sequence=1,
        kind="issue",
        amount=card.initial_amount,
        balance_after=card.initial_amount,
        journal_id=journal.id,
        cause_id=batch.id,
        partner_id=batch.partner_id,
        request_id=batch.request_id,
        at=card.created_at,
    )


def _event(
    batch: CardBatch, position: int, topic: str, kind: str, subject_id: UUID, document: object, now: datetime
) -> Event:
    return Event(
        tenant_id=batch.tenant_id,
        position=position,
        recorded_at=now,
        id=ids.new(),
        topic=topic,
        subject_type=kind,
        subject_id=subject_id,
        sequence=1,
        partner_id=batch.partner_id,
        merchant_id=batch.merchant_id,
        request_id=batch.request_id,
        at=now,
        document=document,
    )


def _told(card: GiftCard, now: datetime) -> object:
    shown = card_shown(card, Balance(available=card.initial_amount, held=0), now)
    return shown.model_dump(mode="json", by_alias=True, exclude=NUMBERS)


def _batch_told(batch: CardBatch) -> object:
    return {
        "type": GIFT_CARD_BATCH.type,
        "id": str(batch.id),
        "attributes": {
            "merchantId": str(batch.merchant_id),
            "status": batch.status,
            "total": batch.total,
            "done": batch.done,
            "amount": batch.amount,
            "currency": batch.currency,
            "valueClass": batch.value_class,
            "activate": batch.activate,
            "reloadable": batch.reloadable,
            "pin": batch.pin,
            "designId": None,
            "expiresAt": None,
            "externalReference": None,
            "error": None,
            "activation": None,
            "activated": 0,
            "downloadedAt": None,
            "createdAt": clock.render(batch.created_at),
            "updatedAt": clock.render(batch.updated_at),
        },
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the plan, carry it out, tell what was counted."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    keys = MasterKeys.read(Path(plan.key_file))
    _say("measuring")
    began, cpu = time.perf_counter(), time.process_time()
    uvloop.run(make(plan, keys))
    counted = Counted(plan.cards, time.perf_counter() - began, time.process_time() - cpu)
    _say("measured")
    _say(msgspec.json.encode(counted).decode())


if __name__ == "__main__":
    main()
