"""Record what happened; number it last."""

from uuid import UUID

import tallystick.events.store as store
from tallystick.base import ids
from tallystick.base.work import Caller, Work
from tallystick.events.model import TOPIC_NAMES, Event
from tallystick.events.store import Recorded


def record(work: Work, event: Event) -> None:
    """The event happens if and only if the work commits."""
    assert event.topic in TOPIC_NAMES, f"{event.topic} is not in the catalogue of topics"
    work.recorded.append(event)


async def number(work: Work) -> None:
    """The closing statement of a work: takes the tenant's head row, numbers the events and inserts them.

    An id names the millisecond in which its event was recorded, by which it is found again. The head is held only from here to the
    commit, so that the feed is gapless, in commit order, and never skips a late writer.
    """
    if work.recorded:
        events: list[Event] = work.recorded  # type: ignore[assignment]
        at_ms = (work.real_now - ids.EPOCH) // store.MILLISECOND
        store.append(work, events, [ids.new(at_ms) for _ in events])


async def find(work: Work, caller: Caller, event_id: UUID) -> Recorded | None:
    """The event of this id, where the caller may read it."""
    return await store.one(work, caller, event_id)
