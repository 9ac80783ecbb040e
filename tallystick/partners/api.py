"""A partner's own credentials over HTTP: see them, rotate them, revoke them."""

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

import tallystick.partners.store as store
from tallystick.base import clock, ids, jsonapi
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound, attribute
from tallystick.base.idempotency import Answer
from tallystick.base.routes import PAGE, Call, Reply, Route, Takes
from tallystick.partners import credentials
from tallystick.partners.credentials import NO_CREDENTIAL, RevokeCredential, RotateCredential
from tallystick.partners.model import OVERLAP, OVERLAP_MAX
from tallystick.partners.resource import CREDENTIAL, resource

Duration = Annotated[
    str, Meta(max_length=40, description="ISO 8601; `PT0S` ends the old secret at once, 7 days unless told.")
]
Id = Annotated[str, Meta(max_length=36, description="One secret; the whole credential unless told.")]


class RotateAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How long the old secret goes on."""

    overlap: Duration | None = None


class RevokeAttributes(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Which secret ends."""

    secret_id: Id | None = None


async def list_credentials(call: Call) -> Reply:
    """The partner's own credentials in this environment, newest first."""
    offset, limit = jsonapi.page(call)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        page, total = await store.clients_of(work, call.caller.partner_id, offset, limit)
        secrets = await store.secrets_of(work.db, [client.id for client in page])
        shown = [
            resource(client, [each for each in secrets if each.client_id == client.id], work.real_now)
            for client in page
        ]
    return Reply(200, jsonapi.listing(shown, total=total, offset=offset, limit=limit, call=call))


async def get_credential(call: Call) -> Reply:
    """One credential of the partner."""
    client_id = ids.parse(call.path["id"])
    if client_id is None:
        raise NotFound(NO_CREDENTIAL)
    async with call.house.runtime.reading(call.caller.tenant) as work:
        client = await store.client_of(work, call.caller.partner_id, client_id)
        if client is None:
            raise NotFound(NO_CREDENTIAL)
        shown = resource(client, await store.secrets_of(work.db, [client.id]), work.real_now)
    return Reply(200, jsonapi.document(shown), resource_id=client_id)


async def rotate_credential(call: Call) -> Reply:
    """A new secret; the old one goes on for a while."""
    sent: RotateAttributes | None = call.attributes
    client_id = ids.parse(call.path["id"])
    overlap = _overlap(None if sent is None else sent.overlap)
    if client_id is None:
        raise NotFound(NO_CREDENTIAL)
    command = RotateCredential(call.asked, client_id, overlap)
    return _reply(await call.house.batcher.submit(credentials.rotate, call.caller.tenant, command))


async def revoke_credential(call: Call) -> Reply:
    """End a secret, or the whole credential."""
    sent: RevokeAttributes | None = call.attributes
    client_id, secret_id = ids.parse(call.path["id"]), None
    if sent is not None and sent.secret_id is not None:
        secret_id = ids.parse(sent.secret_id)
        if secret_id is None:
            raise InvalidRequest("This is not the id of a secret.", source=attribute("secretId"))
    if client_id is None:
        raise NotFound(NO_CREDENTIAL)
    command = RevokeCredential(call.asked, client_id, secret_id)
    return _reply(await call.house.batcher.submit(credentials.revoke, call.caller.tenant, command))


def _overlap(text: str | None) -> timedelta:
    if text is None:
        return OVERLAP
    try:
        overlap = clock.parse_duration(text)
    except ValueError as error:
        raise InvalidRequest(str(error), source=attribute("overlap")) from None
    if overlap > OVERLAP_MAX:
        raise InvalidRequest(
            f"The old secret may go on for at most {OVERLAP_MAX.days} days.", source=attribute("overlap")
        )
    return overlap


def _reply(answer: Answer) -> Reply:
    return Reply(
        answer.status, answer.body, replayed=answer.replayed, resource_id=answer.resource_id, logged=not answer.replayed
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/credentials",
        list_credentials,
        scope="credentials:read",
        summary="List your credentials",
        gives=CREDENTIAL,
        many=True,
        query=PAGE,
    ),
    Route(
        "GET",
        "/api/v1/credentials/{id}",
        get_credential,
        scope="credentials:read",
        summary="Read one credential",
        gives=CREDENTIAL,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "/api/v1/credentials/{id}/rotate",
        rotate_credential,
        scope="credentials:write",
        summary="Make a new secret; the old one goes on for a while",
        takes=Takes(RotateAttributes, ("RotateCredential",), {"overlap": "P7D"}, optional=True),
        gives=CREDENTIAL,
        errors=(NotFound, InvalidState),
        keyed=True,
    ),
    Route(
        "POST",
        "/api/v1/credentials/{id}/revoke",
        revoke_credential,
        scope="credentials:write",
        summary="End one secret, or the whole credential",
        takes=Takes(
            RevokeAttributes,
            ("RevokeCredential",),
            {"secretId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a12"},
            optional=True,
        ),
        gives=CREDENTIAL,
        errors=(NotFound, InvalidState),
        keyed=True,
    ),
)
