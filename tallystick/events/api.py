"""The feed of everything that happened, by cursor: gapless and in commit order."""

import msgspec

import tallystick.events.store as store
from tallystick.base import clock, jsonapi
from tallystick.base.errors import InvalidRequest, Refusal, Refusals, parameter
from tallystick.base.routes import Call, Parameter, Reply, Resource, Route
from tallystick.events.model import TOPICS

PAGE_MAX = 50
PAGE_DEFAULT = 10
POSITION_MAX = 2**63 - 1
WHOLE = {"type": "integer", "minimum": 0}

EXAMPLE = {
    "position": 1042,
    "topic": "reward.credited",
    "sequence": 1,
    "subjectType": "Reward",
    "subjectId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "timestamp": "2026-06-17T12:00:00.000Z",
    "document": {"id": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10", "type": "Reward", "attributes": {"status": "Credited"}},
}


class WebhookEventAttributes(msgspec.Struct, rename="camel", gc=False):
    """One thing that happened. `position` is gapless for the programme and environment, `sequence` for the subject."""

    position: int
    topic: str
    sequence: int
    subject_type: str
    subject_id: str
    timestamp: str
    document: msgspec.Raw


WEBHOOK_EVENT = Resource("WebhookEvent", "/api/v1/webhook-events", WebhookEventAttributes, EXAMPLE)


async def list_events(call: Call) -> Reply:
    """Events behind the cursor, oldest first. The last position of a page is the cursor of the next one."""
    faults: list[Refusal] = []
    after = _whole(call.query.get("page[after]"), "page[after]", 0, 0, POSITION_MAX, faults)
    limit = _whole(call.query.get("page[limit]"), "page[limit]", PAGE_DEFAULT, 1, POSITION_MAX, faults)
    topic = call.query.get("filter[topic]")
    if topic is not None and topic not in {known.name for known in TOPICS}:
        faults.append(InvalidRequest("There is no such topic.", source=parameter("filter[topic]")))
    if faults:
        raise Refusals(faults)
    limit = min(limit, PAGE_MAX)
    caller = call.caller
    async with call.house.runtime.reading(caller.tenant) as work:
        page = await store.feed(work, after, caller, None if topic is None else [topic], limit)
    shown = [
        jsonapi.resource(
            WEBHOOK_EVENT,
            event.id,
            WebhookEventAttributes(
                position=event.position,
                topic=event.topic,
                sequence=event.sequence,
                subject_type=event.subject_type,
                subject_id=str(event.subject_id),
                timestamp=clock.render(event.at),
                document=msgspec.Raw(event.document.encode()),
            ),
        )
        for event in page
    ]
    cursor = page[-1].position if page else after
    following = jsonapi.link(call, {"page[after]": str(cursor), "page[limit]": str(limit)})
    meta = {"after": str(cursor), "limit": limit}
    # A full page says that there may be more; behind the last event the same cursor is asked again later.
    return Reply(200, jsonapi.feed(shown, meta=meta, following=following if len(page) == limit else None))


def _whole(sent: str | None, name: str, default: int, least: int, most: int, faults: list[Refusal]) -> int:
    if sent is None:
        return default
    if sent.isascii() and sent.isdigit() and len(sent) <= 19 and least <= int(sent) <= most:
        return int(sent)
    faults.append(InvalidRequest(f"A whole number of at least {least} is wanted.", source=parameter(name)))
    return default


ROUTES = (
    Route(
        "GET",
        "/api/v1/webhook-events",
        list_events,
        "webhook-events:read",
        "Read what happened, in commit order",
        gives=WEBHOOK_EVENT,
        many=True,
        query=(
            Parameter("page[after]", "The position behind which to read; the cursor of the page before.", schema=WHOLE),
            Parameter("page[limit]", "How many to answer, 1 to 50; 10 unless told.", schema={**WHOLE, "minimum": 1}),
            Parameter("filter[topic]", "Only events of this topic."),
        ),
    ),
)
