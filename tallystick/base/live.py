"""Answers without an end: piece by piece until the client goes, reads no more, is no longer let in, or the process ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol, runtime_checkable

from tallystick.base.body import Receive
from tallystick.base.db import LOST
from tallystick.base.errors import Unavailable
from tallystick.base.routes import Reply

LOOK_AGAIN_SECONDS: Final = 20.0
"""How often the credential of a stream is looked at again. With what the door remembers, a revoked one ends within 50 seconds."""
BLIND_SECONDS: Final = 60.0
"""How long a stream goes on while nobody can tell whether its credential is good."""
STALLED_SECONDS: Final = 30.0
"""How long a client may take nothing of what waits for it."""
FAREWELL_SECONDS: Final = 2.0

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Welcome = Callable[[], Awaitable[bool]]


@runtime_checkable
class Closable(Protocol):
    """What holds something until it is closed."""

    async def aclose(self) -> None: ...


async def send(
    reply: Reply, start: Message, welcome: Welcome | None, scope: Message, receive: Receive, put: Send
) -> None:
    """Answer with a stream; it is closed in every case. Every piece arrives whole or not at all.

    It ends well where the process ends or the credential does, so that a client that comes back goes on where it was.
    """
    stream = reply.stream
    assert stream is not None and welcome is not None, "a live answer is a stream for a caller"
    offered = scope.get("extensions", {}).get("tallystick", {})
    try:
        await put(start)
        if scope["method"] != "HEAD":
            await _first_of(
                _pump(stream, put, offered.get("cut")),
                _gone(receive),
                _unwelcome(welcome),
                _ended(offered.get("ending")),
            )
        async with asyncio.timeout(FAREWELL_SECONDS):
            await put({"type": "http.response.body", "body": b""})
    except TimeoutError:
        if "cut" in offered:
            offered["cut"]()
    finally:
        if isinstance(stream, Closable):
            await stream.aclose()


async def _first_of(*ways: Awaitable[None]) -> None:
    """Go on until one of them is over, and end the others. Raises what it raised."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _pump(stream: AsyncIterator[bytes], put: Send, cut: Callable[[], None] | None) -> None:
    async for piece in stream:
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await put({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            if cut is not None:
                cut()
            return


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(ending: asyncio.Event | None) -> None:
    await (ending or asyncio.Event()).wait()


async def _unwelcome(welcome: Welcome) -> None:
    known = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            if not await welcome():
                return
            known = time.monotonic()
        except (*LOST, Unavailable):
            if time.monotonic() - known > BLIND_SECONDS:
                return
