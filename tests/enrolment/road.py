"""A short road: from a request's parts straight to its handler, without HTTP in between."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from tallystick.base import ids
from tallystick.base.batcher import Batcher
from tallystick.base.errors import Refusal, Refusals
from tallystick.base.routes import Call, House, Reply, Route
from tallystick.base.settings import Settings
from tallystick.base.work import Asked, Caller, Runtime
from tallystick.customers import api as customers_api
from tallystick.enrolment import api as enrolment_api
from tallystick.merchants import MerchantDirectory
from tallystick.wallets import api as wallets_api


class Road:
    """Every route of the rooms about people, as one caller meets them."""

    def __init__(self, runtime: Runtime, caller: Caller) -> None:
        self.caller = caller
        self.house = House(Settings(), runtime, Batcher(runtime, batch_limit=100, queue_limit=1000))
        directory = MerchantDirectory(runtime)
        self.routes: tuple[Route, ...] = (
            *customers_api.ROUTES,
            *wallets_api.routes(directory),
            *enrolment_api.routes(directory),
        )

    async def ask(
        self,
        method: str,
        path: str,
        sent: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Reply:
        """The reply; refusals are raised. A query parameter `userId` is `filter[userId]`; `asOf` and whole names are themselves."""
        route, names = self._find(method, f"/api/v1{path}")
        decoded = None
        if sent is not None:
            assert route.takes is not None
            decoded = msgspec.convert(sent, route.takes.attributes)
        asked = Asked(self.caller, ids.new(), method, route.path, key if route.keyed else None)
        named = {
            name if name == "asOf" or "[" in name else f"filter[{name}]": value for name, value in (query or {}).items()
        }
        assert set(named) <= {parameter.name for parameter in route.query}
        return await route.handler(Call(self.house, route, asked, names, named, decoded, None))

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        for route in self.routes:
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path), path)
            if match is not None and route.method == method:
                return route, match.groupdict()
        raise LookupError(path)


def ids_of(reply: Reply) -> list[str]:
    """The ids of a list."""
    assert reply.body is not None
    return [each["id"] for each in msgspec.json.decode(reply.body)["data"]]


@contextmanager
def refusing(code: str, *places: str) -> Iterator[None]:
    """Every fault of the request has this code; where places are named, the faults are there."""
    with pytest.raises((Refusal, Refusals)) as caught:
        yield
    told: Any = caught.value
    faults: tuple[Refusal, ...] = told.faults if isinstance(told, Refusals) else (told,)
    assert {fault.code for fault in faults} == {code}
    if places:
        assert [fault.source.name if fault.source else "" for fault in faults] == list(places)
