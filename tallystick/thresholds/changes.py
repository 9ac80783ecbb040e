"""What a rule is to say: the parts that a partner names, and the version they make."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from msgspec import UNSET, UnsetType

from tallystick.merchants import Merchant
from tallystick.thresholds.model import (
    KINDS,
    REPEATS,
    Budget,
    Caps,
    Filters,
    Metric,
    RefundPolicy,
    Repeat,
    StepReward,
    Version,
    Window,
)

Steps = tuple[tuple[int, StepReward], ...]
"""What each step needs in all, and what it gives."""

ANY = Filters(kinds=())
"""Everything of the kinds that the metric counts: no kinds stand for those."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a rule is to say; what is not set stays, or is as usual in a new one. A part is said as a whole."""

    name: str | UnsetType = UNSET
    metric: Metric | UnsetType = UNSET
    before_tax: bool | UnsetType = UNSET
    filters: Filters | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    window: Window | UnsetType = UNSET
    repeat: Repeat | UnsetType = UNSET
    caps: Caps | UnsetType = UNSET
    budgets: tuple[Budget, ...] | UnsetType = UNSET
    refund_policy: RefundPolicy | UnsetType = UNSET

    @property
    def rewrites(self) -> bool:
        """Whether more than the name is to change: the name is the rule's own, and of no version."""
        return replace(self, name=UNSET) != Changes()

    def first(self, threshold_id: UUID, merchant: Merchant, now: datetime) -> Version:
        """The first version of a new rule. Its metric and its steps are set."""
        assert self.metric is not UNSET, "a new rule has a metric"
        assert self.steps is not UNSET, "a new rule has steps"
        window = Window("ever") if self.window is UNSET else self.window
        empty = Version(
            threshold_id=threshold_id,
            number=1,
            merchant_id=merchant.id,
            metric=self.metric,
            before_tax=False,
            currency=merchant.currency,
            time_zone=merchant.time_zone,
            filters=Filters(KINDS[self.metric]),
            window=window,
            repeat=REPEATS[window.kind][0],
            targets=(),
            rewards=(),
            caps=Caps(),
            budgets=(),
            refund_policy="full",
            published_at=None,
            created_at=now,
        )
        return self._applied_to(empty)

    def following(self, latest: Version, merchant: Merchant, now: datetime) -> Version:
        """The draft that these changes make of the latest version: the same anew where that is a draft, else the next."""
        number = latest.number if latest.published_at is None else latest.number + 1
        draft = replace(
            latest,
            number=number,
            currency=merchant.currency,
            time_zone=merchant.time_zone,
            published_at=None,
            created_at=latest.created_at if number == latest.number else now,
        )
        return self._applied_to(draft)

    def _applied_to(self, version: Version) -> Version:
        named = ("before_tax", "window", "repeat", "caps", "budgets", "refund_policy")
        changed = replace(version, **{name: getattr(self, name) for name in named if getattr(self, name) is not UNSET})
        if self.steps is not UNSET:
            targets, rewards = zip(*self.steps, strict=True)
            changed = replace(changed, targets=targets, rewards=rewards)
        metric = version.metric if self.metric is UNSET else self.metric
        filters = version.filters if self.filters is UNSET else self.filters
        # Another metric counts what it usually does, unless other kinds were wanted of the one before, or are now.
        if not filters.kinds or (self.filters is UNSET and filters.kinds == KINDS[version.metric]):
            filters = replace(filters, kinds=KINDS[metric])
        return replace(changed, metric=metric, filters=filters)
