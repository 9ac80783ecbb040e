"""An agreement as events tell its partner."""

from typing import Final
from uuid import UUID

import msgspec

from tallystick.base import clock, jsonapi
from tallystick.base.routes import Resource
from tallystick.partners.notice_store import Reviewed


class AgreementToldAttributes(msgspec.Struct, rename="camel"):
    """What an event tells of an agreement: between whom it is, what it shows, and when it is to be reviewed next."""

    partner_id: str
    programme_id: str
    visibility: str
    status: str
    review_due_at: str
    created_at: str


AGREEMENT_EVENT: Final = Resource(
    "Agreement",
    "/admin/v1/agreements",
    AgreementToldAttributes,
    {
        "partnerId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
        "programmeId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a12",
        "visibility": "own",
        "status": "active",
        "reviewDueAt": "2026-07-17T12:00:00.000Z",
        "createdAt": "2025-07-17T12:00:00.000Z",
    },
)


def told(agreement: Reviewed, programme_id: UUID) -> bytes:
    """The resource object of an agreement whose review is told of."""
    shown = AgreementToldAttributes(
        partner_id=str(agreement.partner_id),
        programme_id=str(programme_id),
        visibility=agreement.visibility,
        status=agreement.status,
        review_due_at=clock.render(agreement.review_due_at),
        created_at=clock.render(agreement.created_at),
    )
    return jsonapi.resource(AGREEMENT_EVENT, agreement.id, shown)
