"""Documents on their way in: what is right is read in one pass, and what is not is told fault by fault, each at its place."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, cast

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType, inspect

from tallystick.base.body import DEPTH_MAX, FAULTS_MAX
from tallystick.base.documents import Reader
from tallystick.base.errors import Refusals
from tallystick.base.routes import Call, Method, Reply, Route, Takes
from tallystick.main import routes
from tallystick.merchants import MerchantDirectory

ID = "0195f5e8-0000-7000-8000-000000000001"


class Line(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    unit_amount: Annotated[int, Meta(ge=1, le=100)]
    note: str | None = None


class Order(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    phone_number: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[+0-9 ]+$")]
    amount: Annotated[int, Meta(ge=1, le=2_147_483_647)]
    is_gift: bool = False
    lines: Annotated[list[Line], Meta(max_length=40)] | UnsetType = UNSET


async def nobody(call: Call) -> Reply:
    raise AssertionError("nothing is handled here")


def reader(*, path: str = "/api/v1/orders", method: Method = "POST", optional: bool = False) -> Reader:
    return Reader(
        Route(method, path, nobody, "orders:write", "Order.", Takes(Order, ("NewOrder", "Order"), {}, optional))
    )


NEW, CHANGED = reader(), reader(path="/api/v1/orders/{id}", method="PATCH", optional=True)
RIGHT = {"data": {"type": "NewOrder", "attributes": {"phoneNumber": "+12025550143", "amount": 500}}}


def document(**attributes: Any) -> bytes:
    return json.dumps(
        {"data": {"type": "NewOrder", "attributes": {"phoneNumber": "+1", "amount": 1, **attributes}}}
    ).encode()


def faults_of(body: bytes, path_id: str | None = None, by: Reader = NEW) -> list[tuple[str, str]]:
    """Code and place of each fault, all of one status; none when the document is read."""
    told: list[tuple[str, str]] = []
    statuses = set()
    try:
        by.read(body, path_id)
    except Refusals as refused:
        for fault in refused.faults:
            statuses.add(fault.status)
            told.append((fault.code, fault.source.name if fault.source is not None else "nowhere"))
    assert statuses in ({400}, {409}, set())
    return told


def places(body: bytes, path_id: str | None = None, by: Reader = NEW) -> list[str]:
    return [place for _, place in faults_of(body, path_id, by)]


def resolves(pointer: str, value: Any) -> bool:
    """Whether the pointer names something in the value (RFC 6901)."""
    if pointer == "":
        return True
    for part in pointer[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return False
    return True


def test_a_right_document_is_read() -> None:
    attributes, sent_id = NEW.read(json.dumps(RIGHT).encode(), None)
    assert (attributes, sent_id) == (Order("+12025550143", 500), None)


def test_every_fault_is_told_at_once_and_points_at_what_was_sent() -> None:
    body = json.dumps(
        {
            "extra": 1,
            "meta": [],
            "data": {
                "type": 5,
                "id": ID,
                "lid": "a",
                "relationships": {"user": {}},
                "attributes": {
                    "amount": "500",
                    "isGift": 1,
                    "a/b~c": 1,
                    "lines": [{"unitAmount": 0}, {"unitAmount": 3, "x": 1}, {}, 7],
                },
            },
        }
    ).encode()
    found = faults_of(body)
    assert {code for code, _ in found} == {"InvalidRequest"}
    assert sorted(place for _, place in found) == sorted(
        [
            "/extra",
            "/meta",
            "/data/lid",
            "/data/relationships",
            "/data/type",
            "/data/id",
            "/data/attributes/amount",
            "/data/attributes/isGift",
            "/data/attributes/a~1b~0c",
            "/data/attributes/lines/0/unitAmount",
            "/data/attributes/lines/1/x",
            "/data/attributes/lines/2",
            "/data/attributes/lines/3",
            "/data/attributes",
        ]
    )
    assert all(resolves(place, json.loads(body)) for _, place in found)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", ""),
        (b"   ", ""),
        (b"null", ""),
        (b"[]", ""),
        (b"5", ""),
        (b'"data"', ""),
        (b"{}", ""),
        (b'{"data":null}', "/data"),
        (b'{"data":[]}', "/data"),
        (b'{"data":[{"type":"NewOrder","attributes":{"phoneNumber":"+1","amount":1}}]}', "/data"),
        (b'{"data":{"type":"NewOrder"}}', "/data"),
        (b'{"data":{"type":"NewOrder","attributes":null}}', "/data/attributes"),
        (b'{"data":{"type":"NewOrder","attributes":[]}}', "/data/attributes"),
        (b'{"data":{"attributes":{"phoneNumber":"+1","amount":1}}}', "/data"),
        (b'{"data":{"type":null,"attributes":{"phoneNumber":"+1","amount":1}}}', "/data/type"),
        (b'{"data":{"type":"NewOrder","id":null,"attributes":{"phoneNumber":"+1","amount":1}}}', "/data/id"),
        (
            b'{"data":{"type":"NewOrder","relationships":null,"attributes":{"phoneNumber":"+1","amount":1}}}',
            "/data/relationships",
        ),
        (b'{"data":{"type":"NewOrder","links":1,"attributes":{"phoneNumber":"+1","amount":1}}}', "/data/links"),
        (b"\xef\xbb\xbf" + json.dumps(RIGHT).encode(), ""),
        (json.dumps(RIGHT).encode("utf-16"), ""),
        (json.dumps(RIGHT).encode() + b" x", ""),
        (json.dumps(RIGHT).encode()[:-1], ""),
        (json.dumps(RIGHT).encode().replace(b"500", b"500,"), ""),
        (b"\xff\xfe", ""),
        (document(note="\xe9").replace(b"\\u00e9", b"\xe9"), ""),
        (document(note="x").replace(b'"x"', b'"\xed\xa0\x80"'), ""),
        (document(note="x").replace(b'"x"', b'"\x00"'), ""),
        (document(amount=1).replace(b": 1}", b": NaN}"), ""),
        (document(amount=1).replace(b": 1}", b": -Infinity}"), ""),
        (b"[" * 1000 + b"]" * 1000, ""),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, ""),
        (b"[" * 200_000, ""),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else "",
)
def test_what_is_no_document_is_told_where_it_ends_to_be_one(body: bytes, place: str) -> None:
    assert faults_of(body) == [("InvalidRequest", place)]


@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "-1",
        "2147483648",
        "1e2",
        "5.0",
        "true",
        '"5"',
        "null",
        "[]",
        "{}",
        '"😀"',
        "9" * 50,
        "9" * 5000,
        "-" + "9" * 400,
        "1e400",
    ],
)
def test_only_a_whole_number_in_range_is_an_amount(amount: str) -> None:
    assert faults_of(document(amount=1).replace(b'"amount": 1', f'"amount": {amount}'.encode())) == [
        ("InvalidRequest", "/data/attributes/amount")
    ]


@pytest.mark.parametrize("field", ["meta", "links", "jsonapi"])
def test_empty_members_that_clients_send_are_fine(field: str) -> None:
    sent = copy.deepcopy(RIGHT) | {field: {}}
    assert faults_of(json.dumps(sent).encode()) == []
    sent["data"] |= {"meta": {}, "links": {}, "relationships": {}}
    assert faults_of(json.dumps(sent).encode()) == []


def test_a_name_given_twice_is_a_fault_however_it_is_written() -> None:
    right = document()
    for twice in (b'"amount": 1, "amount": 1', b'"amount": 1, "\\u0061mount": 1', b'"\\u0061mount": 1, "amount": 1'):
        assert places(right.replace(b'"amount": 1', twice)) == ["/data/attributes/amount"], twice
    assert places(right.replace(b'{"data"', b'{"data": {}, "data"')) == ["/data"]
    assert places(right.replace(b'{"data"', b'{"meta": {"a-b": 1, "a-b": 2}, "data"')) == ["/meta/a-b"]
    assert places(right.replace(b'{"data"', b'{"meta": {"": 1, "": 2}, "data"')) == ["/meta/"]
    assert places(right.replace(b'{"data"', b'{"meta": {"a\\"": 1, "a\\u0022": 2}, "data"')) == ['/meta/a"']
    assert places(right.replace(b'{"data"', b'{"meta": {"amount": 1, "type": 1}, "data"')) == []


def test_an_escaped_name_is_the_same_name() -> None:
    attributes, _ = NEW.read(document().replace(b'"amount"', b'"\\u0061mount"'), None)
    assert attributes.amount == 1


def test_nul_and_halves_of_surrogate_pairs_are_told_where_they_stand() -> None:
    assert places(document(lines=[{"unitAmount": 1, "note": "a\0b"}])) == ["/data/attributes/lines/0/note"]
    assert places(document(lines=[{"unitAmount": 1, "note": "\ud83d"}])) == ["/data/attributes/lines/0/note"]
    assert places(document().replace(b'{"data"', b'{"meta": {"a": ["\\ud83d"]}, "data"')) == ["/meta/a/0"]
    assert places(document().replace(b'{"data"', b'{"meta": {"\\u0000": 1}, "data"')) == ["/meta"]
    assert places(document(lines=[{"unitAmount": 1, "note": "😀 \\u0000 \\ud800"}])) == []


def test_depth_is_bounded_also_where_anything_is_taken() -> None:
    # The document and its meta are two levels of their own.
    for inside, expected in ((DEPTH_MAX - 2, []), (DEPTH_MAX - 1, [""])):
        nested = b"[" * inside + b"]" * inside
        assert places(document().replace(b'{"data"', b'{"meta": {"a": %s}, "data"' % nested)) == expected
    assert places(document(lines=[{"unitAmount": 1, "note": "[{" * 500}])) == []


def test_what_conflicts_is_told_when_the_rest_is_right() -> None:
    wrong_type = copy.deepcopy(RIGHT)
    wrong_type["data"]["type"] = "Reward"
    assert faults_of(json.dumps(wrong_type).encode()) == [("TypeConflict", "/data/type")]
    wrong_type["data"]["attributes"] = {"amount": 0, "phoneNumber": "+1"}
    assert faults_of(json.dumps(wrong_type).encode()) == [("InvalidRequest", "/data/attributes/amount")]
    named = copy.deepcopy(RIGHT)
    cast(dict[str, Any], named["data"])["id"] = ID
    body = json.dumps(named).encode()
    assert faults_of(body, ID, CHANGED) == []
    assert CHANGED.read(body, ID.upper())[1] == ID
    assert faults_of(body, ID[:-1] + "2", CHANGED) == [("IdConflict", "/data/id")]
    assert faults_of(body) == [("InvalidRequest", "/data/id")]
    cast(dict[str, Any], named["data"])["type"] = "Reward"
    assert sorted(faults_of(json.dumps(named).encode(), ID[:-1] + "2", CHANGED)) == [
        ("IdConflict", "/data/id"),
        ("TypeConflict", "/data/type"),
    ]


def test_no_body_is_fine_where_nothing_is_needed() -> None:
    assert CHANGED.read(b"", ID) == (None, None)
    assert CHANGED.read(b'{"data":{"type":"Order"}}', ID) == (None, None)
    assert faults_of(b"{}", ID, CHANGED) == [("InvalidRequest", "")]


def test_the_first_hundred_faults_are_told() -> None:
    body = document(**{f"x{number}": 1 for number in range(10_000)})
    assert len(faults_of(body)) == FAULTS_MAX
    assert (
        len(faults_of(document(lines=[{} for _ in range(40)], **{f"x{number}": 1 for number in range(90)})))
        == FAULTS_MAX
    )
    doubled = b",".join(b'"x%d":1,"x%d":2' % (number, number) for number in range(1000))
    assert len(faults_of(b'{"data":{"type":"NewOrder","attributes":{%s}}}' % doubled)) == FAULTS_MAX


def test_a_long_name_is_not_repeated() -> None:
    assert places(document(**{"x" * 100_000: 1})) == ["/data/attributes"]
    nul = b'{"%s": [%s]}' % (b"y" * 100_000, b",".join([b'"\\u0000"'] * 200))
    told = places(document().replace(b'{"data"', b'{"meta": %s, "data"' % nul))
    assert len(told) == FAULTS_MAX
    assert max(map(len, told)) < 100


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["NewOrder", "+1", ID, "\0", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "type", "id", "attributes", "amount", "phoneNumber", "lines", "unitAmount", "meta", "a-b"]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A right document in which some things were replaced, removed, added or written otherwise."""
    value: Any = {
        "data": {
            "type": "NewOrder",
            "attributes": {
                "phoneNumber": "+1 202",
                "amount": 5,
                "isGift": True,
                "lines": [{"unitAmount": 1, "note": "n"}, {"unitAmount": 2}],
            },
            "meta": {"free": {"form": [1]}},
        },
        "jsonapi": {"version": "1.1"},
    }
    for _ in range(draw(st.integers(0, 2))):
        groups = list(_groups(value))
        group = draw(st.sampled_from(groups))
        names = list(group) if isinstance(group, dict) else list(range(len(group)))
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "add" and isinstance(group, dict):
            group[draw(st.text(max_size=3) | st.sampled_from(["id", "meta", "amount", "a/b"]))] = draw(ANY_JSON)
        elif names:
            name = draw(st.sampled_from(names))
            if change == "remove":
                del group[name]
            else:
                group[name] = draw(ANY_JSON)
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 1))):
        if draw(st.booleans()):
            # A free member whose name has a quote in it, by two spellings that may mean the same.
            spellings = [b'\\"', b"\\u0022", b"x", b'x\\"', b"\\u0078\\u0022", b"\\\\"]
            one, other = draw(st.sampled_from(spellings)), draw(st.sampled_from(spellings))
            tail = draw(st.sampled_from([b"", b"a", b"amount"]))
            body = body[:1] + b'"links": {"%s%s": 1, "%s%s" : "a\\"b\\":c"},' % (one, tail, other, tail) + body[1:]
        found = [match.span() for match in re.finditer(rb'"(\w+)": [^{\[,}\]]+', body)]
        if found:
            start, end = draw(st.sampled_from(found))
            body = (
                body[:end]
                + b", "
                + draw(st.sampled_from([body[start:end], body[start:end].replace(b'"', b'"\\u0061', 1)]))
                + body[end:]
            )
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + draw(st.integers(0, 3)) :]
    return body


def _groups(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        yield value
        for member in value.values() if isinstance(value, dict) else value:
            yield from _groups(member)


def both_ways_agree(by: Reader, body: bytes, path_id: str | None) -> None:
    """What one pass accepts has no fault in the closer look, what it refuses has one, and each points at what was sent."""
    slow = by._faults(body, path_id, is_decoded=False)
    fast = faults_of(body, path_id, by)
    if body or not by._takes.optional:
        assert bool(fast) == bool(slow) or _beyond_range(body)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        assert {place for _, place in fast} <= {""}
        return
    assert all(resolves(place, value) for _, place in fast), fast


def _beyond_range(body: bytes) -> bool:
    """Whether a number in free form is too large for the decoder; such a document is refused without a place of its own."""
    return re.search(rb"\d{19}|\de\+?\d{3}", body) is not None


@given(
    st.one_of(
        mutated(),
        ANY_JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
        st.binary(max_size=40),
    )
)
@settings(max_examples=500)
@example(b'{"data":{"type":"NewOrder","attributes":{"phoneNumber":"+1","amount":1},"meta":{"a":1e999}}}')
def test_one_pass_and_the_closer_look_agree(body: bytes) -> None:
    both_ways_agree(NEW, body, None)
    both_ways_agree(CHANGED, body, ID)


HOUSE = [Reader(route) for route in routes(cast(MerchantDirectory, None)) if route.takes is not None]


def bounds(shape: inspect.Type) -> Iterator[inspect.IntType | inspect.Type]:
    """Every type in this shape."""
    yield shape
    inner = [getattr(shape, name, None) for name in ("type", "item_type", "key_type", "value_type")]
    inner += getattr(shape, "types", ())
    inner += [field.type for field in getattr(shape, "fields", ())]
    for each in inner:
        if isinstance(each, inspect.Type):
            yield from bounds(each)


def test_every_shape_of_the_house_can_be_looked_at_closely() -> None:
    told = (
        inspect.StructType,
        inspect.UnionType,
        inspect.Metadata,
        inspect.ListType,
        inspect.IntType,
        inspect.BoolType,
        inspect.StrType,
        inspect.NoneType,
        inspect.LiteralType,
        inspect.DictType,  # the sender's own document: whatever it holds
        inspect.AnyType,
    )
    found = [shape for each in HOUSE for shape in bounds(each._shape)]
    assert len(found) > 50
    assert [shape for shape in found if not isinstance(shape, told)] == []
    numbers = [shape for shape in found if isinstance(shape, inspect.IntType)]
    assert [shape for shape in numbers if shape.le is None and shape.lt is None] == []
    assert [shape for shape in numbers if shape.ge is None and shape.gt is None] == []


def test_every_documented_example_is_read_and_its_mutations_are_told() -> None:
    for each in HOUSE:
        sent = {"data": {"type": each._takes.types[0], "attributes": dict(each._takes.example)}}
        body = json.dumps(sent).encode()
        assert faults_of(body, None, each) == [], each._takes
        for name in each._takes.example:
            wrongs: list[Any] = [None, True, 1.5, "\0", "\ud800", [], {}, [[]], -(2**70), "x" * 100_000]
            for wrong in wrongs:
                broken = json.dumps(
                    {"data": {**sent["data"], "attributes": {**each._takes.example, name: wrong}}}
                ).encode()
                both_ways_agree(each, broken, None)
