"""Clients that others wrote get their tokens over HTTP, from the pages as they are."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from typing import Any

import pytest
import requests
import uvicorn
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from tallystick import partners
from tallystick.base.http import Page
from tallystick.base.work import Runtime
from tests.partners.cast import Member, join

oauth2: Any = import_module("oauthlib.oauth2")  # it carries no types


class App:
    """Just enough of a road to reach the pages."""

    pages: Mapping[tuple[str, str], Page]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        page = self.pages[scope["method"], scope["path"]]
        status, headers, content = await page(dict(scope["headers"]), scope["query_string"], body)
        raw = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def address(runtime: Runtime) -> AsyncIterator[str]:
    app = App()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    limiter = partners.Limiter(runtime.pool, runtime.clock)
    app.pages = partners.oauth_pages(runtime.pool, runtime.keys, runtime.clock, limiter, address, lambda entry: None)
    serving = asyncio.create_task(server.serve([listening]))
    for _ in range(500):
        if server.started:
            break
        await asyncio.sleep(0.01)
    yield address
    server.should_exit = True
    await serving
    listening.close()


@pytest.fixture
async def member(runtime: Runtime) -> Member:
    return await join(runtime)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_authlib_fetches_introspects_and_revokes(address: str, member: Member, method: str) -> None:
    told = (
        await asyncio.to_thread(requests.get, f"{address}/.well-known/oauth-authorization-server", timeout=5)
    ).json()

    def use() -> None:
        with AuthlibSession(
            member.client_id, member.secret, token_endpoint_auth_method=method, scope="rewards:read"
        ) as client:
            token = client.fetch_token(told["token_endpoint"], grant_type="client_credentials")
            assert (token["token_type"], token["scope"]) == ("Bearer", "rewards:read")
            text = token["access_token"]
            known = client.introspect_token(told["introspection_endpoint"], token=text)
            assert known.json()["active"] is True
            assert client.revoke_token(told["revocation_endpoint"], token=text).status_code == 200
            known = client.introspect_token(told["introspection_endpoint"], token=text)
            assert known.json() == {"active": False}

    await asyncio.to_thread(use)


def session(member: Member, scope: str) -> Any:
    return OAuth2Session(client=oauth2.BackendApplicationClient(client_id=member.client_id, scope=[scope]))


@pytest.mark.parametrize("in_body", [False, True])
async def test_requests_oauthlib_fetches_a_token(
    address: str, member: Member, in_body: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # this loopback address has no TLS

    def fetch(scope: str, secret: str) -> Any:
        with session(member, scope) as client:
            how = (
                {"client_secret": secret, "include_client_id": True}
                if in_body
                else {"auth": HTTPBasicAuth(member.client_id, secret)}
            )
            return client.fetch_token(f"{address}/oauth/token", **how)

    token = await asyncio.to_thread(fetch, "rewards:write", member.secret)
    assert token["scope"] == ["rewards:write"]
    with pytest.raises(oauth2.InvalidClientError):
        await asyncio.to_thread(fetch, "rewards:write", "not the secret")
    with pytest.raises(oauth2.InvalidScopeError):
        await asyncio.to_thread(fetch, "users:write", member.secret)
