"""Closed periods: nothing is dated into one, and nobody slips in while it closes."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from msgspec import structs

from tallystick import ledger
from tallystick.base.db import Db
from tallystick.ledger import periods_figures
from tallystick.ledger.periods_model import Movement, sums_of, text_of
from tests.ledger.cast import Books
from tests.ledger.closing import DAY, END, HOUR, LATER, begin, close, dates, fence, has_drained, seal
from tests.world import T0

STOPPED = "select count(*) from pg_locks where not granted and relation = 'accounts'::regclass"


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
    lot = structs.replace(books.new(), lot_class="promotional")
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
