"""Breakage: income from paid value that will never be redeemed, recognised as the rest of it is. No lot is ever touched.

What is recognised ahead of an expiry stands on a contra account beside the lots, as a debit; a lawful expiry consumes it first. So
the contra is what the estimate has recognised and no expiry has borne out yet (ASC 606-10-55-48, the proportional method).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import tallystick.reports.store as store
from tallystick import ledger
from tallystick.base import ids
from tallystick.base.work import Work
from tallystick.ledger.periods_model import Movement, Period
from tallystick.reports.model import Run
from tallystick.reports.rollforward import TENDER, line_of

WHOLE = 10_000
"""Basis points of everything."""

MOMENT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Paid:
    """All paid value of a merchant from the beginning: sold = redeemed + expired + unredeemed, in minor units.

    Sold is net of returned purchases and corrections; redeemed is net of refunds and counts what was paid out in cash.
    """

    sold: int = 0
    redeemed: int = 0
    expired: int = 0

    @property
    def unredeemed(self) -> int:
        return self.sold - self.redeemed - self.expired


def reckon(sums: Iterable[Mapping[Movement, int]]) -> Paid:
    """What became of paid value, from movements since the beginning."""
    sold = redeemed = expired = 0
    for period in sums:
        for movement, amount in period.items():
            if movement.lot_class not in TENDER:
                continue
            line = line_of(movement, movement.lot_class)
            if line in ("redeemed", "refunded", "cashedOut"):
                redeemed -= amount
            elif line == "expired":
                expired -= amount
            else:
                sold += amount
    return Paid(sold, redeemed, expired)


def contra_wanted(paid: Paid, rate_basis_points: int) -> int:
    """How much should stand recognised ahead of expiry.

    Of the share that will never be redeemed, as much as is redeemed of the share that will: rate * sold * redeemed / (sold - rate *
    sold), and never more than rate * sold; less what has expired, which was income when it did; never more than is unredeemed.
    """
    recognised = min(
        rate_basis_points * max(paid.redeemed, 0) // (WHOLE - rate_basis_points),
        rate_basis_points * max(paid.sold, 0) // WHOLE,
    )
    return max(0, min(recognised - paid.expired, paid.unredeemed))


async def recognise(work: Work, period: Period, paid: Paid, unredeemed_now: int) -> Run:
    """Bring the contra account of a merchant to what the estimate wants at the end of a period that closes.

    Dated at the period's last instant, unless the accounts have moved since. Each run makes up for all before it: nothing is lost
    by rounding, and a new rate is caught up with at once.
    """
    terms = await store.terms(work, period.merchant_id)
    rate = 0 if terms is None else terms.rate_basis_points
    contra = ledger.house_account(period.merchant_id, "merchant.breakage")
    income = ledger.house_account(period.merchant_id, "merchant.breakage_income")
    standing_now = -(await ledger.lock(work, [contra, income]))[contra].balance
    standing = -(await ledger.balance(work, contra, period.ends_at - timedelta(microseconds=1)) or 0)
    amount = contra_wanted(paid, rate) - standing
    # What expired or was spent since the end has moved on: neither bound may break because of that.
    amount = max(-standing_now, min(amount, max(unredeemed_now, 0) - standing_now))
    journal_id = await _post(work, period, contra, income, amount) if amount else None
    run = Run(
        number=period.number,
        ends_at=period.ends_at,
        rate_basis_points=rate,
        sold=paid.sold,
        redeemed=paid.redeemed,
        expired=paid.expired,
        unredeemed=paid.unredeemed,
        contra_before=standing,
        recognised=amount,
        journal_id=journal_id,
    )
    await store.insert_run(work, period.merchant_id, run)
    return run


async def _post(work: Work, period: Period, contra: UUID, income: UUID, amount: int) -> UUID:
    debit, credit = (contra, income) if amount > 0 else (income, contra)
    journal = ledger.Journal(
        id=ids.new(),
        kind="breakage.recognise",
        cause_id=period.id,
        merchant_id=period.merchant_id,
        currency=period.currency,
        transfers=(ledger.Transfer(debit, credit, abs(amount)),),
    )
    # The same transaction, at the last instant of the period.
    verdicts = await ledger.post(replace(work, now=period.ends_at - MOMENT), [journal])
    assert verdicts == ["posted"], f"the books refused an estimate: {verdicts}"
    return journal.id
