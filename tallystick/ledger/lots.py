"""Lots: stored value with a class, an expiry and a funder. Which of them are spent first, and when they expire.

A lot is an account whose parent is a wallet or a card. What of it is held never expires before its hold ends.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import tallystick.ledger.lot_store as lot_store
from tallystick.base.work import Work
from tallystick.ledger.model import Deadline, Lot, LotClass

FOREVER: Final = datetime.max.replace(tzinfo=UTC)

TENDER: Final = frozenset[LotClass]({"paid", "refund"})
"""Classes that somebody paid for; the others are discounts."""

BURN_RANK: Final[dict[LotClass, int]] = {"promotional": 0, "compensation": 1, "refund": 2, "paid": 3}


def burn_order(lots: Iterable[Lot], now: datetime) -> list[Lot]:
    """Those that can be spent at `now`: soonest expiry first (none last), then promotional, compensation, refund, paid."""
    usable = [lot for lot in lots if lot.available > 0 and not lot.has_expired(now)]
    return sorted(usable, key=lambda lot: (lot.expires_at or FOREVER, BURN_RANK[lot.lot_class], lot.id.int))


def take(ordered: Sequence[Lot], amount: int) -> list[tuple[Lot, int]]:
    """Up to `amount` minor units from the lots in their order; less where they hold less."""
    taken: list[tuple[Lot, int]] = []
    for lot in ordered:
        if amount == 0:
            break
        part = min(amount, lot.available)
        taken.append((lot, part))
        amount -= part
    return taken


async def of_parents(work: Work, parent_ids: Sequence[UUID]) -> list[Lot]:
    """Every lot of these wallets or cards that holds anything, for reading."""
    return await lot_store.of_parents(work, parent_ids)


async def ever_of(work: Work, parent_id: UUID) -> list[UUID]:
    """Every account that ever held value of a wallet or card, also those that are empty."""
    return await lot_store.ever_of(work, parent_id)


async def lock(work: Work, parent_ids: Sequence[UUID]) -> list[Lot]:
    """The same, locked in the order of their ids until the work ends, as every other account is."""
    return await lot_store.lock(work, parent_ids)


async def next_due(work: Work, code: str) -> datetime | None:
    """When the next lot of this code expires, or wants looking at again after a hold on it ended."""
    return await lot_store.next_due(work, code)


async def due(work: Work, code: str, limit: int) -> list[Deadline]:
    """Lots of this code that are due at `work.now`, earliest first; not locked."""
    return await lot_store.due(work, code, limit)


async def settled(work: Work, account_ids: Sequence[UUID]) -> None:
    """Nothing is due of these lots any more: what was available has expired, what is held waits for its hold to end."""
    await lot_store.set_due(work, account_ids, None)


async def look_again(work: Work, account_ids: Sequence[UUID]) -> None:
    """Holds on these lots ended: what became available of those that are past their expiry is due now."""
    await lot_store.set_due(work, account_ids, work.now)


async def credited(work: Work, account_ids: Sequence[UUID]) -> None:
    """Value came back to these lots: those that expire are due at their expiry, also where that was settled already.

    A work that waited for a lot may credit it behind the work that let it expire.
    """
    await lot_store.set_due_at_expiry(work, account_ids)


async def unannounced(work: Work, code: str, until: datetime, limit: int) -> list[Deadline]:
    """Lots of this code that expire by `until`, of which nobody was told yet; earliest first, locked against other announcers."""
    return await lot_store.unannounced(work, code, until, limit)


async def announced(work: Work, account_ids: Sequence[UUID]) -> None:
    """Their holders were told."""
    await lot_store.announce(work, account_ids)
