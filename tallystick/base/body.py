"""Bodies on their way in: read within bounds of size and time, and never deeper, wider or stranger than what is answered for."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from tallystick.base.errors import InvalidRequest, PayloadTooLarge, Refusal, RequestTimeout, UnsupportedMediaType, at, header

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DEPTH_MAX: Final = 32
FAULTS_MAX: Final = 100

# What the decoder of the fast path cannot see: a name given twice, a NUL, a lone surrogate. Escapes are looked for in the raw bytes.
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class ClientGone(Exception):
    """The client closed the connection before its request was whole. Nobody is left to answer."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int, seconds: float) -> bytes:
    """The whole body. Raises PayloadTooLarge, RequestTimeout, UnsupportedMediaType, or ClientGone."""
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMediaType(
            "Send the body without Content-Encoding: compressed bodies are not taken.", source=header("Content-Encoding")
        )
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await _next(receive, seconds) if length in (None, b"0") else None
    if message is not None and not message.get("more_body"):
        return _bounded(message.get("body", b""), limit)
    return await _collect(receive, limit, seconds, message)


async def _collect(
    receive: Receive, limit: int, seconds: float, message: MutableMapping[str, Any] | None
) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                if message is None:
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
                message = None
    except TimeoutError:
        raise RequestTimeout(
            f"The body did not arrive within {seconds:g} seconds.", headers=[("connection", "close")]
        ) from None


async def _next(receive: Receive, seconds: float) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
    except TimeoutError:
        raise RequestTimeout(
            f"The body did not arrive within {seconds:g} seconds.", headers=[("connection", "close")]
        ) from None
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def _bounded(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"A body of at most {limit} bytes is taken here.", headers=[("connection", "close")])


def is_suspect(body: bytes) -> bool:
    """Whether the body must be looked at closely: it may hold a NUL or a lone surrogate, or nest deeply."""
    return body.count(b"{") + body.count(b"[") > DEPTH_MAX or _SUSPECT.search(body) is not None


class _Twice(list[tuple[str, Any]]):
    """An object in which a name stands twice, its members in order."""


def parse(body: bytes) -> tuple[Any, list[Refusal]]:
    """The value, and what is wrong with the text itself: a place in it for each fault. None with a fault where nothing can be read."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None, [InvalidRequest("The body is not UTF-8.", source=at(""))]
    depth = _depth(text)
    if depth > DEPTH_MAX:
        return None, [InvalidRequest(f"The body nests deeper than {DEPTH_MAX} levels.", source=at(""))]
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_no_constant, parse_int=_integer)
    except (ValueError, RecursionError):
        return None, [InvalidRequest("The body is not JSON.", source=at(""))]
    faults: list[Refusal] = []
    return _plain(value, "", faults), faults


def _depth(text: str) -> int:
    """How deep the brackets nest, those in strings aside."""
    deepest = depth = 0
    for bracket in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        character = bracket[0]
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEPTH_MAX:
                break
        elif character in "]}":
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> Any:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _Twice(pairs)


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
                place = at(f"{pointer}/{escaped(name)}")
                faults.append(InvalidRequest("This member is given twice.", source=place))
            seen.add(name)
        value = dict(value)
    if isinstance(value, dict):
        for name in value:
            _check_text(name, pointer, faults)
        return {name: _plain(member, f"{pointer}/{escaped(name)}", faults) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{pointer}/{number}", faults) for number, item in enumerate(value)]
    return value


def _check_text(text: str, pointer: str, faults: list[Refusal]) -> None:
    if len(faults) >= FAULTS_MAX or text.isascii() and "\0" not in text:
        return
    if "\0" in text:
        faults.append(InvalidRequest("A string here holds a NUL character; leave it out.", source=at(pointer)))
    elif any("\ud800" <= character <= "\udfff" for character in text):
        faults.append(InvalidRequest("A string here holds half a surrogate pair; leave it out.", source=at(pointer)))


def escaped(name: str) -> str:
    """A member's name as part of a JSON pointer (RFC 6901); what cannot be written in UTF-8 is replaced."""
    written = name.replace("~", "~0").replace("/", "~1")
    return written.encode("utf-8", "replace").decode()
