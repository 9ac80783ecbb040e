"""Webhooks as values: an endpoint, what it is signed with, one event for it, and what became of an attempt."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.base.work import Caller, Tenant

Status = Literal["pending", "enabled", "disabled", "deleted"]
Reason = Literal["asked", "gone", "receiver", "failures"]
"""Why an endpoint is disabled: its partner asked; it answered 410; it asked by a header; it failed for too long."""

DeliveryStatus = Literal["pending", "delivered", "failed", "skipped"]

Fault = Literal[
    "blocked_address",
    "dns_error",
    "connect_error",
    "tls_error",
    "timeout",
    "reset",
    "malformed_answer",
    "too_large",
    "status",
    "cancelled",
]
"""Why an attempt did not succeed, in a word. `status`: the answer was no 2xx."""

ALL_TOPICS: Final = "*"
PAYLOAD_VERSION: Final = "2026-11-01"
"""The newest rendering of an event. An endpoint keeps the one that it was made with."""
PAYLOAD_VERSIONS: Final = frozenset({PAYLOAD_VERSION})

ANSWER_BYTES_MAX: Final = 16 * 1024
"""How much of an answer is read."""
ANSWER_BYTES_KEPT: Final = 1024
FIRST_BYTE_SECONDS: Final = 10.0
TOTAL_SECONDS: Final = 15.0
LEASE: Final = timedelta(seconds=60)
"""How long who took a delivery may be busy with it: longer than any attempt takes."""

PATIENCE: Final = timedelta(days=5)
"""An endpoint that only failed for so long is disabled, if at least two failures lie `APART` or more from each other."""
APART: Final = timedelta(hours=12)
WARNINGS: Final = (50, 70, 90)
"""At these percentages of the patience its partner is told."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint, as its row stands."""

    id: UUID
    partner_id: UUID
    client_id: UUID
    merchant_limit: tuple[UUID, ...] | None
    url: str
    description: str
    topics: tuple[str, ...]
    merchant_ids: tuple[UUID, ...] | None
    location_ids: tuple[UUID, ...] | None
    payload_version: str
    headers_sealed: bytes | None
    rate_per_minute: int | None
    fifo: bool
    status: Status
    reason: Reason | None
    since_position: int
    failing_since: datetime | None
    failed_at: datetime | None
    succeeded_at: datetime | None
    warned: int
    version: int
    created_at: datetime
    updated_at: datetime

    def seen_by(self, caller: Caller) -> bool:
        """Whether this caller may read and change it: its partner, by a credential whose merchants are not fewer."""
        if self.status == "deleted" or caller.partner_id != self.partner_id:
            return False
        if caller.merchant_ids is None:
            return True
        return self.merchant_limit is not None and set(self.merchant_limit) <= set(caller.merchant_ids)


@dataclass(frozen=True, slots=True)
class Signer:
    """What a delivery is signed with: every secret that is alive, newest first, opened."""

    symmetric: tuple[bytes, ...]
    private: tuple[Ed25519PrivateKey, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint, taken to be sent now."""

    tenant: Tenant
    webhook_id: UUID
    position: int
    event_id: UUID
    topic: str
    subject_id: UUID
    sequence: int
    at: datetime
    document: str
    """The subject's resource object as the event holds it: JSON text."""
    number: int
    """Which attempt this is, from 1, over all replays."""
    tries: int
    """Which attempt of this round, from 1: a replay begins a new one."""
    replayed: bool
    lease: UUID


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request: an answer, or why there is none. Header names are in lower case."""

    status_code: int | None
    headers: Mapping[str, str]
    body: bytes
    """At most `ANSWER_BYTES_MAX` bytes of it."""
    fault: Fault | None
    """None: it succeeded."""
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was made, as it is kept; `answer` is the beginning of what was answered."""

    webhook_id: UUID
    position: int
    event_id: UUID
    id: UUID
    number: int
    at: datetime
    milliseconds: int
    status_code: int | None
    fault: str | None
    answer: bytes | None
    replayed: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """A wish to send again what lies behind `from_position` up to `to_position`."""

    id: UUID
    webhook_id: UUID
    partner_id: UUID
    topics: tuple[str, ...] | None
    only_missing: bool
    from_position: int
    to_position: int
    done_position: int
    matched: int
    status: Literal["running", "completed", "cancelled"]
    created_at: datetime
    updated_at: datetime
