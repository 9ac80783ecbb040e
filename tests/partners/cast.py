"""Harbour Support joins Northwind's programme: who is who in the tests of this room."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tallystick import partners
from tallystick.base.db import Db
from tallystick.base.work import Caller, Environment, Runtime, Tenant
from tests import world

SCOPES: Final = frozenset({"rewards:read", "rewards:write", "credentials:read", "credentials:write"})


@dataclass(frozen=True)
class Member:
    """A partner with one credential in one tenant of one programme."""

    programme: partners.Programme
    partner: partners.Partner
    agreement: partners.Agreement
    client: partners.Client
    secret: str

    @property
    def tenant(self) -> Tenant:
        return self.client.tenant

    @property
    def client_id(self) -> str:
        return str(self.client.id)

    @property
    def bearer(self) -> str:
        return f"Bearer {self.secret}"

    @property
    def basic(self) -> bytes:
        return b"Basic " + base64.b64encode(f"{self.client_id}:{self.secret}".encode())

    @property
    def caller(self) -> Caller:
        """What the door answers for this credential."""
        return Caller(
            tenant=self.tenant,
            partner_id=self.partner.id,
            client_id=self.client.id,
            scopes=self.client.scopes,
            merchant_ids=self.client.merchant_ids,
            sees_programme=self.agreement.visibility == "programme",
            rate_per_minute=self.client.rate_per_minute,
            rate_burst=self.client.rate_burst,
        )


@asynccontextmanager
async def directory(runtime: Runtime) -> AsyncIterator[Db]:
    """A transaction in which the operator's verbs are used."""
    async with runtime.pool.lend() as db, db.connection.transaction():
        yield db


async def join(
    runtime: Runtime,
    *,
    environment: Environment = "sandbox",
    scopes: frozenset[str] = SCOPES,
    visibility: partners.Visibility = "own",
    merchant_ids: tuple[UUID, ...] | None = None,
    per_minute: int = 10_000,
    burst: int = 1_000,
) -> Member:
    """A new programme and a new partner with one credential there."""
    now = runtime.clock()
    async with directory(runtime) as db:
        programme = await partners.add_programme(db, world.NORTHWIND, now)
        partner = await partners.add_partner(db, world.HARBOUR_SUPPORT, now)
        agreement = await partners.agree(db, partner.id, programme.id, visibility, now)
        tenant = programme.sandbox if environment == "sandbox" else programme.production
        new = partners.NewClient(tenant.id, agreement.id, "Support desk", scopes, merchant_ids, per_minute, burst)
        client, secret = await partners.add_client(db, runtime.keys, new, now)
    return Member(programme, partner, agreement, client, secret)


async def another_client(
    runtime: Runtime, member: Member, *, scopes: frozenset[str] = SCOPES, merchant_ids: tuple[UUID, ...] | None = None
) -> Member:
    """One more credential of the same partner in the same tenant."""
    new = partners.NewClient(member.tenant.id, member.agreement.id, "Night shift", scopes, merchant_ids, 10_000, 1_000)
    async with directory(runtime) as db:
        client, secret = await partners.add_client(db, runtime.keys, new, runtime.clock())
    return Member(member.programme, member.partner, member.agreement, client, secret)
