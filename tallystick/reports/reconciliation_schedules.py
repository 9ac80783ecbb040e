"""Every day that is over is reported to each partner that wants it, once, where anything happened. By the tenant's own clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.reports.reconciliation_store as store
import tallystick.reports.store as reports_store
from tallystick import audit, merchants, partners
from tallystick.base import idempotency, ids
from tallystick.base.errors import Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Asked, Runtime, Tenant, Work
from tallystick.merchants import Merchant
from tallystick.reports import reconciliation_resource as resource
from tallystick.reports.model import Report
from tallystick.reports.reconciliation_model import GRACE, Schedule, bounds, day_of

AT_ONCE: Final = 100
"""How many wishes one work looks at: cut by how long their locks are held."""
ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PutSchedule:
    """A partner's wish for daily reports on a merchant that the caller may act for, or for no more of them."""

    asked: Asked
    merchant_id: UUID
    enabled: bool


async def put(work: Work, commands: Sequence[PutSchedule]) -> list[Answer | Refusal]:
    """Each wish as it is from now on. The first day that is reported is the one that runs."""
    return await idempotency.keyed(
        work,
        "report-schedules.put",
        commands,
        _put,
        fingerprint=lambda each: msgspec.json.encode([each.merchant_id, each.enabled]),
        seal=HouseSeal(),
    )


async def next_due(work: Work) -> datetime | None:
    """When the next day is to be reported in this tenant."""
    return await store.next_due(work)


async def order_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Order the reports on days whose time has come by `at`, up to a number; whether there were any."""
    async with runtime.work(tenant, at=at) as work:
        taken = await store.take_due(work, AT_ONCE)
        places = await merchants.by_ids(work, [each.merchant_id for each in taken])
        sight = await partners.sight(work, [each.partner_id for each in taken])
        for schedule in taken:
            await _report(work, schedule, places[schedule.merchant_id], stands=schedule.partner_id in sight)
    return bool(taken)


async def order_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, what is due at its earliest instant, at that instant; whether any was."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_SCHEDULES, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: order_at(runtime, tenant, row[3]))


async def _put(work: Work, command: PutSchedule) -> Answer:
    merchant = (await merchants.by_ids(work, [command.merchant_id]))[command.merchant_id]
    today = day_of(work.now, merchant.time_zone)
    wanted = Schedule(
        id=ids.new(),
        partner_id=command.asked.caller.partner_id,
        merchant_id=merchant.id,
        kind="reconciliation",
        client_id=command.asked.caller.client_id,
        request_id=command.asked.request_id,
        next_day=today,
        due_at=bounds(today, merchant.time_zone)[1] + GRACE if command.enabled else None,
        last_report_id=None,
        created_at=work.now,
        updated_at=work.now,
    )
    kept = await store.put_schedule(work, wanted)
    audit.note(work, command.asked, status=200, resource_id=kept.id)
    return Answer(200, resource.schedule_document(kept), kept.id)


async def _report(work: Work, schedule: Schedule, merchant: Merchant, *, stands: bool) -> None:
    """Order the report on the next day, unless nothing happened or the agreement ended, and go on to the day after."""
    since, until = bounds(schedule.next_day, merchant.time_zone)
    report_id = None
    if stands and await store.something_happened(work, merchant.id, since, until):
        report_id = ids.new()
        await reports_store.insert(work, _ordered(work, schedule, report_id, since, until))
    following = schedule.next_day + ONE_DAY
    await store.move_on(work, schedule, following, bounds(following, merchant.time_zone)[1] + GRACE, report_id)


def _ordered(work: Work, schedule: Schedule, report_id: UUID, since: datetime, until: datetime) -> Report:
    return Report(
        id=report_id,
        partner_id=schedule.partner_id,
        client_id=schedule.client_id,
        merchant_id=schedule.merchant_id,
        request_id=schedule.request_id,
        kind="reconciliation",
        status="accepted",
        from_at=since,
        to_at=until,
        from_version=None,
        to_version=None,
        dormant_months=None,
        final=None,
        row_count=None,
        byte_count=None,
        digest=None,
        figures=None,
        tries=0,
        created_at=work.now,
        updated_at=work.now,
    )
