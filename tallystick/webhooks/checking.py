"""What partners may ask for when they make or change an endpoint, with every fault at its place."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, Refusal, attribute
from tallystick.events import TOPICS
from tallystick.webhooks.model import ALL_TOPICS, PAYLOAD_VERSIONS

HEADERS_MAX: Final = 20
HEADER_NAME_MAX: Final = 100
HEADER_VALUE_MAX: Final = 1_024
NAMED_MAX: Final = 1_000

# What the request itself needs, what this house says of it, and what would make it another request.
OURS: Final = frozenset(
    {
        "connection", "content-encoding", "content-length", "content-type", "cookie", "cookie2", "date", "expect", "forwarded",
        "host", "keep-alive", "origin", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "via",
    }
)  # fmt: skip
OUR_PREFIXES: Final = ("webhook-", "svix-", "proxy-", "sec-", "x-forwarded-", "tallystick-")

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_KNOWN: Final = frozenset(topic.name for topic in TOPICS)


def topics(sent: Sequence[str], faults: list[Refusal], *, star: bool = True) -> tuple[str, ...]:
    """Topics without doubles, in order; `*` stands alone."""
    if star and list(sent) == [ALL_TOPICS]:
        return (ALL_TOPICS,)
    for place, name in enumerate(sent):
        if name not in _KNOWN:
            detail = (
                "`*` means every topic, and stands alone."
                if name == ALL_TOPICS
                else "There is no such topic. Those there are: /api/v1/webhook-topics."
            )
            faults.append(InvalidRequest(detail, source=attribute(f"topics/{place}")))
    return tuple(sorted(set(sent)))


def named(sent: Sequence[str] | None, name: str, faults: list[Refusal]) -> tuple[UUID, ...] | None:
    """Ids without doubles, in order; None for no limit."""
    if sent is None:
        return None
    found = []
    for place, text in enumerate(sent):
        one = ids.parse(text)
        if one is None:
            faults.append(InvalidRequest("An id is wanted.", source=attribute(f"{name}/{place}")))
        else:
            found.append(one)
    return tuple(sorted(set(found)))


def payload_version(sent: str, faults: list[Refusal]) -> str:
    """A rendering that there is."""
    if sent not in PAYLOAD_VERSIONS:
        known = ", ".join(sorted(PAYLOAD_VERSIONS))
        faults.append(InvalidRequest(f"The versions there are: {known}.", source=attribute("payloadVersion")))
    return sent


def headers(sent: Mapping[str, Any], faults: list[Refusal]) -> dict[str, str]:
    """Headers of the partner's own, by lower-case name."""
    source = attribute("headers")
    if len(sent) > HEADERS_MAX:
        faults.append(InvalidRequest(f"At most {HEADERS_MAX} headers of your own are sent.", source=source))
        return {}
    found: dict[str, str] = {}
    for name, value in sent.items():
        lower = name.lower()
        fault = _header_fault(lower, value)
        if fault is None and lower in found:
            fault = "Every header is named once; upper and lower case are the same."
        if fault is not None:
            faults.append(InvalidRequest(fault, source=source))
            return {}
        found[lower] = value
    return found


def _header_fault(name: str, value: object) -> str | None:
    if len(name) > HEADER_NAME_MAX or not _TOKEN.fullmatch(name):
        return f"A header's name has 1 to {HEADER_NAME_MAX} of the characters that RFC 9110 allows."
    if name in OURS or name.startswith(OUR_PREFIXES):
        return f"`{name}` is not yours to set. Name your own headers otherwise, or use `authorization`."
    if not isinstance(value, str) or not 1 <= len(value) <= HEADER_VALUE_MAX:
        return f"A header's value is a text of 1 to {HEADER_VALUE_MAX} characters."
    if not value.isascii() or not value.isprintable() or value != value.strip():
        return "A header's value holds printable ASCII characters, and neither begins nor ends with a space."
    return None
