"""The proof names whatever changed in a closed period. Each test plants one corruption as a superuser."""

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
from tallystick.ledger import periods_proof
from tests import world
from tests.ledger.cast import Books
from tests.ledger.closing import END, HOUR, LATER, close
from tests.world import T0

ENTRIES = "a closed period's entries are those it was sealed with"
SUMS = "a closed period's sums are those it was sealed with"
LATE = "nothing is recorded in a period once it is closed"
FENCES = "periods follow each other up to the fence"

OF_LOT = "where account_id = $1 and version = 2"
CORRUPTIONS = {
    "an entry of a closed period is changed together with its other half": (
        (
            "update entries set amount = amount * 2, balance_after = 40 where account_id = $1 and version = 2;"
            "update entries set amount = amount * 2, balance_after = -40 where account_id = $2 and version = 2;"
            "update entries set balance_after = 35 where account_id = $1 and version = 3;"
            "update entries set balance_after = -35 where account_id = $2 and version = 3;"
            "update accounts set balance = 35 where id = $1; update accounts set balance = -35 where id = $2"
        ),
        {ENTRIES, SUMS},
    ),
    "an entry is dated out of the closed period": (
        f"update entries set at = '{END.isoformat()}' {OF_LOT}",
        {ENTRIES, SUMS},
    ),
    "a journal of a closed period is of another kind": (
        f"update journals set kind = 'lot.expire' where id = (select journal_id from entries {OF_LOT})",
        {ENTRIES, SUMS},
    ),
    "something is posted into a closed period afterwards": (
        (
            f"update entries set at = '{(END - HOUR).isoformat()}' where version = 3;"
            f"update journals set recorded_at = '{(LATER + HOUR).isoformat()}', at = '{(END - HOUR).isoformat()}'"
            " where id = (select journal_id from entries where account_id = $1 and version = 3)"
        ),
        {ENTRIES, SUMS, LATE},
    ),
    "a seal is forged": ("update periods set digest = sha256('') where number = 1", {ENTRIES}),
    "a count is forged": ("update periods set entries = entries + 1 where number = 1", {ENTRIES}),
    "sums are forged": ("update periods set sums = '{}' where number = 1", {SUMS}),
    "a fence is moved": ("update book_closings set closed_until = closed_until - interval '1 s'", {FENCES}),
    "a fence is gone": ("delete from book_closings", {FENCES}),
    "a fence has no period": ("delete from periods", {FENCES}),
    "a period is missing": ("delete from periods where number = 1", {FENCES}),
    "a period leaves a gap": (
        "update periods set starts_at = starts_at + interval '1 s' where number = 2",
        {FENCES},
    ),
}


@pytest.fixture(scope="module")
async def loose(fresh: Callable[[], Any]) -> str:
    """A database of its own, in which the owner may change everything."""
    address: str = await fresh()
    await migrate(address)
    connection = await asyncpg.connect(address)
    for table in ("accounts", "journals", "entries", "periods", "book_closings"):
        await connection.execute(f"alter table {table} no force row level security")
    await connection.close()
    return address


@pytest.fixture
async def planter(loose: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(loose)
    yield connection
    for table in ("accounts", "journals", "entries", "periods", "book_closings"):
        await connection.execute(f"delete from {table}")
    await connection.close()


@pytest.fixture
async def inspector(loose: str) -> AsyncIterator[Db]:
    connection = await asyncpg.connect(loose, statement_cache_size=0)
    await connection.execute("set role tallystick_auditor")
    yield Db(connection)
    await connection.close()


@pytest.fixture
async def written(loose: str, keys: MasterKeys) -> AsyncIterator[tuple[Books, UUID, UUID]]:
    """Books with two closed periods: a lot was given value and more of it in the first, and spent behind both."""
    pool = Pool(loose, 2)
    runtime = Runtime(pool, lambda: world.T0, keys, [events.number])
    books = Books(runtime, await world.northwind(runtime, "production"))
    receivable, lot = await books.receivable(), books.new()
    await books.post(books.journal((receivable, lot.id, 10)), opening=[lot])
    await books.post(books.journal((receivable, lot.id, 15)), at=T0 + HOUR)
    await close(books)
    await close(books, END + HOUR // 2)
    await books.post(books.journal((lot.id, receivable, 5)), at=LATER)
    yield books, lot.id, receivable
    await pool.close()


@pytest.mark.parametrize(("plant", "named"), CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
async def test_a_corruption_of_a_closed_period_is_named(
    planter: "asyncpg.Connection[asyncpg.Record]",
    written: tuple[Books, UUID, UUID],
    inspector: Db,
    plant: str,
    named: set[str],
) -> None:
    books, lot, receivable = written
    assert await ledger.check_books(inspector) == []
    await planter.execute(plant.replace("$1", f"'{lot}'").replace("$2", f"'{receivable}'"))
    faults = await ledger.check_books(inspector)
    assert {fault.invariant for fault in faults} & periods_proof.INVARIANTS.keys() == named
    assert {fault.tenant_id for fault in faults} == {books.tenant.id}
    assert all(fault.sentence.endswith(".") for fault in faults)
    assert await ledger.check_books(inspector, ids.new()) == []


def test_every_invariant_of_periods_has_a_corruption() -> None:
    assert set().union(*(named for _, named in CORRUPTIONS.values())) == set(periods_proof.INVARIANTS)
