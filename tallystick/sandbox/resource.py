"""The sandbox on the wire: its clock, and the messages in its mailbox."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.messages import Sent


class ClockAttributes(msgspec.Struct, rename="camel", gc=False):
    """The instant by which deadlines of this sandbox are judged. It only moves forward."""

    now: str


class AdvanceClock(msgspec.Struct, rename="camel", gc=False, forbid_unknown_fields=True):
    """How far to move the clock, or where to; exactly one of them."""

    by: Annotated[str, Meta(max_length=100, description="An ISO 8601 duration.", examples=["P90D"])] | None = None
    to: (
        Annotated[
            str,
            Meta(
                max_length=100,
                description="An instant that lies ahead.",
                extra_json_schema={"format": "date-time"},
                examples=["2026-09-15T12:00:00.000Z"],
            ),
        ]
        | None
    ) = None


class MailboxAttributes(msgspec.Struct, rename="camel", gc=False):
    """A message that a sandbox did not send. An SMS has no subject; what was told to someone who was erased is null."""

    channel: str
    kind: str
    to: str | None
    subject: str | None
    text: str | None
    created_at: str


CLOCK: Final = Resource("Clock", "/api/v1/sandbox/clock", ClockAttributes, {"now": "2026-09-15T12:00:00.000Z"})

MESSAGE: Final = Resource(
    "MailboxMessage",
    "/api/v1/sandbox/mailbox",
    MailboxAttributes,
    {
        "channel": "sms",
        "kind": "code",
        "to": "+12025550143",
        "subject": None,
        "text": "123456 is your code. It is valid for 10 minutes. Do not give it to anyone.",
        "createdAt": "2026-06-17T12:00:00.000Z",
    },
)


def document(tenant_id: UUID, now: datetime) -> bytes:
    """The clock's document; a sandbox has one, by the tenant's id."""
    return jsonapi.document(jsonapi.resource(CLOCK, tenant_id, ClockAttributes(clock.render(now))))


def message(sent: Sent) -> bytes:
    """A message as a resource object."""
    letter = sent.letter
    return jsonapi.resource(
        MESSAGE,
        sent.id,
        MailboxAttributes(
            channel=sent.channel,
            kind=sent.kind,
            to=None if letter is None else letter.to,
            subject=None if letter is None else letter.subject,
            text=None if letter is None else letter.text,
            created_at=clock.render(sent.created_at),
        ),
    )
