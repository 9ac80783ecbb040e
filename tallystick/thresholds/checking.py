"""Everything that is wrong with a version of a rule, told at once, each fault where it is."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

import tallystick.thresholds.store as store
from tallystick import merchants
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.work import Work
from tallystick.thresholds.model import REPEATS, Kind, Metric, Version

ROLLING: Final[frozenset[Metric]] = frozenset({"spend", "visits", "orders", "items", "distinctDays"})
"""What can be counted in a window that rolls: marks of days carry it."""

WITH_AMOUNTS: Final[frozenset[Metric]] = frozenset({"spend", "items"})
VISIT: Final[Kind] = "visit"

NO_LOCATION: Final = "The merchant has no location of this id. Verify the id."

Fault = tuple[str, str]
"""The attribute that is wrong, by its path, and what to do about it."""


async def faults(work: Work, version: Version) -> list[Refusal]:
    """What is wrong with the version as a whole, and with the locations it names."""
    found = [*_of_counting(version), *_of_window(version), *_of_steps(version), *_of_budgets(version)]
    found += await _of_first(work, version)
    found += await _of_locations(work, version)
    return [InvalidRequest(detail, source=attribute(place)) for place, detail in found]


async def _of_first(work: Work, version: Version) -> list[Fault]:
    """Progress goes on through the versions of a rule, so that all of them count the same thing in the same windows."""
    if version.number == 1:
        return []
    first = (await store.versions(work, [(version.threshold_id, 1)]))[version.threshold_id, 1]
    wrong: list[Fault] = []
    if version.metric != first.metric:
        wrong.append(
            ("metric", f"The rule was published and counts {first.metric}; write another rule to count otherwise.")
        )
    if (version.window.kind, version.window.period) != (first.window.kind, first.window.period):
        wrong.append(
            ("window", "The kind and the period of a published rule's window stay; write another rule for others.")
        )
    return wrong


def _of_counting(version: Version) -> Iterator[Fault]:
    filters = version.filters
    if version.metric in WITH_AMOUNTS and VISIT in filters.kinds:
        yield (
            "filters/kinds",
            "A visit has neither amounts nor items: count transactions or orders, or choose another metric.",
        )
    if (filters.minute_from is None) != (filters.minute_until is None):
        yield "filters/hours", "Hours have both from and until."
    elif (
        filters.minute_from is not None
        and filters.minute_until is not None
        and filters.minute_from >= filters.minute_until
    ):
        yield "filters/hours", "Hours begin before they end, on one day: until is later than from, at most 24:00."
    for place, words in (
        ("kinds", filters.kinds),
        ("weekdays", filters.weekdays),
        ("locations", filters.locations),
        ("methods", filters.methods),
        ("excludedMethods", filters.excluded_methods),
    ):
        if words is not None and len(set(words)) < len(words):
            yield f"filters/{place}", "Name each one once."
    if filters.methods is not None and filters.excluded_methods is not None:
        yield "filters/excludedMethods", "Name the methods that count, or those that do not; not both."


def _of_window(version: Version) -> Iterator[Fault]:
    window = version.window
    wanted = {"ever": (), "dates": ("from", "until"), "calendar": ("period",), "rolling": ("days",)}[window.kind]
    named = {"from": window.from_at, "until": window.until_at, "period": window.period, "days": window.days}
    for name, value in named.items():
        if value is not None and name not in wanted:
            yield f"window/{name}", f"A window of the kind {window.kind} has no {name}; leave it out."
    if window.kind == "dates" and window.from_at is None and window.until_at is None:
        yield "window", "A window of dates names from, until or both."
    elif wanted and window.kind != "dates" and named[wanted[0]] is None:
        yield "window", f"A window of the kind {window.kind} names {wanted[0]}."
    if window.from_at is not None and window.until_at is not None and window.from_at >= window.until_at:
        yield "window/until", "A window ends after it begins."
    if version.repeat not in REPEATS[window.kind]:
        can = " or ".join(REPEATS[window.kind])
        yield "repeat", f"In a window of the kind {window.kind} a rule is reached {can}."
    if window.kind == "rolling" and version.metric not in ROLLING:
        yield "metric", f"In a window that rolls the metric is one of {', '.join(sorted(ROLLING))}."


def _of_steps(version: Version) -> Iterator[Fault]:
    for number, (before, target) in enumerate(zip(version.targets, version.targets[1:], strict=False), 1):
        if target <= before:
            yield f"steps/{number}/target", "Targets ascend: each step needs more than the one before it."


def _of_budgets(version: Version) -> Iterator[Fault]:
    seen = set()
    for number, budget in enumerate(version.budgets):
        if budget.scope != "location" and budget.location_id is not None:
            yield f"budgets/{number}/locationId", "Only a location's budget names a location; leave it out."
        key = (budget.scope, budget.period, budget.location_id)
        if key in seen:
            yield f"budgets/{number}", "There is a budget of this scope, period and location already: say it once."
        seen.add(key)


async def _of_locations(work: Work, version: Version) -> list[Fault]:
    named: list[tuple[str, UUID]] = [
        (f"filters/locations/{number}", location_id)
        for number, location_id in enumerate(version.filters.locations or ())
    ]
    named += [
        (f"budgets/{number}/locationId", budget.location_id)
        for number, budget in enumerate(version.budgets)
        if budget.scope == "location" and budget.location_id is not None
    ]
    if not named:
        return []
    known = await merchants.locations_by_ids(work, list({location_id for _, location_id in named}))
    return [
        (place, NO_LOCATION)
        for place, location_id in named
        if location_id not in known or known[location_id].merchant_id != version.merchant_id
    ]
