"""What happened on a day, in one line for each topic, so that whoever kept it all can prove that nothing is missing."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import tallystick.events.digest_store as store
from tallystick.base.work import Caller, Runtime

DAYS_MAX: Final = 31
STEP: Final = timedelta(hours=1)
"""How much of a day is read at once: its ids are in memory together."""
SETTLED_AFTER: Final = timedelta(minutes=10)
"""How long after a day the last work that began in it has ended, one way or the other."""
LONG: Final = 1_000_000


@dataclass(slots=True)
class Line:
    """The events of one topic on one day that somebody may see."""

    topic: str
    count: int
    first_position: int
    last_position: int
    _hash: Any = field(default_factory=hashlib.sha256)

    @property
    def hash(self) -> str:
        """SHA-256 over the ids as text, sorted and joined by line breaks, in lower-case hexadecimal digits."""
        digest: str = self._hash.hexdigest()
        return digest

    async def add(self, found: store.Slice) -> None:
        """Go on with a later stretch of the day."""
        if self.count:
            self._hash.update(b"\n")
        content = found.ids.encode()
        if len(content) > LONG:
            await asyncio.to_thread(self._hash.update, content)
        else:
            self._hash.update(content)
        self.count += found.count
        self.first_position = min(self.first_position, found.first_position)
        self.last_position = max(self.last_position, found.last_position)


def bounds(day: date) -> tuple[datetime, datetime]:
    """A day in UTC."""
    start = datetime.combine(day, time(), UTC)
    return start, start + timedelta(days=1)


def is_final(day: date, now: datetime) -> bool:
    """Whether nothing can be recorded in this day any more."""
    return now >= bounds(day)[1] + SETTLED_AFTER


async def of_day(runtime: Runtime, caller: Caller, day: date, topics: Sequence[str] | None) -> list[Line]:
    """The lines of a day, by topic. Read a stretch at a time, each a transaction of its own: what is recorded stays as it is."""
    lines: dict[str, Line] = {}
    since, end = bounds(day)
    end = min(end, runtime.clock() + STEP)
    while since < end:
        async with runtime.reading(caller.tenant) as work:
            found = await store.slice_of(work, caller, since, since + STEP, topics)
        for each in found:
            line = lines.setdefault(each.topic, Line(each.topic, 0, each.first_position, each.last_position))
            await line.add(each)
        since += STEP
    return sorted(lines.values(), key=lambda line: line.topic)
