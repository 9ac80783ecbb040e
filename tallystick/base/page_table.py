"""Pages: what is not JSON:API, by method and path. A path may end in one name of its page's own (`/in/{id}`)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

Headers = Mapping[bytes, bytes]
Answered = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body as they go."""

Page = Callable[[Headers, bytes, bytes], Awaitable[Answered]]
"""Headers by lower-case name, query string and body as they came."""


@dataclass(frozen=True, slots=True)
class NamedPage:
    """The pages below one path: `answer` is given the last segment first. Larger bodies may be taken than elsewhere."""

    answer: Callable[[str, Headers, bytes, bytes], Awaitable[Answered]]
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at a path: a page for each method, and how many bytes they take (None: as many as elsewhere)."""

    route: str
    pages: Mapping[str, Page]
    body_bytes: int | None = None


class PageTable:
    """Every page. A trailing slash is forgiven."""

    def __init__(self, pages: Mapping[tuple[str, str], Page | NamedPage]) -> None:
        plain: dict[str, dict[str, Page]] = {}
        self._named: dict[str, tuple[str, dict[str, NamedPage]]] = {}
        for (method, path), page in pages.items():
            if isinstance(page, NamedPage):
                self._named.setdefault(path.rpartition("/")[0], (path, {}))[1][method] = page
            else:
                plain.setdefault(path, {})[method] = page
        self._places = {
            written: Place(path, by_method) for path, by_method in plain.items() for written in (path, f"{path}/")
        }

    def at(self, path: str) -> Place | None:
        """What stands at this path, if any page does."""
        found = self._places.get(path)
        if found is not None or not self._named:
            return found
        above, _, name = path.removesuffix("/").rpartition("/")
        below = self._named.get(above)
        if below is None or not name:
            return None
        route, named = below
        pages = {method: partial(page.answer, name) for method, page in named.items()}
        return Place(route, pages, max(page.body_bytes for page in named.values()))
