"""`operators`: who may do over /admin what is done here in a shell."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from tallystick import partners
from tallystick.base import clock
from tallystick.base.db import Db
from tallystick.cli.ground import Ground, Told, show
from tallystick.cli.operating import DataOption, JsonOption, directory, group, uuid

app = group("Who operates the house over /admin, each with a secret of their own.")

APPS: Mapping[str, typer.Typer] = {"operators": app}


@app.command("add")
def add(
    name: str,
    email: Annotated[str | None, typer.Option(help="Where to reach them.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an operator. The secret is shown this once."""

    async def act(ground: Ground, db: Db) -> Told:
        made, secret = await partners.add_operator(db, ground.keys, name, email, ground.runtime.clock())
        return {**_told(made), "secret": secret}

    show(directory(data, act), as_json)


@app.command("list")
def list_(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List operators, without their secrets."""

    async def act(_ground: Ground, db: Db) -> Sequence[Told]:
        return [_told(each) for each in await partners.list_operators(db)]

    show(directory(data, act), as_json)


@app.command("revoke")
def revoke(operator: str, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Let an operator in no more, at once."""

    async def act(ground: Ground, db: Db) -> Told:
        return _told(await partners.revoke_operator(db, uuid(operator), ground.runtime.clock()))

    show(directory(data, act), as_json)


def _told(operator: partners.Operator) -> Told:
    return {
        "id": str(operator.id),
        "name": operator.name,
        "email": operator.email,
        "tail": operator.tail,
        "status": operator.status,
        "createdAt": clock.render(operator.created_at),
        "revokedAt": None if operator.revoked_at is None else clock.render(operator.revoked_at),
    }
