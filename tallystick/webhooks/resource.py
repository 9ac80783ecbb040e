"""What partners read of endpoints, deliveries, attempts and replays."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta
from yarl import URL

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Asked
from tallystick.events import Event
from tallystick.webhooks import signing
from tallystick.webhooks.model import Attempt, Replay, Webhook
from tallystick.webhooks.reading_store import Standing
from tallystick.webhooks.store import Secret

TOLD_EXAMPLE: Final[dict[str, Any]] = {
    "url": "https://partner.example/hooks/tallystick",
    "topics": ["reward.credited", "reward.expired"],
    "merchantIds": None,
    "locationIds": None,
    "payloadVersion": "2026-11-01",
    "ratePerMinute": None,
    "fifo": False,
    "status": "enabled",
    "reason": None,
    "failingSince": None,
    "lastSucceededAt": "2026-06-17T12:00:00.000Z",
    "createdAt": "2026-03-02T09:00:00.000Z",
    "updatedAt": "2026-03-02T09:00:00.000Z",
}
EXAMPLE: Final[dict[str, Any]] = {
    **TOLD_EXAMPLE,
    "description": "Support platform, rewards",
    "headerNames": ["authorization"],
    "secrets": [
        {
            "publicKey": "whpk_1SigCI49ohypzJKkiC5dH0akSkiaeAeqfZYjHDBbOio=",
            "createdAt": "2026-03-02T09:00:00.000Z",
            "endsAt": None,
        }
    ],
}
ATTEMPT_EXAMPLE: Final[dict[str, Any]] = {
    "webhookId": "0199d3c0-6f52-7d0c-b5a4-2f9e8d7c6b5a",
    "eventId": "0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01",
    "number": 1,
    "at": "2026-06-17T12:00:00.000Z",
    "milliseconds": 84,
    "statusCode": 200,
    "fault": None,
    "answer": "ok",
    "replayed": False,
}
DELIVERY_EXAMPLE: Final[dict[str, Any]] = {
    "eventId": "0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01",
    "topic": "reward.credited",
    "position": 1042,
    "status": "delivered",
    "attempts": 1,
    "nextAttemptAt": None,
    "concludedAt": "2026-06-17T12:00:00.000Z",
}
REPLAY_EXAMPLE: Final[dict[str, Any]] = {
    "webhookId": "0199d3c0-6f52-7d0c-b5a4-2f9e8d7c6b5a",
    "topics": None,
    "onlyMissing": True,
    "fromPosition": 1000,
    "toPosition": 1042,
    "matched": 12,
    "status": "completed",
    "createdAt": "2026-06-17T12:00:00.000Z",
    "updatedAt": "2026-06-17T12:00:00.000Z",
}


class ShownSecret(msgspec.Struct, rename="camel"):
    """A secret that signs: the key that verifies `v1a`, and until when it goes on."""

    public_key: str
    created_at: str
    ends_at: str | None


class ToldAttributes(msgspec.Struct, rename="camel", omit_defaults=True):
    """An endpoint as an event tells of it: no free text, and of its address nothing behind the path."""

    url: str
    topics: list[str]
    merchant_ids: list[str] | None
    location_ids: list[str] | None
    payload_version: str
    rate_per_minute: int | None
    fifo: bool
    status: Annotated[str, Meta(description="pending (until a ping was answered well), enabled or disabled.")]
    reason: Annotated[
        str | None,
        Meta(
            description="Why it is disabled: asked, gone (it answered 410), receiver (it asked by a header), failures."
        ),
    ]
    failing_since: str | None
    last_succeeded_at: str | None
    created_at: str
    updated_at: str
    percent: Annotated[
        int | msgspec.UnsetType, Meta(description="How much of the patience with its failures is used up.")
    ] = msgspec.UNSET


class WebhookAttributes(ToldAttributes, rename="camel", kw_only=True, omit_defaults=True):
    """An endpoint. `secret` is shown by the answer that made it, and by no other."""

    description: str
    header_names: Annotated[list[str], Meta(description="The names of your own headers; their values are not shown.")]
    secrets: list[ShownSecret]
    secret: Annotated[str | msgspec.UnsetType, Meta(description="What `v1` signatures are verified with.")] = (
        msgspec.UNSET
    )


class AttemptAttributes(msgspec.Struct, rename="camel"):
    """One request to an endpoint and what became of it."""

    webhook_id: str
    event_id: str
    number: int
    at: str
    milliseconds: int
    status_code: int | None
    fault: Annotated[
        str | None, Meta(description="Why it did not succeed, in a word; `status`: the answer was no 2xx.")
    ]
    answer: Annotated[str | None, Meta(description="The beginning of the answer.")]
    replayed: bool


class DeliveryAttributes(msgspec.Struct, rename="camel"):
    """One event for one endpoint."""

    event_id: str
    topic: str
    position: int
    status: Annotated[
        str, Meta(description="pending, delivered, failed (given up), or skipped (the endpoint was off).")
    ]
    attempts: int
    next_attempt_at: str | None
    concluded_at: str | None


class ReplayAttributes(msgspec.Struct, rename="camel"):
    """A wish to send again, and how many events it found. A rehearsal has no id to be read by."""

    webhook_id: str
    topics: list[str] | None
    only_missing: bool
    from_position: Annotated[int, Meta(description="Events behind this position.")]
    to_position: int
    matched: int
    status: str
    created_at: str
    updated_at: str


WEBHOOK: Final = Resource("Webhook", "/api/v1/webhooks", WebhookAttributes, EXAMPLE)
WEBHOOK_EVENT: Final = Resource("Webhook", WEBHOOK.path, ToldAttributes, {**TOLD_EXAMPLE, "percent": 50})
ATTEMPT: Final = Resource("WebhookAttempt", "/api/v1/webhook-events/{id}/attempts", AttemptAttributes, ATTEMPT_EXAMPLE)
DELIVERY: Final = Resource("WebhookDelivery", "/api/v1/webhooks/{id}/deliveries", DeliveryAttributes, DELIVERY_EXAMPLE)
REPLAY: Final = Resource("WebhookReplay", "/api/v1/webhooks/{id}/replays", ReplayAttributes, REPLAY_EXAMPLE)


def shown(webhook: Webhook, names: Sequence[str], secrets: Sequence[Secret], secret: str | None = None) -> bytes:
    """The resource object of an endpoint."""
    attributes = WebhookAttributes(
        **_told(webhook),
        description=webhook.description,
        header_names=list(names),
        secrets=[
            ShownSecret(
                signing.public_text(each.public_key),
                clock.render(each.created_at),
                None if each.ends_at is None else clock.render(each.ends_at),
            )
            for each in secrets
        ],
        secret=msgspec.UNSET if secret is None else secret,
    )
    return jsonapi.resource(WEBHOOK, webhook.id, attributes)


def event(topic: str, webhook: Webhook, asked: Asked | None = None, percent: int | None = None) -> Event:
    """What happened to an endpoint; its version counts its events."""
    # What stands behind the path may be a secret of the receiver, and other endpoints hear of this one.
    told = _told(webhook) | {"url": str(URL(webhook.url).with_query(None))}
    attributes = ToldAttributes(**told, percent=msgspec.UNSET if percent is None else percent)
    return Event(
        topic=topic,
        subject_type="Webhook",
        subject_id=webhook.id,
        sequence=webhook.version,
        document=jsonapi.resource(WEBHOOK_EVENT, webhook.id, attributes),
        partner_id=webhook.partner_id,
        request_id=None if asked is None else asked.request_id,
    )


def attempt(made: Attempt) -> bytes:
    """The resource object of an attempt."""
    attributes = AttemptAttributes(
        webhook_id=str(made.webhook_id),
        event_id=str(made.event_id),
        number=made.number,
        at=clock.render(made.at),
        milliseconds=made.milliseconds,
        status_code=made.status_code,
        fault=made.fault,
        answer=None if made.answer is None else made.answer.decode(errors="replace"),
        replayed=made.replayed,
    )
    return jsonapi.resource(ATTEMPT, made.id, attributes)


def delivery(stands: Standing) -> bytes:
    """The resource object of a delivery; its event's id names it."""
    is_pending = stands.status == "pending"
    attributes = DeliveryAttributes(
        event_id=str(stands.event_id),
        topic=stands.topic,
        position=stands.position,
        status=stands.status,
        attempts=stands.attempts,
        next_attempt_at=clock.render(stands.due_at) if is_pending else None,
        concluded_at=None if stands.concluded_at is None else clock.render(stands.concluded_at),
    )
    return jsonapi.resource(DELIVERY, stands.event_id, attributes)


def replay(wish: Replay, *, matched: int | None = None, status: str | None = None) -> bytes:
    """The resource object of a replay; of a rehearsal with what it found."""
    attributes = ReplayAttributes(
        webhook_id=str(wish.webhook_id),
        topics=None if wish.topics is None else list(wish.topics),
        only_missing=wish.only_missing,
        from_position=wish.from_position,
        to_position=wish.to_position,
        matched=wish.matched if matched is None else matched,
        status=status or wish.status,
        created_at=clock.render(wish.created_at),
        updated_at=clock.render(wish.updated_at),
    )
    return jsonapi.resource(REPLAY, wish.id, attributes)


def _told(webhook: Webhook) -> dict[str, Any]:
    return {
        "url": webhook.url,
        "topics": list(webhook.topics),
        "merchant_ids": _texts(webhook.merchant_ids),
        "location_ids": _texts(webhook.location_ids),
        "payload_version": webhook.payload_version,
        "rate_per_minute": webhook.rate_per_minute,
        "fifo": webhook.fifo,
        "status": webhook.status,
        "reason": webhook.reason,
        "failing_since": None if webhook.failing_since is None else clock.render(webhook.failing_since),
        "last_succeeded_at": None if webhook.succeeded_at is None else clock.render(webhook.succeeded_at),
        "created_at": clock.render(webhook.created_at),
        "updated_at": clock.render(webhook.updated_at),
    }


def _texts(named: Sequence[UUID] | None) -> list[str] | None:
    return None if named is None else [str(each) for each in named]
