"""What a partner holds its own books against, day by day: the balances of stored value, and what happened, by topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import tallystick.reports.reconciliation_store as store
from tallystick import partners
from tallystick.ledger import periods_figures
from tallystick.reports import rollforward
from tallystick.reports.reconciliation_model import days
from tallystick.reports.reconciliation_store import Span

if TYPE_CHECKING:
    from tallystick.base.work import Work
    from tallystick.ledger.periods_model import Moved
    from tallystick.reports.model import Line, Report
    from tallystick.reports.sheets import Making

BALANCE, EVENTS = "balance", "events"
"""The sections of a report."""
ALL: Final = "all"
"""The name of every class of value together."""
DIFFERENCE: Final = "difference"


async def reconciliation(making: Making) -> AsyncIterator[Line]:
    """For each day of the merchant: of each class of value the opening, what moved, the closing and the difference, which is 0;
    then each topic with the number of its events, what they come to, and the digest of their ids.

    Both are read in one snapshot. The events are those up to the newest position of it, which the figures name: the same for ever.
    """
    work, merchant = making.work, making.merchant
    upto = await store.head(work)
    sight = await sees_programme(work, making.report)
    opening = await _balances(making, making.since)
    making.figures = {
        "opening": sum(opening.values()),
        "movement": 0,
        "closing": 0,
        DIFFERENCE: 0,
        "events": 0,
        "position": upto,
    }
    for day, since, until in days(making.since, making.until, merchant.time_zone):
        moved = await periods_figures.movements(work, merchant.id, since, until, value_only=True)
        closing = await _balances(making, until)
        for rolled in _rolled(opening, rollforward.lines(moved.items()), closing):
            yield day.isoformat(), BALANCE, *rolled, None, merchant.currency
        making.figures["movement"] += sum(each.amount for each in moved.values())
        async for line in _events(making, day, Span(merchant.id, making.report.partner_id, sight, upto, since, until)):
            yield line
        opening = closing
    making.figures["closing"] = sum(opening.values())
    making.figures[DIFFERENCE] = making.figures["closing"] - making.figures["opening"] - making.figures["movement"]
    assert making.figures[DIFFERENCE] == 0, "what moved makes up the closing balance"


async def sees_programme(work: Work, report: Report) -> bool:
    """Whether the report's partner sees all of the programme just now; its own it sees always."""
    return (await partners.sight(work, [report.partner_id])).get(report.partner_id, False)


def _rolled(
    opening: Mapping[str, int], moved: Mapping[str, Mapping[str, Moved]], closing: Mapping[str, int]
) -> Iterator[tuple[str, str, int | None, int]]:
    """(name, class, entries, amount); `rollforward.rows` raises AssertionError where a class does not close."""
    sums = {"opening": 0, "movement": 0, "closing": 0}
    rest = 0
    for value_class, name, amount, entries in rollforward.rows(opening, moved, closing):
        yield name, value_class, entries, amount
        sums[name if name in sums else "movement"] += amount
        rest += -amount if name == "closing" else amount
        if name == "closing":
            yield DIFFERENCE, value_class, None, rest
            assert rest == 0, f"{value_class} value does not roll forward"
    for name, amount in sums.items():
        yield name, ALL, None, amount
    yield DIFFERENCE, ALL, None, sums["opening"] + sums["movement"] - sums["closing"]


async def _events(making: Making, day: date, span: Span) -> AsyncIterator[Line]:
    for total in await store.totals(making.work, span):
        making.figures["events"] += total.count
        yield (
            day.isoformat(), EVENTS, total.topic, None, total.count, total.amount, total.digest, making.merchant.currency,
        )  # fmt: skip


async def _balances(making: Making, before: datetime) -> dict[str, int]:
    held = await periods_figures.balances(making.work, making.merchant.id, before, value_only=True)
    return rollforward.by_class(held)
