"""The processes of the measurement of webhooks, each alone: a sink that counts, this product's deliverer, and the usual queue.

Each says `ready` on its standard output and goes when a line comes in on the standard input; it ends when that does.
"""

import asyncio
import base64
import contextlib
import hmac
import json
import socket
import sys
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import uvloop

from tallystick.base import clock
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.main import CLOSINGS
from tallystick.webhooks import Deliverer, Rules, Sender, fan_out_due

HERE: Final = "127.0.0.1"
ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
TIMES_MAX: Final = 100_000
QUEUE_CONCURRENCY: Final = 32
SECRET: Final = b"a secret of thirty-two bytes, say"


class Sink(asyncio.Protocol):
    """Answers every POST with 204 at once; tells of them at `GET /`, and begins anew at `GET /again`."""

    heard: int = 0
    first: float = 0.0
    last: float = 0.0
    times: dict[str, float] = {}  # noqa: RUF012 - one sink to a process, shared by its connections

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            place = head.find(b"content-length:")
            length = 0 if place < 0 else int(head[place + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        assert self._transport is not None
        if head.startswith(b"post"):
            Sink.last = time.time()
            Sink.first = Sink.first or Sink.last
            Sink.heard += 1
            place = head.find(b"webhook-id:")
            if place >= 0 and len(Sink.times) < TIMES_MAX:
                Sink.times.setdefault(head[place + 11 :].split(b"\r\n", 1)[0].strip().decode(), Sink.last)
            self._transport.write(ANSWER)
            return
        told = {"heard": Sink.heard, "first": Sink.first, "last": Sink.last}
        if b"/times" in head:
            told["times"] = Sink.times  # type: ignore[assignment]
        if b"/again" in head:
            Sink.heard, Sink.first, Sink.last = 0, 0.0, 0.0
            Sink.times.clear()
        text = json.dumps(told).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))


async def sink(descriptor: int) -> None:
    """Serve on a socket that is listening already."""
    listening = socket.socket(fileno=descriptor)
    server = await asyncio.get_running_loop().create_server(Sink, sock=listening, backlog=2048)
    await _go()
    await _end()
    server.close()


async def product(dsn: str, key_file: str, *, hands_out: bool = True) -> None:
    """Hand out and deliver, as the background work does."""
    pool = Pool(dsn, 8, name="deliverer")
    runtime = Runtime(pool, clock.utc, MasterKeys.read(Path(key_file)), CLOSINGS)
    sender = Sender(Rules((ip_network(f"{HERE}/32"),))).open()
    deliverer = Deliverer(runtime, sender)
    stopping = asyncio.Event()
    await _go()
    running = asyncio.create_task(deliverer.run(stopping))
    handing_out = asyncio.create_task(_hand_out(runtime, deliverer)) if hands_out else None
    await _end()
    stopping.set()
    if handing_out is not None:
        handing_out.cancel()
    await running
    await sender.close()
    await pool.close()


async def _hand_out(runtime: Runtime, deliverer: Deliverer) -> None:
    while True:
        if await fan_out_due(runtime):
            deliverer.wake()
        else:
            await asyncio.sleep(0.05)


def queue(dsn: str, url: str) -> Any:
    """The usual queue with the same job: sign a body, post it, and be tried again when that went wrong."""
    import procrastinate  # noqa: PLC0415 - only this process needs it

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, max_size=8))
    sessions: list[aiohttp.ClientSession] = []

    @app.task(name="deliver", retry=procrastinate.RetryStrategy(max_attempts=10, exponential_wait=5))
    async def deliver(message_id: str, body: str) -> None:
        if not sessions:
            connector = aiohttp.TCPConnector(limit=0)
            sessions.append(aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()))
        stamp = str(int(time.time()))
        content = f"{message_id}.{stamp}.{body}".encode()
        signature = base64.b64encode(hmac.digest(SECRET, content, "sha256")).decode()
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature}",
        }
        async with sessions[0].post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
            answer.raise_for_status()
            await answer.read()

    return app, deliver, sessions


async def usual(dsn: str, url: str) -> None:
    """Work the queue off."""
    app, _, sessions = queue(dsn, url)
    async with app.open_async():
        await _go()
        working = asyncio.create_task(
            app.run_worker_async(
                concurrency=QUEUE_CONCURRENCY, install_signal_handlers=False, fetch_job_polling_interval=0.1
            )
        )
        await _end()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        for session in sessions:
            await session.close()


async def _go() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)


async def _end() -> None:
    await asyncio.to_thread(sys.stdin.read)


def main(arguments: list[str]) -> None:
    """`sink FD`, `product DSN KEYFILE`, or `usual DSN URL`."""
    kind, *rest = arguments
    if kind == "sink":
        uvloop.run(sink(int(rest[0])))
    elif kind == "product":
        uvloop.run(product(*rest))
    else:
        uvloop.run(usual(*rest))


if __name__ == "__main__":
    main(sys.argv[1:])
