"""Sending again over HTTP: one event, a stretch of the feed, a topic, or all that never arrived; rehearsed before, if wished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

import tallystick.webhooks.reading_store as reading
import tallystick.webhooks.replay_store as replay_store
import tallystick.webhooks.store as store
from tallystick import audit, events, partners
from tallystick.base import clock, idempotency, ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    attribute,
)
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.routes import PAGE, Call, Reply, Route, Takes
from tallystick.base.work import Asked, Work
from tallystick.customers.api import path_id, replied
from tallystick.webhooks import changing, checking, resource
from tallystick.webhooks.api import READ, TOPICS_MAX, WRITE
from tallystick.webhooks.changing import missing
from tallystick.webhooks.model import Replay, Webhook
from tallystick.webhooks.replay_store import Stretch

EVENTS_MAX: Final = 100
Instant = Annotated[str, Meta(max_length=40)]


class ReplaySent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Which events are to be sent again: recorded from an instant until before another, of all of its topics or some."""

    since: Annotated[Instant, Meta(description="Recorded at this instant or later, in real time.")] = msgspec.field(
        name="from"
    )
    until: Annotated[Instant | None, Meta(description="Recorded before this instant; now unless told.")] = (
        msgspec.field(name="to", default=None)
    )
    topics: Annotated[list[str], Meta(min_length=1, max_length=TOPICS_MAX)] | None = None
    event_ids: (
        Annotated[
            list[Annotated[str, Meta(max_length=36)]],
            Meta(min_length=1, max_length=EVENTS_MAX, description="These of them only; they are due at once."),
        ]
        | None
    ) = None
    only_missing: Annotated[bool, Meta(description="Whether what arrived once is left out.")] = True
    dry_run: Annotated[bool, Meta(description="Count, and send nothing.")] = False


class RedeliverSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """To which of your endpoints; to every one that the event is for unless told."""

    webhook_id: Annotated[str, Meta(max_length=36)] | None = None


@dataclass(frozen=True, slots=True)
class ReplayEvents:
    """A partner's wish to have events sent again."""

    asked: Asked
    webhook_id: UUID
    since: datetime
    until: datetime | None
    topics: tuple[str, ...] | None
    event_ids: tuple[UUID, ...] | None
    only_missing: bool


@dataclass(frozen=True, slots=True)
class Redeliver:
    """A partner's wish to have one event sent again."""

    asked: Asked
    event_id: UUID
    webhook_id: UUID | None


async def replay_webhook(call: Call) -> Reply:
    """Send events again, in the background; never one that is under way. A rehearsal counts them."""
    sent: ReplaySent = call.attributes
    faults: list[Refusal] = []
    since, until = _instant(sent.since, "from", faults), _instant(sent.until, "to", faults)
    topics = None if sent.topics is None else checking.topics(sent.topics, faults, star=False)
    event_ids = checking.named(sent.event_ids, "eventIds", faults)
    if since is not None and until is not None and until <= since:
        faults.append(InvalidRequest("It must be later than `from`.", source=attribute("to")))
    if faults:
        raise Refusals(faults)
    assert since is not None, "`from` is required"
    command = ReplayEvents(call.asked, path_id(call, missing()), since, until, topics, event_ids, sent.only_missing)
    if sent.dry_run:
        async with call.house.runtime.reading(call.caller.tenant) as work:
            shown = await _rehearse(work, command)
        if isinstance(shown, Refusal):
            raise shown
        return Reply(202, shown, resource_id=command.webhook_id)
    return replied(await call.house.batcher.submit(replay, call.caller.tenant, command))


async def list_replays(call: Call) -> Reply:
    """The replays of an endpoint, newest first."""
    webhook_id = path_id(call, missing())
    offset, limit = jsonapi.page(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        if await changing.visible(work, call.caller, webhook_id) is None:
            raise missing()
        page, total = await replay_store.listed(work, webhook_id, offset, limit)
    shown = [resource.replay(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def list_attempts(call: Call) -> Reply:
    """What was tried to tell your endpoints of an event, newest first."""
    event_id = path_id(call, no_event())
    offset, limit = jsonapi.page(call)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        event = await events.find(work, caller, event_id)
        if event is None:
            raise no_event()
        own = await _own(work, caller.partner_id, caller.merchant_ids)
        page, total = await reading.attempts(work, list(own), event.position, event_id, offset, limit)
    shown = [resource.attempt(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def redeliver_event(call: Call) -> Reply:
    """Send one event again, now. Where it is just under way, that is all that happens."""
    sent: RedeliverSent | None = call.attributes
    named = None if sent is None else sent.webhook_id
    webhook_id = None if named is None else ids.parse(named)
    if named is not None and webhook_id is None:
        raise InvalidRequest("There is no webhook of yours with this id.", source=attribute("webhookId"))
    command = Redeliver(call.asked, path_id(call, no_event()), webhook_id)
    return replied(await call.house.batcher.submit(redeliver, call.caller.tenant, command))


async def replay(work: Work, commands: Sequence[ReplayEvents]) -> list[Answer | Refusal]:
    """The replay for each command; a loop carries it out."""
    return await idempotency.keyed(
        work,
        "webhooks.replay",
        commands,
        _replay,
        fingerprint=lambda each: msgspec.json.encode(
            [each.webhook_id, each.since, each.until, each.topics, each.event_ids, each.only_missing]
        ),
        seal=HouseSeal(),
        prepare=_hold,
    )


async def redeliver(work: Work, commands: Sequence[Redeliver]) -> list[Answer | Refusal]:
    """For each command the replay that it is, done already."""
    return await idempotency.keyed(
        work,
        "webhook-events.redeliver",
        commands,
        _redeliver,
        fingerprint=lambda each: msgspec.json.encode([each.event_id, each.webhook_id]),
        seal=HouseSeal(),
        prepare=_hold,
    )


async def _hold(work: Work, _commands: Sequence[object]) -> None:
    """Whoever clears a deleted endpoint waits until this is done, so that no delivery is left behind by it."""
    await store.hold_head(work)


def no_event() -> NotFound:
    """The refusal for an event that is not there, or not for this caller."""
    return NotFound("No event has this id. Verify the id; events are kept for a limited time.")


async def _meant(work: Work, command: ReplayEvents) -> tuple[Replay, Stretch] | Refusal:
    webhook = await changing.visible(work, command.asked.caller, command.webhook_id)
    if webhook is None:
        return missing()
    if webhook.status != "enabled":
        return InvalidState(f"The webhook is {webhook.status}; enable it first.")
    sight = await partners.sight(work, [webhook.partner_id])
    span = await replay_store.span(work, command.since, command.until or work.real_now, command.event_ids)
    after, upto = span or (webhook.since_position, webhook.since_position)
    wish = Replay(
        id=ids.new(),
        webhook_id=webhook.id,
        partner_id=webhook.partner_id,
        topics=command.topics,
        only_missing=command.only_missing,
        from_position=after,
        to_position=upto,
        done_position=after,
        matched=0,
        status="running" if upto > after else "completed",
        created_at=work.real_now,
        updated_at=work.real_now,
    )
    sees_programme = sight.get(webhook.partner_id, False)
    return wish, Stretch(webhook.id, sees_programme, after, upto, command.topics, command.event_ids)


async def _rehearse(work: Work, command: ReplayEvents) -> bytes | Refusal:
    meant = await _meant(work, command)
    if isinstance(meant, Refusal):
        return meant
    wish, stretch = meant
    found = await replay_store.rehearse(work, stretch, only_missing=command.only_missing)
    return jsonapi.document(resource.replay(wish, matched=found, status="rehearsed"))


async def _replay(work: Work, command: ReplayEvents) -> Answer | Refusal:
    meant = await _meant(work, command)
    if isinstance(meant, Refusal):
        return meant
    wish, stretch = meant
    if command.event_ids is not None:
        # So few need no loop; the row tells what was asked, and that it is done.
        found = await replay_store.again(work, stretch, only_missing=command.only_missing)
        wish = replace(wish, matched=found, done_position=wish.to_position, status="completed")
    await replay_store.insert(work, wish)
    audit.note(work, command.asked, status=202, resource_id=wish.id)
    return Answer(202, jsonapi.document(resource.replay(wish)), wish.id)


async def _redeliver(work: Work, command: Redeliver) -> Answer | Refusal:
    caller = command.asked.caller
    event = await events.find(work, caller, command.event_id)
    if event is None:
        return no_event()
    own = await _own(work, caller.partner_id, caller.merchant_ids)
    if command.webhook_id is not None and command.webhook_id not in own:
        return InvalidRequest("There is no webhook of yours with this id.", source=attribute("webhookId"))
    wanted = [each for each in own.values() if each.status == "enabled" and command.webhook_id in (None, each.id)]
    sight = (await partners.sight(work, [caller.partner_id])).get(caller.partner_id, False)
    found = 0
    for each in wanted:
        stretch = Stretch(each.id, sight, event.position - 1, event.position)
        found += await replay_store.again(work, stretch, only_missing=False)
    if not wanted:
        return InvalidState("None of these webhooks is enabled.")
    wish = Replay(
        id=ids.new(),
        webhook_id=wanted[0].id,
        partner_id=caller.partner_id,
        topics=None,
        only_missing=False,
        from_position=event.position - 1,
        to_position=event.position,
        done_position=event.position,
        matched=found,
        status="completed",
        created_at=work.real_now,
        updated_at=work.real_now,
    )
    audit.note(work, command.asked, status=202, resource_id=event.id)
    return Answer(202, jsonapi.document(resource.replay(wish)), event.id)


async def _own(work: Work, partner_id: UUID, merchant_ids: tuple[UUID, ...] | None) -> Mapping[UUID, Webhook]:
    page, _ = await store.listed(work, partner_id, merchant_ids, None, 0, changing.ENDPOINTS_MAX)
    return {each.id: each for each in page}


def _instant(text: str | None, name: str, faults: list[Refusal]) -> datetime | None:
    if text is None:
        return None
    try:
        return clock.parse_instant(text)
    except ValueError as error:
        faults.append(InvalidRequest(str(error), source=attribute(name)))
        return None


def routes() -> tuple[Route, ...]:
    """What partners may ask to be told again."""
    one = f"{resource.WEBHOOK.path}/{{id}}"
    replays = Takes(ReplaySent, ("ReplayWebhook",), {"from": "2026-06-17T12:00:00.000Z", "dryRun": True})
    redelivers = Takes(RedeliverSent, ("RedeliverEvent",), optional=True)
    errors = (NotFound, InvalidState, IdempotencyConflict)
    # fmt: off
    return (
        Route(
            "POST", f"{one}/replay", replay_webhook, WRITE, "Send events again", replays, resource.REPLAY, status=202, keyed=True,
            errors=errors,
        ),
        Route(
            "GET", resource.REPLAY.path, list_replays, READ, "List a webhook's replays", gives=resource.REPLAY, many=True,
            query=PAGE, errors=(NotFound,),
        ),
        Route(
            "GET", resource.ATTEMPT.path, list_attempts, READ, "List the attempts to tell of an event", gives=resource.ATTEMPT,
            many=True, query=PAGE, errors=(NotFound,),
        ),
        Route(
            "POST", "/api/v1/webhook-events/{id}/redeliver", redeliver_event, WRITE, "Send an event again", redelivers,
            resource.REPLAY, status=202, keyed=True, errors=errors,
        ),
    )
    # fmt: on
