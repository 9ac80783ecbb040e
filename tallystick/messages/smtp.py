"""E-mail goes out by SMTP. Failures of the outside are values."""

import re
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Final, Literal

import aiosmtplib

from tallystick.messages.model import Outgoing, Verdict

SECONDS: Final = 10.0
"""How long one SMTP command may take."""

PLAIN_ADDRESS: Final = re.compile(r'[^\s@<>()\[\]\\,;:"]+@[^\s@<>()\\,;"]+')


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
