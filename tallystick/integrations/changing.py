"""Connecting accounts and changing their integrations: each wish carried out once for its key."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import msgspec

import tallystick.integrations.store as store
from tallystick import audit, merchants
from tallystick.base import idempotency, ids, jsonapi
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.work import Caller, Work
from tallystick.integrations import resource
from tallystick.integrations.model import FORMER_SECRET_LASTS, Change, Connect, Integration


async def connect(work: Work, commands: Sequence[Connect]) -> list[Answer | Refusal]:
    """Connect each account, once for its key."""
    return await idempotency.keyed(
        work, "integrations.create", commands, _connect, fingerprint=_of_connect, seal=HouseSeal()
    )


async def change(work: Work, commands: Sequence[Change]) -> list[Answer | Refusal]:
    """Change each integration, once for its key."""

    async def prepare(work: Work, commands: Sequence[Change]) -> None:
        await store.lock(work, list({command.integration_id for command in commands}))

    return await idempotency.keyed(
        work, "integrations.change", commands, _change, fingerprint=_of_change, seal=HouseSeal(), prepare=prepare
    )


async def visible(work: Work, caller: Caller, integration_id: UUID) -> Integration | None:
    """The integration, where the caller may read it."""
    found = (await store.by_ids(work, [integration_id])).get(integration_id)
    return found if found is not None and found.seen_by(caller) else None


def missing() -> NotFound:
    """The refusal for an integration that is not there, or not for this caller."""
    return NotFound("No integration has this id. Verify the id.")


async def _connect(work: Work, command: Connect) -> Answer | Refusal:
    merchant = (await merchants.by_ids(work, [command.merchant_id])).get(command.merchant_id)
    if merchant is None or merchant.status != "active":
        return InvalidRequest("There is no such merchant that you may act for.", source=attribute("merchantId"))
    refusal = await _of_places(work, command.merchant_id, list(command.locations.values()))
    if refusal is not None:
        return refusal
    integration_id = ids.new()
    integration = Integration(
        id=integration_id,
        partner_id=command.asked.caller.partner_id,
        client_id=command.asked.caller.client_id,
        merchant_id=merchant.id,
        system=command.system,
        account=command.account,
        name=command.name,
        secret_sealed=work.keys.seal(command.secret.encode(), integration_id.bytes),
        former_secret_sealed=None,
        former_until=None,
        locations=command.locations,
        status="active",
        received=0,
        ignored=0,
        refused=0,
        last_at=None,
        version=1,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work, integration)
    audit.note(work, command.asked, status=201, resource_id=integration_id)
    shown = jsonapi.document(resource.integration(integration, command.base_url))
    return Answer(201, shown, integration_id, f"{resource.INTEGRATION.path}/{integration_id}")


async def _change(work: Work, command: Change) -> Answer | Refusal:
    caller = command.asked.caller
    found = await visible(work, caller, command.integration_id)
    if found is None or found.partner_id != caller.partner_id:
        return missing()
    changed = found
    if command.locations is not None:
        refusal = await _of_places(work, found.merchant_id, list(command.locations.values()))
        if refusal is not None:
            return refusal
        changed = replace(changed, locations=command.locations)
    if command.name is not None:
        changed = replace(changed, name=command.name)
    if command.status is not None:
        changed = replace(changed, status=command.status)
    if command.secret is not None and command.secret.encode() != work.keys.open_sealed(
        found.secret_sealed, found.id.bytes
    ):
        # What is under way was signed with the former one, by real time.
        changed = replace(
            changed,
            secret_sealed=work.keys.seal(command.secret.encode(), found.id.bytes),
            former_secret_sealed=found.secret_sealed,
            former_until=work.real_now + FORMER_SECRET_LASTS,
        )
    if changed != found:
        changed = replace(changed, version=found.version + 1, updated_at=work.now)
        await store.update(work, changed)
    audit.note(work, command.asked, status=200, resource_id=found.id)
    return Answer(200, jsonapi.document(resource.integration(changed, command.base_url)), found.id)


async def _of_places(work: Work, merchant_id: UUID, location_ids: Sequence[UUID]) -> InvalidRequest | None:
    """Why these cannot be the merchant's places."""
    found = await merchants.locations_by_ids(work, list(location_ids)) if location_ids else {}
    if all(each in found and found[each].merchant_id == merchant_id for each in location_ids):
        return None
    return InvalidRequest("One of these is no location of the merchant. Verify the ids.", source=attribute("locations"))


def _of_connect(command: Connect) -> bytes:
    places = sorted((theirs, str(ours)) for theirs, ours in command.locations.items())
    wanted = [command.merchant_id, command.system, command.account, command.name, command.secret, places]
    return msgspec.json.encode(wanted)


def _of_change(command: Change) -> bytes:
    places = None if command.locations is None else sorted((k, str(v)) for k, v in command.locations.items())
    return msgspec.json.encode([command.integration_id, command.name, command.secret, places, command.status])
