"""Programmes, partners, agreements and credentials as values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from tallystick.base.errors import InvalidState
from tallystick.base.work import Caller, DataPolicy, Tenant

Visibility = Literal["own", "programme"]

NAME_MAX: Final = 200
LIVE_SECRETS_MAX: Final = 2
OVERLAP: Final = timedelta(days=7)
"""How long the old secret goes on after a rotation, unless told."""
REVIEW_EVERY: Final = timedelta(days=365)
"""How long after an agreement, or a review of it, the next one is due, unless told."""
OVERLAP_MAX: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Programme:
    """The owner of the books, with its tenants: one set of books for each environment."""

    id: UUID
    name: str
    sandbox: Tenant
    production: Tenant
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Partner:
    """Who calls. While suspended, none of its credentials is let in."""

    id: UUID
    name: str
    status: Literal["active", "suspended"]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Agreement:
    """What brings a partner to a programme; `visibility` says whether it sees more there than it made."""

    id: UUID
    partner_id: UUID
    programme_id: UUID
    visibility: Visibility
    status: Literal["active", "ended"]
    created_at: datetime
    data_policy: DataPolicy = field(default_factory=DataPolicy)
    """Whose transactions, visits and orders the partner may send."""
    review_due_at: datetime | None = None
    """When it is to be reviewed next, in real time; None: not at all."""


@dataclass(frozen=True, slots=True)
class NewClient:
    """A credential to add. `merchant_ids` None: every merchant of the programme. The burst is what may come at once."""

    tenant_id: UUID
    agreement_id: UUID
    name: str
    scopes: frozenset[str]
    merchant_ids: tuple[UUID, ...] | None
    rate_per_minute: int
    rate_burst: int


@dataclass(frozen=True, slots=True)
class Client:
    """A credential of one partner in one tenant, as its row was. Its id is the Client-ID."""

    id: UUID
    tenant: Tenant
    agreement_id: UUID
    partner_id: UUID
    name: str
    scopes: frozenset[str]
    merchant_ids: tuple[UUID, ...] | None
    rate_per_minute: int
    rate_burst: int
    status: Literal["active", "revoked"]
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a client: everything but the secret itself, which nobody can read again."""

    id: UUID
    client_id: UUID
    tail: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_on: date | None

    def live(self, now: datetime) -> bool:
        """Whether it opens the door at `now`, in real time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a secret or a token that exists, and whether it opens the door."""

    caller: Caller
    secret_id: UUID
    ended: bool
    """Whether the client, the secret or the token was revoked."""
    until: datetime | None
    """When the secret or the token ends, whichever comes first."""
    approved: bool
    """Whether partner and agreement are active."""
    last_used_on: date | None
    issued_at: datetime | None = None
    """When the token was made; None for a secret."""


def live_secrets(secrets: Sequence[Secret], now: datetime) -> list[Secret]:
    """Those that open the door at `now`."""
    return [secret for secret in secrets if secret.live(now)]


def rotation_refused(client: Client, live: Sequence[Secret]) -> InvalidState | None:
    """Why this client cannot be given another secret; None when it can."""
    if client.status != "active":
        return InvalidState("The credential is revoked; it gets no new secret. Ask for a new credential.")
    if len(live) >= LIVE_SECRETS_MAX:
        return InvalidState(
            "The credential has two live secrets already. Revoke one of them, or wait until one expires."
        )
    return None


def exceeds(client: Client, caller: Caller) -> bool:
    """Whether the client may do what the caller may not: then the caller must not learn a secret of it."""
    if not client.scopes <= caller.scopes:
        return True
    if caller.merchant_ids is None:
        return False
    return client.merchant_ids is None or not set(client.merchant_ids) <= set(caller.merchant_ids)
