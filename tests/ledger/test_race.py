"""Several connections at once: nothing is lost, nothing deadlocks, no limit gives way."""

import asyncio

import pytest

from tallystick import ledger
from tallystick.base import ids
from tallystick.ledger import Hold, Resolution
from tests.ledger.cast import Books

ROUNDS = 25


async def test_two_writers_on_one_hot_account_lose_nothing(books: Books) -> None:
    hot = await books.receivable()

    async def write() -> None:
        for _ in range(ROUNDS):
            lots = [books.new() for _ in range(4)]
            journals = [books.journal((hot, lot.id, 3)) for lot in lots]
            assert await books.post(*journals, opening=lots) == ["posted"] * 4

    await asyncio.gather(write(), write(), write())
    entries = await books.entries(hot)
    assert await books.balance(hot) == -3 * 3 * 4 * ROUNDS
    assert [each.version for each in entries] == list(range(1, len(entries) + 1))


async def test_accounts_named_in_opposite_order_do_not_deadlock(books: Books) -> None:
    accounts = [await books.receivable() for _ in range(6)]

    async def write(first: int, step: int) -> None:
        for n in range(ROUNDS):
            turn = accounts[n % 6 :] + accounts[: n % 6]
            pairs = zip(turn[first::step], turn[first + step :: step], strict=False)
            journals = [books.journal((payer, payee, 1)) for payer, payee in pairs]
            assert set(await books.post(*journals)) == {"posted"}

    await asyncio.gather(write(0, 1), write(5, -1), write(0, 2), write(5, -1), write(0, 1))


async def test_rivals_for_the_last_cent_get_it_once(books: Books) -> None:
    lot, merchant = await books.lot(10), await books.receivable()
    verdicts = await asyncio.gather(*(books.post(books.journal((lot, merchant, 1))) for _ in range(20)))
    assert sorted(verdict for [verdict] in verdicts) == ["below_floor"] * 10 + ["posted"] * 10


async def test_rivals_to_hold_the_last_cents_hold_them_once(books: Books) -> None:
    lot = await books.lot(10)

    async def reserve() -> list[ledger.HoldVerdict]:
        async with books.work() as work:
            return await ledger.hold(work, [Hold(ids.new(), lot, 1, ids.new())])

    verdicts = await asyncio.gather(*(reserve() for _ in range(20)))
    assert sorted(verdict for [verdict] in verdicts) == ["below_floor"] * 10 + ["held"] * 10


async def test_rivals_for_a_hold_resolve_it_once(books: Books) -> None:
    lot, merchant = await books.lot(10), await books.receivable()
    hold = Hold(ids.new(), lot, 10, ids.new())
    async with books.work() as work:
        assert await ledger.hold(work, [hold]) == ["held"]

    async def end(n: int) -> ledger.ResolutionVerdict:
        capture = Resolution(hold.id, "captured", books.journal((lot, merchant, 4)))
        async with books.work() as work:
            [verdict] = await ledger.resolve(work, [capture if n % 2 else Resolution(hold.id, "released")])
        return verdict

    verdicts = await asyncio.gather(*(end(n) for n in range(12)))
    assert sorted(verdicts) == ["already_resolved"] * 11 + ["resolved"]
    account = await books.account(lot)
    assert account is not None
    assert account.held == 0


async def test_what_a_work_posted_is_gone_when_it_fails(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()

    async def post_and_fail() -> None:
        async with books.work() as work:
            assert await ledger.post(work, [books.journal((receivable, lot.id, 5))], [lot]) == ["posted"]
            raise KeyError("something else went wrong")

    with pytest.raises(KeyError):
        await post_and_fail()
    assert await books.balance(receivable) == 0
    assert await books.balance(lot.id) is None
