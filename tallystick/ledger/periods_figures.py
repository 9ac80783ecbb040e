"""What moved in a merchant's books between two instants, read in pages: memory stays flat and no statement runs long.

An interval begins with its first instant and ends before its last. Accounts are visited in the order of their ids, one pass over
those of the tenant; of an account with a long history only the interval is read.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import tallystick.ledger.period_store as store
from tallystick.base.work import Work
from tallystick.ledger.periods_model import Figures, Moved, Movement, Slice

ACCOUNTS_AT_ONCE: Final = 5_000
ENTRIES_AT_ONCE: Final = 50_000
LONG: Final = 256
"""Entries from which on it pays to look for the interval before reading it."""

BLOCK: Final = 4_096
"""Versions of one account that share a leaf of a digest; periods_proof.py reckons with the same."""

READING: Final = "set local enable_hashjoin = off; set local enable_mergejoin = off"
"""For transactions that read books: a young table's plan would join whole tables for ever after."""


@dataclass(slots=True)
class _Sums:
    moved: dict[Movement, Moved] = field(default_factory=dict)

    def add(self, rows: Sequence[tuple[Movement, int, int]]) -> None:
        for movement, amount, entries in rows:
            sum_ = self.moved.setdefault(movement, Moved())
            sum_.amount += amount
            sum_.entries += entries


async def movements(
    work: Work, merchant_id: UUID, since: datetime, until: datetime, *, value_only: bool = False
) -> dict[Movement, Moved]:
    """Everything that moved; of lots and of rewards that wait only, where `value_only`."""
    sums = _Sums()
    async for slices in _slices(work, merchant_id, since, until, value_only=value_only):
        sums.add(await store.movements(work, slices, since, until))
    return sums.moved


async def figures(work: Work, merchant_id: UUID, since: datetime, until: datetime) -> Figures:
    """The figures that a closed period is sealed with."""
    sums, digest, entries = _Sums(), hashlib.sha256(), 0
    recorded_until: datetime | None = None
    async for slices in _slices(work, merchant_id, since, until, value_only=False):
        sums.add(await store.movements(work, slices, since, until))
        for leaf in await store.leaves(work, slices, since, until):
            digest.update(leaf.digest)
            entries += leaf.entries
            recorded_until = max(recorded_until or leaf.recorded_until, leaf.recorded_until)
    amounts = {movement: moved.amount for movement, moved in sums.moved.items()}
    return Figures(entries, amounts, digest.digest(), recorded_until)


async def balances(
    work: Work, merchant_id: UUID, before: datetime, *, value_only: bool = False
) -> dict[tuple[str, str | None], int]:
    """What the accounts held just before an instant, by code and class of lot."""
    sums: dict[tuple[str, str | None], int] = {}
    async for first, last in borders(work):
        for code, lot_class, balance in await store.balances(
            work, first, last, merchant_id, before, value_only=value_only
        ):
            sums[code, lot_class] = sums.get((code, lot_class), 0) + balance
    return sums


async def movements_of(
    work: Work, account_id: UUID, code: str, since: datetime, until: datetime
) -> dict[Movement, Moved]:
    """The same of one account that is no lot."""
    sums = _Sums()
    low, high = (await store.bounds(work, [account_id], since, until))[account_id]
    for piece in _cut(Slice(account_id, code, None, low, high), low, high):
        sums.add(await store.movements(work, [piece], since, until))
    return sums.moved


async def version_before(work: Work, account_id: UUID, at: datetime) -> int:
    """The version at which an account stood just before an instant."""
    return (await store.bounds(work, [account_id], at, at))[account_id][0]


async def borders(work: Work) -> AsyncIterator[tuple[UUID, UUID | None]]:
    """The tenant's accounts cut into stretches of ids: behind the first, up to the second (None: to the end)."""
    first: UUID | None = UUID(int=0)
    while first is not None:
        last = await store.border(work, first, ACCOUNTS_AT_ONCE)
        yield first, last
        first = last


async def _slices(
    work: Work, merchant_id: UUID, since: datetime, until: datetime, *, value_only: bool
) -> AsyncIterator[list[Slice]]:
    """Where the interval's entries lie, in the order of (account, version), some for each statement."""
    ready: list[Slice] = []
    size = 0
    async for first, last in borders(work):
        found = await store.accounts_moved(work, first, last, merchant_id, since, until, value_only=value_only)
        long = [each.account_id for each in found if each.high > LONG]
        bounds = await store.bounds(work, long, since, until) if long else {}
        for account in found:
            low, high = bounds.get(account.account_id, (0, account.high))
            for piece in _cut(account, low, high):
                ready.append(piece)
                size += piece.high - piece.low
                if size >= ENTRIES_AT_ONCE or len(ready) >= ACCOUNTS_AT_ONCE:
                    yield ready
                    ready, size = [], 0
    if ready:
        yield ready


def _cut(account: Slice, low: int, high: int) -> list[Slice]:
    """Versions above `low` up to `high`, cut where blocks end."""
    pieces = []
    while low < high:
        end = min((low // BLOCK + 1) * BLOCK, high)
        pieces.append(Slice(account.account_id, account.code, account.lot_class, low, end))
        low = end
    return pieces
