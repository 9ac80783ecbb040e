"""The pure part of moving a clock: where it is to go, and whether it may."""

from datetime import datetime, timedelta
from typing import Final

from tallystick.base import clock
from tallystick.base.errors import InvalidRequest, at, attribute

LONGEST: Final = "P10Y"
"""How far one request may move the clock."""

LATEST: Final = clock.END_OF_TIME - timedelta(days=36525)
"""A sandbox's clock stays a century before the end of time, so that every deadline counted from it still has a date."""


def target(now: datetime, by: str | None, to: str | None) -> datetime | InvalidRequest:
    """The instant to move to, from a duration or an instant as text, exactly one of them."""
    if (by is None) == (to is None):
        return InvalidRequest("Give exactly one of `by` and `to`.", source=at("/data/attributes"))
    given = "by" if by is not None else "to"
    try:
        aim = clock.add_duration(now, by) if by is not None else clock.parse_instant(to or "")
    except ValueError as error:
        return InvalidRequest(str(error), source=attribute(given))
    aim = _whole_ms(aim)
    if aim < now:
        return InvalidRequest(f"The clock is at {clock.render(now)} and only moves forward.", source=attribute(given))
    if aim > clock.add_duration(now, LONGEST):
        return InvalidRequest("One request moves the clock by ten years at most.", source=attribute(given))
    if aim >= LATEST:
        return InvalidRequest(f"The clock of a sandbox stays before the year {LATEST.year}.", source=attribute(given))
    return aim


def _whole_ms(instant: datetime) -> datetime:
    """The first whole millisecond at or after an instant: clocks are shown in those, and what is shown is where they went."""
    return instant + timedelta(microseconds=-instant.microsecond % 1000)
