"""Order a report, set terms of breakage; the deciding part of both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.reports.store as store
from tallystick import audit, ledger, merchants
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.reports import resource
from tallystick.reports.model import DORMANT_MONTHS, BreakageTerms, Kind, Report
from tallystick.reports.reconciliation_model import DAYS_MAX, bounds, day_of

NO_MERCHANT: Final = "No merchant has this id. Verify the id."
STOCKS: Final = frozenset[Kind]({"aging", "dormancy"})
"""Reports of what is there at an instant, and not of what moved."""


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A wish for a report on the books of a merchant that the caller may act for."""

    asked: Asked
    merchant_id: UUID
    kind: Kind
    from_at: datetime | None = None
    to_at: datetime | None = None
    from_version: int | None = None
    to_version: int | None = None
    dormant_months: int | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True)
class SetTerms:
    """What is expected from now on of a merchant's paid value."""

    asked: Asked
    merchant_id: UUID
    rate_basis_points: int
    basis: str


async def order(work: Work, commands: Sequence[OrderReport]) -> list[Answer | Refusal]:
    """Accept each report; it is made in the background."""
    return await idempotency.keyed(
        work,
        "reports.create",
        commands,
        _order,
        fingerprint=lambda each: msgspec.json.encode(
            [
                each.merchant_id,
                each.kind,
                each.from_at,
                each.to_at,
                each.from_version,
                each.to_version,
                each.dormant_months,
                each.day,
            ]
        ),
        seal=HouseSeal(),
    )


async def set_terms(work: Work, commands: Sequence[SetTerms]) -> list[Answer | Refusal]:
    """Set each merchant's terms. The next period that closes catches up with them."""
    return await idempotency.keyed(
        work,
        "breakage-terms.set",
        commands,
        _set_terms,
        fingerprint=lambda each: msgspec.json.encode([each.merchant_id, each.rate_basis_points, each.basis]),
        seal=HouseSeal(),
    )


async def visible(work: Work, asked: Asked, report_id: UUID) -> Report | None:
    """The report, where the caller may see it."""
    report = await store.by_id(work, report_id)
    caller = asked.caller
    if report is None or (caller.merchant_ids is not None and report.merchant_id not in caller.merchant_ids):
        return None
    return report if caller.sees_programme or report.partner_id == caller.partner_id else None


async def _order(work: Work, command: OrderReport) -> Answer | Refusal:
    wanted = await _in_days(work, command)
    if isinstance(wanted, Refusal):
        return wanted
    command = wanted
    refusal = _fault(work, command) or await _fault_of_versions(work, command)
    if refusal is not None:
        return refusal
    of_versions = command.to_version is not None
    from_at = command.from_at
    if from_at is None and not of_versions and command.kind not in STOCKS:
        from_at = await store.beginning(work, command.merchant_id)
    report = Report(
        id=ids.new(),
        partner_id=command.asked.caller.partner_id,
        client_id=command.asked.caller.client_id,
        merchant_id=command.merchant_id,
        request_id=command.asked.request_id,
        kind=command.kind,
        status="accepted",
        from_at=from_at,
        to_at=None if of_versions else command.to_at or work.now,
        from_version=command.from_version or 0 if of_versions else None,
        to_version=command.to_version,
        dormant_months=command.dormant_months or DORMANT_MONTHS if command.kind == "dormancy" else None,
        final=None,
        row_count=None,
        byte_count=None,
        digest=None,
        figures=None,
        tries=0,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work, report)
    audit.note(work, command.asked, status=202, resource_id=report.id)
    return Answer(202, resource.report_document(report), report.id, f"/api/v1/reports/{report.id}")


async def _in_days(work: Work, command: OrderReport) -> OrderReport | InvalidRequest:
    """A reconciliation of a day, or of what was told, has its instants; where nothing was told it is the last day that is over."""
    if command.kind != "reconciliation":
        if command.day is None:
            return command
        return InvalidRequest("Only a reconciliation is about a day.", source=attribute("date"))
    merchant = (await merchants.by_ids(work, [command.merchant_id]))[command.merchant_id]
    if command.day is not None:
        if command.from_at is not None or command.to_at is not None:
            return InvalidRequest("Give either a day or instants.", source=attribute("date"))
        since, until = bounds(command.day, merchant.time_zone)
        if until > work.now:
            return InvalidRequest("This day is not over yet in the merchant's time zone.", source=attribute("date"))
        return replace(command, from_at=since, to_at=until)
    until = command.to_at or work.now
    if command.from_at is None:
        # The day that ended last: at `until`, or before it.
        since, end = bounds(day_of(until, merchant.time_zone) - timedelta(days=1), merchant.time_zone)
        return replace(command, from_at=since, to_at=end)
    if until - command.from_at > timedelta(days=DAYS_MAX):
        return InvalidRequest(f"It is about at most {DAYS_MAX} days.", source=attribute("from"))
    return command


def _fault(work: Work, command: OrderReport) -> InvalidRequest | None:
    """What is wrong with what was asked, as far as the request alone shows it."""
    if command.to_at is not None and command.to_at > work.now:
        return InvalidRequest("A report ends by now at the latest.", source=attribute("to"))
    if command.from_at is not None and command.kind in STOCKS:
        return InvalidRequest("This report is about one instant: give `to` alone.", source=attribute("from"))
    if command.from_at is not None and command.from_at >= (command.to_at or work.now):
        return InvalidRequest("A report begins before it ends.", source=attribute("from"))
    if command.dormant_months is not None and command.kind != "dormancy":
        return InvalidRequest("Only a report on dormancy takes this.", source=attribute("dormantMonths"))
    given = "toVersion" if command.to_version is not None else "fromVersion"
    if command.from_version is None and command.to_version is None:
        return None
    if command.kind != "settlement":
        return InvalidRequest("Only a settlement is between versions.", source=attribute(given))
    if command.from_at is not None or command.to_at is not None:
        return InvalidRequest("Give either instants or versions.", source=attribute(given))
    if command.to_version is None:
        return InvalidRequest("Say with which version the statement ends.", source=attribute("toVersion"))
    if (command.from_version or 0) > command.to_version:
        return InvalidRequest("A statement begins before it ends.", source=attribute("fromVersion"))
    return None


async def _fault_of_versions(work: Work, command: OrderReport) -> InvalidRequest | None:
    if command.to_version is None:
        return None
    payable = ledger.house_account(command.merchant_id, "merchant.payable")
    last = (
        (await ledger.statement(work, payable, after_version=command.to_version - 1, limit=1))
        if command.to_version
        else []
    )
    if command.to_version and not last:
        return InvalidRequest("The account is not at this version yet.", source=attribute("toVersion"))
    return None


async def _set_terms(work: Work, command: SetTerms) -> Answer | Refusal:
    caller = command.asked.caller
    may = caller.merchant_ids is None or command.merchant_id in caller.merchant_ids
    if not may or await store.beginning(work, command.merchant_id) is None:
        return NotFound(NO_MERCHANT)
    if not command.basis.isprintable() or not command.basis.strip():
        return InvalidRequest("Say in printable words what the estimate rests on.", source=attribute("basis"))
    terms = BreakageTerms(command.merchant_id, command.rate_basis_points, command.basis, work.now)
    await store.set_terms(work, terms, caller.partner_id)
    audit.note(work, command.asked, status=200, resource_id=command.merchant_id)
    return Answer(200, resource.terms_document(terms), command.merchant_id)
