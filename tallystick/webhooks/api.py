"""Endpoints over HTTP: make one, prove it by a ping, change it, rotate its secret, switch it off, see what became of events."""

from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

import tallystick.webhooks.reading_store as reading
import tallystick.webhooks.store as store
from tallystick.base import jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    at,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.webhooks import changing, checking, pinging, resource
from tallystick.webhooks.changing import OVERLAP, ChangeWebhook, MakeWebhook, RotateSecret, TurnWebhook, missing
from tallystick.webhooks.model import PAYLOAD_VERSION
from tallystick.webhooks.sending import Sender
from tallystick.webhooks.target import URL_MAX, BadTarget

READ: Final = "webhooks:read"
WRITE: Final = "webhooks:write"
TOPICS_MAX: Final = 200
DESCRIPTION_MAX: Final = 500
STATUSES: Final = ("pending", "enabled", "disabled")
DELIVERY_STATUSES: Final = ("pending", "delivered", "failed", "skipped")

Url = Annotated[
    str, Meta(min_length=1, max_length=URL_MAX, description="Where to send events: https, a public address.")
]
Topics = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=100)]],
    Meta(min_length=1, max_length=TOPICS_MAX, description="Topics, or `*` alone for every one."),
]
Named = Annotated[list[Annotated[str, Meta(max_length=36)]], Meta(min_length=1, max_length=checking.NAMED_MAX)] | None
OwnHeaders = Annotated[
    dict[str, Any], Meta(description="Headers of your own that every request carries. They are sealed.")
]
Description = Annotated[str, Meta(max_length=DESCRIPTION_MAX)]
Rate = Annotated[int, Meta(ge=1, le=1_000_000, description="Requests a minute, at most.")] | None
Fifo = Annotated[
    bool, Meta(description="Whether events about one subject come one after the other, each when the last arrived.")
]


class WebhookSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An endpoint to make."""

    url: Url
    topics: Topics
    merchant_ids: Named = None
    location_ids: Named = None
    payload_version: str = PAYLOAD_VERSION
    headers: OwnHeaders = {}
    description: Description = ""
    rate_per_minute: Rate = None
    fifo: Fifo = False


class WebhookChanged(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is to change; what is absent stays. An endpoint with another address waits for a ping again."""

    url: Url | UnsetType = UNSET
    topics: Topics | UnsetType = UNSET
    merchant_ids: Named | UnsetType = UNSET
    location_ids: Named | UnsetType = UNSET
    headers: OwnHeaders | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    rate_per_minute: Rate | UnsetType = UNSET
    fifo: Fifo | UnsetType = UNSET


class RotateSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """For how many hours the secrets that there are go on: 0 to 168, 24 unless told."""

    overlap_hours: Annotated[int, Meta(ge=0, le=168)] = int(OVERLAP.total_seconds() // 3600)


EXAMPLE: Final = {
    "url": "https://partner.example/hooks/tallystick",
    "topics": ["reward.credited", "reward.expired"],
    "description": "Support platform, rewards",
}
NO_FILTER: Final = "One of {} is wanted."


async def make_webhook(sender: Sender, call: Call) -> Reply:
    """An endpoint, with its secret, which is shown this once. It is pending until a ping was answered well."""
    sent: WebhookSent = call.attributes
    faults: list[Refusal] = []
    topics = checking.topics(sent.topics, faults)
    merchant_ids = checking.named(sent.merchant_ids, "merchantIds", faults)
    location_ids = checking.named(sent.location_ids, "locationIds", faults)
    version = checking.payload_version(sent.payload_version, faults)
    headers = checking.headers(sent.headers, faults)
    await _check_target(sender, sent.url, faults)
    if faults:
        raise Refusals(faults)
    command = MakeWebhook(
        call.asked, sent.url, topics, merchant_ids, location_ids, version, headers, sent.description,
        sent.rate_per_minute, sent.fifo,
    )  # fmt: skip
    return replied(await call.house.batcher.submit(changing.make, call.caller.tenant, command))


async def change_webhook(sender: Sender, call: Call) -> Reply:
    """Change where an endpoint is, or what it is told of."""
    sent: WebhookChanged = call.attributes
    faults: list[Refusal] = []
    changes: dict[str, Any] = {
        name: getattr(sent, name) for name in sent.__struct_fields__ if getattr(sent, name) is not UNSET
    }
    if not changes:
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    if not isinstance(sent.topics, UnsetType):
        changes["topics"] = checking.topics(sent.topics, faults)
    for name, shown in (("merchant_ids", "merchantIds"), ("location_ids", "locationIds")):
        if name in changes:
            changes[name] = checking.named(changes[name], shown, faults)
    if not isinstance(sent.headers, UnsetType):
        changes["headers"] = checking.headers(sent.headers, faults)
    if not isinstance(sent.url, UnsetType):
        await _check_target(sender, sent.url, faults)
    if faults:
        raise Refusals(faults)
    command = ChangeWebhook(call.asked, path_id(call, missing()), changes)
    return replied(await call.house.batcher.submit(changing.change, call.caller.tenant, command))


async def get_webhook(call: Call) -> Reply:
    """One endpoint."""
    webhook_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await changing.visible(work, call.caller, webhook_id)
        if found is None:
            raise missing()
        shown = await changing.shown(work, found)
    return Reply(200, shown, resource_id=webhook_id)


async def list_webhooks(call: Call) -> Reply:
    """Your endpoints, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = _one_of(call, STATUSES, faults)
    if faults:
        raise Refusals(faults)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, caller.partner_id, caller.merchant_ids, status, offset, limit)
        secrets = await store.secrets(work, [each.id for each in page])
        shown = [
            resource.shown(
                each,
                sorted(changing.opened_headers(work, each)),
                [secret for secret in secrets if secret.webhook_id == each.id],
            )
            for each in page
        ]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def delete_webhook(call: Call) -> Reply:
    """End an endpoint for good: nothing is sent there any more, and what became of its events is forgotten."""
    return await _turn(call, "delete")


async def disable_webhook(call: Call) -> Reply:
    """Send nothing there for a while. What happens meanwhile can be replayed."""
    return await _turn(call, "disable")


async def ping_webhook(sender: Sender, call: Call) -> Reply:
    """Send a signed `webhook.ping`, and tell what became of it. One that was answered well enables a pending endpoint."""
    pinged = await pinging.ping(call, sender, path_id(call, missing()))
    made = pinged.attempt
    if made.fault is None:
        await _turn(call, "ping", pinged.url)
    return Reply(200, jsonapi.document(resource.attempt(made)), resource_id=made.webhook_id)


async def enable_webhook(sender: Sender, call: Call) -> Reply:
    """Send there again, if a ping is answered well."""
    pinged = await pinging.ping(call, sender, path_id(call, missing()))
    if pinged.attempt.fault is not None:
        raise pinging.failed(pinged.attempt)
    return await _turn(call, "enable", pinged.url)


async def rotate_webhook_secret(call: Call) -> Reply:
    """A new secret, shown this once; those that there are sign, too, for a while."""
    sent: RotateSent | None = call.attributes
    overlap = OVERLAP if sent is None else timedelta(hours=sent.overlap_hours)
    command = RotateSecret(call.asked, path_id(call, missing()), overlap)
    return replied(await call.house.batcher.submit(changing.rotate, call.caller.tenant, command))


async def list_deliveries(call: Call) -> Reply:
    """What became of the events for an endpoint, the newest first."""
    webhook_id = path_id(call, missing())
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    status = _one_of(call, DELIVERY_STATUSES, faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        if await changing.visible(work, call.caller, webhook_id) is None:
            raise missing()
        page, total = await reading.deliveries(work, webhook_id, status, offset, limit)
    shown = [resource.delivery(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def _check_target(sender: Sender, url: str, faults: list[Refusal]) -> None:
    """Told when the endpoint is made, and not by deliveries that fail. A name that is not known yet may come to be."""
    try:
        fault = await sender.look(url)
    except BadTarget as bad:
        faults.append(InvalidRequest(str(bad), source=attribute("url")))
        return
    if fault == "blocked_address":
        detail = "This name leads to an address that is private, reserved or our own; deliveries go to public addresses only."
        faults.append(InvalidRequest(detail, source=attribute("url")))


async def _turn(
    call: Call, verb: Literal["ping", "enable", "disable", "delete"], proved_url: str | None = None
) -> Reply:
    command = TurnWebhook(call.asked, path_id(call, missing()), verb, proved_url)
    return replied(await call.house.batcher.submit(changing.turn, call.caller.tenant, command))


def _one_of(call: Call, known: tuple[str, ...], faults: list[Refusal]) -> str | None:
    given = call.query.get("filter[status]")
    if given is not None and given not in known:
        faults.append(InvalidRequest(NO_FILTER.format(", ".join(known)), source=parameter("filter[status]")))
    return given


def _filter(known: tuple[str, ...], description: str) -> Parameter:
    return Parameter("filter[status]", description, schema={"type": "string", "enum": list(known)})


def routes(sender: Sender) -> tuple[Route, ...]:
    """What partners may ask of endpoints."""
    kind, one = resource.WEBHOOK, f"{resource.WEBHOOK.path}/{{id}}"
    makes = Takes(WebhookSent, ("Webhook",), EXAMPLE)
    changes = Takes(WebhookChanged, ("Webhook",), {"topics": ["*"]})
    rotates = Takes(RotateSent, ("RotateWebhookSecret",), {"overlapHours": 24}, optional=True)
    found = (NotFound, IdempotencyConflict)

    def verb(name: str) -> Takes:
        return Takes(NoAttributes, (name,), optional=True)

    # fmt: off
    return (
        Route(
            "POST", kind.path, partial(make_webhook, sender), WRITE, "Make a webhook", makes, kind, status=201, keyed=True,
            errors=(InvalidState, IdempotencyConflict),
        ),
        Route(
            "GET", kind.path, list_webhooks, READ, "List webhooks", gives=kind, many=True,
            query=(_filter(STATUSES, "Only webhooks of this status."), *PAGE),
        ),
        Route("GET", one, get_webhook, READ, "Get a webhook", gives=kind, errors=(NotFound,)),
        Route("PATCH", one, partial(change_webhook, sender), WRITE, "Change a webhook", changes, kind, keyed=True, errors=found),
        Route("DELETE", one, delete_webhook, WRITE, "Delete a webhook", status=204, keyed=True, errors=found),
        Route(
            "POST", f"{one}/ping", partial(ping_webhook, sender), WRITE, "Ping a webhook", verb("PingWebhook"), resource.ATTEMPT,
            errors=(NotFound,),
        ),
        Route(
            "POST", f"{one}/enable", partial(enable_webhook, sender), WRITE, "Enable a webhook", verb("EnableWebhook"), kind,
            errors=(NotFound, InvalidState, pinging.PingFailed),
        ),
        Route(
            "POST", f"{one}/disable", disable_webhook, WRITE, "Disable a webhook", verb("DisableWebhook"), kind, keyed=True,
            errors=found,
        ),
        Route(
            "POST", f"{one}/rotate-secret", rotate_webhook_secret, WRITE, "Rotate a webhook's secret", rotates, kind, keyed=True,
            errors=(*found, InvalidState),
        ),
        Route(
            "GET", f"{one}/deliveries", list_deliveries, READ, "List what became of a webhook's events", gives=resource.DELIVERY,
            many=True, query=(_filter(DELIVERY_STATUSES, "Only deliveries of this status."), *PAGE), errors=(NotFound,),
        ),
    )
    # fmt: on
