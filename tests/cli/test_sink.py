"""The demo's sink: it verifies what arrives, shows it live, and harms nobody whatever arrives."""

import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.cli import demo_sink
from tallystick.cli.processes import listen
from tallystick.cli.sink import BODY_BYTES_MAX, KEPT, WAITING_MAX, Sink, opened
from tallystick.webhooks import signing
from tallystick.webhooks.model import Signer
from tests.cli import browser
from tests.cli.conftest import Begin, Demo
from tests.cli.running import Running, ask, client_of, tallystick, until
from tests.machine import need

SYMMETRIC = b"\5" * 32
SECRET = signing.secret_text(SYMMETRIC)
ACTIVE = "+12025550143"


def signed(body: bytes, message_id: str = "", **more: str) -> dict[str, str]:
    """The headers of a genuine delivery."""
    return {**signing.headers(Signer((SYMMETRIC,), ()), message_id or str(ids.new()), datetime.now(UTC), body), **more}


def envelope(topic: str = "reward.credited", sequence: int = 1) -> bytes:
    told = {"type": topic, "sequence": sequence, "data": {"type": "Reward", "id": str(ids.new())}}
    return json.dumps(told).encode()


@asynccontextmanager
async def running(sink: Sink) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """A sink that serves, and somebody to ask it."""
    async with opened(sink, listen("127.0.0.1", 0, exact=True)) as url, aiohttp.ClientSession() as session:
        yield url, session


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> int:
    async with session.post(f"{url}/", data=body, headers=headers) as answer:
        return answer.status


async def pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str, Any]]:
    """Id, name and data of each event of a stream."""
    told = {"id": "", "event": "message"}
    async for line in answer.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            told[name] = value
        elif "data" in told:
            yield told["id"], told["event"], json.loads(told["data"])
            told = {"id": told["id"], "event": "message"}


async def test_what_is_genuine_is_taken_and_all_else_is_shown_as_not_verified() -> None:
    sink, body = Sink([SECRET]), envelope(sequence=7)
    async with running(sink) as (url, session):
        good = signed(body, "one")
        assert await post(session, url, body, good) == 204
        assert await post(session, url, body, good | {"webhook-replay": "true"}) == 204
        assert await post(session, url, body + b" ", good) == 401
        assert await post(session, url, body, {}) == 401
        assert await post(session, url, b"\xff\0", {"webhook-signature": "v1,!"}) == 401
        other = signing.headers(Signer((b"\6" * 32,), ()), "x", datetime.now(UTC), body)
        assert await post(session, url, body, other) == 401
        async with session.get(f"{url}/deliveries") as answer:
            shown = (await answer.json())["deliveries"]
    assert [each["verified"] for each in shown] == [True, True, False, False, False, False]
    assert [each["again"] for each in shown] == [False, True, False, False, False, False]
    assert [each["replayed"] for each in shown[:2]] == [False, True]
    first = shown[0]
    assert (first["id"], first["topic"], first["sequence"]) == ("one", "reward.credited", 7)
    assert first["subject"] == f"Reward {json.loads(body)['data']['id']}"
    assert shown[4]["topic"] == "" and shown[4]["why"]


async def test_a_page_gets_what_is_kept_and_then_what_comes_and_goes_on_where_it_was() -> None:
    sink = Sink([SECRET])
    async with running(sink) as (url, session):
        for number in (1, 2):
            await post(session, url, body := envelope(sequence=number), signed(body))
        async with session.get(f"{url}/live") as answer:
            assert answer.content_type == "text/event-stream"
            told = pieces(answer)
            assert (await anext(told))[1] == "begin"
            assert [(await anext(told))[2]["sequence"] for _ in range(2)] == [1, 2]
            await post(session, url, body := envelope(sequence=3), signed(body))
            last, _, third = await anext(told)
            assert third["sequence"] == 3
        await post(session, url, body := envelope(sequence=4), signed(body))
        async with session.get(f"{url}/live", headers={"Last-Event-ID": last}) as answer:
            assert (await anext(pieces(answer)))[2]["sequence"] == 4
        for strange in ("another run:3", ":", "x" * 50, f"{sink.run}:-1", f"{sink.run}:{'9' * 50}"):
            async with session.get(f"{url}/live", headers={"Last-Event-ID": strange}) as answer:
                assert (await anext(pieces(answer)))[1] == "begin"


async def test_only_the_last_are_kept_and_a_page_that_reads_nothing_is_let_go() -> None:
    sink = Sink([SECRET])
    for number in range(KEPT):
        sink.take({}, envelope(sequence=number))
    sleeping = sink.follow(0)
    assert (first := await anext(sleeping)) is not None and first.sequence == 0
    for number in range(WAITING_MAX + 5):
        sink.take({}, envelope(sequence=KEPT + number))
    assert len(sink.arrivals) == KEPT
    assert [each.number async for each in sleeping if each is not None] == list(range(2, KEPT + 1))


async def test_the_page_asks_nobody_else_for_anything_and_runs_no_script_but_its_own() -> None:
    async with running(Sink()) as (url, session):
        for path in ("", "page.css", "page.js"):
            async with session.get(f"{url}/{path}") as answer:
                assert answer.status == 200
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
                assert "unsafe" not in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                text = await answer.text()
            assert re.findall(r"https?://|@import|innerHTML|insertAdjacentHTML|document\.write|eval\(", text) == []
            assert re.findall(r"<script>|\son\w+=|style=", text) == []


async def test_who_came_by_another_name_is_answered_nothing() -> None:
    sink = Sink([SECRET])
    async with running(sink) as (url, session):
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example:80", ""):
            for path in ("", "deliveries", "live"):
                async with session.get(f"{url}/{path}", headers={"Host": host}) as answer:
                    assert answer.status in (400, 421)
            assert await post(session, url, b"{}", {"Host": host}) in (400, 421)
        assert await post(session, url, b"x" * (BODY_BYTES_MAX + 1), {}) == 413
    assert sink.arrivals == ()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    told=st.dictionaries(st.sampled_from(["type", "sequence", "data", "id"]), values, max_size=4) | values,
    message_id=st.text(max_size=10),
)
def test_whatever_a_body_claims_can_be_shown(told: object, message_id: str) -> None:
    sink = Sink([SECRET])
    arrival = sink.take({"webhook-id": message_id}, json.dumps(told).encode())
    assert not arrival.verified and arrival.why
    assert len(arrival.topic) <= 200 and len(arrival.subject) <= 401
    assert arrival.sequence is None or type(arrival.sequence) is int


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"type":"\\ud800"}', b"\xff" * 10, b"", b'{"sequence":1e999}'])
async def test_a_strange_body_reaches_the_page(body: bytes) -> None:
    async with running(Sink([SECRET])) as (url, session):
        assert await post(session, url, body, {}) == 401
        async with session.get(f"{url}/live") as answer:
            told = pieces(answer)
            await anext(told)
            assert (await anext(told))[2]["verified"] is False


async def test_a_browser_shows_what_arrives_as_text_and_live(tmp_path: Path) -> None:
    command = need(*browser.NAMES)
    sink = Sink([SECRET])
    async with running(sink) as (url, session), browser.browser(command, tmp_path) as page:
        await post(session, url, body := envelope("<img src=x onerror=window.hit=1>"), {})
        await page.open(url)
        await page.until("document.querySelectorAll('#rows tr').length === 2")
        await post(session, url, body := envelope("reward.credited", 41), signed(body))
        await page.until("document.querySelectorAll('#rows tr').length === 4")
        rows = await page.value("[...document.querySelectorAll('#rows tr:not(.body)')].map(row => row.innerText)")
        assert "reward.credited" in rows[0] and "41" in rows[0] and "✓ verified" in rows[0]
        assert "<img src=x onerror=window.hit=1>" in rows[1] and "✗ not verified" in rows[1]
        assert await page.value("document.images.length + Number(window.hit ?? 0)") == 0
        await page.value("document.querySelector('#rows button').click()")
        assert await page.value("document.querySelector('#rows tr.body:not([hidden])').innerText.includes('Reward')")
        await page.value("filter.value = 'nothing'; filter.dispatchEvent(new Event('input'))")
        assert await page.value("document.querySelectorAll('#rows tr:not([hidden])').length") == 0
        await page.picture(tmp_path / "sink.png")


def sink_of(up: Running) -> str:
    where = re.search(r"^sink +(http://\S+)", up.said, re.MULTILINE)
    assert where is not None, up.said
    return where[1]


def arrived(sink: str, subject_id: str) -> list[Mapping[str, Any]]:
    """What the sink has of a subject."""
    return [each for each in ask(f"{sink}/deliveries").body["deliveries"] if subject_id in each["subject"]]


def test_the_demo_shows_its_webhooks_at_the_sink_and_the_tour_tells_of_them(demo: Demo) -> None:
    sink = sink_of(demo.up)
    reward = demo.sandbox.issue(ACTIVE, "to be shown at the sink").body["data"]
    until(lambda: arrived(sink, reward["id"]), what="the sink shows the reward")
    shown = arrived(sink, reward["id"])[0]
    assert (shown["topic"], shown["verified"], shown["again"]) == ("reward.credited", True, False)
    toured = tallystick("tour", "--data", demo.up.place)
    assert toured.exit_code == 0, toured.output
    assert re.findall(r"(\d+) %  (\S+) USD of 30.00 USD", toured.output)[:2] == [("30", "9.00"), ("73", "22.00")]
    told = toured.output.partition("Meanwhile all of it arrived")[2]
    for topic in ("gift_card.expired", "threshold.progress_updated", "threshold.reached", "reward.credited"):
        assert re.search(rf"{topic} +#\d+  verified", told), topic
    assert "not verified" not in told


def test_the_sink_comes_back_with_the_demo_and_elsewhere_where_its_port_is_taken(begin: Begin, place: Path) -> None:
    words = ("up", "--data", str(place), "--port", "0", "--demo")
    first = begin(place, *words).serving()
    sink, file = sink_of(first), place / "demo-sink.json"
    kept = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert first.end(signal.SIGINT) == 0
    assert ask(f"{sink}/deliveries").status == 0

    with socket.create_server(("127.0.0.1", int(sink.rpartition(":")[2]))):
        second = begin(place, *words).serving()
        moved = sink_of(second)
        assert moved != sink
        assert json.loads(file.read_text()) == {**kept, "url": f"{moved}/"}
        client = client_of(json.loads((place / "demo-credentials.json").read_text()), second.base_url)
        assert len(client.get("webhooks").body["data"]) == 1
        reward = client.issue(ACTIVE, "moved").body["data"]
        until(lambda: arrived(moved, reward["id"]), what="the sink that moved shows the reward")
        assert second.end() == 0

    # Whoever lost the file lost the secret: there is one endpoint again, and it is verified.
    file.write_text('{"url": "http://127.0.0.1:99999/", "webhookId": 1, "secret": null}')
    third = begin(place, *words).serving()
    client = client_of(json.loads((place / "demo-credentials.json").read_text()), third.base_url)
    assert [each["attributes"]["url"] for each in client.get("webhooks").body["data"]] == [f"{sink_of(third)}/"]
    reward = client.issue(ACTIVE, "made anew").body["data"]
    until(lambda: arrived(sink_of(third), reward["id"]), what="the new endpoint's sink shows the reward")
    assert arrived(sink_of(third), reward["id"])[0]["verified"]
    assert third.end() == 0


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"url":1}', '{"url":"http://[","webhookId":"x","secret":"x"}', "\0"])
def test_whatever_was_kept_of_it_it_finds_a_port(tmp_path: Path, kept: str) -> None:
    (tmp_path / demo_sink.FILE).write_text(kept)
    with demo_sink.where(tmp_path) as listening:
        host, port = listening.getsockname()
    assert host == "127.0.0.1" and port > 0
