"""A batch is its items one at a time: for the pure decision against a model, and for the whole verb against another programme."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tallystick import merchants, rewards
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.errors import Refusal
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.merchants import Merchant
from tallystick.rewards import Issued, IssueReward
from tallystick.rewards.model import Facts, Funds, Granted, Replayed, decide
from tallystick.wallets import WalletFact
from tests import world
from tests.customers.cast import Partner
from tests.rewards.cast import check_whole

PARTNERS: Final = (ids.new(), ids.new())
PHONES: Final = tuple(f"+1202555{number:04}" for number in range(6))
STATUSES: Final = ((), ("active",), ("active", "active"), ("suspended",), ("pending",), ("active", "closing"))
"""The wallets of each phone at each merchant."""


@dataclass(frozen=True)
class Wish:
    """A command by numbers, so that it can be made for any programme."""

    partner: int
    merchant: int
    phone: int
    amount: int
    key: int
    message: str | None


WISHES: Final = st.lists(
    st.builds(
        Wish,
        partner=st.integers(0, 1),
        merchant=st.integers(0, 1),
        phone=st.integers(0, len(PHONES) - 1),
        amount=st.sampled_from([1, 40, 50, 60, 101]),
        key=st.integers(0, 9),
        message=st.sampled_from([None, "a"]),
    ),
    max_size=25,
)
SPLITS: Final = st.lists(st.integers(0, 25), max_size=5)


def split(wishes: Sequence[Wish], cuts: Sequence[int]) -> list[Sequence[Wish]]:
    """The wishes in their order, in batches."""
    places = sorted({0, len(wishes), *(cut for cut in cuts if cut < len(wishes))})
    return [wishes[start:end] for start, end in pairwise(places)]


def merchant(account_id: UUID, **settings: Any) -> Merchant:
    kept: dict[str, Any] = {
        "id": ids.new(),
        "name": "Café Luna",
        "status": "active",
        "currency": "USD",
        "country": "US",
        "time_zone": "America/New_York",
        "claim_days": 90,
        "pre_issuing": True,
        "stacking": False,
        "funding_mode": "invoiced",
        "reward_maximum": None,
        "phone_day_maximum": None,
        "receivable_account_id": account_id,
        "prefund_account_id": ids.new(),
    }
    return Merchant(**{**kept, **settings})


@dataclass
class Model:
    """The rules as the contract tells them, one wish after another, with nothing of how batches are carried out."""

    shops: list[Merchant]
    left: dict[int, int]
    owed: dict[tuple[int, int], int]
    keys: dict[tuple[int, int], tuple[Wish, UUID]] = field(default_factory=dict)
    waiting: set[tuple[int, int, int]] = field(default_factory=set)
    today: dict[tuple[int, int], int] = field(default_factory=dict)

    def ask(self, wish: Wish, reward_id: UUID) -> str:
        name, place = (wish.partner, wish.key), (wish.merchant, wish.phone)
        if name in self.keys:
            first, given = self.keys[name]
            return f"again {given}" if first == wish else "IdempotencyConflict"
        shop = self.shops[wish.merchant]
        refusal = self._limits(wish, shop) or self._recipient(wish, shop)
        if refusal is None and wish.amount > self.left[wish.merchant]:
            refusal = "InsufficientFunding"
        if refusal is not None:
            return refusal
        self.left[wish.merchant] -= wish.amount
        self.today[place] = self.today.get(place, 0) + wish.amount
        self.keys[name] = (wish, reward_id)
        if "active" not in STATUSES[wish.phone]:
            self.waiting.add((wish.partner, *place))
            return "waits"
        netted = min(self.owed.get(place, 0), wish.amount)
        self.owed[place] = self.owed.get(place, 0) - netted
        return f"credited, {netted} of it netted"

    def _limits(self, wish: Wish, shop: Merchant) -> str | None:
        if shop.reward_maximum is not None and wish.amount > shop.reward_maximum:
            return "InvalidRequest"
        given = self.today.get((wish.merchant, wish.phone), 0)
        if shop.phone_day_maximum is not None and given + wish.amount > shop.phone_day_maximum:
            return "QuotaExceeded"
        return None

    def _recipient(self, wish: Wish, shop: Merchant) -> str | None:
        held = STATUSES[wish.phone]
        if held.count("active") == 1:
            return None
        if held.count("active") > 1:
            return "MultipleActiveWallets"
        if "suspended" in held or "closing" in held:
            return "WalletNotIssuable"
        if not shop.pre_issuing:
            return "WalletNotFound"
        if (wish.partner, wish.merchant, wish.phone) in self.waiting and not shop.stacking:
            return "PreIssuedConflict"
        return None


@dataclass
class Database:
    """What a batch would read at its beginning, were everything before it committed."""

    model: Model
    people: list[UUID] = field(default_factory=lambda: [ids.new() for _ in PHONES])
    debts: dict[tuple[int, int], UUID] = field(default_factory=dict)

    def facts(self) -> Facts:
        model = self.model
        wallets: dict[tuple[UUID, UUID], list[WalletFact]] = {}
        for m, shop in enumerate(model.shops):
            for p, statuses in enumerate(STATUSES):
                debt = self.debts.setdefault((m, p), ids.new())
                wallets[self.people[p], shop.id] = [
                    WalletFact(self.people[p], shop.id, ids.new(), status, debt, "USD")  # type: ignore[arg-type]
                    for status in statuses
                ]
        return Facts(
            now=world.T0,
            merchants={shop.id: shop for shop in model.shops},
            recipients=dict(zip(PHONES, self.people, strict=True)),
            wallets=wallets,
            waiting={(PARTNERS[a], model.shops[m].id, self.people[p]) for a, m, p in model.waiting},
            given_today={(self.people[p], model.shops[m].id): given for (m, p), given in model.today.items()},
            funds={shop.funding_account_id: Funds(model.left[m]) for m, shop in enumerate(model.shops)},
            owed={debt: model.owed.get(place, 0) for place, debt in self.debts.items()},
            keys={
                (PARTNERS[partner], str(key)): (fingerprint(wish), reward_id)
                for (partner, key), (wish, reward_id) in model.keys.items()
            },
        )


def fingerprint(wish: Wish) -> bytes:
    return repr((wish.merchant, wish.phone, wish.amount, wish.message)).encode()


def command(wish: Wish, shop: Merchant) -> IssueReward:
    caller = Caller(
        Tenant(ids.new(), ids.new(), "sandbox"), PARTNERS[wish.partner], ids.new(), frozenset(), None, False, 1, 1
    )
    asked = Asked(caller, ids.new(), "POST", "/api/v1/rewards")
    return IssueReward(asked, shop.id, True, PHONES[wish.phone], wish.amount, str(wish.key), wish.message)


def said(outcome: Granted | Replayed | Refusal) -> str:
    if isinstance(outcome, Refusal):
        return outcome.code
    if isinstance(outcome, Replayed):
        return f"again {outcome.reward_id}"
    return "waits" if outcome.wallet is None else f"credited, {outcome.netted} of it netted"


@given(
    wishes=WISHES,
    cuts=SPLITS,
    left=st.tuples(st.integers(0, 400), st.integers(0, 400)),
    owed=st.integers(0, 120),
    stacking=st.booleans(),
    pre_issuing=st.booleans(),
    reward_maximum=st.sampled_from([None, 60, 100]),
    day_maximum=st.sampled_from([None, 100, 150]),
)
@settings(max_examples=150)
def test_any_split_into_batches_decides_as_one_after_another(
    wishes: list[Wish],
    cuts: list[int],
    left: tuple[int, int],
    owed: int,
    stacking: bool,
    pre_issuing: bool,
    reward_maximum: int | None,
    day_maximum: int | None,
) -> None:
    shops = [
        merchant(ids.new(), stacking=stacking, reward_maximum=reward_maximum),
        merchant(ids.new(), pre_issuing=pre_issuing, phone_day_maximum=day_maximum),
    ]
    model = Model(shops, dict(enumerate(left)), {(m, 1): owed for m in (0, 1)} | {(m, 5): owed for m in (0, 1)})
    database = Database(model)
    for batch in split(wishes, cuts):
        facts = database.facts()
        for wish in batch:
            reward_id = ids.new()
            outcome = decide(command(wish, shops[wish.merchant]), fingerprint(wish), reward_id, facts)
            assert said(outcome) == model.ask(wish, reward_id)
        assert {number: facts.funds[shop.funding_account_id].left for number, shop in enumerate(shops)} == model.left
        assert {place: facts.owed[debt] for place, debt in database.debts.items() if place in model.owed} == model.owed


@dataclass
class Programme:
    """A programme with two merchants, two partners, and people whose wallets stand as `STATUSES` says."""

    partners: list[Partner]
    shops: list[Merchant]
    rewards: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    async def found(cls, runtime: Runtime) -> "Programme":
        tenant = await world.northwind(runtime, "production")
        partners = [Partner(runtime, tenant), Partner(runtime, tenant)]
        shops = []
        settings: list[tuple[int, dict[str, Any]]] = [
            (300, {"stacking": True, "reward_maximum": 100}),
            (250, {"phone_day_maximum": 150}),
        ]
        for limit, more in settings:
            async with runtime.work(tenant) as work:
                new = merchants.NewMerchant("Café Luna", "USD", "US", "America/New_York", credit_limit=limit, **more)
                shops.append(await merchants.add(work, new))
        for phone, statuses in zip(PHONES, STATUSES, strict=True):
            for status in statuses:
                await cls._wallet(partners[0], shops[0], phone, status)
        return cls(partners, shops)

    @staticmethod
    async def _wallet(partner: Partner, shop: Merchant, phone: str, status: str) -> None:
        if status == "closing":
            return  # it needs value to be closing; the others tell enough here
        user = await partner.create(phone=phone, phone_verified=status != "pending")
        wallet_id = await partner.wallet(user.resource_id, shop)
        if status == "suspended":
            await partner.suspend(wallet_id)

    async def issue(self, batch: Sequence[Wish]) -> list[str]:
        commands = [
            structs.replace(command(wish, self.shops[wish.merchant]), asked=self.partners[wish.partner].asked())
            for wish in batch
        ]
        return [self._said(outcome) for outcome in await self.partners[0].do(rewards.issue, *commands)]

    def _said(self, outcome: Any) -> str:
        if isinstance(outcome, Issued):
            number = self.rewards.setdefault(outcome.reward_id, len(self.rewards))
            return f"reward {number}{' again' if outcome.replayed else ''}"
        assert isinstance(outcome, Refusal), repr(outcome)
        return outcome.code

    async def state(self) -> Any:
        """Funding left, rewards with what became of them, events in their order, and how many keys there are."""
        tenant = self.partners[0].tenant
        async with self.partners[0].runtime.reading(tenant) as work:
            left = [await merchants.funding(work, shop.id) for shop in self.shops]
            given = await work.db.rows("select id, status, amount from rewards where tenant_id = $1", tenant.id)
            told = await work.db.rows(
                "select subject_id, topic, sequence from events where tenant_id = $1 and subject_type = 'Reward' order by position",
                tenant.id,
            )
            keys = await work.db.value(
                "select count(*) from idempotency_keys where tenant_id = $1 and operation = 'rewards.issue'", tenant.id
            )
        return (
            left,
            sorted((self.rewards[row[0]], row[1], row[2]) for row in given),
            [(self.rewards[row[0]], row[1], row[2]) for row in told],
            keys,
        )


@given(wishes=WISHES, cuts=SPLITS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_issuing_in_batches_does_what_issuing_one_by_one_does(
    runtime: Runtime, auditor: Db, wishes: list[Wish], cuts: list[int]
) -> None:
    batched, single = await Programme.found(runtime), await Programme.found(runtime)
    together = [told for batch in split(wishes, cuts) for told in await batched.issue(batch)]
    apart = [told for wish in wishes for told in await single.issue([wish])]
    assert together == apart
    assert await batched.state() == await single.state()
    for programme in (batched, single):
        await check_whole(auditor, programme.partners[0].tenant)
