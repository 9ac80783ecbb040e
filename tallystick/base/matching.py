"""Which route a request means: one look-up a segment, the same for a hundred routes as for one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tallystick.base.routes import Route

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Matched:
    """The route with what its path names, or, where only the method is wrong, the methods that are allowed."""

    route: Route | None
    path: Mapping[str, str]
    allowed: tuple[str, ...] = ()


@dataclass(slots=True)
class _Node:
    children: "dict[str, _Node]" = field(default_factory=dict)
    named: "_Node | None" = None
    name: str = ""
    routes: dict[str, Route] = field(default_factory=dict)


class Table:
    """Every route, by the segments of its path. A trailing slash is forgiven."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self._plain: dict[tuple[str, str], Matched] = {}
        for route in routes:
            self._add(route)

    def match(self, method: str, path: str) -> Matched:
        """What the request means. HEAD is GET without the body."""
        if method == "HEAD":
            method = "GET"
        found = self._plain.get((method, path))
        if found is not None:
            return found
        node, named = self._root, {}
        for segment in path.rstrip("/").split("/")[1:]:
            child = node.children.get(segment)
            if child is None:
                if node.named is None:
                    return Matched(None, _NOTHING)
                child = node.named
                named[child.name] = segment
            node = child
        route = node.routes.get(method)
        if route is None:
            return Matched(None, named, _allowed(node.routes))
        return Matched(route, named)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                if node.named is None:
                    node.named = _Node(name=segment[1:-1])
                assert node.named.name == segment[1:-1], f"{route.path} names a segment otherwise than its neighbours"
                node = node.named
            else:
                node = node.children.setdefault(segment, _Node())
        assert route.method not in node.routes, f"{route.method} {route.path} is in the table twice"
        node.routes[route.method] = route
        if "{" not in route.path:
            self._plain[route.method, route.path] = Matched(route, _NOTHING)


def _allowed(routes: Mapping[str, Route]) -> tuple[str, ...]:
    methods = set(routes)
    if "GET" in methods:
        methods.add("HEAD")
    return tuple(sorted(methods))
