"""`listen`: hand what happens to a program on this machine, signed as webhooks are, without an address the house could reach."""

import asyncio
import hmac
import json
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlsplit

import aiohttp
import typer

from tallystick.base import clock
from tallystick.cli.ground import fail, say
from tallystick.cli.speaking import Access, DataOption, FileOption, UrlOption, WhichOption, access, why
from tallystick.webhooks import signing
from tallystick.webhooks.model import Signer

STREAM: Final = "webhook-events/stream"
SILENCE_SECONDS: Final = 45.0
"""The house says something every 15 seconds; who hears nothing for so long has lost it."""
PAUSES: Final = (0.2, 1.0, 2.0, 5.0, 15.0)
"""How long to wait before coming again: for the first time, the second, and so on."""
FORWARD_SECONDS: Final = 20.0
EVENT_BYTES_MAX: Final = 8 * 1024 * 1024
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Refused(Exception):
    """The house does not let us listen, and would not next time; the message says why."""


class Interrupted(Exception):
    """The stream ended or broke; it can be gone on with."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One event of the stream; `data` is what the body of a webhook is. Without data it only says how far the stream is."""

    position: str
    topic: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What the local program made of one. Status and milliseconds are None where it was not forwarded or did not answer."""

    at: str
    topic: str
    id: str
    position: str
    status: int | None
    milliseconds: int | None
    fault: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What `listen` was asked for."""

    forward: str | None
    topics: Sequence[str]
    as_json: bool


def listen(
    forward: Annotated[
        str | None, typer.Option(help="Where to post each event, such as http://localhost:3000/hooks.")
    ] = None,
    topics: Annotated[
        list[str] | None, typer.Option(help="Only these topics, separated by commas. All, unless told.")
    ] = None,
    url: UrlOption = None,
    credentials: FileOption = None,
    data: DataOption = None,
    environment: WhichOption = "sandbox",
    print_json: Annotated[bool, typer.Option("--print-json", help="Print each event as a line of JSON.")] = False,
) -> None:
    """Follow what happens and post each event, signed, to a program on this machine. Ctrl-C ends it.

    The credential: --credentials FILE; else CLIENT_ID and CLIENT_SECRET with --url; else of the demo in --data.
    """
    if forward is not None and (urlsplit(forward).scheme not in ("http", "https") or not urlsplit(forward).hostname):
        raise fail(f"{forward} is no address to forward to. Write it as http://localhost:3000/hooks.")
    named = [topic for each in topics or () for topic in each.split(",") if topic not in ("", "*")]
    to = access(credentials, url, data, environment)
    try:
        count = asyncio.run(_listen(to, Wish(forward, named, print_json)))
    except Refused as refused:
        raise fail(str(refused)) from None
    if not print_json:
        say(f"\n{count} event{'s' * (count != 1)}")


def local_secret(to: Access) -> bytes:
    """What `listen` signs with: the same for the same credential, and of no use to find that."""
    return hmac.digest(to.secret.encode(), b"tallystick listen", "sha256")


async def follow(
    session: aiohttp.ClientSession, to: Access, topics: Sequence[str], position: str
) -> AsyncIterator[Heard]:
    """What the stream says behind a position; from now on where that is empty. Raises Refused, or Interrupted at its end."""
    headers = {**to.headers, "Accept": "text/event-stream", **({"Last-Event-ID": position} if position else {})}
    query = {"filter[topic]": ",".join(topics)} if topics else {}
    timeout = aiohttp.ClientTimeout(None, sock_connect=10, sock_read=SILENCE_SECONDS)
    try:
        async with session.get(
            f"{to.base_url}/api/v1/{STREAM}", params=query, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            if answer.status in PASSING:
                raise Interrupted(await why(answer))
            if answer.status != 200:
                raise Refused(f"The house answered {await why(answer)}")
            yield Heard(position, "", b"")
            async for heard in parse(answer.content.iter_any(), position):
                yield heard
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Interrupted(type(error).__name__) from None
    raise Interrupted("the stream ended")


async def parse(pieces: AsyncIterator[bytes], position: str) -> AsyncIterator[Heard]:
    """Server-sent events from however they are cut into pieces. Raises Interrupted where one does not end."""
    rest, topic, lines = b"", "", list[bytes]()
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) + sum(map(len, lines)) > EVENT_BYTES_MAX:
            raise Interrupted("an event is too long")
        for line in whole:
            name, _, value = line.removesuffix(b"\r").partition(b":")
            value = value.removeprefix(b" ")
            if name == b"id":
                position = value.decode(errors="replace")
            elif name == b"event":
                topic = value.decode(errors="replace")
            elif name == b"data":
                lines.append(value)
            elif not name and not value and not line.startswith(b":"):
                yield Heard(position, topic, b"\n".join(lines))
                topic, lines = "", []


async def _listen(to: Access, wish: Wish) -> int:
    """Until told to stop; how many events came."""
    secret = local_secret(to)
    if not wish.as_json:
        _greet(to, wish, secret)
    stopping = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    listening = Listening(to, wish, secret)
    going, told = asyncio.create_task(listening.go_on()), asyncio.create_task(stopping.wait())
    await asyncio.wait([going, told], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not going.done():
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
    else:
        going.result()
    return listening.count


class Listening:
    """One run of it: where the stream is, and how many came."""

    def __init__(self, to: Access, wish: Wish, secret: bytes) -> None:
        self._to, self._wish, self._signer = to, wish, Signer((secret,), ())
        self._position, self._failed = "", 0
        self.count = 0

    async def go_on(self) -> None:
        """Follow the stream for ever, coming again behind what came last. Raises Refused."""
        # Two sessions: what goes to the local program carries nothing of the house's.
        forwarding = aiohttp.ClientTimeout(FORWARD_SECONDS)
        async with aiohttp.ClientSession() as house, aiohttp.ClientSession(timeout=forwarding) as local:
            while True:
                try:
                    async for heard in follow(house, self._to, self._wish.topics, self._position):
                        self._failed = 0
                        await self._take(local, heard)
                except Interrupted as error:
                    pause = PAUSES[min(self._failed, len(PAUSES) - 1)]
                    self._failed += 1
                    if not self._wish.as_json:
                        say(f"interrupted ({error}); coming again")
                    await asyncio.sleep(pause)

    async def _take(self, local: aiohttp.ClientSession, heard: Heard) -> None:
        if heard.data:
            event = json.loads(heard.data)
            forwarded = await self._forward(local, heard, str(event["id"]))
            self.count += 1
            if self._wish.as_json:
                typer.echo(json.dumps({**asdict(forwarded), "event": event}))
            else:
                say(_line(forwarded))
        self._position = heard.position

    async def _forward(self, local: aiohttp.ClientSession, heard: Heard, message_id: str) -> Forwarded:
        now, began = clock.utc(), time.monotonic()
        status, fault = None, ""
        if self._wish.forward is not None:
            try:
                status = await _post(local, self._wish.forward, self._signer, message_id, now, heard.data)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                fault = type(error).__name__
        took = None if status is None else round((time.monotonic() - began) * 1000)
        return Forwarded(clock.render(now), heard.topic, message_id, heard.position, status, took, fault)


async def _post(
    local: aiohttp.ClientSession, url: str, signer: Signer, message_id: str, now: datetime, body: bytes
) -> int:
    headers = {"Content-Type": "application/json", **signing.headers(signer, message_id, now, body)}
    async with local.post(url, data=body, headers=headers, allow_redirects=False) as answer:
        return answer.status


def _greet(to: Access, wish: Wish, secret: bytes) -> None:
    say(f"listening  {to.base_url}, {', '.join(wish.topics) or 'every topic'}")
    if wish.forward is not None:
        say(f"forwarding to {wish.forward}")
        say(
            f"secret     {signing.secret_text(secret)}   verifies what is forwarded; the same each time for this credential"
        )
    say("Ctrl-C ends it.\n")


def _line(forwarded: Forwarded) -> str:
    came = f"{forwarded.at[11:23]}  {forwarded.topic:28}  {forwarded.id}"
    if forwarded.fault:
        return f"{came}  no answer ({forwarded.fault})"
    return came if forwarded.status is None else f"{came}  {forwarded.status}  {forwarded.milliseconds} ms"
