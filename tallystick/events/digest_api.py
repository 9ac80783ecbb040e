"""Proof that nothing is missing: a digest for each day and topic, and what is missing in one call."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

import tallystick.events.digest_store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import InvalidRequest, Refusal, Refusals, at, attribute, parameter
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Resource, Route, Takes
from tallystick.events import asking, digest
from tallystick.events.model import TOPIC_NAMES
from tallystick.events.resource import WEBHOOK_EVENT, feed
from tallystick.events.store import POSITION_MAX

SCOPE: Final = "webhook-events:read"
HAVE_MAX: Final = 10_000
DAY: Final = {"type": "string", "format": "date"}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class EventDigestAttributes(msgspec.Struct, rename="camel"):
    """The events of one topic that were recorded on one day in UTC and that you may see.

    `hash` is SHA-256, in lower-case hexadecimal digits, over their ids as text, sorted and joined by line breaks. `final`: nothing
    can be recorded in this day any more.
    """

    date: str
    topic: str
    count: int
    hash: str
    first_position: int
    last_position: int
    final: bool


class MissingEvents(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Which events of a day and topic are there already."""

    date: Annotated[
        str, Meta(description="A day in UTC.", extra_json_schema={"format": "date"}, examples=["2026-06-17"])
    ]
    topic: str
    have: Annotated[list[str], Meta(max_length=HAVE_MAX, description="The ids of events that you have.")]


EVENT_DIGEST: Final = Resource(
    "EventDigest",
    "/api/v1/webhook-events/digest",
    EventDigestAttributes,
    {
        "date": "2026-06-17",
        "topic": "reward.credited",
        "count": 2,
        "hash": "b2c2e56c3e02b7af8af0dbd3e1d5ac2f2ac8bd5be71a36a3e5b4bf3ef6b2a2cf",
        "firstPosition": 1042,
        "lastPosition": 1077,
        "final": True,
    },
    is_named=True,
)


async def digest_events(call: Call) -> Reply:
    """Each topic of a day, or of up to 31 days, with the number of its events and a hash over their ids."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    days, topics = _days(call, faults), asking.topics(call, faults)
    if faults:
        raise Refusals(faults)
    runtime = call.house.runtime
    shown: list[bytes] = []
    for day in days:
        final = digest.is_final(day, runtime.clock())
        shown += [_line(day, line, final=final) for line in await digest.of_day(runtime, call.caller, day, topics)]
    page = shown[offset : offset + limit]
    return Reply(200, jsonapi.listing(page, total=len(shown), offset=offset, limit=limit, call=call))


async def find_missing_events(call: Call) -> Reply:
    """The events of a day and topic that are not among those you have, oldest first, by the same cursor as the feed."""
    sent: MissingEvents = call.attributes
    faults: list[Refusal] = []
    day = _day(sent.date, lambda detail: InvalidRequest(detail, source=attribute("date")), faults)
    if sent.topic not in TOPIC_NAMES:
        faults.append(InvalidRequest("There is no such topic.", source=attribute("topic")))
    have = _ids(sent.have, faults)
    after = asking.whole(call.query.get("page[after]"), "page[after]", 0, 0, POSITION_MAX, faults)
    limit = asking.limit(call, faults)
    if faults or day is None:
        raise Refusals(faults)
    since, until = digest.bounds(day)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page = await store.missing(work, call.caller, since, until, sent.topic, have, after, limit)
    return Reply(200, feed(call, page, after, limit))


def _line(day: date, line: digest.Line, *, final: bool) -> bytes:
    shown = EventDigestAttributes(
        day.isoformat(), line.topic, line.count, line.hash, line.first_position, line.last_position, final
    )
    return jsonapi.resource(EVENT_DIGEST, f"{day}:{line.topic}", shown)


def _days(call: Call, faults: list[Refusal]) -> list[date]:
    """One day, or all from one to another, both included; today where none is named."""
    named = {name: call.query[f"filter[{name}]"] for name in ("date", "from", "to") if f"filter[{name}]" in call.query}
    if not named:
        return [call.house.runtime.clock().date()]
    if set(named) not in ({"date"}, {"from", "to"}):
        told = "Give filter[date], or filter[from] and filter[to]."
        faults.append(InvalidRequest(told, source=parameter("filter[date]")))
        return []
    read = {name: _day(text, _at_parameter(name), faults) for name, text in named.items()}
    first, last = read.get("date", read.get("from")), read.get("date", read.get("to"))
    if first is None or last is None:
        return []
    if not timedelta(0) <= last - first < timedelta(days=digest.DAYS_MAX):
        told = f"It is the same day or a later one, and they are at most {digest.DAYS_MAX} days."
        faults.append(InvalidRequest(told, source=parameter("filter[to]")))
        return []
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _at_parameter(name: str) -> Callable[[str], Refusal]:
    return lambda detail: InvalidRequest(detail, source=parameter(f"filter[{name}]"))


def _day(text: str, refusal: Callable[[str], Refusal], faults: list[Refusal]) -> date | None:
    if _DAY.fullmatch(text):
        try:
            if (day := date.fromisoformat(text)).year in range(1970, 9999):
                return day
        except ValueError:
            pass
    faults.append(refusal("A day is written as 2026-06-17."))
    return None


def _ids(texts: list[str], faults: list[Refusal]) -> list[UUID]:
    found: list[UUID] = []
    for number, text in enumerate(texts):
        one = ids.parse(text)
        if one is None:
            faults.append(InvalidRequest("This is not an id.", source=at(f"/data/attributes/have/{number}")))
        else:
            found.append(one)
    return found


ROUTES: Final = (
    Route(
        "GET",
        "/api/v1/webhook-events/digest",
        digest_events,
        SCOPE,
        "Prove that no event is missing",
        gives=EVENT_DIGEST,
        many=True,
        query=(
            Parameter("filter[date]", "A day in UTC; today unless told.", schema=DAY),
            Parameter("filter[from]", "The first of several days, instead.", schema=DAY),
            Parameter("filter[to]", "The last of several days, at most 31.", schema=DAY),
            asking.TOPIC,
            *PAGE,
        ),
    ),
    Route(
        "POST",
        "/api/v1/webhook-events/missing",
        find_missing_events,
        SCOPE,
        "Find the events that are missing",
        takes=Takes(
            MissingEvents,
            ("MissingEvents",),
            {"date": "2026-06-17", "topic": "reward.credited", "have": ["0199d3c0-5f20-7a11-8c2d-5b6f7e8d9c01"]},
        ),
        gives=WEBHOOK_EVENT,
        many=True,
        query=(asking.AFTER, asking.LIMIT),
        large=True,
    ),
)
