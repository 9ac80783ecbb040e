"""Pages by path: whole ones, and those below a path that end in a name."""

import pytest

from tallystick.base.page_table import Answered, Headers, NamedPage, Page, PageTable


async def plain(_headers: Headers, _query: bytes, _body: bytes) -> Answered:
    return 200, [], b"plain"


async def named(name: str, _headers: Headers, _query: bytes, _body: bytes) -> Answered:
    return 200, [], name.encode()


TABLE = PageTable({("GET", "/here"): plain, ("POST", "/here"): plain, ("POST", "/in/{id}"): NamedPage(named, 9)})


@pytest.mark.parametrize("path", ["/here", "/here/"])
def test_a_page_stands_at_its_path(path: str) -> None:
    place = TABLE.at(path)
    assert place is not None
    assert (place.route, sorted(place.pages), place.body_bytes) == ("/here", ["GET", "POST"], None)


@pytest.mark.parametrize(
    ("path", "name"), [("/in/a", b"a"), ("/in/a/", b"a"), ("/in/{id}", b"{id}"), ("/in/%2F", b"%2F")]
)
async def test_a_named_page_is_given_its_name(path: str, name: bytes) -> None:
    place = TABLE.at(path)
    assert place is not None
    assert (place.route, place.body_bytes) == ("/in/{id}", 9)
    page: Page = place.pages["POST"]
    assert (await page({}, b"", b""))[2] == name


@pytest.mark.parametrize(
    "path", ["", "/", "/in", "/in/", "/in//", "/in/a/b", "/in//a", "/here/a", "/elsewhere", "in/a"]
)
def test_nothing_stands_elsewhere(path: str) -> None:
    assert TABLE.at(path) is None
