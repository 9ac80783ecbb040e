"""Load value on a card: like its sale, into a lot of its own.

The law counts how long paid value lasts from the last load. So where the card has an expiry, a load moves it on as far as the law
asks, and what was paid for earlier and is free moves to the new lot, in the same journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tallystick import ledger
from tallystick.base.errors import InvalidState, Refusal, attribute
from tallystick.base.idempotency import Answer
from tallystick.base.work import Asked, Work
from tallystick.giftcards import jurisdictions
from tallystick.giftcards.activities import Change, moved_on
from tallystick.giftcards.lives import Standing, answered, journal_of, keyed, lock_own, new_lot, own
from tallystick.giftcards.model import VALUE_QUOTA
from tallystick.governance import quotas
from tallystick.governance.quotas import Quotas
from tallystick.ledger import Lot, Transfer, house_account
from tallystick.merchants import InsufficientFunding


@dataclass(frozen=True, slots=True)
class LoadCard:
    """Add `amount` minor units that somebody pays for; on a promotional card, that its merchant gives."""

    asked: Asked
    card_id: UUID
    amount: int


async def load(work: Work, commands: Sequence[LoadCard]) -> list[Answer | Refusal]:
    """The loaded card for each command."""
    bounds = Quotas()

    async def prepare(work: Work, commands: Sequence[LoadCard]) -> None:
        nonlocal bounds
        bounds = await quotas.look(
            work, [(command.asked.caller.partner_id, VALUE_QUOTA, command.amount) for command in commands]
        )
        await lock_own(work, commands, codes=("merchant.sales",), lots=True, funding=True)

    async def act(work: Work, command: LoadCard) -> Answer | Refusal:
        return await _load(work, command, bounds)

    outcomes = await keyed(work, "load", commands, act, prepare=prepare)
    quotas.count(work, bounds)
    return outcomes


async def _load(work: Work, command: LoadCard, bounds: Quotas) -> Answer | Refusal:
    stands = await own(work, command)
    if isinstance(stands, Refusal):
        return stands
    refusal = _unfit(stands, command.amount)
    if refusal is not None:
        return refusal
    over = bounds.take(
        stands.card.partner_id, VALUE_QUOTA, command.amount, stands.card.currency, source=attribute("amount")
    )
    if over is not None:
        return over
    expires_at, rolled = _terms(stands, work.now)
    reason = "loaded" if stands.status == "depleted" else stands.card.reason
    card = moved_on(stands.card, "load", work.now, status="active", reason=reason, expires_at=expires_at)
    debit = _paying(stands)
    lot = new_lot(card, card.value_class, funder_id=None if card.value_class == "paid" else debit)
    transfers = [Transfer(debit, lot.id, command.amount)]
    transfers += [Transfer(old.id, lot.id, old.available) for old in rolled]
    journal = journal_of(card, "card.load", transfers)
    (verdict,) = await ledger.post(work, [journal], [lot])
    if verdict != "posted":
        assert verdict == "below_floor" and lot.funder_id is not None, f"the books refused a load: {verdict}"
        bounds.give_back(card.partner_id, VALUE_QUOTA, command.amount, card.currency)
        detail = "The merchant's funding does not cover this amount. Ask the merchant to add funds or raise its limit."
        return InsufficientFunding(detail, source=attribute("amount"))
    after = stands.balance + command.amount
    change = Change(
        card,
        "gift_card.loaded",
        "load",
        command.amount,
        after,
        stands.held,
        journal_id=journal.id,
        asked=command.asked,
    )
    return await answered(work, command.asked, [change])


def _unfit(stands: Standing, amount: int) -> Refusal | None:
    refusal = stands.refuse_state("load")
    if refusal is not None:
        return refusal
    if not stands.card.reloadable:
        return InvalidState("The gift card is not reloadable: nothing can be added to it. Issue another.")
    if stands.shop.status != "active":
        return InvalidState("The merchant is closed; it sells no value any more.")
    return stands.refuse_above_maximum(amount)


def _terms(stands: Standing, now: datetime) -> tuple[datetime | None, list[Lot]]:
    """When the card expires once it is loaded, and the lots whose value gets the new term."""
    card = stands.card
    if card.value_class != "paid":
        return card.expires_at, []
    least = jurisdictions.minimum_expiry(stands.shop.country, stands.shop.region, now)
    if least is None:
        return card.expires_at, []
    expires_at = None if card.expires_at is None else max(card.expires_at, least)
    return expires_at, [
        lot
        for lot in stands.usable
        if lot.lot_class == "paid" and lot.funder_id is None and lot.expires_at is not None and lot.expires_at < least
    ]


def _paying(stands: Standing) -> UUID:
    """The account that pays for the load: what sales brought in, or what the merchant gives from."""
    if stands.card.value_class == "paid":
        return house_account(stands.card.merchant_id, "merchant.sales")
    return stands.shop.funding_account_id
