"""Closing a period of a book step by step, for the tests of the ledger."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from tallystick.base import ids
from tallystick.base.clock import END_OF_TIME
from tallystick.base.work import Asked, Caller, Tenant
from tallystick.ledger import periods, periods_figures
from tallystick.ledger.periods_model import Period
from tests.ledger.cast import Books
from tests.world import T0

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
END = T0 + DAY
LATER = END + HOUR


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
