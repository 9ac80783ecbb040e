"""Reconciliations as values: days, schedules, what a partner sent, and where it differs from what is here."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from tallystick.base.errors import NotFound
from tallystick.base.work import Caller

Status = Literal["matched", "mismatched"]
DifferenceKind = Literal["total", "missingHere", "missingThere", "differs"]

NUMBER_MAX: Final = 2**53 - 1
"""The largest count or amount taken, also as a sum: the largest whole number that every JSON reader keeps."""
ROWS_MAX: Final = 10_000
EVENTS_MAX: Final = 100_000
"""Of how many events rows are compared: cut by how long that takes."""
DIFFERENCES_KEPT: Final = 10_000
DAYS_MAX: Final = 92
GRACE: Final = timedelta(hours=1)
"""How long after a day its report is made: what fell due in the day is done by then."""

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A partner's wish for a report of every day of a merchant; `next_day` is reported at `due_at`, None: switched off."""

    id: UUID
    partner_id: UUID
    merchant_id: UUID
    kind: Literal["reconciliation"]
    client_id: UUID
    request_id: UUID
    next_day: date
    due_at: datetime | None
    last_report_id: UUID | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Sum:
    """How many events of a topic, and what they come to in minor units; None where the topic has no amounts, or none were told."""

    count: int
    amount: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing of a partner's books, by our id of it or by the partner's own name."""

    topic: str
    id: UUID | None
    reference: str | None
    amount: int | None

    @property
    def key(self) -> tuple[str, UUID | str]:
        named = self.id if self.id is not None else self.reference
        assert named is not None, "a row has one of them"
        return self.topic, named


@dataclass(frozen=True, slots=True)
class Happened:
    """An event as rows are compared with it."""

    position: int
    id: UUID
    topic: str
    subject_id: UUID
    reference: str | None
    amount: int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Where both differ: a topic's total, or what one row is about."""

    kind: DifferenceKind
    topic: str
    ours: Sum
    theirs: Sum
    subject_id: UUID | None = None
    event_id: UUID | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """The totals of one topic, ours beside theirs."""

    topic: str
    ours: Sum
    theirs: Sum

    @property
    def matches(self) -> bool:
        return self.ours.count == self.theirs.count and self.theirs.amount in (None, self.ours.amount)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A partner's totals, held against a report, as its row stands."""

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    request_id: UUID
    report_id: UUID
    from_at: datetime
    to_at: datetime
    currency: str
    status: Status
    totals: Sequence[Compared]
    row_count: int
    difference_count: int
    created_at: datetime

    def seen_by(self, caller: Caller) -> bool:
        """Its partner's own, or the programme's by agreement; within its merchants."""
        if caller.merchant_ids is not None and self.merchant_id not in caller.merchant_ids:
            return False
        return caller.sees_programme or self.partner_id == caller.partner_id


def parse_day(text: str) -> date:
    """The day that is written as 2026-06-17. Raises ValueError with a sentence for people."""
    if _DAY.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise ValueError("There is no such day.") from None
        if 1970 <= day.year < 9999:
            return day
    raise ValueError("A day is written as 2026-06-17.")


def bounds(day: date, zone: str) -> tuple[datetime, datetime]:
    """When a day begins in a time zone, and when the next one does."""
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def day_of(at: datetime, zone: str) -> date:
    """The day of a time zone that an instant is in."""
    return at.astimezone(ZoneInfo(zone)).date()


def days(since: datetime, until: datetime, zone: str) -> list[tuple[date, datetime, datetime]]:
    """An interval cut where days begin: each day, and the part of it that the interval has."""
    found = []
    while since < until:
        day = day_of(since, zone)
        end = min(bounds(day, zone)[1], until)
        assert since < end, "a day ends behind every instant that is in it"
        found.append((day, since, end))
        since = end
    return found


def missing() -> NotFound:
    """The refusal for a reconciliation that is unknown, or someone else's."""
    return NotFound("No reconciliation has this id. Verify the id.")


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
