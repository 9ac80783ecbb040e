"""Authorise payments: the hot path. One call decides on many, under all their locks, and writes them in one round trip.

What is captured at once is posted at the end of the work. What is captured later is held in the books until the payment's own
deadline; the holds carry it too, so that a capture that comes late is refused by the books as well.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

import tallystick.payments.look_store as look_store
import tallystick.payments.store as store
from tallystick import audit, events, ledger, wallets
from tallystick.base import idempotency, ids
from tallystick.base.errors import Refusal
from tallystick.base.idempotency import Claim
from tallystick.base.work import Work
from tallystick.giftcards import spending
from tallystick.giftcards.spending import Movement
from tallystick.payments import resource, velocity
from tallystick.payments.deciding import Authorized, AuthorizePayment, Facts, Replayed, decide, key_conflict
from tallystick.payments.looking import look, wanted_references
from tallystick.payments.model import Part, PaymentIntent, Source, TillReference

OPERATION = "payments.authorize"

_encode = msgspec.json.Encoder().encode


class Paid(msgspec.Struct, frozen=True):
    """The answer to a payment: the document, byte for byte the same for every replay of its key."""

    intent_id: UUID
    document: bytes
    replayed: bool


class _Made(msgspec.Struct, frozen=True):
    """A payment that was accepted, with everything its rows need."""

    command: AuthorizePayment
    authorized: Authorized
    intent: PaymentIntent
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    document: bytes
    answer: bytes


async def authorize(work: Work, commands: Sequence[AuthorizePayment]) -> list[Paid | Refusal]:
    """Take or hold what each payment asks for, once for its key and once for the till's reference.

    An outcome for every command, as if they had come one after another; a refused one leaves no key, no reference and no count.
    """
    claims = [_claim(work, command) for command in commands]
    facts, found = await look(work, OPERATION, commands, claims)
    keys, references = frozenset(facts.keys), frozenset(facts.references)
    unspent = [day for day, spent in facts.counters.days.items() if not (spent.count or spent.amount)]

    outcomes: list[Paid | Replayed | Refusal] = []
    made: list[_Made] = []
    for command, claim, sources in zip(commands, claims, found, strict=True):
        outcome = decide(command, sources, claim.fingerprint, claim.resource_id, facts)
        if isinstance(outcome, Authorized):
            made.append(_make(work, command, claim.resource_id, outcome))
            outcomes.append(Paid(claim.resource_id, made[-1].document, replayed=False))
        else:
            outcomes.append(outcome)

    await idempotency.settle(work, OPERATION, claims, keys, {each.intent.id for each in made})
    await _settle_references(work, wanted_references(commands, claims), references, made)
    await velocity.forget(work, [day for day in unspent if day not in facts.counters.added])
    if made:
        await _apply(work, made, facts)
    return await _answered(work, commands, outcomes)


def fingerprint(work: Work, command: AuthorizePayment) -> bytes:
    """SHA-256 over everything that the request asks for, kept keyed: codes and PINs are among it."""
    body: list[object] = [
        command.amount,
        command.currency,
        [(each.kind, each.source_id, each.code, each.pin, each.amount) for each in command.sources],
        command.capture,
        command.allow_partial,
        command.external_reference,
        command.location_id,
    ]
    if command.merchant_named:
        body.append(command.merchant_id)
    return work.keys.fingerprint(work.tenant.id, _encode(body))


def _claim(work: Work, command: AuthorizePayment) -> Claim:
    return Claim(command.asked.caller.partner_id, command.key, fingerprint(work, command), ids.new())


def _make(work: Work, command: AuthorizePayment, intent_id: UUID, authorized: Authorized) -> _Made:
    captured = command.capture == "automatic"
    parts = _parts(intent_id, authorized, captured=captured)
    sources = _sources(intent_id, authorized)
    amount = authorized.amount
    tender = sum(part.amount for part in parts if part.is_tender)
    days = timedelta(days=authorized.shop.terms.authorization_days)
    intent = PaymentIntent(
        id=intent_id,
        partner_id=command.asked.caller.partner_id,
        merchant_id=authorized.shop.id,
        location_id=command.location_id,
        currency=authorized.shop.currency,
        status="captured" if captured else "authorized",
        capture=command.capture,
        allow_partial=command.allow_partial,
        amount=command.amount,
        authorized_amount=amount,
        authorized_tender=tender,
        captured_amount=amount if captured else 0,
        captured_tender=tender if captured else 0,
        captured_discount=amount - tender if captured else 0,
        refunded_amount=0,
        refunded_tender=0,
        refunded_discount=0,
        external_reference=command.external_reference,
        expires_at=None if captured else work.now + days,
        counted_on=authorized.counted_on,
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    document = resource.document(intent, sources, work.now)
    return _Made(command, authorized, intent, sources, parts, document, work.keys.seal(document, intent_id.bytes))


def _sources(intent_id: UUID, authorized: Authorized) -> tuple[Source, ...]:
    return tuple(
        Source(intent_id, n, each.found.kind, each.found.id, each.asked_amount, each.amount, each.counted_on)
        for n, each in enumerate(authorized.given, 1)
    )


def _parts(intent_id: UUID, authorized: Authorized, *, captured: bool) -> tuple[Part, ...]:
    taken = [(n, lot, amount) for n, each in enumerate(authorized.given, 1) for lot, amount in each.taken]
    return tuple(
        Part(
            intent_id,
            ordinal,
            source,
            lot.id,
            lot.lot_class,
            None if captured else ids.new(),
            amount,
            amount if captured else 0,
            0,
        )
        for ordinal, (source, lot, amount) in enumerate(taken, 1)
    )


async def _apply(work: Work, made: Sequence[_Made], facts: Facts) -> None:
    """Rows, books, events and the requests' log; what can wait goes in one round trip at the work's end."""
    await _hold(work, [each for each in made if each.intent.capture == "manual"])
    await _post(work, [each for each in made if each.intent.capture == "automatic"], _drained(made, facts))
    store.insert(
        work,
        [(each.intent, each.answer) for each in made],
        [source for each in made for source in each.sources],
        [part for each in made for part in each.parts],
    )
    velocity.save_later(work, facts.counters)
    await _tell_cards(work, made)
    if facts.used_codes:
        await wallets.till_codes.use(work, sorted(facts.used_codes))
    for each in made:
        topic = "redemption.captured" if each.intent.capture == "automatic" else "redemption.authorized"
        events.record(work, resource.event(work, topic, each.intent, each.sources, each.command.asked))
        audit.note(work, each.command.asked, status=201, resource_id=each.intent.id)


async def _hold(work: Work, made: Sequence[_Made]) -> None:
    verdicts = await ledger.hold(
        work,
        [
            ledger.Hold(part.hold_id, part.account_id, part.amount, each.intent.id, each.intent.expires_at)
            for each in made
            for part in each.parts
            if part.hold_id is not None
        ],
    )
    assert all(verdict == "held" for verdict in verdicts), f"the books refused what was foreseen: {verdicts}"


async def _post(work: Work, made: Sequence[_Made], drained: Sequence[tuple[UUID, _Made]]) -> None:
    """What is captured at once. Wallets that were closing, and from which the last was taken, are closed behind it."""
    journals = [_journal(each) for each in made]
    if not drained:
        if journals:
            ledger.post_foreseen(work, journals)
        return
    verdicts = await ledger.post(work, journals)
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused what was foreseen: {verdicts}"
    for wallet_id, last in drained:
        await wallets.close_drained(work, [wallet_id], last.command.asked)


async def _tell_cards(work: Work, made: Sequence[_Made]) -> None:
    """Cards learn what was captured of them; what is only held has not moved."""
    movements = [
        Movement(given.found.id, given.amount, each.command.asked, each.intent.id, given.left + given.held, given.held)
        for each in made
        if each.intent.capture == "automatic"
        for given in each.authorized.given
        if given.found.kind == "giftCard" and given.amount
    ]
    if movements:
        await spending.note_redeemed(work, movements, last=True)


def _journal(made: _Made) -> ledger.Journal:
    intent = made.intent
    payable = ledger.house_account(intent.merchant_id, "merchant.payable")
    return ledger.Journal(
        id=ids.new(),
        kind="payment.capture",
        cause_id=intent.id,
        merchant_id=intent.merchant_id,
        currency=intent.currency,
        transfers=tuple(ledger.Transfer(part.account_id, payable, part.amount) for part in made.parts),
    )


def _drained(made: Sequence[_Made], facts: Facts) -> list[tuple[UUID, _Made]]:
    """Wallets that were closing and have nothing left, each with the payment that took the last."""
    last = {given.found.id: each for each in made for given in each.authorized.given}
    return [(holder_id, each) for holder_id, each in last.items() if facts.holders[holder_id].status == "closed"]


async def _settle_references(
    work: Work, claimed: Sequence[TillReference], taken: Collection[tuple[UUID, UUID, str]], made: Iterable[_Made]
) -> None:
    """The same for the tills' references."""
    winner = {
        (each.intent.partner_id, each.intent.merchant_id, each.intent.external_reference): each.intent.id
        for each in made
    }
    ours = [each for each in claimed if (each.partner_id, each.merchant_id, each.reference) not in taken]
    lost, won = [], []
    for each in ours:
        intent_id = winner.get((each.partner_id, each.merchant_id, each.reference))
        if intent_id is None:
            lost.append(each)
        elif intent_id != each.intent_id:
            won.append(TillReference(each.partner_id, each.merchant_id, each.reference, intent_id, None))
    await look_store.forget_references(work, lost)
    await look_store.give_references(work, won)


async def _answered(
    work: Work, commands: Sequence[AuthorizePayment], outcomes: Sequence[Paid | Replayed | Refusal]
) -> list[Paid | Refusal]:
    """Every replay gets its first answer, from this batch or from the one that kept it."""
    first = {
        outcome.intent_id: (command.merchant_id, outcome.document)
        for command, outcome in zip(commands, outcomes, strict=True)
        if isinstance(outcome, Paid)
    }
    wanted = {o.intent_id for o in outcomes if isinstance(o, Replayed) and o.intent_id not in first}
    if wanted:
        for intent_id, (merchant_id, answer) in (await store.first_answers(work, list(wanted))).items():
            first[intent_id] = (merchant_id, work.keys.open_sealed(answer, intent_id.bytes))
    return [
        _replay(command, o.intent_id, *first[o.intent_id]) if isinstance(o, Replayed) else o
        for command, o in zip(commands, outcomes, strict=True)
    ]


def _replay(command: AuthorizePayment, intent_id: UUID, merchant_id: UUID, document: bytes) -> Paid | Refusal:
    """A replay is authorised anew: a client that may not act for the payment's merchant learns nothing of it."""
    allowed = command.asked.caller.merchant_ids
    if allowed is not None and merchant_id not in allowed:
        return key_conflict()
    return Paid(intent_id, document, replayed=True)
