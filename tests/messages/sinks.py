"""The outside world of messages: a mail server and an SMS gateway on this machine, which keep what they get."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiohttp import web


@dataclass
class MailSink:
    """An SMTP server that takes everything, or answers `refusing` to every reader."""

    refusing: bytes | None = None
    trust: ssl.SSLContext | None = None
    """Offers STARTTLS with these certificates."""
    port: int = 0
    readers: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["MailSink"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        try:
            while line := await reader.readline():
                command = line.decode().strip()
                self.heard.append(command)
                if command.upper() == "STARTTLS" and self.trust is not None:
                    writer.write(b"220 go\r\n")
                    await writer.drain()
                    await writer.start_tls(self.trust)
                    continue
                writer.write(await self._answer(command, reader, writer))
                await writer.drain()
                if command.upper() == "QUIT":
                    break
        except (ConnectionError, ssl.SSLError):
            self.heard.append("(gone)")
        finally:
            writer.close()

    async def _answer(self, command: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        verb = command.upper().split(" ")[0]
        if verb == "EHLO":
            return b"250-sink\r\n250-STARTTLS\r\n250 8BITMIME\r\n" if self.trust else b"250 sink\r\n"
        if verb == "RCPT":
            self.readers.append(command.partition("<")[2].partition(">")[0])
            return self.refusing or b"250 ok\r\n"
        if verb == "DATA":
            writer.write(b"354 go on\r\n")
            await writer.drain()
            mail = message_from_bytes(await reader.readuntil(b"\r\n.\r\n"), policy=default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        return b"221 bye\r\n" if verb == "QUIT" else b"250 ok\r\n"


@dataclass
class SmsSink:
    """A gateway that keeps what is posted to it and answers `status`; `seconds` late where that is set."""

    status: int = 202
    seconds: float = 0.0
    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SmsSink"]:
        app = web.Application()
        app.router.add_post("/messages", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/messages"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.posts.append((headers, await request.read()))
        await asyncio.sleep(self.seconds)
        headers_out = {"location": "/elsewhere"} if 300 <= self.status < 400 else {}
        return web.Response(status=self.status, headers=headers_out)
