"""Holds: part of an account, reserved until it is captured, released or expired, once."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from tallystick import ledger
from tallystick.base import ids
from tallystick.ledger import Hold, Resolution
from tests.ledger.cast import Books
from tests.world import T0


async def held(books: Books, *wanted: tuple[UUID, int], expires_at: datetime | None = None) -> list[Hold]:
    holds = [Hold(ids.new(), account_id, amount, ids.new(), expires_at) for account_id, amount in wanted]
    async with books.work() as work:
        assert await ledger.hold(work, holds) == ["held"] * len(holds)
    return holds


async def resolved(
    books: Books, *resolutions: Resolution, at: datetime | None = None
) -> list[ledger.ResolutionVerdict]:
    async with books.work(at) as work:
        return await ledger.resolve(work, resolutions)


async def test_a_hold_reserves_what_is_there_and_no_more(books: Books) -> None:
    lot = await books.lot(100)
    wanted = [(lot, 60), (lot, 41), (ids.new(), 1), (lot, 40), (lot, 1), (await books.receivable(), 2**62 - 1)]
    async with books.work() as work:
        verdicts = await ledger.hold(work, [Hold(ids.new(), *each, ids.new()) for each in wanted])
    assert verdicts == ["held", "below_floor", "unknown_account", "held", "below_floor", "held"]
    account = await books.account(lot)
    assert account is not None
    assert (account.balance, account.held, account.available) == (100, 100, 0)
    assert await books.post(books.journal((lot, await books.receivable(), 1))) == ["below_floor"]


async def test_a_capture_takes_its_part_and_releases_the_rest(books: Books) -> None:
    lot, merchant = await books.lot(100), await books.receivable()
    [hold] = await held(books, (lot, 80))
    journal = books.journal((lot, merchant, 50), kind="payment.capture")
    assert await resolved(books, Resolution(hold.id, "captured", journal)) == ["resolved"]
    account = await books.account(lot)
    assert account is not None
    assert (account.balance, account.held, account.version) == (50, 0, 2)
    assert await books.balance(merchant) == 50


async def test_a_hold_resolves_once(books: Books) -> None:
    lot, merchant = await books.lot(100), await books.receivable()
    first, second = await held(books, (lot, 60), (lot, 40))
    assert await resolved(
        books,
        Resolution(first.id, "released"),
        Resolution(first.id, "captured", books.journal((lot, merchant, 60))),
        Resolution(second.id, "captured", books.journal((lot, merchant, 40))),
        Resolution(second.id, "released"),
        Resolution(ids.new(), "released"),
    ) == ["resolved", "already_resolved", "resolved", "already_resolved", "unknown_hold"]
    assert await resolved(books, Resolution(first.id, "released")) == ["already_resolved"]
    assert await books.balance(lot) == 60


async def test_a_refused_capture_leaves_the_hold_for_the_next(books: Books) -> None:
    lot, owed = await books.lot(100), await books.open("wallet.owed", ceiling=0)
    [hold] = await held(books, (lot, 60))
    refused = books.journal((lot, owed, 10))
    above = books.journal((lot, await books.receivable(), 61))
    assert await resolved(
        books,
        Resolution(hold.id, "captured", refused),
        Resolution(hold.id, "captured", above),
        Resolution(hold.id, "captured", books.journal((lot, await books.receivable(), 60))),
    ) == ["above_ceiling", "above_hold", "resolved"]
    assert await books.balance(lot) == 40


async def test_what_one_hold_gives_back_another_capture_may_take(books: Books) -> None:
    lot, merchant = await books.lot(100), await books.receivable()
    first, second = await held(books, (lot, 60), (lot, 40))
    both = books.journal((lot, merchant, 40), (lot, merchant, 1))
    assert await resolved(books, Resolution(second.id, "captured", both)) == ["above_hold"]
    assert await books.post(books.journal((lot, merchant, 1))) == ["below_floor"]
    assert await resolved(books, Resolution(first.id, "released")) == ["resolved"]
    assert await books.post(books.journal((lot, merchant, 60)), books.journal((lot, merchant, 1))) == [
        "posted",
        "below_floor",
    ]


async def test_a_hold_ends_at_its_deadline_and_not_before(books: Books) -> None:
    lot, merchant, deadline = await books.lot(100), await books.receivable(), T0 + timedelta(minutes=5)
    [hold] = await held(books, (lot, 60), expires_at=deadline)
    [lasting] = await held(books, (lot, 40))
    assert await resolved(books, Resolution(hold.id, "expired"), Resolution(lasting.id, "expired")) == ["not_due"] * 2
    late = Resolution(hold.id, "captured", books.journal((lot, merchant, 60)))
    assert await resolved(books, late, at=deadline) == ["hold_expired"]
    assert await resolved(books, Resolution(hold.id, "expired"), at=deadline) == ["resolved"]
    account = await books.account(lot)
    assert account is not None
    assert (account.balance, account.held) == (100, 40)


async def test_a_capture_from_another_account_is_a_fault(books: Books) -> None:
    lot, other, merchant = await books.lot(120), await books.lot(100), await books.receivable()
    [hold] = await held(books, (lot, 60))
    with pytest.raises(AssertionError, match="debits the account that is held"):
        await resolved(books, Resolution(hold.id, "captured", books.journal((other, merchant, 60))))
    with pytest.raises(AssertionError, match="has a journal"):
        await resolved(books, Resolution(hold.id, "captured"))
    with pytest.raises(AssertionError, match="positive"):
        await held(books, (lot, 0))
    with pytest.raises(asyncpg.UniqueViolationError):
        async with books.work() as work:
            await ledger.hold(work, [hold])
