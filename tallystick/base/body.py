"""Bodies on their way in: read within bounds of size and time, and never deeper, wider or stranger than what is answered for."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

from tallystick.base.errors import (
    InvalidRequest,
    PayloadTooLarge,
    Refusal,
    RequestTimeout,
    UnsupportedMediaType,
    at,
    header,
)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DEPTH_MAX: Final = 32
FAULTS_MAX: Final = 100
LENGTH_DIGITS: Final = 18
NAME_MAX: Final = 255

# What the decoder of the fast path cannot see: a name given twice, a NUL, a lone surrogate. Escapes are found in the raw bytes.
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class ClientGone(Exception):
    """The client closed the connection before its request was whole. Nobody is left to answer."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int, seconds: float | None) -> bytes:
    """The whole body, within so many seconds; None: it has arrived.

    Raises PayloadTooLarge, RequestTimeout, UnsupportedMediaType, or ClientGone.
    """
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType(
            "Send the body without Content-Encoding: compressed bodies are not taken.",
            source=header("Content-Encoding"),
        )
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and (len(length) > LENGTH_DIGITS or int(length) > limit):
        raise _too_large(limit)
    if seconds is None:
        return await _whole(receive, limit)
    try:
        async with asyncio.timeout(seconds):
            return await _whole(receive, limit)
    except TimeoutError:
        raise RequestTimeout(
            f"The body did not arrive within {seconds:g} seconds.", headers=[("connection", "close")]
        ) from None


async def _whole(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"A body of at most {limit} bytes is taken here.", headers=[("connection", "close")])


def may_be_deep(body: bytes) -> bool:
    """Whether there is enough in the body to nest deeper than is taken."""
    return body.count(b"{") + body.count(b"[") > DEPTH_MAX


def may_be_strange(body: bytes) -> bool:
    """Whether the body may hold a NUL or a lone surrogate."""
    return b"\\u" in body and _SUSPECT.search(body) is not None


class _Twice(list[tuple[str, Any]]):
    """An object in which a name stands twice, its members in order."""


def parse(body: bytes) -> tuple[Any, list[Refusal]]:
    """The value, and what is wrong with the text itself, each fault at its place. None with a fault where nothing can be read."""
    twice: list[_Twice] = []

    def members(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        twice.append(_Twice(pairs))
        return twice[-1]

    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=members, parse_constant=_no_constant, parse_int=_integer)
    except UnicodeDecodeError:
        return None, [InvalidRequest("The body is not UTF-8.", source=at(""))]
    except RecursionError:
        return None, [_too_deep()]
    except ValueError:
        return None, [InvalidRequest("The body is not JSON.", source=at(""))]
    if may_be_deep(body) and _is_deep(value):
        return None, [_too_deep()]
    faults: list[Refusal] = []
    if twice or may_be_strange(body):
        value = _plain(value, "", faults)
    return value, faults


def _is_deep(value: Any) -> bool:
    """Whether it nests deeper than is taken. Level by level: a batch is wide."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            member
            for group in level
            if isinstance(group, (dict, list))
            for member in _inside(group)
            if isinstance(member, (dict, list))
        ]
        if not level:
            return False
    return True


def _inside(group: dict[str, Any] | list[Any]) -> Iterable[Any]:
    if isinstance(group, _Twice):
        return (member for _, member in group)
    return group.values() if isinstance(group, dict) else group


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The body nests deeper than {DEPTH_MAX} levels.", source=at(""))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int | float:
    """A number of thousands of digits is no integer of ours; it is told as out of range where it stands."""
    return int(digits) if len(digits) <= 40 else float("inf")


def _plain(value: Any, pointer: str, faults: list[Refusal]) -> Any:
    """The value with its oddities named: names given twice, NUL and lone surrogates in strings."""
    if isinstance(value, str):
        _check_text(value, pointer, faults)
        return value
    if isinstance(value, _Twice):
        seen: set[str] = set()
        for name, _ in value:
            if name in seen and len(faults) < FAULTS_MAX:
                faults.append(InvalidRequest("This member is given twice.", source=at(below(pointer, name))))
            seen.add(name)
        value = dict(value)
    if isinstance(value, dict):
        for name in value:
            _check_text(name, pointer, faults)
        return {name: _plain(member, below(pointer, name), faults) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{pointer}/{number}", faults) for number, item in enumerate(value)]
    return value


def _check_text(text: str, pointer: str, faults: list[Refusal]) -> None:
    if len(faults) >= FAULTS_MAX:
        return
    if "\0" in text:
        faults.append(InvalidRequest("A string here holds a NUL character; leave it out.", source=at(pointer)))
    elif not is_text(text):
        faults.append(InvalidRequest("A string here holds half a surrogate pair; leave it out.", source=at(pointer)))


def is_text(text: str) -> bool:
    """Whether it can be written in UTF-8: it holds no half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def below(pointer: str, name: str) -> str:
    """The JSON pointer (RFC 6901) of a member; of the object itself where the name is no text or too long to repeat."""
    if len(name) > NAME_MAX or not is_text(name):
        return pointer
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
