"""Quotas, counted exactly in the work that uses them, by a row that is locked only while the work commits.

A verb looks once, takes for each command, and has its takings counted. Far from a limit nothing is locked until the end of the
work, where the count checks again: when others were faster it raises `Contended`, and the whole work is done anew. Near a limit
those who take wait for one another before they decide. What is used never becomes less, so that a refusal stays right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec

import tallystick.governance.store as store
from tallystick.base import clock
from tallystick.base.errors import QuotaExceeded, Source
from tallystick.base.work import Contended, Work
from tallystick.governance.model import VALUE_METRICS, Line, Metric, usage_id
from tallystick.governance.periods import bounds

Wanted = tuple[UUID, Metric] | tuple[UUID, Metric, int]
"""A partner, a metric, and where it is known the most that the work may take of it."""

_decode = msgspec.json.Decoder(tuple[list[Line] | None, list[tuple[UUID, int]] | None]).decode


@dataclass(slots=True)
class Counter:
    """What is used of one line in its running period, with what this work adds."""

    line: Line
    id: UUID
    start: datetime
    end: datetime
    used: int
    taken: int = 0
    refused: int = 0

    def fits(self, amount: int) -> bool:
        return self.used + self.taken + amount <= self.line.most


@dataclass(slots=True)
class Quotas:
    """What the partners of one work may still take. Taking counts within the work, as if one command came after the other."""

    counters: dict[tuple[UUID, Metric, str | None], list[Counter]] = field(default_factory=dict)

    def take(
        self,
        partner_id: UUID,
        metric: Metric,
        amount: int,
        currency: str | None = None,
        *,
        source: Source | None = None,
    ) -> QuotaExceeded | None:
        """Take `amount` from every quota of the metric, or say which of them does not hold it: then nothing is taken.

        Ask last, when nothing else can refuse the command. A value is taken in minor units of its `currency`.
        """
        assert (currency is not None) == (metric in VALUE_METRICS), f"{metric} is counted by its currency, or has none"
        counters = self.counters.get((partner_id, metric, currency), ())
        full = [counter for counter in counters if not counter.fits(amount)]
        for counter in full:
            counter.refused += amount
        if full:
            return _refusal(full[0], amount, source)
        for counter in counters:
            counter.taken += amount
        return None

    def give_back(self, partner_id: UUID, metric: Metric, amount: int, currency: str | None = None) -> None:
        """Undo a taking of this work, whose command was refused after all."""
        for counter in self.counters.get((partner_id, metric, currency), ()):
            counter.taken -= amount


async def look(work: Work, wanted: Sequence[Wanted]) -> Quotas:
    """The quotas that bound these metrics of these partners; once in a work, after its recipients and before everything behind
    them in the order of locks.
    """
    columns = asked(wanted)
    return read(work, await store.look(work, *columns) if columns[0] else None)


def asked(wanted: Sequence[Wanted]) -> tuple[list[UUID], list[Metric], list[int]]:
    """Each partner and metric once, with the most that all commands may take together, as the database wants it."""
    sums: dict[tuple[UUID, Metric], int] = {}
    for partner_id, metric, *amount in wanted:
        sums[partner_id, metric] = sums.get((partner_id, metric), 0) + sum(amount)
    return [partner_id for partner_id, _ in sums], [metric for _, metric in sums], list(sums.values())


def read(work: Work, agreed: str | None) -> Quotas:
    """The quotas from what the database answered to a look."""
    quotas = Quotas()
    if agreed is None:
        return quotas
    lines, found = _decode(agreed)
    used = dict(found or ())
    for line in lines or ():
        start, end = bounds(line.period, line.time_zone, work.now)
        name = usage_id(work.tenant.id, line, start)
        counters = quotas.counters.setdefault((line.partner_id, line.metric, line.currency), [])
        counters.append(Counter(line, name, start, end, used.get(name, 0)))
    return quotas


def count(work: Work, quotas: Quotas) -> None:
    """Have what was taken and refused counted when the work ends, if and only if it commits."""
    if quotas.counters:
        work.counted.append(quotas)


async def write(work: Work) -> None:
    """The closing of a work: one statement behind its other locks, none where nothing was taken. Contended is raised through it."""
    changed = [
        counter
        for quotas in work.counted
        if isinstance(quotas, Quotas)
        for counters in quotas.counters.values()
        for counter in counters
        if counter.taken or counter.refused
    ]
    work.counted.clear()
    if not changed:
        return
    changed.sort(key=lambda counter: counter.id)
    assert len({counter.id for counter in changed}) == len(changed), "a work looks at its quotas once"

    def check(counted: int) -> None:
        if counted < len(changed):
            raise Contended("Others were faster: the quota does not hold what was taken from it.")

    store.count(
        work,
        (
            [counter.id for counter in changed],
            [counter.line.partner_id for counter in changed],
            [counter.line.id for counter in changed],
            [counter.line.metric for counter in changed],
            [counter.line.currency for counter in changed],
            [counter.line.period for counter in changed],
            [counter.line.time_zone for counter in changed],
            [counter.start for counter in changed],
            [counter.end for counter in changed],
            [counter.line.included for counter in changed],
            [counter.line.most for counter in changed],
            [counter.taken for counter in changed],
            [counter.refused for counter in changed],
        ),
        check,
    )


def _refusal(counter: Counter, amount: int, source: Source | None) -> QuotaExceeded:
    line = counter.line
    unit = "" if line.currency is None else f" minor units of {line.currency}"
    return QuotaExceeded(
        f"Your quota of {line.metric} for this {line.period} holds {line.most}{unit}, of which {counter.used + counter.taken} are "
        f"used; {amount} more do not fit. Ask for less, wait until it begins anew at {clock.render(counter.end)}, or agree on a "
        "higher quota with the operator.",
        source=source,
    )
