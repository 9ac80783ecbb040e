"""Connections: bodies and heads within their bounds, strange framing refused, and every answer arrives."""

import asyncio
import dataclasses
import io
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import pytest

import tests.api
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.keys import MasterKeys
from tallystick.base.protocol import BoundedProtocol
from tallystick.base.work import Runtime
from tallystick.main import build
from tests.api import JSON_API, SETTINGS, Api, document_of, join, served
from tests.base.wire import Heard, Wire, head, post, wire
from tests.conftest import Clock

REWARDS = "/api/v1/rewards"
LIMIT = SETTINGS.body_bytes


def reward(**more: Any) -> Any:
    return document_of("IssueReward", phoneNumber="+12025550143", amount=500, idempotencyKey=str(ids.new()), **more)


class HastyProtocol(BoundedProtocol):
    head_seconds = 0.4
    rest_seconds = 0.4


@pytest.fixture(scope="module")
async def hasty_url(dsn: str, keys: MasterKeys, the_clock: Clock) -> AsyncIterator[str]:
    """The house with little patience."""
    settings = dataclasses.replace(SETTINGS, body_seconds=1, db_connections=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tests.api, "BoundedProtocol", HastyProtocol)
        async with served(build(settings, dsn, keys, the_clock)) as address:
            yield address


@pytest.fixture
async def hasty(runtime: Runtime, session: aiohttp.ClientSession, hasty_url: str) -> Api:
    return await join(runtime, session, hasty_url)


async def logged(auditor: Db, api: Api, heard: Heard) -> Any:
    """The log row of an answered request."""
    for _ in range(60):
        row = await auditor.row(
            "select status, code from request_log where tenant_id = $1 and id = $2",
            api.tenant.id,
            UUID(heard.headers["request-id"]),
        )
        if row is not None:
            return tuple(row)
        await asyncio.sleep(0.05)
    raise AssertionError("the request was not logged")


async def asked(api: Api, sent: bytes) -> Heard:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(sent)
        return await open_wire.hear()


async def still_answers(open_wire: Wire, api: Api) -> bool:
    await open_wire.say(head(api, "GET", "/healthz"))
    return (await open_wire.hear()).status == 200


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(api: Api, auditor: Db) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(head(api, "POST", REWARDS, Content_Type=JSON_API, Content_Length=10_485_760))
        heard = await open_wire.hear()
        assert (heard.status, heard.codes) == (413, ["PayloadTooLarge"])
        assert heard.headers["connection"] == "close"
        assert heard.headers["content-type"] == JSON_API
        assert await open_wire.is_closed()
    assert await logged(auditor, api, heard) == (413, "PayloadTooLarge")


async def test_a_client_that_sends_ten_megabytes_all_the_same_hears_the_answer(api: Api) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(head(api, "POST", REWARDS, Content_Type=JSON_API, Content_Length=10_485_760))
        for _ in range(160):
            await open_wire.say(b" " * 65_536)
        heard = await open_wire.hear()
        assert heard.status == 413
        assert await open_wire.is_closed()
    sent = {"Client-ID": api.client_id, "Authorization": f"Bearer {api.secret}", "Content-Type": JSON_API}
    url = f"{api.base_url}{REWARDS}"
    async with api.session.post(url, data=io.BytesIO(b" " * 10_485_760), headers=sent) as answer:
        assert answer.status == 413


async def test_a_body_in_chunks_is_refused_when_it_becomes_too_large(api: Api) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(head(api, "POST", REWARDS, Content_Type=JSON_API, Transfer_Encoding="chunked"))
        for _ in range(LIMIT // 32_768 + 1):
            await open_wire.say(b"8000\r\n" + b" " * 32_768 + b"\r\n")
        heard = await open_wire.hear()
        assert (heard.status, heard.codes) == (413, ["PayloadTooLarge"])
        assert await open_wire.is_closed()


@pytest.mark.parametrize("more", [0, 1])
async def test_the_limit_is_exact(api: Api, more: int) -> None:
    body = json.dumps(reward()).encode()
    answer = await api.post("rewards", raw=body + b" " * (LIMIT - len(body) + more))
    assert answer.status == (413 if more else 200), answer.text


async def test_a_body_in_chunks_is_read(api: Api) -> None:
    body = json.dumps(reward()).encode()
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:50], body[50:]))
    trailers = b"0\r\nAuthorization: Bearer other\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"
    async with wire(api.base_url) as open_wire:
        await open_wire.say(
            head(api, "POST", REWARDS, Content_Type=JSON_API, Transfer_Encoding="chunked") + chunks + trailers
        )
        assert (await open_wire.hear()).status == 200
        assert await still_answers(open_wire, api)


async def test_a_body_that_drips_is_not_waited_for(hasty: Api, auditor: Db) -> None:
    async with wire(hasty.base_url) as open_wire:
        await open_wire.say(head(hasty, "POST", REWARDS, Content_Type=JSON_API, Content_Length=1000))

        async def drip() -> None:
            while True:
                await open_wire.say(b" ")
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        heard = await open_wire.hear()
        assert (heard.status, heard.codes) == (408, ["RequestTimeout"])
        assert heard.headers["connection"] == "close"
        assert await open_wire.is_closed()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
    assert await logged(auditor, hasty, heard) == (408, "RequestTimeout")


async def test_half_a_body_and_goodbye_is_logged_and_no_fault_of_ours(api: Api, auditor: Db) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(post(api, REWARDS, reward())[:-20])
        await asyncio.sleep(0.1)
    rows: Any = []
    for _ in range(60):
        rows = await auditor.rows("select status, code from request_log where tenant_id = $1", api.tenant.id)
        if rows:
            break
        await asyncio.sleep(0.05)
    assert [tuple(row) for row in rows] == [(499, "ClientGone")]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip", "x"])
async def test_compressed_bodies_are_not_taken(api: Api, coding: str) -> None:
    heard = await asked(api, post(api, REWARDS, reward(), Content_Encoding=coding))
    assert (heard.status, heard.codes) == (415, ["UnsupportedMediaType"])
    assert json.loads(heard.content)["errors"][0]["source"] == {"header": "Content-Encoding"}


async def test_a_body_that_is_not_compressed_may_say_so(api: Api) -> None:
    assert (await asked(api, post(api, REWARDS, reward(), Content_Encoding="identity"))).status == 200


async def test_bodies_where_none_is_wanted_are_read_within_bounds_and_forgotten(api: Api) -> None:
    async with wire(api.base_url) as open_wire:
        for method, path, status in (("GET", "/api/v1/merchants", 200), ("DELETE", f"{REWARDS}/{ids.new()}", 404)):
            body = b'{"data":{"type":"Reward"'
            await open_wire.say(head(api, method, path, Content_Type="text/plain", Content_Length=len(body)) + body)
            assert (await open_wire.hear()).status == status
        await open_wire.say(
            head(api, "DELETE", f"{REWARDS}/{ids.new()}", Transfer_Encoding="chunked") + b"1\r\nx\r\n0\r\n\r\n"
        )
        assert (await open_wire.hear()).status == 404
        await open_wire.say(head(api, "GET", "/api/v1/merchants", Content_Length=LIMIT + 1))
        assert (await open_wire.hear()).status == 413
        assert await open_wire.is_closed()


async def test_who_waits_for_leave_to_send_gets_it_or_an_answer(api: Api) -> None:
    body = json.dumps(reward()).encode()
    async with wire(api.base_url) as open_wire:
        await open_wire.say(
            head(api, "POST", REWARDS, Content_Type=JSON_API, Content_Length=len(body), Expect="100-continue")
        )
        assert (await open_wire.hear()).status == 100
        await open_wire.say(body)
        assert (await open_wire.hear()).status == 200
        await open_wire.say(head(api, "POST", REWARDS, Content_Length=10**9, Expect="100-continue"))
        assert (await open_wire.hear()).status == 413
        assert await open_wire.is_closed()
    async with wire(api.base_url) as open_wire:
        # The body may never come now, so the connection is of no further use.
        await open_wire.say(head(api, "POST", "/api/v1/nothing", Content_Length=len(body), Expect="100-continue"))
        heard = await open_wire.hear()
        assert (heard.status, heard.headers["connection"]) == (404, "close")
        assert await open_wire.is_closed()


async def test_a_refused_request_leaves_the_connection_open_for_the_next(api: Api) -> None:
    body = json.dumps(reward()).encode()
    async with wire(api.base_url) as open_wire:
        sent = head(api, "POST", "/api/v1/nothing", Content_Type=JSON_API, Content_Length=len(body))
        await open_wire.say(sent)
        heard = await open_wire.hear()
        assert (heard.status, "connection" in heard.headers) == (404, False)
        await asyncio.sleep(0.05)
        await open_wire.say(body + sent + body)
        assert (await open_wire.hear()).status == 404
        assert await still_answers(open_wire, api)


async def test_the_rest_of_a_refused_body_is_waited_for_a_moment_only(hasty: Api) -> None:
    async with wire(hasty.base_url) as open_wire:
        await open_wire.say(head(hasty, "POST", "/api/v1/nothing", Content_Length=1000))
        assert (await open_wire.hear()).status == 404
        assert await open_wire.is_closed()


async def test_requests_sent_ahead_are_answered_in_order(api: Api) -> None:
    first, second = reward(), reward()
    async with wire(api.base_url) as open_wire:
        await open_wire.say(
            post(api, REWARDS, first)
            + head(api, "GET", "/api/v1/nothing")
            + post(api, REWARDS, second)
            + post(api, REWARDS, first)
        )
        heard = [await open_wire.hear() for _ in range(4)]
    assert [each.status for each in heard] == [200, 404, 409, 200]
    assert heard[3].headers["idempotent-replayed"] == "true"
    assert heard[3].content == heard[0].content


async def test_a_client_that_offers_another_protocol_is_answered_in_this_one(api: Api) -> None:
    async with wire(api.base_url) as open_wire:
        for _ in range(2):
            upgrade = {
                "Connection": "Upgrade, HTTP2-Settings",
                "Upgrade": "h2c",
                "HTTP2_Settings": "AAEAAEAAAAIAAAABAAMAAABk",
            }
            await open_wire.say(post(api, "/api/v1/nothing", reward(), **upgrade))
            assert (await open_wire.hear()).status == 404


async def test_headers_that_are_too_large_are_refused(api: Api, auditor: Db) -> None:
    heard = await asked(api, head(api, "GET", "/api/v1/merchants", X_Large="y" * 33_000))
    assert (heard.status, heard.codes) == (431, ["HeadersTooLarge"])
    async with wire(api.base_url) as open_wire:
        await open_wire.say(b"GET /api/v1/merchants HTTP/1.1\r\nX: ")
        for _ in range(16):
            await open_wire.say(b"y" * 8_192)
        assert (await open_wire.hear()).status == 431
        assert await open_wire.is_closed()
    many = {f"X_{number}": "y" for number in range(9_000)}
    assert (await asked(api, head(api, "GET", "/api/v1/merchants", **many))).status == 431


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"POST /api/v1/rewards HTTP/1.1\r\nHost"]
)
async def test_a_head_that_does_not_come_is_not_waited_for(hasty_url: str, begun: bytes) -> None:
    async with wire(hasty_url) as open_wire:
        await open_wire.say(begun)
        heard = await open_wire.hear()
        assert (heard.status, heard.headers["connection"]) == (408, "close")
        assert await open_wire.is_closed()


async def test_a_head_that_drips_is_not_waited_for(hasty_url: str) -> None:
    async with wire(hasty_url) as open_wire:
        await open_wire.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await open_wire.hear()).status == 200
        for character in b"GET /healthz HTTP/1.1":
            await open_wire.say(bytes([character]))
            await asyncio.sleep(0.03)
        assert (await open_wire.hear()).status == 408
        assert await open_wire.is_closed()


CL, TE = "Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        CL + TE,
        TE + CL,
        CL + "Content-Length: 5\r\n",
        CL + "Transfer-Encoding: identity\r\n",
        "Content-Length: 4, 5\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: -4\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length: " + "9" * 30 + "\r\n",
        "Content-Length : 4\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Host: y\r\n" + CL,
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "X: a\r\n b\r\n" + CL,
        "X: a\n" + CL,
        "X: a\r" + CL,
        "X\r\n" + CL,
        "X: a\0b\r\n" + CL,
        "X Y: a\r\n" + CL,
        ": a\r\n" + CL,
    ],
)
async def test_framing_that_others_may_read_otherwise_is_refused_and_closed(api: Api, lines: str) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(
            f"POST /api/v1/rewards HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode("latin-1")
            + b"4\r\nnone\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        heard = await open_wire.hear()
        assert heard.status == 400
        assert heard.headers["connection"] == "close"
        assert await open_wire.is_closed()


@pytest.mark.parametrize(
    "line",
    [
        b"GET /api/v1/re\xffwards HTTP/1.1",
        b"GET /api/v1/rewards\x00 HTTP/1.1",
        b"GET  HTTP/1.1",
        b"GET /healthz HTTP/9.9",
        b"G@T /healthz HTTP/1.1",
        b"GET http://[ HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0",
    ],
)
async def test_what_is_no_request_is_refused_and_closed(api: Api, line: bytes) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(line + b"\r\nHost: x\r\n\r\n")
        assert (await open_wire.hear()).status in {400, 404}


async def test_a_request_that_names_no_host_is_refused_but_of_an_old_client(api: Api) -> None:
    for version, status in (("1.1", 400), ("1.0", 200)):
        async with wire(api.base_url) as open_wire:
            await open_wire.say(f"GET /healthz HTTP/{version}\r\n\r\n".encode())
            assert (await open_wire.hear()).status == status


async def test_a_broken_chunk_is_refused(api: Api) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(head(api, "POST", REWARDS, Content_Type=JSON_API, Transfer_Encoding="chunked") + b"zz\r\n")
        assert (await open_wire.hear()).status == 400
        assert await open_wire.is_closed()


async def test_garbage_behind_a_request_is_never_taken_for_its_answer(api: Api) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(post(api, REWARDS, reward()) + b"G@RBAGE\r\n\r\n")
        # The connection ends without a word: a 400 here would seem to say that the reward was refused.
        assert await open_wire.is_closed()


async def test_garbage_behind_a_request_is_no_fault_of_ours(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nBAD\r\n\r\n")
        assert await open_wire.is_closed()
    assert await still_served(api)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def still_served(api: Api) -> bool:
    async with wire(api.base_url) as open_wire:
        return await still_answers(open_wire, api)


async def test_a_client_that_asks_for_it_is_answered_and_closed(api: Api) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(head(api, "GET", "/healthz", Connection="close"))
        assert (await open_wire.hear()).status == 200
        assert await open_wire.is_closed()
    async with wire(api.base_url) as open_wire:
        await open_wire.say(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert (await open_wire.hear()).status == 200
        assert await open_wire.is_closed()
