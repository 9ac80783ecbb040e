"""A batch is its payments one at a time: the pure decision against a model."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.base.errors import Refusal
from tallystick.ledger import Lot, LotClass, lots
from tallystick.merchants import SpendingTerms
from tallystick.payments.deciding import Authorized, Facts, Found, Holder, Replayed, Shop, decide
from tallystick.payments.velocity import Counters, Spent
from tests import world
from tests.payments.wishes import DAY, HOLDINGS, PARTNERS, PLACES, SPLITS, STATUSES, WISHES, Wish, command, split


@dataclass
class Purse:
    """A lot by the model: what it is, and what is left in it."""

    wallet: int
    lot_class: LotClass
    left: int
    days: int | None
    id: UUID = field(default_factory=ids.new)

    def rank(self) -> Any:
        return (
            10_000 if self.days is None else self.days,
            ("promotional", "compensation", "refund", "paid").index(self.lot_class),
            self.id.int,
        )


@dataclass
class Model:
    """The rules as the contract tells them, one payment after another, with nothing of how batches are carried out."""

    purses: list[Purse]
    terms: SpendingTerms
    keys: dict[tuple[int, int], tuple[Wish, UUID]] = field(default_factory=dict)
    references: set[tuple[int, int]] = field(default_factory=set)
    spent: dict[int | None, list[int]] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    statuses: list[str] = field(default_factory=lambda: list(STATUSES))

    def ask(self, wish: Wish, intent_id: UUID) -> Any:
        name = (wish.partner, wish.key)
        if name in self.keys:
            first, made = self.keys[name]
            return f"again {made}" if first == wish else "IdempotencyConflict"
        if self.terms.payment_maximum is not None and wish.amount > self.terms.payment_maximum:
            return "PaymentLimit"
        if wish.reference is not None and (wish.partner, wish.reference) in self.references:
            return "DuplicateReference"
        refusal = self._sources(wish)
        if refusal is not None:
            return refusal
        taken, given = self._take(wish)
        total = sum(part for _, part in taken)
        if total == 0 or (total < wish.amount and not wish.partial):
            return "InsufficientValue"
        if self._limits(given, total):
            return "PaymentLimit"
        for purse, part in taken:
            purse.left -= part
        for wallet, amount in [*given.items(), (None, total)]:
            if amount:
                self.spent.setdefault(wallet, []).append(amount)
        self._drain(wish, given)
        self.keys[name] = (wish, intent_id)
        if wish.reference is not None:
            self.references.add((wish.partner, wish.reference))
        return [(purse.id, part) for purse, part in taken]

    def _drain(self, wish: Wish, given: dict[int, int]) -> None:
        """A closing wallet closes when the last of it is taken, unless something of it is held."""
        for wallet, amount in given.items():
            if amount and wish.manual:
                self.held.add(wallet)
            elif amount and self.statuses[wallet] == "closing" and wallet not in self.held and not self._usable(wallet):
                self.statuses[wallet] = "closed"

    def _usable(self, wallet: int) -> list[Purse]:
        return [p for p in self.purses if p.wallet == wallet and p.left and (p.days is None or p.days > 0)]

    def _sources(self, wish: Wish) -> str | None:
        seen = set()
        for wallet, _ in wish.sources:
            if self.statuses[wallet] not in ("active", "closing"):
                return "SourceNotUsable"
            if wallet in seen:
                return "InvalidRequest"
            seen.add(wallet)
        return None

    def _take(self, wish: Wish) -> tuple[list[tuple[Purse, int]], dict[int, int]]:
        due, taken, given = wish.amount, [], {}
        for wallet, most in wish.sources:
            room = due if most is None else min(due, most)
            given[wallet] = 0
            for purse in sorted(self._usable(wallet), key=Purse.rank):
                part = min(room, purse.left)
                if part:
                    taken.append((purse, part))
                room, due, given[wallet] = room - part, due - part, given[wallet] + part
        return taken, given

    def _limits(self, given: dict[int, int], total: int) -> bool:
        terms = self.terms
        for wallet, amount in given.items():
            before = self.spent.get(wallet, [])
            if not amount:
                continue
            if terms.wallet_day_maximum is not None and sum(before) + amount > terms.wallet_day_maximum:
                return True
            if terms.wallet_day_count is not None and len(before) + 1 > terms.wallet_day_count:
                return True
        most = terms.merchant_day_maximum
        return most is not None and sum(self.spent.get(None, [])) + total > most


@dataclass
class Database:
    """What a batch would read at its beginning, were everything before it committed."""

    model: Model
    shop_id: UUID = field(default_factory=ids.new)
    wallets: list[UUID] = field(default_factory=lambda: [ids.new() for _ in range(PLACES)])

    def facts(self) -> Facts:
        model = self.model
        held: dict[UUID, list[Lot]] = {}
        for purse in model.purses:
            wallet_id = self.wallets[purse.wallet]
            expires_at = None if purse.days is None else world.T0 + timedelta(days=purse.days)
            found = Lot(purse.id, wallet_id, self.shop_id, "USD", purse.lot_class, None, expires_at, purse.left, held=0)
            held.setdefault(wallet_id, []).append(found)
        days = {
            (self.shop_id if wallet is None else self.wallets[wallet], DAY): Spent(len(spent), sum(spent))
            for wallet, spent in model.spent.items()
        }
        return Facts(
            now=world.T0,
            shops={self.shop_id: Shop(self.shop_id, "active", "USD", DAY, model.terms)},
            holders={
                wallet_id: Holder("wallet", wallet_id, self.shop_id, status)
                for wallet_id, status in zip(self.wallets, model.statuses, strict=True)
            },
            lots={wallet_id: lots.burn_order(each, world.T0) for wallet_id, each in held.items()},
            held=dict.fromkeys((self.wallets[wallet] for wallet in model.held), 1),
            counters=Counters(days),
            keys={
                (PARTNERS[partner], str(key)): (repr(wish).encode(), intent_id)
                for (partner, key), (wish, intent_id) in model.keys.items()
            },
            references={
                (PARTNERS[partner], self.shop_id, str(reference)): (ids.new(), False)
                for partner, reference in model.references
            },
        )


def said(outcome: Authorized | Replayed | Refusal) -> Any:
    if isinstance(outcome, Refusal):
        return outcome.code
    if isinstance(outcome, Replayed):
        return f"again {outcome.intent_id}"
    return [(lot.id, part) for each in outcome.given for lot, part in each.taken]


@given(
    wishes=WISHES,
    cuts=SPLITS,
    holdings=HOLDINGS,
    payment_maximum=st.sampled_from([None, 100]),
    wallet_day_maximum=st.sampled_from([None, 90]),
    wallet_day_count=st.sampled_from([None, 2]),
    merchant_day_maximum=st.sampled_from([None, 150]),
)
@settings(max_examples=200)
def test_any_split_into_batches_decides_as_one_after_another(
    wishes: list[Wish], cuts: list[int], holdings: list[tuple[int, LotClass, int, int | None]], **terms: int | None
) -> None:
    model = Model([Purse(*holding) for holding in holdings], SpendingTerms(**terms))  # type: ignore[arg-type]
    database = Database(model)
    for batch in split(wishes, cuts):
        facts = database.facts()
        for wish in batch:
            wanted = command(wish, database.shop_id, database.wallets)
            found = [Found("wallet", database.wallets[wallet]) for wallet, _ in wish.sources]
            intent_id = ids.new()
            outcome = decide(wanted, found, repr(wish).encode(), intent_id, facts)
            assert said(outcome) == model.ask(wish, intent_id)
            if isinstance(outcome, Authorized):
                assert 0 < outcome.amount <= wish.amount
        left = {lot.id: lot.available for each in facts.lots.values() for lot in each}
        usable = [purse for purse in model.purses if purse.days is None or purse.days > 0]
        assert left == {purse.id: purse.left for purse in usable if purse.left}
