"""The application of the usual stack: credentials, its routes, errors as JSON:API documents."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.usual.documents import IssueRewardDocument
from benchmarks.usual.issuing import Principal, Refused, issue
from benchmarks.usual.looking import LOOKUPS, look_up
from benchmarks.usual.models import Agreement, Client, ClientSecret
from benchmarks.usual.spending import PAYMENTS, redeem
from benchmarks.usual.spending_documents import LookUpDocument, PayDocument
from tallystick.base.keys import MasterKeys

JSON_API = "application/vnd.api+json"
CREDENTIAL_SECONDS = 15.0
POOL_SIZE = 5
"""Connections of each process, the number that costs it least: with 3, 5, 8 and 10 a reward took 11.4, 9.3, 10.3 and 11.3 ms of CPU
on two processors, at 176, 168, 147 and 164 rewards a second (means of two turns each). BENCH_POOL names another number to try."""


class Credentials:
    """Who holds a secret, believed for some seconds."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], keys: MasterKeys) -> None:
        self._sessions, self._keys = sessions, keys
        self._kept: dict[bytes, tuple[float, Principal]] = {}
        self._reading = asyncio.Lock()

    async def principal(self, client_id: str, secret: str) -> Principal:
        """Raises Refused when nobody holds the secret."""
        digest = self._keys.secret_digest(secret)
        who = self._believed(digest)
        if who is None:
            async with self._reading:  # all that wait for it share one reading
                who = self._believed(digest)
                if who is None:
                    who = await self._read(digest)
                    self._kept[digest] = (time.monotonic() + CREDENTIAL_SECONDS, who)
        if str(who.client_id) != client_id:
            raise Refused(401, "Unauthorized", "The credential is unknown.")
        return who

    def _believed(self, digest: bytes) -> Principal | None:
        until, who = self._kept.get(digest, (0.0, None))
        return who if until >= time.monotonic() else None

    async def _read(self, digest: bytes) -> Principal:
        async with self._sessions() as session:
            row = (
                await session.execute(
                    select(Client, Agreement.partner_id)
                    .join(ClientSecret, ClientSecret.client_id == Client.id)
                    .join(Agreement, Agreement.id == Client.agreement_id)
                    .where(ClientSecret.digest == digest, ClientSecret.revoked_at.is_(None), Client.status == "active")
                )
            ).first()
        if row is None:
            raise Refused(401, "Unauthorized", "The credential is unknown.")
        client, partner_id = row
        merchants: list[UUID] | None = client.merchant_ids
        return Principal(client.tenant_id, partner_id, client.id, None if merchants is None else tuple(merchants))


async def _principal(
    request: Request, client_id: Annotated[str, Header()], authorization: Annotated[str, Header()]
) -> Principal:
    credentials: Credentials = request.app.state.credentials
    return await credentials.principal(client_id, authorization.removeprefix("Bearer "))


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


async def issue_reward(
    request: Request,
    document: IssueRewardDocument,
    who: Annotated[Principal, Depends(_principal)],
    session: Annotated[AsyncSession, Depends(_session)],
) -> Response:
    """Give one reward, in one transaction."""
    async with session.begin():
        answer = await issue(session, request.app.state.keys, who, document.data.attributes)
    return Response(answer, media_type=JSON_API)


async def pay(
    request: Request,
    document: PayDocument,
    who: Annotated[Principal, Depends(_principal)],
    session: Annotated[AsyncSession, Depends(_session)],
) -> Response:
    """Make one payment from a gift card, in one transaction."""
    async with session.begin():
        paid = await redeem(session, request.app.state.keys, who, document.data.attributes)
    location = {"location": f"{PAYMENTS}/{paid.intent_id}"}
    return Response(paid.document, 201, location, media_type=JSON_API)


async def look_up_card(
    request: Request,
    document: LookUpDocument,
    who: Annotated[Principal, Depends(_principal)],
    session: Annotated[AsyncSession, Depends(_session)],
) -> Response:
    """Find one card by its number, in one transaction."""
    async with session.begin():
        answer = await look_up(session, request.app.state.keys, who, document.data.attributes)
    return Response(answer, media_type=JSON_API)


def engine(dsn: str, pool_size: int = POOL_SIZE) -> AsyncEngine:
    """The pool of connections of one process."""
    return create_async_engine(
        dsn.replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=pool_size, max_overflow=0, pool_timeout=60
    )


def build(dsn: str, keys: MasterKeys, pool_size: int = POOL_SIZE) -> FastAPI:
    """The application. Nothing is connected before it is wanted."""
    pool = engine(dsn, pool_size)
    sessions = async_sessionmaker(pool, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await pool.dispose()

    app = FastAPI(lifespan=life)
    app.state.sessions, app.state.keys, app.state.credentials = sessions, keys, Credentials(sessions, keys)
    app.post("/api/v1/rewards", response_class=Response)(issue_reward)
    app.post(PAYMENTS, response_class=Response)(pay)
    app.post(LOOKUPS, response_class=Response)(look_up_card)
    app.exception_handler(Refused)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    return app


async def _refused(_request: Request, refused: Exception) -> JSONResponse:
    assert isinstance(refused, Refused), "it is registered for this"
    error: dict[str, Any] = {"status": str(refused.status), "code": refused.code, "detail": refused.detail}
    if refused.pointer is not None:
        error["source"] = {"pointer": f"/data/attributes/{refused.pointer}"}
    return JSONResponse({"errors": [error]}, refused.status, media_type=JSON_API)


async def _invalid(_request: Request, invalid: Exception) -> JSONResponse:
    assert isinstance(invalid, RequestValidationError), "it is registered for this"
    errors = [
        {
            "status": "400",
            "code": "InvalidRequest",
            "detail": fault["msg"],
            "source": {"pointer": "/" + "/".join(str(step) for step in fault["loc"][1:])},
        }
        for fault in invalid.errors()
    ]
    return JSONResponse({"errors": errors}, 400, media_type=JSON_API)
