"""Reports and terms of breakage as values, and what of them is refused."""

import calendar
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args
from uuid import UUID

from tallystick.base.errors import NotFound, Refusal

Kind = Literal["liability", "breakage", "settlement", "aging", "dormancy", "reconciliation", "trialBalance"]
Status = Literal["accepted", "running", "completed", "failed"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

DORMANT_MONTHS: Final = 12
"""After how many months without a movement value counts as dormant, unless told."""

Cell = str | int | None
Line = tuple[Cell, ...]
"""One row of a report: ids, names of ours, instants as text, minor units."""


class WorkOutstanding(Refusal):
    code, status, title = (
        "WorkOutstanding",
        409,
        "Something that fell due before the end of the period is not done yet.",
    )


class ReportNotReady(Refusal):
    code, status, title = "ReportNotReady", 409, "The report is not made yet, or could not be made."


@dataclass(frozen=True, slots=True)
class Report:
    """A report as its row stands. Its rows cover `from_at` up to and without `to_at`; a settlement's, versions of one account.

    `final`: nothing can change what it says, since it covers closed periods, or versions.
    """

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_id: UUID
    request_id: UUID
    kind: Kind
    status: Status
    from_at: datetime | None
    to_at: datetime | None
    from_version: int | None
    to_version: int | None
    dormant_months: int | None
    final: bool | None
    row_count: int | None
    byte_count: int | None
    digest: bytes | None
    figures: str | None
    tries: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class BreakageTerms:
    """Which share of the paid value sold is expected never to be redeemed, in basis points, and on what evidence."""

    merchant_id: UUID
    rate_basis_points: int
    basis: str | None
    effective_from: datetime | None


@dataclass(frozen=True, slots=True)
class Run:
    """What was recognised of breakage when a period was closed. All figures but `recognised` count from the beginning."""

    number: int
    ends_at: datetime
    rate_basis_points: int
    sold: int
    redeemed: int
    expired: int
    unredeemed: int
    contra_before: int
    recognised: int
    journal_id: UUID | None

    @property
    def contra_after(self) -> int:
        return self.contra_before + self.recognised


def months_before(instant: datetime, months: int) -> datetime:
    """The same day and time that many months earlier; the last day of a month that is shorter."""
    years, month = divmod(instant.year * 12 + instant.month - 1 - months, 12)
    return instant.replace(year=years, month=month + 1, day=min(instant.day, calendar.monthrange(years, month + 1)[1]))


def no_report() -> NotFound:
    """The refusal for a report that is unknown, or someone else's."""
    return NotFound("No report has this id. Verify the id.")


def no_period() -> NotFound:
    """The refusal for a period that is unknown, or of a merchant that the caller may not act for."""
    return NotFound("No period has this id. Verify the id.")
