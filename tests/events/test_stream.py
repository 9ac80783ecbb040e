"""The stream: what happens is told as it happens, each event once, however often a reader comes and goes."""

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Any

import aiohttp
import asyncpg
import pytest
from msgspec import structs

from tallystick import events, partners
from tallystick.base import live
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.events import store as feed_store
from tallystick.events import streaming
from tallystick.main import build
from tests.api import SETTINGS, Api, join, luna, served
from tests.conftest import Clock
from tests.events.sse import Following, Told, following
from tests.events.test_feed import happened, used_up
from tests.rewards.cast import another_client, cancel, feed, refused


def ids_of(told: list[Told]) -> list[int | None]:
    return [each.id for each in told]


async def tell(runtime: Runtime, api: Api, number: int = 1) -> None:
    async with runtime.work(api.tenant) as work:
        for _ in range(number):
            events.record(work, happened(api))


async def test_what_happens_is_told_within_moments_as_a_webhook_would_be(api: Api) -> None:
    await api.issue("+12025550100")
    async with following(api) as stream:
        began = time.monotonic()
        issued = await api.issue()
        told = await stream.event()
        assert time.monotonic() - began < 2
    (_, event) = (await api.get("webhook-events")).data
    assert (told.id, told.event) == (2, "reward.pre_issued")
    assert told.data == event["attributes"]["envelope"]
    assert (told.data["id"], told.data["data"]["id"]) == (event["id"], issued.data["id"])
    assert list(told.data) == ["id", "type", "timestamp", "sequence", "data"]


async def test_who_asks_for_the_beginning_gets_all_of_it(api: Api, runtime: Runtime) -> None:
    await tell(runtime, api, 3)
    async with following(api, "?after=0") as stream:
        assert ids_of(await stream.events(3)) == [1, 2, 3]
        await tell(runtime, api)
        assert (await stream.event()).id == 4


async def test_who_comes_back_goes_on_behind_the_last_event_it_names(api: Api, runtime: Runtime) -> None:
    await tell(runtime, api, 4)
    async with following(api, "?after=0", {"Last-Event-ID": "2"}) as stream:
        assert ids_of(await stream.events(2)) == [3, 4]


async def test_an_empty_last_event_id_is_none(api: Api, runtime: Runtime) -> None:
    await tell(runtime, api, 2)
    async with following(api, "?after=1", {"Last-Event-ID": ""}) as stream:
        assert (await stream.event()).id == 2


async def test_readers_that_come_and_go_miss_and_repeat_nothing_however_many_write(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little is kept, so that they catch up from the feed again and again."""
    monkeypatch.setattr(streaming, "KEPT_MAX", 7)
    monkeypatch.setattr(streaming, "WINDOW", 5)
    monkeypatch.setattr(streaming, "READ_AT_ONCE", 3)
    total = 200
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(total // 4):
            await tell(runtime, api)

    async def read(visit: int) -> list[int]:
        seen: list[int] = []
        while len(seen) < total:
            headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
            async with following(api, "?after=0", headers) as stream:
                told = await stream.events(min(visit, total - len(seen)))
                seen.extend(each.id or 0 for each in told)
        done.set()
        return seen

    reading = [asyncio.create_task(read(visit)) for visit in (1, 9, 70, total)]
    await asyncio.gather(*(write() for _ in range(4)))
    for seen in await asyncio.gather(*reading):
        assert seen == list(range(1, total + 1))


async def test_a_stream_may_be_of_some_topics_or_of_one_subject(api: Api, runtime: Runtime) -> None:
    async with (
        following(api, "?filter[topic]=reward.cancelled,merchant.updated") as some,
        following(api, "?filter[topic]=reward.cancelled") as one,
    ):
        reward_id = (await api.issue()).data["id"]
        await tell(runtime, api)
        async with following(api, f"?after=0&filter[subjectId]={reward_id}") as about:
            await cancel(api, reward_id)
            assert [told.event for told in await some.events(2)] == ["merchant.updated", "reward.cancelled"]
            assert (await one.event()).id == 3
            assert [told.event for told in await about.events(2)] == ["reward.pre_issued", "reward.cancelled"]


async def test_nobody_is_told_what_is_not_theirs(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    """The rule of the feed, held against the feed of each: live, and caught up with."""
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    other = await join(runtime, session, base_url, tenant=api.tenant)
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    limited = await another_client(runtime, api, (lagoon.id,))
    everyone = (api, other, overseer, limited)
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(each)) for each in everyone]
        await api.issue(merchantId=str(api.merchant_id))
        await other.issue(merchantId=str(lagoon.id))
        await api.issue("+12025550100", merchantId=str(lagoon.id))
        async with runtime.work(api.tenant) as work:
            events.record(work, used_up(api))
            events.record(work, structs.replace(happened(other), merchant_id=api.merchant_id))
        for each, stream in zip(everyone, streams, strict=True):
            expected = [event["position"] for event in await feed(each)]
            assert expected
            assert ids_of(await stream.events(len(expected))) == expected
            async with following(each, "?after=0") as late:
                assert ids_of(await late.events(len(expected))) == expected
    assert [len(await feed(each)) for each in everyone] == [3, 2, 4, 2]


async def test_a_quiet_stream_shows_that_it_lives_and_how_far_it_has_read(
    api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.3)
    async with following(api, "?filter[topic]=reward.cancelled") as stream:
        await tell(runtime, api, 2)
        await asyncio.sleep(0.4)
        beats = [await stream.block() for _ in range(3)]
    assert [beat.comment for beat in beats if beat] == ["heartbeat"] * 3
    assert beats[-1] is not None
    assert beats[-1].id == 2


async def test_eleven_streams_of_one_client_are_one_too_many(api: Api) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(streaming.STREAMS_MAX):
            await stack.enter_async_context(following(api))
        answer = await api.get("webhook-events/stream")
        refused(answer, 429, "RateLimited")
        assert answer.headers["retry-after"] == "10"
    async with asyncio.timeout(5):
        while (await api.request("HEAD", "webhook-events/stream")).status != 200:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.05)


async def test_a_head_request_is_answered_and_holds_nothing(api: Api) -> None:
    for _ in range(streaming.STREAMS_MAX + 2):
        assert (await api.request("HEAD", "webhook-events/stream")).status == 200


async def test_the_stream_of_a_revoked_credential_ends(
    api: Api,
    runtime: Runtime,
    session: aiohttp.ClientSession,
    keys: MasterKeys,
    clock: Clock,
    dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "LOOK_AGAIN_SECONDS", 0.1)
    settings = replace(SETTINGS, credential_cache_seconds=0)
    async with served(build(settings, dsn, keys, clock)) as address:
        here = replace(api, base_url=address)
        async with following(here) as stream:
            await tell(runtime, api)
            assert (await stream.event()).id == 1
            async with runtime.pool.lend() as db, db.connection.transaction():
                await partners.revoke_client(db, here_id(here), clock())
            assert await stream.rest(5) == []
        refused(await here.get("webhook-events/stream"), 401, "Unauthorized")


async def test_a_process_that_ends_ends_its_streams_well_and_at_once(
    api: Api, runtime: Runtime, keys: MasterKeys, clock: Clock, dsn: str
) -> None:
    stream: Following | None = None
    async with contextlib.AsyncExitStack() as stack:
        async with served(build(SETTINGS, dsn, keys, clock)) as address:
            stream = await stack.enter_async_context(following(replace(api, base_url=address)))
            await tell(runtime, api)
            assert (await stream.event()).id == 1
            began = time.monotonic()
        assert time.monotonic() - began < 1.5
        assert await stream.rest(1) == []


async def test_a_reader_that_takes_nothing_is_cut_off(
    api: Api, runtime: Runtime, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STALLED_SECONDS", 0.5)
    host, port = base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    lines = [
        "GET /api/v1/webhook-events/stream?after=0 HTTP/1.1",
        "host: x",
        f"client-id: {api.client_id}",
        f"authorization: Bearer {api.secret}",
    ]
    for _ in range(10):
        async with runtime.work(api.tenant) as work:
            for _ in range(30):
                one = happened(api)
                events.record(work, structs.replace(one, document=one.document.replace(b"Caf", b"n" * 50_000)))
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await writer.drain()
    await asyncio.sleep(3)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(20_000_000)
    writer.close()


@pytest.mark.parametrize(
    ("query", "headers", "where"),
    [
        ("?after=-1", {}, "after"),
        ("?after=1", {}, "after"),
        ("?after=0", {"Last-Event-ID": "9"}, "Last-Event-ID"),
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ("?filter[topic]=reward.x", {}, "filter[topic]"),
        ("?filter[topic]=", {}, "filter[topic]"),
        ("?filter[subjectId]=1", {}, "filter[subjectId]"),
    ],
)
async def test_what_cannot_be_followed_is_told_there(api: Api, query: str, headers: dict[str, str], where: str) -> None:
    refused(await api.get(f"webhook-events/stream{query}", headers=headers), 400, "InvalidRequest", where)


async def test_following_needs_its_scope(api: Api, runtime: Runtime) -> None:
    limited = await another_client(runtime, api, scopes=frozenset({"rewards:read"}))
    refused(await limited.get("webhook-events/stream"), 403, "InsufficientScope")


async def test_many_streams_are_one_look_at_the_database(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []
    heads = feed_store.heads

    async def counted(*args: Any) -> dict[Any, int]:
        looks.append(args)
        return await heads(*args)

    monkeypatch.setattr(feed_store, "heads", counted)
    clients = [api, *[await another_client(runtime, api) for _ in range(4)]]
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(each)) for each in clients * 10]
        looks.clear()
        began = time.monotonic()
        await tell(runtime, api)
        assert {(await stream.event()).id for stream in streams} == {1}
        await asyncio.sleep(0.5)
        assert len(looks) <= (time.monotonic() - began) / streaming.TICK_SECONDS + 2


def here_id(api: Api) -> Any:
    from uuid import UUID

    return UUID(api.client_id)


async def test_a_stream_outlives_the_connections_of_its_process(
    api: Api, runtime: Runtime, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    async with following(api) as stream:
        for number in range(1, 4):
            await owner.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name = 'tallystick-http'"
            )
            await tell(runtime, api)
            assert (await stream.event()).id == number
