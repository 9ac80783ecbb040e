"""Who is told that a quota is nearly used up, or is: once for each period."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import tallystick.governance.store as store
from tallystick import events
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.governance import resource
from tallystick.governance.model import Terms, Usage, line_of, threshold
from tallystick.governance.reading import Reckoned

TELL_AT_ONCE: Final = 50
"""How many periods one work tells of: cut by how long those who count would wait for their rows."""


async def warn_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, tell of the periods that passed a mark; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_TO_TELL)
    return await each_in_turn(rows, lambda tenant, _: tell(runtime, tenant))


async def tell(runtime: Runtime, tenant: Tenant) -> bool:
    """Tell of the tenant's periods that passed 80 or 100 percent, or went beyond, and of each mark once."""
    async with runtime.work(tenant) as work:
        passed = await store.lock_to_tell(work, TELL_AT_ONCE)
        histories = {partner_id: await store.history(work, partner_id) for partner_id in {u.partner_id for u in passed}}
        for usage in passed:
            await store.told(work, _told(work, usage, histories[usage.partner_id]))
    return bool(passed)


def _told(work: Work, usage: Usage, history: Sequence[Terms]) -> Usage:
    """The usage with what was told of it now: a version for each event. The terms may have changed since it passed a mark."""
    line = line_of(history, usage, work.now)
    if usage.warned_80_at is None and 0 < threshold(line.included, 80) <= usage.used:
        usage = replace(usage, warned_80_at=work.now, version=usage.version + 1)
        _record(work, Reckoned(usage, line), "quota.warning", 80)
    if usage.warned_100_at is None and 0 < line.included <= usage.used:
        usage = replace(usage, warned_100_at=work.now, version=usage.version + 1)
        _record(work, Reckoned(usage, line), "quota.warning", 100)
    if usage.exceeded_at is None and (usage.used > line.included or usage.refused > 0):
        usage = replace(usage, exceeded_at=work.now, version=usage.version + 1)
        _record(work, Reckoned(usage, line), "quota.exceeded", None)
    return usage


def _record(work: Work, each: Reckoned, topic: str, percent: int | None) -> None:
    subject: UUID = each.usage.id
    events.record(
        work,
        events.Event(
            topic=topic,
            subject_type="Usage",
            subject_id=subject,
            sequence=each.usage.version,
            document=resource.told(each, percent),
            partner_id=each.usage.partner_id,
        ),
    )
