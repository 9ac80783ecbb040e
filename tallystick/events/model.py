"""An event as a value, and the catalogue of topics."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Topic:
    """A kind of event: its name (`reward.credited`), what it tells, and the type of resource its document holds."""

    name: str
    summary: str
    subject_type: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one subject. The document holds no personal attribute and no free text."""

    topic: str
    subject_type: str
    subject_id: UUID
    sequence: int
    """Gapless per subject from 1: the subject's own version, counted under its lock."""
    document: bytes
    """The subject as a JSON:API resource object, as it is after the change."""
    partner_id: UUID | None = None
    merchant_id: UUID | None = None
    request_id: UUID | None = None


TOPICS = (
    Topic("reward.credited", "A reward was credited to the recipient's wallet.", "Reward"),
    Topic("reward.pre_issued", "A reward waits until its recipient has an active wallet.", "Reward"),
    Topic("reward.updated", "A reward that waits was changed.", "Reward"),
    Topic("reward.claimed", "A wallet claimed a reward that waited.", "Reward"),
    Topic("reward.expired", "A reward was not claimed in time; its funding returned.", "Reward"),
    Topic("reward.cancelled", "A reward that waited was cancelled; its funding returned.", "Reward"),
    Topic("reward.reversed", "A credited reward was taken back, in whole or in part.", "Reward"),
    Topic("wallet.created", "A wallet was opened.", "Wallet"),
    Topic("wallet.suspended", "A wallet was suspended.", "Wallet"),
    Topic("wallet.resumed", "A suspended wallet is in use again.", "Wallet"),
    Topic("wallet.closed", "A wallet was closed.", "Wallet"),
    Topic("merchant.updated", "A merchant's settings were changed.", "Merchant"),
    Topic("credential.rotated", "A credential got a new secret.", "Credential"),
)
"""Every topic there is; an event of another is refused where it is recorded."""

TOPIC_NAMES = frozenset(topic.name for topic in TOPICS)
