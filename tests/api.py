"""A partner's own client over real HTTP, and the world it finds: a programme with merchants and credentials."""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp
import uvicorn

from tallystick import merchants, partners
from tallystick.base import ids
from tallystick.base.protocol import BoundedProtocol
from tallystick.base.settings import Settings
from tallystick.base.work import Environment, Runtime, Tenant
from tallystick.main import Application
from tests import world

JSON_API = "application/vnd.api+json"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text) if self.text else None

    @property
    def data(self) -> Any:
        assert "data" in self.body, self.text
        return self.body["data"]

    @property
    def attributes(self) -> Any:
        return self.data["attributes"]

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.body["errors"]]

    @property
    def pointers(self) -> list[str]:
        """Where the faults are: pointers, parameters or headers."""
        return [next(iter(error["source"].values())) for error in self.body["errors"] if "source" in error]


@dataclass
class Api:
    """One credential and what can be asked with it."""

    session: aiohttp.ClientSession
    base_url: str
    tenant: Tenant
    partner_id: UUID
    client_id: str
    secret: str
    merchant_id: UUID | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        raw: bytes | io.BytesIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"Client-ID": self.client_id, "Authorization": f"Bearer {self.secret}", **self.headers}
        body: bytes | io.BytesIO | None = raw
        if document is not None:
            body = json.dumps(document).encode()
        if body is not None:
            sent["Content-Type"] = JSON_API
        sent.update(headers or {})
        url = self.base_url + (path if path.startswith("/") else f"/api/v1/{path}")
        from yarl import URL

        async with self.session.request(method, URL(url, encoded=True), data=body, headers=sent) as answer:
            return Answer(answer.status, answer.headers, await answer.text(errors="replace"))

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.request("GET", path, **more)

    async def post(self, path: str, document: Any = None, **more: Any) -> Answer:
        return await self.request("POST", path, document, **more)

    async def patch(self, path: str, document: Any = None, **more: Any) -> Answer:
        return await self.request("PATCH", path, document, **more)

    async def delete(self, path: str, **more: Any) -> Answer:
        return await self.request("DELETE", path, **more)

    async def issue(
        self, phone: str = world.MIRA_PHONE, amount: Any = 500, key: str | None = None, **more: Any
    ) -> Answer:
        """Issue a reward; the key is a new one unless given."""
        attributes = {"phoneNumber": phone, "amount": amount, "idempotencyKey": key or str(ids.new()), **more}
        return await self.post("rewards", document_of("IssueReward", **attributes))

    async def user(self, phone: str = world.MIRA_PHONE, *, verified: bool = True, **more: Any) -> str:
        """A new user's id."""
        answer = await self.post("users", document_of("User", phoneNumber=phone, phoneVerified=verified, **more))
        assert answer.status == 201, answer.text
        return str(answer.data["id"])

    async def wallet(self, phone: str = world.MIRA_PHONE, *, verified: bool = True) -> str:
        """A new wallet's id, of a new user with this phone; active when the phone is verified."""
        named = {} if self.merchant_id is None else {"merchantId": str(self.merchant_id)}
        user_id = await self.user(phone, verified=verified)
        answer = await self.post("wallets", document_of("Wallet", userId=user_id, **named))
        assert answer.status == 201, answer.text
        return str(answer.data["id"])


def document_of(kind: str, /, **attributes: Any) -> Any:
    """A JSON:API document with one resource."""
    return {"data": {"type": kind, "attributes": attributes}}


@contextlib.asynccontextmanager
async def served(application: Application) -> AsyncIterator[str]:
    """The application behind a real server on a free port; its base URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    listening.setblocking(False)
    config = uvicorn.Config(
        application.road, http=BoundedProtocol, ws="none", lifespan="off", access_log=False, log_config=None
    )
    config.timeout_graceful_shutdown = 2
    config.timeout_keep_alive = 75  # as the house serves: a client of a busy machine may pause for long
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    async with application.open():
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 -- the server has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


SETTINGS = Settings.read({"TALLYSTICK_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1/32"})
"""One address of this machine may be told of events; no other may."""


async def join(
    runtime: Runtime,
    session: aiohttp.ClientSession,
    base_url: str,
    *,
    tenant: Tenant | None = None,
    environment: Environment = "sandbox",
    merchant_ids: tuple[UUID, ...] | None = None,
    scopes: frozenset[str] | None = None,
    visibility: partners.Visibility = "own",
    rate_per_minute: int = 1_000_000,
    rate_burst: int = 1_000_000,
    **settings: Any,
) -> Api:
    """A new partner with a credential, in a new programme with Café Luna unless a tenant is given.

    `settings` are the merchant's.
    """
    now = runtime.clock()
    async with runtime.pool.lend() as db, db.connection.transaction():
        if tenant is None:
            programme = await partners.add_programme(db, world.NORTHWIND, now)
            tenant = programme.sandbox if environment == "sandbox" else programme.production
            made = True
        else:
            made = False
        partner = await partners.add_partner(db, world.HARBOUR_SUPPORT, now)
        agreement = await partners.agree(db, partner.id, tenant.programme_id, visibility, now)
    merchant_id = None
    if made:
        merchant_id = (await luna(runtime, tenant, **settings)).id
    async with runtime.pool.lend() as db, db.connection.transaction():
        new = partners.NewClient(
            tenant.id,
            agreement.id,
            "tests",
            scopes or frozenset(partners.SCOPES),
            merchant_ids,
            rate_per_minute,
            rate_burst,
        )
        client, secret = await partners.add_client(db, runtime.keys, new, now)
    return Api(session, base_url, tenant, partner.id, str(client.id), secret, merchant_id)


async def luna(runtime: Runtime, tenant: Tenant, name: str = world.CAFE_LUNA, **settings: Any) -> merchants.Merchant:
    """A merchant of the tenant, invoiced without limit unless told otherwise."""
    async with runtime.work(tenant) as work:
        new = merchants.NewMerchant(name, "USD", "US", "America/New_York", **settings)
        return await merchants.add(work, new)
