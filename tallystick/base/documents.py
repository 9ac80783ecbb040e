"""Documents on their way in: decoded in one pass when they are right, and read again for every fault when they are not."""

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType, inspect

from tallystick.base.body import DEPTH_MAX, FAULTS_MAX, below, may_be_deep, may_be_strange, parse
from tallystick.base.errors import IdConflict, InvalidRequest, Refusal, Refusals, TypeConflict, at
from tallystick.base.routes import Route, Several, Takes

# Names as the fast path can see them, and all there are: only where each is plain and stands once is no closer look needed. A name
# that stands twice may be fine (in two objects), and so may one that is written strangely. Of a name with an escaped quote the
# end is seen, and equal names have equal ends.
_NAMES: Final = re.compile(rb'"(\w+)"\s*:')
_ENDS_OF_NAMES: Final = re.compile(rb'"\s*:')
_SPACED_QUOTES: Final = (b'" ', b'"\n', b'"\r', b'"\t')
_NESTING: Final = frozenset({dict, list})

_decode_anything = msgspec.json.Decoder().decode

_TOP: Final = frozenset({"data", "meta", "links", "jsonapi"})
_RESOURCE: Final = frozenset({"type", "id", "attributes", "relationships", "links", "meta"})


class Reader:
    """Reads the documents of one route. A fault points at what was sent (JSON:API 1.1): what is missing, at where it is missed."""

    def __init__(self, route: Route) -> None:
        assert route.takes is not None, "a reader is for a route that takes a document"
        self._takes: Takes = route.takes
        self._names_id = "{id}" in route.path
        data = msgspec.defstruct(
            "Data",
            [
                ("type", str),
                ("attributes", self._takes.attributes, UNSET)
                if self._takes.optional
                else ("attributes", self._takes.attributes),
                ("id", str | UnsetType, UNSET),
                ("relationships", dict[str, Any] | UnsetType, UNSET),
                ("links", dict[str, Any] | UnsetType, UNSET),
                ("meta", dict[str, Any] | UnsetType, UNSET),
            ],
            forbid_unknown_fields=True,
        )
        document = msgspec.defstruct(
            "Document",
            [
                ("data", data),
                ("meta", dict[str, Any] | UnsetType, UNSET),
                ("links", dict[str, Any] | UnsetType, UNSET),
                ("jsonapi", dict[str, Any] | UnsetType, UNSET),
            ],
            forbid_unknown_fields=True,
        )
        self._decode = msgspec.json.Decoder(document).decode
        self._list = ListReader(self._takes.many) if self._takes.many else None
        self._shape = inspect.type_info(self._takes.attributes)

    def read(self, body: bytes, path_id: str | None) -> tuple[Any, str | None]:
        """The attributes and the id sent. Raises Refusals: every fault at once, each with its pointer.

        A list is read as `Several`: what is wrong with one of its documents is told of that one only.
        """
        items = None if self._list is None else self._list.items(body)
        if items is not None:
            return Several([self._item(number, item) for number, item in enumerate(items)]), None
        return self._one(body, path_id)

    def _item(self, number: int, item: bytes) -> Any:
        """The attributes of one document of a list, or its faults, each at its place in the whole."""
        try:
            return self._one(b'{"data":%s}' % item, None)[0]
        except Refusals as refused:
            return Refusals([_below_item(fault, number) for fault in refused.faults])

    def _one(self, body: bytes, path_id: str | None) -> tuple[Any, str | None]:
        if not body and self._takes.optional:
            return None, None
        try:
            document: Any = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            document = None
        if document is not None and not self._needs_a_look(body, document, path_id):
            data = document.data
            attributes = None if data.attributes is UNSET else data.attributes
            return attributes, None if data.id is UNSET else data.id
        faults = self._faults(body, path_id, is_decoded=document is not None)
        if faults or document is None:
            raise Refusals(
                _of_one_status(faults) or [InvalidRequest("The body is not as this endpoint takes it.", source=at(""))]
            )
        data = document.data
        return None if data.attributes is UNSET else data.attributes, None if data.id is UNSET else data.id

    def _needs_a_look(self, body: bytes, document: Any, path_id: str | None) -> bool:
        data = document.data
        if data.type not in self._takes.types or may_be_strange(body):
            return True
        if data.relationships or (data.id is not UNSET and not (self._names_id and data.id == path_id)):
            return True
        # Mostly every name is plain and stands once, and every colon ends one; others stand in strings.
        if not may_be_deep(body) and len(set(_NAMES.findall(body))) == body.count(b":"):
            return False
        # Of a name that stands twice in one object, one is lost when the object is read.
        try:
            return _names_in(_decode_anything(body), DEPTH_MAX) != _ends_of_names(body)
        except RecursionError:
            return True

    def _faults(self, body: bytes, path_id: str | None, *, is_decoded: bool) -> list[Refusal]:
        """Every fault there is; the attributes of a document that was decoded have none but those of its text."""
        value, faults = parse(body)
        if faults and value is None:
            return faults
        if not isinstance(value, dict):
            return [InvalidRequest("The body is an object with the member data.", source=at(""))]
        for name in value:
            if name not in _TOP:
                faults.append(InvalidRequest("This member is not known here.", source=at(below("", name))))
        for name in ("meta", "links", "jsonapi"):
            _object_or_absent(value, name, "", faults)
        data = value.get("data", UNSET)
        if data is UNSET:
            faults.append(InvalidRequest("The member data is missing.", source=at("")))
        elif not isinstance(data, dict):
            faults.append(InvalidRequest("data is one resource object.", source=at("/data")))
        else:
            self._faults_of_resource(data, path_id, faults, is_decoded=is_decoded)
        return faults[:FAULTS_MAX]

    def _faults_of_resource(
        self, data: dict[str, Any], path_id: str | None, faults: list[Refusal], *, is_decoded: bool
    ) -> None:
        faults += [
            InvalidRequest("This member is not known here.", source=at(below("/data", name)))
            for name in data
            if name not in _RESOURCE
        ]
        for name in ("links", "meta"):
            _object_or_absent(data, name, "/data", faults)
        if data.get("relationships", {}) != {}:
            place = at("/data/relationships")
            faults.append(InvalidRequest("Other resources are named by id attributes here.", source=place))
        self._faults_of_identity(data, path_id, faults)
        attributes = data.get("attributes", UNSET)
        if attributes is UNSET:
            if not self._takes.optional:
                faults.append(InvalidRequest("The member attributes is missing.", source=at("/data")))
        elif not is_decoded:
            check(self._shape, attributes, "/data/attributes", faults)

    def _faults_of_identity(self, data: dict[str, Any], path_id: str | None, faults: list[Refusal]) -> None:
        kind, wanted = data.get("type", UNSET), self._takes.types
        if kind is UNSET:
            faults.append(InvalidRequest(f"The member type is missing; it is {wanted[0]}.", source=at("/data")))
        elif not isinstance(kind, str):
            faults.append(InvalidRequest("The type is a string.", source=at("/data/type")))
        elif kind not in wanted:
            faults.append(TypeConflict(f"This endpoint takes the type {' or '.join(wanted)}.", source=at("/data/type")))
        sent = data.get("id", UNSET)
        if sent is UNSET:
            return
        if not isinstance(sent, str):
            faults.append(InvalidRequest("The id is a string.", source=at("/data/id")))
        elif not self._names_id:
            faults.append(InvalidRequest("Ids are made by the server; leave it out.", source=at("/data/id")))
        elif path_id is None or sent.lower() != path_id.lower():
            faults.append(IdConflict("The id is not the one in the path.", source=at("/data/id")))


class _Outside(msgspec.Struct):
    """A document whose primary data is not looked at yet."""

    data: msgspec.Raw = msgspec.Raw(b"")


class ListReader:
    """Takes a list of documents apart, without reading them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._outside = msgspec.json.Decoder(_Outside).decode
        self._apart = msgspec.json.Decoder(list[msgspec.Raw]).decode

    def items(self, body: bytes) -> list[bytes] | None:
        """The text of each document; None where no list came. Raises Refusals for what is wrong with the whole."""
        try:
            data = bytes(self._outside(body).data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if not data.startswith(b"["):
            return None
        faults = self._faults(body.replace(data, b"null", 1))
        items = self._apart(data)
        if not 1 <= len(items) <= self._most:
            detail = f"One resource object, or a list of 1 to {self._most}, is wanted."
            faults.append(InvalidRequest(detail, source=at("/data")))
        if faults:
            raise Refusals(faults)
        return [bytes(item) for item in items]

    @staticmethod
    def _faults(outside: bytes) -> list[Refusal]:
        """What is wrong with a document, but for its data."""
        value, faults = parse(outside)
        for name in value or ():
            if name not in _TOP:
                faults.append(InvalidRequest("This member is not known here.", source=at(below("", name))))
        for name in ("meta", "links", "jsonapi"):
            _object_or_absent(value or {}, name, "", faults)
        return faults


def _below_item(fault: Refusal, number: int) -> Refusal:
    """The same fault of one document of a list, pointing into the list."""
    if fault.source is None or not fault.source.name.startswith("/data"):
        return fault
    place = at(f"/data/{number}{fault.source.name.removeprefix('/data')}")
    return type(fault)(fault.detail, source=place, headers=fault.headers)


def _ends_of_names(body: bytes) -> int:
    """How many names end in a body, and how often a string looks as if one did."""
    if any(quote in body for quote in _SPACED_QUOTES):
        return len(_ENDS_OF_NAMES.findall(body))
    return body.count(b'":')


def _names_in(value: Any, depth: int) -> int:
    """How many members the objects in a value have; too few where it is deeper than is taken."""
    # Level by level, in few steps however many objects there are: everybody else waits for this.
    level, names = [value], 0
    while level:
        if depth == 0:
            return -1
        depth -= 1
        objects = [each for each in level if type(each) is dict]
        lists = [each for each in level if type(each) is list]
        names += sum(map(len, objects))
        below_it = chain(chain.from_iterable(map(dict.values, objects)), chain.from_iterable(lists))
        level = [each for each in below_it if type(each) in _NESTING]
    return names


def _of_one_status(faults: Sequence[Refusal]) -> list[Refusal]:
    """Faults that can be answered together: those of the first one's status; what is not valid comes before what conflicts."""
    first = min(faults, key=lambda fault: fault.status, default=None)
    return [] if first is None else [fault for fault in faults if fault.status == first.status]


def _object_or_absent(value: dict[str, Any], name: str, pointer: str, faults: list[Refusal]) -> None:
    if not isinstance(value.get(name, {}), dict):
        faults.append(InvalidRequest("An object is wanted.", source=at(f"{pointer}/{name}")))


def check(shape: inspect.Type, value: Any, pointer: str, faults: list[Refusal]) -> None:
    """Add every fault of `value`, held against its shape, to `faults`."""
    if len(faults) >= FAULTS_MAX:
        return
    if isinstance(shape, inspect.Metadata):
        check(shape.type, value, pointer, faults)
    elif isinstance(shape, inspect.UnionType):
        _check_union(shape, value, pointer, faults)
    elif isinstance(shape, inspect.StructType):
        _check_struct(shape, value, pointer, faults)
    elif isinstance(shape, inspect.ListType):
        _check_list(shape, value, pointer, faults)
    else:
        detail = _wrong(shape, value)
        if detail is not None:
            faults.append(InvalidRequest(detail, source=at(pointer)))


def _check_union(shape: inspect.UnionType, value: Any, pointer: str, faults: list[Refusal]) -> None:
    if value is None and shape.includes_none:
        return
    others = [other for other in shape.types if not isinstance(_bare(other), inspect.NoneType)]
    if len(others) == 1:
        check(others[0], value, pointer, faults)
        return
    attempts: list[list[Refusal]] = []
    for other in others:
        attempt: list[Refusal] = []
        check(other, value, pointer, attempt)
        attempts.append(attempt)
    nearest = min(attempts, key=len)
    faults += nearest


def _bare(shape: inspect.Type) -> inspect.Type:
    return shape.type if isinstance(shape, inspect.Metadata) else shape


def _check_struct(shape: inspect.StructType, value: Any, pointer: str, faults: list[Refusal]) -> None:
    if not isinstance(value, dict):
        faults.append(InvalidRequest("An object is wanted.", source=at(pointer)))
        return
    known = {field.encode_name: field for field in shape.fields}
    for name, member in value.items():
        place = below(pointer, name)
        if name in known:
            check(known[name].type, member, place, faults)
        elif len(faults) < FAULTS_MAX:
            faults.append(InvalidRequest("This attribute is not known here.", source=at(place)))
    for name, field in known.items():
        if field.required and name not in value:
            faults.append(InvalidRequest(f"The attribute {name} is required.", source=at(pointer)))


def _check_list(shape: inspect.ListType, value: Any, pointer: str, faults: list[Refusal]) -> None:
    if not isinstance(value, list):
        faults.append(InvalidRequest("A list is wanted.", source=at(pointer)))
        return
    least, most = shape.min_length or 0, shape.max_length
    if len(value) < least or (most is not None and len(value) > most):
        bound = f"{least} to {most}" if most is not None else f"at least {least}"
        faults.append(InvalidRequest(f"A list of {bound} items is wanted.", source=at(pointer)))
        return
    for number, item in enumerate(value):
        check(shape.item_type, item, f"{pointer}/{number}", faults)


def _wrong(shape: inspect.Type, value: Any) -> str | None:
    if isinstance(shape, inspect.IntType):
        return _wrong_integer(shape, value)
    if isinstance(shape, inspect.StrType):
        return _wrong_string(shape, value)
    if isinstance(shape, inspect.BoolType):
        return None if isinstance(value, bool) else "true or false is wanted."
    if isinstance(shape, inspect.LiteralType):
        return None if value in shape.values else f"One of {', '.join(map(str, shape.values))} is wanted."
    if isinstance(shape, inspect.NoneType):
        return None if value is None else "null is wanted."
    if isinstance(shape, inspect.DictType):
        return None if isinstance(value, dict) else "An object is wanted."
    return None


def _wrong_integer(shape: inspect.IntType, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        out_of_range = isinstance(value, float) and value == float("inf")
        return (
            f"{_range(shape)} is wanted."
            if out_of_range
            else "A whole number is wanted, without quotes, point or exponent."
        )
    low = shape.ge if shape.ge is not None else None if shape.gt is None else shape.gt + 1
    high = shape.le if shape.le is not None else None if shape.lt is None else shape.lt - 1
    if (low is not None and value < low) or (high is not None and value > high) or not -(2**63) <= value < 2**63:
        return f"{_range(shape)} is wanted."
    return None


def _range(shape: inspect.IntType) -> str:
    low = shape.ge if shape.ge is not None else None if shape.gt is None else shape.gt + 1
    high = shape.le if shape.le is not None else None if shape.lt is None else shape.lt - 1
    if low is not None and high is not None:
        return f"A whole number from {low} to {high}"
    return f"A whole number of at least {low}" if low is not None else "A whole number of at most 63 bits"


def _wrong_string(shape: inspect.StrType, value: Any) -> str | None:
    if not isinstance(value, str):
        return "A string is wanted."
    if shape.max_length is not None and len(value) > shape.max_length:
        return f"At most {shape.max_length} characters are taken."
    if shape.min_length is not None and len(value) < shape.min_length:
        return f"At least {shape.min_length} characters are wanted."
    if shape.pattern is not None and re.search(shape.pattern, value) is None:
        return "This text is not of the form that is wanted."
    return None
