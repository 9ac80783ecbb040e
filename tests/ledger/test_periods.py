"""Closed periods: nothing is dated into one, nobody slips in while it closes, and the proof names whatever changed in it since."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tallystick import events, ledger
from tallystick.base import ids
from tallystick.base.clock import END_OF_TIME
from tallystick.base.db import Db, Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.ledger import periods, periods_figures, periods_proof
from tallystick.ledger.periods_model import Movement, Period, sums_of, text_of
from tests import world
from tests.ledger.cast import Books
from tests.world import T0

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
END = T0 + DAY
LATER = END + HOUR

STOPPED = "select count(*) from pg_locks where not granted and relation = 'accounts'::regclass"


def asked(tenant: Tenant) -> Asked:
    """The request of somebody who keeps the books."""
    caller = Caller(tenant, ids.new(), ids.new(), frozenset(), None, True, 1, 1)
    return Asked(caller, ids.new(), "POST", "/api/v1/periods")


async def begin(books: Books, ends_at: datetime = END, at: datetime = LATER) -> Period:
    async with books.work(at) as work:
        last = await periods.lock_book(work, books.merchant_id)
        begun = last.ends_at if last is not None else T0
        period = await periods.begin(
            work, books.merchant_id, books.currency, begun, ends_at, after=last, asked=asked(books.tenant)
        )
        # Closed step by step here: never due for a loop that another test runs.
        sql = "update periods set due_at = $3 where tenant_id = $1 and id = $2"
        await work.db.run(sql, books.tenant.id, period.id, END_OF_TIME)
        return period


async def fence(books: Books, period: Period, at: datetime = LATER) -> Period:
    """Set the fence, and note which transactions began before."""
    async with books.work(at) as work:
        await periods.lock_book(work, books.merchant_id)
        if await periods.is_unfenced(work, period):
            await periods.fence(work, period)
    async with books.work(at) as work:
        return replace(period, cut=await periods.cut(work, period))


async def has_drained(books: Books, period: Period) -> bool:
    async with books.runtime.reading(books.tenant) as work:
        return await periods.has_drained(work, period)


async def seal(books: Books, period: Period, at: datetime = LATER) -> Period | None:
    async with books.runtime.reading(books.tenant) as work:
        figures = await periods_figures.figures(work, books.merchant_id, period.starts_at, period.ends_at)
    async with books.work(at) as work:
        return await periods.seal(work, period, figures)


async def close(books: Books, ends_at: datetime = END, at: datetime = LATER) -> Period:
    """Every step at once."""
    period = await fence(books, await begin(books, ends_at, at), at)
    while not await has_drained(books, period):  # noqa: ASYNC110 -- the server has no event for it
        await asyncio.sleep(0.01)
    closed = await seal(books, period, at)
    assert closed is not None
    return closed


async def dates(books: Books, account_id: UUID) -> list[datetime]:
    return [each.at for each in await books.entries(account_id)]


async def test_what_is_posted_after_a_close_is_dated_in_the_open_period(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()
    await books.post(books.journal((receivable, lot.id, 50)), opening=[lot])
    await close(books)
    late, fresh = books.journal((lot.id, receivable, 7)), books.new()
    opening = books.journal((receivable, fresh.id, 3))
    assert await books.post(late, opening, opening=[fresh], at=T0 + HOUR) == ["posted"] * 2
    assert await dates(books, lot.id) == [T0, END]
    assert await dates(books, receivable) == [T0, END, END]
    assert await dates(books, fresh.id) == [END]
    async with books.runtime.reading(books.tenant) as work:
        rows = await work.db.rows(
            "select at from journals where tenant_id = $1 and id = any($2)", books.tenant.id, [late.id, opening.id]
        )
        assert [row[0] for row in rows] == [END, END]
        assert await ledger.balance(work, lot.id, END - HOUR) == 50
        assert await ledger.balance(work, lot.id, END) == 43


async def test_time_goes_on_behind_the_fence_as_before(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()
    await close(books)
    await books.post(books.journal((receivable, lot.id, 5)), opening=[lot], at=END + 2 * HOUR)
    await books.post(books.journal((receivable, lot.id, 5)), at=END + 3 * HOUR)
    assert await dates(books, lot.id) == [END + 2 * HOUR, END + 3 * HOUR]


async def test_other_books_are_not_held_back(books: Books) -> None:
    neighbour = Books(books.runtime, books.tenant)
    receivable, lot = await neighbour.receivable(), neighbour.new()
    await close(books)
    await neighbour.post(neighbour.journal((receivable, lot.id, 5)), opening=[lot], at=T0 + HOUR)
    assert await dates(neighbour, lot.id) == [T0 + HOUR]


async def test_one_call_in_two_books_is_dated_book_by_book(books: Books) -> None:
    other = Books(books.runtime, books.tenant)
    here, there = await books.receivable(), await other.receivable()
    lot, foreign = books.new(), other.new()
    await close(books)
    journals = [books.journal((here, lot.id, 1)), other.journal((there, foreign.id, 1))]
    async with books.work(T0 + HOUR) as work:
        assert await ledger.post(work, journals, [lot, foreign]) == ["posted"] * 2
    assert (await dates(books, lot.id), await dates(other, foreign.id)) == ([END], [T0 + HOUR])


async def test_a_period_is_sealed_with_what_moved_in_it(books: Books, auditor: Db) -> None:
    receivable = await books.receivable()
    lot = replace(books.new(), lot_class="promotional")
    await books.post(books.journal((receivable, lot.id, 50)), opening=[lot])
    spent = books.journal((lot.id, receivable, 20), kind="payment.capture")
    await books.post(spent, at=T0 + HOUR)
    await books.post(books.journal((receivable, lot.id, 4)), at=END)
    closed = await close(books)
    assert (closed.number, closed.status, closed.starts_at, closed.ends_at) == (1, "closed", T0, END)
    assert closed.entries == 4
    assert closed.movements() == {
        Movement("wallet.lot", "promotional", "reward.issue", True): 50,
        Movement("wallet.lot", "promotional", "payment.capture", False): -20,
        Movement("merchant.receivable", None, "reward.issue", False): -50,
        Movement("merchant.receivable", None, "payment.capture", True): 20,
    }
    second = await close(books, END + DAY, END + 2 * DAY)
    assert (second.number, second.starts_at, second.entries) == (2, END, 2)
    assert closed.digest != second.digest
    assert await ledger.check_books(auditor, books.tenant.id) == []


async def test_a_period_in_which_nothing_moved_is_closed_too(books: Books, auditor: Db) -> None:
    closed = await close(books)
    assert (closed.entries, closed.movements()) == (0, {})
    assert await ledger.check_books(auditor, books.tenant.id) == []


async def test_a_long_account_is_reckoned_up_as_the_proof_does(
    books: Books, auditor: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks, pages and intervals that begin in the middle of an account."""
    monkeypatch.setattr(periods_figures, "ENTRIES_AT_ONCE", 1_000)
    monkeypatch.setattr(periods_figures, "ACCOUNTS_AT_ONCE", 3)
    receivable, lot = await books.receivable(), await books.lot(1)
    for n in range(5):
        many = books.journal(*[(receivable, lot, 1), (lot, receivable, 1)] * 600)
        await books.post(many, at=T0 + n * 10 * HOUR)
    for _ in range(7):
        await books.post(books.journal((receivable, await books.lot(2), 1)), at=T0 + 30 * HOUR)
    first = await close(books)
    second = await close(books, END + DAY, END + 2 * DAY)
    assert first.entries == 3 * 2_400 + 2 + 14
    assert second.entries == 2 * 2_400 + 14
    assert await ledger.check_books(auditor, books.tenant.id) == []


async def test_whoever_began_before_the_fence_is_waited_for(books: Books, auditor: Db) -> None:
    receivable, lot = await books.receivable(), await books.lot(10)
    period = await begin(books)
    async with books.work(T0 + HOUR) as work:
        assert await ledger.post(work, [books.journal((lot, receivable, 4))]) == ["posted"]
        period = await fence(books, period)
        assert not await has_drained(books, period)
        assert not await has_drained(books, period)
    while not await has_drained(books, period):  # noqa: ASYNC110 -- the server has no event for it
        await asyncio.sleep(0.01)
    closed = await seal(books, period)
    assert closed is not None
    assert closed.entries == 4
    assert await ledger.check_books(auditor, books.tenant.id) == []


async def test_whoever_only_opens_accounts_is_waited_for_too(
    books: Books, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Such a poster locks no row: stopped behind its look for a fence, it must have an id all the same."""
    period = await begin(books)
    payer, payee = books.new(floor=None), books.new()
    async with owner.transaction():
        await owner.execute("lock table accounts in share mode")  # stops what inserts, not what locks rows
        journal = books.journal((payer.id, payee.id, 4))
        posting = asyncio.create_task(books.post(journal, opening=[payer, payee], at=T0 + HOUR))
        while not await owner.fetchval(STOPPED):  # noqa: ASYNC110 -- the server has no event for it
            await asyncio.sleep(0.01)
        period = await fence(books, period)
        assert not await has_drained(books, period)
    assert await posting == ["posted"]
    assert await dates(books, payee.id) == [T0 + HOUR]
    while not await has_drained(books, period):  # noqa: ASYNC110 -- the server has no event for it
        await asyncio.sleep(0.01)
    closed = await seal(books, period)
    assert closed is not None
    assert closed.entries == 2


async def test_whoever_begins_behind_the_fence_is_not_waited_for(books: Books) -> None:
    receivable, lot = await books.receivable(), await books.lot(10)
    period = await fence(books, await begin(books))
    async with books.work(T0 + HOUR) as work:
        assert await ledger.post(work, [books.journal((lot, receivable, 4))]) == ["posted"]
        while not await has_drained(books, period):  # noqa: ASYNC110 -- the server has no event for it
            await asyncio.sleep(0.01)
    assert await dates(books, lot) == [T0, END]


async def test_a_server_filled_from_a_dump_is_not_waited_for_for_ever(books: Books) -> None:
    period = replace(await fence(books, await begin(books)), cut=2**60)
    assert await has_drained(books, period)


async def test_twenty_posters_racing_a_close_slip_nothing_in(books: Books, auditor: Db) -> None:
    receivable = await books.receivable()
    lots = [await books.lot(100) for _ in range(5)]
    stopping = asyncio.Event()

    async def post(n: int) -> int:
        posted = 0
        while not stopping.is_set():
            fresh = books.new()
            journals = [books.journal((lots[n % 5], receivable, 1)), books.journal((receivable, fresh.id, 1))]
            await books.post(*journals, opening=[fresh], at=T0 + HOUR if n % 2 else LATER)
            posted += 1
            await asyncio.sleep(0)
            if posted == 20:
                break
        return posted

    posters = [asyncio.create_task(post(n)) for n in range(20)]
    await asyncio.sleep(0.05)
    closed = [await close(books), await close(books, END + HOUR // 2)]
    stopping.set()
    assert sum(await asyncio.gather(*posters)) > 0
    assert [period.number for period in closed] == [1, 2]
    assert await ledger.check_books(auditor, books.tenant.id) == []


async def test_a_period_is_sealed_once(books: Books) -> None:
    period = await fence(books, await begin(books))
    assert await seal(books, period) is not None
    assert await seal(books, period) is None
    assert await fence(books, period) == replace(period, cut=None)


async def test_a_period_without_a_fence_is_not_sealed(books: Books) -> None:
    assert await seal(books, await begin(books)) is None


async def test_movements_and_balances_roll_forward_however_the_interval_is_cut(books: Books) -> None:
    receivable, lot = await books.receivable(), await books.lot(50)
    for hour in range(1, 8):
        await books.post(books.journal((lot, receivable, hour)), at=T0 + hour * HOUR)
    async with books.runtime.reading(books.tenant) as work:
        merchant = books.merchant_id
        for cut in (T0, T0 + HOUR, T0 + 5 * HOUR, T0 + 9 * HOUR):
            halves = [
                await periods_figures.movements(work, merchant, T0, cut),
                await periods_figures.movements(work, merchant, cut, END),
            ]
            whole = await periods_figures.movements(work, merchant, T0, END)
            for movement, moved in whole.items():
                parts = [half[movement] for half in halves if movement in half]
                assert sum(part.amount for part in parts) == moved.amount
                assert sum(part.entries for part in parts) == moved.entries
            before = await periods_figures.balances(work, merchant, cut)
            assert before.get(("wallet.lot", None), 0) == sum(
                each.amount for movement, each in halves[0].items() if movement.code == "wallet.lot"
            )


def test_sums_are_read_back_as_they_were_kept() -> None:
    sums = {Movement("a.b", None, "c.d", True): 5, Movement("a.b", "paid", "c.d", False): -(2**62)}
    assert sums_of(text_of(sums)) == sums


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
