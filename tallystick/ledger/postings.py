"""Journals as the arrays that `ledger_post` takes: accounts and books go by number, counted from 1."""

from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

from tallystick.ledger.model import Journal, NewAccount

NO_BOOK = 0

Freed = tuple[UUID, int]
"""An account, and how much of what is held there an ended hold gives back before its journal runs."""

_order = attrgetter("int")


def arrays(
    journals: Sequence[Journal | None], opening: Sequence[NewAccount], freed: Sequence[Freed] = ()
) -> tuple[Sequence[object], ...]:
    """The arguments of `ledger_post` behind its instants. `freed` is empty, or has one for each journal; then one may be None."""
    books: dict[tuple[UUID, str], int] = {}
    book_of = [
        NO_BOOK if each is None else books.setdefault((each.merchant_id, each.currency), len(books) + 1)
        for each in journals
    ]
    opened_books = [books.setdefault((each.merchant_id, each.currency), len(books) + 1) for each in opening]
    opened = [each.id for each in opening]
    expected = _existing(journals, book_of, opened, freed)
    number = {account_id: n for n, account_id in enumerate((*expected, *opened), 1)}
    transfers = [transfer for journal in journals if journal is not None for transfer in journal.transfers]
    return (
        [merchant_id for merchant_id, _ in books],
        [currency for _, currency in books],
        list(expected),
        list(expected.values()),
        opened,
        opened_books,
        *attributes(opening),
        *_headings(journals),
        book_of,
        _lasts(journals),
        [number[each.debit] for each in transfers],
        [number[each.credit] for each in transfers],
        [each.amount for each in transfers],
        [number[account_id] for account_id, _ in freed],
        [amount for _, amount in freed],
    )


def attributes(opening: Sequence[NewAccount]) -> tuple[Sequence[object], ...]:
    """What new accounts are, but for id and book: code, owner, parent, class, funder, expiry, floor, ceiling."""
    return (
        [each.code for each in opening],
        [each.owner_id for each in opening],
        [each.parent_id for each in opening],
        [each.lot_class for each in opening],
        [each.funder_id for each in opening],
        [each.expires_at for each in opening],
        [each.floor for each in opening],
        [each.ceiling for each in opening],
    )


def _existing(
    journals: Sequence[Journal | None], book_of: Sequence[int], opened: Sequence[UUID], freed: Sequence[Freed]
) -> dict[UUID, int]:
    """The accounts that must be there already, ascending, each with the book in which it is expected."""
    expected: dict[UUID, int] = {}
    for journal, book in zip(journals, book_of, strict=True):
        if journal is not None:
            for transfer in journal.transfers:
                expected.setdefault(transfer.debit, book)
                expected.setdefault(transfer.credit, book)
    for account_id, _ in freed:
        expected.setdefault(account_id, NO_BOOK)
    for account_id in opened:
        expected.pop(account_id, None)
    return {account_id: expected[account_id] for account_id in sorted(expected, key=_order)}


def _headings(journals: Sequence[Journal | None]) -> tuple[Sequence[object], ...]:
    return (
        [each and each.id for each in journals],
        [each and each.kind for each in journals],
        [each and each.cause_id for each in journals],
        [each and each.reverses_id for each in journals],
    )


def _lasts(journals: Sequence[Journal | None]) -> list[int]:
    lasts, last = [], 0
    for journal in journals:
        if journal is not None:
            assert journal.transfers, "a journal moves something"
            last += len(journal.transfers)
        lasts.append(last)
    return lasts
