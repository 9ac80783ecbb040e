"""What a partner has used: of the periods that run, of those that are over, and what of it is charged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import tallystick.governance.store as store
from tallystick.base.money import Money
from tallystick.base.work import Work
from tallystick.governance.model import Line, Terms, Usage, charge, in_force, line_of, usage_id
from tallystick.governance.periods import bounds


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What is used of a period, beside the line that it is told and charged by."""

    usage: Usage
    line: Line

    @property
    def charged(self) -> Money | None:
        return charge(self.line, self.usage.used)


async def running(work: Work, partner_id: UUID, metric: str | None = None) -> list[Reckoned]:
    """Every period that runs now, by metric: also those of which nothing is used yet, or that no line bounds any more."""
    history = await store.history(work, partner_id)
    kept = {usage.id: usage for usage in await store.running(work, partner_id)}
    terms = in_force(history, work.now)
    for line in () if terms is None else terms.lines:
        fresh = _unused(work, line)
        kept.setdefault(fresh.id, fresh)
    found = [Reckoned(usage, line_of(history, usage, work.now)) for usage in kept.values()]
    return sorted((each for each in found if metric in (None, each.usage.metric)), key=_place)


async def ended(
    work: Work, partner_id: UUID, metric: str | None, offset: int, limit: int
) -> tuple[list[Reckoned], int]:
    """One page of the periods that are over and of which anything was asked, the last one first, and how many there are."""
    page, total = await store.ended(work, partner_id, metric, offset, limit)
    return _reckoned(work, await store.history(work, partner_id) if page else [], page), total


async def find(work: Work, partner_id: UUID, wanted: UUID) -> Reckoned | None:
    """One period of the partner, over or running."""
    kept = await store.used(work, partner_id, wanted)
    if kept is not None:
        return _reckoned(work, await store.history(work, partner_id), [kept])[0]
    return next((each for each in await running(work, partner_id) if each.usage.id == wanted), None)


async def overage_lines(work: Work, partner_id: UUID, since: datetime, until: datetime) -> list[Reckoned]:
    """The lines of an invoice: periods within `since` and `until` that are over and went beyond at a price, in their order."""
    found = await store.chargeable(work, partner_id, since, min(until, work.now))
    history = await store.history(work, partner_id) if found else []
    return [
        each
        for each in _reckoned(work, history, found)
        if each.line.beyond == "allow" and each.usage.used > each.line.included
    ]


def _reckoned(work: Work, history: Sequence[Terms], found: Sequence[Usage]) -> list[Reckoned]:
    return [Reckoned(usage, line_of(history, usage, work.now)) for usage in found]


def _unused(work: Work, line: Line) -> Usage:
    start, end = bounds(line.period, line.time_zone, work.now)
    return Usage(
        id=usage_id(work.tenant.id, line, start),
        partner_id=line.partner_id,
        line_id=line.id,
        metric=line.metric,
        currency=line.currency,
        period=line.period,
        time_zone=line.time_zone,
        period_start=start,
        period_end=end,
        used=0,
        refused=0,
    )


def _place(each: Reckoned) -> tuple[str, str, datetime, datetime]:
    usage = each.usage
    return usage.metric, usage.currency or "", usage.period_end, usage.period_start
