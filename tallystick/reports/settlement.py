"""The statement of what a merchant is owed for value it accepted, between two versions of one account: the same for ever after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from tallystick import ledger
from tallystick.base import clock
from tallystick.base.work import Work
from tallystick.ledger import periods_figures

if TYPE_CHECKING:
    from tallystick.reports.model import Line
    from tallystick.reports.sheets import Making

CAPTURED = "payment.capture"
REFUNDED = "payment.refund"


async def settlement(making: Making) -> AsyncIterator[Line]:
    """A line for each journal: what it captured or refunded of which payment, and the balance after."""
    payable = ledger.house_account(making.merchant.id, "merchant.payable")
    low, high = await _versions(making, payable)
    making.report = replace(making.report, from_version=low, to_version=high)
    opening = await _balance(making.work, payable, low)
    sums = making.figures = {"opening": opening, "captured": 0, "refunded": 0, "other": 0, "net": 0, "closing": opening}
    async for entries in _journals(making.work, payable, low, high):
        first, last = entries[0], entries[-1]
        amount = sum(each.amount for each in entries)
        captured = amount if first.kind == CAPTURED else 0
        refunded = -amount if first.kind == REFUNDED else 0
        other = amount - captured + refunded
        for name, value in (("captured", captured), ("refunded", refunded), ("other", other), ("net", amount)):
            sums[name] += value
        sums["closing"] = last.balance_after
        yield (
            str(first.cause_id), first.kind, clock.render(first.at), str(first.journal_id), first.version, last.version, captured,
            refunded, other, last.balance_after, making.merchant.currency,
        )  # fmt: skip
    assert sums["opening"] + sums["net"] == sums["closing"], "a statement's lines make up its balance"


async def _versions(making: Making, payable: UUID) -> tuple[int, int]:
    """Behind which version the statement begins and with which it ends; told, or as the account stood at the instants."""
    report = making.report
    if report.to_version is not None:
        return report.from_version or 0, report.to_version
    low = await periods_figures.version_before(making.work, payable, making.since)
    return low, await periods_figures.version_before(making.work, payable, making.until)


async def _balance(work: Work, payable: UUID, version: int) -> int:
    if version == 0:
        return 0
    (entry,) = await ledger.statement(work, payable, after_version=version - 1, limit=1)
    return entry.balance_after


async def _journals(work: Work, payable: UUID, low: int, high: int) -> AsyncIterator[list[ledger.Entry]]:
    """The entries behind `low` up to `high`, those of one journal together: they stand next to each other."""
    waiting: list[ledger.Entry] = []
    while low < high:
        page = await ledger.statement(work, payable, after_version=low, limit=min(1_000, high - low))
        groups = [list(group) for _, group in groupby([*waiting, *page], key=lambda each: each.journal_id)]
        # The last journal of a page may go on in the next.
        waiting = groups.pop()
        for group in groups:
            yield group
        low = page[-1].version
    if waiting:
        yield waiting
