"""A location on the wire."""

from typing import Final, Literal

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.merchants.location_store import Location


class LocationAttributes(msgspec.Struct, rename="camel", gc=False):
    """A place where a merchant trades. `externalId` is your own name of it; rules can ask for `groups`."""

    merchant_id: str
    name: str
    external_id: str | None
    time_zone: str
    groups: list[str]
    status: Literal["active", "closed"]
    created_at: str
    updated_at: str


LOCATION: Final = Resource(
    "Location",
    "/api/v1/locations",
    LocationAttributes,
    {
        "merchantId": "0199d3c0-61aa-7b09-8c1e-5f0b7d2e4a31",
        "name": "Airport",
        "externalId": "store-12",
        "timeZone": "America/New_York",
        "groups": ["airport", "franchise"],
        "status": "active",
        "createdAt": "2026-06-17T12:00:00.000Z",
        "updatedAt": "2026-06-17T12:00:00.000Z",
    },
)


def shown(location: Location) -> bytes:
    """The place as a resource object; nothing in it is personal."""
    return jsonapi.resource(
        LOCATION,
        location.id,
        LocationAttributes(
            merchant_id=str(location.merchant_id),
            name=location.name,
            external_id=location.external_id,
            time_zone=location.time_zone,
            groups=list(location.groups),
            status=location.status,
            created_at=clock.render(location.created_at),
            updated_at=clock.render(location.updated_at),
        ),
    )


def document(location: Location) -> bytes:
    """The same as a document."""
    return jsonapi.document(shown(location))
