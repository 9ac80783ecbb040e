"""How the text of one setting is read. Each reader returns the value or raises ValueError saying what is wanted."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

Word = TypeVar("Word", bound=str)

_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0"))
_HOST = re.compile(r"[0-9A-Za-z.:_%-]{1,253}")


def line(value: str) -> str:
    """Any text without control characters."""
    if not value.isprintable():
        raise ValueError("must be one line of printable text")
    return value


def words(value: str) -> str:
    """Any text; it may have several lines."""
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number from `low` to `high`."""

    def read(value: str) -> int:
        if re.fullmatch(r"[0-9]{1,18}", value) is None or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return read


def one_of(*allowed: Word) -> Callable[[str], Word]:
    """One of the words, in either case."""

    def read(value: str) -> Word:
        for word in allowed:
            if value.lower() == word:
                return word
        raise ValueError(f"must be one of {', '.join(allowed)}")

    return read


def switch(value: str) -> bool:
    """Yes or no."""
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ValueError("must be true or false")


def folder(value: str) -> Path:
    """A path; `~` is the home of the user."""
    if "\0" in value:
        raise ValueError("must be a path")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("must be a path; the home it begins with is not known") from None


def host(value: str) -> str:
    """An address or a name to listen on or to connect to, without a port."""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if _HOST.fullmatch(bare) is None or ("." in bare and ":" in bare and not bare.startswith("::")):
        raise ValueError("must be an address or a host name, without a port")
    return bare


def postgres_url(value: str) -> str:
    """The address of a PostgreSQL database."""
    if _split(value).scheme not in ("postgres", "postgresql"):
        raise ValueError("must be an address such as postgresql://user:password@host/database")
    return value


def web_url(value: str) -> str:
    """The address of a web service."""
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("must be an address such as https://gateway.example/messages")
    return value


def origin(value: str) -> str:
    """Scheme, host and port of a web service, without a path. A slash at the end is dropped."""
    parts = _split(value)
    bare = value.rstrip("/")
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in ("http", "https") or not parts.hostname or extra or "?" in value or "#" in value:
        raise ValueError("must be an address without a path, such as https://rewards.example")
    return bare


def networks(value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks of addresses, such as `10.1.0.0/16`, separated by commas or spaces."""
    try:
        return tuple(ip_network(each) for each in value.replace(",", " ").split())
    except ValueError:
        raise ValueError("must be networks such as 10.1.0.0/16 or fd00::/8, separated by commas") from None


def ports(value: str) -> tuple[int, ...]:
    """Numbers of ports, separated by commas or spaces."""
    named = value.replace(",", " ").split()
    if not named or not all(re.fullmatch(r"[0-9]{1,5}", each) and 1 <= int(each) <= 65535 for each in named):
        raise ValueError("must be numbers from 1 to 65535, separated by commas")
    return tuple(dict.fromkeys(int(each) for each in named))


def sender(value: str) -> str:
    """An e-mail address, with or without a name before it."""
    if not value.isprintable() or re.fullmatch(r"([^<>@]+ )?<?[^\s<>@]+@[^\s<>@]+>?", value) is None:
        raise ValueError("must be an e-mail address, such as Rewards <rewards@example.com>")
    return value


def _split(value: str) -> SplitResult:
    """The parts of an address, its port being a number. The text is not repeated: it may hold a password."""
    if not value.isprintable() or " " in value:
        raise ValueError("must be an address without spaces")
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("must be a well-formed address; its host or port is not") from None
    return parts
