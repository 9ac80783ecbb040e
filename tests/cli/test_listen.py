"""`listen`: what happens reaches a program on this machine, signed, in order, and nothing is lost by an interruption."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli.listening import EVENT_BYTES_MAX, Heard, Interrupted, parse
from tallystick.cli.processes import listen
from tallystick.cli.sink import Sink, opened
from tests.cli.conftest import Begin, Demo
from tests.cli.running import Running, tallystick, until

ACTIVE = "+12025550143"


async def cut(stream: bytes, places: list[int]) -> AsyncIterator[bytes]:
    edges = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    for first, last in pairwise(edges):
        yield stream[first:last]


async def heard(stream: bytes, places: list[int]) -> list[Heard]:
    return [each async for each in parse(cut(stream, places), "")]


@given(places=st.lists(st.integers(0, 10_000), max_size=40), newline=st.sampled_from([b"\n", b"\r\n"]))
def test_a_stream_says_the_same_however_it_is_cut(places: list[int], newline: bytes) -> None:
    stream = (
        b": connected\nretry: 1000\n\n"
        b'id: 7\nevent: reward.credited\ndata: {"id":"a","note":"\xc3\xa9: \xe2\x9c\x93"}\n\n'
        b": heartbeat\nid: 9\n\nunknown: x\ndata:{\ndata: }\nid: 10\n\nid: 11\ndata: not ended"
    ).replace(b"\n", newline)
    assert asyncio.run(heard(stream, places)) == [
        Heard("", "", b""),
        Heard("7", "reward.credited", '{"id":"a","note":"é: ✓"}'.encode()),
        Heard("9", "", b""),
        Heard("10", "", b"{\n}"),
    ]


async def test_an_event_without_an_end_is_not_waited_for() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"data: " + b"x" * 1_000_000

    with pytest.raises(Interrupted, match="too long"):
        await anext(parse(endless(), ""))
    assert EVENT_BYTES_MAX > 1_000_000


class Wire:
    """A wire to the house that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._port, self._open = port, set[asyncio.StreamWriter]()
        self.is_cut, self.connections = False, 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, back}
        self._open |= ends
        await asyncio.gather(_copy(reader, back), _copy(there, writer))
        self._open -= ends

    def cut(self) -> None:
        self.is_cut = True
        for writer in self._open:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def wired(base_url: str) -> AsyncIterator[tuple[Wire, str]]:
    wire = Wire(int(base_url.rpartition(":")[2]))
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    try:
        yield wire, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        wire.cut()
        server.close()


async def soon(true: Any, what: str, seconds: float = 20.0) -> None:
    """Wait in a thread, so that this loop serves meanwhile."""
    await asyncio.to_thread(until, true, seconds, what)


async def listening(begin: Begin, demo: Demo, place: Path, *words: str) -> Running:
    running = begin(place, "listen", "--data", str(demo.up.place), *words)
    await soon(lambda: "Ctrl-C ends it" in running.said, "it listens")
    await asyncio.sleep(1.0)  # it says so before the stream is open, and the stream begins with what happens then
    return running


async def issue(demo: Demo, key: str) -> str:
    return str((await asyncio.to_thread(demo.sandbox.issue, ACTIVE, key)).body["data"]["id"])


async def test_events_are_forwarded_signed_and_an_interruption_loses_and_doubles_none(
    begin: Begin, demo: Demo, place: Path
) -> None:
    sink = Sink()
    async with opened(sink, listen("127.0.0.1", 0, exact=True)) as url, wired(demo.up.base_url) as (wire, through):
        running = await listening(begin, demo, place, "--forward", url, "--url", through, "--topics", "reward.credited")
        secret = re.search(r"whsec_\S+", running.said)
        assert secret is not None, running.said
        sink.secrets = (secret[0],)
        rewards = [await issue(demo, "before the cut")]
        await soon(lambda: len(sink.arrivals) == 1, "the first arrives")
        wire.cut()
        rewards += [await issue(demo, f"while it was cut {number}") for number in range(3)]
        await asyncio.sleep(0.5)
        assert len(sink.arrivals) == 1
        wire.is_cut = False
        await soon(lambda: len(sink.arrivals) == 4, running.said)
        rewards.append(await issue(demo, "after the cut"))
        await soon(lambda: len(sink.arrivals) == 5, running.said)
        assert await asyncio.to_thread(running.end, signal.SIGINT) == 0
    assert [each.subject for each in sink.arrivals] == [f"Reward {reward}" for reward in rewards]
    assert all(each.verified and not each.again and each.topic == "reward.credited" for each in sink.arrivals)
    assert wire.connections == 2
    assert "Traceback" not in running.said
    assert len(re.findall(r"reward\.credited +\S+  204  \d+ ms", running.said)) == 5
    assert "\n5 events" in running.said

    again = await listening(begin, demo, place.with_name("again"), "--forward", url)
    assert secret[0] in again.said
    await issue(demo, "nobody takes it")
    await soon(lambda: re.search(r"no answer \(\w+\)", again.said), again.said)
    assert await asyncio.to_thread(again.end, signal.SIGTERM) == 0


async def test_as_json_each_event_is_a_line(begin: Begin, demo: Demo, place: Path) -> None:
    running = begin(place, "listen", "--data", str(demo.up.place), "--print-json", "--topics", "reward.credited,*")
    rewards = []
    for number in range(40):  # it says nothing about when it begins
        rewards.append(await issue(demo, f"as JSON {number}"))
        await asyncio.sleep(0.5)
        if running.said:
            break
    lines = [json.loads(line) for line in running.said.splitlines()]
    assert lines[0]["event"]["data"]["id"] in rewards
    assert lines[0]["topic"] == lines[0]["event"]["type"] == "reward.credited"
    assert lines[0]["id"] == lines[0]["event"]["id"] and lines[0]["position"].isdigit()
    assert lines[0]["status"] is None and lines[0]["fault"] == ""
    assert await asyncio.to_thread(running.end, signal.SIGINT) == 0


def test_what_cannot_be_listened_to_is_refused_in_a_sentence(demo: Demo, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    sandbox = demo.credentials["sandbox"]
    wrong.write_text(json.dumps({**demo.credentials, "sandbox": {**sandbox, "clientSecret": "tly_sandbox_wrong"}}))
    (tmp_path / "broken.json").write_text("{")
    there = ("--data", demo.up.place)
    for words, sentence in [
        ((*there, "--forward", "localhost:3000"), "is no address to forward to."),
        ((*there, "--topics", "reward.creditd"), "There is no such topic."),
        (("--credentials", wrong), "The house answered 401"),
        (("--credentials", tmp_path / "broken.json"), "is no file of credentials (JSONDecodeError)."),
        (("--data", tmp_path), "There are no credentials in"),
    ]:
        done = tallystick("listen", *words)
        assert done.exit_code == 1, words
        assert sentence in done.output and "Traceback" not in done.output
    named = {"CLIENT_ID": sandbox["clientId"], "CLIENT_SECRET": "wrong"}
    assert "name its address with --url" in tallystick("listen", settings=named).output
    assert "The house answered 401" in tallystick("listen", "--url", demo.up.base_url, settings=named).output
