"""What the operator's commands share: options, and the two ways into the house."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import typer

from tallystick import merchants, partners
from tallystick.base import clock, ids
from tallystick.base.db import LOST, Db
from tallystick.base.errors import NotFound, Refusal, Refusals
from tallystick.base.work import Tenant
from tallystick.cli.ground import Ground, Told, fail, opened, read_settings

T = TypeVar("T")
Environment = Literal["sandbox", "production"]
DataOption = Annotated[Path | None, typer.Option("--data", help="Where the embedded database lies.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EnvironmentOption = Annotated[Environment, typer.Option("--environment", "-e", help="sandbox or production.")]
ProgrammeOption = Annotated[str, typer.Option("--programme", help="The programme's id.")]


def group(about: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=about, no_args_is_help=True)


def directory(data: Path | None, act: Callable[[Ground, Db], Awaitable[T]]) -> T:
    """Do something with the house's directory (programmes, partners, credentials), in one transaction."""

    async def within(ground: Ground) -> T:
        async with ground.runtime.pool.lend() as db, db.connection.transaction():
            return await act(ground, db)

    return in_house(data, within)


def in_house(data: Path | None, act: Callable[[Ground], Awaitable[T]]) -> T:
    """Do something in the house; a refusal is printed, every fault a line, and the command ends with 1."""

    async def run() -> T:
        async with opened(read_settings(), data) as ground:
            return await act(ground)

    try:
        return asyncio.run(run())
    except Refusal as refused:
        raise fail(refused.detail) from None
    except LOST:
        raise fail("The database went away meanwhile. Look what was done, then try again.") from None
    except Refusals as refused:
        raise fail("\n".join(_sentence(fault) for fault in refused.faults)) from None


def _sentence(fault: Refusal) -> str:
    return fault.detail if fault.source is None else f"{fault.source.name.rsplit('/', 1)[-1]}: {fault.detail}"


def instant(text: str) -> datetime:
    """An instant as it was typed, or a sentence."""
    try:
        return clock.parse_instant(text)
    except ValueError as error:
        raise fail(str(error)) from None


def uuid(text: str) -> UUID:
    """An id as it was typed, or a sentence."""
    found = ids.parse(text.strip())
    if found is None:
        raise fail(f"{text} is not an id; ids look like 0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10.")
    return found


async def tenant_of(ground: Ground, programme: str, environment: str) -> Tenant:
    """The sandbox or production of a programme."""
    programme_id = uuid(programme)
    async with ground.runtime.pool.lend() as db:
        for each in await partners.list_programmes(db):
            if each.id == programme_id:
                return each.sandbox if environment == "sandbox" else each.production
    raise NotFound("There is no such programme. `tallystick programmes list` shows them.")


def programme_told(programme: partners.Programme) -> Told:
    """A programme as it is printed."""
    return {
        "id": str(programme.id),
        "name": programme.name,
        "sandboxTenantId": str(programme.sandbox.id),
        "productionTenantId": str(programme.production.id),
        "createdAt": clock.render(programme.created_at),
    }


def partner_told(partner: partners.Partner) -> Told:
    """A partner as it is printed."""
    return {
        "id": str(partner.id),
        "name": partner.name,
        "status": partner.status,
        "createdAt": clock.render(partner.created_at),
    }


def agreement_told(agreement: partners.Agreement) -> Told:
    """An agreement as it is printed."""
    return {
        "id": str(agreement.id),
        "partnerId": str(agreement.partner_id),
        "programmeId": str(agreement.programme_id),
        "visibility": agreement.visibility,
        "dataPolicy": asdict(agreement.data_policy),
        "status": agreement.status,
        "reviewDueAt": None if agreement.review_due_at is None else clock.render(agreement.review_due_at),
    }


def merchant_told(merchant: merchants.Merchant) -> Told:
    """A merchant as it is printed."""
    return {
        "id": str(merchant.id),
        "name": merchant.name,
        "currency": merchant.currency,
        "country": merchant.country,
        "timeZone": merchant.time_zone,
        "status": merchant.status,
        "fundingMode": merchant.funding_mode,
        "claimDays": merchant.claim_days,
        "preIssuing": merchant.pre_issuing,
        "stacking": merchant.stacking,
    }


def client_told(client: partners.Client) -> Told:
    """A credential as it is printed, without its secret."""
    return {
        "clientId": str(client.id),
        "name": client.name,
        "environment": client.tenant.environment,
        "programmeId": str(client.tenant.programme_id),
        "partnerId": str(client.partner_id),
        "scopes": sorted(client.scopes),
        "merchantIds": None if client.merchant_ids is None else [str(each) for each in client.merchant_ids],
        "ratePerMinute": client.rate_per_minute,
        "status": client.status,
    }
