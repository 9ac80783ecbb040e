"""The operator's verbs: programmes, partners, agreements and clients. Each takes the connection of an open transaction.

`now` is real time. What cannot be done is raised as a refusal, and the transaction is to be rolled back.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

import tallystick.partners.store as store
from tallystick import events
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound
from tallystick.base.keys import MasterKeys
from tallystick.base.work import DataPolicy, Tenant, Work
from tallystick.partners import credentials, scopes
from tallystick.partners.model import (
    NAME_MAX,
    OVERLAP,
    OVERLAP_MAX,
    REVIEW_EVERY,
    Agreement,
    Client,
    NewClient,
    Partner,
    Programme,
    Secret,
    Visibility,
)


async def add_programme(db: Db, name: str, now: datetime) -> Programme:
    """A new owner of books, with a sandbox and a production tenant."""
    _check_name(name)
    programme_id = ids.new()
    programme = Programme(
        programme_id,
        name,
        Tenant(ids.new(), programme_id, "sandbox"),
        Tenant(ids.new(), programme_id, "production"),
        now,
    )
    await store.insert_programme(db, programme)
    return programme


async def add_partner(db: Db, name: str, now: datetime) -> Partner:
    """A new partner, without an agreement yet."""
    _check_name(name)
    partner = Partner(ids.new(), name, "active", now)
    await store.insert_partner(db, partner)
    return partner


async def agree(db: Db, partner_id: UUID, programme_id: UUID, visibility: Visibility, now: datetime) -> Agreement:
    """Bring a partner to a programme. An agreement that ended begins again, and so do its clients that were not revoked."""
    due_at = now + REVIEW_EVERY
    wanted = Agreement(ids.new(), partner_id, programme_id, visibility, "active", now, review_due_at=due_at)
    try:
        made = await store.agree(db, wanted)
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound("There is no such partner, or no such programme.") from error
    if made is None:
        raise InvalidState("The partner has an agreement with this programme already.")
    return made


async def add_client(db: Db, keys: MasterKeys, new: NewClient, now: datetime) -> tuple[Client, str]:
    """A new credential, and its first secret, which is shown this once."""
    _check_name(new.name)
    if wrong := scopes.unknown(new.scopes):
        raise InvalidRequest(f"There is no scope {', '.join(wrong)}.")
    if not new.scopes or new.merchant_ids == ():
        raise InvalidRequest("A credential without a scope, or for no merchant, could do nothing.")
    if new.rate_per_minute < 1 or new.rate_burst < 1:
        raise InvalidRequest("A rate limit and its burst are at least 1.")
    tenant, agreement = await store.tenant(db, new.tenant_id), await store.agreement(db, new.agreement_id)
    if tenant is None or agreement is None or agreement.programme_id != tenant.programme_id:
        raise NotFound("There is no such agreement with the programme of this tenant.")
    if agreement.status != "active":
        raise InvalidState("The agreement has ended.")
    client_id = ids.new()
    await store.insert_client(db, client_id, new, now)
    client = await find_client(db, client_id)
    _, text = await credentials.add_secret(db, keys, client, ids.new(), now)
    return client, text


async def rotate_secret(
    db: Db, keys: MasterKeys, client_id: UUID, now: datetime, overlap: timedelta = OVERLAP
) -> tuple[Secret, str]:
    """A new secret of a client, shown this once; the one it has goes on for `overlap`. A third live one is refused.

    The partner is told by an event.
    """
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise InvalidRequest(f"The old secret may go on for at most {OVERLAP_MAX.days} days.")
    await store.lock_clients(db, [client_id])
    client = await find_client(db, client_id)
    await store.enter(db, client.tenant.id)
    work = Work(db, client.tenant, await store.tenant_now(db, client.tenant.id, now), now, keys)
    given = await credentials.give_new_secret(work, client, overlap, None)
    if isinstance(given, InvalidState):
        raise given
    await events.number(work)
    await work.finish()
    secrets, text = given
    return secrets[0], text


async def revoke_secret(db: Db, client_id: UUID, secret_id: UUID, now: datetime) -> None:
    """The secret, and the tokens it minted, open nothing any more: at once in the database, everywhere within 30 seconds."""
    await store.lock_clients(db, [client_id])
    if all(secret.id != secret_id for secret in await store.secrets_of(db, [client_id])):
        raise NotFound("The credential has no such secret.")
    await store.revoke_secrets(db, [secret_id], now)


async def revoke_client(db: Db, client_id: UUID, now: datetime) -> None:
    """The credential, its secrets and its tokens open nothing any more."""
    await store.lock_clients(db, [client_id])
    await find_client(db, client_id)
    await store.revoke_client(db, client_id, now)
    await store.revoke_secrets(db, [secret.id for secret in await store.secrets_of(db, [client_id])], now)


async def suspend_partner(db: Db, partner_id: UUID) -> Partner:
    """None of the partner's credentials is let in until it is resumed."""
    return await _set_partner(db, partner_id, "suspended")


async def resume_partner(db: Db, partner_id: UUID) -> Partner:
    """The partner's credentials are let in again."""
    return await _set_partner(db, partner_id, "active")


async def end_agreement(db: Db, agreement_id: UUID) -> Agreement:
    """None of the agreement's credentials is let in any more."""
    ended = await store.end_agreement(db, agreement_id)
    if ended is None:
        raise NotFound("There is no such agreement.")
    return ended


async def set_data_policy(db: Db, agreement_id: UUID, policy: DataPolicy) -> Agreement:
    """Whose transactions, visits and orders the partner may send; known to every process within seconds. Raises NotFound."""
    changed = await store.set_policy(db, agreement_id, policy)
    if changed is None:
        raise NotFound("There is no such agreement.")
    return changed


async def find_client(db: Db, client_id: UUID) -> Client:
    """The client with this id. Raises NotFound."""
    client = await store.client(db, client_id)
    if client is None:
        raise NotFound(credentials.NO_CREDENTIAL)
    return client


async def list_programmes(db: Db) -> list[Programme]:
    """Every programme, oldest first."""
    return await store.programmes(db)


async def list_partners(db: Db) -> list[Partner]:
    """Every partner, oldest first."""
    return await store.partners(db)


async def list_agreements(db: Db, programme_id: UUID | None = None) -> list[Agreement]:
    """Every agreement, of one programme or of all, oldest first."""
    return await store.agreements(db, programme_id)


async def list_clients(db: Db, tenant_id: UUID | None = None) -> Sequence[tuple[Client, list[Secret]]]:
    """Every client of one tenant or of all, oldest first, with every secret it ever had, newest first."""
    clients = await store.clients(db, tenant_id)
    secrets: dict[UUID, list[Secret]] = {client.id: [] for client in clients}
    for secret in await store.secrets_of(db, list(secrets)):
        secrets[secret.client_id].append(secret)
    return [(client, secrets[client.id]) for client in clients]


async def _set_partner(db: Db, partner_id: UUID, status: str) -> Partner:
    partner = await store.set_partner(db, partner_id, status)
    if partner is None:
        raise NotFound("There is no such partner.")
    return partner


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise InvalidRequest(f"A name is 1 to {NAME_MAX} printable characters.")
