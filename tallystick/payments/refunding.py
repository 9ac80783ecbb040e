"""Give back what was captured, all of it or in parts: to the same lots, the last that gave first.

Value goes where it lives now: of a wallet that was merged and a card that was replaced, to the one behind it. What has expired
meanwhile comes back with a grace. What is closed for good takes nothing back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec
from msgspec.structs import replace

import tallystick.payments.store as store
from tallystick import ledger, merchants
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, InvalidState, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.giftcards import spending
from tallystick.ledger import Account, Journal, NewAccount, Transfer
from tallystick.payments.changing import Held, Payment, answered, moved_on, movements
from tallystick.payments.model import Part, PaymentIntent, Refund, Source


class SourceClosed(Refusal):
    code, status, title = "SourceClosed", 409, "What the payment came from is closed for good."


@dataclass(frozen=True, slots=True)
class RefundPaymentIntent:
    """Give back `amount` minor units of what a payment captured; None: all that is left of it."""

    asked: Asked
    intent_id: UUID
    amount: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """What goes back of one part, to the wallet or card where the value of its source lives now."""

    part: Part
    home: UUID
    amount: int


@dataclass(slots=True)
class Landing:
    """Which lot takes each return: the one it came from, or a new one that is like it."""

    opening: list[NewAccount] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)


async def refund(work: Work, commands: Sequence[RefundPaymentIntent]) -> list[Answer | Refusal]:
    """The refunded payment for each command."""
    held = Held()
    return await idempotency.keyed(
        work,
        "payments.refund",
        commands,
        partial(_refund, held),
        fingerprint=lambda command: msgspec.json.encode([command.intent_id, command.amount, command.reason]),
        seal=HouseSeal(),
        prepare=partial(held.lock_own, payable=True),
    )


def returns(payment: Payment, homes: dict[int, UUID | None], amount: int) -> list[Return]:
    """`amount` minor units from the parts in reverse order; less where the rest would go to what is closed (home None).

    `homes` is by the source's ordinal.
    """
    found = []
    for part in reversed(payment.parts):
        home = homes[part.source_ordinal]
        back = min(part.captured - part.refunded, amount)
        if home is not None and back:
            found.append(Return(part, home, back))
            amount -= back
    return found


async def give_back(
    work: Work, held: Held, payment: Payment, amount: int, asked: Asked, reason: str | None
) -> Payment | SourceClosed:
    """The captured payment with `amount` minor units of it given back. The locks are held; no more is left to be refunded."""
    back = returns(payment, {source.ordinal: _open_home(held, source) for source in payment.sources}, amount)
    possible = sum(each.amount for each in back)
    if possible < amount:
        return _closed(possible)
    tender = sum(each.amount for each in back if each.part.is_tender)
    refunded = _refunded(work, payment, back, amount, tender)
    held.payments[payment.intent.id] = refunded
    journal_id = await _move(work, payment.intent, back)
    made = Refund(ids.new(), payment.intent.id, amount, tender, amount - tender, reason, journal_id, work.now)
    await store.insert_refund(work, made)
    await store.update(work, [refunded.intent])
    await store.update_parts(work, refunded.parts)
    cards = [
        (home, sum(each.amount for each in back if each.home == home))
        for home in dict.fromkeys(each.home for each in back)
        if home in held.cards
    ]
    moved = await movements(work, cards, asked, payment.intent, journal_id)
    if moved:
        await spending.note_refunded(work, moved)
    return refunded


async def _refund(held: Held, work: Work, command: RefundPaymentIntent) -> Answer | Refusal:
    payment = held.own(command)
    if isinstance(payment, Refusal):
        return payment
    intent = payment.intent
    if intent.status not in ("captured", "refunded"):
        status = intent.effective(work.now)
        detail = "Cancel it instead." if status == "authorized" else "It took nothing that could be given back."
        return InvalidState(f"The payment is {status}; only what was captured can be refunded. {detail}")
    left = intent.captured_amount - intent.refunded_amount
    amount = left if command.amount is None else command.amount
    if left == 0:
        return InvalidState("All that was captured has been given back already.")
    if amount > left:
        return InvalidRequest(
            f"At most {left} minor units of this payment can still be refunded.", source=attribute("amount")
        )
    refunded = await give_back(work, held, payment, amount, command.asked, command.reason)
    if isinstance(refunded, Refusal):
        return refunded
    return answered(work, command.asked, "redemption.refunded", refunded)


def _open_home(held: Held, source: Source) -> UUID | None:
    """Where the value of a source lives now; None when that is closed for good."""
    home = held.home(source)
    if source.kind == "wallet":
        return None if held.wallets[home].status == "closed" else home
    return None if held.cards[home].status == "cancelled" else home


def _closed(possible: int) -> SourceClosed:
    if possible:
        return SourceClosed(
            f"Only {possible} minor units can go back to where they came from; the rest came from a wallet that was closed or "
            "a card that was cancelled. Refund that by other means."
        )
    return SourceClosed("The wallet was closed or the card cancelled for good. Refund the customer by other means.")


def _refunded(work: Work, payment: Payment, back: Sequence[Return], amount: int, tender: int) -> Payment:
    intent = payment.intent
    amounts = {each.part.ordinal: each.amount for each in back}
    parts = [replace(part, refunded=part.refunded + amounts.get(part.ordinal, 0)) for part in payment.parts]
    is_whole = intent.refunded_amount + amount == intent.captured_amount
    changed = replace(
        moved_on(work, intent, "refunded" if is_whole else "captured"),
        refunded_amount=intent.refunded_amount + amount,
        refunded_tender=intent.refunded_tender + tender,
        refunded_discount=intent.refunded_discount + amount - tender,
    )
    return Payment(changed, payment.sources, parts)


async def _move(work: Work, intent: PaymentIntent, back: Sequence[Return]) -> UUID:
    """The id of the journal that moves what goes back from what the merchant is owed."""
    lots = await ledger.lock(work, list({each.part.account_id for each in back}))
    terms = (await merchants.terms(work, [intent.merchant_id]))[intent.merchant_id]
    landing = _land(work.now, timedelta(days=terms.refund_grace_days), intent, back, lots)
    journal = Journal(
        id=ids.new(),
        kind="payment.refund",
        cause_id=intent.id,
        merchant_id=intent.merchant_id,
        currency=intent.currency,
        transfers=tuple(landing.transfers),
    )
    verdicts = await ledger.post(work, [journal], opening=landing.opening)
    assert verdicts == ["posted"], f"the books refused a refund: {verdicts}"
    await ledger.lots.credited(work, [lot.id for lot in lots.values() if lot.expires_at is not None])
    return journal.id


def _land(
    now: datetime, grace: timedelta, intent: PaymentIntent, back: Sequence[Return], lots: dict[UUID, Account]
) -> Landing:
    payable = ledger.house_account(intent.merchant_id, "merchant.payable")
    landing = Landing()
    opened: dict[UUID, UUID] = {}
    for each in back:
        lot = lots[each.part.account_id]
        expired = lot.expires_at is not None and lot.expires_at <= now
        target = lot.id
        if expired or lot.parent_id != each.home:
            if lot.id not in opened:
                opened[lot.id] = ids.new()
                expires_at = now + grace if expired else lot.expires_at
                landing.opening.append(_like(lot, opened[lot.id], intent, each.home, expires_at))
            target = opened[lot.id]
        landing.transfers.append(Transfer(payable, target, each.amount))
    return landing


def _like(lot: Account, lot_id: UUID, intent: PaymentIntent, home: UUID, expires_at: datetime | None) -> NewAccount:
    """A lot of the same class and funder, of the wallet or card where the value lives now."""
    return NewAccount(
        id=lot_id,
        merchant_id=lot.merchant_id,
        currency=lot.currency,
        code=lot.code,
        owner_id=intent.id,
        parent_id=home,
        lot_class=lot.lot_class,
        funder_id=lot.funder_id,
        expires_at=expires_at,
        floor=0,
    )
