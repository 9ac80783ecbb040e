"""The demo's sink: a receiver of webhooks on this machine that verifies what arrives and shows it, live, on a page.

It keeps the last deliveries in memory and answers 204 to what is genuine, 401 to what is not. It listens on a loopback address and
answers nobody who reached it by another name.
"""

import asyncio
import json
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web

from tallystick.base import clock, ids
from tallystick.cli.tallystick_webhooks import VerificationError, verify

KEPT: Final = 200
BODY_BYTES_MAX: Final = 256 * 1024
WAITING_MAX: Final = 2 * KEPT
"""How many a page may be behind before it is told to come again."""
QUIET_SECONDS: Final = 15.0
PAGE: Final = Path(__file__).parent / "sink_page"
KINDS: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
SAFE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request that came in, as the page shows it; of one that is not genuine, what it claims."""

    number: int
    at: str
    id: str
    topic: str
    subject: str
    sequence: int | None
    verified: bool
    why: str
    """Why it is not verified; empty where it is."""
    replayed: bool
    again: bool
    """Whether a genuine one of this id was here before: a receiver would leave it out."""
    body: str


class Sink:
    """What arrived, the newest last, and who looks on."""

    def __init__(self, secrets: Sequence[str] = (), now: Callable[[], float] = time.time) -> None:
        self.secrets = tuple(secrets)
        self.run = str(ids.new())
        self._now, self._count = now, 0
        self._arrivals: deque[Arrival] = deque(maxlen=KEPT)
        self._known: deque[str] = deque(maxlen=10 * KEPT)
        self._lookers: set[asyncio.Queue[Arrival | None]] = set()

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """The last ones, the oldest first."""
        return tuple(self._arrivals)

    def take(self, headers: Mapping[str, str], body: bytes) -> Arrival:
        """Verify one, keep it, and show it to who looks on."""
        at, why = self._now(), ""
        try:
            told = verify(body, headers, self.secrets, now=at) if self.secrets else _claimed(body)
            why = "" if self.secrets else "The sink does not know the secret yet."
        except VerificationError as error:
            told, why = _claimed(body), str(error)
        message_id = headers.get("webhook-id", "")[:255]
        self._count += 1
        arrival = Arrival(
            number=self._count,
            at=clock.render(datetime.fromtimestamp(at, UTC)),
            id=message_id,
            topic=_text(told.get("type")),
            subject=_subject(told.get("data")),
            sequence=sequence if type(sequence := told.get("sequence")) is int else None,
            verified=not why,
            why=why,
            replayed=headers.get("webhook-replay") == "true",
            again=not why and message_id in self._known,
            body=body.decode(errors="replace"),
        )
        if arrival.verified and not arrival.again:
            self._known.append(message_id)
        self._arrivals.append(arrival)
        for queue in list(self._lookers):
            self._show(queue, arrival)
        return arrival

    async def follow(self, after: int) -> AsyncIterator[Arrival | None]:
        """What is kept behind this number, then what comes; None where nothing came for a while. Ends for who is too far behind."""
        queue: asyncio.Queue[Arrival | None] = asyncio.Queue(WAITING_MAX)
        kept = [each for each in self._arrivals if each.number > after]
        self._lookers.add(queue)
        try:
            for each in kept:
                yield each
            while queue in self._lookers:
                try:
                    yield await asyncio.wait_for(queue.get(), QUIET_SECONDS)
                except TimeoutError:
                    yield None
        finally:
            self._lookers.discard(queue)

    def close(self) -> None:
        """Send everybody home who looks on."""
        for queue in list(self._lookers):
            self._lookers.discard(queue)
            if not queue.full():
                queue.put_nowait(None)

    def _show(self, queue: "asyncio.Queue[Arrival | None]", arrival: Arrival) -> None:
        if queue.full():
            self._lookers.discard(queue)
        else:
            queue.put_nowait(arrival)


@asynccontextmanager
async def opened(sink: Sink, listening: socket.socket) -> AsyncIterator[str]:
    """Serve it for the length of the block; its address."""
    runner = web.AppRunner(application(sink), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        host, port = listening.getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        sink.close()
        await runner.cleanup()


def application(sink: Sink) -> web.Application:
    """Its routes: `POST /` takes deliveries, `GET /` is the page, `/live` feeds it, `/deliveries` is the same as JSON."""

    async def take(request: web.Request) -> web.Response:
        arrival = sink.take(request.headers, await request.read())
        if arrival.verified:
            return web.Response(status=204)
        return web.json_response({"error": arrival.why}, status=401)

    async def deliveries(_request: web.Request) -> web.Response:
        return web.json_response({"run": sink.run, "deliveries": [asdict(each) for each in sink.arrivals]})

    async def live(request: web.Request) -> web.StreamResponse:
        return await _live(sink, request)

    app = web.Application(middlewares=[_careful], client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/", take)
    app.router.add_get("/deliveries", deliveries)
    app.router.add_get("/live", live)
    for path, name in (("/", "page.html"), ("/page.css", "page.css"), ("/page.js", "page.js")):
        app.router.add_get(path, _file(PAGE / name))
    return app


@web.middleware
async def _careful(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Only by a loopback name: a page elsewhere whose name was made to lead here must not read what arrived."""
    host = request.headers.get(hdrs.HOST, "").rpartition(":")[0]
    if host not in ("127.0.0.1", "localhost", "[::1]"):
        return web.Response(status=421, text="Ask for this page by a loopback address.\n", headers=SAFE)
    answer: web.StreamResponse = await handler(request)
    if not answer.prepared:
        answer.headers.update(SAFE)
    return answer


async def _live(sink: Sink, request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={**SAFE, hdrs.CONTENT_TYPE: "text/event-stream"})
    await answer.prepare(request)
    run, _, number = request.headers.get("Last-Event-ID", "").rpartition(":")
    is_known = run == sink.run and number.isdecimal() and len(number) < 19
    if not is_known:
        await answer.write(b"event: begin\ndata: {}\n\n")
    try:
        async for each in sink.follow(int(number) if is_known else 0):
            await answer.write(b": quiet\n\n" if each is None else _piece(sink, each))
    except ConnectionResetError:
        return answer  # who looked on has gone
    return answer


def _piece(sink: Sink, arrival: Arrival) -> bytes:
    return f"id: {sink.run}:{arrival.number}\ndata: {json.dumps(asdict(arrival))}\n\n".encode()


def _file(path: Path) -> Callable[[web.Request], Any]:
    content = path.read_bytes()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=content, content_type=KINDS[path.suffix], charset="utf-8")

    return answer


def _claimed(body: bytes) -> dict[str, Any]:
    """What a body says that nobody has vouched for."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _subject(document: object) -> str:
    if not isinstance(document, dict):
        return ""
    return f"{_text(document.get('type'))} {_text(document.get('id'))}".strip()


def _text(claimed: object) -> str:
    return claimed[:200] if isinstance(claimed, str) else ""
