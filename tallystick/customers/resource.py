"""The user on the wire."""

from typing import Any, Final

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.customers.model import Customer

EXAMPLE: Final[dict[str, Any]] = {
    "phoneNumber": "+12025550143",
    "phoneVerified": True,
    "email": "mira@northwind.example",
    "firstName": "Mira",
    "lastName": "Okafor",
    "externalId": "crm-20417",
    "memberCode": "7ZK3M09QX4E",
    "status": "active",
    "mergedInto": None,
    "createdAt": "2026-03-02T09:00:00.000Z",
}


class UserAttributes(msgspec.Struct, rename="camel", gc=False):
    """What a partner reads of a user."""

    phone_number: str | None
    phone_verified: bool
    email: str | None
    first_name: str | None
    last_name: str | None
    external_id: str | None
    member_code: str
    status: str
    merged_into: str | None
    created_at: str


USER: Final = Resource("User", "/api/v1/users", UserAttributes, EXAMPLE)


def attributes(customer: Customer) -> UserAttributes:
    """What a partner reads of a user."""
    personal = customer.personal
    return UserAttributes(
        phone_number=personal.phone,
        phone_verified=customer.is_verified,
        email=personal.email,
        first_name=personal.first_name,
        last_name=personal.last_name,
        external_id=customer.external_id,
        member_code=customer.member_code,
        status=customer.status,
        merged_into=None if customer.merged_into is None else str(customer.merged_into),
        created_at=clock.render(customer.created_at),
    )


def resource(customer: Customer) -> bytes:
    """The resource object of a user."""
    return jsonapi.resource(USER, customer.id, attributes(customer))


def document(customer: Customer) -> bytes:
    """The document whose one resource is a user."""
    return jsonapi.document(resource(customer))
