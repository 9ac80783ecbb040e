"""Documents out: pages, their bounds and their links, and attributes as they are declared."""

import json
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.base import ids, jsonapi
from tallystick.base.errors import Refusal, Refusals
from tallystick.base.routes import PAGE, Call, House, Parameter, Reply, Resource, Route
from tallystick.base.work import Asked, Caller

ID = UUID("0195f5e8-0000-7000-8000-000000000001")


class Line(msgspec.Struct, rename="camel"):
    unit_amount: int
    gift_note: str | None = None


LINE = Resource("Line", "/api/v1/orders/{id}/lines", Line)


async def nobody(call: Call) -> Reply:
    raise AssertionError("nothing is handled here")


LINES = Route(
    "GET", LINE.path, nobody, "orders:read", "Lines.", None, LINE, many=True, query=(*PAGE, Parameter("q", "Q."))
)


def call(order: str = "7", **query: str) -> Call:
    """A call of the list; parameters by name with an underscore for `page[…]`."""
    named = {f"page[{name[5:]}]" if name.startswith("page_") else name: value for name, value in query.items()}
    asked = Asked(cast(Caller, None), ids.new(), "GET", LINES.path)
    return Call(cast(House, None), LINES, asked, {"id": order}, named, None, None)


def listed(asked: Call, *, total: int, offset: int = 0, limit: int = 10) -> Any:
    return json.loads(jsonapi.listing([], total=total, offset=offset, limit=limit, call=asked))


def asks_for(link: str) -> tuple[str, list[tuple[str, str]]]:
    """The path of a link as it is written, and its parameters decoded."""
    parts = urlsplit(link)
    return parts.path, parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)


def offset_of(link: str | None) -> int | None:
    return None if link is None else int(dict(asks_for(link)[1])["page[offset]"])


def test_attributes_keep_their_order_and_what_is_absent_is_null() -> None:
    assert jsonapi.document(jsonapi.resource(LINE, ID, Line(5))) == (
        b'{"data":{"id":"%s","type":"Line","attributes":{"unitAmount":5,"giftNote":null}}}' % str(ID).encode()
    )
    assert json.loads(jsonapi.null_document()) == {"data": None}


def test_a_page_holds_its_items_in_order_and_says_how_many_there_are() -> None:
    items = [jsonapi.resource(LINE, ID, Line(amount)) for amount in (3, 1, 2)]
    page = json.loads(jsonapi.listing(items, total=23, offset=10, limit=3, call=call()))
    assert [item["attributes"]["unitAmount"] for item in page["data"]] == [3, 1, 2]
    assert page["meta"] == {"total": 23, "limit": 3, "offset": 10}
    assert list(page["links"]) == ["self", "first", "prev", "next", "last"]


@pytest.mark.parametrize(
    ("total", "offset", "limit", "expected"),
    [
        (0, 0, 10, (0, 0, None, None, 0)),
        (1, 0, 10, (0, 0, None, None, 0)),
        (10, 0, 10, (0, 0, None, None, 0)),
        (11, 0, 10, (0, 0, None, 10, 10)),
        (30, 10, 10, (10, 0, 0, 20, 20)),
        (30, 20, 10, (20, 0, 10, None, 20)),
        (30, 5, 10, (5, 0, 0, 15, 20)),
        (30, 90, 10, (90, 0, 80, None, 20)),
    ],
)
def test_links_lead_to_the_pages_there_are(
    total: int, offset: int, limit: int, expected: tuple[int | None, ...]
) -> None:
    links = listed(call(), total=total, offset=offset, limit=limit)["links"]
    assert tuple(offset_of(link) for link in links.values()) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
@example("a/b", "+12025550143")
@example("é", "a&b=c#d%20 e")
@example("{id}", "[]")
def test_every_link_keeps_what_was_asked_whatever_it_holds(order: str, value: str) -> None:
    links = listed(call(order, q=value, page_limit="3", page_offset="6"), total=30, offset=6, limit=3)["links"]
    paths = {asks_for(link)[0] for link in links.values()}
    assert len(paths) == 1 and paths.pop().isascii()
    for link in links.values():
        path, parameters = asks_for(link)
        assert len(path.split("/")) == len(LINES.path.split("/"))
        assert len(parameters) == len(dict(parameters)) == 3
        assert dict(parameters)["q"] == value
        assert dict(parameters)["page[limit]"] == "3"


def test_a_feed_says_where_it_goes_on_and_null_at_its_end() -> None:
    following = jsonapi.link(call(q="x", page_after="1"), {"page[after]": "2"})
    assert asks_for(following) == ("/api/v1/orders/7/lines", [("q", "x"), ("page[after]", "2")])
    page = json.loads(jsonapi.feed([], meta={"limit": 5}, following=None))
    assert page == {"data": [], "meta": {"limit": 5}, "links": {"next": None}}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (0, 10)),
        ({"page_limit": "1"}, (0, 1)),
        ({"page_limit": "50"}, (0, 50)),
        ({"page_limit": "51"}, (0, 50)),
        ({"page_limit": "99999999999"}, (0, 50)),
        ({"page_limit": "9" * 6000}, (0, 50)),
        ({"page_offset": "0", "page_limit": "007"}, (0, 7)),
        ({"page_offset": str(jsonapi.OFFSET_MAX)}, (jsonapi.OFFSET_MAX, 10)),
    ],
)
def test_a_page_is_read_and_its_size_is_capped(query: dict[str, str], expected: tuple[int, int]) -> None:
    assert jsonapi.page(call(**query)) == expected


@pytest.mark.parametrize("wrong", ["", "-1", "+1", "1.0", "1e1", " 1", "1_0", "ten", "0x1", "\u0661", "\u00b2"])
def test_what_is_no_number_is_told_for_offset_and_limit_at_once(wrong: str) -> None:
    with pytest.raises(Refusals) as told:
        jsonapi.page(call(page_offset=wrong, page_limit=wrong))
    assert [fault.source.name for fault in told.value.faults if fault.source] == ["page[offset]", "page[limit]"]


@pytest.mark.parametrize("beyond", [str(jsonapi.OFFSET_MAX + 1), "9" * 11, "9" * 6000])
def test_an_offset_beyond_every_page_is_told_with_its_bound(beyond: str) -> None:
    faults: list[Refusal] = []
    assert jsonapi.page(call(page_offset=beyond), faults) == (0, 10)
    assert [fault.source.name for fault in faults if fault.source] == ["page[offset]"]
    assert str(jsonapi.OFFSET_MAX) in faults[0].detail


def test_a_limit_of_none_is_refused() -> None:
    with pytest.raises(Refusals, match="1 faults"):
        jsonapi.page(call(page_limit="0"))
