"""Move a sandbox's clock: everything that falls due on the way happens in its order, each at its own instant."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import tallystick.sandbox.store as store
from tallystick.base.errors import Unavailable
from tallystick.base.work import Runtime, Tenant, Work

PATIENCE: Final = 40
PAUSE: Final = 0.05
"""How often, and how many seconds apart, work that another process has in hand is looked at again."""


@dataclass(frozen=True, slots=True)
class DueWork:
    """Something that falls due: when it next does in a tenant, and one step of doing what is due at an instant.

    `next_due` never tells an instant whose work is done. `run` works at the instant it is given and says whether it did anything.
    """

    name: str
    next_due: Callable[[Work], Awaitable[datetime | None]]
    run: Callable[[Runtime, Tenant, datetime], Awaitable[bool]]


async def advance(runtime: Runtime, tenant: Tenant, to: datetime, due: Sequence[DueWork]) -> datetime:
    """Move the clock to `to` or later and answer where it is; returns when what was due on the way is done.

    No transaction stays open while work runs. Killed in between, it leaves an earlier instant whose work is due still, and the next
    advance goes on from there. Several at once end at no less than each one's `to`. Raises Unavailable when work does not get done.
    """
    stuck = 0
    while (found := await _earliest(runtime, tenant, to, due)) is not None:
        instant, work_due = found
        await _put_to(runtime, tenant, instant)
        if await work_due.run(runtime, tenant, instant):
            stuck = 0
            continue
        stuck += 1
        if stuck > PATIENCE:
            raise Unavailable(
                "Some due work is not done yet; the clock stands where it fell due. Send the request again.",
                headers=[("retry-after", "1")],
            )
        await asyncio.sleep(PAUSE)
    return await _put_to(runtime, tenant, to)


async def _earliest(
    runtime: Runtime, tenant: Tenant, to: datetime, due: Sequence[DueWork]
) -> tuple[datetime, DueWork] | None:
    """What falls due first, up to and at `to`; of several at one instant the one that was listed first."""
    first: tuple[datetime, DueWork] | None = None
    async with runtime.reading(tenant) as work:
        for each in due:
            instant = await each.next_due(work)
            if instant is not None and instant <= to and (first is None or instant < first[0]):
                first = instant, each
    return first


async def _put_to(runtime: Runtime, tenant: Tenant, instant: datetime) -> datetime:
    """The tenant's clock is at `instant` or later from here on."""
    async with runtime.work(tenant) as work:
        return work.real_now + await store.put_forward(work, instant - work.real_now)
