"""Locations: the places where merchants trade. A partner names each once; what happens there has its time zone and its groups."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from msgspec import UNSET, UnsetType

import tallystick.merchants.location_store as store
import tallystick.merchants.store as merchant_store
from tallystick import audit, events
from tallystick.base import idempotency, ids
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Asked, Work
from tallystick.merchants import location_resource as resource
from tallystick.merchants.location_store import Location
from tallystick.merchants.model import MACHINE_ZONES, may_act_for

NO_LOCATION: Final = "No location has this id. Verify the id."


class ExternalIdTaken(Refusal):
    code, status, title = (
        "LocationExternalIdTaken",
        409,
        "Another location of the merchant already has this external id.",
    )


@dataclass(frozen=True, slots=True)
class AddLocation:
    """A partner's wish for a new place of a merchant. Without a time zone it has the merchant's."""

    asked: Asked
    merchant_id: UUID
    name: str
    external_id: str | None = None
    time_zone: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeLocation:
    """Change the named fields of a place; UNSET leaves one as it is."""

    asked: Asked
    location_id: UUID
    name: str | UnsetType = UNSET
    external_id: str | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    groups: tuple[str, ...] | UnsetType = UNSET
    status: Literal["active", "closed"] | UnsetType = UNSET


async def by_ids(work: Work, location_ids: Sequence[UUID]) -> dict[UUID, Location]:
    """The places with these ids; unknown ids are absent."""
    return await store.by_ids(work, location_ids) if location_ids else {}


async def ids_by_external(work: Work, merchant_id: UUID, external_ids: Sequence[str]) -> dict[str, UUID]:
    """The ids of a merchant's places by the partner's own names of them; unknown ones are absent."""
    return await store.ids_by_external(work, merchant_id, external_ids) if external_ids else {}


async def add(work: Work, commands: Sequence[AddLocation]) -> list[Answer | Refusal]:
    """The new place for each command, once for its key."""
    return await idempotency.keyed(
        work,
        "locations.create",
        commands,
        _add,
        fingerprint=lambda each: msgspec.json.encode(
            [each.merchant_id, each.name, each.external_id, each.time_zone, each.groups]
        ),
        seal=HouseSeal(),
    )


async def change(work: Work, commands: Sequence[ChangeLocation]) -> list[Answer | Refusal]:
    """The place as changed for each command."""

    async def prepare(work: Work, commands: Sequence[ChangeLocation]) -> None:
        await store.lock(work, list({command.location_id for command in commands}))

    return await idempotency.keyed(
        work, "locations.update", commands, _change, fingerprint=_fingerprint, seal=HouseSeal(), prepare=prepare
    )


def _fingerprint(command: ChangeLocation) -> bytes:
    fields = (command.name, command.external_id, command.time_zone, command.groups, command.status)
    return msgspec.json.encode([command.location_id, [None if each is UNSET else [each] for each in fields]])


async def _add(work: Work, command: AddLocation) -> Answer | Refusal:
    shop = (await merchant_store.by_ids(work, [command.merchant_id])).get(command.merchant_id)
    if shop is None or not may_act_for(command.asked.caller, command.merchant_id):
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    zone = shop.time_zone if command.time_zone is None else command.time_zone
    location = Location(
        id=ids.new(),
        partner_id=command.asked.caller.partner_id,
        merchant_id=shop.id,
        name=command.name,
        external_id=command.external_id,
        time_zone=zone,
        groups=_kept(command.groups),
        status="active",
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    refusal: Refusal | None = _wrong_zone(zone)
    if refusal is None and not await store.insert(work, location):
        refusal = _taken()
    return refusal or _answered(work, command.asked, location, 201)


async def _change(work: Work, command: ChangeLocation) -> Answer | Refusal:
    found = (await store.by_ids(work, [command.location_id])).get(command.location_id)
    if found is None or not may_act_for(command.asked.caller, found.merchant_id):
        return NotFound(NO_LOCATION)
    changed = replace(
        found,
        name=found.name if command.name is UNSET else command.name,
        external_id=found.external_id if command.external_id is UNSET else command.external_id,
        time_zone=found.time_zone if command.time_zone is UNSET else command.time_zone,
        groups=found.groups if command.groups is UNSET else _kept(command.groups),
        status=found.status if command.status is UNSET else command.status,
        version=found.version + 1,
        updated_at=work.now,
    )
    refusal: Refusal | None = _wrong_zone(changed.time_zone)
    if refusal is None and not await store.update(work, changed):
        refusal = _taken()
    return refusal or _answered(work, command.asked, changed, 200)


def _kept(groups: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(groups))


def _wrong_zone(zone: str) -> InvalidRequest | None:
    if zone not in MACHINE_ZONES and zone in available_timezones():
        return None
    detail = "The time zone is a name of the IANA database, such as Europe/Berlin."
    return InvalidRequest(detail, source=attribute("timeZone"))


def _taken() -> ExternalIdTaken:
    return ExternalIdTaken(
        "Use another external id, or change the location that has it.", source=attribute("externalId")
    )


def _answered(work: Work, asked: Asked, location: Location, status: int) -> Answer:
    events.record(work, _event(location, asked))
    audit.note(work, asked, status=status, resource_id=location.id)
    place = f"/api/v1/locations/{location.id}" if status == 201 else None
    return Answer(status, resource.document(location), location.id, place)


def _event(location: Location, asked: Asked) -> events.Event:
    return events.Event(
        topic="location.synced",
        subject_type="Location",
        subject_id=location.id,
        sequence=location.version,
        document=resource.shown(location),
        partner_id=asked.caller.partner_id,
        merchant_id=location.merchant_id,
        request_id=asked.request_id,
    )
