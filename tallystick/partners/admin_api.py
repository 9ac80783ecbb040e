"""Agreements over HTTP for operators: who may act for which programme."""

from dataclasses import asdict
from typing import Final
from uuid import UUID

import msgspec

import tallystick.partners.operator_store as operator_store
from tallystick.base import clock, ids, jsonapi
from tallystick.base.errors import InvalidRequest, Refusal, Refusals, parameter
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Resource, Route
from tallystick.base.work import OPERATOR, Policy
from tallystick.partners.operator_store import AgreementBooks

UUID_SCHEMA: Final = {"type": "string", "format": "uuid"}


class DataPolicyAttributes(msgspec.Struct, rename="camel"):
    """Whose data of each kind the partner may send: of `all`, of who `consented`, or of `none`."""

    transactions: Policy
    visits: Policy
    orders: Policy


class AgreementAttributes(msgspec.Struct, rename="camel"):
    """What brings a partner to a programme; `visibility` says whether it sees more there than it made."""

    partner_id: str
    partner_name: str
    programme_id: str
    programme_name: str
    visibility: str
    data_policy: DataPolicyAttributes
    status: str
    review_due_at: str | None
    created_at: str


AGREEMENT: Final = Resource(
    "Agreement",
    "/admin/v1/agreements",
    AgreementAttributes,
    {
        "partnerId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11",
        "partnerName": "Harbour Support",
        "programmeId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a12",
        "programmeName": "Northwind",
        "visibility": "own",
        "dataPolicy": {"transactions": "consented", "visits": "all", "orders": "none"},
        "status": "active",
        "reviewDueAt": "2027-06-17T12:00:00.000Z",
        "createdAt": "2026-06-17T12:00:00.000Z",
    },
)


async def list_agreements(call: Call) -> Reply:
    """Every agreement, oldest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    partner_id, programme_id = _id(call, "filter[partnerId]", faults), _id(call, "filter[programmeId]", faults)
    if faults:
        raise Refusals(faults)
    async with call.house.runtime.pool.lend() as db:
        page, total = await operator_store.agreed(db, offset, limit, partner_id=partner_id, programme_id=programme_id)
    shown = [jsonapi.resource(AGREEMENT, each.id, _attributes(each)) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


def _attributes(agreement: AgreementBooks) -> AgreementAttributes:
    return AgreementAttributes(
        partner_id=str(agreement.partner_id),
        partner_name=agreement.partner_name,
        programme_id=str(agreement.production.programme_id),
        programme_name=agreement.programme_name,
        visibility=agreement.visibility,
        data_policy=DataPolicyAttributes(**asdict(agreement.data_policy)),
        status=agreement.status,
        review_due_at=None if agreement.review_due_at is None else clock.render(agreement.review_due_at),
        created_at=clock.render(agreement.created_at),
    )


def _id(call: Call, name: str, faults: list[Refusal]) -> UUID | None:
    text = call.query.get(name)
    found = None if text is None else ids.parse(text)
    if text is not None and found is None:
        faults.append(InvalidRequest("This is not an id.", source=parameter(name)))
    return found


ROUTES: Final = (
    Route(
        "GET",
        AGREEMENT.path,
        list_agreements,
        OPERATOR,
        "List agreements",
        gives=AGREEMENT,
        many=True,
        query=(
            Parameter("filter[partnerId]", "Only agreements of this partner.", schema=UUID_SCHEMA),
            Parameter("filter[programmeId]", "Only agreements with this programme.", schema=UUID_SCHEMA),
            *PAGE,
        ),
    ),
)
