"""A card's number and PIN, sent in every place a request has: found in no log line, no metric and no row."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest
import structlog

from tallystick.base import ids, logs
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.main import build
from tests.api import SETTINGS, Api, document_of, join, served
from tests.base.test_http_secrecy import everything
from tests.conftest import Clock
from tests.giftcards.hands import card, look_up, reveal

PIN = "80615243"
"""Long enough to stand nowhere by accident."""


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


async def send_everywhere(api: Api, code: str, pin: str) -> None:
    """The number and the PIN where they belong, and in every place where they do not."""
    await look_up(api, code, pin)
    await look_up(api, code.lower(), pin)
    await look_up(api, code[:-1], pin)
    for path in (
        f"gift-cards/{code}",
        f"gift-cards/{code}/reveal",
        f"gift-cards/lookup/{code}",
        f"gift-cards/lookup?code={code}&pin={pin}",
        f"gift-cards?filter[code]={code}",
        f"gift-cards?{code}={pin}",
        f"wallets/{code}",
        code,
    ):
        await api.get(path)
        await api.post(path, document_of("LookUpGiftCard", code=code, pin=pin))
    for name in (
        "Authorization",
        "Client-ID",
        "Accept",
        "Content-Type",
        "Idempotency-Key",
        "Request-Id",
        "X-Code",
        "Cookie",
    ):
        await api.post("gift-cards/lookup", document_of("LookUpGiftCard", code=code), headers={name: f"{code} {pin}"})
    for document in (
        {code: pin},
        {"data": {"type": code, "id": pin, "attributes": {"code": code, "pin": pin}}},
        document_of("LookUpGiftCard", code=[code], pin={pin: pin}),
        document_of("LookUpGiftCard", **{code: pin}),
        document_of("LookUpGiftCard", code=code, merchantId=code),
        document_of("TransferGiftCard", walletId=code, amount=pin),
        document_of("IssueReward", phoneNumber=code, amount=5, idempotencyKey=str(ids.new()), message=None),
    ):
        for path in ("gift-cards/lookup", f"gift-cards/{ids.new()}/transfer", "rewards"):
            await api.post(path, document)
    await api.post("gift-cards/lookup", raw=f'{{"data": {code} {pin}'.encode())


async def test_a_number_and_its_pin_are_found_nowhere(
    loud: tuple[Api, io.StringIO], runtime: Runtime, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    api, heard = loud
    held = await card(runtime, api)
    revealed = await reveal(api, held.id)
    assert revealed.attributes["code"] == held.code
    await send_everywhere(api, held.code, PIN)
    await asyncio.sleep(1.2)  # until the log of requests is written
    metrics, rows = (await api.get("/metrics")).text, await everything(owner)
    assert str(held.id) in rows
    assert heard.getvalue().count("\n") > 0
    bare = held.code.replace("-", "")
    for secret in (held.code, bare, held.code.lower(), bare[:-1], PIN):
        for place, text in (("logs", heard.getvalue()), ("metrics", metrics), ("rows", rows)):
            assert secret not in text, place
            assert secret.encode().hex() not in text, place
