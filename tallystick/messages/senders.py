"""The two ways out: SMTP for e-mail, a signed POST to the operator's gateway for SMS. Failures of the outside are values."""

import base64
import hashlib
import hmac
import re
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Final, Literal, Protocol

import aiohttp
import aiosmtplib
import msgspec

from tallystick.base.settings import Settings
from tallystick.messages.model import Channel, Outgoing, Verdict

SECONDS: Final = 10.0
"""How long one SMTP command, or one whole POST, may take."""

IMPLICIT_TLS: Final = 465
"""The port where TLS begins with the first byte (RFC 8314)."""

PLAIN_ADDRESS: Final = re.compile(r'[^\s@<>()\[\]\\,;:"]+@[^\s@<>()\\,;"]+')

REFUSED_FOR_GOOD: Final = frozenset({400, 404, 410, 413, 422})
"""What a gateway answers when it will never take a message. 401 and 403 are the operator's to mend, so they are tried again."""


class Sender(Protocol):
    """One way out."""

    async def send(self, message: Outgoing, now: datetime) -> Verdict:
        """Try once. `now` is real time. Raises nothing that the outside world can cause."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Senders:
    """The ways out that the settings name. Without one for its channel, a message stays where it is."""

    email: Sender | None = None
    sms: Sender | None = None

    def of(self, channel: Channel) -> Sender | None:
        return self.email if channel == "email" else self.sms

    def channels(self) -> list[Channel]:
        named: tuple[Channel, ...] = ("email", "sms")
        return [channel for channel in named if self.of(channel) is not None]

    @classmethod
    def of_settings(cls, settings: Settings) -> "Senders":
        """What the settings name, and nothing else."""
        email = sms = None
        if settings.smtp_host is not None:
            assert settings.smtp_from is not None, "settings were read whole"
            email = Smtp(
                host=settings.smtp_host,
                port=settings.smtp_port,
                sender=settings.smtp_from,
                security=_security(settings),
                username=settings.smtp_user,
                password=settings.smtp_password,
            )
        if settings.sms_webhook_url is not None:
            assert settings.sms_webhook_secret is not None, "settings were read whole"
            sms = Gateway(settings.sms_webhook_url, settings.sms_webhook_secret.encode())
        return cls(email, sms)

    async def close(self) -> None:
        for sender in (self.email, self.sms):
            if sender is not None:
                await sender.close()


@dataclass(frozen=True, slots=True)
class Smtp:
    """An SMTP server. `security` says how the connection is kept private; `none` is for a relay on the same machine."""

    host: str
    port: int
    sender: str
    """Whom messages come from: an address, with or without a name before it."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    trust: ssl.SSLContext | None = None
    """Which certificates are believed; the system's unless told."""

    async def send(self, message: Outgoing, now: datetime) -> Verdict:
        try:
            mail = self._mail(message, now)
        except (ValueError, MessageError):
            return "never"  # not an address that can be written to
        try:
            await aiosmtplib.send(
                mail,
                sender=parseaddr(self.sender)[1],
                recipients=[message.letter.to],
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.security == "tls",
                start_tls=self.security == "starttls",
                tls_context=self.trust,
                timeout=SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return "never" if all(refused.code >= 500 for refused in error.recipients) else "later"
        except aiosmtplib.SMTPDataError as error:
            return "never" if error.code >= 500 else "later"
        except (aiosmtplib.SMTPException, OSError, ValueError):
            return "later"  # a server that is away, or a setting that the operator can mend
        return "sent"

    async def close(self) -> None:
        """Nothing is kept open between messages."""

    def _mail(self, message: Outgoing, now: datetime) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        # An address as a value: what a partner typed can neither name a second reader nor begin another header.
        name, address = parseaddr(self.sender)
        mail["From"] = Address(name, addr_spec=address)
        if PLAIN_ADDRESS.fullmatch(message.letter.to) is None:
            raise ValueError("not one plain address")
        mail["To"] = Address(addr_spec=message.letter.to)
        mail["Subject"] = message.letter.subject or ""
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{message.id}@{address.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.letter.text)
        return mail


def _security(settings: Settings) -> Literal["starttls", "tls", "none"]:
    if not settings.smtp_starttls:
        return "none"
    return "tls" if settings.smtp_port == IMPLICIT_TLS else "starttls"


class _Body(msgspec.Struct):
    id: str
    kind: str
    to: str
    text: str


class Gateway:
    """The operator's SMS gateway: one signed POST of `{id, kind, to, text}` for each message; any 2xx means taken.

    Signed as Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64 of HMAC-SHA256 over
    "id.timestamp.body">`.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        self._url, self._secret = url, secret
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Outgoing, now: datetime) -> Verdict:
        body = msgspec.json.encode(_Body(str(message.id), message.kind, message.letter.to, message.letter.text))
        if self._session is None:
            # No cookies are kept, and no proxy is taken from the environment: the address is exactly what the operator set.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(
                self._url, data=body, headers=self._headers(message, body, now), allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return "later"
        if 200 <= status < 300:
            return "sent"
        return "never" if status in REFUSED_FOR_GOOD else "later"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _headers(self, message: Outgoing, body: bytes, now: datetime) -> dict[str, str]:
        stamp = str(int(now.timestamp()))
        signed = b".".join((str(message.id).encode(), stamp.encode(), body))
        signature = base64.b64encode(hmac.new(self._secret, signed, hashlib.sha256).digest()).decode()
        return {
            "content-type": "application/json",
            "webhook-id": str(message.id),
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature}",
        }
