"""Send one request to an address that a partner named: guarded, bounded in time and size, believing nothing."""

import asyncio
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

import aiohttp
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.http_exceptions import LineTooLong
from yarl import URL

from tallystick.webhooks.guard import BlockedAddress, Guard
from tallystick.webhooks.model import ANSWER_BYTES_MAX, FIRST_BYTE_SECONDS, TOTAL_SECONDS, Answer, Fault
from tallystick.webhooks.target import BadTarget, Rules, parse

CONNECTIONS_MAX: Final = 1_000
KEEP_ALIVE_SECONDS: Final = 4.0
"""Less than receivers wait, most of whom close after five seconds: so that none closes just when it is sent something."""
TARGETS_KEPT: Final = 10_000
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
        self._targets: dict[str, URL] = {}

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
            read_bufsize=ANSWER_BYTES_MAX,
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
        heard = _Heard()
        fault: Fault | None = None
        try:
            async with asyncio.timeout(self._total):
                await self._post(url, headers, body, heard)
            if heard.status is None or not 200 <= heard.status < 300:
                fault = "status"
        except Exception as error:  # noqa: BLE001 - whatever goes wrong out there is the attempt's fault, by its class
            fault = _fault(error)
        return Answer(heard.status, heard.headers, bytes(heard.content), fault, _since(began))

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes, heard: "_Heard") -> None:
        assert self._session is not None, "a sender is opened before it sends"
        target = self._targets.get(url) or self._target(url)
        sent = {"user-agent": USER_AGENT, "content-type": "application/json", **headers}
        async with asyncio.timeout(self._first):
            response = await self._session.post(target, data=body, headers=sent, allow_redirects=False)
        try:
            heard.status = response.status
            heard.headers = {name.lower(): value for name, value in response.headers.items()}
            await _read(response, heard.content)
        finally:
            # What was read to its end went back for the next already; what was not is cut off. Neither waits.
            response.close()

    def _target(self, url: str) -> URL:
        if len(self._targets) >= TARGETS_KEPT:
            self._targets.clear()
        found = self._targets[url] = parse(url, self.rules)
        return found


@dataclass(slots=True)
class _Heard:
    """What was read of an answer, also of one that broke off."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)


async def _read(response: aiohttp.ClientResponse, content: bytearray) -> None:
    """The beginning of an answer, and no more of it."""
    while len(content) < ANSWER_BYTES_MAX and not response.content.at_eof():
        content += await response.content.read(ANSWER_BYTES_MAX - len(content))


@lru_cache(maxsize=1)
def _strict() -> ssl.SSLContext:
    """The authorities that the system trusts, which take a while to read; TLS 1.2 or newer."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
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
    if any(isinstance(each, LineTooLong) for each in _chain(error)):
        return "too_large"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "tls_error"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect_error"
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError | ConnectionError):
        return "reset"
    return "malformed_answer"


def _blocked(error: BaseException) -> bool:
    """Whether the guard is behind it, however wrapped."""
    return any(
        isinstance(each, BlockedAddress) or isinstance(getattr(each, "os_error", None), BlockedAddress)
        for each in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The fault, and what is behind it."""
    each: BaseException | None = error
    for _ in range(8):
        if each is None:
            return
        yield each
        each = each.__cause__ or each.__context__
