"""Periods of quotas: days, weeks, months, quarters and years of a time zone, as instants."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

Period = Literal["day", "week", "month", "quarter", "year"]

MACHINE_ZONES: Final = frozenset({"localtime", "Factory"})
"""Names in a machine's zone files that mean another zone on another machine."""

_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
_DAYS: Final = {"day": 1, "week": 7}


def is_time_zone(name: str) -> bool:
    """Whether `name` is one of the IANA database."""
    return name in _names()


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    # Looking for them reads hundreds of files.
    return frozenset(available_timezones() - MACHINE_ZONES)


def bounds(period: Period, time_zone: str, now: datetime) -> tuple[datetime, datetime]:
    """The period that `now` falls in: its first instant, and the first that is no part of it, in UTC.

    It begins at midnight in the time zone; a week begins on Monday. Where clocks go forward over midnight it begins at that
    instant, and where midnight comes twice, at the first: periods never overlap and never leave a gap.
    """
    zone = ZoneInfo(time_zone)
    first = _first_day(period, now.astimezone(zone).date())
    following = _next_first_day(period, first)
    start, end = _midnight(first, zone), _midnight(following, zone)
    while end <= now:  # a clock that goes back over midnight shows the day before once more; the new day has begun
        following = _next_first_day(period, following)
        start, end = end, _midnight(following, zone)
    return start, end


def _first_day(period: Period, day: date) -> date:
    if period == "day":
        return day
    if period == "week":
        return day - timedelta(days=day.weekday())
    months = _MONTHS[period]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def _next_first_day(period: Period, first: date) -> date:
    if period in _DAYS:
        return first + timedelta(days=_DAYS[period])
    years, month = divmod(first.month - 1 + _MONTHS[period], 12)
    return first.replace(year=first.year + years, month=month + 1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
