"""Terms change: an account's limits may move, as long as its balance is within them."""

from tallystick import ledger
from tallystick.base import ids
from tallystick.ledger import Hold
from tests.ledger.cast import Books


async def test_a_limit_moves_only_to_where_the_balance_is_within_it(books: Books) -> None:
    receivable, other = await books.open("merchant.receivable", floor=-500), await books.receivable()
    await books.post(books.journal((receivable, other, 500)), books.journal((other, receivable, 400)))
    async with books.work() as work:
        assert await ledger.hold(work, [Hold(ids.new(), receivable, 50, ids.new())]) == ["held"]
        assert await ledger.limit(work, receivable, floor=-149, ceiling=None) == "below_floor"
        assert await ledger.limit(work, receivable, floor=None, ceiling=-101) == "above_ceiling"
        assert await ledger.limit(work, ids.new(), floor=None, ceiling=None) == "unknown_account"
        assert await ledger.limit(work, receivable, floor=-150, ceiling=-100) == "limited"
    assert await books.post(books.journal((receivable, other, 1)), books.journal((other, receivable, 1))) == [
        "below_floor",
        "above_ceiling",
    ]


async def test_a_limit_that_was_tightened_does_not_accuse_the_past(books: Books) -> None:
    receivable, other = await books.open("merchant.receivable", floor=-500), await books.receivable()
    await books.post(books.journal((receivable, other, 500)), books.journal((other, receivable, 400)))
    async with books.work() as work:
        assert await ledger.limit(work, receivable, floor=-200, ceiling=None) == "limited"
