"""When a quota's period begins and ends, in whatever time zone and however its clocks jump."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import clock
from tallystick.governance.periods import Period, bounds, is_time_zone

PERIODS: tuple[Period, ...] = ("day", "week", "month", "quarter", "year")
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns", "America/Havana",
    "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Kiritimati", "Atlantic/Azores",
)  # fmt: skip


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-03-02T09:00:00Z", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"),
        ("day", "America/New_York", "2026-03-02T04:59:59Z", "2026-03-01T05:00:00Z", "2026-03-02T05:00:00Z"),
        ("week", "Europe/Berlin", "2026-03-01T12:00:00Z", "2026-02-22T23:00:00Z", "2026-03-01T23:00:00Z"),
        ("week", "Europe/Berlin", "2026-03-01T23:00:00Z", "2026-03-01T23:00:00Z", "2026-03-08T23:00:00Z"),
        ("month", "Pacific/Kiritimati", "2026-02-28T10:00:00Z", "2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"),
        ("quarter", "UTC", "2026-06-30T23:59:59Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z"),
        ("quarter", "UTC", "2026-12-31T23:59:59Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("year", "Asia/Kathmandu", "2026-12-31T18:15:00Z", "2026-12-31T18:15:00Z", "2027-12-31T18:15:00Z"),
        ("month", "UTC", "2024-02-29T23:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        # Clocks go forward and back inside a period: it is an hour shorter or longer.
        ("day", "Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("day", "Europe/Berlin", "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("month", "America/New_York", "2026-03-20T00:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"),
        # Midnight does not exist: the day begins when the clocks have jumped.
        ("day", "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        # Midnight comes twice: the day begins with the first.
        ("day", "America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        # A minute after midnight the clocks showed the day before once more; the day that had begun goes on.
        ("day", "America/St_Johns", "2005-10-30T02:29:59Z", "2005-10-29T02:30:00Z", "2005-10-30T02:30:00Z"),
        ("day", "America/St_Johns", "2005-10-30T02:31:00Z", "2005-10-30T02:30:00Z", "2005-10-31T03:30:00Z"),
        ("day", "America/St_Johns", "2005-10-30T03:00:00Z", "2005-10-30T02:30:00Z", "2005-10-31T03:30:00Z"),
        # A whole day was left out.
        ("day", "Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("day", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
    ],
)
def test_a_period_begins_at_midnight_of_its_time_zone(
    period: Period, zone: str, now: str, start: str, end: str
) -> None:
    found = bounds(period, zone, clock.parse_instant(now))
    assert found == (clock.parse_instant(start), clock.parse_instant(end))
    assert [each.tzinfo for each in found] == [UTC, UTC]


@given(
    st.sampled_from(PERIODS),
    st.sampled_from(ZONES),
    st.integers(631_152_000, 2_114_380_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_periods_neither_overlap_nor_leave_a_gap(period: Period, zone: str, now: datetime) -> None:
    start, end = bounds(period, zone, now)
    assert start <= now < end
    assert bounds(period, zone, start) == bounds(period, zone, end - timedelta(microseconds=1)) == (start, end)
    assert bounds(period, zone, end)[0] == end
    shown = start.astimezone(ZoneInfo(zone))
    if period == "week":
        assert shown.isoweekday() == 1
    if period in ("month", "quarter", "year"):
        assert shown.day == 1
        assert shown.month in {"month": range(1, 13), "quarter": (1, 4, 7, 10), "year": (1,)}[period]


@pytest.mark.parametrize(
    "name", ["localtime", "Factory", "Mars/Olympus", "", "../etc/passwd", "europe/berlin", "EST5\0"]
)
def test_a_name_outside_the_database_is_no_time_zone(name: str) -> None:
    assert not is_time_zone(name)
    assert is_time_zone("Europe/Berlin")
