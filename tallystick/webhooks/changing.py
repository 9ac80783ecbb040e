"""Making endpoints and changing them: each wish carried out once for its key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

import tallystick.webhooks.replay_store as replay_store
import tallystick.webhooks.store as store
from tallystick import audit, events
from tallystick.base import clock, idempotency, ids, jsonapi
from tallystick.base.errors import InvalidState, NotFound, Refusal
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Caller, Work
from tallystick.webhooks import resource, secrets
from tallystick.webhooks.model import Reason, Webhook

ENDPOINTS_MAX: Final = 50
"""Of one partner in one tenant."""
OVERLAP: Final = timedelta(hours=24)
OVERLAP_MAX: Final = timedelta(days=7)
SECRETS_MAX: Final = 10
SHOWN_AGAIN: Final = timedelta(hours=24)
"""For how long the answer that showed a secret shows it again to who repeats the request with its key."""


@dataclass(frozen=True, slots=True)
class MakeWebhook:
    """A partner's wish for an endpoint."""

    asked: Asked
    url: str
    topics: tuple[str, ...]
    merchant_ids: tuple[UUID, ...] | None
    location_ids: tuple[UUID, ...] | None
    payload_version: str
    headers: Mapping[str, str]
    description: str
    rate_per_minute: int | None
    fifo: bool


@dataclass(frozen=True, slots=True)
class ChangeWebhook:
    """What is to change, by the names of the row; `headers` are the plain ones."""

    asked: Asked
    webhook_id: UUID
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RotateSecret:
    """A new secret; those that there are go on for `overlap`."""

    asked: Asked
    webhook_id: UUID
    overlap: timedelta


@dataclass(frozen=True, slots=True)
class TurnWebhook:
    """`ping`: it answered one well, and is enabled if it waited for that. `enable` asks for the same of a disabled one."""

    asked: Asked
    webhook_id: UUID
    verb: Literal["ping", "enable", "disable", "delete"]
    proved_url: str | None = None
    """The address that answered the ping; it proves nothing of another that the endpoint got meanwhile."""


async def make(work: Work, commands: Sequence[MakeWebhook]) -> list[Answer | Refusal]:
    """The new endpoint for each command, with its secret."""

    async def prepare(work: Work, _commands: Sequence[MakeWebhook]) -> None:
        await store.hold_head(work)

    outcomes = await idempotency.keyed(
        work, "webhooks.create", commands, _make, fingerprint=_of_make, seal=HouseSeal(), prepare=prepare
    )
    return [_faded(each, work) for each in outcomes]


async def change(work: Work, commands: Sequence[ChangeWebhook]) -> list[Answer | Refusal]:
    """The changed endpoint for each command."""
    return await idempotency.keyed(
        work, "webhooks.change", commands, _change, fingerprint=_of_change, seal=HouseSeal(), prepare=_lock
    )


async def rotate(work: Work, commands: Sequence[RotateSecret]) -> list[Answer | Refusal]:
    """The endpoint for each command, with its new secret."""
    outcomes = await idempotency.keyed(
        work,
        "webhooks.rotate",
        commands,
        _rotate,
        fingerprint=lambda command: msgspec.json.encode([command.webhook_id, command.overlap.total_seconds()]),
        seal=HouseSeal(),
        prepare=_lock,
    )
    return [_faded(each, work) for each in outcomes]


async def turn(work: Work, commands: Sequence[TurnWebhook]) -> list[Answer | Refusal]:
    """The endpoint for each command."""
    return await idempotency.keyed(
        work,
        "webhooks.turn",
        commands,
        _turn,
        fingerprint=lambda command: command.webhook_id.bytes + command.verb.encode(),
        seal=HouseSeal(),
        prepare=_lock,
    )


async def visible(work: Work, caller: Caller, webhook_id: UUID) -> Webhook | None:
    """The endpoint, where the caller may see it."""
    found = (await store.by_ids(work, [webhook_id])).get(webhook_id)
    return found if found is not None and found.seen_by(caller) else None


def missing() -> NotFound:
    """The refusal for an endpoint that is not there, or not for this caller."""
    return NotFound("No webhook has this id. Verify the id.")


async def shown(work: Work, webhook: Webhook, secret: str | None = None) -> bytes:
    """The document of an endpoint."""
    names = sorted(opened_headers(work, webhook))
    return jsonapi.document(resource.shown(webhook, names, await store.secrets(work, [webhook.id]), secret))


def opened_headers(work: Work, webhook: Webhook) -> dict[str, str]:
    """The partner's own headers."""
    if webhook.headers_sealed is None:
        return {}
    return msgspec.json.decode(work.keys.open_sealed(webhook.headers_sealed, webhook.id.bytes), type=dict[str, str])


async def disable(work: Work, webhook: Webhook, reason: Reason, asked: Asked | None = None) -> Webhook:
    """Switch a locked endpoint off, and tell its partner. What is under way ends; what comes is skipped."""
    off = replace(
        webhook, status="disabled", reason=reason, version=webhook.version + 1, updated_at=work.real_now, warned=0
    )
    await store.update(work, off)
    await replay_store.cancel(work, off.id)
    events.record(work, resource.event("webhook.disabled", off, asked))
    return off


async def _lock(work: Work, commands: Sequence[ChangeWebhook] | Sequence[RotateSecret] | Sequence[TurnWebhook]) -> None:
    await store.lock(work, list({command.webhook_id for command in commands}))


async def _make(work: Work, command: MakeWebhook) -> Answer | Refusal:
    caller = command.asked.caller
    if await store.count(work, caller.partner_id) >= ENDPOINTS_MAX:
        return InvalidState(f"You have {ENDPOINTS_MAX} webhooks already; delete one you no longer need.")
    webhook_id = ids.new()
    webhook = Webhook(
        id=webhook_id,
        partner_id=caller.partner_id,
        client_id=caller.client_id,
        merchant_limit=caller.merchant_ids,
        url=command.url,
        description=command.description,
        topics=command.topics,
        merchant_ids=command.merchant_ids,
        location_ids=command.location_ids,
        payload_version=command.payload_version,
        headers_sealed=_sealed(work, webhook_id, command.headers),
        rate_per_minute=command.rate_per_minute,
        fifo=command.fifo,
        status="pending",
        reason=None,
        since_position=await store.feed_end(work),
        failing_since=None,
        failed_at=None,
        succeeded_at=None,
        warned=0,
        version=0,
        created_at=work.real_now,
        updated_at=work.real_now,
    )
    await store.insert(work, webhook)
    _, secret = await secrets.add(work, webhook.id)
    audit.note(work, command.asked, status=201, resource_id=webhook.id)
    return Answer(201, await shown(work, webhook, secret), webhook.id, f"{resource.WEBHOOK.path}/{webhook.id}")


async def _change(work: Work, command: ChangeWebhook) -> Answer | Refusal:
    webhook = await visible(work, command.asked.caller, command.webhook_id)
    if webhook is None:
        return missing()
    changes = dict(command.changes)
    if "headers" in changes:
        changes["headers_sealed"] = _sealed(work, webhook.id, changes.pop("headers"))
    if changes.get("url", webhook.url) != webhook.url:
        # Another address has proved nothing yet.
        changes |= {"status": "pending", "reason": None, "failing_since": None, "failed_at": None, "warned": 0}
    changed = replace(webhook, **changes, updated_at=work.real_now)
    await store.update(work, changed)
    audit.note(work, command.asked, status=200, resource_id=webhook.id)
    return Answer(200, await shown(work, changed), webhook.id)


async def _rotate(work: Work, command: RotateSecret) -> Answer | Refusal:
    webhook = await visible(work, command.asked.caller, command.webhook_id)
    if webhook is None:
        return missing()
    if command.overlap and len(await store.secrets(work, [webhook.id])) >= SECRETS_MAX:
        return InvalidState(f"{SECRETS_MAX} secrets sign already. Wait until one ends, or rotate with an overlap of 0.")
    fresh, text = await secrets.add(work, webhook.id)
    await store.end_secrets(work, webhook.id, fresh.id, work.real_now + command.overlap)
    audit.note(work, command.asked, status=200, resource_id=webhook.id)
    return Answer(200, await shown(work, webhook, text), webhook.id)


async def _turn(work: Work, command: TurnWebhook) -> Answer | Refusal:
    webhook = await visible(work, command.asked.caller, command.webhook_id)
    if webhook is None:
        return missing()
    turned = webhook
    if command.verb == "delete":
        turned = replace(webhook, status="deleted", reason=None, updated_at=work.real_now)
        await store.update(work, turned)
        await replay_store.cancel(work, webhook.id)
    elif command.verb == "disable":
        if webhook.status != "disabled":
            turned = await disable(work, webhook, "asked", command.asked)
    elif webhook.url != command.proved_url:
        if command.verb == "enable":
            return InvalidState("The webhook got another address while it was pinged. Enable it again.")
    elif webhook.status == "pending" or (webhook.status == "disabled" and command.verb == "enable"):
        turned = replace(
            webhook,
            status="enabled",
            reason=None,
            failing_since=None,
            failed_at=None,
            warned=0,
            succeeded_at=work.real_now,
            updated_at=work.real_now,
        )
        await store.update(work, turned)
    audit.note(work, command.asked, status=204 if command.verb == "delete" else 200, resource_id=webhook.id)
    if command.verb == "delete":
        return Answer(204, None, webhook.id)
    return Answer(200, await shown(work, turned), webhook.id)


def _sealed(work: Work, webhook_id: UUID, headers: Mapping[str, str]) -> bytes | None:
    return work.keys.seal(msgspec.json.encode(headers), webhook_id.bytes) if headers else None


def _faded(outcome: Answer | Refusal, work: Work) -> Answer | Refusal:
    """The repeated answer without the secret, once a day has passed."""
    if not isinstance(outcome, Answer) or not outcome.replayed or outcome.body is None:
        return outcome
    document = msgspec.json.decode(outcome.body)
    attributes = document["data"]["attributes"]
    if work.real_now - _made(attributes) < SHOWN_AGAIN:
        return outcome
    del attributes["secret"]
    return replace(outcome, body=msgspec.json.encode(document))


def _made(attributes: Mapping[str, Any]) -> datetime:
    return clock.parse_instant(attributes["secrets"][0]["createdAt"])


def _of_make(command: MakeWebhook) -> bytes:
    return msgspec.json.encode(
        [
            command.url, command.topics, command.merchant_ids, command.location_ids, command.payload_version,
            sorted(command.headers.items()), command.description, command.rate_per_minute, command.fifo,
        ]
    )  # fmt: skip


def _of_change(command: ChangeWebhook) -> bytes:
    return msgspec.json.encode([command.webhook_id, sorted(command.changes.items(), key=lambda each: each[0])])
