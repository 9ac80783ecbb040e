"""Downloads: streamed, of their own media type, and never a part that looks like the whole."""

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from tallystick.base import mediatypes
from tallystick.base.http import Road
from tallystick.base.keys import MasterKeys
from tallystick.base.metrics import Metrics
from tallystick.base.routes import Call, Reply, Route
from tallystick.base.work import Runtime
from tallystick.main import build
from tests.api import SETTINGS, Api, served


async def lines(count: int, *, broken: bool) -> AsyncIterator[bytes]:
    for n in range(count):
        yield b"%d,some text\r\n" % n
    if broken:
        raise RuntimeError("the source dried up")


async def whole(call: Call) -> Reply:
    return Reply(200, None, stream=lines(5_000, broken=False))


async def broken(call: Call) -> Reply:
    return Reply(200, None, stream=lines(10, broken=True))


@pytest.fixture
async def downloads(dsn: str, keys: MasterKeys, runtime: Runtime, api: Api) -> AsyncIterator[Api]:
    application = build(SETTINGS, dsn, keys, runtime.clock)
    routes = (
        Route("GET", "/api/v1/whole", whole, "rewards:read", "A download", download="text/csv"),
        Route("GET", "/api/v1/broken", broken, "rewards:read", "A download that breaks", download="text/csv"),
    )
    road = Road(
        application.house,
        routes,
        authenticator=application.authenticator,
        limiter=application.limiter,
        request_log=application.request_log,
        pages={},
        metrics=Metrics(),
    )
    async with served(replace(application, road=road)) as base_url:
        yield replace(api, base_url=base_url)


@pytest.mark.parametrize("accept", ["text/csv", "text/*", "*/*", "application/vnd.api+json", "text/html, */*;q=0.1"])
async def test_a_download_comes_whole_and_in_its_own_media_type(downloads: Api, accept: str) -> None:
    answer = await downloads.get("whole", headers={"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in answer.headers
    assert [line.split(",")[0] for line in answer.text.splitlines()] == [str(n) for n in range(5_000)]


async def test_who_takes_only_something_else_is_told_what_it_is(downloads: Api) -> None:
    answer = await downloads.get("whole", headers={"Accept": "text/html"})
    assert (answer.status, answer.codes) == (406, ["NotAcceptable"])
    assert "text/csv" in answer.body["errors"][0]["detail"]


async def test_a_download_that_fails_on_the_way_does_not_end_as_if_it_were_whole(downloads: Api) -> None:
    with pytest.raises(aiohttp.ClientError):
        await downloads.get("broken")


@pytest.mark.parametrize(
    ("accept", "taken"),
    [("", True), ("text/csv", True), ("text/csv;q=0", False), ("text/plain", False), ("application/json", False)],
)
def test_an_accept_header_takes_a_download_or_not(accept: str, taken: bool) -> None:
    assert mediatypes.takes(accept, "text/csv") is taken
