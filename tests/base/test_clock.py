"""Time as text: instants by RFC 3339, durations by ISO 8601."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import clock

T0 = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ZONES = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
INSTANTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 30), timezones=ZONES)  # noqa: DTZ001 - zones come apart


def test_the_real_clock_tells_whole_milliseconds_in_utc() -> None:
    now = clock.utc()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


def test_a_fixed_clock_moves_only_when_told() -> None:
    fixed = clock.FixedClock(T0)
    assert fixed() == fixed() == T0
    fixed.advance(timedelta(days=1))
    assert fixed() == T0 + timedelta(days=1)


@given(INSTANTS)
def test_an_instant_survives_being_written_and_read_to_the_millisecond(instant: datetime) -> None:
    text = clock.render(instant)
    assert len(text) == 24
    assert text.endswith("Z")
    read = clock.parse_instant(text)
    assert timedelta(0) <= instant - read < timedelta(milliseconds=1)
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-03-31T18:30:00Z", "2026-03-31T18:30:00.000Z"),
        ("2026-03-31t18:30:00.1z", "2026-03-31T18:30:00.100Z"),
        ("2026-03-31T18:30:00.123456789+02:00", "2026-03-31T16:30:00.123Z"),
        ("2026-03-31T18:30:00-00:00", "2026-03-31T18:30:00.000Z"),
        ("2024-02-29T23:59:59.999-23:59", "2024-03-01T23:58:59.999Z"),
        ("9998-12-31T23:59:59.999Z", "9998-12-31T23:59:59.999Z"),
    ],
)
def test_rfc_3339_is_read(text: str, shown: str) -> None:
    assert clock.render(clock.parse_instant(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-31",
        "2026-03-31T18:30:00",
        "2026-03-31 18:30:00Z",
        "2026-03-31T18:30Z",
        "2026-03-31T18:30:00+0200",
        "2026-03-31T18:30:00+24:00",
        "2026-02-30T00:00:00Z",
        "2026-03-31T24:00:00Z",
        "2026-03-31T23:59:60Z",
        "2026-W14-2T18:30:00Z",
        "20260331T183000Z",
        "0001-01-01T00:00:00+01:00",
        "9999-01-01T00:00:00Z",
        "9998-12-31T23:59:59-23:59",
        "\u0662026-03-31T18:30:00Z",
        "2026-03-31T18:30:00Z\n",
        "2026-03-31T18:30:00.Z",
        "+2026-03-31T18:30:00Z",
    ],
)
def test_what_is_no_instant_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(An|The) instant .*\.$"):
        clock.parse_instant(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P90D", timedelta(days=90)),
        ("PT1H30M", timedelta(minutes=90)),
        ("P1W", timedelta(weeks=1)),
        ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("PT0.000001S", timedelta(microseconds=1)),
        ("PT0S", timedelta(0)),
        ("PT36H", timedelta(hours=36)),
        ("P0Y0M1D", timedelta(days=1)),
    ],
)
def test_a_duration_is_read(text: str, length: timedelta) -> None:
    assert clock.parse_duration(text) == length
    assert clock.add_duration(T0, text) == T0 + length


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "-P1D",
        "+P1D",
        "P-1D",
        "P1",
        "1D",
        "p1d",
        "P1H",
        "PT1D",
        "P1M1Y",
        "P1W1D",
        "P1.5D",
        "PT.5S",
        "PT1,5S",
        "P1D ",
        "P\u0661D",
        "P9999999999D",
        "P999999999D",
        "P3652059D",
        "PT999999999999H",
        "P1D\n",
    ],
)
def test_what_is_no_duration_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(A|The) duration .*\.$"):
        clock.parse_duration(text)
    with pytest.raises(ValueError, match=r"^(A|The) duration .*\.$"):
        clock.add_duration(T0, text)


@pytest.mark.parametrize("text", ["P1Y", "P1M", "P1Y2M3D"])
def test_years_and_months_have_no_length_of_their_own(text: str) -> None:
    with pytest.raises(ValueError, match="vary in length"):
        clock.parse_duration(text)


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        ("2026-01-31T12:00:00Z", "P1M", "2026-02-28T12:00:00.000Z"),
        ("2024-01-31T12:00:00Z", "P1M", "2024-02-29T12:00:00.000Z"),
        ("2024-02-29T12:00:00Z", "P1Y", "2025-02-28T12:00:00.000Z"),
        ("2024-02-29T12:00:00Z", "P4Y", "2028-02-29T12:00:00.000Z"),
        ("2026-11-30T00:00:00Z", "P3M", "2027-02-28T00:00:00.000Z"),
        ("2026-12-01T00:00:00Z", "P1M", "2027-01-01T00:00:00.000Z"),
        ("2026-01-31T00:00:00Z", "P1Y2M10DT2H30M", "2027-04-10T02:30:00.000Z"),
        # In UTC this is already the first of February.
        ("2026-01-31T23:00:00-02:00", "P1M", "2026-03-01T01:00:00.000Z"),
    ],
)
def test_years_and_months_go_by_the_calendar(start: str, text: str, end: str) -> None:
    assert clock.render(clock.add_duration(clock.parse_instant(start), text)) == end


@pytest.mark.parametrize("text", ["P7973Y", "P95676M", "P999999999Y", "P2912500D"])
def test_a_duration_that_ends_too_late_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="before the year 9999"):
        clock.add_duration(T0, text)


@given(INSTANTS, st.from_regex(r"P([0-9]{1,6}Y)?([0-9]{1,6}M)?([0-9]{1,8}D)?(T[0-9]{1,9}S)?", fullmatch=True))
def test_a_duration_never_leads_back_nor_beyond_the_end_of_time(start: datetime, text: str) -> None:
    try:
        end = clock.add_duration(start, text)
    except ValueError:
        return
    assert start <= end < clock.END_OF_TIME
