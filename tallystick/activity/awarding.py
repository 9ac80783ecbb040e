"""Crossings become rewards, and what is deserved no more is taken back: all that a batch of moves deserves, issued at once.

At most one outcome of a step stands. What was taken back may be given again, as the next generation of its step; what a customer
keeps although they deserve it no more is not given again. An outcome remembers its own needs, so that a new version of the rule
takes nothing away that an older one gave.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID

import tallystick.activity.outcome_store as store
from tallystick import thresholds
from tallystick.activity import giving
from tallystick.activity.giving import Award, Withdrawal
from tallystick.activity.outcome_store import Outcome
from tallystick.base import ids
from tallystick.base.work import Asked, Caller, Work
from tallystick.thresholds import Place
from tallystick.thresholds.budgets import Bound, Line, Spent, lines
from tallystick.thresholds.model import Move, Moved, Threshold, Version

STEPS_MAX: Final = 100
"""How many steps one move settles for one customer; the rest follows with the next."""
AGAIN: Final = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120, 720))
AGAIN_UNTIL: Final = timedelta(days=30)
"""How long after it was reached a step is tried again whose reward was refused, and when: then every half day."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What was given, or would have been (capped, refused), and what was taken back, or kept."""

    given: Sequence[Outcome] = ()
    returned: Sequence[Outcome] = ()


@dataclass(slots=True)
class Ground:
    """What settling must know of the thresholds of a batch."""

    rules: dict[UUID, Threshold]
    live: dict[UUID, Version]
    versions: dict[tuple[UUID, int], Version]
    latest: dict[Place, list[Outcome]]
    requests: Mapping[Place, UUID]
    """The request that moved each place."""
    spent: Spent = field(default_factory=lambda: Spent({}))

    def asked(self, work: Work, outcome: Outcome) -> Asked:
        """Whoever wrote the rule stands behind what it gives, for the request that moved it."""
        rule = self.rules[outcome.threshold_id]
        caller = Caller.behind(work.tenant, rule.partner_id, rule.client_id)
        return Asked(caller, self.requests[outcome.place], "POST", "/api/v1/thresholds")

    def bounds(self, outcome: Outcome) -> list[Line]:
        """What bounds an outcome, by the version that made it."""
        version = self.versions[outcome.threshold_id, outcome.number]
        return lines(version, outcome.customer_id, outcome.location_id, outcome.created_at)


async def settle(
    work: Work,
    moved: Sequence[Moved],
    asked: Asked,
    requests: Mapping[UUID, UUID],
    moves: Sequence[Move] = (),
    *,
    tell_progress: bool = True,
) -> Settled:
    """Give what the moved progress deserves since now, take back what it deserves no more, and tell of both.

    The rows of progress are locked. `requests` are by activity, where it was another than `asked`. `moves` are what moved it, in
    the order of their arrival, which is the order of giving. `tell_progress`: also of progress that reached nothing.
    """
    crossed = [each for each in moved if each.crossed]
    ground = await _ground(work, crossed, moved if tell_progress else crossed)
    ground.requests = {_place(each): requests.get(each.activity_id, asked.request_id) for each in moved}
    taken = [each for move in crossed for each in _undeserved(move, ground)]
    fresh = sorted((each for move in crossed for each in _deserved(work, move, ground)), key=_turn)
    queue = Queue(work, ground, moves, {_place(each): each.before for each in crossed})
    if here := _by_location(ground, fresh):
        fresh = await queue.ordered(fresh, here)
    ground.spent = Spent(await store.lock_spent(work, _bounds(ground, [*taken, *fresh])))
    if taken and fresh:
        await giving.lock_people(work, {each.customer_id for each in (*taken, *fresh)})
    returned = await _take_back(work, ground, taken)
    if rivals := _rivals(ground, fresh):
        fresh = await queue.ordered(fresh, rivals)
    given = await give(work, ground, fresh)
    await store.change(work, returned)
    await store.insert(work, given)
    await store.spend(work, {bound: ground.spent.of[bound] for bound in ground.spent.changed})
    store.hasten(work, [_place(each) for each in moved], [each.id for each in given])
    await thresholds.settled(work, [_reached(ground, move) for move in crossed])
    told = moved if tell_progress else crossed
    partners = {threshold_id: rule.partner_id for threshold_id, rule in ground.rules.items()}
    topics = list(_topics(told, fresh, ground, tell_progress=tell_progress))
    await thresholds.tell(work, topics, partners, ground.requests)
    return Settled(given, returned)


async def give(work: Work, ground: Ground, wanted: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes as they came to be: given in whole or part, capped, or refused and to be tried again.

    As if one came after the other, in this order. What nobody before can change is given at once: what bounds leave the whole of
    whatever those before get, and what none of those before is bounded by. The others wait, since a refusal may leave them more.
    """
    done: dict[UUID, Outcome] = {}
    waiting = list(wanted)
    while waiting:
        now, capped = _sure(ground, waiting)
        done |= {each.id: _capped(each) for each in capped}
        if now and done.keys() - {each.id for each in capped}:
            await giving.write_now(work)
        done |= await _give(work, ground, now)
        waiting = [each for each in waiting if each.id not in done]
    return [done[outcome.id] for outcome in wanted]


def _sure(ground: Ground, waiting: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Of those that wait in this order, what is given now with its amount, which is taken from its bounds, and what gets nothing.

    The first is always among them.
    """
    now, capped, later = [], [], []
    unsure: set[Bound] = set()
    for outcome in waiting:
        bounds = ground.bounds(outcome)
        names = {line.bound for line in bounds}
        amount = ground.spent.left(bounds, outcome.desired_amount)
        if amount < outcome.desired_amount and not names.isdisjoint(unsure):
            amount = outcome.desired_amount  # the most that it may come to
            later.append(outcome)
        elif amount:
            now.append(replace(outcome, amount=amount))
        else:
            capped.append(outcome)
            continue
        ground.spent.take(bounds, amount)
        unsure |= names
    for outcome in later:
        ground.spent.give_back(ground.bounds(outcome), outcome.desired_amount, whole=True)
    return now, capped


def _give_back(ground: Ground, outcome: Outcome) -> None:
    if outcome.amount:
        ground.spent.give_back(ground.bounds(outcome), outcome.amount, whole=True)


async def _give(work: Work, ground: Ground, wanted: Sequence[Outcome]) -> dict[UUID, Outcome]:
    """What became of outcomes whose amounts were taken from their bounds."""
    awards = [
        Award(each, ground.versions[each.threshold_id, each.number].rewards[each.step - 1], ground.asked(work, each))
        for each in wanted
    ]
    done = {}
    for each in (await giving.give(work, awards)).values():
        if each.status == "refused":
            _give_back(ground, each)
        done[each.id] = _again(work, each) if each.status == "refused" else each
    return done


def _capped(outcome: Outcome) -> Outcome:
    return replace(outcome, status="capped", amount=0, code="BudgetExhausted", due_at=None)


async def _ground(work: Work, crossed: Sequence[Moved], told: Sequence[Moved]) -> Ground:
    threshold_ids = list({each.threshold_id for each in told})
    if not threshold_ids:
        return Ground({}, {}, {}, {}, {})
    rules = await thresholds.by_ids(work, threshold_ids)
    if not crossed:
        return Ground(rules, {}, {}, {}, {})
    live = await thresholds.live(work, list({each.threshold_id for each in crossed}))
    latest = await store.latest(
        work,
        [
            (_place(each), min(each.current, each.reached), _cycle(live.get(each.threshold_id), each))
            for each in crossed
        ],
    )
    wanted = {(each.threshold_id, each.number) for of_place in latest.values() for each in of_place}
    versions = {(version.threshold_id, version.number): version for version in live.values()}
    if missing := list(wanted - versions.keys()):
        versions |= await thresholds.versions(work, missing)
    return Ground(rules, live, versions, latest, {})


def _place(moved: Moved) -> Place:
    return moved.threshold_id, moved.customer_id, moved.window_start


def _cycle(version: Version | None, moved: Moved) -> int:
    """The first cycle in which something may be given."""
    return moved.reached // version.lap + 1 if version is not None and version.repeat == "repeating" else 1


def _undeserved(moved: Moved, ground: Ground) -> Iterator[Outcome]:
    """What stands and needs more than there is now, the highest step first."""
    found = [each for each in ground.latest.get(_place(moved), ()) if each.stands and each.needs > moved.current]
    yield from sorted((each for each in found if each.status != "kept"), key=lambda each: each.needs, reverse=True)


def _deserved(work: Work, moved: Moved, ground: Ground) -> Iterator[Outcome]:
    """The steps that are reached since now, as outcomes that are still to be."""
    version = ground.live.get(moved.threshold_id)
    if version is None:
        return
    before = {(each.cycle, each.step): each for each in ground.latest.get(_place(moved), ())}
    kept = max((each.needs for each in before.values() if each.status == "kept"), default=0)
    for cycle, step, needs in islice(version.deserved(moved.current, moved.reached), STEPS_MAX):
        earlier = before.get((cycle, step))
        # The progress to what a customer keeps was rewarded once: on the way there again only what was taken back is given.
        if earlier.stands if earlier is not None else needs <= kept:
            continue
        reward = version.rewards[step - 1]
        yield Outcome(
            id=ids.new(),
            threshold_id=moved.threshold_id,
            customer_id=moved.customer_id,
            window_start=moved.window_start,
            cycle=cycle,
            step=step,
            generation=1 if earlier is None else earlier.generation + 1,
            number=version.number,
            merchant_id=moved.merchant_id,
            needs=needs,
            status="given",
            reward_type=reward.type,
            reward_id=None,
            gift_card_id=None,
            amount=reward.amount,
            desired_amount=reward.amount,
            returned_amount=0,
            currency=version.currency,
            location_id=moved.location_id,
            activity_id=moved.activity_id,
            request_id=ground.requests[_place(moved)],
            code=None,
            due_at=None,
            created_at=work.now,
            updated_at=work.now,
        )


@dataclass(frozen=True, slots=True)
class Queue:
    """The order in which steps were reached, asked for only where it matters."""

    work: Work
    ground: Ground
    moves: Sequence[Move]
    before: Mapping[Place, int]

    async def ordered(self, fresh: Sequence[Outcome], rivals: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes in the order of arrival of what reached them, with where that was; others than `rivals` behind."""
        if len(self.moves) < 2:
            return list(fresh)
        needs: dict[Place, list[int]] = {}
        for each in rivals:
            needs.setdefault(each.place, []).append(each.needs)
        found = await thresholds.reached(self.work, self.moves, needs, self.before, self.ground.live)
        wanted = {each.id for each in rivals}
        turns, behind = [], []
        for each in fresh:
            by = found.get((each.place, each.needs))
            if each.id not in wanted:
                behind.append(each)
            elif by is None:  # it was reached before, and is due since now
                turns.append((-1, each))
            else:
                turns.append((by.nth, replace(each, activity_id=by.activity_id, location_id=by.location_id)))
        return [each for _, each in sorted(turns, key=lambda turn: (turn[0], _turn(turn[1])))] + behind


def _turn(outcome: Outcome) -> tuple[UUID, UUID, datetime, int]:
    """Whose turn it is among what one activity reached: the older rule's, and the nearer step's."""
    return outcome.threshold_id, outcome.customer_id, outcome.window_start, outcome.needs


def _by_location(ground: Ground, fresh: Sequence[Outcome]) -> list[Outcome]:
    """What is bounded by where it was reached."""
    scopes = {key: {budget.scope for budget in version.budgets} for key, version in ground.versions.items()}
    return [each for each in fresh if "location" in scopes[each.threshold_id, each.number]]


def _rivals(ground: Ground, fresh: Sequence[Outcome]) -> list[Outcome]:
    """What cannot all be given whole, so that it matters who came first. Of what nothing is left of, it does not."""
    trial, rivals, enough = Spent(dict(ground.spent.of)), [], True
    for each in fresh:
        bounds = ground.bounds(each)
        if ground.spent.left(bounds, each.desired_amount):
            rivals.append(each)
            enough = enough and trial.left(bounds, each.desired_amount) == each.desired_amount
            trial.take(bounds, each.desired_amount)
    return [] if enough else rivals


def _bounds(ground: Ground, outcomes: Sequence[Outcome]) -> list[Bound]:
    return [line.bound for outcome in outcomes for line in ground.bounds(outcome)]


async def _take_back(work: Work, ground: Ground, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes as they are then: taken back, or kept by the rule of the version that gave them."""
    policies = {each.id: ground.versions[each.threshold_id, each.number].refund_policy for each in outcomes}
    wanted = [each for each in outcomes if each.status == "given" and policies[each.id] != "none"]
    found = await giving.take_back(
        work,
        [Withdrawal(each, policies[each.id] == "full", ground.asked(work, each)) for each in wanted],
    )
    after = []
    for each in outcomes:
        amount, whole = found.get(each.id, (0, each.status != "given"))
        if each.status == "given" and (amount or whole):
            ground.spent.give_back(ground.bounds(each), amount, whole=whole)
        changed = replace(each, returned_amount=each.returned_amount + amount, due_at=None, updated_at=work.now)
        after.append(replace(changed, status="returned" if whole else "kept"))
    return after


def _again(work: Work, outcome: Outcome) -> Outcome:
    """A refused outcome with the instant at which it is tried again; amount 0, since nothing was given."""
    age = work.now - outcome.created_at
    wait = next((each for each in AGAIN if each > age), None)
    due = work.now + AGAIN[-1] if wait is None else outcome.created_at + wait
    return replace(outcome, amount=0, due_at=None if age > AGAIN_UNTIL else due, updated_at=work.now)


def _reached(ground: Ground, moved: Moved) -> tuple[UUID, UUID, datetime, int]:
    """Up to which need the steps of a place are settled now: each that it deserves."""
    version, after = ground.live.get(moved.threshold_id), min(moved.reached, moved.current)
    if version is not None:
        after = max((needs for _, _, needs in islice(version.deserved(moved.current, after), STEPS_MAX)), default=after)
    return (*_place(moved), after)


def _topics(
    told: Sequence[Moved], fresh: Sequence[Outcome], ground: Ground, *, tell_progress: bool
) -> Iterator[tuple[Place, str]]:
    """What is told of each place, in its order: that it moved, and which steps that reached."""
    of_place: dict[Place, list[Outcome]] = {}
    for outcome in fresh:
        of_place.setdefault(outcome.place, []).append(outcome)
    for moved in told:
        place = _place(moved)
        if moved.current < moved.before:
            yield place, "threshold.progress_reversed"
        elif tell_progress:
            yield place, "threshold.progress_updated"
        for outcome in of_place.get(place, ()):
            version = ground.live[moved.threshold_id]
            last = outcome.step == len(version.targets)
            yield place, "threshold.reached" if last else "threshold.milestone_reached"
            if last and version.repeat == "repeating":
                yield place, "threshold.reset"
