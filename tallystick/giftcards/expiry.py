"""Due work: cards and lots that expire, each at its own deadline.

What is left of a lot returns to whoever paid for it. A lot that was sold for money has nobody to return to: it becomes the
merchant's breakage, first what was recognised ahead. What a payment holds stays until the hold ends, and expires then; so a card
has expired for good, and says so in its status, when its expiry is past and nothing is held. Cards whose purchase was charged
back give up what is free on them in the same loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import tallystick.giftcards.life_store as life_store
import tallystick.giftcards.store as store
from tallystick import ledger
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.giftcards import activities, charging_back
from tallystick.giftcards.activities import Change, deplete, moved_on
from tallystick.giftcards.charging_back import SIDES
from tallystick.giftcards.life_store import ChargeBack
from tallystick.giftcards.lives import CHARGED_BACK, journal_of, lock_accounts
from tallystick.giftcards.model import LIVING, LOT, GiftCard
from tallystick.ledger import Account, Code, Journal, Lot, Transfer, house_account

EXPIRE_AT_ONCE: Final = 200
"""How many lots and how many cards one work expires: cut by how long their locks are held."""

BREAKAGE: Final[tuple[Code, ...]] = ("merchant.breakage", "merchant.breakage_income")


async def next_expiry(work: Work) -> datetime | None:
    """When the next card or lot of a card of the tenant is due."""
    due = [await ledger.lots.next_due(work, LOT), await life_store.next_expiry(work)]
    if await life_store.charged_back_free(work, 1):
        due.append(work.now)
    return min((at for at in due if at is not None), default=None)


async def expire_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Do what is due at `at`, up to a number; whether anything was. Books and events are dated at that instant."""
    async with runtime.work(tenant, at=at) as work:
        lots = await ledger.lots.due(work, LOT, EXPIRE_AT_ONCE)
        cards = {deadline.parent_id for deadline in lots}
        cards.update(await life_store.due(work, EXPIRE_AT_ONCE))
        cards.update(await life_store.charged_back_free(work, EXPIRE_AT_ONCE))
        if cards:
            await _expire(work, list(cards))
            await ledger.lots.settled(work, [deadline.account_id for deadline in lots])
    return bool(cards)


async def expire_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, expire what passed its earliest deadline, at that deadline; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(life_store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: expire_at(runtime, tenant, row[3]))


@dataclass(slots=True)
class _Expired:
    """What one work expires: its journals, and what is told of the cards."""

    now: datetime
    accounts: Mapping[UUID, Account]
    ahead: dict[UUID, int] = field(default_factory=dict)
    """What is left of the breakage that was recognised ahead, by its account."""
    journals: list[Journal] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    recovered: dict[UUID, int] = field(default_factory=dict)

    def take_back(self, card: GiftCard, taken: ChargeBack, lots: Sequence[Lot]) -> None:
        """A card that was charged back gives up what is free."""
        free = [lot for lot in lots if lot.available]
        if not free:
            return
        journal, recovered = charging_back.take_back(card, taken, free)
        self.journals.append(journal)
        self.recovered[card.id] = recovered
        amount = sum(lot.available for lot in free)
        held = sum(lot.held for lot in lots)
        self.changes.append(
            Change(
                moved_on(card, "take_back", self.now),
                "gift_card.charged_back",
                "charge_back",
                -amount,
                held,
                held,
                reason=CHARGED_BACK,
                journal_id=journal.id,
            )
        )

    def expire(self, card: GiftCard, lots: Sequence[Lot]) -> None:
        """What is free of lots past their expiry goes, or of all of them where the card is past its own."""
        is_past = card.effective(self.now) == "expired"
        gone = [lot for lot in lots if lot.available and (is_past or lot.has_expired(self.now))]
        self.journals += [journal_of(card, "lot.expire", self._returned(lot)) for lot in gone]
        held = sum(lot.held for lot in lots)
        kept = sum(lot.available for lot in lots if lot not in gone)
        ends = is_past and not held and card.status in LIVING
        if not gone and not ends:
            return
        after = moved_on(card, "expire", self.now)
        if ends:
            # Why it was frozen is kept, whatever wakes it up again.
            reason = card.reason if card.status == "frozen" else "expired"
            after = moved_on(card, "expire", self.now, status="expired", reason=reason)
        amount = -sum(lot.available for lot in gone)
        change = Change(after, "gift_card.expired", "expire", amount, kept + held, held)
        self.changes += deplete([change], "value_expired", self.now)

    def _returned(self, lot: Lot) -> list[Transfer]:
        if lot.funder_id is not None:
            return [Transfer(lot.id, lot.funder_id, lot.available)]
        breakage = house_account(lot.merchant_id, "merchant.breakage")
        income = house_account(lot.merchant_id, "merchant.breakage_income")
        left = self.ahead.setdefault(breakage, max(0, -self.accounts[breakage].balance))
        recognised = min(left, lot.available)
        self.ahead[breakage] = left - recognised
        parts = ((breakage, recognised), (income, lot.available - recognised))
        return [Transfer(lot.id, account_id, amount) for account_id, amount in parts if amount]


async def _expire(work: Work, card_ids: Sequence[UUID]) -> None:
    cards = await store.lock(work, card_ids)
    taken = await life_store.charge_backs(work, list(cards))
    accounts = await lock_accounts(work, cards.values(), codes=(*BREAKAGE, *(SIDES if taken else ())), funders=True)
    lots: dict[UUID, list[Lot]] = {card_id: [] for card_id in cards}
    for lot in await ledger.lots.of_parents(work, list(cards)):
        lots[lot.parent_id].append(lot)
    expired = _Expired(work.now, accounts)
    for card_id, card in cards.items():
        if card_id in taken:
            expired.take_back(card, taken[card_id], lots[card_id])
        else:
            expired.expire(card, lots[card_id])
    verdicts = await ledger.post(work, expired.journals)
    assert all(verdict == "posted" for verdict in verdicts), f"the books refused an expiry: {verdicts}"
    await life_store.recover(work, expired.recovered)
    await activities.record(work, expired.changes)
