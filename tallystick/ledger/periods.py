"""Periods: stretches of a merchant's books that are closed, one behind the other. What happened in a closed one never changes.

Closing takes three steps, each a work of its own that can be repeated after a kill. The fence: from then on nothing is dated before
the period's end. The cut: every transaction that began before may not have seen the fence, and is waited for; nobody is held up.
The seal: the figures of the period, which no transaction can change any more, are written beside it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import tallystick.ledger.period_store as store
from tallystick.base import ids
from tallystick.base.work import Asked, Work
from tallystick.ledger.periods_model import Figures, Period


async def lock_book(work: Work, merchant_id: UUID) -> Period | None:
    """Lock a merchant's books against others who close them; posting goes on. Its latest period."""
    await store.lock_book(work, merchant_id)
    return await store.last(work, merchant_id)


async def begin(
    work: Work,
    merchant_id: UUID,
    currency: str,
    starts_at: datetime,
    ends_at: datetime,
    after: Period | None,
    asked: Asked,
) -> Period:
    """A period that is to close, behind the latest one of locked books."""
    assert after is None or (after.status, after.ends_at) == ("closed", starts_at), "periods follow each other"
    period = Period(
        id=ids.new(),
        merchant_id=merchant_id,
        number=1 if after is None else after.number + 1,
        currency=currency,
        starts_at=starts_at,
        ends_at=ends_at,
        status="closing",
        partner_id=asked.caller.partner_id,
        closed_by=asked.caller.client_id,
        request_id=asked.request_id,
        fenced_at=None,
        cut=None,
        entries=None,
        sums=None,
        digest=None,
        sealed_at=None,
        closed_at=None,
        created_at=work.now,
    )
    await store.insert(work, period)
    return period


async def is_unfenced(work: Work, period: Period) -> bool:
    """Whether the fence of a period of locked books is still to be set. Locks the period."""
    current = await store.lock(work, period.id)
    assert current is not None, "a period is never deleted"
    return current.fenced_at is None


async def fence(work: Work, period: Period) -> None:
    """Let nothing more be dated before the period's end. The period is locked."""
    await store.fence(work, period)


async def cut(work: Work, period: Period) -> int | None:
    """Note, in a work behind the fence's own, which transactions began before it; None where the period closes no more."""
    return await store.cut(work, period.id)


async def has_drained(work: Work, period: Period) -> bool:
    """Whether every transaction below the period's cut has ended. Asked in a work that only reads."""
    oldest, following = await store.running(work)
    # A server that was filled from a dump counts anew: then nothing that runs is as old as the fence.
    return period.cut is not None and (oldest >= period.cut or following < period.cut)


async def seal(work: Work, period: Period, figures: Figures) -> Period | None:
    """Close a fenced and drained period with its figures; None where somebody else has."""
    return await store.close(work, period.id, figures, max(work.real_now, figures.recorded_until or work.real_now))


async def lease(work: Work, until: datetime) -> Period | None:
    """Take the closing period that has waited longest, for ourselves until an instant of real time."""
    return await store.lease(work, until)


async def look_again(work: Work, period: Period) -> None:
    """Let a closing period be taken up again at once."""
    await store.set_due(work, period.id, work.real_now)


async def by_id(work: Work, period_id: UUID) -> Period | None:
    """One period."""
    return await store.by_id(work, period_id)


async def closed(work: Work, merchant_id: UUID) -> list[Period]:
    """The merchant's closed periods, oldest first."""
    return await store.closed(work, merchant_id)


async def listed(
    work: Work, merchant_ids: Sequence[UUID] | None, merchant_id: UUID | None, offset: int, limit: int
) -> tuple[list[Period], int]:
    """A page of periods, latest first, and how many there are: of these merchants, of one of them."""
    return await store.listed(work, merchant_ids, merchant_id, offset, limit)


async def sealed_until(work: Work, merchant_id: UUID) -> datetime | None:
    """The end of the merchant's last closed period; None where there is none."""
    return await store.sealed_until(work, merchant_id)
