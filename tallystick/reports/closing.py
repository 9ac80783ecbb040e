"""Close a period of a merchant's books: asked for over HTTP, carried out step by step in the background."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.reports.store as store
from tallystick import audit, events, merchants
from tallystick.base import clock, idempotency
from tallystick.base.errors import InvalidRequest, InvalidState, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Runtime, Tenant, Work
from tallystick.ledger import periods, periods_figures
from tallystick.ledger.periods_model import Period
from tallystick.reports import breakage, resource
from tallystick.reports.model import WorkOutstanding
from tallystick.reports.rollforward import TENDER

LEASE: Final = timedelta(seconds=30)
"""How long a step may be in somebody's hands before others take it up."""


@dataclass(frozen=True, slots=True)
class ClosePeriod:
    """A wish to close a merchant's books up to an instant. The merchant is one that the caller may act for."""

    asked: Asked
    merchant_id: UUID
    ends_at: datetime


async def close(work: Work, commands: Sequence[ClosePeriod]) -> list[Answer | Refusal]:
    """Accept each period, behind the last one of its merchant. Its books are closed within moments."""
    return await idempotency.keyed(
        work,
        "periods.create",
        commands,
        _accept,
        fingerprint=lambda command: msgspec.json.encode([command.merchant_id, command.ends_at]),
        seal=HouseSeal(),
    )


async def _accept(work: Work, command: ClosePeriod) -> Answer | Refusal:
    if command.ends_at > work.now:
        detail = f"A period ends by now, {clock.render(work.now)}, at the latest: what is to come cannot be closed."
        return InvalidRequest(detail, source=attribute("endsAt"))
    merchant = (await merchants.by_ids(work, [command.merchant_id]))[command.merchant_id]
    last = await periods.lock_book(work, merchant.id)
    if last is not None and last.status == "closing":
        until = clock.render(last.ends_at)
        return InvalidState(f"Period {last.number}, up to {until}, is being closed. Ask again when it is closed.")
    beginning = last.ends_at if last is not None else await store.beginning(work, merchant.id)
    assert beginning is not None, "a merchant's books have a beginning"
    if command.ends_at <= beginning:
        said = "The books begin at" if last is None else "They are closed already until"
        return InvalidRequest(f"{said} {clock.render(beginning)}; end later than that.", source=attribute("endsAt"))
    refusal = await _outstanding(work, merchant.id, command.ends_at)
    if refusal is not None:
        return refusal
    period = await periods.begin(
        work, merchant.id, merchant.currency, beginning, command.ends_at, after=last, asked=command.asked
    )
    audit.note(work, command.asked, status=202, resource_id=period.id)
    return Answer(202, resource.period_document(period), period.id, f"/api/v1/periods/{period.id}")


async def _outstanding(work: Work, merchant_id: UUID, ends_at: datetime) -> WorkOutstanding | None:
    counts = await store.outstanding(work, merchant_id, ends_at)
    names = ("lots to expire", "waiting rewards to expire", "payments to release")
    told = [f"{count} {name}" for count, name in zip(counts, names, strict=True) if count]
    if not told:
        return None
    return WorkOutstanding(
        f"Before {clock.render(ends_at)} fell due, and is not done: {', '.join(told)}. It is done in the background within"
        " seconds; ask again then."
    )


async def carry_on(runtime: Runtime, tenant: Tenant) -> bool:
    """Take the tenant's closing period that has waited longest one step on; whether there was a step to take.

    A step that was killed is taken again. While transactions older than the fence still run, it waits for the next round.
    """
    async with runtime.work(tenant) as work:
        period = await periods.lease(work, work.real_now + LEASE)
    if period is None:
        return False
    if period.fenced_at is None:
        await _fence(runtime, tenant, period)
    if period.cut is None:
        async with runtime.work(tenant) as work:
            period = replace(period, cut=await periods.cut(work, period))
    async with runtime.reading(tenant) as work:
        drained = await periods.has_drained(work, period)
    if not drained:
        async with runtime.work(tenant) as work:
            await periods.look_again(work, period)
        return False
    await _seal(runtime, tenant, period)
    return True


async def _fence(runtime: Runtime, tenant: Tenant, period: Period) -> None:
    """Recognise breakage as the period's last entry, and close the books behind it, both in one work."""
    async with runtime.reading(tenant) as work:
        await work.db.script(periods_figures.READING)
        sums = [each.movements() for each in await periods.closed(work, period.merchant_id)]
        moved = await periods_figures.movements(
            work, period.merchant_id, period.starts_at, period.ends_at, value_only=True
        )
        held = await periods_figures.balances(work, period.merchant_id, clock.END_OF_TIME, value_only=True)
    paid = breakage.reckon([*sums, {movement: each.amount for movement, each in moved.items()}])
    unredeemed = sum(balance for (_, lot_class), balance in held.items() if lot_class in TENDER)
    async with runtime.work(tenant) as work:
        await periods.lock_book(work, period.merchant_id)
        if await periods.is_unfenced(work, period):
            await breakage.recognise(work, period, paid, unredeemed)
            await periods.fence(work, period)


async def _seal(runtime: Runtime, tenant: Tenant, period: Period) -> None:
    """Reckon the period up, now that nothing can change it, and close it with its figures."""
    async with runtime.reading(tenant) as work:
        await work.db.script(periods_figures.READING)
        figures = await periods_figures.figures(work, period.merchant_id, period.starts_at, period.ends_at)
    async with runtime.work(tenant) as work:
        closed = await periods.seal(work, period, figures)
        if closed is not None:
            events.record(
                work,
                events.Event(
                    topic="period.closed",
                    subject_type=resource.PERIOD.type,
                    subject_id=closed.id,
                    sequence=1,
                    partner_id=closed.partner_id,
                    merchant_id=closed.merchant_id,
                    request_id=closed.request_id,
                    document=resource.period(closed),
                ),
            )
