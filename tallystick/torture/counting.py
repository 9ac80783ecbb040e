"""The independent count of one race over stored value: bookkeeping from the answers only, compared with a last look.

What was put in = what is there (available and held) + captured - refunded + expired + moved out. All amounts are minor units.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallystick.torture.tills import Answer

SHUTS: Mapping[str, str] = {"freeze": "freeze", "unfreeze": "", "replace": "replace"}
"""What of a card's history ends its payments until the next of these. No race that freezes or replaces captures what is held."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a card's history: what happened, by how much (signed), and what the card held after it."""

    sequence: int
    kind: str
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a card or wallet showed at the end, with a card's history, oldest first; no wallet here has value that expires."""

    status: str
    available: int
    held: int
    history: Sequence[Line] = ()

    @property
    def expired(self) -> int:
        """What the history says went by time."""
        return -sum(line.amount for line in self.history if line.kind == "expire")


@dataclass(slots=True)
class _Payment:
    """What the answers said of one payment. Each dict is by the key of the request, so that a repetition counts once."""

    holders: Sequence[str]
    manual: bool
    given: int
    reference: str | None
    increases: dict[str, Answer] = field(default_factory=dict)
    increased: int = 0
    captures: dict[str, tuple[Answer, bool]] = field(default_factory=dict)
    cancels: dict[str, Answer] = field(default_factory=dict)
    refunds: dict[str, int] = field(default_factory=dict)
    reversed: bool = False

    @property
    def authorised(self) -> int:
        return self.given + self.increased

    @property
    def captured(self) -> int:
        taken = sum(int(answer.attributes["capturedAmount"]) for answer, _ in self.captures.values())
        return taken if self.manual else self.given

    @property
    def refunded(self) -> int:
        """By refunds that were asked for; a reversal gives back the rest."""
        return sum(self.refunds.values())

    @property
    def kept(self) -> int:
        return 0 if self.reversed else self.captured - self.refunded

    @property
    def held(self) -> int:
        waits = self.manual and not (self.captures or self.cancels or self.reversed)
        return self.authorised if waits else 0


class Book:
    """The book of one race. Cards and wallets are named by their ids."""

    def __init__(self) -> None:
        self.differences: list[str] = []
        self.clock_moved = False
        """Then what was asked before an expiry may be written behind what was asked after it, each with its own balance."""
        self.payments: dict[str, _Payment] = {}
        self.put: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._moves: dict[str, tuple[str, str, int]] = {}
        self._links: list[tuple[str, str]] = []
        self._reversals: dict[str, list[str | None]] = {}

    def issued(self, holder: str, amount: int, key: str) -> None:
        """A card or wallet is there, with so much put in."""
        self._once(key, holder)
        self.put[holder] = amount

    def link(self, one: str, other: str) -> None:
        """What the first held may be the second's now: they are counted together."""
        self._links.append((one, other))

    def moved(self, key: str, source: str, target: str, amount: int) -> None:
        """A transfer was acknowledged."""
        self._moves[key] = (source, target, amount)

    def paid(self, holders: Sequence[str], key: str, reference: str | None, answer: Answer) -> None:
        """A payment was acknowledged, now or again."""
        told, intent_id = answer.attributes, str(answer.id)
        self._once(key, intent_id)
        if intent_id not in self.payments:
            manual = told["capture"] == "manual"
            self.payments[intent_id] = _Payment(holders, manual, int(told["authorizedAmount"]), reference)
            for other in holders[1:]:
                self.link(holders[0], other)

    def captured(self, intent_id: str, key: str, answer: Answer, *, whole: bool) -> None:
        """A capture was acknowledged; `whole` when no amount was named."""
        self.payments[intent_id].captures[key] = (answer, whole)

    def increased(self, intent_id: str, key: str, amount: int, answer: Answer) -> None:
        """An increase was acknowledged."""
        payment = self.payments[intent_id]
        if key not in payment.increases:
            payment.increased += amount
        payment.increases[key] = answer

    def cancelled(self, intent_id: str, key: str, answer: Answer) -> None:
        """A cancellation was acknowledged."""
        self.payments[intent_id].cancels[key] = answer

    def refunded(self, intent_id: str, key: str, amount: int) -> None:
        """A refund was acknowledged."""
        self.payments[intent_id].refunds[key] = amount

    def reversed(self, reference: str, intent_id: str | None) -> None:
        """A reversal was acknowledged: of this payment, or of one that is still to come."""
        self._reversals.setdefault(reference, []).append(intent_id)

    def count(self, holders: Mapping[str, Seen], payments: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """The differences between the answers and a last look at every card, wallet and payment of the race."""
        self._settle_reversals()
        return [
            *self.differences,
            *self._reference_faults(),
            *(
                fault
                for id_, payment in self.payments.items()
                for fault in _payment_faults(id_, payment, payments[id_])
            ),
            *(fault for group in self._groups() for fault in self._group_faults(group, holders)),
        ]

    def _once(self, key: str, effect: str) -> None:
        if self._keys.setdefault(key, effect) != effect:
            self.differences.append(f"the key {key} had two effects: {self._keys[key]} and {effect}")

    def _settle_reversals(self) -> None:
        for reference in self._reversals:
            for payment in self.payments.values():
                payment.reversed = payment.reversed or payment.reference == reference

    def _reference_faults(self) -> Iterator[str]:
        used: dict[str, list[str]] = {}
        for id_, payment in self.payments.items():
            if payment.reference is not None:
                used.setdefault(payment.reference, []).append(id_)
        for reference, ids in used.items():
            if len(ids) > 1:
                yield f"the reference {reference} was used by {len(ids)} payments"
            if None in self._reversals.get(reference, []):
                yield f"payment {ids[0]} was made although its reference had been reversed before it came"

    def _groups(self) -> list[set[str]]:
        groups = [{holder} for holder in self.put]
        for pair in self._links:
            joined = [group for group in groups if group & set(pair)]
            groups = [group for group in groups if not group & set(pair)]
            groups.append(set(pair).union(*joined))
        return groups

    def _group_faults(self, group: set[str], seen: Mapping[str, Seen]) -> Iterator[str]:
        name = " and ".join(sorted(group))
        put = sum(self.put.get(holder, 0) for holder in group)
        put += sum(amount for source, target, amount in self._moves.values() if target in group)
        put -= sum(amount for source, target, amount in self._moves.values() if source in group)
        mine = [payment for payment in self.payments.values() if payment.holders[0] in group]
        held, there = sum(seen[each].held for each in group), sum(seen[each].available for each in group)
        kept, expired = sum(payment.kept for payment in mine), sum(seen[each].expired for each in group)
        if put != there + held + kept + expired:
            yield f"{name}: {put} put in, but {there} available + {held} held + {kept} taken + {expired} expired"
        if held != sum(payment.held for payment in mine):
            yield f"{name}: {held} held, but payments hold {sum(payment.held for payment in mine)}"
        for each in group:
            if min(seen[each].available, seen[each].held, seen[each].expired) < 0:
                yield f"{each}: below zero"
            if seen[each].status in ("replaced", "closed") and seen[each].available + seen[each].held:
                yield f"{each}: {seen[each].status}, and still has value"
            faults = _history_faults(seen[each].history, adds_up=not self.clock_moved)
            yield from (f"{each}: {fault}" for fault in faults)


def _history_faults(history: Sequence[Line], *, adds_up: bool) -> Iterator[str]:
    """Lines that do not follow from those before them. What was let go past its expiry is in no balance before it expires."""
    adds_up = adds_up and not any(line.kind == "expire" for line in history)
    closed: str | None = None
    for before, line in itertools.pairwise(history):
        if line.sequence != before.sequence + 1:
            yield f"its history goes from {before.sequence} to {line.sequence}"
        if adds_up and line.balance_after != before.balance_after + line.amount:
            yield f"{before.balance_after} {line.amount:+} is {line.balance_after} in its history ({line.kind})"
        closed = SHUTS.get(before.kind, closed)
        if closed and line.kind == "redeem":
            yield f"it paid after `{closed}`"


def _payment_faults(id_: str, payment: _Payment, shown: Mapping[str, Any]) -> Iterator[str]:
    """What the answers contradict among themselves, and what the last look says otherwise."""
    if len(payment.captures) > 1:
        yield f"payment {id_} was captured {len(payment.captures)} times"
    if len(payment.cancels) > 1:
        yield f"payment {id_} was cancelled {len(payment.cancels)} times"
    if payment.captures and payment.cancels:
        yield f"payment {id_} was captured and cancelled"
    if payment.captured > payment.authorised:
        yield f"payment {id_} captured {payment.captured} of {payment.authorised}"
    if payment.refunded > payment.captured:
        yield f"payment {id_} refunded {payment.refunded} of {payment.captured}"
    for answer, whole in payment.captures.values():
        if whole and answer.attributes["capturedAmount"] != payment.authorised:
            yield f"payment {id_} was captured whole: {answer.attributes['capturedAmount']} of {payment.authorised}"
        if any(each.sent > answer.ended for each in payment.increases.values()):
            yield f"payment {id_} was increased after its capture"
    refunded = payment.captured if payment.reversed else payment.refunded
    counted = {"authorizedAmount": payment.authorised, "capturedAmount": payment.captured, "refundedAmount": refunded}
    for name, amount in counted.items():
        if shown[name] != amount:
            yield f"payment {id_}: {name} is {shown[name]}, but the answers make {amount}"
