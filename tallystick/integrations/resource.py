"""What partners read of integrations and of the documents that could not be taken."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.integrations.model import Fault, Integration

EXAMPLE: Final = {
    "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10",
    "system": "square",
    "account": "MLEFBHHSJGVHD",
    "name": "Square, all tills",
    "locations": {"L88917AVBK2S5": "0199d3c0-61aa-7b1e-8f11-4c8d5e2f9a01"},
    "receivingUrl": "https://tallystick.example/in/0199d3c0-6f52-7d0c-b5a4-2f9e8d7c6b5a",
    "status": "active",
    "received": 1204,
    "ignored": 311,
    "refused": 0,
    "lastReceivedAt": "2026-06-17T12:00:00.000Z",
    "formerSecretUntil": None,
    "createdAt": "2026-03-02T09:00:00.000Z",
    "updatedAt": "2026-03-02T09:00:00.000Z",
}
FAULT_EXAMPLE: Final = {
    "integrationId": "0199d3c0-6f52-7d0c-b5a4-2f9e8d7c6b5a",
    "at": "2026-06-17T12:00:00.000Z",
    "code": "Unreadable",
    "detail": "At data.object.payment.amount_money there should be an object.",
    "status": "open",
    "takenAt": None,
}


class IntegrationAttributes(msgspec.Struct, rename="camel"):
    """What a partner reads of an integration; never its secret."""

    merchant_id: str
    system: str
    account: str
    name: str
    locations: dict[str, str]
    receiving_url: Annotated[str, Meta(description="Where the system is to send its documents, letter by letter.")]
    status: str
    received: Annotated[int, Meta(description="Signed documents that told something, or could not be taken.")]
    ignored: Annotated[int, Meta(description="Signed documents that told nothing that is kept.")]
    refused: Annotated[int, Meta(description="Documents that the system had not signed.")]
    last_received_at: str | None
    former_secret_until: Annotated[str | None, Meta(description="Until when the secret before this one is taken, too.")]
    created_at: str
    updated_at: str


class FaultAttributes(msgspec.Struct, rename="camel"):
    """What a partner reads of a signed document that could not be taken."""

    integration_id: str
    at: str
    code: str
    detail: str
    status: Annotated[str, Meta(description="open, or taken after all.")]
    taken_at: str | None


INTEGRATION: Final = Resource("Integration", "/api/v1/integrations", IntegrationAttributes, EXAMPLE)
FAULT: Final = Resource("IntegrationFault", "/api/v1/integrations/{id}/faults", FaultAttributes, FAULT_EXAMPLE)


def integration(shown: Integration, base_url: str) -> bytes:
    """The resource object of an integration."""
    attributes = IntegrationAttributes(
        merchant_id=str(shown.merchant_id),
        system=shown.system,
        account=shown.account,
        name=shown.name,
        locations={theirs: str(ours) for theirs, ours in shown.locations.items()},
        receiving_url=shown.receiving_url(base_url),
        status=shown.status,
        received=shown.received,
        ignored=shown.ignored,
        refused=shown.refused,
        last_received_at=None if shown.last_at is None else clock.render(shown.last_at),
        former_secret_until=None if shown.former_until is None else clock.render(shown.former_until),
        created_at=clock.render(shown.created_at),
        updated_at=clock.render(shown.updated_at),
    )
    return jsonapi.resource(INTEGRATION, shown.id, attributes)


def fault(shown: Fault) -> bytes:
    """The resource object of a fault."""
    attributes = FaultAttributes(
        integration_id=str(shown.integration_id),
        at=clock.render(shown.at),
        code=shown.code,
        detail=shown.detail,
        status="open" if shown.taken_at is None else "taken",
        taken_at=None if shown.taken_at is None else clock.render(shown.taken_at),
    )
    return jsonapi.resource(FAULT, shown.id, attributes)
