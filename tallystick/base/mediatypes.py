"""Media types by the rules of JSON:API 1.1: what may be sent, and whether what is answered can be accepted."""

from functools import lru_cache
from typing import Final

JSON_API: Final = "application/vnd.api+json"
JSON: Final = "application/json"

_RANGES: Final = frozenset({"*/*", "application/*", JSON})
"""What else matches our answers: whoever reads JSON can read them."""


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

    JSON:API 1.1: instances of its media type with other parameters than `ext` and `profile`, or with unknown extensions, are
    ignored; when nothing else is left, 406. A range of quality 0 does not accept. What cannot be read accepts nothing.
    """
    ranges = [part for part in _split(accept, ",") if part.strip()]
    return not ranges or any(_matches(part) for part in ranges)


def _matches(part: str) -> bool:
    essence, parameters = _parsed(part)
    if parameters is None:
        return False
    quality = parameters.pop("q", "1")
    try:
        if float(quality) <= 0:
            return False
    except ValueError:
        return False
    if essence == JSON_API:
        return set(parameters) <= {"profile"}
    return essence in _RANGES


def _parsed(text: str) -> tuple[str, dict[str, str] | None]:
    """The type in lower case and its parameters; None for parameters that cannot be read."""
    essence, *rest = _split(text, ";")
    parameters: dict[str, str] = {}
    for part in rest:
        name, is_given, value = part.partition("=")
        name = name.strip().lower()
        if not is_given or not name or name in parameters:
            return "", None
        parameters[name] = value.strip().strip('"')
    return essence.strip().lower(), parameters


def _split(text: str, separator: str) -> list[str]:
    """Split outside quotes."""
    if '"' not in text:
        return text.split(separator)
    parts, start, quoted = [], 0, False
    for place, character in enumerate(text):
        if character == '"' and (place == 0 or text[place - 1] != "\\"):
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
