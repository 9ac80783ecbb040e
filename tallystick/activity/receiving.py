"""Receive what partners post: one, answered with the resource, or a list of them, answered with a verdict on each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import tallystick.activity.store as store
from tallystick import audit
from tallystick.activity import resource, rows
from tallystick.activity.accepting import Accepted, carry_out
from tallystick.activity.model import Activity, RecordActivity, Recorded
from tallystick.base import jsonapi
from tallystick.base.batcher import RETRIED, TRIES
from tallystick.base.errors import Refusal, Unavailable
from tallystick.base.work import Runtime, Tenant, Work


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to one document."""

    activity_id: UUID
    document: bytes
    duplicate: bool


async def receive(work: Work, commands: Sequence[RecordActivity]) -> list[Received | Refusal]:
    """Accept each, and answer with it as it is now; an activity that was there before is answered again."""
    landing = (await carry_out(work, commands)).landing
    made = {landed.id: rows.activity(work, landed) for landed in landing.landed}
    there = [each.activity_id for each in landing.outcomes if isinstance(each, Recorded) and each.duplicate]
    shown = {**(await store.by_ids(work, there) if there else {}), **made}
    return [
        _answer(work, command, outcome, shown) if isinstance(outcome, Recorded) else outcome
        for command, outcome in zip(commands, landing.outcomes, strict=True)
    ]


def _answer(work: Work, command: RecordActivity, outcome: Recorded, shown: dict[UUID, Activity]) -> Received:
    if not outcome.duplicate:
        audit.note(work, command.asked, status=201, resource_id=outcome.activity_id)
    activity = shown.get(outcome.activity_id) or rows.detached(work, command, outcome)
    document = jsonapi.document(resource.resource(work, activity, command.asked.caller))
    return Received(outcome.activity_id, document, outcome.duplicate)


class _Rehearsed(Exception):
    """Ends a work that is to leave nothing behind, and brings out what it came to."""

    def __init__(self, accepted: Accepted) -> None:
        super().__init__()
        self.accepted = accepted


async def rehearse(runtime: Runtime, tenant: Tenant, commands: Sequence[RecordActivity]) -> Accepted:
    """What accepting these would come to, by doing it in a work that is undone."""
    for attempt in range(TRIES):
        try:
            async with runtime.work(tenant) as work:
                raise _Rehearsed(await carry_out(work, commands))  # noqa: TRY301 -- only this undoes the work
        except _Rehearsed as ended:
            return ended.accepted
        except RETRIED:
            await asyncio.sleep(0.005 * attempt)
    raise Unavailable("Too much contention just now; try again.", headers=[("retry-after", "1")])
