"""Operators come in by a door of their own: theirs opens nothing else, and nothing else opens it."""

import asyncio
import re
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from tallystick import partners
from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, NotFound
from tallystick.base.routes import Route
from tallystick.base.secrets import SECRET_PATTERN, new_operator_secret, new_secret, new_token, well_formed
from tallystick.base.work import Runtime
from tallystick.main import admin_routes, routes
from tallystick.merchants import MerchantDirectory
from tests.api import Answer, Api, join
from tests.governance.cast import operator

API = [pytest.param(route, id=f"{route.method} {route.path}") for route in routes(cast(MerchantDirectory, None))]
ADMIN = [pytest.param(route, id=f"{route.method} {route.path}") for route in admin_routes()]


async def knock(api: Api, route: Route, **more: Any) -> Answer:
    """A request of this route with what it documents."""
    path = route.path.replace("{id}", str(ids.new()))
    values = {"filter[environment]": "sandbox"}
    query = "&".join(f"{each.name}={values.get(each.name, ids.new())}" for each in route.query if each.required)
    document = None
    if route.takes is not None:
        document = {"data": {"type": route.takes.types[0], "attributes": dict(route.takes.example)}}
    return await api.request(route.method, f"{path}?{query}" if query else path, document, **more)


def denied(answer: Answer) -> None:
    assert (answer.status, answer.codes) == (401, ["Unauthorized"]), answer.text
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.body["errors"][0]["meta"]["environment"] is None


@pytest.fixture(scope="module")
async def noor(the_runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> Api:
    """An operator, who knows the Client-ID of a partner."""
    partner = await join(the_runtime, session, base_url)
    return replace((await operator(the_runtime, partner))[0], client_id=partner.client_id)


@pytest.mark.parametrize("route", API)
async def test_an_operators_secret_opens_nothing_of_the_api(noor: Api, route: Route) -> None:
    for client_id in ("", noor.client_id, str(ids.new())):
        denied(await knock(replace(noor, client_id=client_id), route))


@pytest.mark.parametrize("route", ADMIN)
async def test_nothing_of_a_partner_opens_admin(runtime: Runtime, api: Api, route: Route) -> None:
    form = {"grant_type": "client_credentials", "client_id": api.client_id, "client_secret": api.secret}
    async with api.session.post(f"{api.base_url}/oauth/token", data=form) as answer:
        token = (await answer.json())["access_token"]
    assert (await replace(api, secret=token, client_id=api.client_id).get("usage")).status == 200
    for secret in (api.secret, token, new_secret("sandbox"), new_token("production"), new_operator_secret(), "x", ""):
        for client_id in (api.client_id, ""):
            denied(await knock(replace(api, secret=secret, client_id=client_id), route))
    for header in ("", "Basic eDp5", f"bearer  {api.secret}"):
        denied(await knock(api, route, headers={"Authorization": header}))


@pytest.mark.parametrize("route", ADMIN)
async def test_an_operator_is_let_in_and_a_revoked_one_at_once_no_more(
    runtime: Runtime, api: Api, route: Route
) -> None:
    noor, operator_id = await operator(runtime, api)
    answer = await knock(noor, route)
    assert answer.status in {200, 404}, answer.text
    assert "ratelimit" in answer.headers
    async with runtime.pool.lend() as db, db.connection.transaction():
        revoked = await partners.revoke_operator(db, operator_id, runtime.clock())
    assert revoked.status == "revoked"
    denied(await knock(noor, route))


def test_every_route_of_admin_is_for_operators_and_no_other_is() -> None:
    assert {route.scope for route in admin_routes()} == {"operator"}
    assert all(route.path.startswith("/admin/v1/") for route in admin_routes())
    assert "operator" not in partners.SCOPES
    assert "operator" not in {cast(Route, each.values[0]).scope for each in API}


async def test_no_client_can_be_given_the_scope_of_operators(runtime: Runtime, api: Api) -> None:
    async with runtime.pool.lend() as db, db.connection.transaction():
        agreement = (await partners.agreements_of(db, api.partner_id))[0]
        new = partners.NewClient(api.tenant.id, agreement.id, "x", frozenset({"operator"}), None, 1, 1)
        with pytest.raises(InvalidRequest, match="no scope operator"):
            await partners.add_client(db, runtime.keys, new, runtime.clock())


async def test_what_is_not_there_is_told_to_operators_only(runtime: Runtime, api: Api) -> None:
    noor, _ = await operator(runtime, api)
    for path in ("/admin/v1/nothing", "/admin/", "/admin/v1/agreements/x/y/z"):
        denied(await api.get(path))
        assert (await noor.get(path)).codes == ["NotFound"], path
    wrong = await noor.delete("/admin/v1/agreements")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, HEAD")
    assert (await api.get("/admin", headers={"Authorization": ""})).codes == ["NotFound"]


async def test_a_secret_is_shown_once_and_kept_as_a_hash(runtime: Runtime, owner: "asyncpg.Connection[Any]") -> None:
    async with runtime.pool.lend() as db, db.connection.transaction():
        made, secret = await partners.add_operator(db, runtime.keys, "Noor", "noor@example.com", runtime.clock())
        assert made in await partners.list_operators(db)
    kind = well_formed(secret)
    assert kind is not None and kind.name == "operator" and kind.environment is None
    assert re.findall(SECRET_PATTERN, f'secret="{secret}"') == [secret]
    assert made.tail == secret[-4:]
    assert not await owner.fetchval("select count(*) from operators as o where strpos(o::text, $1) > 0", secret[13:50])


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("", None),
        ("  ", None),
        ("x" * 201, None),
        ("a\nb", None),
        ("Noor", "noor"),
        ("Noor", "a b@c.d"),
        ("Noor", "@" * 300),
    ],
)
async def test_an_operator_without_a_proper_name_is_refused(runtime: Runtime, name: str, email: str | None) -> None:
    async with runtime.pool.lend() as db:
        with pytest.raises(InvalidRequest):
            await partners.add_operator(db, runtime.keys, name, email, runtime.clock())
        with pytest.raises(NotFound):
            await partners.revoke_operator(db, ids.new(), runtime.clock())


async def test_requests_of_operators_are_logged_under_nobodys_tenant(
    runtime: Runtime, api: Api, owner: "asyncpg.Connection[Any]"
) -> None:
    noor, operator_id = await operator(runtime, api)
    answers = [await noor.get("/admin/v1/agreements"), await noor.get(f"/admin/v1/agreements/{ids.new()}/quotas")]
    assert [answer.status for answer in answers] == [200, 400]
    found: list[Any] = []
    for _ in range(60):
        found = await owner.fetch(
            "select tenant_id, partner_id, route, status from request_log where client_id = $1 order by status",
            operator_id,
        )
        if len(found) == 2:
            break
        await asyncio.sleep(0.05)
    nobody = UUID(int=0)
    assert [tuple(row) for row in found] == [
        (nobody, nobody, "/admin/v1/agreements", 200),
        (nobody, nobody, "/admin/v1/agreements/{id}/quotas", 400),
    ]
    listed = await api.get("request-logs?page[limit]=50")
    assert "/admin" not in str([each["attributes"]["route"] for each in listed.data])
