"""A rehearsal on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.thresholds.rehearsing import BudgetUse, Day, Given, Rehearsal


class StepGivenShown(msgspec.Struct, rename="camel"):
    """What one step would have given."""

    step: int
    rewards: int
    cost: int
    bounded: int


class DayGivenShown(msgspec.Struct, rename="camel"):
    """What would have been given on one day, and `spent` until its end within the caps."""

    date: str
    rewards: int
    cost: int
    bounded: int
    spent: int


class PlaceGivenShown(msgspec.Struct, rename="camel"):
    """What would have been given at one location within all caps and budgets; null: at none that was told."""

    location_id: str | None
    awarded: int
    given: int


class BudgetUseShown(msgspec.Struct, rename="camel"):
    """One budget, as if nothing else were given of it: what its dearest period comes to, and in how many nothing is left of it.

    Of locations: the dearest period of any, and in how many of them all.
    """

    scope: str
    location_id: str | None
    period: str | None
    amount: int
    most: int
    used_up: int
    first_used_up_on: str | None


class FiguresShown(msgspec.Struct, rename="camel"):
    """What a version would have given, in minor units: `cost` without caps or budgets, `bounded` within the caps of a customer, and
    `given`, in `awarded` rewards, within caps and budgets. `locations` are the 100 at which the most would have been given.
    """

    version: int
    customers: int
    rewarded: int
    rewards: int
    cost: int
    bounded: int
    awarded: int
    given: int
    by_step: list[StepGivenShown]
    burn: list[DayGivenShown]
    budgets: list[BudgetUseShown]
    locations: list[PlaceGivenShown]


class DifferenceShown(msgspec.Struct, rename="camel"):
    """The rehearsed version less the live one."""

    rewarded: int
    rewards: int
    cost: int
    bounded: int


class ThresholdSimulationAttributes(FiguresShown, rename="camel"):
    """What a version would have given for what happened in a stretch of time, beside what the live one would."""

    threshold_id: str
    from_: str = msgspec.field(name="from")
    until: str
    currency: str
    live: FiguresShown | None
    difference: DifferenceShown | None


_STEP: Final = {"step": 1, "rewards": 120, "cost": 60000, "bounded": 57500}
_FIGURES: Final[dict[str, Any]] = {
    "version": 2,
    "customers": 840,
    "rewarded": 96,
    "rewards": 120,
    "cost": 60000,
    "bounded": 57500,
    "awarded": 100,
    "given": 50000,
    "byStep": [_STEP],
    "burn": [{"date": "2026-06-03", "rewards": 120, "cost": 60000, "bounded": 57500, "spent": 57500}],
    "budgets": [
        {
            "scope": "rule",
            "locationId": None,
            "period": "month",
            "amount": 50000,
            "most": 57500,
            "usedUp": 1,
            "firstUsedUpOn": "2026-06-03",
        }
    ],
    "locations": [{"locationId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a32", "awarded": 100, "given": 50000}],
}
PLACES_MAX: Final = 100
"""How many locations are shown."""
EXAMPLE: Final[dict[str, Any]] = {
    **_FIGURES,
    "thresholdId": "0199d3c0-7b22-7a11-9c4d-5e6f7a8b9c0d",
    "from": "2026-05-18T12:00:00.000Z",
    "until": "2026-06-17T12:00:00.000Z",
    "currency": "USD",
    "live": {
        **_FIGURES,
        "version": 1,
        "rewarded": 70,
        "rewards": 80,
        "cost": 40000,
        "bounded": 40000,
        "awarded": 80,
        "given": 40000,
        "byStep": [{"step": 1, "rewards": 80, "cost": 40000, "bounded": 40000}],
        "burn": [{"date": "2026-06-03", "rewards": 80, "cost": 40000, "bounded": 40000, "spent": 40000}],
        "budgets": [],
        "locations": [{"locationId": None, "awarded": 80, "given": 40000}],
    },
    "difference": {"rewarded": 26, "rewards": 40, "cost": 20000, "bounded": 17500},
}
SIMULATION: Final = Resource(
    "ThresholdSimulation", "/api/v1/thresholds/{id}/simulate", ThresholdSimulationAttributes, EXAMPLE
)


def document(
    threshold_id: UUID, from_at: datetime, until_at: datetime, rehearsed: Rehearsal, live: Rehearsal | None
) -> bytes:
    """The document of a rehearsal. Its id is made of what was rehearsed."""
    since, until = clock.render(from_at), clock.render(until_at)
    shown = ThresholdSimulationAttributes(
        **_figures(rehearsed),
        threshold_id=str(threshold_id),
        from_=since,
        until=until,
        currency=rehearsed.version.currency,
        live=None if live is None else FiguresShown(**_figures(live)),
        difference=None if live is None else _difference(rehearsed, live),
    )
    name = uuid5(threshold_id, f"{rehearsed.version.number} {since} {until}")
    return jsonapi.document(jsonapi.resource(SIMULATION, name, shown))


def _figures(of: Rehearsal) -> dict[str, Any]:
    return {
        "version": of.version.number,
        "customers": of.customers,
        "rewarded": of.rewarded,
        "rewards": of.given.rewards,
        "cost": of.given.cost,
        "bounded": of.given.bounded,
        "awarded": of.burn.total.awarded,
        "given": of.burn.total.given,
        "by_step": _steps(of.by_step),
        "burn": [_day(each) for each in of.days],
        "budgets": [_budget(each) for each in of.budgets],
        "locations": [
            PlaceGivenShown(None if place is None else str(place), each.awarded, each.given)
            for place, each in of.places[:PLACES_MAX]
        ],
    }


def _steps(given: Sequence[Given]) -> list[StepGivenShown]:
    return [StepGivenShown(step, each.rewards, each.cost, each.bounded) for step, each in enumerate(given, 1)]


def _day(each: Day) -> DayGivenShown:
    return DayGivenShown(each.day.isoformat(), each.given.rewards, each.given.cost, each.given.bounded, each.spent)


def _budget(use: BudgetUse) -> BudgetUseShown:
    budget = use.budget
    first_on = None if use.first_on is None else use.first_on.isoformat()
    where = None if budget.location_id is None else str(budget.location_id)
    return BudgetUseShown(budget.scope, where, budget.period, budget.amount, use.most, use.used_up, first_on)


def _difference(one: Rehearsal, other: Rehearsal) -> DifferenceShown:
    return DifferenceShown(
        one.rewarded - other.rewarded,
        one.given.rewards - other.given.rewards,
        one.given.cost - other.given.cost,
        one.given.bounded - other.given.bounded,
    )
