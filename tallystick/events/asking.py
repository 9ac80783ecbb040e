"""What a query asks of the feed, read with every fault at its parameter."""

from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.base import clock, ids
from tallystick.base.errors import InvalidRequest, Refusal, header, parameter
from tallystick.base.routes import Call, Parameter
from tallystick.events.model import TOPIC_NAMES
from tallystick.events.store import POSITION_MAX, Wanted

PAGE_MAX: Final = 50
PAGE_DEFAULT: Final = 10
WHOLE: Final = {"type": "integer", "minimum": 0}
INSTANT: Final = {"type": "string", "format": "date-time"}

AFTER: Final = Parameter(
    "page[after]", "The position behind which to read; the cursor of the page before.", schema=WHOLE
)
LIMIT: Final = Parameter("page[limit]", "How many to answer, 1 to 50; 10 unless told.", schema={**WHOLE, "minimum": 1})
TOPIC: Final = Parameter("filter[topic]", "Only events of this topic, or of these, separated by commas.")
SUBJECT: Final = Parameter(
    "filter[subjectId]", "Only events about this subject.", schema={"type": "string", "format": "uuid"}
)
SINCE: Final = Parameter("filter[from]", "Only events recorded at this instant or later, in real time.", schema=INSTANT)
UNTIL: Final = Parameter("filter[to]", "Only events recorded before this instant, in real time.", schema=INSTANT)
LAST_EVENT: Final = Parameter(
    "Last-Event-ID", "The `id` of the last event that arrived: go on behind it.", schema=WHOLE
)
STREAM_AFTER: Final = Parameter(
    "after",
    "The position behind which to begin; where the feed ends unless told. Last-Event-ID goes before.",
    schema=WHOLE,
)


def wanted(call: Call, faults: list[Refusal]) -> Wanted:
    """Which events a list is asked for."""
    since, until = _instant(call, "filter[from]", faults), _instant(call, "filter[to]", faults)
    if since is not None and until is not None and until <= since:
        faults.append(InvalidRequest("It must be later than filter[from].", source=parameter("filter[to]")))
    after = whole(call.query.get("page[after]"), "page[after]", 0, 0, POSITION_MAX, faults)
    return Wanted(topics(call, faults), subject(call, faults), since, until, after)


def limit(call: Call, faults: list[Refusal]) -> int:
    """How many of them at once."""
    asked = whole(call.query.get("page[limit]"), "page[limit]", PAGE_DEFAULT, 1, POSITION_MAX, faults)
    return min(asked, PAGE_MAX)


def topics(call: Call, faults: list[Refusal]) -> list[str] | None:
    """The topics of `filter[topic]`; None for every one."""
    text = call.query.get("filter[topic]")
    if text is None:
        return None
    named = text.split(",")
    if not TOPIC_NAMES.issuperset(named):
        faults.append(InvalidRequest("There is no such topic.", source=parameter("filter[topic]")))
    return sorted(set(named))


def subject(call: Call, faults: list[Refusal]) -> UUID | None:
    """The subject of `filter[subjectId]`."""
    text = call.query.get("filter[subjectId]")
    found = None if text is None else ids.parse(text)
    if text is not None and found is None:
        faults.append(InvalidRequest("This is not an id.", source=parameter("filter[subjectId]")))
    return found


def stream_position(call: Call, faults: list[Refusal]) -> int | None:
    """Where a stream begins: behind what the client said it had last, else where it asked; None for the end of the feed."""
    sent = call.headers.get("last-event-id")
    if sent:
        if (position := _digits(sent, 0, POSITION_MAX)) is not None:
            return position
        faults.append(InvalidRequest("This is no id of an event of the stream.", source=header("Last-Event-ID")))
        return None
    text = call.query.get("after")
    return None if text is None else whole(text, "after", 0, 0, POSITION_MAX, faults)


def whole(sent: str | None, name: str, default: int, least: int, most: int, faults: list[Refusal]) -> int:
    """A whole number between bounds."""
    if sent is None:
        return default
    number = _digits(sent, least, most)
    if number is not None:
        return number
    faults.append(InvalidRequest(f"A whole number of at least {least} is wanted.", source=parameter(name)))
    return default


def _digits(sent: str, least: int, most: int) -> int | None:
    if sent.isascii() and sent.isdigit() and len(sent) <= 19 and least <= int(sent) <= most:
        return int(sent)
    return None


def _instant(call: Call, name: str, faults: list[Refusal]) -> datetime | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        return clock.parse_instant(text)
    except ValueError as error:
        faults.append(InvalidRequest(str(error), source=parameter(name)))
        return None
