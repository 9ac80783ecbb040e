"""Which route a request means."""

import pytest

from tallystick.base.matching import Table
from tallystick.base.routes import Call, Method, Reply, Route


async def nobody(call: Call) -> Reply:
    raise AssertionError("nothing is handled here")


def route(method: Method, path: str) -> Route:
    return Route(method, path, nobody, "cards:read", "Cards.")


CARDS, CARD, NEW = route("GET", "/v1/cards"), route("GET", "/v1/cards/{id}"), route("POST", "/v1/cards")
LOOKUP, FREEZE, LINE = (
    route("POST", "/v1/cards/lookup"),
    route("POST", "/v1/cards/{id}/freeze"),
    route("GET", "/v1/cards/{id}/lines/{n}"),
)
TABLE = Table([CARDS, CARD, NEW, LOOKUP, FREEZE, LINE])


@pytest.mark.parametrize(
    ("method", "path", "expected", "named"),
    [
        ("GET", "/v1/cards", CARDS, {}),
        ("GET", "/v1/cards/", CARDS, {}),
        ("GET", "/v1/cards//", CARDS, {}),
        ("HEAD", "/v1/cards", CARDS, {}),
        ("HEAD", "/v1/cards/7/", CARD, {"id": "7"}),
        ("POST", "/v1/cards", NEW, {}),
        ("POST", "/v1/cards/lookup", LOOKUP, {}),
        ("POST", "/v1/cards/7/freeze", FREEZE, {"id": "7"}),
        ("GET", "/v1/cards/a b\0/lines/é", LINE, {"id": "a b\0", "n": "é"}),
    ],
)
def test_a_request_finds_its_route(method: str, path: str, expected: Route, named: dict[str, str]) -> None:
    matched = TABLE.match(method, path)
    assert matched.route is expected
    assert dict(matched.path) == named


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/cards", ("GET", "HEAD", "POST")),
        ("OPTIONS", "/v1/cards/", ("GET", "HEAD", "POST")),
        ("GET", "/v1/cards/lookup", ("POST",)),
        ("HEAD", "/v1/cards/7/freeze", ("POST",)),
        ("get", "/v1/cards", ("GET", "HEAD", "POST")),
        ("GET", "/v1", ()),
        ("GET", "/v1/card", ()),
        ("GET", "/v1/CARDS", ()),
        ("GET", "/v1//cards", ()),
        ("GET", "//v1/cards", ()),
        ("GET", "/v1/cards/7/freeze/8", ()),
        ("GET", "/", ()),
        ("GET", "", ()),
        ("OPTIONS", "*", ()),
        ("GET", "/v1/cards/../cards", ()),
    ],
)
def test_what_finds_none_learns_what_is_allowed(method: str, path: str, allowed: tuple[str, ...]) -> None:
    matched = TABLE.match(method, path)
    assert matched.route is None
    assert matched.allowed == allowed


def test_a_route_stands_in_the_table_once() -> None:
    with pytest.raises(AssertionError, match="twice"):
        Table([CARD, CARD])
    with pytest.raises(AssertionError, match="otherwise"):
        Table([CARD, route("GET", "/v1/cards/{number}/lines")])
