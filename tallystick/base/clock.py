"""Time: the real clock, instants as text (RFC 3339) and durations (ISO 8601).

Instants are kept and shown in whole milliseconds, so that what a partner reads back is exactly what was stored.
"""

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Tells the instant: aware, in UTC."""

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""Every instant this product takes or computes lies before this one."""

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION = re.compile(
    r"P(?=[0-9T])(?:(?P<weeks>[0-9]{1,9})W|"
    r"(?:(?P<years>[0-9]{1,9})Y)?(?:(?P<months>[0-9]{1,9})M)?(?:(?P<days>[0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,6})?)S)?)?)"
)


def utc() -> datetime:
    """The real instant, in UTC, cut to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class FixedClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, at: datetime) -> None:
        assert at.tzinfo is not None, "a clock tells an aware instant"
        self.at = at.astimezone(UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        """Move forwards. A clock never goes back."""
        assert by >= timedelta(0), "a clock never goes back"
        self.at += by


def render(instant: datetime) -> str:
    """ISO 8601 in UTC with exactly milliseconds and `Z`; finer digits are cut. The instant is aware."""
    if instant.tzinfo is not UTC:
        assert instant.tzinfo is not None, "an instant without an offset is not an instant"
        instant = instant.astimezone(UTC)
    return instant.isoformat("T", "milliseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """The instant that `text` writes by RFC 3339, in UTC. Raises ValueError with a sentence for people.

    An offset is required. Digits below a microsecond are cut; a leap second is not taken, since no clock here shows it.
    """
    if _INSTANT.fullmatch(text) is None:
        raise ValueError("An instant is written as 2026-03-31T18:30:00.000Z, with Z or an offset such as +02:00.")
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("The instant names a date, a time of day or an offset that does not exist.") from None
    if instant >= END_OF_TIME:
        raise ValueError("The instant must lie before the year 9999.")
    return instant


def parse_duration(text: str) -> timedelta:
    """The length of an ISO 8601 duration in weeks, days, hours, minutes and seconds (`P90D`, `PT1H30M`, `P1W`).

    Raises ValueError with a sentence: for years and months too, since their length depends on where they begin.
    """
    months, length = _read(text)
    if months:
        raise ValueError("Years and months vary in length; write the duration in weeks, days or hours, such as P90D.")
    return length


def add_duration(start: datetime, text: str) -> datetime:
    """The instant one ISO 8601 duration after `start` (aware), by the calendar in UTC.

    Years and months first, a day past the end of its month becoming the last one (31 January and `P1M` is 28 or 29
    February), then the rest as exact time. Raises ValueError with a sentence, also when the result is too far away.
    """
    months, length = _read(text)
    try:
        result = _months_after(start.astimezone(UTC), months) + length
    except (ValueError, OverflowError):
        result = END_OF_TIME
    if result >= END_OF_TIME:
        raise ValueError("The duration is too long: it must end before the year 9999.")
    return result


def _read(text: str) -> tuple[int, timedelta]:
    """Months and exact time of a duration. A sign does not match the grammar, so that no duration is negative."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("A duration is written by ISO 8601, such as P90D, PT1H30M or P1W, and is never negative.")
    part = match.groupdict("0")
    months = int(part["years"]) * 12 + int(part["months"])
    # Digits are shifted rather than read as a float, so that PT0.000001S is exactly one microsecond.
    seconds, _, fraction = part["seconds"].partition(".")
    try:
        length = timedelta(
            weeks=int(part["weeks"]),
            days=int(part["days"]),
            hours=int(part["hours"]),
            minutes=int(part["minutes"]),
            seconds=int(seconds),
            microseconds=int(fraction.ljust(6, "0")) if fraction else 0,
        )
    except OverflowError:
        length = timedelta.max
    if length >= END_OF_TIME - datetime.min.replace(tzinfo=UTC):
        raise ValueError("The duration is too long: it must end before the year 9999.")
    return months, length


def _months_after(start: datetime, months: int) -> datetime:
    years, month = divmod(start.month - 1 + months, 12)
    year = start.year + years
    if year >= END_OF_TIME.year:
        raise OverflowError
    last = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last))
