"""A batch is its payments one at a time: the pure decision against a model, the whole verb against another programme."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick import ledger, merchants
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.errors import Refusal, at
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.ledger import Lot, LotClass, lots
from tallystick.merchants import SpendingTerms
from tallystick.payments.authorizing import Paid, authorize
from tallystick.payments.deciding import (
    Authorized,
    AuthorizePayment,
    Facts,
    Found,
    Holder,
    Replayed,
    Shop,
    SourceAsked,
    decide,
)
from tallystick.payments.velocity import Counters, Spent
from tests import world
from tests.customers.cast import Partner
from tests.payments.cast import check_payments

PARTNERS: Final = (ids.new(), ids.new())
PLACES: Final = 4
"""Wallets, the third of them suspended and the fourth closing; one merchant, one of two partners at the till."""
STATUSES: Final = ("active", "active", "suspended", "closing")
CLASSES: Final[tuple[LotClass, ...]] = ("paid", "refund", "compensation", "promotional")
DAY: Final = date(2026, 3, 2)


@dataclass(frozen=True)
class Wish:
    """A payment by numbers, so that it can be made for any programme."""

    partner: int
    amount: int
    sources: tuple[tuple[int, int | None], ...]
    key: int
    reference: int | None
    manual: bool
    partial: bool


SOURCES: Final = st.lists(
    st.tuples(st.integers(0, PLACES - 1), st.sampled_from([None, None, 10, 60])), min_size=1, max_size=3
).map(tuple)
WISHES: Final = st.lists(
    st.builds(
        Wish,
        partner=st.integers(0, 1),
        amount=st.sampled_from([1, 40, 50, 60, 101]),
        sources=SOURCES,
        key=st.integers(0, 9),
        reference=st.sampled_from([None, None, 0, 1, 2]),
        manual=st.booleans(),
        partial=st.booleans(),
    ),
    max_size=20,
)
HOLDINGS: Final = st.lists(
    st.tuples(
        st.integers(0, PLACES - 1),
        st.sampled_from(CLASSES),
        st.integers(1, 90),
        st.sampled_from([None, None, -1, 0, 5, 9]),
    ),
    max_size=10,
)
"""Lots: of which wallet, of which class, how much, and in how many days they expire."""
SPLITS: Final = st.lists(st.integers(0, 20), max_size=4)


def split(wishes: Sequence[Wish], cuts: Sequence[int]) -> list[Sequence[Wish]]:
    """The wishes in their order, in batches."""
    places = sorted({0, len(wishes), *(cut for cut in cuts if cut < len(wishes))})
    return [wishes[start:end] for start, end in pairwise(places)]


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


def command(wish: Wish, shop_id: UUID, wallets: Sequence[UUID]) -> AuthorizePayment:
    caller = Caller(
        Tenant(ids.new(), ids.new(), "sandbox"), PARTNERS[wish.partner], ids.new(), frozenset(), None, False, 1, 1
    )
    return AuthorizePayment(
        asked=Asked(caller, ids.new(), "POST", "/api/v1/payment-intents"),
        merchant_id=shop_id,
        merchant_named=True,
        amount=wish.amount,
        sources=tuple(
            SourceAsked(at(f"/data/attributes/sources/{n}/walletId"), "wallet", wallets[wallet], amount=most)
            for n, (wallet, most) in enumerate(wish.sources)
        ),
        key=str(wish.key),
        capture="manual" if wish.manual else "automatic",
        allow_partial=wish.partial,
        external_reference=None if wish.reference is None else str(wish.reference),
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


@dataclass
class Programme:
    """A programme with one merchant, two partners, and wallets as `STATUSES` says, but that none is suspended."""

    partners: list[Partner]
    shop_id: UUID
    wallets: list[UUID]
    intents: dict[UUID, int] = field(default_factory=dict)
    purses: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    async def found(cls, runtime: Runtime, holdings: Sequence[tuple[int, LotClass, int, int | None]]) -> "Programme":
        tenant = await world.northwind(runtime, "production")
        partners = [Partner(runtime, tenant), Partner(runtime, tenant)]
        async with runtime.work(tenant) as work:
            shop = await merchants.add(work, merchants.NewMerchant("Café Luna", "USD", "US", "America/New_York"))
            changes = merchants.Changes(wallet_day_maximum=150, wallet_day_count=6, merchant_day_maximum=260)
            await merchants.configure(work, shop.id, changes)
        wallets = []
        for number in range(PLACES):
            user = await partners[0].create(phone=f"+1202555{number:04}", phone_verified=True)
            wallets.append(await partners[0].wallet(user.resource_id, shop))
        made = cls(partners, shop.id, wallets)
        for number, (wallet, lot_class, amount, days) in enumerate(holdings):
            made.purses[await made._fill(wallet, lot_class, amount, days)] = number
        await partners[0].suspend(wallets[2])
        await partners[0].close(wallets[3])
        return made

    async def _fill(self, wallet: int, lot_class: LotClass, amount: int, days: int | None) -> UUID:
        partner = self.partners[0]
        async with partner.runtime.work(partner.tenant) as work:
            # Lots of one class and expiry are burnt by their ids, which two programmes give in the same order.
            account = ledger.NewAccount(
                id=ids.new(1_000_000 + len(self.purses)),
                merchant_id=self.shop_id,
                currency="USD",
                code="wallet.lot",
                owner_id=self.wallets[wallet],
                parent_id=self.wallets[wallet],
                lot_class=lot_class,
                expires_at=None if days is None else work.now + timedelta(days=days),
                floor=0,
            )
            transfer = ledger.Transfer(ledger.house_account(self.shop_id, "merchant.sales"), account.id, amount)
            journal = ledger.Journal(ids.new(), "card.load", account.id, self.shop_id, "USD", (transfer,))
            assert await ledger.post(work, [journal], opening=[account]) == ["posted"]
        return account.id

    async def pay(self, batch: Sequence[Wish]) -> list[str]:
        commands = [
            replace(command(wish, self.shop_id, self.wallets), asked=self.partners[wish.partner].asked())
            for wish in batch
        ]
        return [self._said(outcome) for outcome in await self.partners[0].do(authorize, *commands)]

    def _said(self, outcome: Any) -> str:
        if isinstance(outcome, Paid):
            number = self.intents.setdefault(outcome.intent_id, len(self.intents))
            return f"payment {number}{' again' if outcome.replayed else ''}"
        assert isinstance(outcome, Refusal), repr(outcome)
        return outcome.code

    async def state(self) -> Any:
        """Payments, parts, lots, wallets, counted days, references, events in their order, and how many keys there are."""
        tenant = self.partners[0].tenant
        wallets = {wallet_id: number for number, wallet_id in enumerate([*self.wallets, self.shop_id])}

        async def rows(sql: str) -> list[list[Any]]:
            names = {**wallets, **self.intents, **self.purses}
            found = await work.db.rows(sql, tenant.id)
            return sorted(([names.get(each, each) for each in row] for row in found), key=repr)

        async with self.partners[0].runtime.reading(tenant) as work:
            return [
                await rows(
                    "select id, status, authorized_amount, captured_tender from payment_intents where tenant_id = $1"
                ),
                await rows(
                    "select intent_id, ordinal, account_id, amount, captured from payment_parts where tenant_id = $1"
                ),
                await rows("select id, balance, held from accounts where tenant_id = $1 and code = 'wallet.lot'"),
                await rows("select id, status from wallets where tenant_id = $1"),
                await rows("select subject_id, day, count, amount from spending_days where tenant_id = $1"),
                await rows("select reference, intent_id from till_references where tenant_id = $1"),
                await rows(
                    "select subject_id, topic, sequence from events where tenant_id = $1 and topic like 'redem%'"
                ),
                await rows("select count(*) from idempotency_keys where tenant_id = $1 and operation like 'payments%'"),
            ]


@given(wishes=WISHES, cuts=SPLITS, holdings=HOLDINGS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_paying_in_batches_does_what_paying_one_by_one_does(
    runtime: Runtime,
    auditor: Db,
    wishes: list[Wish],
    cuts: list[int],
    holdings: list[tuple[int, LotClass, int, int | None]],
) -> None:
    coming = [
        (wallet, kind, amount, None if days is None else abs(days) + 1) for wallet, kind, amount, days in holdings
    ]
    batched, single = await Programme.found(runtime, coming), await Programme.found(runtime, coming)
    together = [told for batch in split(wishes, cuts) for told in await batched.pay(batch)]
    apart = [told for wish in wishes for told in await single.pay([wish])]
    assert together == apart
    assert await batched.state() == await single.state()
    for programme in (batched, single):
        await check_payments(auditor, programme.partners[0].tenant)
