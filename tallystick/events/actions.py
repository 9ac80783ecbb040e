"""Record what happened; number it last."""

import tallystick.events.store as store
from tallystick.base import ids
from tallystick.base.work import Work
from tallystick.events.model import TOPIC_NAMES, Event


def record(work: Work, event: Event) -> None:
    """The event happens if and only if the work commits."""
    assert event.topic in TOPIC_NAMES, f"{event.topic} is not in the catalogue of topics"
    work.recorded.append(event)


async def number(work: Work) -> None:
    """The closing statement of a work: takes the tenant's head row, numbers the events and inserts them.

    The head is held only from here to the commit, so that the feed is gapless, in commit order, and never skips a late writer.
    """
    if work.recorded:
        events: list[Event] = work.recorded  # type: ignore[assignment]
        store.append(work, events, [ids.new() for _ in events])
