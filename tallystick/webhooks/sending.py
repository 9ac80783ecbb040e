"""Send one request to an address that a partner named: guarded, bounded in time and size, believing nothing."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Final, Self

import aiohttp
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from tallystick.webhooks.guard import BlockedAddress, Guard
from tallystick.webhooks.model import ANSWER_BYTES_MAX, FIRST_BYTE_SECONDS, TOTAL_SECONDS, Answer, Fault
from tallystick.webhooks.target import BadTarget, Rules, parse

CONNECTIONS_MAX: Final = 1_000
KEEP_ALIVE_SECONDS: Final = 30.0
NAMES_KEPT_SECONDS: Final = 10
USER_AGENT: Final = "Tallystick-Webhooks/1"


class Sender:
    """Every connection to partners' endpoints of one process. The same for creation, ping and delivery."""

    def __init__(
        self,
        rules: Rules,
        *,
        guard: Guard | None = None,
        first_byte_seconds: float = FIRST_BYTE_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.rules = rules
        self._guard = guard or Guard(rules.allowed)
        self._first, self._total, self._tls = first_byte_seconds, total_seconds, tls
        self._session: ClientSession | None = None

    def open(self) -> Self:
        """Be ready to send; within a running loop."""
        connector = TCPConnector(
            limit=CONNECTIONS_MAX,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ttl_dns_cache=NAMES_KEPT_SECONDS,
            resolver=self._guard,
            socket_factory=self._guard.open_socket,
            ssl=self._tls or _strict(),
        )
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=ClientTimeout(total=None),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            requote_redirect_url=False,
        )
        return self

    async def close(self) -> None:
        """Give every connection back."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._guard.close()

    async def look(self, url: str) -> Fault | None:
        """What would keep a request from being sent there, as far as it can be known without sending one. Raises BadTarget."""
        host = parse(url, self.rules).raw_host
        assert host is not None, "a target names a host"
        try:
            await self._guard.resolve(host)
        except BlockedAddress:
            return "blocked_address"
        except (OSError, TimeoutError, UnicodeError):
            return "dns_error"
        return None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What became of one POST. It raises nothing of what a receiver, or the way there, may do."""
        began = time.monotonic()
        try:
            status, answered, content = await self._post(url, headers, body)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong out there is the attempt's fault, by its class
            return Answer(None, {}, b"", _fault(error), _since(began))
        fault: Fault | None = None if 200 <= status < 300 else "status"
        return Answer(status, answered, content, fault, _since(began))

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        assert self._session is not None, "a sender is opened before it sends"
        target = parse(url, self.rules)
        sent = {"user-agent": USER_AGENT, "content-type": "application/json", **headers}
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._total
        async with asyncio.timeout(self._first):
            response = await self._session.post(target, data=body, headers=sent, allow_redirects=False)
        try:
            async with asyncio.timeout_at(ends):
                content = await _bounded(response)
            return response.status, {name.lower(): value for name, value in response.headers.items()}, content
        finally:
            # What was read to its end goes back for the next; what was not is cut off. Neither waits.
            response.close() if not response.content.at_eof() else response.release()


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of an answer, and no more of it."""
    content = bytearray()
    while len(content) < ANSWER_BYTES_MAX:
        piece = await response.content.read(ANSWER_BYTES_MAX - len(content))
        if not piece:
            break
        content += piece
    return bytes(content)


def _strict() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _fault(error: BaseException) -> Fault:
    """The word for what went wrong; the details stay here."""
    if isinstance(error, BadTarget) or _blocked(error):
        return "blocked_address"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns_error"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "tls_error"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect_error"
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError | ConnectionError):
        return "reset"
    return "malformed_answer"


def _blocked(error: BaseException | None) -> bool:
    """Whether the guard is behind it, however wrapped."""
    seen = 0
    while error is not None and seen < 8:
        if isinstance(error, BlockedAddress) or isinstance(getattr(error, "os_error", None), BlockedAddress):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
