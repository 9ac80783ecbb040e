"""An event as partners get it, the same in a webhook's body, in the feed and in the stream."""

from datetime import datetime
from uuid import UUID

from tallystick.base import clock
from tallystick.events.store import Recorded


def body(event_id: UUID, topic: str, at: datetime, sequence: int, document: str) -> bytes:
    """The envelope of Standard Webhooks, with `sequence`. The same event gives the same bytes, always."""
    return b'{"id":"%s","type":"%s","timestamp":"%s","sequence":%d,"data":%s}' % (
        str(event_id).encode(),
        topic.encode(),
        clock.render(at).encode(),
        sequence,
        document.encode(),
    )


def of(event: Recorded) -> bytes:
    """The envelope of an event of the feed."""
    return body(event.id, event.topic, event.at, event.sequence, event.document)
