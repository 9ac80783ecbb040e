"""Sending what is due: once where it can be, again where it must be, given up where it should be."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tallystick import messages
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.keys import SubjectKey
from tallystick.base.settings import Settings
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.messages import Channel, Outgoing, Senders, Verdict
from tallystick.messages.gateway import Gateway
from tallystick.messages.model import PAUSES
from tallystick.messages.smtp import Smtp
from tests.conftest import Clock
from tests.messages.sinks import MailSink, SmsSink
from tests.world import MIRA_PHONE, T0

SENDER = "Northwind <rewards@northwind.example>"


async def nobody(work: Work, recipient_ids: Sequence[UUID]) -> Mapping[UUID, SubjectKey]:
    return {}


@dataclass
class Postman:
    """Takes what it is given and answers what it was told to."""

    verdict: Verdict = "sent"
    taken: list[Outgoing] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def send(self, message: Outgoing, now: datetime) -> Verdict:
        assert now.tzinfo is not None
        self.taken.append(message)
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.verdict

    async def close(self) -> None:
        pass


async def write(runtime: Runtime, tenant: Tenant, channel: Channel = "sms", to: str = MIRA_PHONE) -> None:
    async with runtime.work(tenant) as work:
        await messages.send(
            work,
            recipient_id=ids.new(),
            partner_id=ids.new(),
            channel=channel,
            kind="code" if channel == "sms" else "claim_notice",
            to=to,
            content={"code": "123456", "reward_id": "R", "amount": "500", "currency": "EUR"},
        )


@dataclass(frozen=True)
class State:
    attempts: int
    due_at: datetime | None
    sent: bool
    failed: bool
    forgotten: bool


@pytest.fixture
def state(auditor: Db, production: Tenant) -> Callable[[], Awaitable[State]]:
    """The one message of the production tenant, as its row stands."""

    async def look() -> State:
        row = await auditor.row(
            "select attempts, due_at, sent_at is not null, failed_at is not null, content_sealed is null from messages "
            "where tenant_id = $1",
            production.id,
        )
        assert row is not None
        return State(*row)

    return look


@pytest.fixture(autouse=True)
async def nothing_else_is_due(owner: "object", dsn: str) -> None:
    """Deliveries look at every tenant of the shared database."""
    await owner.execute("delete from messages")  # type: ignore[attr-defined]


async def test_a_due_message_is_sent_once_and_forgotten(
    runtime: Runtime, production: Tenant, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production)
    postman = Postman()
    assert await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    assert not await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    assert [one.letter.to for one in postman.taken] == [MIRA_PHONE]
    assert await state() == State(1, None, sent=True, failed=False, forgotten=True)


async def test_a_sandbox_sends_nothing(runtime: Runtime, tenant: Tenant) -> None:
    await write(runtime, tenant)
    postman = Postman()
    assert not await messages.deliver_due(runtime, Senders(postman, postman), nobody)
    assert postman.taken == []


async def test_without_a_sender_for_its_channel_a_message_stays(
    runtime: Runtime, production: Tenant, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production)
    assert not await messages.deliver_due(runtime, Senders(), nobody)
    assert not await messages.deliver_due(runtime, Senders(email=Postman()), nobody)
    assert await state() == State(0, T0, sent=False, failed=False, forgotten=False)


async def test_what_fails_is_tried_again_after_growing_pauses_and_then_given_up(
    runtime: Runtime, production: Tenant, clock: Clock, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production, "email", "agent@partner.example")
    postman = Postman("later")
    senders = Senders(email=postman)
    for attempt, pause in enumerate(PAUSES, 1):
        assert await messages.deliver_due(runtime, senders, nobody)
        assert await state() == State(attempt, clock.now + pause, sent=False, failed=False, forgotten=False)
        clock.move(pause - timedelta(milliseconds=1))
        assert not await messages.deliver_due(runtime, senders, nobody)
        clock.move(timedelta(milliseconds=1))
    assert await messages.deliver_due(runtime, senders, nobody)
    assert await state() == State(len(PAUSES) + 1, None, sent=False, failed=True, forgotten=True)
    clock.move(timedelta(days=1))
    assert not await messages.deliver_due(runtime, senders, nobody)
    assert len({one.id for one in postman.taken}) == 1 and len(postman.taken) == len(PAUSES) + 1


async def test_an_address_that_is_refused_for_good_is_given_up_at_once(
    runtime: Runtime, production: Tenant, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production)
    await messages.deliver_due(runtime, Senders(sms=Postman("never")), nobody)
    assert await state() == State(1, None, sent=False, failed=True, forgotten=True)


async def test_a_code_that_is_no_longer_valid_is_not_sent(
    runtime: Runtime, production: Tenant, clock: Clock, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production)
    clock.move(timedelta(minutes=15))
    postman = Postman()
    await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    assert postman.taken == [] and (await state()).failed


async def test_while_one_process_sends_a_message_no_other_takes_it(
    runtime: Runtime, production: Tenant, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production)
    rival = Postman()

    async def another_process() -> None:
        assert not await messages.deliver_due(runtime, Senders(sms=rival), nobody)

    await messages.deliver_due(runtime, Senders(sms=Postman(meanwhile=another_process)), nobody)
    assert rival.taken == [] and (await state()).sent


async def test_what_a_killed_process_had_in_hand_is_sent_by_another_after_its_lease(
    runtime: Runtime, production: Tenant, clock: Clock, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production)

    begun = asyncio.Event()

    async def for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    senders = Senders(sms=Postman(meanwhile=for_ever))
    process = asyncio.create_task(messages.deliver_due(runtime, senders, nobody))
    await begun.wait()
    process.cancel()
    with pytest.raises(asyncio.CancelledError):
        await process
    assert (await state()).due_at == T0 + timedelta(minutes=2)
    postman = Postman()
    assert not await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    clock.move(timedelta(minutes=2))
    assert await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    assert len(postman.taken) == 1 and (await state()).sent


async def test_a_mistake_with_one_message_does_not_send_the_others_twice(
    runtime: Runtime, production: Tenant, clock: Clock
) -> None:
    for _ in range(3):
        await write(runtime, production)
    postman = Postman()

    async def mistaken() -> None:
        if len(postman.taken) == 1:
            raise RuntimeError("a mistake of ours")

    postman.meanwhile = mistaken
    with pytest.raises(RuntimeError, match="of ours"):
        await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    clock.move(timedelta(minutes=3))
    assert await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    assert [one.id for one in postman.taken].count(postman.taken[0].id) == 2
    assert len(postman.taken) == 4


@pytest.mark.parametrize(
    ("verdict", "pause"), [("sent", None), ("later", PAUSES[1])], ids=["the other sent it", "the other failed too"]
)
async def test_an_attempt_that_outlived_its_lease_cannot_undo_what_another_did(
    runtime: Runtime,
    production: Tenant,
    clock: Clock,
    state: Callable[[], Awaitable[State]],
    verdict: Verdict,
    pause: timedelta | None,
) -> None:
    await write(runtime, production)

    async def too_long() -> None:
        clock.move(timedelta(minutes=3))
        assert await messages.deliver_due(runtime, Senders(sms=Postman(verdict)), nobody)

    await messages.deliver_due(runtime, Senders(sms=Postman("later", meanwhile=too_long)), nobody)
    due_at, sent = (None if pause is None else clock.now + pause), verdict == "sent"
    assert await state() == State(2, due_at, sent=sent, failed=False, forgotten=sent)


async def test_an_attempt_that_outlived_its_lease_may_still_say_that_it_was_sent(
    runtime: Runtime, production: Tenant, clock: Clock, state: Callable[[], Awaitable[State]]
) -> None:
    await write(runtime, production)

    async def too_long() -> None:
        clock.move(timedelta(minutes=3))
        assert await messages.deliver_due(runtime, Senders(sms=Postman("later")), nobody)

    await messages.deliver_due(runtime, Senders(sms=Postman(meanwhile=too_long)), nobody)
    assert await state() == State(2, None, sent=True, failed=False, forgotten=True)


async def test_a_message_that_cannot_be_opened_does_not_stop_the_others(
    runtime: Runtime, production: Tenant, owner: "object", auditor: Db
) -> None:
    await write(runtime, production)
    await owner.execute("update messages set content_sealed = content_sealed || 'x'::bytea")  # type: ignore[attr-defined]
    await write(runtime, production)
    postman = Postman()
    await messages.deliver_due(runtime, Senders(sms=postman), nobody)
    assert len(postman.taken) == 1
    waiting = await auditor.value(
        "select count(*) from messages where tenant_id = $1 and sent_at is null and failed_at is null", production.id
    )
    assert waiting == 1


async def test_mail_arrives_as_it_was_written(runtime: Runtime, production: Tenant) -> None:
    await write(runtime, production, "email", "agent@partner.example")
    async with MailSink().running() as sink:
        smtp = Smtp("127.0.0.1", sink.port, SENDER, "none")
        assert await messages.deliver_due(runtime, Senders(email=smtp), nobody)
    (mail,) = sink.mails
    assert sink.readers == ["agent@partner.example"]
    assert (mail["From"], mail["To"], mail["Subject"]) == (SENDER, "agent@partner.example", "A reward was claimed")
    assert mail["Date"].datetime == T0 and mail["Message-ID"].endswith("@northwind.example>")
    assert "5.00 EUR" in mail.get_content()


def outgoing(to: str, text: str = "Hello") -> Outgoing:
    return Outgoing(ids.new(), "claim_notice", messages.Letter(to, "About", text))


@pytest.mark.parametrize(
    "to",
    [
        "a@b.example, c@d.example",
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example> RCPT TO:<c@d.example",
        "nobody",
        "",
        "Mira <a@b.example>",
    ],
)
async def test_what_is_not_one_plain_address_is_never_written_to(to: str) -> None:
    async with MailSink().running() as sink:
        assert await Smtp("127.0.0.1", sink.port, SENDER, "none").send(outgoing(to), T0) == "never"
    assert sink.readers == []


@pytest.mark.parametrize(("answer", "verdict"), [(b"550 no such user\r\n", "never"), (b"451 try later\r\n", "later")])
async def test_a_mail_servers_refusal_is_told_from_a_delay(answer: bytes, verdict: Verdict) -> None:
    async with MailSink(refusing=answer).running() as sink:
        assert await Smtp("127.0.0.1", sink.port, SENDER, "none").send(outgoing("a@b.example"), T0) == verdict


async def test_a_mail_server_that_is_away_is_tried_later() -> None:
    async with MailSink().running() as sink:
        port = sink.port
    assert await Smtp("127.0.0.1", port, SENDER, "none").send(outgoing("a@b.example"), T0) == "later"


@pytest.mark.parametrize("username", [None, "northwind"])
async def test_no_mail_and_no_password_goes_to_a_server_without_tls(username: str | None) -> None:
    async with MailSink().running() as sink:
        smtp = Smtp("127.0.0.1", sink.port, SENDER, username=username, password=username and "a secret")
        assert await smtp.send(outgoing("a@b.example"), T0) == "later"
    assert sink.mails == []
    assert not any(line.upper().startswith(("AUTH", "MAIL")) for line in sink.heard)


async def test_mail_goes_through_starttls_where_the_certificate_is_trusted(tmp_path: Path) -> None:
    server, client = certified(tmp_path)
    async with MailSink(trust=server).running() as sink:
        stranger = Smtp("127.0.0.1", sink.port, SENDER)
        assert await stranger.send(outgoing("a@b.example"), T0) == "later"
        assert sink.mails == []
        smtp = Smtp("localhost", sink.port, SENDER, trust=client)
        assert await smtp.send(outgoing("a@b.example"), T0) == "sent"
    assert len(sink.mails) == 1


def certified(place: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for localhost that nobody knows, and a client that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1))  # noqa: DTZ001 -- the library takes naive UTC
        .not_valid_after(datetime(2120, 1, 1))  # noqa: DTZ001
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = place / "server.pem"
    file.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(pem).decode())


async def test_an_sms_is_posted_once_and_signed_over_what_was_sent(runtime: Runtime, production: Tenant) -> None:
    await write(runtime, production)
    async with SmsSink().running() as sink:
        senders = Senders(sms=Gateway(sink.url, b"between us"))
        assert await messages.deliver_due(runtime, senders, nobody)
        await senders.close()
    ((headers, body),) = sink.posts
    told = msgspec.json.decode(body)
    assert told == {
        "id": headers["webhook-id"],
        "kind": "code",
        "to": MIRA_PHONE,
        "text": "123456 is your code. Do not give it to anyone.",
    }
    assert headers["webhook-timestamp"] == str(int(T0.timestamp()))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"between us", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "sent"),
        (204, "sent"),
        (302, "later"),
        (307, "later"),
        (400, "never"),
        (401, "later"),
        (404, "never"),
        (422, "never"),
        (429, "later"),
        (500, "later"),
        (503, "later"),
    ],
)
async def test_a_gateways_answer_decides_and_no_redirect_is_followed(status: int, verdict: Verdict) -> None:
    async with SmsSink(status).running() as sink:
        gateway = Gateway(sink.url, b"between us")
        assert await gateway.send(outgoing(MIRA_PHONE), T0) == verdict
        await gateway.close()
    assert len(sink.posts) == 1


async def test_a_gateway_that_does_not_answer_or_is_away_is_tried_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.messages.gateway.SECONDS", 0.2)
    async with SmsSink(seconds=5).running() as sink:
        gateway = Gateway(sink.url, b"between us")
        assert await gateway.send(outgoing(MIRA_PHONE), T0) == "later"
        await gateway.close()
    assert await gateway.send(outgoing(MIRA_PHONE), T0) == "later"
    await gateway.close()


def test_the_settings_name_the_ways_out() -> None:
    assert Senders.of_settings(Settings.read({})).channels() == []
    senders = Senders.of_settings(
        Settings.read(
            {
                "TALLYSTICK_SMTP_HOST": "mail.northwind.example",
                "TALLYSTICK_SMTP_PORT": "465",
                "TALLYSTICK_SMTP_FROM": SENDER,
                "TALLYSTICK_SMS_WEBHOOK_URL": "https://gateway.example/messages",
                "TALLYSTICK_SMS_WEBHOOK_SECRET": "between us",
            }
        )
    )
    assert senders.channels() == ["email", "sms"]
    assert senders.email == Smtp("mail.northwind.example", 465, SENDER, "tls")
