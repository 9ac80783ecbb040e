"""PINs: how many wrong ones a card takes, and for how long it is locked after them.

Five wrong PINs lock the card: for a minute the first time, then for 5 minutes, 15 minutes, an hour, 4 hours, and a day from the
sixth time on. The right PIN gives the five tries back, and never shortens what a guesser has brought on: how many locks there
were is forgotten one by one, each for 24 hours that passed since the last lock ended. While a card is locked the right PIN is
refused like a wrong one, and none is counted; a PIN that was not sent is refused too, and was no guess. Time is real time, also in
a sandbox: so a guesser who keeps on gets five tries a day at most.

Tries have rows of their own, which are locked before any wallet or card is: whoever guesses holds up nobody but other guessers.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

TRIES_MAX: Final = 5
DELAYS: Final = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=24),
)
FORGOTTEN_AFTER: Final = timedelta(hours=24)
"""How long after the last lock ended one of them is forgotten; and the next after as long again."""


@dataclass(frozen=True, slots=True)
class Tries:
    """The wrong PINs of one card since the right one or the last lock, how many locks count, and until when the last one holds."""

    card_id: UUID
    wrong: int = 0
    locks: int = 0
    locked_until: datetime | None = None

    def is_locked(self, now: datetime) -> bool:
        return self.locked_until is not None and now < self.locked_until


def after(tries: Tries, now: datetime, *, right: bool) -> Tries:
    """The tries after a PIN that was right or wrong; of a card that is locked nothing is counted."""
    if tries.is_locked(now):
        return tries
    if right:
        return replace(tries, wrong=0)
    if tries.wrong + 1 < TRIES_MAX:
        return replace(tries, wrong=tries.wrong + 1)
    locks = _remembered(tries, now) + 1
    return replace(tries, wrong=0, locks=locks, locked_until=now + DELAYS[min(locks, len(DELAYS)) - 1])


def _remembered(tries: Tries, now: datetime) -> int:
    """How many of the card's locks still count."""
    if tries.locked_until is None:
        return 0
    # More locks than there are delays lock no longer, and are forgotten no later.
    return max(0, min(tries.locks, len(DELAYS)) - (now - tries.locked_until) // FORGOTTEN_AFTER)
