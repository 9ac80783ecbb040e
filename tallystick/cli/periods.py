"""`periods`: close a merchant's books, and see what is closed."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, NoReturn
from uuid import UUID

import msgspec
import typer

from tallystick import merchants
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.errors import NotFound, Refusal
from tallystick.base.work import NOBODY, OPERATOR, Asked, Caller, Tenant
from tallystick.cli.ground import Ground, Told, show
from tallystick.cli.operating import (
    DataOption,
    EnvironmentOption,
    JsonOption,
    ProgrammeOption,
    group,
    in_house,
    instant,
    tenant_of,
    uuid,
)
from tallystick.ledger import periods, periods_figures
from tallystick.ledger.periods_model import Period, text_of
from tallystick.reports import closing, resource
from tallystick.reports.closing import ClosePeriod

LISTED_MAX = 10_000
STEP_SECONDS = 0.2

app = group("Stretches of a merchant's books that are closed, one behind the other.")

APPS: Mapping[str, typer.Typer] = {"periods": app}


@app.command("list")
def list_(
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List periods, latest first."""
    merchant_id = None if merchant is None else uuid(merchant)

    async def act(ground: Ground) -> Sequence[Told]:
        async with ground.runtime.reading(await tenant_of(ground, programme, environment)) as work:
            page, _ = await periods.listed(work, None, merchant_id, 0, LISTED_MAX)
            return [_told(each, as_json) for each in page]

    show(in_house(data, act), as_json)


@app.command("close")
def close(
    merchant: Annotated[str, typer.Option(help="Whose books.")],
    until: Annotated[str, typer.Option(help="The end, which is not included: ISO 8601, by the environment's clock.")],
    programme: ProgrammeOption,
    environment: EnvironmentOption = "sandbox",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be closed, as it stands now, and change nothing.")
    ] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait until it is closed.", min=0)] = 30,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a merchant's books up to an instant. Nothing is dated before it any more, and nothing undoes that.

    Breakage is recognised as the books close: a dry run does not know it yet. What is not closed in time goes on in the background.
    """
    merchant_id, ends_at = uuid(merchant), instant(until)

    async def act(ground: Ground) -> Told:
        tenant = await tenant_of(ground, programme, environment)
        command = await _wanted(ground, tenant, merchant_id, ends_at)
        if dry_run:
            # It would have an id of its own.
            return {
                "dryRun": True,
                **_told(await _rehearsed(ground, tenant, command), as_json),
                "id": None,
                "status": "open",
            }
        (outcome,) = await run_batch(ground.runtime, closing.close, tenant, [command])
        if isinstance(outcome, Exception):
            raise outcome
        return _told(await _awaited(ground, tenant, outcome.resource_id, wait), as_json)

    show(in_house(data, act), as_json)


async def _wanted(ground: Ground, tenant: Tenant, merchant_id: UUID, ends_at: datetime) -> ClosePeriod:
    async with ground.runtime.reading(tenant) as work:
        if merchant_id not in await merchants.by_ids(work, [merchant_id]):
            raise NotFound("There is no such merchant. `tallystick merchants list` shows them.")
    caller = Caller(
        tenant=tenant,
        partner_id=NOBODY,
        client_id=NOBODY,
        scopes=frozenset({OPERATOR}),
        merchant_ids=(merchant_id,),
        sees_programme=True,
        rate_per_minute=1,
        rate_burst=1,
    )
    return ClosePeriod(Asked(caller, ids.new(), "SHELL", "tallystick periods close"), merchant_id, ends_at)


async def _rehearsed(ground: Ground, tenant: Tenant, command: ClosePeriod) -> Period:
    """The period as it would be closed with what has moved in it so far: accepted like any other, and undone."""
    try:
        await _try_out(ground, tenant, command)
    except _Undone as undone:
        period = undone.period
    async with ground.runtime.reading(tenant) as work:
        await work.db.script(periods_figures.READING)
        figures = await periods_figures.figures(work, period.merchant_id, period.starts_at, period.ends_at)
    return replace(period, status="closed", entries=figures.entries, sums=text_of(figures.sums), digest=figures.digest)


class _Undone(Exception):
    """Nothing is kept of what was tried."""

    def __init__(self, period: Period) -> None:
        self.period = period


async def _try_out(ground: Ground, tenant: Tenant, command: ClosePeriod) -> NoReturn:
    async with ground.runtime.work(tenant) as work:
        (outcome,) = await closing.close(work, [command])
        if isinstance(outcome, Refusal):
            raise outcome
        period = await periods.by_id(work, outcome.resource_id)
        assert period is not None, "what was accepted is there"
        raise _Undone(period)


async def _awaited(ground: Ground, tenant: Tenant, period_id: UUID, seconds: float) -> Period:
    """The period when it is closed, or as it is when time is up. Without a running house it is closed here."""
    patience = time.monotonic() + seconds
    while True:
        async with ground.runtime.reading(tenant) as work:
            period = await periods.by_id(work, period_id)
        assert period is not None, "a period is never deleted"
        if period.status == "closed" or time.monotonic() >= patience:
            return period
        if not await closing.carry_on(ground.runtime, tenant):
            await asyncio.sleep(STEP_SECONDS)


def _told(period: Period, as_json: bool) -> dict[str, Any]:
    """A period as the API shows it; in columns without its sums, which are many."""
    shown = msgspec.json.decode(resource.period(period))
    return {"id": shown["id"], **{n: v for n, v in shown["attributes"].items() if as_json or n != "sums"}}
