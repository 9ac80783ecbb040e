"""Make what a merged customer did part of what the survivor did: activities, progress, and what that came to.

What stands of the merged customer's outcomes stands for the survivor, as the next of their steps, so that nothing is given twice:
a copy of it names what was given, and the first row stays as one that was taken back, so that its key is never used again. What
both were given and the two together deserve only once stays, and goes first when progress falls. What was refused or capped, and
is no step of the two together, is dropped. What was taken back before stays with the merged customer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final
from uuid import UUID

import tallystick.activity.joining_store as store
import tallystick.activity.outcome_store as outcome_store
from tallystick import thresholds
from tallystick.activity import awarding
from tallystick.activity.outcome_store import Outcome
from tallystick.activity.releasing import of_the_house
from tallystick.base import ids
from tallystick.base.work import Work
from tallystick.customers import lookup
from tallystick.thresholds import Place, joining
from tallystick.thresholds.budgets import Bound, Spent, lines
from tallystick.thresholds.joining import Joined
from tallystick.thresholds.model import Moved, Version

MERGED: Final = "UserMerged"
FIRM: Final = frozenset({"given", "kept"})


async def join(work: Work, customer_id: UUID) -> None:
    """Give everything of a merged customer to whoever they are now. Again, it finds only what came since."""
    into_id = (await lookup.survivors(work, [customer_id])).get(customer_id)
    if into_id is None or into_id == customer_id:
        return
    newest = await store.give(work, customer_id, into_id)
    more = {(each.threshold_id, each.window_start) for each in await store.standing(work, customer_id)}
    joined = await joining.join(work, customer_id, into_id, list(more))
    if not joined:
        return
    versions = await _versions(work, joined)
    stand = await _join_outcomes(work, customer_id, into_id, joined, versions)
    moved = [each for one in joined for each in _moved(one, customer_id, into_id, newest, versions)]
    await awarding.settle(work, moved, of_the_house(work.tenant), {})
    await _settle_up_to(work, stand)


async def _versions(work: Work, joined: Sequence[Joined]) -> dict[UUID, Version]:
    """Of each rule the version in force, or else the one that counted last."""
    numbers = {each.threshold_id: each.number for each in joined}
    counted = await thresholds.versions(work, list(numbers.items()))
    return {id_: version for (id_, _), version in counted.items()} | await thresholds.live(work, list(numbers))


def _moved(
    one: Joined,
    customer_id: UUID,
    into_id: UUID,
    newest: dict[UUID, tuple[UUID, UUID | None]],
    versions: dict[UUID, Version],
) -> Iterator[Moved]:
    """Both rows: the one has nothing any more, and what the other deserves since now is to be settled."""
    merchant_id = one.given.merchant_id
    activity_id, location_id = newest.get(merchant_id, (ids.new(), None))
    settled = _settled(one, versions[one.threshold_id])
    for whose, before, now, pending, reached, crossed in (
        (customer_id, one.given.current, 0, 0, 0, False),
        (into_id, one.taken.current, one.current, one.pending, settled, True),
    ):
        yield Moved(
            one.threshold_id, whose, merchant_id, one.window_start, one.number, before, now, pending, activity_id,
            location_id, reached, crossed,
        )  # fmt: skip


def _settled(one: Joined, version: Version) -> int:
    """Up to which need the two together were settled: whole cycles of both, and of one that is begun whoever was further."""
    if version.repeat != "repeating":
        return max(one.given.reached, one.taken.reached)
    cycles = one.given.reached // version.lap + one.taken.reached // version.lap
    return cycles * version.lap + max(one.given.reached % version.lap, one.taken.reached % version.lap)


async def _settle_up_to(work: Work, stand: Sequence[Outcome]) -> None:
    """What stands by a need of its own is settled up to that, so that less progress is noticed."""
    needs: dict[Place, int] = {}
    for each in stand:
        needs[each.place] = max(each.needs, needs.get(each.place, 0))
    rows = await thresholds.lock_progress(work, list(needs)) if needs else []
    places = {(row.threshold_id, row.customer_id, row.window_start): row.reached for row in rows}
    await thresholds.settled(
        work, [(*place, needs[place]) for place, reached in places.items() if reached < needs[place]]
    )


async def _join_outcomes(
    work: Work, customer_id: UUID, into_id: UUID, joined: Sequence[Joined], versions: dict[UUID, Version]
) -> list[Outcome]:
    """What stands for the survivor since now, and is not kept whatever becomes of the progress."""
    threshold_ids = list({one.threshold_id for one in joined})
    theirs = [each for each in await store.of_customer(work, customer_id, threshold_ids) if each.stands]
    own = await store.of_customer(work, into_id, threshold_ids)
    ended: list[Outcome] = []
    copies: list[Outcome] = []
    for one in joined:
        of_place = [_of_place(of, one) for of in (theirs, own)]
        for step in sorted({each.step for each in of_place[0]}):
            given, taken = ([each for each in of if each.step == step] for of in of_place)
            placing = _Placing(into_id, one.current, versions[one.threshold_id], taken)
            placing.place(given)
            ended += placing.ended
            copies += placing.copies
    await _count(work, [each for each in ended if each.customer_id == customer_id and each.status in FIRM], into_id)
    await outcome_store.change(work, [_taken_over(work, each) for each in ended])
    await outcome_store.insert(work, [replace(each, id=ids.new(), updated_at=work.now) for each in copies])
    return [each for each in copies if each.status != "kept"]


def _of_place(outcomes: Iterable[Outcome], one: Joined) -> list[Outcome]:
    return [each for each in outcomes if (each.threshold_id, each.window_start) == (one.threshold_id, one.window_start)]


def _taken_over(work: Work, outcome: Outcome) -> Outcome:
    return replace(
        outcome, status="returned", reward_id=None, gift_card_id=None, amount=0, returned_amount=0, code=MERGED, due_at=None,
        updated_at=work.now,
    )  # fmt: skip


@dataclass
class _Placing:
    """One step of one place: where what stands of the merged customer comes to stand among what the survivor has."""

    into_id: UUID
    current: int
    version: Version
    own: Sequence[Outcome]
    ended: list[Outcome] = field(default_factory=list)
    copies: list[Outcome] = field(default_factory=list)

    def place(self, given: Sequence[Outcome]) -> None:
        """What gave something first; then what did not, where there is a step left for it."""
        standing = {each.cycle: each for each in self.own if each.stands}
        for each in sorted((each for each in given if each.status in FIRM), key=lambda each: each.cycle):
            cycle = next(c for c in count(1) if c not in standing or standing[c].status not in FIRM)
            if (displaced := standing.pop(cycle, None)) is not None:
                self.ended.append(displaced)
            standing[cycle] = self._copy(each, cycle)
        loose = [each for each in given if each.status not in FIRM]
        loose += [each for each in self.ended if each.customer_id == self.into_id]
        for each in sorted(loose, key=lambda each: each.needs):
            cycle = next(c for c in count(1) if c not in standing)
            needs = self._needs(each, cycle)
            if needs is None or needs > self.current:
                self.ended += [each] if each.customer_id != self.into_id else []
                continue
            standing[cycle] = self._copy(each, cycle)

    def _copy(self, each: Outcome, cycle: int) -> Outcome:
        needs = self._needs(each, cycle)
        if each.status != "kept":
            needs = self.current if needs is None else min(needs, self.current)
        generations = [held.generation for held in (*self.own, *self.copies) if held.cycle == cycle]
        copy = replace(
            each,
            customer_id=self.into_id,
            cycle=cycle,
            generation=max(generations, default=0) + 1,
            needs=each.needs if needs is None else needs,
        )
        self.copies.append(copy)
        if each.customer_id != self.into_id:
            self.ended.append(each)
        return copy

    def _needs(self, each: Outcome, cycle: int) -> int | None:
        """What so many cycles need by this version; None: there is no such step."""
        if cycle == each.cycle:
            return each.needs
        if self.version.repeat != "repeating":
            return None if cycle > 1 else each.needs
        return each.needs + (cycle - each.cycle) * self.version.lap


async def _count(work: Work, outcomes: Sequence[Outcome], into_id: UUID) -> None:
    """What was given to the merged customer counts towards the survivor's caps."""
    versions = await thresholds.versions(work, list({(each.threshold_id, each.number) for each in outcomes}))
    pairs: list[tuple[Outcome, Bound, Bound]] = []
    for each in outcomes:
        version = versions[each.threshold_id, each.number]
        for line in lines(version, each.customer_id, each.location_id, each.created_at):
            threshold_id, scope, _, span, start = line.bound
            if scope == "customer":
                pairs.append((each, line.bound, (threshold_id, scope, into_id, span, start)))
    spent = Spent(await outcome_store.lock_spent(work, [bound for _, *both in pairs for bound in both]))
    for each, was, now in dict.fromkeys(pairs):
        amount = each.amount - each.returned_amount
        for bound, sign in ((was, -1), (now, 1)):
            number, before = spent.of[bound]
            spent.of[bound] = (number + sign, before + sign * amount)
            spent.changed.add(bound)
    await outcome_store.spend(work, {bound: spent.of[bound] for bound in spent.changed})
