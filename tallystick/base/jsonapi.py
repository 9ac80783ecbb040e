"""JSON:API documents out: resource objects, single documents and listings, as bytes."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

from tallystick.base.errors import InvalidRequest, Refusal, Refusals, parameter
from tallystick.base.routes import Call, Resource

LIMIT_DEFAULT, LIMIT_MAX = 10, 50
OFFSET_MAX = 2**31 - 1
DIGITS_MAX = 18
"""Digits of a number that are read; one of more is larger than anything here, whatever it is."""

_encode = msgspec.json.Encoder().encode


def resource(kind: Resource, resource_id: UUID | str, attributes: msgspec.Struct) -> bytes:
    """The resource object: id, type and attributes."""
    return b'{"id":"%s","type":"%s","attributes":%s}' % (
        str(resource_id).encode(),
        kind.type.encode(),
        _encode(attributes),
    )


def document(data: bytes) -> bytes:
    """The document whose primary data is one resource object."""
    return b'{"data":%s}' % data


def null_document() -> bytes:
    """The document that says there is nothing."""
    return b'{"data":null}'


def listing(items: Sequence[bytes], *, total: int, offset: int, limit: int, call: Call) -> bytes:
    """One page of a collection, how many there are in all, and the links to the other pages."""
    # The links differ in one number; quoting the rest for each would cost more than everything else here.
    address = link(call, {"page[limit]": str(limit), "page[offset]": ""})
    links = {
        "self": f"{address}{offset}",
        "first": f"{address}0",
        "prev": f"{address}{max(0, offset - limit)}" if offset > 0 else None,
        "next": f"{address}{offset + limit}" if offset + limit < total else None,
        "last": f"{address}{max(0, (total - 1) // limit * limit)}",
    }
    meta = _encode({"total": total, "limit": limit, "offset": offset})
    return b'{"data":[%s],"meta":%s,"links":%s}' % (b",".join(items), meta, _encode(links))


def feed(items: Sequence[bytes], *, meta: dict[str, Any], following: str | None) -> bytes:
    """One page of a feed by cursor, and the link to the next where there may be more."""
    return b'{"data":[%s],"meta":%s,"links":%s}' % (b",".join(items), _encode(meta), _encode({"next": following}))


def page(call: Call, faults: list[Refusal] | None = None) -> tuple[int, int]:
    """Offset and limit of a page. Faults are added to `faults`, or raised where there is no such list.

    A limit beyond the largest is that one; an offset beyond every page is a fault.
    """
    wrong: list[Refusal] = []
    offset = _number(call.query.get("page[offset]"), "page[offset]", 0, 0, wrong)
    limit = _number(call.query.get("page[limit]"), "page[limit]", LIMIT_DEFAULT, 1, wrong)
    if offset > OFFSET_MAX:
        wrong.insert(
            0, InvalidRequest(f"An offset of at most {OFFSET_MAX} is taken.", source=parameter("page[offset]"))
        )
        offset = 0
    if faults is not None:
        faults += wrong
    elif wrong:
        raise Refusals(wrong)
    return offset, min(limit, LIMIT_MAX)


def _number(sent: str | None, name: str, default: int, least: int, faults: list[Refusal]) -> int:
    if sent is None:
        return default
    if sent.isascii() and sent.isdigit():
        number = int(sent) if len(sent) <= DIGITS_MAX else OFFSET_MAX + 1
        if number >= least:
            return number
    faults.append(InvalidRequest(f"A whole number of at least {least} is wanted.", source=parameter(name)))
    return default


def link(call: Call, changed: dict[str, str]) -> str:
    """The call's own address with the other query parameters kept and these, in this order, behind them."""
    path = call.route.path
    for name, value in call.path.items():
        path = path.replace("{" + name + "}", quote(value, safe=""))
    kept = {name: value for name, value in call.query.items() if name not in changed} | changed
    return path + "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in kept.items())
