"""Rules as values: what a version counts, when, and which steps a customer's progress deserves. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

import msgspec

from tallystick.base.errors import NotFound
from tallystick.base.work import Caller

Status = Literal["draft", "scheduled", "active", "paused", "completed"]
Metric = Literal["spend", "visits", "orders", "items", "distinctDays", "distinctLocations"]
WindowKind = Literal["ever", "dates", "calendar", "rolling"]
Period = Literal["day", "week", "month", "quarter", "year"]
Repeat = Literal["once", "repeating", "perPeriod"]
RefundPolicy = Literal["none", "unspent_only", "full"]
RewardType = Literal["walletCredit", "giftCard"]
Kind = Literal["transaction", "visit", "order"]

STATUSES: Final[tuple[Status, ...]] = get_args(Status)

KINDS: dict[Metric, tuple[Kind, ...]] = {
    "spend": ("transaction",),
    "items": ("transaction",),
    "visits": ("visit",),
    "orders": ("order",),
    "distinctDays": ("transaction", "visit", "order"),
    "distinctLocations": ("transaction", "visit", "order"),
}
"""What each metric counts, unless told: a rule may count purchases as visits, or the amounts of orders."""

REPEATS: dict[WindowKind, tuple[Repeat, ...]] = {
    "ever": ("once", "repeating"),
    "dates": ("once", "repeating"),
    "calendar": ("perPeriod", "repeating"),
    "rolling": ("once",),
}
"""How often each kind of window can be reached. In a calendar's window both begin anew with each period."""


@dataclass(frozen=True, slots=True)
class StepReward:
    """What a step gives: minor units of the merchant's currency, to the wallet (or waiting for the phone), or as a gift card."""

    type: RewardType
    amount: int
    message: str | None = None
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """What counts; None takes everything.

    `methods` and `excluded_methods` count the share that was paid in (or not in) these ways; `categories` the share of these lines.
    `minimum` is of what is left of one activity after them, before returns. Weekdays are 1 (Monday) to 7; minutes are of the day,
    `from` included, `until` excluded, both in the time zone of the location, else of the version.
    """

    kinds: tuple[Kind, ...] = ("transaction",)
    locations: tuple[UUID, ...] | None = None
    groups: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    excluded_methods: tuple[str, ...] | None = None
    minimum: int | None = None
    weekdays: tuple[int, ...] | None = None
    minute_from: int | None = None
    minute_until: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """In which stretch of time what happened adds up. Days, periods and dates are of the merchant's time zone."""

    kind: WindowKind
    from_at: datetime | None = None
    until_at: datetime | None = None
    period: Period | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """Of one customer: how many rewards and how much in all, and how many in one day of the version's time zone; None: no bound."""

    customer_count: int | None = None
    customer_amount: int | None = None
    customer_day_count: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be given of one scope in each period (None: in all), in minor units. What is left of it is given as a part."""

    scope: Literal["rule", "merchant", "location"]
    amount: int
    period: Period | None = None
    location_id: UUID | None = None
    """For a location's budget: which; None: each for itself."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a rule. `targets` are the cumulative needs of its steps, ascending; `rewards` what each gives."""

    threshold_id: UUID
    number: int
    merchant_id: UUID
    metric: Metric
    before_tax: bool
    currency: str
    time_zone: str
    filters: Filters
    window: Window
    repeat: Repeat
    targets: tuple[int, ...]
    rewards: tuple[StepReward, ...]
    caps: Caps
    budgets: tuple[Budget, ...]
    refund_policy: RefundPolicy
    published_at: datetime | None
    created_at: datetime

    @property
    def lap(self) -> int:
        """What one whole cycle needs."""
        return self.targets[-1]

    def deserved(self, progress: int, after: int = 0) -> Iterator[tuple[int, int, int]]:
        """The steps that so much progress deserves, in their order: cycle, step (both from 1), and what it needs in all.

        Only those that need more than `after`.
        """
        first = after // self.lap if self.repeat == "repeating" else 0
        last = progress // self.lap if self.repeat == "repeating" else 0
        for cycle in range(first, last + 1):
            for step, target in enumerate(self.targets, 1):
                needs = cycle * self.lap + target
                if needs > progress:
                    return
                if needs > after:
                    yield cycle + 1, step, needs


@dataclass(frozen=True, slots=True)
class Threshold:
    """A rule by name, as its row stands. `live_number` is the version in force, or that was when the rule was paused or completed;
    `latest_number` the newest, perhaps a draft; `waiting_number` the one that comes into force at `scheduled_at`.

    `version` counts what was told of the rule: 0 while it is a draft that nobody was told of.
    """

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    name: str
    status: Status
    latest_number: int
    live_number: int | None
    scheduled_at: datetime | None
    due_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    waiting_number: int | None = None

    def at(self, now: datetime) -> "Threshold":
        """The rule as it stands at `now`: what was scheduled is in force at its instant, whether or not the row was turned yet."""
        if self.scheduled_at is None or self.scheduled_at > now:
            return self
        return replace(
            self,
            status="active",
            live_number=self.waiting_number,
            scheduled_at=None,
            due_at=None,
            waiting_number=None,
        )

    @property
    def shown_number(self) -> int:
        """The version that is shown: in force, else waiting, else the newest."""
        return self.live_number or self.waiting_number or self.latest_number

    def seen_by(self, caller: Caller) -> bool:
        """Whether the caller may read it: its partner's own, or the whole programme's by agreement, at its merchants."""
        if caller.merchant_ids is not None and self.merchant_id not in caller.merchant_ids:
            return False
        return caller.sees_programme or self.partner_id == caller.partner_id


def missing() -> NotFound:
    """The refusal for a threshold that is not there, or not for this caller."""
    return NotFound("No threshold has this id. Verify the id.")


class Standing(msgspec.Struct, frozen=True):
    """How an activity stands towards progress before or after a change: not at all, waiting or counted; what was returned of it.

    A void, a rejection and a customer that nobody knows all mean `absent`.
    """

    state: Literal["absent", "pending", "counted"]
    returned_amount: int = 0
    returned_units: int = 0


class Move(msgspec.Struct, frozen=True):
    """An activity whose standing changed: it came, was returned in part, was released or rejected, or its customer became known."""

    activity_id: UUID
    before: Standing
    after: Standing


class Moved(msgspec.Struct, frozen=True):
    """One customer's progress in one window of one threshold, as a batch of moves left it.

    `activity_id` and `location_id` are of the latest thing that happened among those that moved it.
    """

    threshold_id: UUID
    customer_id: UUID
    merchant_id: UUID
    window_start: datetime
    number: int
    """The version that counted last."""
    before: int
    current: int
    pending: int
    activity_id: UUID
    location_id: UUID | None
    reached: int
    """The need of the highest step that is settled."""
    crossed: bool
    """Whether a step waits that so much deserves, or one was settled that it deserves no more."""
