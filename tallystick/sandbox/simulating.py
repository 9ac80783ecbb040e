"""Make a sample event happen, so that a partner sees its own system hear it. Nothing else happens, and the document says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tallystick import audit, events
from tallystick.base import clock, idempotency, ids, jsonapi
from tallystick.base.errors import IdempotencyConflict, InvalidRequest, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import Call, Reply, Resource, Route, Takes
from tallystick.base.work import Asked, Work

SCOPE: Final = "sandbox:write"


class SimulateEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Which topic is to happen."""

    topic: Annotated[
        str, Meta(max_length=100, description="One of /api/v1/webhook-topics.", examples=["reward.credited"])
    ]


class SimulatedEventAttributes(msgspec.Struct, rename="camel"):
    """A sample event. It is told as every other is: in the feed, in streams and to webhooks, with `meta.sample` in its document."""

    topic: str
    subject_type: str
    subject_id: str
    timestamp: str


SIMULATED: Final = Resource(
    "SimulatedEvent",
    "/api/v1/sandbox/simulate/event",
    SimulatedEventAttributes,
    {
        "topic": "reward.credited",
        "subjectType": "Reward",
        "subjectId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
        "timestamp": "2026-06-17T12:00:00.000Z",
    },
)


@dataclass(frozen=True, slots=True)
class Simulate:
    """A partner's wish for a sample event of a topic."""

    asked: Asked
    topic: events.Topic
    catalogue: events.Catalogue


async def simulate(work: Work, commands: Sequence[Simulate]) -> list[Answer | Refusal]:
    """Each command's event is recorded for its partner alone, about a subject of its own; with a key, once for its key."""
    return await idempotency.keyed(
        work,
        "sandbox.simulate.event",
        commands,
        _simulate,
        fingerprint=lambda command: command.topic.name.encode(),
        seal=HouseSeal(),
    )


async def _simulate(work: Work, command: Simulate) -> Answer | Refusal:
    subject_id, topic = ids.new(), command.topic
    events.record(
        work,
        events.Event(
            topic=topic.name,
            subject_type=topic.subject_type,
            subject_id=subject_id,
            sequence=1,
            document=command.catalogue.sample(topic, str(subject_id)),
            partner_id=command.asked.caller.partner_id,
            request_id=command.asked.request_id,
        ),
    )
    audit.note(work, command.asked, status=201, resource_id=subject_id)
    shown = SimulatedEventAttributes(topic.name, topic.subject_type, str(subject_id), clock.render(work.now))
    return Answer(201, jsonapi.document(jsonapi.resource(SIMULATED, subject_id, shown)), subject_id)


async def simulate_event(catalogue: events.Catalogue, call: Call) -> Reply:
    """Record a sample event of a topic: its example, about a subject of its own. Read it by `filter[subjectId]` of the feed."""
    if call.caller.tenant.environment != "sandbox":
        raise NotFound("There is nothing at this path.")
    sent: SimulateEvent = call.attributes
    topic = catalogue.topic(sent.topic)
    if topic is None or topic == events.PING:
        raise InvalidRequest(
            "There is no such topic. GET /api/v1/webhook-topics lists them.", source=attribute("topic")
        )
    answer = await call.house.batcher.submit(simulate, call.caller.tenant, Simulate(call.asked, topic, catalogue))
    headers = [("location", f"/api/v1/webhook-events?filter[subjectId]={answer.resource_id}")]
    return Reply(
        answer.status,
        answer.body,
        headers,
        replayed=answer.replayed,
        resource_id=answer.resource_id,
        logged=not answer.replayed,
    )


def routes(catalogue: events.Catalogue) -> tuple[Route, ...]:
    """What a sandbox offers to try events with. In production it answers exactly as a path that does not exist."""
    return (
        Route(
            "POST",
            SIMULATED.path,
            partial(simulate_event, catalogue),
            SCOPE,
            "Make a sample event happen",
            takes=Takes(SimulateEvent, ("SimulateEvent",), {"topic": "reward.credited"}),
            gives=SIMULATED,
            status=201,
            errors=(NotFound, IdempotencyConflict),
            keyed=True,
        ),
    )
