"""`quotas`: what is agreed with a partner, what it uses of that, and what it is charged beyond."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from tallystick import partners
from tallystick.base import clock
from tallystick.base.batcher import run_batch
from tallystick.base.errors import NotFound, Refusals
from tallystick.base.work import Tenant, Work
from tallystick.cli.ground import Ground, Told, fail, show
from tallystick.cli.operating import (
    DataOption,
    EnvironmentOption,
    JsonOption,
    ProgrammeOption,
    group,
    in_house,
    tenant_of,
    uuid,
)
from tallystick.governance import reading, resource, terms
from tallystick.governance.model import Terms, in_force

app = group("How much a partner may do in a period, and at what price more.")

APPS: Mapping[str, typer.Typer] = {"quotas": app}

PartnerOption = Annotated[str, typer.Option(help="The partner's id; it needs an agreement with the programme.")]


@app.command("set")
def set_(
    partner: PartnerOption,
    programme: ProgrammeOption,
    lines: Annotated[
        Path, typer.Option(help="A file with the lines, a JSON list as /admin takes it; - for the standard input.")
    ],
    environment: EnvironmentOption = "sandbox",
    effective_from: Annotated[
        str | None, typer.Option(help="ISO 8601, by the environment's clock; without, now.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="The last version as you saw it; where another came, nothing is done.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Agree on quotas: a new version, which replaces every line from its instant on."""
    wanted = tuple(_read(lines))
    begins = _instant(effective_from)

    async def act(ground: Ground) -> Told:
        if faults := terms.faults_of(wanted):
            raise Refusals(faults)
        tenant, agreement = await _agreed(ground, partner, programme, environment)
        new = terms.NewTerms(agreement.partner_id, wanted, begins, version)
        outcome = (await run_batch(ground.runtime, _agree, tenant, [new]))[0]
        if isinstance(outcome, Exception):
            raise outcome
        return await _terms_told(ground, tenant, agreement, outcome)

    show(in_house(data, act), as_json)


@app.command("show")
def show_(
    partner: PartnerOption,
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every version of the quotas, oldest first."""

    async def act(ground: Ground) -> Sequence[Told]:
        tenant, agreement = await _agreed(ground, partner, programme, environment)
        async with ground.runtime.reading(tenant) as work:
            history = await terms.history(work, agreement.partner_id)
        return [await _terms_told(ground, tenant, agreement, each) for each in history]

    show(in_house(data, act), as_json)


@app.command("usage")
def usage(
    partner: PartnerOption,
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a partner uses of its quotas now."""

    async def act(ground: Ground) -> Sequence[Told]:
        tenant, agreement = await _agreed(ground, partner, programme, environment)
        async with ground.runtime.reading(tenant) as work:
            found = await reading.running(work, agreement.partner_id)
            return [_told(each.usage.id, resource.attributes(tenant, each, work.now)) for each in found]

    show(in_house(data, act), as_json)


@app.command("overage")
def overage(
    partner: PartnerOption,
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    since: Annotated[str | None, typer.Option(help="Only periods that began at this instant or later.")] = None,
    until: Annotated[str | None, typer.Option(help="Only periods that ended at this instant or earlier.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what goes on a partner's invoice: each period that is over and went beyond at a price."""
    first, last = _instant(since) or datetime(1970, 1, 1, tzinfo=UTC), _instant(until) or clock.END_OF_TIME

    async def act(ground: Ground) -> Sequence[Told]:
        tenant, agreement = await _agreed(ground, partner, programme, environment)
        async with ground.runtime.reading(tenant) as work:
            found = await reading.overage_lines(work, agreement.partner_id, first, last)
        return [_told(each.usage.id, resource.overage_attributes(each)) for each in found]

    show(in_house(data, act), as_json)


async def _agree(work: Work, commands: Sequence[terms.NewTerms]) -> Sequence[Any]:
    return [await terms.agree(work, new) for new in commands]


async def _agreed(
    ground: Ground, partner: str, programme: str, environment: str
) -> tuple[Tenant, partners.AgreementBooks]:
    """The environment's books, and the partner's agreement with the programme."""
    tenant = await tenant_of(ground, programme, environment)
    async with ground.runtime.pool.lend() as db:
        for each in await partners.agreements_of(db, uuid(partner)):
            if each.production.programme_id == tenant.programme_id:
                return tenant, each
    raise NotFound("The partner has no agreement with this programme. Make one with `tallystick agreements add`.")


async def _terms_told(ground: Ground, tenant: Tenant, agreement: partners.AgreementBooks, shown: Terms) -> Told:
    async with ground.runtime.reading(tenant) as work:
        holds = in_force(await terms.history(work, agreement.partner_id), work.now)
    return _told(shown.id, resource.terms_attributes(agreement.id, tenant.environment, shown, holds))


def _told(named: UUID, attributes: msgspec.Struct) -> Told:
    return {"id": str(named), **msgspec.to_builtins(attributes)}


def _read(file: Path) -> list[terms.LineWish]:
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return msgspec.json.decode(text, type=list[terms.LineWish])
    except OSError as error:
        raise fail(f"{file} cannot be read: {error.strerror}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise fail(f"{file} is no list of quota lines: {error}") from None


def _instant(text: str | None) -> datetime | None:
    try:
        return None if text is None else clock.parse_instant(text)
    except ValueError as error:
        raise fail(str(error)) from None
