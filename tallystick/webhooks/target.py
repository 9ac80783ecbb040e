"""What an endpoint's address may look like: parsed once, by the parser that dials it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from yarl import URL

from tallystick.webhooks.addresses import Address, Network, is_denied

URL_MAX: Final = 2_048
HOST_MAX: Final = 253
LABEL_MAX: Final = 63
PORTS: Final = (443,)


class BadTarget(ValueError):
    """The address cannot be an endpoint; the sentence says why, and never repeats it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows besides: networks that are dialled though the table denies them, by http and any port; and ports."""

    allowed: tuple[Network, ...] = ()
    ports: tuple[int, ...] = PORTS


def parse(text: str, rules: Rules) -> URL:
    """The address in its one way to be written. Raises BadTarget."""
    if len(text) > URL_MAX:
        raise BadTarget(f"An address has at most {URL_MAX} characters.")
    if not text.isascii() and not text.isprintable():
        raise BadTarget("An address holds no control characters.")
    if any(character <= " " or character in '\\"<>^`{|}\x7f' for character in text):
        raise BadTarget("An address holds no spaces, control characters, quotes, brackets or backslashes.")
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise BadTarget("This is not an address. Write it as https://host/path.") from None
    if url.scheme not in {"https", "http"} or not url.raw_host:
        raise BadTarget("An address begins with https:// and names a host.")
    if (
        url.user is not None
        or url.password is not None
        or "@" in re.split(r"[/?#]", text.partition("//")[2], maxsplit=1)[0]
    ):
        raise BadTarget("An address holds no user and password. Send a header of your own instead.")
    if url.raw_fragment or text.endswith("#"):
        raise BadTarget("An address has no fragment: nothing behind # is ever sent.")
    literal = _host(url.raw_host)
    is_allowed = _is_allowed(url.raw_host, literal, rules.allowed)
    if literal is not None and is_denied(literal, rules.allowed):
        raise BadTarget("This address is private, reserved or our own; deliveries go to public addresses only.")
    if url.scheme != "https" and not is_allowed:
        raise BadTarget("An address begins with https://.")
    if port not in rules.ports and not is_allowed:
        raise BadTarget(f"The port is {' or '.join(map(str, rules.ports))}.")
    return url


def why_not(text: str, rules: Rules) -> str | None:
    """The reason why this cannot be an endpoint, for people; None where it can."""
    try:
        parse(text, rules)
    except BadTarget as fault:
        return str(fault)
    return None


def _host(host: str) -> Address | None:
    """The address that a host is, None for a name. Raises BadTarget for what is neither, or is an address in disguise."""
    if "%" in host:
        raise BadTarget("An address has no zone, and its host no escapes.")
    if ":" in host:
        try:
            return IPv6Address(host)
        except AddressValueError:
            raise BadTarget("This is not an IPv6 address.") from None
    labels = host.split(".")
    if len(host) > HOST_MAX or not all(0 < len(label) <= LABEL_MAX for label in labels):
        raise BadTarget("The host is too long, or a part of it is empty.")
    # What ends in a number is an IPv4 address for those who resolve it: 127.1, 0x7f.1 and 2130706433, too (WHATWG URL, 3.5).
    last = labels[-1].lower()
    if last.isdigit() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:])):
        try:
            return IPv4Address(host)
        except AddressValueError:
            raise BadTarget("An IPv4 address is written as four numbers from 0 to 255.") from None
    return None


def _is_allowed(host: str, literal: Address | None, allowed: Sequence[Network]) -> bool:
    if literal is None:
        return host == "localhost" and any(network.is_loopback for network in allowed)
    return any(literal in network for network in allowed)
