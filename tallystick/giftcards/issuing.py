"""Issue gift cards: one at a time or by the hundred for a batch, by the same rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.giftcards.delivery_store as delivery_store
import tallystick.giftcards.store as store
from tallystick import audit, events, ledger
from tallystick.base import idempotency, ids, jsonapi
from tallystick.base.errors import IdempotencyConflict, Refusal, attribute
from tallystick.base.idempotency import Claim
from tallystick.base.work import Asked, Work
from tallystick.giftcards import codes, resource
from tallystick.giftcards.deciding import Facts, Terms, look
from tallystick.giftcards.model import LOT, Activity, Balance, GiftCard
from tallystick.giftcards.sent import DeliveryWish
from tallystick.governance import quotas
from tallystick.merchants import Merchant

OPERATION: Final = "gift-cards.issue"
SHOWN_FOR: Final = timedelta(hours=24)
"""For how long the repetition of a request is shown the number that its first answer showed."""


@dataclass(frozen=True, slots=True)
class IssueCard:
    """A partner's wish to issue one card."""

    asked: Asked
    key: str
    terms: Terms
    merchant_named: bool
    """Whether the request named the merchant; only then it counts in the fingerprint."""
    delivery: DeliveryWish | None = None
    behind: bool = False
    """Whether it stands behind a request that is not its own, whose row in the requests' log is enough."""


@dataclass(frozen=True, slots=True)
class Issued:
    """The answer of an issue: the document, byte for byte the same for a replay while the number may be shown."""

    card_id: UUID
    document: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Replayed:
    """The key stands for this same request: its first answer again."""

    card_id: UUID


@dataclass(frozen=True, slots=True)
class New:
    """A card that is to be, with its number and PIN, which are kept nowhere in the clear."""

    card: GiftCard
    code: str
    pin: str | None
    lot_id: UUID
    debit: UUID
    """The account that pays for it."""
    journal_id: UUID

    @property
    def balance(self) -> Balance:
        return Balance(self.card.initial_amount, 0)


async def issue(work: Work, commands: Sequence[IssueCard], *, operation: str = OPERATION) -> list[Issued | Refusal]:
    """Issue each card once for its key. An outcome for every command, as if they had come one after another; a refused one
    leaves no row and no key.
    """
    claims = [_claim(work, command) for command in commands]
    taken = await idempotency.claim(work, operation, claims, status=201)
    known = {name: (held.fingerprint, held.resource_id) for name, held in taken.items()}
    facts = await look(work, [(command.asked.caller.partner_id, command.terms, 1) for command in commands])

    outcomes: list[Issued | _Replayed | Refusal] = []
    made: list[tuple[IssueCard, New, bytes]] = []
    for command, claim in zip(commands, claims, strict=True):
        outcome = _decide(work, command, claim, facts, known)
        if isinstance(outcome, New):
            known[claim.partner_id, claim.key] = (claim.fingerprint, claim.resource_id)
            document = _document(work, outcome)
            made.append((command, outcome, document))
            outcomes.append(Issued(claim.resource_id, document, replayed=False))
        else:
            outcomes.append(outcome)

    quotas.count(work, facts.quotas)
    answers = [work.keys.seal(document, _place(new.card.id)) for _, new, document in made]
    put(work, [(new, command.asked) for command, new, _ in made], answers)
    await delivery_store.insert(
        work, [(new.card.id, each.asked, each.delivery) for each, new, _ in made if each.delivery is not None]
    )
    for command, new, _ in made:
        if not command.behind:
            audit.note(work, command.asked, status=201, resource_id=new.card.id)
    await idempotency.settle(work, operation, claims, taken, {new.card.id for _, new, _ in made})
    return await _answered(work, commands, outcomes)


def draw(
    work: Work,
    partner_id: UUID,
    terms: Terms,
    merchant: Merchant,
    *,
    card_id: UUID | None = None,
    batch_id: UUID | None = None,
) -> New:
    """A card of these terms with a fresh number and, where it is to have one, a fresh PIN; nothing is written yet."""
    card_id = ids.new() if card_id is None else card_id
    code = codes.new()
    pin = codes.new_pin() if terms.pin else None
    card = GiftCard(
        id=card_id,
        partner_id=partner_id,
        merchant_id=merchant.id,
        currency=merchant.currency,
        status="active" if terms.activate else "pending",
        value_class=terms.value_class,
        initial_amount=terms.amount,
        reloadable=terms.reloadable,
        code_index=codes.index(work, code),
        code_sealed=codes.seal(work, card_id, code),
        code_tail=codes.tail(code),
        pin_digest=None if pin is None else codes.pin_digest(work, card_id, pin),
        pin_sealed=None if pin is None else codes.seal_pin(work, card_id, pin),
        design_id=terms.design_id,
        batch_id=batch_id,
        expires_at=terms.expires_at,
        issued_at=terms.issued_at or work.now,
        activated_at=work.now if terms.activate else None,
        reveal_until=work.now + SHOWN_FOR if batch_id is None else None,
        first_revealed_at=work.now if batch_id is None else None,
        replaces=None,
        replaced_by=None,
        reason=None,
        external_reference=terms.external_reference,
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    return New(card, code, pin, ids.new(), source_of(merchant, terms), ids.new())


def source_of(merchant: Merchant, terms: Terms) -> UUID:
    """The account that pays for a card: what its sale brought in, or the merchant's funding for what is given away."""
    if terms.value_class == "promotional":
        return merchant.funding_account_id
    return ledger.house_account(merchant.id, "merchant.sales")


def put(work: Work, made: Sequence[tuple[New, Asked]], answers: Sequence[bytes] | None = None) -> None:
    """Rows, journals, activities and events of new cards: set-based, and all in one round trip at the work's end."""
    if not made:
        return
    store.insert(work, [new.card for new, _ in made], answers)
    ledger.post_foreseen(work, [_journal(new) for new, _ in made], opening=[_lot(new) for new, _ in made])
    store.insert_activities(work, [_activity(new, asked) for new, asked in made])
    for new, asked in made:
        events.record(work, resource.event("gift_card.issued", new.card, new.balance, work.now, asked))


def _claim(work: Work, command: IssueCard) -> Claim:
    terms = command.terms
    body = [
        terms.amount,
        terms.currency,
        terms.value_class,
        terms.activate,
        terms.reloadable,
        terms.pin,
        terms.expires_at,
        terms.design_id,
        terms.external_reference,
        command.delivery,
        terms.merchant_id if command.merchant_named else None,
    ]
    fingerprint = work.keys.fingerprint(work.tenant.id, msgspec.json.encode(body))
    return Claim(command.asked.caller.partner_id, command.key, fingerprint, ids.new())


def _decide(
    work: Work,
    command: IssueCard,
    claim: Claim,
    facts: Facts,
    known: dict[tuple[UUID, str], tuple[bytes, UUID]],
) -> New | _Replayed | Refusal:
    held = known.get((claim.partner_id, claim.key))
    if held is not None:
        return _Replayed(held[1]) if held[0] == claim.fingerprint else _conflict()
    deliver_at = None if command.delivery is None else command.delivery.deliver_at
    refusal = facts.take(claim.partner_id, command.terms, deliver_at)
    if refusal is not None:
        return refusal
    merchant = facts.merchants[command.terms.merchant_id]
    return draw(work, claim.partner_id, command.terms, merchant, card_id=claim.resource_id)


def _document(work: Work, new: New) -> bytes:
    shown = resource.attributes(new.card, new.balance, work.now, code=codes.written(new.code), pin=new.pin)
    return jsonapi.document(jsonapi.resource(resource.GIFT_CARD, new.card.id, shown))


def _journal(new: New) -> ledger.Journal:
    card = new.card
    return ledger.Journal(
        id=new.journal_id,
        kind="card.issue",
        cause_id=card.id,
        merchant_id=card.merchant_id,
        currency=card.currency,
        transfers=(ledger.Transfer(new.debit, new.lot_id, card.initial_amount),),
    )


def _lot(new: New) -> ledger.NewAccount:
    card = new.card
    return ledger.NewAccount(
        id=new.lot_id,
        merchant_id=card.merchant_id,
        currency=card.currency,
        code=LOT,
        owner_id=card.id,
        parent_id=card.id,
        lot_class=card.value_class,
        funder_id=new.debit if card.value_class == "promotional" else None,
        expires_at=card.expires_at,
        floor=0,
    )


def _activity(new: New, asked: Asked) -> Activity:
    card = new.card
    return Activity(
        card_id=card.id,
        sequence=1,
        kind="issue",
        amount=card.initial_amount,
        balance_after=card.initial_amount,
        reason=None,
        journal_id=new.journal_id,
        cause_id=card.batch_id,
        partner_id=card.partner_id,
        request_id=asked.request_id,
        at=card.created_at,
    )


def _conflict() -> Refusal:
    return IdempotencyConflict(
        "This idempotency key was used with a different request. Use a new key, or resend exactly the first request.",
        source=attribute("idempotencyKey"),
    )


def _place(card_id: UUID) -> bytes:
    return b"gift-card-answer:" + card_id.bytes


async def _answered(
    work: Work, commands: Sequence[IssueCard], outcomes: Sequence[Issued | _Replayed | Refusal]
) -> list[Issued | Refusal]:
    """Every replay gets its first answer, from this batch or from the one that kept it; without number and PIN when it is late."""
    first: dict[UUID, tuple[UUID, bytes]] = {
        outcome.card_id: (command.terms.merchant_id, outcome.document)
        for command, outcome in zip(commands, outcomes, strict=True)
        if isinstance(outcome, Issued)
    }
    wanted = {one.card_id for one in outcomes if isinstance(one, _Replayed) and one.card_id not in first}
    if wanted:
        for card_id, kept in (await store.first_answers(work, list(wanted))).items():
            opened = work.keys.open_sealed(kept.sealed, _place(card_id))
            first[card_id] = (kept.merchant_id, opened if _shows(kept.reveal_until, work.now) else _masked(opened))
    return [
        _replay(command, one.card_id, *first[one.card_id]) if isinstance(one, _Replayed) else one
        for command, one in zip(commands, outcomes, strict=True)
    ]


def _shows(until: datetime | None, now: datetime) -> bool:
    return until is not None and now < until


def _masked(document: bytes) -> bytes:
    decoded = msgspec.json.decode(document)
    decoded["data"]["attributes"] |= {"code": None, "pin": None}
    return msgspec.json.encode(decoded)


def _replay(command: IssueCard, card_id: UUID, merchant_id: UUID, document: bytes) -> Issued | Refusal:
    """A replay is authorised anew: a client that may not act for the card's merchant learns nothing of it."""
    allowed = command.asked.caller.merchant_ids
    if allowed is not None and merchant_id not in allowed:
        return _conflict()
    return Issued(card_id, document, replayed=True)
