"""Who calls in the tests of merchants, and short ways to add and to call."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from tallystick import merchants
from tallystick.base import ids
from tallystick.base.batcher import Batcher
from tallystick.base.routes import Call, House, Reply, Route
from tallystick.base.settings import Settings
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tallystick.merchants import Merchant, NewMerchant
from tests.world import CAFE_LUNA


def luna(**changed: Any) -> NewMerchant:
    """Café Luna, or one that differs from it."""
    fields = {"name": CAFE_LUNA, "currency": "EUR", "country": "DE", "time_zone": "Europe/Berlin"}
    return NewMerchant(**(fields | changed))


async def add(runtime: Runtime, tenant: Tenant, **changed: Any) -> Merchant:
    async with runtime.work(tenant) as work:
        return await merchants.add(work, luna(**changed))


def caller(tenant: Tenant, merchant_ids: tuple[UUID, ...] | None = None, *, sees_programme: bool = False) -> Caller:
    """Harbour Support's client in a tenant."""
    return Caller(tenant, ids.new(), ids.new(), frozenset(), merchant_ids, sees_programme, 1000, 1000)


@dataclass(frozen=True)
class Answered:
    reply: Reply
    data: Any
    meta: Any


@dataclass(frozen=True)
class Door:
    """Calls routes as the road does once it has let a request in."""

    house: House
    routes: tuple[Route, ...]

    @classmethod
    def of(cls, runtime: Runtime, routes: tuple[Route, ...]) -> "Door":
        batcher = Batcher(runtime, batch_limit=50, queue_limit=100)
        return cls(House(Settings.read({}), runtime, batcher), routes)

    async def call(
        self,
        who: Caller,
        method: str,
        path: str,
        *,
        attributes: Any = None,
        query: dict[str, str] | None = None,
        key: str | None = None,
        **names: object,
    ) -> Answered:
        (route,) = [one for one in self.routes if (one.method, one.path) == (method, f"/api/v1{path}")]
        decoded = None if route.takes is None else msgspec.convert(attributes, route.takes.attributes)
        asked = Asked(who, ids.new(), method, route.path, key)
        path_names = {name: str(value) for name, value in names.items()}
        reply = await route.handler(Call(self.house, route, asked, path_names, query or {}, decoded, None))
        document = msgspec.json.decode(reply.body or b"{}")
        return Answered(reply, document.get("data"), document.get("meta"))
