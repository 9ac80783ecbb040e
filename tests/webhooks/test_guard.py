"""The guard decides about the very address that is dialled, whatever a name server says, and however often it changes its mind."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_network

import pytest

from tallystick.webhooks.guard import AddressInfo, BlockedAddress, Guard
from tallystick.webhooks.sending import Sender
from tallystick.webhooks.target import Rules
from tests.webhooks.sinks import certificates, sink, status

HERE = (ip_network("127.0.0.1/32"),)


class Says(Guard):
    """Names have the addresses that a test says, one list after the other."""

    def __init__(self, *answers: Sequence[str], allowed: bool = True) -> None:
        super().__init__(HERE if allowed else ())
        self.answers = list(answers)

    def look_up(self, _host: str, port: int, _family: socket.AddressFamily) -> Sequence[AddressInfo]:
        named = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not named:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in named
        ]


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.2"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["fe80::1%1"],
        ["8.8.8.8", "127.0.0.2"], ["127.0.0.2", "8.8.8.8"], ["127.0.0.1", "::1"], ["2606:4700::1111", "fd00::1"],
    ],
)  # fmt: skip
async def test_a_name_with_any_denied_answer_is_refused(answers: list[str]) -> None:
    guard = Says(answers)
    with pytest.raises(BlockedAddress):
        await guard.resolve("partner.example", 443)
    await guard.close()


async def test_a_socket_is_opened_for_what_is_allowed_only() -> None:
    guard = Guard(HERE)
    opened = guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)))
    opened.close()
    for family, address in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1"), (socket.AF_INET, "nonsense")):
        with pytest.raises(BlockedAddress):
            guard.open_socket((family, socket.SOCK_STREAM, 6, "", (address, 1)))
    await guard.close()


async def test_a_name_that_changes_its_answer_changes_nothing(
    tmp_path: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    signed = certificates(tmp_path_factory.mktemp("rebinding"))
    guard = Says(["127.0.0.1"], ["127.0.0.2"])
    async with sink(status(200), tls=signed.serves("partner.example"), host="0.0.0.0") as receiver:
        rules = Rules(HERE, (443, receiver.port))
        sender = Sender(rules, guard=guard, tls=signed.trust(), first_byte_seconds=0.5, total_seconds=0.5).open()
        url = f"https://partner.example:{receiver.port}/"
        assert (await sender.send(url, {}, b"{}")).fault is None
        assert sender._session is not None and sender._session.connector is not None
        sender._session.connector.clear_dns_cache()  # type: ignore[attr-defined]
        answer = await sender.send(url, {}, b"{}")
        assert (answer.fault, receiver.connections) == ("blocked_address", 1)
        await sender.close()


async def test_what_the_resolver_lets_through_is_looked_at_again_when_it_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = Says(["127.0.0.2"])
    looked = guard.check
    seen: list[object] = []

    def once_blind(sockaddr: Sequence[object]) -> None:
        seen.append(sockaddr[0])
        if len(seen) > 1:
            looked(sockaddr)

    monkeypatch.setattr(guard, "check", once_blind)
    async with sink(status(200), host="0.0.0.0") as canary:
        sender = Sender(Rules(HERE, (canary.port,)), guard=guard, first_byte_seconds=0.5, total_seconds=0.5).open()
        assert (await sender.send(f"https://partner.example:{canary.port}/", {}, b"{}")).fault == "blocked_address"
        assert canary.connections == 0 and seen == ["127.0.0.2", "127.0.0.2"]
        await sender.close()


async def test_a_name_without_an_address_and_one_that_takes_for_ever_are_faults_in_a_word() -> None:
    sender = Sender(Rules(HERE), guard=Says([]), first_byte_seconds=0.3, total_seconds=0.3).open()
    assert (await sender.send("https://partner.example/", {}, b"{}")).fault == "dns_error"
    await sender.close()
    let_go = threading.Event()

    class Hangs(Guard):
        def look_up(self, _host: str, _port: int, _family: socket.AddressFamily) -> Sequence[AddressInfo]:
            let_go.wait(5)
            return []

    sender = Sender(Rules(HERE), guard=Hangs(HERE), first_byte_seconds=0.3, total_seconds=0.3).open()
    assert (await sender.send("https://partner.example/", {}, b"{}")).fault == "timeout"
    let_go.set()
    await asyncio.sleep(0.05)
    await sender.close()
