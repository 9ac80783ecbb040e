"""What is secret or about a person stays where it belongs: not in a log line, not in a table, not in the metrics."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest
import structlog

from tallystick.base import ids, logs
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.main import build
from tests.api import SETTINGS, Api, document_of, join, served
from tests.base.wire import head, wire
from tests.conftest import Clock

PHONE = "+12025550187"
MESSAGE = "canarymessage wishes you well"
MAIL = "canarymail@example.com"
PLANTED = "canaryplanted4711000222333"
CANARIES = ("2025550187", "202 555 0187", "canarymessage", "canarymail", "canaryplanted", "4711000222333")


@pytest.fixture
async def loud(
    runtime: Runtime, session: aiohttp.ClientSession, dsn: str, keys: MasterKeys, the_clock: Clock
) -> AsyncIterator[tuple[Api, io.StringIO]]:
    """The house, telling all it ever tells."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    heard = io.StringIO()
    logs.configure("debug", "json", heard)
    try:
        async with served(build(SETTINGS, dsn, keys, the_clock)) as address:
            yield await join(runtime, session, address), heard
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)


async def tell_everywhere(api: Api) -> None:
    """The canaries in every place a request has: right ones where they belong, and planted ones everywhere else."""
    named = {"phoneNumber": PHONE, "idempotencyKey": str(ids.new())}
    answer = await api.post(
        "rewards", document_of("IssueReward", **named, amount=5, message=MESSAGE, notificationEmail=MAIL)
    )
    assert answer.status == 200, answer.text
    assert (
        await api.patch(f"rewards/{answer.data['id']}", document_of("UpdateReward", message=MESSAGE + "!"))
    ).status == 200
    await api.user(PHONE, email=MAIL, firstName="canarymessage", lastName="canarymessage")
    await api.wallet(PHONE)
    assert (await api.get("rewards?filter[phoneNumber]=%2B12025550187")).body["meta"]["total"] == 1
    wrong: list[Any] = [
        {PLANTED: PLANTED},
        {"data": {"type": PLANTED, "id": PLANTED, "attributes": {"phoneNumber": PLANTED, "amount": PLANTED}}},
        document_of("IssueReward", **named, amount=[{PLANTED: {PLANTED: PLANTED}}], message={PLANTED: 1}),
        document_of("IssueReward", **named, amount=5, merchantId=PLANTED),
        document_of("IssueReward", phoneNumber=PHONE + "0" * 20, amount=5, idempotencyKey=str(ids.new())),
        document_of("IssueReward", **named, amount=6, message="canarymessage of a conflict"),
    ]
    for document in wrong:
        assert (await api.post("rewards", document)).status in {400, 409}
        await api.post("users", document, headers={"Idempotency-Key": PLANTED + "\u00e9".encode().hex()})
    for raw in (PLANTED.encode(), b"\xff" + PLANTED.encode(), b'{"data":{"%s":"\\u0000"}}' % PLANTED.encode()):
        assert (await api.post("rewards", raw=raw)).status == 400
    for path in (PLANTED, f"rewards/{PLANTED}", f"wallets/{PHONE}/suspend", f"users?filter[phoneNumber]={PLANTED}"):
        await api.get(path)
    await api.get(f"merchants?{PLANTED}={PLANTED}&filter[{PLANTED}]=1")
    await api.get("/healthz", headers={"X": PLANTED, "Cookie": PLANTED, "User-Agent": PLANTED, "Referer": PLANTED})
    for name in (
        "Authorization",
        "Client-ID",
        "Accept",
        "Content-Type",
        "Content-Encoding",
        "Request-Id",
        "Idempotency-Key",
    ):
        await api.post("rewards", wrong[0], headers={name: f"Bearer {PLANTED}"})
    for broken in (
        b"GET /%s HTTP/1.1\r\n" % PLANTED.encode() + b"X: \0\r\n\r\n",
        head(api, "POST", f"/{PLANTED}", Content_Length="4, 5"),
    ):
        async with wire(api.base_url) as open_wire:
            await open_wire.say(broken)
            await open_wire.is_closed()
    basic = aiohttp.encode_basic_auth(PLANTED, PLANTED)
    form = aiohttp.FormData({"grant_type": PLANTED, "token": PLANTED, "scope": PLANTED})
    async with api.session.post(f"{api.base_url}/oauth/token?{PLANTED}", data=form, headers={"Authorization": basic}):
        pass


async def everything(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Every row of every table, as text, what is binary included."""
    tables = await connection.fetch(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')"
    )
    told = []
    for (table,) in tables:
        rows = await connection.fetch(f"select t::text from {table} t")  # names of our own tables
        told += [row[0] for row in rows]
    return "\n".join(told)


async def test_canaries_are_found_nowhere(
    loud: tuple[Api, io.StringIO], owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    api, heard = loud
    await tell_everywhere(api)
    await asyncio.sleep(1.2)  # until the log of requests is written
    metrics = (await api.get("/metrics")).text
    rows = await everything(owner)
    assert len(rows) > 10_000
    assert str(api.tenant.id) in rows
    assert heard.getvalue().count("\n") > 0
    for canary in (*CANARIES, api.secret):
        for place, text in (("logs", heard.getvalue()), ("metrics", metrics), ("rows", rows)):
            assert canary not in text, (canary, place)
            assert canary.encode().hex() not in text, (canary, place)
