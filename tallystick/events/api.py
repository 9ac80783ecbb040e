"""The feed of everything that happened: by cursor, one at a time, and as it happens. Gapless and in commit order."""

from functools import partial
from typing import Final

import tallystick.events.store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import InvalidRequest, NotFound, RateLimited, Refusal, Refusals, header, parameter
from tallystick.base.routes import Call, Reply, Route
from tallystick.events import asking, digest_api
from tallystick.events.resource import WEBHOOK_EVENT, feed, resource
from tallystick.events.store import Wanted
from tallystick.events.streaming import Streams

SCOPE: Final = "webhook-events:read"
EVENT_STREAM: Final = "text/event-stream"


async def list_events(call: Call) -> Reply:
    """Events behind the cursor, oldest first. The last position of a page is the cursor of the next one."""
    faults: list[Refusal] = []
    wanted, limit = asking.wanted(call, faults), asking.limit(call, faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page = await store.feed(work, call.caller, wanted, limit)
    return Reply(200, feed(call, page, wanted.after, limit))


async def get_event(call: Call) -> Reply:
    """One event by its id, which is the `webhook-id` of what was sent."""
    event_id = ids.parse(call.path["id"])
    found = None
    if event_id is not None:
        async with call.house.runtime.reading(call.caller.tenant) as work:
            found = await store.one(work, call.caller, event_id)
    if found is None:
        raise NotFound("No event has this id. Verify the id.")
    return Reply(200, jsonapi.document(resource(found)), resource_id=found.id)


async def stream_events(streams: Streams | None, call: Call) -> Reply:
    """Events as they happen, as server-sent events: `id` is the position, `event` the topic, `data` what a webhook's body is.

    It goes on where the header Last-Event-ID, or `after`, says, and else begins with what happens next. A comment comes every 15
    seconds where nothing else does. It ends where the credential does and where the process ends; come back with the last id.
    """
    assert streams is not None, "the process that answers has streams"
    faults: list[Refusal] = []
    topics, subject = asking.topics(call, faults), asking.subject(call, faults)
    asked = asking.stream_position(call, faults)
    if faults:
        raise Refusals(faults)
    streams.admit(call.caller)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        head = await store.head(work)
    if asked is not None and asked > head:
        named = header("Last-Event-ID") if call.headers.get("last-event-id") else parameter("after")
        raise InvalidRequest("The feed does not reach that far. Begin without it.", source=named)
    wanted = Wanted(topics, subject, after=head if asked is None else asked)
    return Reply(200, None, stream=streams.follow(call.caller, wanted, head), live=True)


def routes(streams: Streams | None) -> tuple[Route, ...]:
    """What this room offers over HTTP."""
    return (
        Route(
            "GET",
            "/api/v1/webhook-events",
            list_events,
            SCOPE,
            "Read what happened, in commit order",
            gives=WEBHOOK_EVENT,
            many=True,
            query=(asking.AFTER, asking.LIMIT, asking.TOPIC, asking.SUBJECT, asking.SINCE, asking.UNTIL),
        ),
        Route(
            "GET",
            "/api/v1/webhook-events/stream",
            partial(stream_events, streams),
            SCOPE,
            "Follow what happens, as server-sent events",
            download=EVENT_STREAM,
            query=(asking.STREAM_AFTER, asking.TOPIC, asking.SUBJECT),
            headers=(asking.LAST_EVENT,),
            errors=(RateLimited,),
        ),
        Route(
            "GET",
            "/api/v1/webhook-events/{id}",
            get_event,
            SCOPE,
            "Get one event",
            gives=WEBHOOK_EVENT,
            errors=(NotFound,),
        ),
        *digest_api.ROUTES,
    )
