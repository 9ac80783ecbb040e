"""Merchants over HTTP: those that a client may act for, and the settings it may change."""

from uuid import UUID

from msgspec import UNSET

from tallystick.base import ids, jsonapi
from tallystick.base.errors import IdempotencyConflict, InvalidRequest, NotFound, at
from tallystick.base.routes import PAGE, Call, Reply, Route, Takes
from tallystick.merchants import actions, resource
from tallystick.merchants.actions import NO_MERCHANT
from tallystick.merchants.model import ConfigureMerchant, Merchant, may_act_for


async def list_merchants(call: Call) -> Reply:
    """The merchants that the client may act for, oldest first."""
    offset, limit = jsonapi.page(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await actions.listed(work, call.caller.merchant_ids, offset, limit)
    shown = [resource.merchant(merchant) for merchant in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_merchant(call: Call) -> Reply:
    """One merchant that the client may act for."""
    merchant = await _merchant(call)
    return Reply(200, jsonapi.document(resource.merchant(merchant)), resource_id=merchant.id)


async def get_configuration(call: Call) -> Reply:
    """The settings of a merchant: what bounds rewards there, and on what terms value is spent."""
    merchant_id = _id(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = (await actions.by_ids(work, [merchant_id])).get(merchant_id)
        terms = await actions.terms(work, [merchant_id])
        takes = await actions.activity_terms(work, [merchant_id])
    if found is None or not may_act_for(call.caller, merchant_id):
        raise NotFound(NO_MERCHANT)
    shown = resource.configuration(found, terms[merchant_id], takes[merchant_id])
    return Reply(200, jsonapi.document(shown), resource_id=merchant_id)


async def update_configuration(call: Call) -> Reply:
    """Change settings; what is left out stays. What is given and spent from now on follows them."""
    sent: resource.UpdateConfiguration = call.attributes
    if all(getattr(sent, name) is UNSET for name in sent.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    command = ConfigureMerchant(call.asked, _id(call), sent.changes())
    answer = await call.house.batcher.submit(actions.configure_for_partners, call.caller.tenant, command)
    return Reply(
        answer.status,
        answer.body,
        replayed=answer.replayed,
        resource_id=answer.resource_id,
        logged=not answer.replayed,
    )


def _id(call: Call) -> UUID:
    merchant_id = ids.parse(call.path["id"])
    if merchant_id is None:
        raise NotFound(NO_MERCHANT)
    return merchant_id


async def _merchant(call: Call) -> Merchant:
    merchant_id = _id(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = (await actions.by_ids(work, [merchant_id])).get(merchant_id)
    if found is None or not may_act_for(call.caller, merchant_id):
        raise NotFound(NO_MERCHANT)
    return found


ROUTES = (
    Route(
        "GET",
        "/api/v1/merchants",
        list_merchants,
        scope="merchants:read",
        summary="List the merchants you may act for",
        gives=resource.MERCHANT,
        many=True,
        query=PAGE,
    ),
    Route(
        "GET",
        "/api/v1/merchants/{id}",
        get_merchant,
        scope="merchants:read",
        summary="Get a merchant",
        gives=resource.MERCHANT,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "/api/v1/merchants/{id}/configuration",
        get_configuration,
        scope="merchants:read",
        summary="Get a merchant's settings",
        gives=resource.CONFIGURATION,
        errors=(NotFound,),
    ),
    Route(
        "PATCH",
        "/api/v1/merchants/{id}/configuration",
        update_configuration,
        scope="merchants:write",
        summary="Change a merchant's settings",
        takes=Takes(resource.UpdateConfiguration, ("MerchantConfiguration",), {"claimDays": 60}),
        gives=resource.CONFIGURATION,
        errors=(NotFound, IdempotencyConflict),
        keyed=True,
    ),
)
