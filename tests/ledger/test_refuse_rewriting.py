"""The books only grow, and each tenant has its own: by the rights of named roles and by row-level security."""

import asyncpg
import pytest

from tallystick import ledger
from tallystick.base import ids
from tallystick.base.db import Pool
from tallystick.base.work import Runtime, Tenant
from tests.ledger.cast import Books


@pytest.mark.parametrize("table", ["journals", "entries", "holds", "hold_resolutions"])
@pytest.mark.parametrize("change", ["update {} set tenant_id = tenant_id", "delete from {}", "truncate {}"])
async def test_the_application_cannot_rewrite_the_books(books: Books, table: str, change: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with books.work() as work:
            await work.db.run(change.format(table))


async def test_the_application_cannot_remove_an_account(books: Books) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with books.work() as work:
            await work.db.run("delete from accounts")


async def test_the_auditor_cannot_post(books: Books, dsn: str) -> None:
    receivable, other = await books.receivable(), await books.receivable()
    pool = Pool(dsn, 1, role="tallystick_auditor")
    runtime = Runtime(pool, books.runtime.clock, books.runtime.keys, [])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await Books(runtime, books.tenant, books.merchant_id).post(books.journal((receivable, other, 1)))
    await pool.close()


async def test_one_tenant_cannot_post_in_the_name_of_another(books: Books, production: Tenant) -> None:
    receivable, lot = await books.receivable(), books.new()
    async with books.runtime.work(production) as work:
        await work.db.run("select set_config('tallystick.tenant', $1, true)", str(books.tenant.id))
        # The second wall: what the statements name is not the tenant this transaction entered.
        assert await ledger.post(work, [books.journal((receivable, ids.new(), 1))]) == ["unknown_account"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ledger.open_accounts(work, [lot])
        await work.db.script("rollback; begin")
