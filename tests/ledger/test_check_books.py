"""The proof finds what is wrong. Each test plants one corruption as a superuser and sees it named."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tallystick import events, ledger
from tallystick.base import ids
from tallystick.base.db import Db, Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.work import Runtime
from tallystick.ledger import Hold, Resolution
from tallystick.ledger.proof import INVARIANTS
from tests import world
from tests.ledger.cast import Books

CHAIN = "an account's entries form a chain"
SUMS = "an account's row is the sum of its entries"
LIMITS = "an account stays within its limits"
HALVES = "a transfer has two equal and opposite halves"
ZERO = "a book sums to nothing"
BELONGING = "an entry belongs to a journal of its account's book"
LEGS = "a journal's legs are whole"
HELD = "what is held is the sum of open holds"
ONCE = "a hold resolves once"
CAPTURED = "a capture takes what it says from what was held"

CORRUPTIONS = {
    "a version is missing": ("update entries set version = 4 where version = 3 and account_id = $1", {CHAIN, SUMS}),
    "the first version is not 1": (
        (
            "update entries set version = version + 1 where account_id = $1 and version = 3;"
            "update entries set version = version + 1 where account_id = $1 and version = 2;"
            "update entries set version = version + 1 where account_id = $1 and version = 1;"
            "update accounts set version = 4 where id = $1"
        ),
        {CHAIN, SUMS},
    ),
    "a balance after is wrong": (
        "update entries set balance_after = 61 where account_id = $1 and version = 2",
        {CHAIN},
    ),
    "time goes back": ("update entries set at = at - interval '1 s' where account_id = $1 and version = 2", {CHAIN}),
    "a balance is wrong": ("update accounts set balance = balance + 1 where id = $1", {SUMS, ZERO}),
    "a version count is wrong": ("update accounts set version = version + 1 where id = $1", {SUMS}),
    "an account's last time is before its last entry": (
        "update accounts set last_at = last_at - interval '1 s' where id = $1",
        {SUMS},
    ),
    "an account is missing": ("delete from accounts where id = $1", {SUMS, HELD, ZERO}),
    "an entry is missing": ("delete from entries where account_id = $1 and version = 3", {SUMS, HALVES, CAPTURED}),
    "money appears in one entry": (
        (
            "update entries set amount = amount + 1, balance_after = balance_after + 1 where account_id = $1 and version = 3;"
            "update accounts set balance = balance + 1 where id = $1"
        ),
        {HALVES, ZERO, CAPTURED},
    ),
    "a limit of nothing did not hold at some version": (
        "update entries set balance_after = -1 where account_id = $1 and version = 2",
        {CHAIN, LIMITS},
    ),
    "a ceiling of nothing did not hold at some version": (
        (
            "update accounts set floor = null, ceiling = 0, balance = -1 where id = $1;"
            "update entries set balance_after = -1 where account_id = $1 and version = 3"
        ),
        {CHAIN, SUMS, ZERO, LIMITS},
    ),
    "a floor does not hold": ("update accounts set floor = 46 where id = $1", {LIMITS}),
    "a ceiling does not hold": ("update accounts set ceiling = 49 where id = $1", {LIMITS}),
    "more is held than there is": ("update accounts set held = held + 51 where id = $1", {LIMITS, HELD}),
    "a counterpart is another": (
        "update entries set counterpart_id = gen_random_uuid() where account_id = $1 and version = 1",
        {HALVES},
    ),
    "an entry names itself": (
        "update entries set counterpart_id = account_id where account_id = $1 and version = 1",
        {HALVES},
    ),
    "a leg has another number": ("update entries set leg = 7 where account_id = $1 and version = 1", {HALVES, LEGS}),
    "a journal is missing": (
        "delete from journals where id = (select journal_id from entries where account_id = $1 and version = 1)",
        {BELONGING},
    ),
    "a journal is of another merchant": (
        (
            "update journals set merchant_id = gen_random_uuid()"
            " where id = (select journal_id from entries where account_id = $1 and version = 1)"
        ),
        {BELONGING},
    ),
    "an account is in another currency": ("update accounts set currency = 'EUR' where id = $1", {BELONGING, ZERO}),
    "a journal moves nothing": (
        (
            "insert into journals (tenant_id, id, merchant_id, currency, kind, cause_id, at, recorded_at)"
            " select tenant_id, gen_random_uuid(), merchant_id, currency, 'none', id, last_at, last_at from accounts where id = $1"
        ),
        {LEGS},
    ),
    "what is held has no hold": ("update accounts set held = held + 1 where id = $1", {HELD}),
    "an open hold is not counted": ("update accounts set held = 0 where id = $1", {HELD}),
    "a hold is of an unknown account": (
        "update holds set account_id = gen_random_uuid() where account_id = $1 and amount = 5",
        {HELD},
    ),
    "a hold resolved twice": (
        (
            "insert into hold_resolutions select * from hold_resolutions where kind = 'released'"
            " and hold_id in (select id from holds where account_id = $1)"
        ),
        {ONCE},
    ),
    "more was captured than held": (
        "update holds set amount = 9 where account_id = $1 and amount = 10",
        {CAPTURED},
    ),
    "the capture's journal took another amount": (
        (
            "update hold_resolutions set captured = 9 where kind = 'captured'"
            " and hold_id in (select id from holds where account_id = $1)"
        ),
        {CAPTURED},
    ),
    "a release captured": (
        (
            "update hold_resolutions set kind = 'released' where kind = 'captured'"
            " and hold_id in (select id from holds where account_id = $1)"
        ),
        {CAPTURED},
    ),
    "a resolution has no hold": ("delete from holds where account_id = $1 and amount = 7", {CAPTURED}),
}


@pytest.fixture(scope="module")
async def loose(fresh: Callable[[], Any]) -> str:
    """A database of its own, without the constraints that would refuse a corruption."""
    address: str = await fresh()
    await migrate(address)
    connection = await asyncpg.connect(address)
    for row in await connection.fetch(
        "select conrelid::regclass::text, conname from pg_constraint where contype in ('p', 'c')"
        " and conrelid = any(array['accounts', 'entries', 'hold_resolutions']::regclass[])"
    ):
        await connection.execute(f"alter table {row[0]} drop constraint {row[1]}")
    for table in ("accounts", "journals", "entries", "holds", "hold_resolutions"):
        await connection.execute(f"alter table {table} no force row level security")
    await connection.close()
    return address


@pytest.fixture
async def planter(loose: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(loose)
    yield connection
    for table in ("accounts", "journals", "entries", "holds", "hold_resolutions"):
        await connection.execute(f"delete from {table}")
    await connection.close()


@pytest.fixture
async def inspector(loose: str) -> AsyncIterator[Db]:
    connection = await asyncpg.connect(loose, statement_cache_size=0)
    await connection.execute("set role tallystick_auditor")
    yield Db(connection)
    await connection.close()


@pytest.fixture
async def written(loose: str, keys: MasterKeys) -> AsyncIterator[tuple[Books, UUID]]:
    """Books with a lot of three entries and three holds: one captured in part, one released, one open."""
    pool = Pool(loose, 2)
    runtime = Runtime(pool, lambda: world.T0, keys, [events.number])
    books = Books(runtime, await world.northwind(runtime, "production"))
    receivable, lot = await books.receivable(), books.new()
    await books.post(books.journal((receivable, lot.id, 50)), books.journal((receivable, lot.id, 10)), opening=[lot])
    captured, released, still = (Hold(ids.new(), lot.id, amount, ids.new()) for amount in (10, 7, 5))
    async with books.work() as work:
        assert set(await ledger.hold(work, [captured, released, still])) == {"held"}
        capture = Resolution(captured.id, "captured", books.journal((lot.id, receivable, 10)))
        assert set(await ledger.resolve(work, [capture, Resolution(released.id, "released")])) == {"resolved"}
    yield books, lot.id
    await pool.close()


async def test_whole_books_have_no_fault(planter: object, written: tuple[Books, UUID], inspector: Db) -> None:
    assert await ledger.check_books(inspector) == []


async def test_the_proof_joins_the_snapshot_of_whoever_asks(
    planter: "asyncpg.Connection[asyncpg.Record]", written: tuple[Books, UUID], inspector: Db
) -> None:
    await inspector.script("begin isolation level repeatable read read only")
    assert await ledger.check_books(inspector) == []
    await planter.execute("update accounts set balance = 7")
    assert await ledger.check_books(inspector) == []
    await inspector.script("rollback")
    assert await ledger.check_books(inspector) != []


@pytest.mark.parametrize(("plant", "named"), CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
async def test_a_corruption_is_named(
    planter: "asyncpg.Connection[asyncpg.Record]",
    written: tuple[Books, UUID],
    inspector: Db,
    plant: str,
    named: set[str],
) -> None:
    books, lot = written
    await planter.execute(plant.replace("$1", f"'{lot}'"))
    faults = await ledger.check_books(inspector)
    assert {fault.invariant for fault in faults} == named
    assert {fault.tenant_id for fault in faults} == {books.tenant.id}
    assert all(fault.sentence.endswith(".") for fault in faults)
    assert set(await ledger.check_books(inspector, books.tenant.id)) == set(faults)
    assert await ledger.check_books(inspector, ids.new()) == []


def test_every_invariant_has_a_corruption() -> None:
    assert set().union(*(named for _, named in CORRUPTIONS.values())) == set(INVARIANTS)


async def test_a_thousand_faults_are_told_by_the_first_ones(
    planter: "asyncpg.Connection[asyncpg.Record]", written: tuple[Books, UUID], inspector: Db
) -> None:
    books, _ = written
    async with books.work() as work:
        await ledger.open_accounts(work, [books.new() for _ in range(300)])
    await planter.execute("update accounts set version = 9 where version = 0")
    assert len(await ledger.check_books(inspector)) == 100
