"""Quotas as values: the lines of an agreement, what is used of them, and the pure arithmetic of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from typing import Final, Literal
from uuid import UUID

import msgspec

from tallystick.base import clock
from tallystick.base.money import MINOR_MAX, Money
from tallystick.governance.periods import Period

Metric = Literal["giftCards.count", "giftCards.value", "rewards.value", "transactions.count"]
Beyond = Literal["block", "allow", "notify"]
State = Literal["within", "warning", "full", "exceeded"]

VALUE_METRICS: Final = frozenset({"giftCards.value", "rewards.value"})
"""Counted in minor units of a currency; the others by number."""

LINES_MAX: Final = 50
AMOUNT_MAX: Final = 2**53 - 1
"""The largest amount of a line: the largest whole number that every JSON reader keeps."""
PRICE_MAX: Final = 2**31 - 1
PER_MAX: Final = 10**9
NO_BOUND: Final = 2**62
"""What may be used where a line has no bound: more than anybody ever uses, and a sum with it stays within 64 bits."""

MICROSECOND: Final = timedelta(microseconds=1)


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How much of a metric each period includes, and what becomes of more. Amounts are minor units for values, else numbers."""

    id: UUID
    partner_id: UUID
    metric: Metric
    currency: str | None
    period: Period
    time_zone: str
    included: int
    beyond: Beyond
    cap: int | None = None
    """The most in all, where more than what is included is allowed; None: no bound."""
    unit_price: int | None = None
    """Minor units of `price_currency` for every `per` units beyond what is included."""
    per: int | None = None
    price_currency: str | None = None

    @property
    def most(self) -> int:
        """How much can be used in one period before more is refused."""
        if self.beyond == "block":
            return self.included
        return NO_BOUND if self.cap is None else self.cap

    @property
    def place(self) -> tuple[Metric, str | None, Period]:
        """What makes it the same line in another version."""
        return self.metric, self.currency, self.period


@dataclass(frozen=True, slots=True)
class Terms:
    """One version of a partner's terms, with its lines. It holds from its instant until a later version's."""

    id: UUID
    partner_id: UUID
    version: int
    effective_from: datetime
    created_by: UUID | None
    """The operator who agreed to it over HTTP; None: on the command line."""
    created_at: datetime
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used of a metric in one period, as its row stands."""

    id: UUID
    partner_id: UUID
    line_id: UUID
    metric: Metric
    currency: str | None
    period: Period
    time_zone: str
    period_start: datetime
    period_end: datetime
    used: int
    refused: int
    warned_80_at: datetime | None = None
    warned_100_at: datetime | None = None
    exceeded_at: datetime | None = None
    version: int = 0


def usage_id(tenant_id: UUID, line: Line, start: datetime) -> UUID:
    """The name of what is used of a line in the period that begins at `start`: the same whichever version the line is of."""
    name = f"{tenant_id}:{line.partner_id}:{line.metric}:{line.currency}:{line.period}:{clock.render(start)}"
    return UUID(md5(name.encode(), usedforsecurity=False).hexdigest())


def in_force(history: Sequence[Terms], at: datetime) -> Terms | None:
    """The terms that hold at an instant: of those that have begun the last that was agreed."""
    begun = [terms for terms in history if terms.effective_from <= at]
    return max(begun, key=lambda terms: terms.version, default=None)


def line_of(history: Sequence[Terms], usage: Usage, now: datetime) -> Line:
    """By which line a period is told and charged: the one in force now, or at its end; where none is, the one that counted it."""
    terms = in_force(history, min(now, usage.period_end - MICROSECOND))
    place = (usage.metric, usage.currency, usage.period)
    for line in () if terms is None else terms.lines:
        if line.place == place:
            return line
    return next(line for terms in history for line in terms.lines if line.id == usage.line_id)


def threshold(included: int, percent: int) -> int:
    """From how much on so many percent of what is included are used, rounded up."""
    return -(-included * percent // 100)


def overage(line: Line, used: int) -> int:
    """What is used beyond what is included."""
    return max(0, used - line.included)


def charge(line: Line, used: int) -> Money | None:
    """What a period's overage costs; None where the line has no price.

    The price for every `per` units, in proportion: exact in whole numbers, and rounded once, to the nearest minor unit, half a unit
    up.
    """
    if line.unit_price is None or line.per is None or line.price_currency is None:
        return None
    exact = overage(line, used) * line.unit_price
    return Money(min((2 * exact + line.per) // (2 * line.per), MINOR_MAX), line.price_currency)


def forecast(usage: Usage, now: datetime) -> int:
    """What will be used when the period ends, if it goes on as it did since its beginning."""
    elapsed = (now - usage.period_start) // MICROSECOND
    whole = (usage.period_end - usage.period_start) // MICROSECOND
    if not 0 < elapsed < whole:
        return usage.used
    return min((2 * usage.used * whole + elapsed) // (2 * elapsed), MINOR_MAX)


def state(line: Line, used: int, refused: int) -> State:
    """How far a period is, in a word."""
    if used > line.included or refused > 0:
        return "exceeded"
    if used >= line.included:
        return "full"
    return "warning" if used >= threshold(line.included, 80) else "within"
