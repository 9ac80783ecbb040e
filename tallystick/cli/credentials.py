"""`credentials`: what a partner's client calls with, from the operator's side."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from tallystick import partners
from tallystick.base.db import Db
from tallystick.base.errors import NotFound
from tallystick.cli.ground import Ground, Told, show
from tallystick.cli.operating import (
    DataOption,
    EnvironmentOption,
    JsonOption,
    ProgrammeOption,
    client_told,
    directory,
    group,
    in_house,
    tenant_of,
    uuid,
)

app = group("What a partner's client calls with: scoped, rotated, revoked.")


@app.command("add")
def add(
    name: str,
    partner: Annotated[str, typer.Option(help="The partner's id; it needs an agreement with the programme.")],
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    scope: Annotated[list[str] | None, typer.Option(help="A scope; may be repeated. Without, all of them.")] = None,
    merchant: Annotated[
        list[str] | None, typer.Option(help="A merchant it may act for; may be repeated. Without, every merchant.")
    ] = None,
    rate_per_minute: Annotated[int | None, typer.Option(help="Requests a minute.", min=1)] = None,
    burst: Annotated[int | None, typer.Option(help="Requests at once.", min=1)] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a credential. Its secret is shown this once."""

    async def act(ground: Ground) -> Told:
        tenant = await tenant_of(ground, programme, environment)
        async with ground.runtime.pool.lend() as db, db.connection.transaction():
            new = partners.NewClient(
                tenant.id,
                (await _agreement(db, partner, programme)).id,
                name,
                frozenset(scope or partners.SCOPES),
                None if merchant is None else tuple(uuid(each) for each in merchant),
                rate_per_minute or ground.settings.rate_per_minute,
                burst or ground.settings.rate_burst,
            )
            client, secret = await partners.add_client(db, ground.keys, new, ground.runtime.clock())
        return {**client_told(client), "clientSecret": secret}

    show(in_house(data, act), as_json)


async def _agreement(db: Db, partner: str, programme: str) -> partners.Agreement:
    wanted = (uuid(partner), uuid(programme), "active")
    for each in await partners.list_agreements(db):
        if (each.partner_id, each.programme_id, each.status) == wanted:
            return each
    raise NotFound("The partner has no agreement with this programme. Make one with `tallystick agreements add`.")


@app.command("list")
def list_(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List credentials, without their secrets."""

    async def act(_ground: Ground, db: Db) -> Sequence[Told]:
        return [client_told(client) for client, _ in await partners.list_clients(db)]

    show(directory(data, act), as_json)


@app.command("rotate")
def rotate(
    client: str,
    overlap_days: Annotated[float, typer.Option(help="How long the old secret goes on.", min=0, max=90)] = 7,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a credential a new secret, shown this once; the old one goes on for a while."""

    async def act(ground: Ground, db: Db) -> Told:
        now = ground.runtime.clock()
        _, text = await partners.rotate_secret(db, ground.keys, uuid(client), now, timedelta(days=overlap_days))
        return {"clientId": client, "clientSecret": text}

    show(directory(data, act), as_json)


@app.command("revoke")
def revoke(client: str, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Revoke a credential with its secrets and tokens; it holds everywhere within 30 seconds."""

    async def act(ground: Ground, db: Db) -> Told:
        await partners.revoke_client(db, uuid(client), ground.runtime.clock())
        return {"clientId": client, "status": "revoked"}

    show(directory(data, act), as_json)
