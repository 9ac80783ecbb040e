"""Ground for tests of progress: rules, places and activity straight in the database, and moves of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tallystick import thresholds
from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.thresholds.model import Move, Standing
from tests.thresholds.recount import Happened, Place, Rule, recount
from tests.world import T0

ALWAYS = [(T0 - timedelta(days=300), None)]
INSERT_ACTIVITY = """
insert into activities (
    tenant_id, id, partner_id, merchant_id, kind, type, source, source_id, occurred_at, received_at, channel, location_id, currency,
    amount, tax, units, categories, category_amounts, category_taxes, category_units, methods, method_amounts, customer_id,
    attribution, request_id
)
values ($1, $2::uuid, $2, $3, $4, $5, 'test', ($2::uuid)::text, $6, $6, $7, $8, 'USD', $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18,
    'counted', $2)
"""
INSERT_VERSION = """
insert into threshold_versions (
    tenant_id, threshold_id, number, merchant_id, metric, before_tax, currency, time_zone, kinds, locations, groups, channels,
    categories, methods, excluded_methods, minimum, weekdays, minute_from, minute_until, window_kind, window_from, window_until,
    window_period, window_days, repeat, targets, rewards, caps, budgets, refund_policy, published_at, created_at
)
values ($1, $2, $3, $4, $5, $6, 'USD', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    '[]', '{}', '[]', 'full', $26, $26)
"""
INSERT_INTERVAL = """
insert into threshold_intervals (tenant_id, threshold_id, from_at, until_at, number, merchant_id) values ($1, $2, $3, $4, $5, $6)
"""
INSERT_PLACE = """
insert into locations (tenant_id, id, partner_id, merchant_id, name, time_zone, groups, created_at, updated_at)
values ($1, $2, $2, $3, 'a place', $4, $5, $6, $6)
"""
PROGRESS = "select customer_id, window_start, current, pending from threshold_progress where tenant_id = $1 and threshold_id = $2"

PLACES = {"here": Place("America/New_York", ("city", "airport")), "there": Place("Asia/Tokyo", ("airport",))}
CUSTOMERS = ("ann", "bob")
CATEGORIES = ("coffee", "cake")
METHODS = ("Cash", "CreditCard", "GiftCard")
MINUTE = timedelta(minutes=1)


@dataclass
class Ground:
    """A threshold in the database, and the ids behind the names."""

    work: Work
    merchant_id: UUID
    threshold_id: UUID
    ids: dict[str, UUID]

    async def lay(
        self, rules: Sequence[Rule], targets: Sequence[int] = (10**12,), repeat: str = "once", *, places: bool = True
    ) -> None:
        for name, place in PLACES.items() if places else ():
            row = (self.work.tenant.id, self.ids[name], self.merchant_id, place.zone, list(place.groups), T0)
            await self.work.db.run(INSERT_PLACE, *row)
        for number, rule in enumerate(rules, 1):
            f = rule.filters
            locations = [self.ids[name] for name in f["locations"]] if "locations" in f else None
            await self.work.db.run(
                INSERT_VERSION, self.work.tenant.id, self.threshold_id, number, self.merchant_id, rule.metric, rule.before_tax,
                rule.zone, list(rule.kinds), locations, f.get("groups"), f.get("channels"), f.get("categories"), f.get("methods"),
                f.get("excluded_methods"), f.get("minimum"), f.get("weekdays"), f.get("minute_from"), f.get("minute_until"),
                rule.window, rule.window_from, rule.window_until, rule.period, rule.days, repeat, list(targets), T0,
            )  # fmt: skip
            for start, end in rule.stretches:
                await self.work.db.run(
                    INSERT_INTERVAL, self.work.tenant.id, self.threshold_id, start, end, number, self.merchant_id
                )

    async def happen(self, each: Happened) -> UUID:
        activity_id = ids.new()
        kind = {"transaction": "Purchase", "visit": "Visit", "order": "Order"}[each.kind]
        lines = _columns(each.lines, 4)
        paid = _columns(each.payments, 2)
        place = None if each.place is None else self.ids[each.place]
        await self.work.db.run(
            INSERT_ACTIVITY, self.work.tenant.id, activity_id, self.merchant_id, each.kind, kind, each.at, each.channel, place,
            each.amount, each.tax, each.units, *lines, *paid, self.ids[each.customer],
        )  # fmt: skip
        return activity_id

    async def progress(self) -> dict[tuple[str, datetime], tuple[int, int]]:
        names = {id_: name for name, id_ in self.ids.items()}
        rows = await self.work.db.rows(PROGRESS, self.work.tenant.id, self.threshold_id)
        return {(names[row[0]], row[1]): (row[2], row[3]) for row in rows if row[2] or row[3]}


def ground(work: Work) -> Ground:
    return Ground(work, ids.new(), ids.new(), {name: ids.new() for name in (*CUSTOMERS, *PLACES)})


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any] | None]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [None] * width


def arrived(activity_id: UUID, each: Happened) -> Move:
    return Move(activity_id, Standing("absent"), standing(each))


def standing(each: Happened) -> Standing:
    state: Any = each.state
    return Standing(state, each.returned_amount, each.returned_units)


class Undone(Exception):
    """Leaves nothing behind."""


@asynccontextmanager
async def undone(runtime: Runtime, tenant: Tenant) -> AsyncIterator[Work]:
    """A work that leaves nothing behind."""
    with suppress(Undone):
        async with runtime.work(tenant) as work:
            yield work
            raise Undone


async def amount_of(runtime: Runtime, tenant: Tenant, made: Rule, *happened: Happened) -> int:
    """What ann has of one rule."""
    async with undone(runtime, tenant) as work:
        there = ground(work)
        await there.lay([made])
        await thresholds.advance(work, [arrived(await there.happen(each), each) for each in happened])
        found = await there.progress()
        assert found == {where: amount for where, amount in recount([made], happened, PLACES).items() if any(amount)}
        return sum(counted for counted, _ in found.values())
    raise AssertionError("the work is undone behind its end")
