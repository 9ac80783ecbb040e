"""Queries on their way in: each parameter once and known to the route; brackets raw or encoded."""

from collections.abc import Set as AbstractSet
from urllib.parse import unquote_to_bytes

from tallystick.base.body import FAULTS_MAX
from tallystick.base.errors import InvalidRequest, Refusal, Refusals, parameter

NAME_MAX = 100


def read(text: bytes, known: AbstractSet[str]) -> dict[str, str]:
    """The parameters by decoded name. Raises Refusals: every fault at once, each with its parameter."""
    if not text:
        return {}
    query: dict[str, str] = {}
    faults: list[Refusal] = []
    for part in text.split(b"&"):
        if not part:
            continue
        raw_name, _, raw_value = part.partition(b"=")
        try:
            name, value = _unquoted(raw_name), _unquoted(raw_value)
        except UnicodeDecodeError:
            faults.append(_wrong("The query is not UTF-8.", ascii(raw_name)[2:-1]))
            continue
        if name not in known:
            faults.append(_wrong("This parameter is not known here.", name))
        elif name in query:
            faults.append(_wrong("This parameter is given twice.", name))
        elif "\0" in value:
            faults.append(_wrong("This parameter holds a NUL character.", name))
        query[name] = value
        if len(faults) >= FAULTS_MAX:
            break
    if faults:
        raise Refusals(faults)
    return query


def _wrong(detail: str, name: str) -> InvalidRequest:
    return InvalidRequest(detail, source=parameter(name[:NAME_MAX]))


def _unquoted(raw: bytes) -> str:
    """A name or a value. A plus is a space, but for the first character: no value begins with a space, and phones with a plus."""
    return unquote_to_bytes(raw[:1] + raw[1:].replace(b"+", b" ")).decode("utf-8")
