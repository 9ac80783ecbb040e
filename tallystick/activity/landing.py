"""Land activity: each name once for ever, whose it is, and what it changes. A post is a batch of one, a file many of thousands."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import tallystick.activity.store as store
from tallystick import events
from tallystick.activity import linking, resource, rows
from tallystick.activity.checking import refuse
from tallystick.activity.looking import Facts, Purchase, look
from tallystick.activity.model import (
    QUOTA,
    SURE_AFTER,
    Attribution,
    ChangedDuplicate,
    RecordActivity,
    Recorded,
    TakesBack,
)
from tallystick.activity.naming import Names
from tallystick.activity.people import People, look_up
from tallystick.activity.rows import Landed
from tallystick.base.db import Step
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.base.work import Work
from tallystick.governance import quotas
from tallystick.thresholds.model import Move, Standing


@dataclass(frozen=True, slots=True)
class Landing:
    """What became of each command, how what counts stands otherwise now, and what is new."""

    outcomes: list[Recorded | Refusal]
    moves: list[Move]
    landed: list[Landed]
    restored: dict[UUID, UUID]
    """What a refund took back that was voided now, and that refund."""


@dataclass(slots=True)
class _Plan:
    """What one landing is about to write."""

    names: Names
    facts: Facts
    people: People
    by_name: dict[int, Landed] = field(default_factory=dict)
    """New activities by the number of their name, in their order."""
    touched: dict[UUID, tuple[Purchase, Standing]] = field(default_factory=dict)
    """What was there and is taken back, with how it stood."""
    links: dict[UUID, UUID] = field(default_factory=dict)
    """What had waited, and what it takes back."""
    waits: list[tuple[str, str, UUID]] = field(default_factory=list)
    effects: dict[UUID, TakesBack] = field(default_factory=dict)


async def land(work: Work, commands: Sequence[RecordActivity]) -> Landing:
    """Keep each activity once for its name. An outcome for every command, as if they had come one after another."""
    names = Names.of(work, commands)
    facts = await look(work, commands, names)
    fresh = [c for c, number in zip(commands, names.of_commands, strict=True) if _holder(facts, number) is None]
    plan = _Plan(names, facts, await look_up(work, fresh, facts))
    outcomes = [_decide(work, plan, place, command) for place, command in enumerate(commands)]
    quotas.count(work, facts.quotas)
    await _take_waits(work, plan)
    _link(plan)
    restored = await linking.restore(work, plan.touched, plan.links, plan.by_name.values(), facts.purchases)
    await _write(work, plan)
    await _drop_names(work, plan)
    _tell(work, plan)
    moves = linking.moves([*((landed, linking.ABSENT) for landed in plan.by_name.values()), *plan.touched.values()])
    return Landing(await _answered(work, plan, outcomes), moves, list(plan.by_name.values()), restored)


def _holder(facts: Facts, number: int) -> UUID | None:
    """The activity that held a name before this work."""
    taken = facts.taken.get(number)
    return None if taken is None else taken[1]


def _decide(work: Work, plan: _Plan, place: int, command: RecordActivity) -> UUID | Landed | Refusal:
    """A refusal, the activity that is new, or the id of the one that had the name already."""
    number, print_ = plan.names.of_commands[place], plan.names.prints[place]
    holder = _holder(plan.facts, number)
    if holder is not None:
        return holder if plan.facts.taken[number][2] == print_ else _changed()
    earlier = plan.by_name.get(number)
    if earlier is not None:
        return earlier.id if earlier.fingerprint == print_ else _changed()
    refusal = _refuse(work, plan, command)
    if refusal is not None:
        return refusal
    activity_id = plan.names.ids[number]
    assert activity_id is not None, "a command's name has an id"
    landed = plan.by_name[number] = _landed(work, plan, command, activity_id, print_)
    return landed


def _refuse(work: Work, plan: _Plan, command: RecordActivity) -> Refusal | None:
    facts = plan.facts
    if command.merchant_id not in facts.shops:
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    if command.location_id is not None and facts.locations.get(command.location_id) != command.merchant_id:
        return InvalidRequest("The merchant has no location of this id.", source=attribute("locationId"))
    return (
        refuse(command, work.now)
        or plan.people.refuse(command, lambda: _subject(plan, command))
        or facts.quotas.take(command.asked.caller.partner_id, QUOTA, 1)
    )


def _subject(plan: _Plan, command: RecordActivity) -> UUID | None:
    """Whose data it is: what names nobody is of whom it takes something back from."""
    if command.identity is not None or command.linked_source_id is None:
        return plan.people.whose(command)[0]
    number = plan.names.numbers[command.source, command.linked_source_id]
    target: Landed | Purchase | None = plan.by_name.get(number)
    if target is None and (holder := _holder(plan.facts, number)) is not None:
        target = plan.facts.purchases.get(holder)
    return None if target is None else target.customer_id


def _landed(work: Work, plan: _Plan, command: RecordActivity, activity_id: UUID, print_: bytes) -> Landed:
    shop = plan.facts.shops[command.merchant_id]
    waits = (command.attribution or shop.attribution) == "reconciled"
    due = shop.release_after_days if waits else None
    customer_id, index = plan.people.whose(command)
    return Landed(
        command=command,
        id=activity_id,
        fingerprint=print_,
        customer_id=customer_id,
        identity_index=index,
        currency=command.currency or shop.currency,
        attribution="pending" if waits else "counted",
        release_at=None if due is None else work.now + timedelta(days=due),
        units=rows.units(command.items) if command.items else 0,
        payload_sealed=None if command.payload is None else work.keys.seal(command.payload, activity_id.bytes),
    )


def _changed() -> ChangedDuplicate:
    return ChangedDuplicate(
        "This source id was sent before with other content, and nothing was changed. Send corrections as a refund or void, and "
        "what is new under an id of its own.",
        source=attribute("source/id"),
    )


async def _take_waits(work: Work, plan: _Plan) -> None:
    """What came before what it takes back, and waits no more."""
    wanted = {
        (landed.command.source, landed.command.source_id): landed
        for number, landed in plan.by_name.items()
        if number in plan.facts.taken
    }
    if not wanted:
        return
    waited = await store.take_waits(work, [source for source, _ in wanted], [source_id for _, source_id in wanted])
    for back in linking.decode_waited(waited or "[]"):
        target = wanted[back.source, back.linked_source_id]
        if back.attribution != "rejected" and linking.take_back(target, back):
            plan.links[back.id] = target.id


def _link(plan: _Plan) -> None:
    """Let refunds and voids take back what is there, or wait for it."""
    for landed in linking.voids_first(plan.by_name.values()):
        linked = landed.command.linked_source_id
        if linked is None:
            plan.effects[landed.id] = "nothing"
            continue
        source = landed.command.source
        number = plan.names.numbers[source, linked]
        target: Landed | Purchase | None = plan.by_name.get(number)
        if target is None:
            target = _touch(plan, _holder(plan.facts, number))
        if target is not None and linking.take_back(target, landed):
            landed.linked_id = target.id
            plan.effects[landed.id] = "linked"
        elif target is None and _holder(plan.facts, number) is None:
            plan.waits.append((source, linked, landed.id))
            plan.effects[landed.id] = "waiting"
        else:
            plan.effects[landed.id] = "nothing"


def _touch(plan: _Plan, activity_id: UUID | None) -> Purchase | None:
    """What was there before, as what came earlier in this work has left it; None too where it was detached."""
    purchase = None if activity_id is None else plan.facts.purchases.get(activity_id)
    if purchase is not None and purchase.id not in plan.touched:
        plan.touched[purchase.id] = (purchase, linking.standing(purchase))
    return purchase


async def _write(work: Work, plan: _Plan) -> None:
    """Every row in one round trip."""
    steps: list[tuple[Step, Sequence[object]]] = []
    if plan.by_name:
        steps.append((store.INSERT, (work.now, *rows.columns(list(plan.by_name.values())))))
    renamed = [
        landed
        for number, landed in plan.by_name.items()
        if number in plan.facts.taken or plan.names.fingerprints[number] != landed.fingerprint
    ]
    if renamed:
        told = [landed.command for landed in renamed]
        steps.append(
            (
                store.NAME,
                (
                    [command.source for command in told],
                    [command.source_id for command in told],
                    [command.asked.caller.partner_id for command in told],
                    [landed.id for landed in renamed],
                    [landed.fingerprint for landed in renamed],
                ),
            )
        )
    if plan.touched:
        changed = [purchase for purchase, _ in plan.touched.values()]
        steps.append(
            (
                store.RETURN,
                (
                    [purchase.id for purchase in changed],
                    [purchase.returned_amount for purchase in changed],
                    [purchase.returned_units for purchase in changed],
                    [purchase.voided for purchase in changed],
                ),
            )
        )
    if plan.links:
        steps.append((store.LINK, (list(plan.links), list(plan.links.values()))))
    if plan.waits:
        steps.append((store.WAIT, tuple(list(column) for column in zip(*plan.waits, strict=True))))
    if any(landed.identity_index is not None for landed in plan.by_name.values()):
        steps.append((store.FOLLOW, (work.now - SURE_AFTER,)))
    if steps:
        await store.write(work, steps)


async def _drop_names(work: Work, plan: _Plan) -> None:
    """Give back the names of what was refused, and of what only it referred to."""
    waited_for = {(source, source_id) for source, source_id, _ in plan.waits}
    dropped = [
        (*name, plan.names.ids[number])
        for name, number in plan.names.numbers.items()
        if number not in plan.by_name and number not in plan.facts.taken
        if plan.names.ids[number] is not None or name not in waited_for
    ]
    if dropped:
        await store.drop_names(work, dropped)


def _tell(work: Work, plan: _Plan) -> None:
    """One event for each that is new; of those that a file brought, its end tells."""
    for landed in plan.by_name.values():
        if landed.command.import_id is None:
            events.record(work, resource.event("transaction.accepted", 1, rows.activity(work, landed)))


async def _answered(work: Work, plan: _Plan, outcomes: Sequence[UUID | Landed | Refusal]) -> list[Recorded | Refusal]:
    here = {landed.id: (landed.attribution, landed.customer_id) for landed in plan.by_name.values()}
    wanted = {outcome for outcome in outcomes if isinstance(outcome, UUID) and outcome not in here}
    stood = await store.standing(work, list(wanted)) if wanted else {}
    answers: list[Recorded | Refusal] = []
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            answers.append(outcome)
        elif isinstance(outcome, Landed):
            effect = plan.effects.get(outcome.id)
            answers.append(_recorded(outcome.id, outcome.attribution, outcome.customer_id, effect, duplicate=False))
        else:
            # What was detached has left its name alone: it counted.
            attribution, customer_id = here.get(outcome) or stood.get(outcome) or ("counted", None)
            answers.append(_recorded(outcome, attribution, customer_id, duplicate=True))
    return answers


def _recorded(
    activity_id: UUID,
    attribution: Attribution,
    customer_id: UUID | None,
    effect: TakesBack | None = None,
    *,
    duplicate: bool,
) -> Recorded:
    return Recorded(activity_id, duplicate, attribution, customer_id, effect)
