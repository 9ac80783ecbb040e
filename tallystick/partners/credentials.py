"""Rotate and revoke credentials: the verbs of a partner over its own, and what they share with the operator's.

Credentials live in real time, also those of a sandbox. A client's row is the lock of its secrets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

import tallystick.partners.store as store
from tallystick import audit, events
from tallystick.base import clock, idempotency, ids, jsonapi
from tallystick.base.db import Db
from tallystick.base.errors import InsufficientScope, InvalidState, NotFound, Refusal, attribute
from tallystick.base.idempotency import Answer, HouseSeal
from tallystick.base.keys import MasterKeys
from tallystick.base.secrets import new_secret
from tallystick.base.work import Asked, Work
from tallystick.partners import resource
from tallystick.partners.model import Client, Secret, exceeds, live_secrets, rotation_refused

ROTATED: Final = "credential.rotated"
NO_CREDENTIAL: Final = "No credential has this id. Verify the id."
SHOWN_AGAIN: Final = timedelta(hours=24)
"""How long a replay of a rotation shows the secret again."""


@dataclass(frozen=True, slots=True)
class RotateCredential:
    """Give a credential a new secret; the one it has goes on for `overlap`."""

    asked: Asked
    credential_id: UUID
    overlap: timedelta


@dataclass(frozen=True, slots=True)
class RevokeCredential:
    """End one secret of a credential, or the whole credential where `secret_id` is None."""

    asked: Asked
    credential_id: UUID
    secret_id: UUID | None


async def rotate(work: Work, commands: Sequence[RotateCredential]) -> list[Answer | Refusal]:
    """Each answer shows the new secret; a replay does so for a day."""
    outcomes = await idempotency.keyed(
        work,
        "credentials.rotate",
        commands,
        _rotate,
        fingerprint=lambda command: f"{command.credential_id} {command.overlap.total_seconds()}".encode(),
        seal=HouseSeal(),
        prepare=_lock,
    )
    return [
        _faded(outcome, work) if isinstance(outcome, Answer) and outcome.replayed else outcome for outcome in outcomes
    ]


async def revoke(work: Work, commands: Sequence[RevokeCredential]) -> list[Answer | Refusal]:
    """Each credential, or one secret of it, opens nothing any more; nor do the tokens it minted."""
    return await idempotency.keyed(
        work,
        "credentials.revoke",
        commands,
        _revoke,
        fingerprint=lambda command: f"{command.credential_id} {command.secret_id}".encode(),
        seal=HouseSeal(),
        prepare=_lock,
    )


async def add_secret(db: Db, keys: MasterKeys, client: Client, secret_id: UUID, at: datetime) -> tuple[Secret, str]:
    """A fresh secret of a client, kept as its keyed hash; the text is known here and now only."""
    text = new_secret(client.tenant.environment)
    secret = Secret(secret_id, client.id, text[-4:], at, None, None, None)
    await store.insert_secret(db, secret, keys.secret_digest(text))
    return secret, text


async def give_new_secret(
    work: Work, client: Client, overlap: timedelta, asked: Asked | None
) -> tuple[Sequence[Secret], str] | InvalidState:
    """A new secret for a locked client, and every secret it has then, newest first; the others end after `overlap`."""
    now = work.real_now
    live = live_secrets(await store.secrets_of(work.db, [client.id]), now)
    refusal = rotation_refused(client, live)
    if refusal is not None:
        return refusal
    await store.limit_secrets(work.db, [secret.id for secret in live], now + overlap)
    fresh, text = await add_secret(work.db, work.keys, client, ids.new(), now)
    secrets = [fresh, *(secret for secret in await store.secrets_of(work.db, [client.id]) if secret.id != fresh.id)]
    await _tell(work, client, secrets, asked)
    return secrets, text


async def _lock(work: Work, commands: Sequence[RotateCredential] | Sequence[RevokeCredential]) -> None:
    await store.lock_clients(work.db, [command.credential_id for command in commands])


async def _rotate(work: Work, command: RotateCredential) -> Answer | Refusal:
    caller = command.asked.caller
    client = await store.client_of(work, caller.partner_id, command.credential_id)
    if client is None:
        return NotFound(NO_CREDENTIAL)
    if exceeds(client, caller):
        return InsufficientScope("The credential may do more than you may; only one that may do as much can rotate it.")
    given = await give_new_secret(work, client, command.overlap, command.asked)
    if isinstance(given, InvalidState):
        return given
    secrets, text = given
    audit.note(work, command.asked, status=200, resource_id=client.id)
    return Answer(200, jsonapi.document(resource.resource(client, secrets, work.real_now, text)), client.id)


async def _revoke(work: Work, command: RevokeCredential) -> Answer | Refusal:
    caller, now = command.asked.caller, work.real_now
    client = await store.client_of(work, caller.partner_id, command.credential_id)
    if client is None:
        return NotFound(NO_CREDENTIAL)
    if client.status != "active":
        return InvalidState("The credential is revoked already.")
    live = live_secrets(await store.secrets_of(work.db, [client.id]), now)
    ending = [secret for secret in live if command.secret_id in (None, secret.id)]
    if command.secret_id is not None and not ending:
        return InvalidState("The credential has no live secret with this id.", source=attribute("secretId"))
    if client.id == caller.client_id and len(ending) == len(live):
        return InvalidState(
            "This would lock you out: it is the last live secret of the credential you are using. Rotate first, or revoke it "
            "with another credential."
        )
    await store.revoke_secrets(work.db, [secret.id for secret in ending], now)
    if command.secret_id is None:
        await store.revoke_client(work.db, client.id, now)
        client = replace(client, status="revoked", revoked_at=now)
    left = [secret for secret in live if secret not in ending]
    audit.note(work, command.asked, status=200, resource_id=client.id)
    return Answer(200, jsonapi.document(resource.resource(client, left, now)), client.id)


async def _tell(work: Work, client: Client, secrets: Sequence[Secret], asked: Asked | None) -> None:
    before = sum(isinstance(each, events.Event) and each.subject_id == client.id for each in work.recorded)
    events.record(
        work,
        events.Event(
            topic=ROTATED,
            subject_type="Credential",
            subject_id=client.id,
            sequence=await store.told(work, client.id) + before + 1,
            document=resource.told(client, secrets, work.real_now),
            partner_id=client.partner_id,
            request_id=None if asked is None else asked.request_id,
        ),
    )


def _faded(answer: Answer, work: Work) -> Answer:
    """The replay of a rotation without the secret, once a day has passed."""
    assert answer.body is not None, "a rotation answers a document"
    document = msgspec.json.decode(answer.body)
    attributes = document["data"]["attributes"]
    made = clock.parse_instant(attributes["secrets"][0]["createdAt"])
    if work.real_now - made < SHOWN_AGAIN:
        return answer
    del attributes["clientSecret"]
    return replace(answer, body=msgspec.json.encode(document))
