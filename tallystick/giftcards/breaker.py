"""The breaker of lookups: a client that mostly finds nothing is guessing, however slowly and from wherever, and is stopped.

Every code that is looked for counts, at `/gift-cards/lookup` and in payments, and whatever is refused is a miss. From 20 lookups
within ten minutes on, more than half of them misses block the client for 15 minutes, and each further block is twice as long as
the last, up to a day. For 24 hours after a block the client is watched: all that it looks for counts together, not ten minutes of
it. Then it begins anew. Time is real time, also in a sandbox, as for rate limits. The row of the client is locked from before
its codes are looked for until the work ends, so that the count is exact over all processes.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tallystick.base.errors import Refusal

WINDOW: Final = timedelta(minutes=10)
LOOKUPS_MIN: Final = 20
FIRST_BLOCK: Final = timedelta(minutes=15)
LONGEST_BLOCK: Final = timedelta(hours=24)
WATCHED: Final = timedelta(hours=24)


class LookupsBlocked(Refusal):
    code, status, title = "LookupsBlocked", 429, "Too many lookups of gift cards found nothing."


@dataclass(frozen=True, slots=True)
class Window:
    """What one client has looked for since `began_at`. Of one that was blocked that is when it was, and counts begin at its end."""

    client_id: UUID
    began_at: datetime
    tried: int = 0
    missed: int = 0
    blocked_until: datetime | None = None

    def is_blocked(self, now: datetime) -> bool:
        return self.blocked_until is not None and now < self.blocked_until


def at(window: Window, now: datetime) -> Window:
    """The window that `now` falls in: the same one, or a new one where it is over."""
    ends = window.began_at + WINDOW if window.blocked_until is None else window.blocked_until + WATCHED
    return Window(window.client_id, now) if now >= ends else window


def after(window: Window, now: datetime, *, missed: bool) -> Window:
    """The window after one more lookup of a client that may look; blocked, if that was one too many."""
    tried, misses = window.tried + 1, window.missed + missed
    if tried < LOOKUPS_MIN or misses * 2 <= tried:
        return replace(window, tried=tried, missed=misses)
    return Window(window.client_id, now, 0, 0, now + _next_block(window))


def refusal(window: Window, now: datetime) -> LookupsBlocked:
    """The answer to a client that is blocked, whatever it looks for."""
    assert window.blocked_until is not None, "only a client that was blocked is refused"
    wait = math.ceil((window.blocked_until - now).total_seconds())
    return LookupsBlocked(
        f"Most of what this credential looked for was not found, so it may look for no card for another {wait} seconds. "
        "Check where the codes come from before you try again.",
        headers=[("retry-after", str(wait))],
    )


def _next_block(window: Window) -> timedelta:
    if window.blocked_until is None:
        return FIRST_BLOCK
    return min(2 * (window.blocked_until - window.began_at), LONGEST_BLOCK)
