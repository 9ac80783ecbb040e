"""Addresses that nobody outside may make this house dial: a table of our own.

Python's `ipaddress` is no judge of that: it calls addresses global that reach private ones through translation (NAT64, 6to4).
Sources: the IANA registries of special-purpose addresses (RFC 6890 and what amended it), and what clouds use besides.
"""

import contextlib
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DENIED: Final[tuple[Network, ...]] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "168.63.129.16/32",  # the host of a cloud's machines
        "::/96",  # unspecified, loopback, and IPv4 inside
        "::ffff:0:0/96",  # IPv4 mapped
        "::ffff:0:0:0/96",  # IPv4 translated (SIIT)
        "64:ff9b::/96",  # IPv4 translated (NAT64)
        "64:ff9b:1::/48",  # the same, private
        "100::/64",  # discarded
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # private
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)


GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that was ever given out. What lies outside is denied, whatever it comes to mean."""

ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
"""What stands before an IPv4 address in the second half of an IPv6 address (RFC 5214)."""

NOBODYS: Final = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses of documentation, which no machine has."""


def is_denied(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether this address is not to be dialled: it is in the table or this machine's own, and the operator did not allow it.

    Who allows an address allows this form of it, and not those in which another holds it.
    """
    if any(address in network for network in allowed):
        return False
    if isinstance(address, IPv6Address) and (address not in GLOBAL_UNICAST or _holds_denied(address)):
        return True
    return any(address in network for network in DENIED) or _is_own(address)


def _holds_denied(address: IPv6Address) -> bool:
    number = int(address)
    if (number >> 32) & 0xFFFFFFFF not in ISATAP:
        return False
    inner = IPv4Address(number & 0xFFFFFFFF)
    return any(inner in network for network in DENIED)


def of_socket_address(sockaddr: Sequence[object]) -> Address:
    """The address that a socket address dials. One with a zone is of a link, and denied with its link."""
    return ip_address(str(sockaddr[0]).partition("%")[0])


def _is_own(address: Address) -> bool:
    """Whether this machine has the address: only then can a socket be bound to it, or does it send from it to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    # Where the system binds to whatever it is asked for, that a socket is bound says nothing.
    if _binds(family, str(address)) and not _binds(family, NOBODYS[address.version]):
        return True
    return _sends_to_itself(family, str(address))


def _binds(family: socket.AddressFamily, address: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return True
    return False


def _sends_to_itself(family: socket.AddressFamily, address: str) -> bool:
    """A datagram socket that is connected sends nothing: it only chooses its sender."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return str(probe.getsockname()[0]) == address
    return False
