"""Reading a stream of server-sent events as a partner does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.api import Api


@dataclass(frozen=True)
class Told:
    """One block of the stream. A comment has neither event nor data."""

    id: int | None
    event: str | None
    data: Any
    comment: str | None


class Following:
    """An open stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def block(self, seconds: float = 10) -> Told | None:
        """The next block; None where the stream has ended well."""
        lines: list[str] = []
        async with asyncio.timeout(seconds):
            while True:
                line = await self.answer.content.readline()
                if not line:
                    assert not lines, "a block is whole or is not there"
                    return None
                if line == b"\n":
                    return _told(lines)
                assert line.endswith(b"\n")
                lines.append(line.decode().rstrip("\n"))

    async def event(self, seconds: float = 10) -> Told:
        """The next event; comments are skipped."""
        while True:
            found = await self.block(seconds)
            assert found is not None, "the stream has ended"
            if found.event is not None:
                return found

    async def events(self, number: int) -> list[Told]:
        return [await self.event() for _ in range(number)]

    async def rest(self, seconds: float = 10) -> list[Told]:
        """Everything until the stream ends."""
        found = []
        while (block := await self.block(seconds)) is not None:
            if block.event is not None:
                found.append(block)
        return found


@contextlib.asynccontextmanager
async def following(api: Api, query: str = "", headers: Mapping[str, str] | None = None) -> AsyncIterator[Following]:
    """A stream that was let in, behind its first comment."""
    sent = {"Client-ID": api.client_id, "Authorization": f"Bearer {api.secret}", **(headers or {})}
    url = f"{api.base_url}/api/v1/webhook-events/stream{query}"
    async with api.session.get(url, headers=sent, timeout=aiohttp.ClientTimeout(total=None)) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["content-type"] == "text/event-stream"
        stream = Following(answer)
        first = await stream.block()
        assert first is not None
        assert first.comment == "connected"
        yield stream


def _told(lines: list[str]) -> Told:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        assert name not in fields, "each field stands once"
        fields[name] = value.removeprefix(" ")
    data = json.loads(fields["data"]) if "data" in fields else None
    return Told(int(fields["id"]) if "id" in fields else None, fields.get("event"), data, fields.get(""))
