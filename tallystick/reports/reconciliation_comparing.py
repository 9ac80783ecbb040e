"""Compare a partner's totals and rows with what happened here. Pure, but for the pages of events that it is fed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tallystick.reports.reconciliation_model import DIFFERENCES_KEPT, Compared, Difference, Happened, Row, Sum

NOTHING = Sum(0, None)


def totals(ours: Mapping[str, Sum], theirs: Mapping[str, Sum]) -> list[Compared]:
    """Each topic of theirs, ours beside it. What they do not name is not compared: nobody must hear every topic."""
    found = []
    for topic, told in sorted(theirs.items()):
        here = ours.get(topic, Sum(0, 0))
        # A topic without amounts has none to differ in.
        amount = None if here.amount is None else told.amount
        found.append(Compared(topic, here, Sum(told.count, amount)))
    return found


def of_rows(rows: Iterable[Row]) -> dict[str, Sum]:
    """The totals that rows make; without an amount where a row of the topic has none."""
    sums: dict[str, Sum] = {}
    for row in rows:
        before = sums.get(row.topic, Sum(0, 0))
        amount = None if before.amount is None or row.amount is None else before.amount + row.amount
        sums[row.topic] = Sum(before.count + 1, amount)
    return sums


def of_totals(compared: Iterable[Compared]) -> list[Difference]:
    """The totals that differ."""
    return [Difference("total", each.topic, each.ours, each.theirs) for each in compared if not each.matches]


@dataclass(slots=True)
class _Named:
    """What goes by one name: rows of theirs, and events of ours."""

    theirs: Sum
    count: int = 0
    amount: int | None = 0
    subject_id: UUID | None = None
    event_id: UUID | None = None

    def add(self, event: Happened) -> None:
        self.count += 1
        self.amount = None if self.amount is None or event.amount is None else self.amount + event.amount
        self.subject_id = event.subject_id
        self.event_id = event.id if self.count == 1 else None

    @property
    def differs(self) -> bool:
        if self.count != self.theirs.count:
            return True
        return self.theirs.amount is not None and self.amount is not None and self.theirs.amount != self.amount


@dataclass(slots=True)
class Rows:
    """A partner's rows while events go by. A row names an event, or what several are about; it stands for all of these."""

    _named: dict[tuple[str, UUID | str], _Named] = field(default_factory=dict)
    _unnamed: list[Difference] = field(default_factory=list)
    _unnamed_count: int = 0

    @staticmethod
    def of(rows: Sequence[Row]) -> "Rows":
        """Rows of one name are one, with what they come to."""
        found = Rows()
        for row in rows:
            before = found._named.get(row.key)
            count, amount = (0, 0) if before is None else (before.theirs.count, before.theirs.amount)
            amount = None if amount is None or row.amount is None else amount + row.amount
            found._named[row.key] = _Named(Sum(count + 1, amount))
        return found

    def see(self, event: Happened) -> None:
        """An event of ours: of the row with its id, else of that with its subject's id, else of that with its reference."""
        for name in (event.id, event.subject_id, event.reference):
            if name is not None and (named := self._named.get((event.topic, name))) is not None:
                named.add(event)
                return
        self._unnamed_count += 1
        if len(self._unnamed) < DIFFERENCES_KEPT:
            self._unnamed.append(
                Difference(
                    "missingThere",
                    event.topic,
                    Sum(1, event.amount),
                    NOTHING,
                    event.subject_id,
                    event.id,
                    event.reference,
                )
            )

    def differences(self) -> tuple[list[Difference], int]:
        """The first of them, in a fixed order, and how many there are."""
        found = []
        for (topic, name), named in self._named.items():
            if not named.differs:
                continue
            reference = name if isinstance(name, str) else None
            subject_id = name if isinstance(name, UUID) and not named.count else named.subject_id
            kind = "differs" if named.count else "missingHere"
            ours = Sum(named.count, named.amount) if named.count else NOTHING
            found.append(Difference(kind, topic, ours, named.theirs, subject_id, named.event_id, reference))  # type: ignore[arg-type]
        return found + self._unnamed, len(found) + self._unnamed_count
