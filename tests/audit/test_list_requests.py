"""A partner reads the log of its own requests, by cursor."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import msgspec
import pytest

from tallystick import audit
from tallystick.audit import api
from tallystick.base import ids
from tallystick.base.batcher import Batcher
from tallystick.base.errors import Refusals
from tallystick.base.ports import LogEntry
from tallystick.base.routes import Call, House
from tallystick.base.settings import Settings
from tallystick.base.work import Asked, Caller, Runtime, Tenant
from tests import world

ROUTE = api.ROUTES[0]


@pytest.fixture
def caller(tenant: Tenant) -> Caller:
    return Caller(tenant, ids.new(), ids.new(), frozenset(), None, True, 10_000, 1_000)


Asking = Callable[..., Any]


@pytest.fixture
def ask(runtime: Runtime) -> Asking:
    house = House(Settings(), runtime, Batcher(runtime, batch_limit=1, queue_limit=1))

    async def ask(caller: Caller, **query: str) -> Any:
        named = {
            f"page[{name}]" if name in ("after", "limit") else f"filter[{name}]": value for name, value in query.items()
        }
        assert named.keys() <= {parameter.name for parameter in ROUTE.query}
        asked = Asked(caller, ids.new(), "GET", ROUTE.path)
        reply = await ROUTE.handler(Call(house, ROUTE, asked, {}, named, None, None))
        assert reply.body is not None
        return msgspec.json.decode(reply.body)

    return ask


async def write(runtime: Runtime, caller: Caller, count: int, **changed: object) -> list[UUID]:
    """So many requests, a millisecond apart two by two; their ids, newest first."""
    log = audit.RequestLog(runtime.pool)
    entries = []
    for n in range(count):
        at = world.T0 + timedelta(milliseconds=n // 2)
        request_id = ids.new(int(at.timestamp() * 1000))
        entry = LogEntry(at, request_id, caller, "GET", "/api/v1/rewards", 200, None, None, False, 1500)
        entries.append(msgspec.structs.replace(entry, **changed))
        log.add(entries[-1])
    await log.flush()
    return [each.request_id for each in sorted(entries, key=lambda each: (each.at, each.request_id), reverse=True)]


def seen(document: Any) -> list[UUID]:
    return [UUID(each["id"]) for each in document["data"]]


async def walk(ask: Asking, caller: Caller, **query: str) -> list[UUID]:
    """Every page from the first to the last, by the link of each to the next."""
    found: list[UUID] = []
    following: dict[str, str] | None = query
    while following is not None:
        document = await ask(caller, **following)
        found += seen(document)
        link = document["links"]["next"]
        following = None
        if link is not None:
            sent = parse_qsl(urlsplit(link).query, strict_parsing=True)
            following = {name[name.index("[") + 1 : -1]: value for name, value in sent}
    return found


async def test_a_request_shows_what_was_asked_and_how_it_ended(runtime: Runtime, caller: Caller, ask: Asking) -> None:
    resource_id = ids.new()
    [request_id] = await write(runtime, caller, 1, status=409, code="InvalidState", resource_id=resource_id)
    document = await ask(caller)
    assert document["data"] == [
        {
            "id": str(request_id),
            "type": "RequestLog",
            "attributes": {
                "at": "2026-03-02T09:00:00.000Z",
                "clientId": str(caller.client_id),
                "method": "GET",
                "route": "/api/v1/rewards",
                "status": 409,
                "code": "InvalidState",
                "resourceId": str(resource_id),
                "replayed": False,
                "latencyMicroseconds": 1500,
            },
        }
    ]
    assert document["links"] == {"next": None}


async def test_pages_hold_every_request_once_newest_first(runtime: Runtime, caller: Caller, ask: Asking) -> None:
    written = await write(runtime, caller, 25)
    assert await walk(ask, caller, limit="4") == written
    assert len(seen(await ask(caller))) == 10
    assert len(seen(await ask(caller, limit="500"))) == 25


async def test_requests_of_other_partners_and_tenants_are_not_there(
    runtime: Runtime, caller: Caller, ask: Asking, production: Tenant
) -> None:
    written = await write(runtime, caller, 3)
    await write(runtime, replace(caller, partner_id=ids.new()), 3)
    await write(runtime, replace(caller, tenant=production), 3)
    assert await walk(ask, caller, limit="2") == written


async def test_filters_by_status_route_and_request(runtime: Runtime, caller: Caller, ask: Asking) -> None:
    fine = await write(runtime, caller, 3)
    refused = await write(runtime, caller, 3, status=404)
    elsewhere = await write(runtime, caller, 3, route="/api/v1/users")
    assert await walk(ask, caller, status="404", limit="2") == refused
    assert await walk(ask, caller, route="/api/v1/users", limit="2") == elsewhere
    assert await walk(ask, caller, requestId=str(fine[1])) == [fine[1]]
    assert await walk(ask, caller, requestId=str(fine[1]), status="404") == []
    for other in (ids.new(), UUID(int=0), UUID(int=2**128 - 1)):
        assert await walk(ask, caller, requestId=str(other)) == []


async def test_a_rare_request_is_found_though_each_page_looks_at_a_bounded_part(
    runtime: Runtime, caller: Caller, ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "LOOKED_MAX", 7)
    busy = replace(caller, partner_id=ids.new())
    await write(runtime, busy, 30)
    mine = await write(runtime, caller, 1)
    await write(runtime, busy, 5, at=world.T0 + timedelta(seconds=1))
    await write(runtime, busy, 30, at=world.T0 - timedelta(seconds=1))
    assert await walk(ask, caller) == mine


@pytest.mark.parametrize(
    "wrong",
    [
        {"after": ""},
        {"after": "x"},
        {"after": "A" * 48},
        {"after": "é" * 48},
        {"after": "=" * 48},
        {"after": "A" * 4800},
        {"limit": "0"},
        {"limit": "ten"},
        {"status": "4"},
        {"status": "abc"},
        {"status": "٤٠٤"},
        {"route": "\x00"},
        {"route": "x" * 300},
        {"requestId": "x"},
    ],
)
async def test_what_is_malformed_is_told_at_its_parameter(caller: Caller, ask: Asking, wrong: dict[str, str]) -> None:
    with pytest.raises(Refusals) as refused:
        await ask(caller, **wrong)
    [fault] = refused.value.faults
    assert (fault.status, fault.source is not None) == (400, True)


async def test_a_cursor_is_of_no_use_to_another_partner_or_tenant(
    runtime: Runtime, caller: Caller, ask: Asking, production: Tenant
) -> None:
    await write(runtime, caller, 5)
    document = await ask(caller, limit="2")
    [after] = [value for name, value in parse_qsl(urlsplit(document["links"]["next"]).query) if name == "page[after]"]
    assert len(seen(await ask(caller, after=after))) == 3
    assert str(caller.tenant.id) not in after
    for other in (replace(caller, partner_id=ids.new()), replace(caller, tenant=production)):
        with pytest.raises(Refusals):
            await ask(other, after=after)
    for n in (0, 10, 40, 47):
        with pytest.raises(Refusals):
            await ask(caller, after=after[:n] + ("A" if after[n] != "A" else "B") + after[n + 1 :])
