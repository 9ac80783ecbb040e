"""What is sent of an event: the same bytes on every attempt, in the rendering that the endpoint was made with."""

from datetime import datetime
from typing import Final
from uuid import UUID

from tallystick.events import envelope
from tallystick.webhooks.model import PAYLOAD_VERSION

RENDERINGS: Final = {PAYLOAD_VERSION: envelope.body}
"""By version. One that was ever sent stays as it is, for ever."""


def body(version: str, event_id: UUID, topic: str, at: datetime, sequence: int, document: str) -> bytes:
    """The body of a delivery."""
    return RENDERINGS[version](event_id, topic, at, sequence, document)
