"""Integrations over HTTP: connect an account with a system, change it, and see what of its documents could not be taken."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

import tallystick.integrations.store as store
from tallystick.base import ids, jsonapi
from tallystick.base.errors import (
    IdempotencyConflict,
    InvalidRequest,
    InvalidState,
    NotFound,
    Refusal,
    Refusals,
    at,
    attribute,
    parameter,
)
from tallystick.base.routes import PAGE, Call, Parameter, Reply, Route, Takes
from tallystick.customers.api import NoAttributes, path_id, replied
from tallystick.integrations import changing, resource
from tallystick.integrations.adapters import ADAPTERS
from tallystick.integrations.changing import missing
from tallystick.integrations.model import (
    ACCOUNT_MAX,
    LOCATIONS_MAX,
    NAME_MAX,
    SECRET_MAX,
    SECRET_MIN,
    THEIR_NAME_MAX,
    Change,
    Connect,
    Delivery,
    Fault,
    Status,
)
from tallystick.integrations.receiving import take_in, unsealed
from tallystick.merchants import MerchantDirectory

System = Annotated[str, Meta(pattern=f"^({'|'.join(ADAPTERS)})$", description=f"The system: {', '.join(ADAPTERS)}.")]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Secret = Annotated[
    str,
    Meta(min_length=SECRET_MIN, max_length=SECRET_MAX, description="What the system signs with. It is never shown."),
]
Places = Annotated[
    dict[str, Any], Meta(description="The system's own names of places, each with the id of the location that it is.")
]


class IntegrationSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An account to connect."""

    system: System
    account: Annotated[
        str, Meta(min_length=1, max_length=ACCOUNT_MAX, description="The system's own name of the shop.")
    ]
    name: Name
    signing_secret: Secret
    merchant_id: str | None = None
    locations: Places = {}


class IntegrationChanged(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What is to change; what is absent stays. The former secret is taken for 24 hours more."""

    name: Name | UnsetType = UNSET
    locations: Places | UnsetType = UNSET
    signing_secret: Secret | UnsetType = UNSET


SENT_EXAMPLE: Final = {
    "system": "square",
    "account": "MLEFBHHSJGVHD",
    "name": "Square, all tills",
    "signingSecret": "Ibxx_5AKakO-3qeNVR61Dw",
    "locations": {},
}

FILTERS: Final = (
    Parameter("filter[merchantId]", "Only integrations of this merchant."),
    Parameter("filter[system]", "Only integrations of this system.", schema={"type": "string", "enum": list(ADAPTERS)}),
    Parameter(
        "filter[status]", "Only integrations of this status.", schema={"type": "string", "enum": ["active", "disabled"]}
    ),
)
FAULT_FILTER: Final = Parameter(
    "filter[status]", "Only faults of this status.", schema={"type": "string", "enum": ["open", "taken"]}
)
NO_FAULT: Final = "The integration has no fault of this id. Verify the id."


async def add_integration(directory: MerchantDirectory, call: Call) -> Reply:
    """Connect an account with a system."""
    sent: IntegrationSent = call.attributes
    faults: list[Refusal] = []
    adapter = ADAPTERS[sent.system]
    account, name, secret = adapter.account_of(sent.account.strip()), sent.name.strip(), sent.signing_secret.strip()
    if not account or not account.isprintable() or " " in account:
        detail = f"An account of {adapter.title} is {adapter.account_form}."
        faults.append(InvalidRequest(detail, source=attribute("account")))
    _check_name(name, faults)
    _check_secret(secret, faults)
    places = _places(sent.locations, faults)
    if faults:
        raise Refusals(faults)
    merchant_id = None if sent.merchant_id is None else ids.parse(sent.merchant_id)
    if sent.merchant_id is not None and merchant_id is None:
        detail = "There is no such merchant that you may act for."
        raise InvalidRequest(detail, source=attribute("merchantId"))
    merchant = await directory.resolve(call.caller, merchant_id)
    command = Connect(call.asked, merchant.id, sent.system, account, name, secret, places, call.house.settings.base_url)
    return replied(await call.house.batcher.submit(changing.connect, call.caller.tenant, command))


async def get_integration(call: Call) -> Reply:
    """One integration."""
    integration_id = path_id(call, missing())
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await changing.visible(work, call.caller, integration_id)
    if found is None:
        raise missing()
    shown = resource.integration(found, call.house.settings.base_url)
    return Reply(200, jsonapi.document(shown), resource_id=integration_id)


async def list_integrations(call: Call) -> Reply:
    """Integrations, newest first."""
    faults: list[Refusal] = []
    offset, limit = jsonapi.page(call, faults)
    named = call.query.get("filter[merchantId]")
    merchant_id = None if named is None else ids.parse(named)
    if named is not None and merchant_id is None:
        faults.append(InvalidRequest("An id is wanted.", source=parameter("filter[merchantId]")))
    system = _one_of(call, "filter[system]", tuple(ADAPTERS), faults)
    status = _one_of(call, "filter[status]", ("active", "disabled"), faults)
    if faults:
        raise Refusals(faults)
    caller = call.caller
    partner_id = None if caller.sees_programme else caller.partner_id
    filters = store.Filters(merchant_id, system, status)
    async with call.house.runtime.reading(caller.tenant) as work:
        page, total = await store.listed(work, partner_id, caller.merchant_ids, filters, offset, limit)
    shown = [resource.integration(each, call.house.settings.base_url) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def change_integration(call: Call) -> Reply:
    """Change an integration, or the secret that its documents are signed with."""
    sent: IntegrationChanged = call.attributes
    if all(getattr(sent, name) is UNSET for name in sent.__struct_fields__):
        raise InvalidRequest("Name at least one attribute to change.", source=at("/data/attributes"))
    faults: list[Refusal] = []
    name = None if isinstance(sent.name, UnsetType) else sent.name.strip()
    secret = None if isinstance(sent.signing_secret, UnsetType) else sent.signing_secret.strip()
    if name is not None:
        _check_name(name, faults)
    if secret is not None:
        _check_secret(secret, faults)
    places = None if isinstance(sent.locations, UnsetType) else _places(sent.locations, faults)
    if faults:
        raise Refusals(faults)
    base_url = call.house.settings.base_url
    command = Change(call.asked, path_id(call, missing()), base_url, name, secret, places)
    return replied(await call.house.batcher.submit(changing.change, call.caller.tenant, command))


async def disable_integration(call: Call) -> Reply:
    """Refuse its documents, as if there were no such integration."""
    return await _turn(call, "disabled")


async def enable_integration(call: Call) -> Reply:
    """Take its documents again."""
    return await _turn(call, "active")


async def list_integration_faults(call: Call) -> Reply:
    """Signed documents that could not be taken, newest first."""
    integration_id = path_id(call, missing())
    wrong: list[Refusal] = []
    offset, limit = jsonapi.page(call, wrong)
    status = _one_of(call, "filter[status]", ("open", "taken"), wrong)
    if wrong:
        raise Refusals(wrong)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        if await changing.visible(work, call.caller, integration_id) is None:
            raise missing()
        is_taken = None if status is None else status == "taken"
        page, total = await store.faults(work, integration_id, offset, limit, is_taken=is_taken)
    shown = [resource.fault(each) for each in page]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def retry_integration_fault(call: Call) -> Reply:
    """Read the document once more: after the account's places were mapped, or the adapter learned."""
    integration_id, fault_id = path_id(call, missing()), ids.parse(call.path["faultId"])
    headers: Mapping[str, str] = {}
    body = b""
    async with call.house.runtime.reading(call.caller.tenant) as work:
        integration = await changing.visible(work, call.caller, integration_id)
        if integration is None or integration.partner_id != call.caller.partner_id:
            raise missing()
        fault = None if fault_id is None else await store.fault(work, integration_id, fault_id)
        if fault is not None and fault.taken_at is None:
            headers, body = unsealed(work, fault)
    if fault is None:
        raise NotFound(NO_FAULT)
    if fault.taken_at is None:
        delivery = Delivery(call.asked, integration_id, headers, body, resent=fault.id)
        outcome = await call.house.batcher.submit(take_in, call.caller.tenant, delivery)
        if outcome.what == "fault":
            raise InvalidState(f"The document still cannot be taken. {outcome.detail}")
        fault = await _again(call, integration_id, fault.id)
    return Reply(200, jsonapi.document(resource.fault(fault)), resource_id=fault.id)


async def _turn(call: Call, status: Status) -> Reply:
    command = Change(call.asked, path_id(call, missing()), call.house.settings.base_url, status=status)
    return replied(await call.house.batcher.submit(changing.change, call.caller.tenant, command))


async def _again(call: Call, integration_id: UUID, fault_id: UUID) -> Fault:
    async with call.house.runtime.reading(call.caller.tenant) as work:
        found = await store.fault(work, integration_id, fault_id)
    assert found is not None, "faults are not deleted"
    return found


def _check_name(name: str, faults: list[Refusal]) -> None:
    if not name or not name.isprintable():
        detail = f"A name has 1 to {NAME_MAX} printable characters."
        faults.append(InvalidRequest(detail, source=attribute("name")))


def _check_secret(secret: str, faults: list[Refusal]) -> None:
    if len(secret) < SECRET_MIN or not secret.isascii() or not secret.isprintable():
        detail = f"A signing secret has {SECRET_MIN} to {SECRET_MAX} printable ASCII characters."
        faults.append(InvalidRequest(detail, source=attribute("signingSecret")))


def _places(sent: Mapping[str, Any], faults: list[Refusal]) -> dict[str, UUID]:
    """Their names of places with ours."""
    source = attribute("locations")
    if len(sent) > LOCATIONS_MAX:
        faults.append(InvalidRequest(f"At most {LOCATIONS_MAX} places are taken.", source=source))
        return {}
    places: dict[str, UUID] = {}
    for theirs, ours in sent.items():
        location_id = ids.parse(ours) if isinstance(ours, str) else None
        if location_id is None or not 1 <= len(theirs) <= THEIR_NAME_MAX or not theirs.isprintable():
            detail = "Each of the system's names of a place has the id of one of the merchant's locations."
            faults.append(InvalidRequest(detail, source=source))
            return {}
        places[theirs] = location_id
    return places


def _one_of(call: Call, name: str, known: tuple[str, ...], faults: list[Refusal]) -> str | None:
    given = call.query.get(name)
    if given is not None and given not in known:
        faults.append(InvalidRequest(f"One of {', '.join(known)} is wanted.", source=parameter(name)))
    return given


def routes(directory: MerchantDirectory) -> tuple[Route, ...]:
    """What partners may ask of integrations."""
    kind, one = resource.INTEGRATION, f"{resource.INTEGRATION.path}/{{id}}"
    read, write = "integrations:read", "integrations:write"
    add = partial(add_integration, directory)
    adds = Takes(IntegrationSent, ("Integration",), SENT_EXAMPLE)
    changes = Takes(IntegrationChanged, ("Integration",), {"name": "Square, old town"})
    nothing = Takes(NoAttributes, ("Integration",), optional=True)
    retry = Takes(NoAttributes, ("IntegrationFault",), optional=True)
    found = (NotFound, IdempotencyConflict)
    # fmt: off
    return (
        Route(
            "POST", kind.path, add, write, "Connect a system that sends its own documents", adds, kind,
            status=201, keyed=True, errors=(IdempotencyConflict,),
        ),
        Route("GET", kind.path, list_integrations, read, "List integrations", gives=kind, many=True, query=(*FILTERS, *PAGE)),
        Route("GET", one, get_integration, read, "Get an integration", gives=kind, errors=(NotFound,)),
        Route("PATCH", one, change_integration, write, "Change an integration", changes, kind, keyed=True, errors=found),
        Route(
            "POST", f"{one}/disable", disable_integration, write, "Refuse an integration's documents", nothing, kind,
            keyed=True, errors=found,
        ),
        Route(
            "POST", f"{one}/enable", enable_integration, write, "Take an integration's documents", nothing, kind,
            keyed=True, errors=found,
        ),
        Route(
            "GET", f"{one}/faults", list_integration_faults, read, "List documents that could not be taken",
            gives=resource.FAULT, many=True, query=(FAULT_FILTER, *PAGE), errors=(NotFound,),
        ),
        Route(
            "POST", f"{one}/faults/{{faultId}}/retry", retry_integration_fault, write, "Read a document once more", retry,
            resource.FAULT, errors=(NotFound, InvalidState),
        ),
    )
    # fmt: on
