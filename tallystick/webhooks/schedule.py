"""What follows from an answer: delivered, tried again and when, given up; and whether the endpoint wants no more at all.

The times are those of Standard Webhooks 1.0: 75 hours and a half in all, a day more with all the jitter.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from tallystick.webhooks.model import Answer, DeliveryStatus, Reason

DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Behind each attempt that failed, until the next."""
JITTER: Final = 0.2
"""At most this share of a delay is added, so that what failed together does not come back together."""
WAIT_MAX: Final = timedelta(hours=24)
"""No receiver puts an attempt off for longer."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt."""

    status: DeliveryStatus
    due_at: datetime | None
    """When it is tried again; None: never."""
    disables: Reason | None
    """Why its endpoint is not to be sent anything any more; None: it is."""
    waits: timedelta | None = None
    """For how long the receiver asked to be left alone."""


def verdict(answer: Answer, tries: int, now: datetime, jitter: float) -> Verdict:
    """What follows from the answer to the attempt number `tries` of a round, made at `now`; `jitter` lies between 0 and 1."""
    wish = answer.headers.get("webhook-delivery", "").strip().lower()
    gone: Reason | None = "gone" if answer.status_code == 410 else None
    disables: Reason | None = "receiver" if wish == "disable" else gone
    if answer.fault is None:
        return Verdict("delivered", None, disables)
    if disables is not None or wish == "abort-message" or tries > len(DELAYS):
        return Verdict("failed", None, disables)
    slot = DELAYS[tries - 1] * (1 + JITTER * jitter)
    asked = retry_after(answer.headers, now)
    wait = slot if asked is None else min(max(slot, asked), max(slot, WAIT_MAX))
    return Verdict("pending", now + wait, None, asked)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long the receiver asks to wait: in seconds, or until a date of HTTP. None: it does not say so, or not well."""
    stated = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(stated):
        return timedelta(seconds=int(stated))
    try:
        until = parsedate_to_datetime(stated)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(until - now, timedelta(0))
