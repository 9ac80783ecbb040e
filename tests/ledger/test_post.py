"""Posting: journals with a verdict each."""

from datetime import timedelta

import asyncpg
import pytest

from tallystick import ledger
from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant
from tests.ledger.cast import Books
from tests.world import T0

MOST = 2**62 - 1


async def test_a_transfer_makes_two_entries_that_name_each_other(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()
    journal = books.journal((receivable, lot.id, 500))
    assert await books.post(journal, opening=[lot]) == ["posted"]
    [debit], [credit] = await books.entries(receivable), await books.entries(lot.id)
    assert (debit.amount, debit.balance_after, debit.counterpart_id) == (-500, -500, lot.id)
    assert (credit.amount, credit.balance_after, credit.counterpart_id) == (500, 500, receivable)
    assert {debit.journal_id, credit.journal_id} == {journal.id}
    assert {(each.version, each.leg, each.at) for each in (debit, credit)} == {(1, 1, T0)}
    assert (credit.kind, credit.cause_id) == ("reward.issue", journal.cause_id)


async def test_an_account_opens_as_it_was_described(books: Books) -> None:
    lot = ledger.NewAccount(
        id=ids.new(),
        merchant_id=books.merchant_id,
        currency="USD",
        code="wallet.lot",
        owner_id=ids.new(),
        parent_id=ids.new(),
        lot_class="compensation",
        funder_id=ids.new(),
        expires_at=T0 + timedelta(days=30),
        floor=-7,
        ceiling=900,
    )
    assert await books.post(books.journal((await books.receivable(), lot.id, 500)), opening=[lot]) == ["posted"]
    account = await books.account(lot.id)
    assert account is not None
    assert {name: getattr(account, name) for name in lot.__struct_fields__} == {
        name: getattr(lot, name) for name in lot.__struct_fields__
    }
    assert (account.balance, account.held, account.version, account.available) == (500, 0, 1, 500)


async def test_a_refused_journal_leaves_no_trace_and_its_neighbours_go_on(books: Books) -> None:
    receivable, prefund = await books.receivable(), await books.open("merchant.prefund", floor=0)
    first, second, third = books.new(), books.new(), books.new()
    journals = [
        books.journal((receivable, prefund, 100)),
        books.journal((prefund, first.id, 60)),
        books.journal((receivable, second.id, 5), (prefund, second.id, 41)),
        books.journal((prefund, third.id, 40)),
    ]
    verdicts = await books.post(*journals, opening=[first, second, third])
    assert verdicts == ["posted", "posted", "below_floor", "posted"]
    assert [await books.balance(each) for each in (prefund, first.id, third.id, receivable)] == [0, 60, 40, -100]
    assert await books.account(second.id) is None
    async with books.runtime.reading(books.tenant) as work:
        rows = await work.db.rows("select id from journals where tenant_id = $1", books.tenant.id)
    assert {row[0] for row in rows} == {journals[0].id, journals[1].id, journals[3].id}


async def test_what_holders_owe_cannot_become_their_claim(books: Books) -> None:
    receivable, owed = await books.receivable(), await books.open("wallet.owed", ceiling=0)
    assert await books.post(books.journal((owed, receivable, 30))) == ["posted"]
    assert await books.post(books.journal((receivable, owed, 31))) == ["above_ceiling"]
    assert await books.post(books.journal((receivable, owed, 30))) == ["posted"]


async def test_limits_hold_between_the_transfers_of_a_journal_too(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()
    overdrawn = books.journal((lot.id, receivable, 1), (receivable, lot.id, 1))
    assert await books.post(overdrawn, opening=[lot]) == ["below_floor"]
    filled = books.journal((receivable, lot.id, 1), (lot.id, receivable, 1))
    assert await books.post(filled, opening=[lot]) == ["posted"]


async def test_one_account_in_many_transfers_counts_every_version(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()
    netted = books.journal((receivable, lot.id, 9), (lot.id, receivable, 4), (receivable, lot.id, 2))
    assert await books.post(netted, books.journal((lot.id, receivable, 7)), opening=[lot]) == ["posted", "posted"]
    found = [(each.version, each.leg, each.amount, each.balance_after) for each in await books.entries(lot.id)]
    assert found == [(1, 1, 9, 9), (2, 2, -4, 5), (3, 3, 2, 7), (4, 1, -7, 0)]


async def test_value_never_crosses_merchants_or_currencies(books: Books, runtime: Runtime, tenant: Tenant) -> None:
    receivable = await books.receivable()
    elsewhere = Books(runtime, tenant)
    in_euro = Books(runtime, tenant, books.merchant_id, "EUR")
    foreign, euro = await elsewhere.receivable(), await in_euro.receivable()
    assert await books.post(
        books.journal((receivable, foreign, 1)),
        books.journal((euro, receivable, 1)),
        elsewhere.journal((receivable, foreign, 1)),
        in_euro.journal((euro, receivable, 1)),
        books.journal((foreign, euro, 1)),
        books.journal((receivable, ids.new(), 1)),
    ) == ["other_book", "other_currency", "other_book", "other_currency", "other_book", "unknown_account"]


async def test_another_tenants_account_is_unknown(books: Books, runtime: Runtime, production: Tenant) -> None:
    theirs = await Books(runtime, production, books.merchant_id).receivable()
    assert await books.post(books.journal((await books.receivable(), theirs, 1))) == ["unknown_account"]


async def test_an_account_whose_first_journal_is_refused_is_not_opened_for_later_ones(books: Books) -> None:
    receivable, prefund, lot = await books.receivable(), await books.open("merchant.prefund", floor=0), books.new()
    unnamed = books.new()
    verdicts = await books.post(
        books.journal((prefund, lot.id, 1)), books.journal((receivable, lot.id, 1)), opening=[lot, unnamed]
    )
    assert verdicts == ["below_floor", "unknown_account"]
    assert await books.account(lot.id) is None
    assert await books.balance(unnamed.id) == 0


async def test_no_sum_leaves_the_range_of_the_books(books: Books) -> None:
    receivable, other = await books.receivable(), await books.receivable()
    for amount in (2**62, 2**63 - 1):
        assert await books.post(books.journal((receivable, other, amount))) == ["too_large"]
    assert await books.post(books.journal((receivable, other, MOST))) == ["posted"]
    assert await books.post(books.journal((receivable, other, 1))) == ["too_large"]
    limited, third = (
        await books.open("merchant.receivable", floor=-(2**63), ceiling=2**63 - 1),
        await books.receivable(),
    )
    assert await books.post(books.journal((limited, third, MOST)), books.journal((limited, other, 1))) == [
        "posted",
        "too_large",
    ]


@pytest.mark.parametrize("amount", [0, -1, -(2**63)])
async def test_a_transfer_of_nothing_is_a_fault_not_a_verdict(books: Books, amount: int) -> None:
    receivable, other = await books.receivable(), await books.receivable()
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await books.post(books.journal((receivable, other, amount)))
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await books.post(books.journal((receivable, receivable, 1)))
    assert await books.entries(receivable) == []


async def test_an_id_is_opened_once(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()
    await books.post(books.journal((receivable, lot.id, 1)), opening=[lot])
    with pytest.raises(asyncpg.UniqueViolationError):
        await books.post(books.journal((receivable, lot.id, 1)), opening=[lot])
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await books.post(books.journal((receivable, lot.id, 1)), opening=[books.new(floor=1)])
    assert await books.balance(lot.id) == 1


async def test_time_does_not_go_back_in_an_account(books: Books) -> None:
    receivable, early, late = await books.receivable(), books.new(), books.new()
    await books.post(books.journal((receivable, late.id, 1)), opening=[late], at=T0 + timedelta(hours=1))
    await books.post(books.journal((receivable, early.id, 1)), opening=[early], at=T0)
    assert [each.at for each in await books.entries(receivable)] == [T0 + timedelta(hours=1)] * 2
    assert [each.at for each in await books.entries(early.id)] == [T0]


async def test_the_balance_at_an_instant_is_what_its_entries_had_made_it(books: Books) -> None:
    receivable, lot = await books.receivable(), books.new()
    for hour, amount in enumerate((5, 7, 11, 13)):
        opening = [] if hour else [lot]
        await books.post(books.journal((receivable, lot.id, amount)), opening=opening, at=T0 + timedelta(hours=hour))
    async with books.runtime.reading(books.tenant) as work:
        moments = [T0 + timedelta(minutes=minutes) for minutes in (-1, 0, 59, 60, 120, 179, 180, 9999)]
        assert [await ledger.balance(work, lot.id, at) for at in moments] == [0, 5, 5, 12, 23, 23, 36, 36]
        assert await ledger.balance(work, lot.id) == 36
        assert await ledger.balance(work, ids.new()) is None
        assert await ledger.balance(work, ids.new(), T0) is None
        page = await ledger.statement(work, lot.id, after_version=1, limit=2)
    assert [(each.version, each.balance_after) for each in page] == [(2, 12), (3, 23)]


async def test_nothing_to_post_is_fine(books: Books) -> None:
    lot = books.new()
    assert await books.post(opening=[lot]) == []
    assert await books.balance(lot.id) == 0
