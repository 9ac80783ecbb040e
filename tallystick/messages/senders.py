"""The ways out: SMTP for e-mail, a signed POST to the operator's gateway for SMS."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from tallystick.base.settings import Settings
from tallystick.messages.model import Channel, Outgoing, Verdict

IMPLICIT_TLS: Final = 465
"""The port where TLS begins with the first byte (RFC 8314)."""


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
        """What the settings name, and nothing else.

        A way out is imported where it is wanted: its client is a sixth of the time that a process takes to start.
        """
        email = sms = None
        if settings.smtp_host is not None:
            from tallystick.messages.smtp import Smtp  # noqa: PLC0415

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
            from tallystick.messages.gateway import Gateway  # noqa: PLC0415

            assert settings.sms_webhook_secret is not None, "settings were read whole"
            sms = Gateway(settings.sms_webhook_url, settings.sms_webhook_secret.encode())
        return cls(email, sms)

    async def close(self) -> None:
        for sender in (self.email, self.sms):
            if sender is not None:
                await sender.close()


def _security(settings: Settings) -> Literal["starttls", "tls", "none"]:
    if not settings.smtp_starttls:
        return "none"
    return "tls" if settings.smtp_port == IMPLICIT_TLS else "starttls"
