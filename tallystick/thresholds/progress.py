"""How far a customer is in one window of one threshold, as a value, and what of it a reader is shown at an instant."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from tallystick.base.errors import NotFound
from tallystick.thresholds.model import Period, Version

Shown = Literal["notStarted", "inProgress", "reached", "ended"]
SHOWN: Final[tuple[Shown, ...]] = get_args(Shown)
MONTHS: Final[dict[Period, int]] = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Progress:
    """A row of progress. `current` counts, in a window that rolls the most that any stretch held; `told` counts its events."""

    id: UUID
    threshold_id: UUID
    customer_id: UUID
    merchant_id: UUID
    window_start: datetime
    current: int
    pending: int
    reached: int
    number: int
    told: int
    updated_at: datetime
    rolling: int | None = None
    """In a window that rolls: what its last days hold now."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a reader is shown. In a rule that repeats, `current` and `target` are of the cycle; `total` is of all."""

    current: int
    total: int
    target: int
    step: int
    cycle: int
    status: Shown

    @property
    def remaining(self) -> int:
        return max(0, self.target - self.current)

    @property
    def percent(self) -> int:
        """How much of the way to the target is gone, in whole percent, rounded down."""
        return min(100, max(0, self.current) * 100 // self.target)


def standing(progress: Progress, version: Version, now: datetime) -> Standing:
    """How far the customer is, by this version, at `now`."""
    total = progress.current if progress.rolling is None else progress.rolling
    repeats = version.repeat == "repeating"
    cycle = total // version.lap if repeats else 0
    current = total - cycle * version.lap
    step = sum(target <= current for target in version.targets)
    target = next((each for each in version.targets if each > current), version.lap)
    return Standing(current, total, target, step, cycle + 1, _status(progress, version, total, now))


def _status(progress: Progress, version: Version, total: int, now: datetime) -> Shown:
    if version.repeat != "repeating" and progress.current >= version.lap:
        return "reached"
    end = window_end(version, progress.window_start)
    if end is not None and end <= now:
        return "ended"
    return "inProgress" if total or progress.pending else "notStarted"


def window_end(version: Version, start: datetime) -> datetime | None:
    """When a window is over; None: never."""
    window = version.window
    if window.kind == "dates":
        return window.until_at
    if window.kind != "calendar":
        return None
    assert window.period is not None, "a calendar's window has a period"
    zone = ZoneInfo(version.time_zone)
    first = start.astimezone(zone).replace(tzinfo=None)
    if window.period in MONTHS:
        month = first.month - 1 + MONTHS[window.period]
        last = first.replace(year=first.year + month // 12, month=month % 12 + 1)
    else:
        last = first + timedelta(days=7 if window.period == "week" else 1)
    return last.replace(tzinfo=zone)


def no_progress() -> NotFound:
    """The refusal for progress that is unknown, or someone else's."""
    return NotFound("No progress has this id. Verify the id.")
