"""An event on the wire."""

from collections.abc import Sequence
from typing import Final

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Call, Resource
from tallystick.events import envelope
from tallystick.events.store import Recorded

_DOCUMENT: Final = {
    "id": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "type": "Reward",
    "attributes": {"status": "Credited", "amount": 500, "currency": "USD"},
}
EXAMPLE: Final = {
    "position": 1042,
    "topic": "reward.credited",
    "sequence": 1,
    "subjectType": "Reward",
    "subjectId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "timestamp": "2026-06-17T12:00:00.000Z",
    "recordedAt": "2026-06-17T12:00:00.000Z",
    "document": _DOCUMENT,
    "envelope": {
        "id": "0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01",
        "type": "reward.credited",
        "timestamp": "2026-06-17T12:00:00.000Z",
        "sequence": 1,
        "data": _DOCUMENT,
    },
}


class WebhookEventAttributes(msgspec.Struct, rename="camel", gc=False):
    """One thing that happened. `position` is gapless for the programme and environment, `sequence` for the subject.

    `timestamp` is the instant by the sandbox's own clock, where it has one; `recordedAt` is real time. `envelope` is what the body
    of a webhook is.
    """

    position: int
    topic: str
    sequence: int
    subject_type: str
    subject_id: str
    timestamp: str
    recorded_at: str
    document: msgspec.Raw
    envelope: msgspec.Raw


WEBHOOK_EVENT: Final = Resource("WebhookEvent", "/api/v1/webhook-events", WebhookEventAttributes, EXAMPLE)


def resource(event: Recorded) -> bytes:
    """An event as a resource object."""
    shown = WebhookEventAttributes(
        position=event.position,
        topic=event.topic,
        sequence=event.sequence,
        subject_type=event.subject_type,
        subject_id=str(event.subject_id),
        timestamp=clock.render(event.at),
        recorded_at=clock.render(event.recorded_at),
        document=msgspec.Raw(event.document.encode()),
        envelope=msgspec.Raw(envelope.of(event)),
    )
    return jsonapi.resource(WEBHOOK_EVENT, event.id, shown)


def feed(call: Call, page: Sequence[Recorded], after: int, limit: int) -> bytes:
    """A page of the feed. A full page says that there may be more; behind the last event the same cursor is asked again later."""
    cursor = page[-1].position if page else after
    following = jsonapi.link(call, {"page[after]": str(cursor), "page[limit]": str(limit)})
    meta = {"after": str(cursor), "limit": limit}
    return jsonapi.feed(
        [resource(event) for event in page], meta=meta, following=following if len(page) == limit else None
    )
