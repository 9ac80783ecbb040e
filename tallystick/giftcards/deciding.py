"""Whether a gift card can be issued: what must be known, read under its locks, and the decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import tallystick.giftcards.design_store as design_store
from tallystick import ledger, merchants
from tallystick.base import clock
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.work import Work
from tallystick.giftcards import jurisdictions
from tallystick.giftcards.design_store import Design
from tallystick.giftcards.model import COUNT_QUOTA, VALUE_QUOTA, ValueClass
from tallystick.giftcards.sent import unknown_merchant
from tallystick.governance import quotas
from tallystick.governance.quotas import Quotas
from tallystick.merchants import InsufficientFunding, Merchant, SpendingTerms


@dataclass(frozen=True, slots=True)
class Terms:
    """What a card is to be: a single one, or each of a batch. `currency` is the one the partner expects, where it says so."""

    merchant_id: UUID
    amount: int
    currency: str | None = None
    value_class: ValueClass = "paid"
    activate: bool = True
    reloadable: bool = True
    pin: bool = False
    expires_at: datetime | None = None
    design_id: UUID | None = None
    external_reference: str | None = None
    issued_at: datetime | None = None
    """From when the law counts; None: from now. A batch is issued when it is accepted, however long making it takes."""


@dataclass(slots=True)
class Facts:
    """What a work knows. Each card that may be issued changes it, so that rivals act as if one came after the other."""

    now: datetime
    merchants: dict[UUID, Merchant]
    terms: dict[UUID, SpendingTerms]
    designs: dict[UUID, Design]
    funds: dict[UUID, int | None]
    """What is left of accounts that pay for promotional cards, in minor units; None: without end."""
    quotas: Quotas

    def take(self, partner_id: UUID, terms: Terms, deliver_at: datetime | None = None) -> Refusal | None:
        """Take what one card needs, or say why it cannot be issued: then nothing is taken."""
        refusal = self._unfit(partner_id, terms, deliver_at) or self._unfunded(terms)
        if refusal is not None:
            return refusal
        merchant, source = self.merchants[terms.merchant_id], attribute("amount")
        # The last that can refuse, so that what is taken from a quota is given.
        over = self.quotas.take(partner_id, COUNT_QUOTA, 1, source=source)
        if over is not None:
            return over
        over = self.quotas.take(partner_id, VALUE_QUOTA, terms.amount, merchant.currency, source=source)
        if over is not None:
            self.quotas.give_back(partner_id, COUNT_QUOTA, 1)
            return over
        left = self.funds.get(merchant.funding_account_id)
        if terms.value_class == "promotional" and left is not None:
            self.funds[merchant.funding_account_id] = left - terms.amount
        return None

    def _unfit(self, partner_id: UUID, terms: Terms, deliver_at: datetime | None) -> Refusal | None:
        merchant = self.merchants.get(terms.merchant_id)
        if merchant is None:
            return unknown_merchant()
        refusal = unfit(partner_id, terms, merchant, self.terms[merchant.id], self.designs, self.now)
        if refusal is not None or deliver_at is None or terms.expires_at is None or deliver_at < terms.expires_at:
            return refusal
        detail = "The card would be delivered after it has expired. Deliver it earlier."
        return InvalidRequest(detail, source=attribute("delivery/deliverAt"))

    def _unfunded(self, terms: Terms) -> Refusal | None:
        if terms.value_class != "promotional":
            return None
        left = self.funds[self.merchants[terms.merchant_id].funding_account_id]
        if left is None or left >= terms.amount:
            return None
        return InsufficientFunding(
            "The merchant's funding does not cover this amount. Ask the merchant to add funds or raise its limit.",
            source=attribute("amount"),
        )


async def look(work: Work, wanted: Sequence[tuple[UUID, Terms, int]]) -> Facts:
    """What these partners' cards need to be decided on, each wanted so many times; quotas, then accounts, are locked where they
    bound anything.
    """
    ids = list({terms.merchant_id for _, terms, _ in wanted})
    found = await merchants.by_ids(work, ids)
    designs = list({terms.design_id for _, terms, _ in wanted if terms.design_id is not None})
    return Facts(
        now=work.now,
        merchants=found,
        terms=await merchants.terms(work, ids),
        designs=await design_store.by_ids(work, designs) if designs else {},
        quotas=await quotas.look(work, [each for one in wanted for each in _takings(*one)]),
        funds=await _funds(work, [terms for _, terms, _ in wanted], found),
    )


async def fits(work: Work, partner_id: UUID, terms: Terms) -> Merchant | Refusal:
    """The merchant, where such a card could be issued now, if only it is paid for."""
    merchant = (await merchants.by_ids(work, [terms.merchant_id])).get(terms.merchant_id)
    if merchant is None:
        return unknown_merchant()
    bounds = (await merchants.terms(work, [merchant.id]))[merchant.id]
    designs = await design_store.by_ids(work, [terms.design_id]) if terms.design_id is not None else {}
    return unfit(partner_id, terms, merchant, bounds, designs, work.now) or merchant


def unfit(
    partner_id: UUID,
    terms: Terms,
    merchant: Merchant,
    bounds: SpendingTerms,
    designs: dict[UUID, Design],
    now: datetime,
) -> Refusal | None:
    """Why such a card can never be issued now, whoever pays; None where it can."""
    if merchant.status != "active":
        return InvalidRequest("This merchant is closed; it sells no cards.", source=attribute("merchantId"))
    if terms.currency is not None and terms.currency != merchant.currency:
        detail = f"The merchant's cards are in {merchant.currency}."
        return InvalidRequest(detail, source=attribute("currency"))
    if bounds.card_maximum is not None and terms.amount > bounds.card_maximum:
        detail = f"The merchant allows at most {bounds.card_maximum} minor units on one card."
        return InvalidRequest(detail, source=attribute("amount"))
    design = None if terms.design_id is None else designs.get(terms.design_id)
    if terms.design_id is not None and (design is None or not design.serves(partner_id, merchant.id)):
        detail = "You have no active design of this id for the merchant. Verify the id, or leave it out."
        return InvalidRequest(detail, source=attribute("designId"))
    return _expiring_too_early(terms, merchant, now)


def _expiring_too_early(terms: Terms, merchant: Merchant, now: datetime) -> Refusal | None:
    if terms.expires_at is None:
        return None
    if terms.expires_at <= now:
        detail = f"The card would have expired already: it is {clock.render(now)} by this tenant's clock."
        return InvalidRequest(detail, source=attribute("expiresAt"))
    if terms.value_class != "paid":
        return None
    return jurisdictions.refuse_expiry(merchant.country, merchant.region, terms.issued_at or now, terms.expires_at)


def _takings(partner_id: UUID, terms: Terms, number: int) -> tuple[quotas.Wanted, quotas.Wanted]:
    return (partner_id, COUNT_QUOTA, number), (partner_id, VALUE_QUOTA, number * terms.amount)


async def _funds(work: Work, wanted: Sequence[Terms], found: dict[UUID, Merchant]) -> dict[UUID, int | None]:
    """What is left to give cards away. Only then accounts are locked before the end of the work, and then all of them at once."""
    shops = [found[terms.merchant_id] for terms in wanted if terms.merchant_id in found]
    giving = {
        found[terms.merchant_id].funding_account_id
        for terms in wanted
        if terms.value_class == "promotional" and terms.merchant_id in found
    }
    if not giving:
        return {}
    sales = {ledger.house_account(shop.id, "merchant.sales") for shop in shops}
    locked = await ledger.lock(work, list(giving | sales))
    return {
        account_id: None if (floor := locked[account_id].floor) is None else locked[account_id].available - floor
        for account_id in giving
    }
