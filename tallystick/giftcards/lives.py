"""What every verb on a card shares: whose it is, the locks in the one order, how it stands, and how it answers.

Only the partner that made a card changes it. Accounts are locked all at once behind the cards, by their ids.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from uuid import UUID

import msgspec

import tallystick.giftcards.store as store
from tallystick import audit, ledger, merchants
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal, Keyed
from tallystick.base.work import Asked, Caller, Work
from tallystick.giftcards import activities, resource, states
from tallystick.giftcards.activities import Change
from tallystick.giftcards.delivery import missing
from tallystick.giftcards.model import LOT, GiftCard, Status
from tallystick.ledger import Code, Journal, Lot, LotClass, NewAccount, Transfer, ValueHeld, house_account
from tallystick.merchants import Merchant, SpendingTerms

CHARGED_BACK: Final = "charge_back"
"""Why a card is frozen for good."""


class CardChange(Protocol):
    """A partner's wish to change one of its cards."""

    @property
    def asked(self) -> Asked: ...
    @property
    def card_id(self) -> UUID: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """A locked card as it stands in its work: its row, its merchant, and the lots that hold anything, all locked."""

    card: GiftCard
    status: Status
    """The one that holds now."""
    shop: Merchant
    terms: SpendingTerms
    lots: Sequence[Lot]
    usable: Sequence[Lot]
    """Of the lots those that can be spent, in the order in which they are."""

    @property
    def available(self) -> int:
        return sum(lot.available for lot in self.usable)

    @property
    def held(self) -> int:
        """What payments hold, in minor units."""
        return sum(lot.held for lot in self.lots)

    @property
    def balance(self) -> int:
        """What is there, held or not."""
        return self.available + self.held

    def refuse_state(self, verb: states.Verb) -> InvalidState | None:
        """The refusal where the verb may not meet a card in its state."""
        if states.meets(verb, self.status):
            return None
        named = " or ".join(states.allowed(verb))
        why = f" ({self.card.reason})" if self.status == "frozen" and self.card.reason is not None else ""
        return InvalidState(
            f"The gift card is {self.status}{why}; only one that is {named} can be {states.STEPS[verb].done}."
        )

    def refuse_held(self, verb: str) -> ValueHeld | None:
        """The refusal where payments hold anything of it."""
        if not self.held:
            return None
        return ValueHeld(
            f"Payments hold {self.held} minor units of the gift card, which cannot be {verb} before they end. Freeze it, cancel "
            "those payments or wait until they are captured, then ask again."
        )

    def refuse_above_maximum(self, amount: int) -> InvalidRequest | None:
        """The refusal where the card would hold more than its merchant allows on one."""
        most = self.terms.card_maximum
        if most is None or self.balance + amount <= most:
            return None
        return InvalidRequest(
            f"The merchant allows at most {most} minor units on one card; this one holds {self.balance}.",
            source=attribute("amount"),
        )


C = TypeVar("C", bound=Keyed)
Act = Callable[[Work, C], Awaitable[Answer | Refusal]]
Prepare = Callable[[Work, Sequence[C]], Awaitable[None]]


async def keyed(
    work: Work, operation: str, commands: Sequence[C], act: Act[C], *, prepare: Prepare[C]
) -> list[Answer | Refusal]:
    """Carry out each command, once for its key; `prepare` takes the locks of all of them."""
    return await idempotency.keyed(
        work,
        f"gift-cards.{operation}",
        commands,
        act,
        fingerprint=fingerprint,
        seal=HouseSeal(),
        prepare=prepare,
    )


def fingerprint(command: Keyed) -> bytes:
    """The whole command but for who asked."""
    names = [name for name in getattr(command, "__slots__", ()) if name != "asked"]
    return msgspec.json.encode([getattr(command, name) for name in names])


async def lock_own(
    work: Work,
    commands: Sequence[CardChange],
    *,
    codes: Sequence[Code] = (),
    lots: bool = False,
    funders: bool = False,
    funding: bool = False,
) -> None:
    """Lock the cards that the callers may change, then their accounts; nobody locks what is not theirs."""
    asking = {command.card_id: command.asked for command in commands}
    known = await store.by_ids(work, list(asking))
    mine = [card_id for card_id, card in known.items() if may_change(asking[card_id].caller, card)]
    cards = await store.lock(work, mine) if mine else {}
    await lock_accounts(work, cards.values(), codes=codes, lots=lots, funders=funders, funding=funding)


async def lock_accounts(
    work: Work,
    cards: Collection[GiftCard],
    *,
    codes: Sequence[Code] = (),
    lots: bool = True,
    funders: bool = False,
    funding: bool = False,
) -> dict[UUID, ledger.Account]:
    """The accounts behind locked cards, locked all at once.

    Those of their merchants by `codes`; their lots; who paid for these; and what their merchants give promotional cards from.
    """
    wanted = {house_account(card.merchant_id, code) for card in cards for code in codes}
    found = await ledger.lots.of_parents(work, [card.id for card in cards]) if lots and cards else []
    wanted |= {lot.id for lot in found}
    if funders:
        wanted |= {lot.funder_id for lot in found if lot.funder_id is not None}
    giving = list({card.merchant_id for card in cards if card.value_class == "promotional"}) if funding else []
    if giving:
        wanted |= {shop.funding_account_id for shop in (await merchants.by_ids(work, giving)).values()}
    return await ledger.lock(work, list(wanted))


async def own(work: Work, command: CardChange) -> Standing | NotFound:
    """How the card stands, where the caller may change it; one of somebody else is missing like one that is unknown."""
    card = (await store.by_ids(work, [command.card_id])).get(command.card_id)
    if card is None or not may_change(command.asked.caller, card):
        return missing()
    return await standing(work, card)


async def standing(work: Work, card: GiftCard) -> Standing:
    """How a locked card stands."""
    shop = (await merchants.by_ids(work, [card.merchant_id]))[card.merchant_id]
    terms = (await merchants.terms(work, [card.merchant_id]))[card.merchant_id]
    lots = await ledger.lots.of_parents(work, [card.id])
    return Standing(card, card.effective(work.now), shop, terms, lots, ledger.lots.burn_order(lots, work.now))


def may_change(caller: Caller, card: GiftCard) -> bool:
    """Only the partner that made a card may change it, whatever else it may see."""
    at_its_merchant = caller.merchant_ids is None or card.merchant_id in caller.merchant_ids
    return at_its_merchant and card.partner_id == caller.partner_id


async def post(
    work: Work, card: GiftCard, kind: str, transfers: Sequence[Transfer], opening: Sequence[NewAccount] = ()
) -> UUID:
    """Post one journal that was decided on under its locks; its id."""
    journal = journal_of(card, kind, transfers)
    verdicts = await ledger.post(work, [journal], opening)
    assert verdicts == ["posted"], f"the books refused {kind}: {verdicts}"
    return journal.id


def journal_of(card: GiftCard, kind: str, transfers: Sequence[Transfer]) -> Journal:
    """A journal in the card's book, whose cause is the card."""
    return Journal(ids.new(), kind, card.id, card.merchant_id, card.currency, tuple(transfers))


def new_lot(card: GiftCard, lot_class: LotClass, *, funder_id: UUID | None, cause_id: UUID | None = None) -> NewAccount:
    """A lot of the card, of its expiry. `cause_id` is what gave it, where that is not the card."""
    return NewAccount(
        id=ids.new(),
        merchant_id=card.merchant_id,
        currency=card.currency,
        code=LOT,
        owner_id=cause_id or card.id,
        parent_id=card.id,
        lot_class=lot_class,
        funder_id=funder_id,
        expires_at=card.expires_at,
        floor=0,
    )


async def answered(work: Work, asked: Asked, changes: Sequence[Change]) -> Answer:
    """Write the changes of one card, and answer it as the last leaves it."""
    await activities.record(work, changes)
    last = changes[-1]
    audit.note(work, asked, status=200, resource_id=last.card.id)
    return Answer(200, resource.document(last.card, last.balance, work.now), last.card.id)
