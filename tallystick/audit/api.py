"""A partner's own requests over HTTP: what was asked and how it ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.audit.store as store
from tallystick.audit.model import NEWEST, cursor, place_of
from tallystick.audit.store import Logged, Place, Wanted
from tallystick.base import clock, ids, jsonapi
from tallystick.base.errors import InvalidRequest, Refusal, Refusals, parameter
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Resource, Route
from tallystick.base.work import Work

LOOKED_MAX: Final = 20_000
"""Requests of the whole tenant that one page may look through; a page that ends there is short, and has a next one."""
KEPT: Final = timedelta(days=400)
"""How far back the log is read."""
AROUND: Final = timedelta(minutes=5)
"""How far the time in a request's id may be from the time in its row."""
ROUTE_MAX: Final = 200

EXAMPLE = {
    "at": "2026-06-17T12:00:00.000Z",
    "clientId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
    "method": "POST",
    "route": "/api/v1/rewards",
    "status": 409,
    "code": "PreIssuedConflict",
    "resourceId": None,
    "replayed": False,
    "latencyMicroseconds": 2140,
}


class RequestLogAttributes(msgspec.Struct, rename="camel"):
    """One request. `latencyMicroseconds` is null for accepted writes: their row is written before they end."""

    at: str
    client_id: str
    method: str
    route: str
    status: int
    code: str | None
    resource_id: str | None
    replayed: bool
    latency_microseconds: int | None


REQUEST_LOG = Resource("RequestLog", "/api/v1/request-logs", RequestLogAttributes, EXAMPLE)


async def list_requests(call: Call) -> Reply:
    """The partner's own requests in this environment, newest first."""
    faults: list[Refusal] = []
    _, limit = jsonapi.page(call, faults)
    status = _status(call.query.get("filter[status]"), faults)
    route = call.query.get("filter[route]")
    if route is not None and (len(route) > ROUTE_MAX or not route.isprintable()):
        faults.append(InvalidRequest("Name a route as the log shows it.", source=parameter("filter[route]")))
    request_id = _request_id(call.query.get("filter[requestId]"), faults)
    before = _before(call, faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        wanted = Wanted(call.caller.partner_id, work.real_now - KEPT, status, route, request_id)
        page, more = await _page(work, wanted, before, limit)
    return Reply(200, _document(call, page, more, limit))


async def _page(work: Work, wanted: Wanted, before: Place, limit: int) -> tuple[list[Logged], Place | None]:
    """A page, and the place where the next one begins; None after the last."""
    if wanted.request_id is not None:
        wanted, before = _narrowed(wanted, wanted.request_id, before)
    found = await store.listed(work, wanted, before, limit + 1, LOOKED_MAX)
    if len(found) > limit:
        last = found[limit - 1]
        return found[:limit], Place(last.at, last.id)
    return found, await store.where_the_look_ended(work, wanted.since, before, LOOKED_MAX)


def _narrowed(wanted: Wanted, request_id: UUID, before: Place) -> tuple[Wanted, Place]:
    """A request's id tells when it was made, so that only the minutes around it are looked through."""
    try:
        made = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=request_id.int >> 80)
        since, until = made - AROUND, made + AROUND
    except OverflowError:
        return wanted, before
    return replace(wanted, since=since), min(before, Place(until, NEWEST.id), key=_order)


def _order(place: Place) -> tuple[object, UUID]:
    return place.at, place.id


def _status(text: str | None, faults: list[Refusal]) -> int | None:
    if text is None:
        return None
    if len(text) != 3 or not text.isascii() or not text.isdigit():
        faults.append(InvalidRequest("A status is three digits, such as 409.", source=parameter("filter[status]")))
        return None
    return int(text)


def _request_id(text: str | None, faults: list[Refusal]) -> UUID | None:
    if text is None:
        return None
    request_id = ids.parse(text)
    if request_id is None:
        faults.append(InvalidRequest("This is not the id of a request.", source=parameter("filter[requestId]")))
    return request_id


def _before(call: Call, faults: list[Refusal]) -> Place:
    text = call.query.get("page[after]")
    if text is None:
        return NEWEST
    place = place_of(call.house.runtime.keys, call.caller, text)
    if place is None:
        faults.append(
            InvalidRequest(
                "This is not a cursor that was given to you; follow links.next.", source=parameter("page[after]")
            )
        )
        return NEWEST
    return place


def _document(call: Call, page: list[Logged], more: Place | None, limit: int) -> bytes:
    following = None
    if more is not None:
        following = jsonapi.link(call, {"page[after]": cursor(call.house.runtime.keys, call.caller, more)})
    return jsonapi.feed([_resource(logged) for logged in page], meta={"limit": limit}, following=following)


def _resource(logged: Logged) -> bytes:
    shown = RequestLogAttributes(
        at=clock.render(logged.at),
        client_id=str(logged.client_id),
        method=logged.method,
        route=logged.route,
        status=logged.status,
        code=logged.code,
        resource_id=None if logged.resource_id is None else str(logged.resource_id),
        replayed=logged.replayed,
        latency_microseconds=logged.latency_us,
    )
    return jsonapi.resource(REQUEST_LOG, logged.id, shown)


ROUTES = (
    Route(
        "GET",
        "/api/v1/request-logs",
        list_requests,
        scope="request-logs:read",
        summary="List your own requests, newest first",
        gives=REQUEST_LOG,
        many=True,
        errors=(InvalidRequest,),
        query=(
            PAGE[1],
            Parameter("page[after]", "The cursor of `links.next`; the next page is older."),
            Parameter("filter[status]", "Only requests that were answered with this status."),
            Parameter("filter[route]", "Only requests of this route, written as the log shows it."),
            Parameter("filter[requestId]", "Only the request with this `Request-Id`."),
        ),
    ),
)
