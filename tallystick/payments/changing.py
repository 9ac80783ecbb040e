"""What every change of a payment shares: whose it is, the locks in the one order, and how it ends. And to cancel one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from uuid import UUID

import msgspec
from msgspec.structs import replace

import tallystick.payments.store as store
from tallystick import audit, events, ledger, wallets
from tallystick.base import idempotency
from tallystick.base.errors import InvalidState, NotFound, Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.giftcards import spending
from tallystick.giftcards.model import GiftCard
from tallystick.giftcards.spending import Movement
from tallystick.ledger import Ending, Resolution
from tallystick.payments import resource, velocity
from tallystick.payments.model import Part, PaymentIntent, Source, SourceKind, Status
from tallystick.wallets import Wallet


class HoldExpired(Refusal):
    code, status, title = "HoldExpired", 409, "The authorisation has expired."


class Change(Protocol):
    """A partner's wish to change one of its payments."""

    @property
    def asked(self) -> Asked: ...
    @property
    def intent_id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class CancelPaymentIntent:
    """Release everything that a payment holds."""

    asked: Asked
    intent_id: UUID


class Payment(msgspec.Struct, frozen=True):
    """A locked payment with what it is paid from, as its last change left it."""

    intent: PaymentIntent
    sources: Sequence[Source]
    parts: Sequence[Part]

    @property
    def cards(self) -> list[Source]:
        """The gift cards among what it is paid from."""
        return [source for source in self.sources if source.kind == "giftCard"]

    def of_source(self, source: Source) -> list[Part]:
        """What came out of one source."""
        return [part for part in self.parts if part.source_ordinal == source.ordinal]


class Held:
    """The payments of one work under their locks, with their wallets and cards; each change puts what it made of one."""

    def __init__(self) -> None:
        self.payments: dict[UUID, Payment] = {}
        self.wallets: dict[UUID, Wallet] = {}
        self.cards: dict[UUID, GiftCard] = {}
        self.counters = velocity.Counters({})

    async def lock(
        self, work: Work, intent_ids: Collection[UUID], *, payable: bool = False, every_lot: bool = False
    ) -> None:
        """Every lock in the one order: days, wallets, cards, payments, and all accounts at once; unknown ids are absent.

        With `payable` what the merchants are owed is locked too, with `every_lot` all that the wallets hold, by whoever moves it.
        """
        self.counters = await velocity.lock(work, list(intent_ids))
        sources = await store.sources_of(work, list(intent_ids))
        await self._lock_sources(work, [source for of_one in sources.values() for source in of_one])
        intents = await store.lock(work, list(intent_ids))
        # Where they are stays; how much each gives may have been increased while the locks were waited for.
        sources = await store.sources_of(work, list(intents))
        parts = await store.parts_of(work, list(intents))
        self.payments |= {each.id: Payment(each, sources[each.id], parts[each.id]) for each in intents.values()}
        accounts = {part.account_id for of_one in parts.values() for part in of_one}
        # A card's balance is told with each movement, so every lot of it stands still.
        whole = [*self.cards, *(self.wallets if every_lot else ())]
        if whole:
            accounts |= {lot.id for lot in await ledger.lots.of_parents(work, whole)}
        if payable:
            accounts |= {ledger.house_account(each.merchant_id, "merchant.payable") for each in intents.values()}
        await ledger.lock(work, list(accounts))

    async def lock_own(
        self, work: Work, commands: Sequence[Change], *, payable: bool = False, every_lot: bool = False
    ) -> None:
        """The same for those that the callers' partners made; nobody locks what is not theirs."""
        known = await store.by_ids(work, list({command.intent_id for command in commands}))
        mine = {
            command.intent_id
            for command in commands
            if command.intent_id in known and _may_change(command.asked, known[command.intent_id])
        }
        if mine:
            await self.lock(work, mine, payable=payable, every_lot=every_lot)

    def own(self, command: Change) -> Payment | NotFound:
        """The payment, where the caller's partner made it; only then it may change it, whatever else it may see."""
        payment = self.payments.get(command.intent_id)
        if payment is None or not _may_change(command.asked, payment.intent):
            return missing()
        return payment

    def home(self, source: Source) -> UUID:
        """The wallet or card where the value of a source lives now: itself, or what it was merged into or replaced by."""
        place = source.source_id
        if source.kind == "wallet":
            while (merged_into := self.wallets[place].merged_into) is not None:
                place = merged_into
        else:
            while (replaced_by := self.cards[place].replaced_by) is not None:
                place = replaced_by
        return place

    async def _lock_sources(self, work: Work, sources: Sequence[Source]) -> None:
        # Whoever merged or replaced one moved its value on: the next is locked out of order, hence perhaps a deadlock, which
        # is retried.
        wanted = _of_kind(sources, "wallet")
        while wanted:
            found = await wallets.lock(work, list(wanted))
            self.wallets |= found
            wanted = {each.merged_into for each in found.values() if each.merged_into is not None} - set(self.wallets)
        wanted = _of_kind(sources, "giftCard")
        while wanted:
            cards = await spending.lock_cards(work, list(wanted))
            self.cards |= cards
            wanted = {each.replaced_by for each in cards.values() if each.replaced_by is not None} - set(self.cards)


async def cancel(work: Work, commands: Sequence[CancelPaymentIntent]) -> list[Answer | Refusal]:
    """The cancelled payment for each command: everything it held is free."""
    held = Held()
    return await idempotency.keyed(
        work,
        "payments.cancel",
        commands,
        partial(_cancel, held),
        fingerprint=lambda command: command.intent_id.bytes,
        seal=HouseSeal(),
        prepare=held.lock_own,
    )


async def release(work: Work, held: Held, payments: Sequence[Payment], status: Status, ending: Ending) -> list[Payment]:
    """The authorised payments without what they held, in the status that says why."""
    holds = [part.hold_id for payment in payments for part in payment.parts if part.hold_id is not None]
    verdicts = await ledger.resolve(work, [Resolution(hold_id, ending) for hold_id in holds])
    assert all(verdict == "resolved" for verdict in verdicts), f"the books refused to end holds: {verdicts}"
    changed = [replace(payment, intent=moved_on(work, payment.intent, status)) for payment in payments]
    await store.update(work, [payment.intent for payment in changed])
    held.payments |= {payment.intent.id: payment for payment in changed}
    await velocity.give_back(
        work, [payment.intent for payment in payments], {payment.intent.id: payment.sources for payment in payments}
    )
    return changed


async def settle(work: Work, held: Held, payments: Sequence[Payment], asked: Asked | None) -> None:
    """After holds ended: lots past their expiry are looked at again, and wallets that closed once this was gone are closed."""
    lots = list({part.account_id for payment in payments for part in payment.parts})
    await ledger.lots.look_again(work, lots)
    # Some may have expired behind this instant already: a deadline that is met late is dated at itself.
    await ledger.lots.credited(work, lots)
    sources = [source for payment in payments for source in payment.sources]
    closing = [place for place in _of_kind(sources, "wallet") if held.wallets[place].status == "closing"]
    if closing:
        for wallet in await wallets.close_drained(work, closing, asked):
            held.wallets[wallet.id] = wallet


async def movements(
    work: Work, moved: Sequence[tuple[UUID, int]], asked: Asked, intent: PaymentIntent, journal_id: UUID | None = None
) -> list[Movement]:
    """What moved on gift cards, each named once, where anything did; each with what the card holds since."""
    moved = [(card_id, amount) for card_id, amount in moved if amount]
    there: dict[UUID, tuple[int, int]] = {card_id: (0, 0) for card_id, _ in moved}
    for lot in await ledger.lots.of_parents(work, list(there)) if there else ():
        whole, held = there[lot.parent_id]
        # What is past its expiry is there only as far as a payment holds it.
        there[lot.parent_id] = whole + lot.held + (0 if lot.has_expired(work.now) else lot.available), held + lot.held
    return [Movement(card_id, amount, asked, intent.id, *there[card_id], journal_id) for card_id, amount in moved]


def moved_on(work: Work, intent: PaymentIntent, status: Status) -> PaymentIntent:
    """The payment one version on."""
    return replace(intent, status=status, version=intent.version + 1, updated_at=work.now)


def not_open(intent: PaymentIntent, verb: str, work: Work) -> Refusal | None:
    """Why a payment can no longer be captured, increased or cancelled; None while it holds value."""
    status = intent.effective(work.now)
    if status == "authorized":
        return None
    detail = f"The payment is {status}; only one that is authorized can be {verb}. {WHAT_NOW[status]}"
    return HoldExpired(detail) if status == "expired" and verb != "cancelled" else InvalidState(detail)


WHAT_NOW: Final[dict[Status, str]] = {
    "captured": "Refund what was captured.",
    "refunded": "All that was captured has been given back.",
    "cancelled": "It holds nothing any more: make a new one.",
    "expired": "It was not captured in time and holds nothing any more: make a new one.",
}


def answered(work: Work, asked: Asked, topic: str, payment: Payment) -> Answer:
    """The answer of a verb, and what it leaves behind: an event and a row in the log."""
    tell(work, topic, payment, asked)
    audit.note(work, asked, status=200, resource_id=payment.intent.id)
    return Answer(200, resource.document(payment.intent, payment.sources, work.now), payment.intent.id)


def tell(work: Work, topic: str, payment: Payment, asked: Asked | None) -> None:
    """What became of a payment; `asked` is None where time did it."""
    events.record(work, resource.event(work, topic, payment.intent, payment.sources, asked))


def missing() -> NotFound:
    """The refusal for a payment that is not there, or not the caller's."""
    return NotFound("No payment has this id. Verify the id.")


async def _cancel(held: Held, work: Work, command: CancelPaymentIntent) -> Answer | Refusal:
    payment = held.own(command)
    if isinstance(payment, Refusal):
        return payment
    refusal = not_open(payment.intent, "cancelled", work)
    if refusal is not None:
        return refusal
    (cancelled,) = await release(work, held, [payment], "cancelled", "released")
    await settle(work, held, [cancelled], command.asked)
    return answered(work, command.asked, "redemption.cancelled", cancelled)


def _may_change(asked: Asked, intent: PaymentIntent) -> bool:
    caller = asked.caller
    at_its_merchant = caller.merchant_ids is None or intent.merchant_id in caller.merchant_ids
    return at_its_merchant and intent.partner_id == caller.partner_id


def _of_kind(sources: Sequence[Source], kind: SourceKind) -> set[UUID]:
    return {source.source_id for source in sources if source.kind == kind}
