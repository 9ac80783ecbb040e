"""A person who was erased, and an export, on the wire."""

from typing import Any, Final, Literal

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.base.work import Asked
from tallystick.customers import Customer
from tallystick.customers import resource as users
from tallystick.events import Event

Reason = Literal["personRequest", "legalObligation", "createdInError", "noLongerNeeded"]

ERASED_EXAMPLE: Final[dict[str, Any]] = {
    "status": "erased",
    "reason": "personRequest",
    "erasedAt": "2026-06-17T12:00:00.000Z",
}
EXPORT_EXAMPLE: Final[dict[str, Any]] = {
    **users.EXAMPLE, "exportedAt": "2026-06-17T12:00:00.000Z", "counts": {"Wallet": 1, "Reward": 2}, "truncated": [],
}  # fmt: skip


class ErasureAttributes(msgspec.Struct, rename="camel", gc=False):
    """That a person was erased, why, and when: nothing else is left of them."""

    status: Literal["erased"]
    reason: Reason | None
    erased_at: str


class ExportAttributes(users.UserAttributes, rename="camel", gc=False, kw_only=True):
    """The person; everything else is included. `truncated` names the types of which only the newest are there."""

    exported_at: str
    counts: dict[str, int]
    truncated: list[str]


ERASURE: Final = Resource("UserErasure", f"{users.USER.path}/{{id}}/erase", ErasureAttributes, ERASED_EXAMPLE)
EXPORT: Final = Resource("UserExport", f"{users.USER.path}/{{id}}/export", ExportAttributes, EXPORT_EXAMPLE)


def erased(customer: Customer, reason: Reason | None) -> bytes:
    """The resource object of somebody who was erased."""
    shown = ErasureAttributes("erased", reason, clock.render(customer.updated_at))
    return jsonapi.resource(ERASURE, customer.id, shown)


def event(customer: Customer, reason: Reason, asked: Asked) -> Event:
    """The one event that is ever told of a user: their first, and their last."""
    return Event(
        topic="user.erased",
        subject_type="UserErasure",
        subject_id=customer.id,
        sequence=1,
        document=erased(customer, reason),
        partner_id=customer.partner_id,
        request_id=asked.request_id,
    )


def exported(customer: Customer, counts: dict[str, int], truncated: list[str], at: str) -> bytes:
    """The resource object of an export."""
    told = users.attributes(customer)
    named = {name: getattr(told, name) for name in told.__struct_fields__}
    shown = ExportAttributes(**named, exported_at=at, counts=counts, truncated=truncated)
    return jsonapi.resource(EXPORT, customer.id, shown)
