"""The world that is measured: programmes, merchants, customers with active wallets and credentials, by the product's own verbs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tallystick import customers, enrolment, merchants, partners
from tallystick.base import clock, ids
from tallystick.base.batcher import Verb, run_batch
from tallystick.base.db import Pool
from tallystick.base.idempotency import Answer
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.main import CLOSINGS

RATE: Final = 1_000_000
CHUNK: Final = 200
SEEDERS: Final = 4

# Of the area code 555, which no one is given: ten million numbers. The first 100,000 have wallets; a fill takes the next
# 3,900,000; what a run sends to people nobody knows begins at 4,000,000.
KNOWN_FIRST: Final = 0
FILL_FIRST: Final = 100_000
FRESH_FIRST: Final = 4_000_000
PHONES: Final = 10_000_000


def phone(number: int) -> str:
    """The number-th telephone of the world."""
    assert 0 <= number < PHONES, "the world has run out of telephone numbers"
    return f"+1555{number:07d}"


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant, and the telephones of its customers who have an active wallet there."""

    merchant_id: UUID
    first: int
    customers: int

    @property
    def phones(self) -> Sequence[str]:
        return [phone(number) for number in range(self.first, self.first + self.customers)]


@dataclass(frozen=True, slots=True)
class Credential:
    """Who calls, in one tenant, and the merchants it acts for."""

    caller: Caller
    secret: str
    shops: tuple[Shop, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of the world is made."""

    merchants: int = 50
    customers: int = 2_000
    """In all, of the many merchants; the hot one has as many of its own."""
    tenants: int = 200
    customers_each: int = 5


QUICK: Final = Size(merchants=10, customers=200, tenants=20, customers_each=2)


@dataclass(frozen=True, slots=True)
class World:
    """What was made in one database."""

    many: Credential
    hot: Credential
    alone: Credential | None
    """A tenant like `many`, for statements without HTTP."""
    tenants: tuple[Credential, ...]


async def make(dsn: str, keys: MasterKeys, size: Size, *, whole: bool) -> World:
    """The world, in a migrated and empty database. Only the product needs the `whole` of it."""
    pool = Pool(dsn, SEEDERS, name="benchmarks")
    runtime = Runtime(pool, clock.utc, keys, CLOSINGS)
    each = size.customers // size.merchants
    try:
        many = await _credential(runtime, size.merchants, each)
        hot = await _credential(runtime, 1, size.customers)
        alone = await _credential(runtime, size.merchants, each) if whole else None
        tenants = [await _credential(runtime, 1, size.customers_each) for _ in range(size.tenants if whole else 0)]
        return World(many, hot, alone, tuple(tenants))
    finally:
        await pool.close()


async def _credential(runtime: Runtime, shops: int, customers_each: int) -> Credential:
    """A new programme's production tenant, its merchants and their customers. Telephones may repeat between tenants."""
    now = runtime.clock()
    async with runtime.pool.lend() as db, db.connection.transaction():
        programme = await partners.add_programme(db, "Northwind", now)
        partner = await partners.add_partner(db, "Harbour Support", now)
        agreement = await partners.agree(db, partner.id, programme.id, "own", now)
        tenant = programme.production
        scopes = frozenset(scope for scope in partners.SCOPES if "sandbox" not in scope)
        new = partners.NewClient(tenant.id, agreement.id, "benchmarks", scopes, None, RATE, RATE)
        client, secret = await partners.add_client(db, runtime.keys, new, now)
    caller = Caller(
        tenant, partner.id, client.id, scopes, None, sees_programme=False, rate_per_minute=RATE, rate_burst=RATE
    )
    made = []
    async with runtime.work(tenant) as work:
        for number in range(shops):
            shop = await merchants.add(
                work, merchants.NewMerchant(f"Café Luna {number + 1}", "USD", "US", "America/New_York")
            )
            made.append(Shop(shop.id, KNOWN_FIRST + number * customers_each, customers_each))
    await _give_wallets(runtime, caller, made)
    return Credential(caller, secret, tuple(made))


async def _give_wallets(runtime: Runtime, caller: Caller, shops: Sequence[Shop]) -> None:
    wanted = [(shop.merchant_id, e164) for shop in shops for e164 in shop.phones]
    chunks = iter([wanted[at : at + CHUNK] for at in range(0, len(wanted), CHUNK)])

    async def seed() -> None:
        for chunk in chunks:
            users = await _all(
                runtime,
                caller.tenant,
                customers.create,
                [customers.CreateUser(_asked(caller), phone=e164, phone_verified=True) for _, e164 in chunk],
            )
            opening = [
                enrolment.OpenWallet(_asked(caller), user.resource_id, merchant_id, merchant_named=True)
                for user, (merchant_id, _) in zip(users, chunk, strict=True)
            ]
            await _all(runtime, caller.tenant, enrolment.open_wallet, opening)

    await asyncio.gather(*(seed() for _ in range(SEEDERS)))


def _asked(caller: Caller) -> Asked:
    return Asked(caller, ids.new(), "POST", "benchmarks", str(ids.new()))


async def _all(runtime: Runtime, tenant: Tenant, verb: Verb[Any, Any], commands: Sequence[object]) -> list[Answer]:
    answers: list[Answer] = []
    for outcome in await run_batch(runtime, verb, tenant, commands):
        if isinstance(outcome, Exception):
            raise outcome
        answers.append(outcome)
    return answers
