"""The sender against receivers that mean harm, over real sockets: nothing raises, nothing takes long, nothing is believed."""

import asyncio
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tallystick.webhooks.model import ANSWER_BYTES_MAX, FIRST_BYTE_SECONDS, LEASE, TOTAL_SECONDS
from tallystick.webhooks.sending import Sender
from tallystick.webhooks.target import Rules
from tests.webhooks import sinks
from tests.webhooks.sinks import Certificates, certificates, says, sink, status

HERE = Rules((ip_network("127.0.0.1/32"),))
FIRST, TOTAL = 0.4, 0.8
BODY = b'{"id":"1"}'


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    """Impatient, so that tests are not long; reaches 127.0.0.1 only."""
    opened = Sender(HERE, first_byte_seconds=FIRST, total_seconds=TOTAL).open()
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder: Path = tmp_path_factory.mktemp("certificates")
    return certificates(folder)


def test_a_receiver_has_ten_seconds_to_begin_and_fifteen_in_all_well_within_a_lease() -> None:
    sender = Sender(HERE)
    assert (sender._first, sender._total) == (FIRST_BYTE_SECONDS, TOTAL_SECONDS)
    assert [sender._first, sender._total] == [10.0, 15.0]
    assert ANSWER_BYTES_MAX == 16 * 1024
    assert LEASE.total_seconds() > 2 * TOTAL_SECONDS


async def test_what_is_sent_is_exactly_the_body_with_our_headers(sender: Sender) -> None:
    async with sink(status(200, body=b"thanks")) as receiver:
        answer = await sender.send(receiver.url(), {"webhook-id": "m1", "x-own": "a"}, BODY)
    assert (answer.status_code, answer.fault, answer.body) == (200, None, b"thanks")
    (sent,) = receiver.requests
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == BODY
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /hooks http/1.1"
    names = sorted(line.partition(b":")[0] for line in lines[1:])
    assert names == [b"content-length", b"content-type", b"host", b"user-agent", b"webhook-id", b"x-own"]


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
async def test_every_2xx_is_success(sender: Sender, code: int) -> None:
    async with sink(status(code)) as receiver:
        assert (await sender.send(receiver.url(), {}, BODY)).fault is None


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_never_followed(sender: Sender, code: int) -> None:
    async with sink(status(200)) as canary, sink(status(code, f"location: {canary.url()}")) as receiver:
        answer = await sender.send(receiver.url(), {}, BODY)
        assert (answer.status_code, answer.fault) == (code, "status")
        await asyncio.sleep(0.05)
        assert canary.connections == 0


@pytest.mark.parametrize(
    ("behave", "fault", "code"),
    [
        (sinks.hangs, "timeout", None),
        (sinks.resets, "reset", None),
        (says(b""), "reset", None),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"), "malformed_answer", 200),
        (says(b"nonsense\r\n\r\n"), "malformed_answer", None),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n"), "malformed_answer", None),
        (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n"), "malformed_answer", None),
        (says(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n"), "too_large", None),
        (says(b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 40_000 + b"\r\n"), "malformed_answer", None),
        (says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), "status", 101),
        (sinks.drips(b"HTTP/1.1 200 OK\r\n", b"x"), "timeout", None),
        (sinks.drips(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"), "timeout", None),
        (sinks.drips(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "timeout", 200),
        (sinks.drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout", None),
    ],
)
async def test_what_is_no_answer_is_a_fault_in_a_word_and_takes_no_longer_than_it_may(
    sender: Sender, behave: sinks.Behaviour, fault: str, code: int | None
) -> None:
    async with sink(behave) as receiver:
        began = time.monotonic()
        answer = await sender.send(receiver.url(), {}, BODY)
        assert time.monotonic() - began < TOTAL + 0.4
    assert (answer.fault, answer.status_code) == (fault, code)


async def test_an_answer_after_continue_is_an_answer(sender: Sender) -> None:
    async with sink(says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")) as receiver:
        assert (await sender.send(receiver.url(), {}, BODY)).status_code == 204


async def test_of_an_answer_without_an_end_the_beginning_is_read_and_the_connection_is_cut(sender: Sender) -> None:
    async with sink(sinks.endless) as receiver:
        began = time.monotonic()
        answer = await sender.send(receiver.url(), {}, BODY)
        assert time.monotonic() - began < FIRST
        assert (answer.fault, len(answer.body)) == (None, ANSWER_BYTES_MAX)
        await sender.send(receiver.url(), {}, BODY)
        assert receiver.connections == 2


async def test_nothing_is_decompressed(sender: Sender) -> None:
    async with sink(sinks.bomb(megabytes=64)) as receiver:
        answer = await sender.send(receiver.url(), {}, BODY)
    assert answer.fault is None and len(answer.body) <= ANSWER_BYTES_MAX and answer.body[:2] == b"\x1f\x8b"


async def test_cookies_are_not_kept_and_proxies_and_netrc_not_asked(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login mira password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with sink(status(200)) as proxy, sink(status(200, "set-cookie: a=b; path=/")) as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        for _ in range(2):
            assert (await sender.send(receiver.url(), {}, BODY)).fault is None
        assert proxy.connections == 0
    assert all(b"cookie" not in each.lower() and b"authorization" not in each.lower() for each in receiver.requests)


async def test_one_connection_serves_many_deliveries(sender: Sender) -> None:
    async def keeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await sinks.request(reader)

    async with sink(keeps) as receiver:
        for _ in range(5):
            assert (await sender.send(receiver.url(), {}, BODY)).fault is None
        assert receiver.connections == 1


async def test_a_port_where_nobody_listens_is_a_fault(sender: Sender) -> None:
    async with sink(status(200)) as receiver:
        pass
    assert (await sender.send(receiver.url(), {}, BODY)).fault == "connect_error"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:{port}/", "http://localhost.localdomain:{port}/", "http://127.1:{port}/", "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/", "http://2130706433:{port}/", "http://0:{port}/", "http://user@127.0.0.1:{port}/",
        "http://0.0.0.0:{port}/", "file:///etc/passwd", "http://127.0.0.1:{port}/\r\nx: y",
    ],
)  # fmt: skip
async def test_what_the_operator_did_not_allow_is_never_dialled(sender: Sender, url: str) -> None:
    async with sink(status(200), host="0.0.0.0") as canary:
        answer = await sender.send(url.format(port=canary.port), {}, BODY)
        assert (answer.fault, answer.status_code) == ("blocked_address", None)
        await asyncio.sleep(0.02)
        assert canary.connections == 0


async def trusting(signed: Certificates, **more: Any) -> Sender:
    return Sender(HERE, first_byte_seconds=FIRST, total_seconds=TOTAL, tls=signed.trust(), **more).open()


async def test_a_certificate_has_to_be_good_of_this_address_and_of_today(signed: Certificates) -> None:
    sender = await trusting(signed)
    for context, fault in (
        (signed.serves("127.0.0.1"), None),
        (signed.serves("127.0.0.2"), "tls_error"),
        (signed.serves("partner.example"), "tls_error"),
        (signed.serves("127.0.0.1", days=-1), "tls_error"),
    ):
        async with sink(status(200), tls=context) as receiver:
            assert (await sender.send(receiver.url(scheme="https"), {}, BODY)).fault == fault
    await sender.close()


async def test_an_authority_that_nobody_trusts_is_not_believed(sender: Sender, signed: Certificates) -> None:
    async with sink(status(200), tls=signed.serves("127.0.0.1")) as receiver:
        assert (await sender.send(receiver.url(scheme="https"), {}, BODY)).fault == "tls_error"
        assert receiver.requests == []


async def test_old_encryption_is_refused(signed: Certificates) -> None:
    context = signed.serves("127.0.0.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    sender = await trusting(signed)
    async with sink(status(200), tls=context) as receiver:
        answer = await sender.send(receiver.url(scheme="https"), {}, BODY)
        assert answer.fault in {"tls_error", "connect_error"}  # some servers say what they want, others just hang up
        assert receiver.requests == []
    await sender.close()


async def test_a_handshake_that_never_ends_is_waited_for_no_longer_than_an_answer(signed: Certificates) -> None:
    sender = await trusting(signed)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    began = time.monotonic()
    answer = await sender.send(f"https://127.0.0.1:{port}/", {}, BODY)
    assert answer.fault == "timeout" and time.monotonic() - began < TOTAL + 0.3
    await sender.close()
    server.close()
