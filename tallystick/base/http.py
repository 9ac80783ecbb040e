"""The one road in: every request is matched, authenticated, bounded, read, handled, answered and logged here, in this order."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import UUID

from tallystick.base import body, clock, ids, live, logs, mediatypes, page_table, query
from tallystick.base.batcher import BUSY, RETRIED
from tallystick.base.db import LOST
from tallystick.base.documents import Reader
from tallystick.base.errors import (
    HeadersTooLarge,
    InsufficientScope,
    InvalidRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    Refusal,
    Refusals,
    Unavailable,
    UnexpectedError,
    UnsupportedMediaType,
    header,
)
from tallystick.base.faults import render
from tallystick.base.matching import Matched, Table
from tallystick.base.metrics import Metrics
from tallystick.base.ports import Authenticator, Limiter, LogEntry, RequestLog
from tallystick.base.routes import Call, House, Reply, Route
from tallystick.base.work import NOBODY, Asked, Caller

HEADER_BYTES_MAX: Final = 32_768
API: Final = "/api/"
ADMIN: Final = "/admin/"
CLOSE: Final = ("connection", "close")

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = page_table.Headers
Page: TypeAlias = page_table.Page


_PLAIN: Final = (
    (b"content-type", mediatypes.JSON_API.encode()),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"x-content-type-options", b"nosniff"),
)
_EMPTY: Final = _PLAIN[1:]
_UNMATCHED: Final = "unmatched"


@dataclass(slots=True)
class _Journey:
    """What is known of one request so far."""

    request_id: UUID
    method: str
    path: str
    began: int
    body_seconds: float | None
    """How long the body may take to arrive; None where it is there, which costs no clock."""
    route: str = _UNMATCHED
    caller: Caller | None = None
    is_read: bool = False
    """Whether the body is read: what is left of it must be waited for, or the connection closed."""
    rate_headers: Sequence[tuple[str, str]] = ()
    download: bytes = b""
    welcome: Callable[[], Awaitable[bool]] | None = None
    """Whether the credential opens the door still, and may do what it might."""


class Road:
    """The ASGI application."""

    def __init__(
        self,
        house: House,
        routes: Iterable[Route],
        *,
        authenticator: Authenticator,
        limiter: Limiter,
        request_log: RequestLog,
        pages: Mapping[tuple[str, str], Page | page_table.NamedPage],
        metrics: Metrics,
        operators: Authenticator | None = None,
    ) -> None:
        self._house, self._authenticator, self._limiter = house, authenticator, limiter
        self._operators = operators
        self._log, self._metrics = request_log, metrics
        self._pages = page_table.PageTable(pages)
        routes = tuple(routes)
        self._table = Table(routes)
        self._readers = {id(route): Reader(route) for route in routes if route.takes is not None}
        self._parameters = {id(route): frozenset(known.name for known in route.query) for route in routes}
        settings = house.settings
        self._limits = (settings.body_bytes, settings.batch_body_bytes)
        self._body_seconds = settings.body_seconds

    async def __call__(self, scope: Scope, receive: body.Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        seconds = None if _is_whole(scope) else self._body_seconds
        journey = _Journey(ids.new(), scope["method"], scope["path"], time.perf_counter_ns(), seconds)
        place = self._pages.at(journey.path)
        if place is not None:
            await self._answer_page(place, journey, scope, receive, send)
            return
        code: str | None = None
        try:
            headers = _headers(scope["headers"])
            reply = await self._answer(journey, scope, headers, receive)
        except (Refusal, Refusals) as refused:
            reply, code = self._refuse(journey, [refused] if isinstance(refused, Refusal) else refused.faults)
        except body.ClientGone:
            self._end(journey, 499, "ClientGone", None)
            return
        except (*LOST, *BUSY, *RETRIED):
            reply, code = self._refuse(journey, [_away()])
        except Exception:
            logs.for_request(journey.request_id).exception(
                "A request failed.", route=journey.route, method=journey.method
            )
            reply, code = self._refuse(journey, [UnexpectedError("The fault is ours and has been recorded.")])
        if code is not None and not journey.is_read:
            self._close_after(reply, scope["headers"])
        self._end(journey, reply.status, code, reply)
        if reply.live:
            await live.send(reply, _start(journey, reply), journey.welcome, scope, receive, send)
        else:
            await _send(journey, reply, send)

    async def _answer(self, journey: _Journey, scope: Scope, headers: Headers, receive: body.Receive) -> Reply:
        matched = self._table.match(journey.method, journey.path)
        route = matched.route
        # Partners' clients come to the API, operators to /admin, and neither to what the other one's credential opens.
        door = self._operators if journey.path.startswith(ADMIN) else self._authenticator
        if door is None or (route is None and not journey.path.startswith((API, ADMIN))):
            raise _unmatched(matched)
        if route is not None:
            journey.route = route.path
            journey.download = (route.download or "").encode()
        caller = await _authenticate(door, headers)
        journey.caller = caller
        journey.welcome = partial(_is_welcome, door, headers, caller)
        # Whoever is known spends: also what is not there, or not allowed, is not to be probed without limit.
        taken = self._limiter.take(caller)
        journey.rate_headers = taken.headers
        if taken.refused is not None:
            raise taken.refused
        if route is None:
            raise _unmatched(matched)
        if route.scope is not None and route.scope not in caller.scopes:
            raise InsufficientScope(
                f"This needs the scope {route.scope}.",
                headers=[("www-authenticate", f'Bearer error="insufficient_scope", scope="{route.scope}"')],
            )
        _negotiate(headers, route.download)
        asked_for = query.read(scope["query_string"], self._parameters[id(route)])
        key = _key(headers) if route.keyed else None
        attributes, body_id = await self._read(journey, route, matched, headers, receive)
        asked = Asked(caller, journey.request_id, journey.method, route.path, key)
        named = {wanted.name.lower(): headers.get(wanted.name.lower().encode()) for wanted in route.headers}
        read = {name: value.decode("latin-1") for name, value in named.items() if value is not None}
        return await route.handler(Call(self._house, route, asked, matched.path, asked_for, attributes, body_id, read))

    async def _read(
        self, journey: _Journey, route: Route, matched: Matched, headers: Headers, receive: body.Receive
    ) -> tuple[Any, str | None]:
        # A body nobody asked for is read within the same bounds, and forgotten.
        sent = b""
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            sent = await body.read(receive, headers, self._limits[route.large], journey.body_seconds)
        journey.is_read = True
        if route.takes is None:
            return (None if route.raw is None else sent), None
        content_type = _text(headers.get(b"content-type"))
        if (sent or not route.takes.optional) and (content_type is None or not mediatypes.may_be_sent(content_type)):
            raise UnsupportedMediaType(
                f"Send {mediatypes.JSON_API}, without parameters but profile.", source=header("Content-Type")
            )
        return self._readers[id(route)].read(sent, matched.path.get("id"))

    def _close_after(self, reply: Reply, raw: Iterable[tuple[bytes, bytes]]) -> None:
        """Announce the end of the connection where a body that nobody will read may be long, or never come."""
        for name, value in raw:
            is_long = name == b"content-length" and (len(value) > body.LENGTH_DIGITS or int(value) > self._limits[0])
            if is_long or name in (b"transfer-encoding", b"expect"):
                if CLOSE not in reply.headers:
                    reply.headers.append(CLOSE)
                return

    def _refuse(self, journey: _Journey, faults: Sequence[Refusal]) -> tuple[Reply, str]:
        first = faults[0]
        together = [fault for fault in faults if fault.status == first.status][: body.FAULTS_MAX]
        caller = journey.caller
        environment = None if caller is None or caller.tenant.id == NOBODY else caller.tenant.environment
        rendered = render(together, environment, journey.path, journey.request_id, clock.utc())
        return Reply(first.status, rendered, list(first.headers)), first.code

    def _end(self, journey: _Journey, status: int, code: str | None, reply: Reply | None) -> None:
        nanoseconds = time.perf_counter_ns() - journey.began
        self._metrics.count(journey.method, journey.route, status, nanoseconds)
        if reply is not None and reply.logged:
            return
        self._log.add(
            LogEntry(
                self._house.runtime.clock(),
                journey.request_id,
                journey.caller,
                journey.method,
                journey.route,
                status,
                code,
                None if reply is None else reply.resource_id,
                reply is not None and reply.replayed,
                nanoseconds // 1000,
            )
        )

    async def _answer_page(
        self, place: page_table.Place, journey: _Journey, scope: Scope, receive: body.Receive, send: Send
    ) -> None:
        journey.route = place.route
        try:
            page = _page(place, journey.method)
            headers = _headers(scope["headers"])
            sent = await body.read(receive, headers, place.body_bytes or self._limits[0], journey.body_seconds)
            status, answered, content = await page(headers, scope["query_string"], sent)
            self._metrics.count(journey.method, journey.route, status, time.perf_counter_ns() - journey.began)
        except body.ClientGone:
            self._end(journey, 499, "ClientGone", None)
            return
        except Exception as error:
            # A page logs what it answers itself, where that is for the log; what it never saw is logged here.
            if isinstance(error, (*LOST, *BUSY, *RETRIED)):
                error = _away()
            elif not isinstance(error, Refusal | Refusals):
                logs.for_request(journey.request_id).exception(
                    "A page failed.", route=journey.route, method=journey.method
                )
                error = UnexpectedError("The fault is ours and has been recorded.")
            reply, code = self._refuse(journey, error.faults if isinstance(error, Refusals) else [error])
            self._close_after(reply, scope["headers"])
            self._end(journey, reply.status, code, reply)
            await _send(journey, reply, send)
            return
        named = {name.lower() for name, _ in answered}
        more = [
            ("request-id", str(journey.request_id)),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("content-length", str(len(content))),
        ]
        extra = [each for each in more if each[0] not in named]
        raw = [(name.lower().encode(), value.encode()) for name, value in (*answered, *extra)]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if journey.method == "HEAD" else content})


def _page(place: page_table.Place, method: str) -> Page:
    page = place.pages.get("GET" if method == "HEAD" else method)
    if page is None:
        allowed = ", ".join(sorted({*place.pages, "HEAD"} if "GET" in place.pages else place.pages))
        raise MethodNotAllowed(f"This page takes {allowed}.", headers=[("allow", allowed)])
    return page


async def _authenticate(door: Authenticator, headers: Headers) -> Caller:
    client_id, authorization = _text(headers.get(b"client-id")), _text(headers.get(b"authorization"))
    caller = door.cached(client_id, authorization)
    return caller if caller is not None else await door.look_up(client_id, authorization)


async def _is_welcome(door: Authenticator, headers: Headers, caller: Caller) -> bool:
    """Whether these headers still open the door for the very same caller. Raises where nobody can tell just now."""
    try:
        return await _authenticate(door, headers) == caller
    except Unavailable:
        raise
    except Refusal:
        return False


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name. Those that decide who asks for what may be sent once only."""
    headers: dict[bytes, bytes] = {}
    size = 0
    for name, value in raw:
        size += len(name) + len(value)
        if name in headers:
            if name in (b"authorization", b"client-id", b"content-type", b"idempotency-key", b"content-length"):
                raise InvalidRequest("This header is sent twice.", source=header(name.decode("latin-1").title()))
            headers[name] += b", " + value
        else:
            headers[name] = value
    if size > HEADER_BYTES_MAX:
        raise HeadersTooLarge(f"Headers of at most {HEADER_BYTES_MAX} bytes are taken.")
    return headers


def _is_whole(scope: Scope) -> bool:
    """Whether the server knows that the whole body has arrived."""
    asked = scope.get("extensions", {}).get("tallystick", {}).get("is_whole")
    return asked is not None and asked(scope)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _negotiate(headers: Headers, download: str | None) -> None:
    accept = headers.get(b"accept")
    if accept is not None and download is not None:
        if not mediatypes.takes(accept.decode("latin-1"), download):
            raise NotAcceptable(f"This download is {download}.", source=header("Accept"))
    elif accept is not None and not mediatypes.is_acceptable(accept.decode("latin-1")):
        raise NotAcceptable(f"Answers are {mediatypes.JSON_API}, without parameters.", source=header("Accept"))


def _key(headers: Headers) -> str | None:
    """The idempotency key, raw or as a quoted string (a structured field)."""
    raw = headers.get(b"idempotency-key")
    if raw is None:
        return None
    key = raw.decode("latin-1").strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not 1 <= len(key) <= 255 or not all("\x21" <= character <= "\x7e" for character in key):
        raise InvalidRequest(
            "An idempotency key is 1 to 255 visible ASCII characters.", source=header("Idempotency-Key")
        )
    return key


def _unmatched(matched: Matched) -> Refusal:
    if matched.allowed:
        allowed = ", ".join(matched.allowed)
        return MethodNotAllowed(f"This resource takes {allowed}.", headers=[("allow", allowed)])
    return NotFound("Nothing is served at this path.")


def _away() -> Unavailable:
    return Unavailable("The database is away for a moment; try again shortly.", headers=[("retry-after", "1")])


def _start(journey: _Journey, reply: Reply) -> dict[str, Any]:
    """The head of an answer that is streamed."""
    headers = [*_head(journey, reply), (b"content-type", journey.download)]
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


def _head(journey: _Journey, reply: Reply) -> list[tuple[bytes, bytes]]:
    content = reply.body
    headers = list(_EMPTY if content is None else _PLAIN)
    headers.append((b"request-id", str(journey.request_id).encode()))
    for name, value in journey.rate_headers:
        headers.append((name.encode(), value.encode()))
    for name, value in reply.headers:
        headers.append((name.lower().encode(), value.encode()))
    if reply.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    return headers


async def _send(journey: _Journey, reply: Reply, send: Send) -> None:
    if reply.stream is not None:
        await _send_stream(reply.stream, journey, _start(journey, reply), send)
        return
    content, headers = reply.body, _head(journey, reply)
    if reply.status != 204:
        headers.append((b"content-length", str(len(content or b"")).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if content is None or journey.method == "HEAD" else content})


async def _send_stream(
    stream: AsyncIterator[bytes], journey: _Journey, start: MutableMapping[str, Any], send: Send
) -> None:
    """Piece by piece. What fails on the way ends the connection, so that nobody takes a part for the whole."""
    await send(start)
    try:
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except Exception:
        logs.for_request(journey.request_id).exception("A download failed.", route=journey.route, method=journey.method)
        raise
    await send({"type": "http.response.body", "body": b""})
