"""What each kind of report says: its columns, its rows in their order, and the figures that sum it up. Rows are made as read."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import tallystick.reports.stock_store as stock_store
import tallystick.reports.store as store
from tallystick import ledger
from tallystick.base import clock
from tallystick.base.work import Work
from tallystick.ledger import periods_figures
from tallystick.ledger.periods_model import Moved
from tallystick.merchants import Merchant
from tallystick.reports import rollforward
from tallystick.reports.model import Kind, Line, Report, months_before
from tallystick.reports.reconciliation import reconciliation
from tallystick.reports.settlement import settlement

MICROSECOND: Final = timedelta(microseconds=1)

COLUMNS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "liability": ("valueClass", "line", "amount", "entries", "currency"),
    "breakage": (
        "period", "endsAt", "rateBasisPoints", "sold", "redeemed", "expired", "unredeemed", "contraBefore", "recognised",
        "contraAfter", "journalId", "currency",
    ),
    "settlement": (
        "paymentId", "kind", "at", "journalId", "fromVersion", "toVersion", "captured", "refunded", "other", "balanceAfter",
        "currency",
    ),
    "aging": ("valueClass", "ageDays", "expiresInDays", "lots", "amount", "currency"),
    "dormancy": (
        "jurisdiction", "holder", "holderId", "lotId", "valueClass", "amount", "openedAt", "lastMovedAt", "expiresAt", "currency",
    ),
    "reconciliation": ("day", "section", "name", "valueClass", "count", "amount", "digest", "currency"),
    "trialBalance": ("account", "valueClass", "opening", "debits", "credits", "closing", "entries", "currency"),
}  # fmt: skip
"""Names of the columns; amounts are minor units of the currency in the last one."""


SIDES: Final[tuple[tuple[int, str, ledger.Code], ...]] = (
    (-1, "contra", "merchant.breakage"),
    (1, "income", "merchant.breakage_income"),
)
"""The accounts of breakage: the sign of their normal side, and how their figures are called."""


@dataclass(slots=True)
class Making:
    """A report while it is made. Rows add to `figures` as they are read; a settlement also learns its versions."""

    work: Work
    report: Report
    merchant: Merchant
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def since(self) -> datetime:
        assert self.report.from_at is not None, "a report on what moved has a beginning"
        return self.report.from_at

    @property
    def until(self) -> datetime:
        assert self.report.to_at is not None, "a report between instants has an end"
        return self.report.to_at


async def liability(making: Making) -> AsyncIterator[Line]:
    """The roll-forward of what is owed to holders."""
    work, merchant = making.work, making.merchant
    opening = rollforward.by_class(await periods_figures.balances(work, merchant.id, making.since, value_only=True))
    moved = await periods_figures.movements(work, merchant.id, making.since, making.until, value_only=True)
    closing = rollforward.by_class(await periods_figures.balances(work, merchant.id, making.until, value_only=True))
    making.figures = {"opening": sum(opening.values()), "closing": sum(closing.values())}
    for owed_as, line, amount, entries in rollforward.rows(opening, rollforward.lines(moved.items()), closing):
        yield owed_as, line, amount, entries, merchant.currency


async def breakage(making: Making) -> AsyncIterator[Line]:
    """What was recognised period by period; the figures roll both accounts forward, each on its normal side."""
    work, merchant = making.work, making.merchant
    for side, name, code in SIDES:
        account_id = ledger.house_account(merchant.id, code)
        moved = await periods_figures.movements_of(work, account_id, code, making.since, making.until)
        recognised = sum(each.amount for movement, each in moved.items() if movement.kind == "breakage.recognise")
        everything = sum(each.amount for each in moved.values())
        making.figures |= {
            f"{name}Opening": side * (await ledger.balance(work, account_id, making.since - MICROSECOND) or 0),
            f"{name}Recognised": side * recognised,
            f"{name}Expired": side * (everything - recognised),
            f"{name}Closing": side * (await ledger.balance(work, account_id, making.until - MICROSECOND) or 0),
        }
    for run in await store.runs(work, merchant.id, making.since, making.until):
        yield (
            run.number, clock.render(run.ends_at), run.rate_basis_points, run.sold, run.redeemed, run.expired, run.unredeemed,
            run.contra_before, run.recognised, run.contra_after, None if run.journal_id is None else str(run.journal_id),
            merchant.currency,
        )  # fmt: skip


async def aging(making: Making) -> AsyncIterator[Line]:
    """What is unspent, by how old it is and how soon it expires."""
    sums: dict[tuple[int, int, int], Moved] = {}
    async for first, last in periods_figures.borders(making.work):
        for found in await stock_store.ages(making.work, first, last, making.merchant.id, making.until):
            place = rollforward.CLASSES.index(found.value_class), found.age, found.expiry
            sum_ = sums.setdefault(place, Moved())
            sum_.amount += found.amount
            sum_.entries += found.lots
    making.figures = {
        "lots": sum(each.entries for each in sums.values()),
        "amount": sum(each.amount for each in sums.values()),
    }
    for (value_class, age, expiry), sum_ in sorted(sums.items()):
        yield (
            rollforward.CLASSES[value_class], stock_store.AGES[age], stock_store.EXPIRIES[expiry], sum_.entries, sum_.amount,
            making.merchant.currency,
        )  # fmt: skip


async def dormancy(making: Making) -> AsyncIterator[Line]:
    """Every lot that holds value and has not moved for so many months, with the jurisdiction of its merchant."""
    merchant = making.merchant
    assert making.report.dormant_months is not None, "a report on dormancy says from when on"
    still_since = months_before(making.until, making.report.dormant_months)
    making.figures = {"lots": 0, "amount": 0}
    async for first, last in periods_figures.borders(making.work):
        for lot in await stock_store.dormant(making.work, first, last, merchant.id, making.until, still_since):
            making.figures["lots"] += 1
            making.figures["amount"] += lot.amount
            yield (
                merchant.region or merchant.country, lot.holder, str(lot.holder_id), str(lot.lot_id), lot.value_class, lot.amount,
                clock.render(lot.opened_at), clock.render(lot.last_moved_at),
                None if lot.expires_at is None else clock.render(lot.expires_at), merchant.currency,
            )  # fmt: skip


async def trial_balance(making: Making) -> AsyncIterator[Line]:
    """The trial balance: every code of the book, what it held, what moved each way, what it holds then."""
    work, merchant = making.work, making.merchant
    opening = await periods_figures.balances(work, merchant.id, making.since)
    moved = await periods_figures.movements(work, merchant.id, making.since, making.until)
    closing = await periods_figures.balances(work, merchant.id, making.until)
    kinds = {(movement.code, movement.lot_class) for movement in moved}
    making.figures = {
        "openingInTransit": -sum(opening.values()),
        "closingInTransit": -sum(closing.values()),
        "entries": sum(each.entries for each in moved.values()),
    }
    for code, lot_class in sorted({*opening, *closing, *kinds}, key=lambda each: (each[0], each[1] or "")):
        of_it = [(movement.came, each) for movement, each in moved.items() if movement[:2] == (code, lot_class)]
        debits = -sum(each.amount for came, each in of_it if not came)
        credits_ = sum(each.amount for came, each in of_it if came)
        before, after = opening.get((code, lot_class), 0), closing.get((code, lot_class), 0)
        assert before + credits_ - debits == after, f"{code} does not roll forward to what it holds"
        yield (
            code,
            lot_class,
            before,
            debits,
            credits_,
            after,
            sum(each.entries for _, each in of_it),
            merchant.currency,
        )


SHEETS: Final[Mapping[Kind, Callable[[Making], AsyncIterator[Line]]]] = {
    "liability": liability,
    "breakage": breakage,
    "settlement": settlement,
    "aging": aging,
    "dormancy": dormancy,
    "reconciliation": reconciliation,
    "trialBalance": trial_balance,
}
