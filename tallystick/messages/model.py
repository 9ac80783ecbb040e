"""Messages as values, and the pure decision what becomes of one that was tried."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

Channel = Literal["email", "sms"]
Kind = Literal["code", "claim_notice", "expiry_notice", "gift_card", "value_notice"]
SealedUnder = Literal["house", "recipient"]

Verdict = Literal["sent", "later", "never"]
"""What a sender says: it was taken; it may be taken later; it will never be (a refused address)."""

USEFUL_FOR: Final[dict[str, timedelta]] = {
    "code": timedelta(minutes=15),
    "claim_notice": timedelta(days=3),
    "expiry_notice": timedelta(days=3),
    "gift_card": timedelta(days=3),
    "value_notice": timedelta(days=3),
}
"""How long after it was written a message is still worth sending. A code that has expired only puzzles whoever gets it."""

PAUSES: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=8),
)
"""How long a message waits after each failed attempt. After one attempt more than there are pauses it is given up."""


class Letter(msgspec.Struct, array_like=True, frozen=True):
    """What is sealed: the address (E.164 or e-mail), the subject (none in an SMS) and the text."""

    to: str
    subject: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A letter on its way out. Its id never changes between attempts, so that whoever receives it can drop repeats."""

    id: UUID
    kind: str
    letter: Letter


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that this process may try until its lease ends. `attempts` counts this one too."""

    id: UUID
    recipient_id: UUID
    channel: Channel
    kind: str
    sealed_under: SealedUnder
    content_sealed: bytes | None
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as the mailbox shows it. No letter: its reader was erased, or it has gone out for good."""

    id: UUID
    channel: Channel
    kind: str
    letter: Letter | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What becomes of an attempt: sent, given up, or (neither) due again at an instant."""

    message_id: UUID
    attempts: int
    sent: bool
    again_at: datetime | None


def worth_trying(message: Leased, now: datetime) -> bool:
    """Whether a leased message should go out still: neither too old nor tried too often."""
    return message.attempts <= len(PAUSES) + 1 and now - message.created_at < USEFUL_FOR[message.kind]


def conclude(message: Leased, verdict: Verdict, now: datetime) -> Conclusion:
    """Sent, given up, or tried again after a pause that grows."""
    again_at = None
    if verdict == "later" and message.attempts <= len(PAUSES):
        pause = PAUSES[message.attempts - 1]
        if now + pause - message.created_at < USEFUL_FOR[message.kind]:
            again_at = now + pause
    return Conclusion(message.id, message.attempts, verdict == "sent", again_at)
