"""The credential on the wire, and the same without free text for events."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.partners.model import Client, Secret, live_secrets

EXAMPLE = {
    "name": "Support desk",
    "environment": "sandbox",
    "status": "active",
    "scopes": ["rewards:read", "rewards:write"],
    "merchantIds": None,
    "ratePerMinute": 10000,
    "rateBurst": 1000,
    "secrets": [
        {
            "id": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a12",
            "tail": "x4Qz",
            "createdAt": "2026-06-17T12:00:00.000Z",
            "expiresAt": None,
            "lastUsedOn": "2026-06-18",
        }
    ],
    "createdAt": "2026-06-17T12:00:00.000Z",
    "revokedAt": None,
}


class SecretShown(msgspec.Struct, rename="camel"):
    """A live secret: its last characters tell which it is, and nothing tells the rest."""

    id: str
    tail: str
    created_at: str
    expires_at: str | None
    last_used_on: str | None


class CredentialAttributes(msgspec.Struct, rename="camel"):
    """A credential; its id is the Client-ID. `clientSecret` is there once, in the answer that makes it."""

    name: str
    environment: str
    status: str
    scopes: list[str]
    merchant_ids: list[str] | None
    rate_per_minute: int
    rate_burst: int
    secrets: list[SecretShown]
    created_at: str
    revoked_at: str | None
    client_secret: str | UnsetType = UNSET


class SecretTold(msgspec.Struct, rename="camel"):
    """A live secret as an event tells it: when it ends, and nothing of it."""

    id: str
    created_at: str
    expires_at: str | None


class CredentialEventAttributes(msgspec.Struct, rename="camel"):
    """What an event tells of a credential: others of the programme may read it too."""

    environment: str
    status: str
    secrets: list[SecretTold]
    created_at: str


CREDENTIAL = Resource("Credential", "/api/v1/credentials", CredentialAttributes, EXAMPLE)
CREDENTIAL_EVENT = Resource(
    "Credential",
    "/api/v1/credentials",
    CredentialEventAttributes,
    {
        "environment": "sandbox",
        "status": "active",
        "secrets": [
            {
                "id": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a12",
                "createdAt": "2026-06-17T12:00:00.000Z",
                "expiresAt": "2026-06-24T12:00:00.000Z",
            }
        ],
        "createdAt": "2026-06-17T12:00:00.000Z",
    },
)


def resource(client: Client, secrets: Sequence[Secret], now: datetime, client_secret: str | UnsetType = UNSET) -> bytes:
    """The resource object of a credential with the secrets that are live at `now`, newest first."""
    shown = CredentialAttributes(
        name=client.name,
        environment=client.tenant.environment,
        status=client.status,
        scopes=sorted(client.scopes),
        merchant_ids=None if client.merchant_ids is None else [str(each) for each in client.merchant_ids],
        rate_per_minute=client.rate_per_minute,
        rate_burst=client.rate_burst,
        secrets=[_secret(secret) for secret in live_secrets(secrets, now)],
        created_at=clock.render(client.created_at),
        revoked_at=None if client.revoked_at is None else clock.render(client.revoked_at),
        client_secret=client_secret,
    )
    return jsonapi.resource(CREDENTIAL, client.id, shown)


def told(client: Client, secrets: Sequence[Secret], now: datetime) -> bytes:
    """The resource object of a credential as an event tells it."""
    shown = CredentialEventAttributes(
        environment=client.tenant.environment,
        status=client.status,
        secrets=[
            SecretTold(secret.id, secret.created_at, secret.expires_at)
            for secret in map(_secret, live_secrets(secrets, now))
        ],
        created_at=clock.render(client.created_at),
    )
    return jsonapi.resource(CREDENTIAL_EVENT, client.id, shown)


def _secret(secret: Secret) -> SecretShown:
    return SecretShown(
        id=str(secret.id),
        tail=secret.tail,
        created_at=clock.render(secret.created_at),
        expires_at=None if secret.expires_at is None else clock.render(secret.expires_at),
        last_used_on=None if secret.last_used_on is None else secret.last_used_on.isoformat(),
    )
