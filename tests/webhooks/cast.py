"""A partner's receiver, real and on this machine, and what is done with endpoints again and again."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.api import Answer, Api, document_of


@dataclass(frozen=True)
class Heard:
    """One request that arrived."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Keeps what it hears; `answers` says what to answer the next ones, then it is `answer`."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answer: Callable[[], web.StreamResponse] = lambda: web.Response(text="ok")
    answers: list[Callable[[], web.StreamResponse]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    """Where there is one, nothing is answered before it is set."""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.heard.append(Heard({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        if self.gate is not None:
            await self.gate.wait()
        return self.answers.pop(0)() if self.answers else self.answer()

    @property
    def topics(self) -> list[str]:
        return [each.told["type"] for each in self.heard]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver at a free port."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", receiver.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    receiver.url = f"http://127.0.0.1:{listening.getsockname()[1]}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def says(status: int, text: str = "", **headers: str) -> Callable[[], web.StreamResponse]:
    """An answer to be given."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: web.Response(status=status, text=text, headers=named)


async def make(api: Api, url: str, *topics: str, **more: Any) -> Answer:
    """The answer to the wish for an endpoint."""
    return await api.post("webhooks", document_of("Webhook", url=url, topics=list(topics or ("*",)), **more))


async def enabled(api: Api, receiver: Receiver, *topics: str, **more: Any) -> Answer:
    """The answer that made an endpoint, which has answered its ping since; the receiver remembers nothing of that."""
    made = await make(api, receiver.url, *topics, **more)
    assert made.status == 201, made.text
    pinged = await api.post(f"webhooks/{made.data['id']}/ping")
    assert pinged.attributes["statusCode"] == 200, pinged.text
    receiver.heard.clear()
    return made
