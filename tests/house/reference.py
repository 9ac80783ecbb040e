"""Write the tables of `docs/reference` from the code that they describe. `python -m tests.house.reference`."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

import tallystick
from tallystick import events, partners
from tallystick.base.errors import Refusal
from tallystick.base.openapi_errors import COMMON, remedy
from tallystick.base.routes import Route
from tallystick.main import routes
from tallystick.merchants import MerchantDirectory
from tests.house.places import ROOT

DIRECTORY: Final = ROOT / "docs" / "reference"
GENERATED: Final = "Generated from the code by `python -m tests.house.reference`; a test holds it equal."

ERRORS: Final = """# Errors

{generated}

A refusal is a JSON:API document with one error object for each fault, all of one status. Branch on `code`: it is stable. `title`
never varies, `detail` says what is wrong here, `source` points at it: `pointer` into the body, `parameter` or `header`.
Name `meta.requestId` when you report a problem. A 4xx changed nothing and used no idempotency key (a wrong one-time code alone
is counted); what to do after a 5xx: [idempotency](../guides/idempotency.md). The pages under `/oauth` answer the errors of
RFC 6749.

"""
SCOPES: Final = """# Scopes

{generated}

Every route names exactly one scope; a credential that lacks it is answered `InsufficientScope`, which names
the one that is missing.

"""
TOPICS: Final = """# Event topics

{generated}

`filter[topic]` of `GET /api/v1/webhook-events` takes one of these. An event's `document` is its subject as it is after the
change, without anything personal and without free text.

"""


KEYS: Final = """# Where the key of a write goes

{generated}

`idempotencyKey` is an attribute of the document, and required. `Idempotency-Key` is a header, and may be left out; send it with
whatever moves value, since only with it a repetition is known for one. *By itself* says that a repetition does no harm: what is
told has a name of its own, or nothing is written but what is there already. How keys work: [idempotency](../guides/idempotency.md).

"""


def table() -> tuple[Route, ...]:
    """Every route under /api/v1. No handler of it is called."""
    return routes(cast("MerchantDirectory", None))


def refusals() -> list[type[Refusal]]:
    """Every error of the house that has a code, by status and code."""
    for module in pkgutil.walk_packages(tallystick.__path__, "tallystick."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return sorted(_below(Refusal), key=lambda kind: (kind.status, kind.code))


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("tallystick.") and "code" in vars(each):
            yield each
        yield from _below(each)


def pages() -> Mapping[Path, str]:
    """The text of every page of `docs/reference`."""
    return {
        DIRECTORY / "errors.md": ERRORS.format(generated=GENERATED) + _errors(),
        DIRECTORY / "keys.md": KEYS.format(generated=GENERATED) + _keys(),
        DIRECTORY / "scopes.md": SCOPES.format(generated=GENERATED) + _scopes(),
        DIRECTORY / "topics.md": TOPICS.format(generated=GENERATED) + _topics(),
    }


def _errors() -> str:
    rows = [(f"`{kind.code}`", str(kind.status), kind.title, remedy(kind), _answered_by(kind)) for kind in refusals()]
    return _rendered(("code", "status", "meaning", "what to do", "answered by"), rows)


def _answered_by(kind: type[Refusal]) -> str:
    return "any" if kind in COMMON else _named(route for route in table() if kind in route.errors)


def _keys() -> str:
    writes = [route for route in table() if route.method != "GET"]
    named = [route for route in writes if _has_key(route)]
    headed = [route for route in writes if route.keyed]
    rest = [route for route in writes if route not in named and route not in headed]
    rows = [("`idempotencyKey`", _named(named)), ("`Idempotency-Key`", _named(headed)), ("by itself", _named(rest))]
    return _rendered(("key", "writes"), rows)


def _has_key(route: Route) -> bool:
    return route.takes is not None and "idempotency_key" in route.takes.attributes.__struct_fields__


def _scopes() -> str:
    rows = [
        (f"`{scope}`", allows, _named(route for route in table() if route.scope == scope))
        for scope, allows in partners.SCOPES.items()
    ]
    return _rendered(("scope", "allows to", "routes"), rows)


def _topics() -> str:
    rows = [(f"`{topic.name}`", topic.summary, f"`{topic.subject_type}`") for topic in events.SENT]
    return _rendered(("topic", "what happened", "subject"), rows)


def _named(found: Iterable[Route]) -> str:
    return "<br>".join(f"`{route.method} {route.path.removeprefix('/api/v1')}`" for route in found) or "none"


def _rendered(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
