"""Media types by the rules of JSON:API 1.1: what may be sent, and whether what is answered can be accepted."""

import re
from functools import lru_cache
from typing import Final

JSON_API: Final = "application/vnd.api+json"
JSON: Final = "application/json"

_QUALITY: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


@lru_cache(maxsize=256)
def may_be_sent(content_type: str) -> bool:
    """Whether a body of this Content-Type is read.

    JSON:API 1.1: a media type with a parameter other than `ext` and `profile`, or an extension we do not know (we know none), is
    415; a profile is ignored. Plain JSON is taken too, where it says no other charset than UTF-8.
    """
    essence, parameters = _parsed(content_type)
    if parameters is None:
        return False
    if essence == JSON_API:
        return set(parameters) <= {"profile"}
    if essence == JSON:
        return set(parameters) <= {"charset"} and parameters.get("charset", "utf-8").lower() == "utf-8"
    return False


@lru_cache(maxsize=256)
def is_acceptable(accept: str) -> bool:
    """Whether our answers satisfy this Accept header; an absent or empty one accepts everything.

    JSON:API 1.1: instances of its media type with other parameters than `ext` and `profile`, or with an extension (we know
    none), are ignored; where all instances of it are, nothing else helps. Otherwise the most specific range decides (RFC 9110,
    12.5.1), and whoever reads plain JSON can read our answers. A range that cannot be read is ignored.
    """
    wanted, ignored = _ranges(accept)
    if not wanted and not ignored and not accept.strip(" ,"):
        return True
    if JSON_API in wanted or ignored:
        return wanted.get(JSON_API, 0.0) > 0
    return wanted.get(JSON, 0.0) > 0 or wanted.get("application/*", wanted.get("*/*", 0.0)) > 0


@lru_cache(maxsize=256)
def takes(accept: str, media_type: str) -> bool:
    """Whether a download of this media type satisfies the Accept header; JSON:API clients ask for their own type out of habit."""
    wanted, ignored = _ranges(accept)
    if not wanted and not ignored:
        return True
    family = media_type.partition("/")[0]
    return any(wanted.get(name, 0.0) > 0 for name in (media_type, f"{family}/*", "*/*", JSON_API)) or ignored


def _ranges(accept: str) -> tuple[dict[str, float], bool]:
    """The quality of each range, and whether an instance of JSON:API's media type had to be ignored."""
    wanted: dict[str, float] = {}
    ignored = False
    ranges = [part for part in _split(accept, ",") if part.strip()]
    for part in ranges:
        essence, parameters = _parsed(part)
        quality = "" if parameters is None else parameters.pop("q", "1")
        if parameters is None or _QUALITY.fullmatch(quality) is None:
            continue
        if essence == JSON_API and not set(parameters) <= {"profile"}:
            ignored = True
            continue
        wanted[essence] = max(wanted.get(essence, 0.0), float(quality))
    return wanted, ignored


def _parsed(text: str) -> tuple[str, dict[str, str] | None]:
    """The type in lower case and its parameters; None for parameters that cannot be read."""
    essence, *rest = _split(text, ";")
    essence = essence.strip().lower()
    parameters: dict[str, str] = {}
    for part in rest:
        if not part.strip():  # RFC 9110, 5.6.6: a semicolon may stand alone
            continue
        name, is_given, value = part.partition("=")
        name = name.strip().lower()
        if not is_given or not name or name in parameters:
            return essence, None
        parameters[name] = value.strip().strip('"')
    return essence, parameters


def _split(text: str, separator: str) -> list[str]:
    """Split outside quotes, in which a backslash hides what follows it."""
    if '"' not in text:
        return text.split(separator)
    parts, start, quoted, hidden = [], 0, False, False
    for place, character in enumerate(text):
        if hidden:
            hidden = False
        elif quoted and character == "\\":
            hidden = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
