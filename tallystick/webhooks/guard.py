"""The guard of every connection that partners make this house open: decided on the very address that is about to be dialled.

A name is refused when any of its answers is; what is dialled is what was looked at, so that an answer that changes changes nothing.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

from tallystick.webhooks.addresses import Network, is_denied, of_socket_address

LOOKUP_SECONDS: Final = 5.0
LOOKUPS_AT_ONCE: Final = 32

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class BlockedAddress(OSError):
    """The address is not to be dialled."""


class Guard(AbstractResolver):
    """Resolves names and makes sockets, and refuses what is denied. Its lookups have threads of their own: one that hangs holds up
    no other work.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address of a name. Raises BlockedAddress, or OSError where there is none."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await loop.run_in_executor(self._threads, self.look_up, host, port, family)
        for _, _, _, _, sockaddr in found:
            self.check(sockaddr)
        return [
            ResolveResult(
                hostname=host,
                host=str(sockaddr[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, sockaddr in found
        ]

    def look_up(self, host: str, port: int, family: socket.AddressFamily) -> Sequence[AddressInfo]:
        """What the system's resolver answers."""
        return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)

    def check(self, sockaddr: Sequence[object]) -> None:
        """Raises BlockedAddress."""
        try:
            address = of_socket_address(sockaddr)
        except ValueError:
            raise BlockedAddress("not an address") from None
        if is_denied(address, self._allowed):
            raise BlockedAddress("the address is denied")

    def open_socket(self, about_to_dial: AddressInfo) -> socket.socket:
        """A socket for this address and no other. Raises BlockedAddress."""
        family, kind, proto, _, sockaddr = about_to_dial
        self.check(sockaddr)
        return socket.socket(family, kind, proto)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
