"""Whatever verbs wrote the books, the roll-forward closes, ties to the balances, and adds up however its interval is cut."""

from datetime import datetime
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick import ledger
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.ledger import periods_figures
from tallystick.reports import rollforward
from tallystick.reports.rollforward import CLASSES, LINES
from tests import world
from tests.api import luna
from tests.reports.cast import HOUR, Shop
from tests.world import T0

VERBS = (
    "sell", "give", "load", "capture", "capture", "refund", "expire", "adjust_up", "adjust_down", "transfer", "merge",
    "give_back", "cash_out",
)  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 30), st.integers(1, 500)), min_size=1, max_size=14)


async def carry_out(shop: Shop, verb: str, spot: int, units: int, at: datetime) -> None:
    """One verb on one of the lots; what it cannot do, it leaves."""
    if verb == "sell" or not shop.lots:
        await shop.sell(units, at)
        return
    if verb == "give":
        await shop.give(units, at)
        return
    lot_id = list(shop.lots)[spot % len(shop.lots)]
    left = await shop.balance(lot_id)
    amount = min(units, left)
    if verb in ("load", "refund") or verb == "adjust_up":
        grow: Any = {"load": shop.load, "refund": shop.refund, "adjust_up": shop.adjust}[verb]
        await grow(lot_id, units, at)
    elif left == 0:
        return
    elif verb == "expire":
        await shop.expire(lot_id, at)
    elif verb == "adjust_down":
        await shop.adjust(lot_id, -amount, at)
    else:
        shrink: Any = {
            "capture": shop.capture,
            "transfer": shop.move,
            "give_back": shop.give_back,
            "cash_out": shop.cash_out,
        }.get(verb)
        await (shrink(lot_id, amount, at) if shrink else shop.move(lot_id, amount, at, "wallet.merge"))


Rolled = dict[tuple[str, str], int]


async def roll(shop: Shop, since: datetime, until: datetime) -> Rolled:
    async with shop.runtime.reading(shop.tenant) as work:
        opening = rollforward.by_class(await periods_figures.balances(work, shop.merchant.id, since, value_only=True))
        moved = await periods_figures.movements(work, shop.merchant.id, since, until, value_only=True)
        closing = rollforward.by_class(await periods_figures.balances(work, shop.merchant.id, until, value_only=True))
    rows = rollforward.rows(opening, rollforward.lines(moved.items()), closing)
    return {(owed_as, line): amount for owed_as, line, amount, _ in rows}


async def unspent(shop: Shop) -> dict[str, int]:
    """What the lots hold now, by class, straight from their accounts."""
    async with shop.runtime.work(shop.tenant) as work:
        accounts: dict[UUID, ledger.Account] = await ledger.lock(work, list(shop.lots))
    held = dict.fromkeys(CLASSES, 0)
    for account in accounts.values():
        held[str(account.lot_class)] += account.balance
    return held


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS, cuts=st.tuples(st.integers(0, 16), st.integers(0, 16)))
async def test_any_history_rolls_forward_and_adds_up_however_it_is_cut(
    runtime: Runtime, auditor: Db, steps: list[tuple[str, int, int]], cuts: tuple[int, int]
) -> None:
    tenant = await world.northwind(runtime, "production")
    shop = Shop(runtime, tenant, await luna(runtime, tenant))
    for n, (verb, spot, units) in enumerate(steps):
        await carry_out(shop, verb, spot, units, T0 + n * HOUR)
    since, until = T0, T0 + 20 * HOUR
    middle = T0 + cuts[0] * HOUR + cuts[1] * HOUR / 2
    whole, first, second = (
        await roll(shop, since, until),
        await roll(shop, since, middle),
        await roll(shop, middle, until),
    )
    assert {each: whole[each, "closing"] for each in CLASSES} == await unspent(shop)
    for owed_as in CLASSES:
        assert first[owed_as, "closing"] == second[owed_as, "opening"]
        assert (first[owed_as, "opening"], second[owed_as, "closing"]) == (0, whole[owed_as, "closing"])
        for line in LINES:
            parts = first.get((owed_as, line), 0) + second.get((owed_as, line), 0)
            assert parts == whole.get((owed_as, line), 0), (owed_as, line)
    assert all(whole.get((owed_as, "other"), 0) == 0 for owed_as in CLASSES)
    assert sum(amount for (_, line), amount in whole.items() if line == "transferred") == 0
    assert await ledger.check_books(auditor, tenant.id) == []


def test_every_line_of_a_kind_is_a_line() -> None:
    assert set(rollforward.LINE_OF_KIND.values()) <= set(LINES)
