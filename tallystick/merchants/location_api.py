"""Locations over HTTP."""

from functools import partial
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

import tallystick.merchants.location_store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    Refusal,
    Refusals,
    at,
    attribute,
    parameter,
)
from tallystick.base.idempotency import Answer
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.merchants import location_resource as resource
from tallystick.merchants import locations
from tallystick.merchants.directory import MerchantDirectory
from tallystick.merchants.locations import NO_LOCATION, AddLocation, ChangeLocation, ExternalIdTaken
from tallystick.merchants.model import may_act_for

Name = Annotated[str, Meta(min_length=1, max_length=200)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=255, description="Your own name of the place.")]
Zone = Annotated[str, Meta(min_length=1, max_length=100, description="A name of the IANA database.")]
Groups = Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(max_length=50)]
UUID_SCHEMA: Final = {"type": "string", "format": "uuid"}
EXAMPLE: Final = {"name": "Airport", "externalId": "store-12", "groups": ["airport"]}


class LocationToAdd(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A place where a merchant trades; its time zone is the merchant's unless told."""

    name: Name
    merchant_id: str | None = None
    external_id: ExternalId | None = None
    time_zone: Zone | None = None
    groups: Groups = []


class LocationToChange(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What to change of a place; what is left out stays."""

    name: Name | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    time_zone: Zone | UnsetType = UNSET
    groups: Groups | UnsetType = UNSET
    status: Literal["active", "closed"] | UnsetType = UNSET


async def add_location(directory: MerchantDirectory, call: Call) -> Reply:
    """Add a place of a merchant."""
    sent: LocationToAdd = call.attributes
    named = None if sent.merchant_id is None else ids.parse(sent.merchant_id)
    if sent.merchant_id is not None and named is None:
        raise InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    shop = await directory.resolve(call.caller, named)
    command = AddLocation(call.asked, shop.id, sent.name, sent.external_id, sent.time_zone, tuple(sent.groups))
    return _replied(await call.house.batcher.submit(locations.add, call.caller.tenant, command))


async def change_location(call: Call) -> Reply:
    """Change a place. What happens there from now on follows it; what happened is looked at anew where it moves again."""
    sent: LocationToChange = call.attributes
    if all(getattr(sent, name) is UNSET for name in sent.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    groups = sent.groups if isinstance(sent.groups, UnsetType) else tuple(sent.groups)
    command = ChangeLocation(call.asked, _id(call), sent.name, sent.external_id, sent.time_zone, groups, sent.status)
    return _replied(await call.house.batcher.submit(locations.change, call.caller.tenant, command))


async def get_location(call: Call) -> Reply:
    """One place."""
    location_id = _id(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = (await locations.by_ids(work, [location_id])).get(location_id)
    if found is None or not may_act_for(call.caller, found.merchant_id):
        raise NotFound(NO_LOCATION)
    return Reply(200, resource.document(found), resource_id=location_id)


async def list_locations(call: Call) -> Reply:
    """The places of the merchants that the client may act for, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    named = call.query.get("filter[merchantId]")
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        faults.append(InvalidRequest("This is not an id.", source=parameter("filter[merchantId]")))
    if faults:
        raise Refusals(faults)
    wanted = (
        call.caller.merchant_ids,
        merchant_id,
        call.query.get("filter[externalId]"),
        call.query.get("filter[group]"),
    )
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await store.listed(work, *wanted, offset, limit)
    shown = [resource.shown(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


def _id(call: Call) -> UUID:
    location_id = ids.parse(call.path["id"])
    if location_id is None:
        raise NotFound(NO_LOCATION)
    return location_id


def _replied(answer: Answer) -> Reply:
    headers = [] if answer.location is None else [("location", answer.location)]
    return Reply(
        answer.status,
        answer.body,
        headers,
        replayed=answer.replayed,
        resource_id=answer.resource_id,
        logged=not answer.replayed,
    )


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What this room offers over HTTP of locations."""
    path = resource.LOCATION.path
    taken = (IdempotencyConflict, ExternalIdTaken)
    return (
        Route(
            "POST", path, partial(add_location, directory), "locations:write", "Add a location",
            Takes(LocationToAdd, ("Location",), EXAMPLE), resource.LOCATION, status=201, keyed=True, errors=taken,
        ),
        Route(
            "PATCH", f"{path}/{{id}}", change_location, "locations:write", "Change a location",
            Takes(LocationToChange, ("Location",), {"groups": ["airport", "franchise"]}), resource.LOCATION, keyed=True,
            errors=(NotFound, *taken),
        ),
        Route(
            "GET", path, list_locations, "locations:read", "List locations", gives=resource.LOCATION, many=True,
            query=(
                Parameter("filter[merchantId]", "Only places of this merchant.", schema=UUID_SCHEMA),
                Parameter("filter[externalId]", "Only the place with this external id."),
                Parameter("filter[group]", "Only places in this group."),
                *PAGE,
            ),
        ),
        Route(
            "GET", f"{path}/{{id}}", get_location, "locations:read", "Get a location", gives=resource.LOCATION,
            errors=(NotFound,),
        ),
    )  # fmt: skip
