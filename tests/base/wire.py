"""HTTP as bytes on a socket, for what no well-behaved client sends."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.api import JSON_API, Api

PATIENCE = 10.0
"""Seconds until a test gives up waiting for an answer."""


@dataclass(frozen=True)
class Heard:
    """One answer as it came."""

    status: int
    headers: Mapping[str, str]
    names: tuple[str, ...]
    content: bytes

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in json.loads(self.content)["errors"]]


@dataclass
class Wire:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, sent: bytes) -> None:
        self.writer.write(sent)
        await self.writer.drain()

    async def hear(self, *, without_body: bool = False) -> Heard:
        """The next answer. Raises asyncio.IncompleteReadError when the connection ends before it."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].decode("latin-1").split("\r\n")
            pairs = [line.split(": ", 1) for line in lines]
            headers = {name.lower(): value for name, value in pairs}
            length = 0 if without_body else int(headers.get("content-length", "0"))
            content = await self.reader.readexactly(length)
        return Heard(int(first.split(" ")[1]), headers, tuple(name.lower() for name, _ in pairs), content)

    async def is_closed(self) -> bool:
        """Whether nothing more comes and the other side has ended; waits for it."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


@asynccontextmanager
async def wire(base_url: str) -> AsyncIterator[Wire]:
    address = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def head(api: Api, method: str, path: str, **headers: Any) -> bytes:
    """A request head with the credential of `api`; headers by name with underscores. None leaves one out."""
    sent: dict[str, Any] = {"Host": "x", "Client-ID": api.client_id, "Authorization": f"Bearer {api.secret}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in sent.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def post(api: Api, path: str, document: Any, **headers: Any) -> bytes:
    """A whole request with a JSON:API document."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    sent = {"Content_Type": JSON_API, "Content_Length": len(body), **headers}
    return head(api, "POST", path, **sent) + body
