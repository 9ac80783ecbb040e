"""Rehearsals over HTTP: what a version would have given, before anybody is told of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Final

import asyncpg
import msgspec
from msgspec import Meta

import tallystick.thresholds.rehearsing_store as store
from tallystick.base.errors import InvalidRequest, NotFound, Refusal, Refusals, Unavailable, attribute
from tallystick.base.routes import Call, Reply, Route, Takes
from tallystick.base.work import Work
from tallystick.customers.api import path_id
from tallystick.thresholds import actions, rehearsing, rehearsing_resource, sent
from tallystick.thresholds.model import Threshold, Version, missing
from tallystick.thresholds.rehearsing import Rehearsal

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Nothing is stored that happened before."""
DAYS: Final = timedelta(days=30)
DAYS_MAX: Final = timedelta(days=366)
AT_ONCE: Final = 2
"""How many a process rehearses at a time: each keeps a connection, and a core of the server, for as long as it takes."""


class SimulateSent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Over which stretch of time (from included, until not), and which version; the last 30 days and the latest, unless told."""

    from_: sent.Instant | None = msgspec.field(default=None, name="from")
    until: sent.Instant | None = None
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


async def simulate_threshold(turns: asyncio.Semaphore, call: Call) -> Reply:
    """What a version of a rule, a draft too, would have given for what is stored. Nothing changes.

    It is taken to have been in force all that time, and progress to begin with it. Answered 503 when it takes more than a minute or
    others are being rehearsed.
    """
    wanted: SimulateSent = call.attributes or SimulateSent()
    threshold_id = path_id(call, missing())
    async with _turn(turns), call.house.runtime.reading(call.caller.tenant) as work:
        threshold = await actions.visible(work, call.caller, threshold_id)
        if threshold is None:
            raise missing()
        from_at, until_at = _stretch(wanted, work.now)
        rehearsed, live = await _rehearsed(work, threshold, wanted.version, from_at, until_at)
    return Reply(200, rehearsing_resource.document(threshold_id, from_at, until_at, rehearsed, live))


@asynccontextmanager
async def _turn(turns: asyncio.Semaphore) -> AsyncIterator[None]:
    if turns.locked():
        raise Unavailable("Other rules are being rehearsed; try again shortly.", headers=[("retry-after", "5")])
    async with turns:
        try:
            yield
        except asyncpg.QueryCanceledError as error:
            raise Unavailable(
                f"A rehearsal may take {store.SECONDS_MAX} seconds, and this one took longer. Rehearse a shorter stretch of time.",
                headers=[("retry-after", "60")],
            ) from error


def _stretch(wanted: SimulateSent, now: datetime) -> tuple[datetime, datetime]:
    faults: list[Refusal] = []
    until_at = sent.instant(wanted.until, "until", faults)
    from_at = sent.instant(wanted.from_, "from", faults)
    if faults:
        raise Refusals(faults)
    until_at = until_at or now
    if until_at <= EARLIEST:
        raise InvalidRequest("The stretch ends after 1970 began.", source=attribute("until"))
    from_at = from_at or until_at - DAYS
    if from_at >= until_at:
        raise InvalidRequest("The stretch begins before it ends.", source=attribute("from"))
    if until_at - from_at > DAYS_MAX:
        raise InvalidRequest(f"At most {DAYS_MAX.days} days are rehearsed at once.", source=attribute("from"))
    return from_at, until_at


async def _rehearsed(
    work: Work, threshold: Threshold, number: int | None, from_at: datetime, until_at: datetime
) -> tuple[Rehearsal, Rehearsal | None]:
    """The version, and the one that is live, or was before the rule was paused or completed."""
    number = number or threshold.latest_number
    pairs = [(threshold.id, each) for each in {number, threshold.live_number} if each is not None]
    versions: dict[int, Version] = {key[1]: version for key, version in (await actions.versions(work, pairs)).items()}
    if number not in versions:
        raise InvalidRequest("The rule has no version of this number.", source=attribute("version"))
    rehearsed = await rehearsing.rehearse(work, versions[number], from_at, until_at)
    if threshold.live_number is None or threshold.live_number == number:
        return rehearsed, None if threshold.live_number is None else rehearsed
    return rehearsed, await rehearsing.rehearse(work, versions[threshold.live_number], from_at, until_at)


def routes() -> tuple[Route, ...]:
    """Rehearsing."""
    simulation = rehearsing_resource.SIMULATION
    takes = Takes(
        SimulateSent,
        ("SimulateThreshold",),
        {"from": "2026-05-18T12:00:00.000Z", "until": "2026-06-17T12:00:00.000Z", "version": 2},
        optional=True,
    )
    simulates = partial(simulate_threshold, asyncio.Semaphore(AT_ONCE))
    return (
        Route(
            "POST", simulation.path, simulates, "thresholds:write", "Simulate a threshold rule",
            takes, simulation, errors=(NotFound,),
        ),
    )  # fmt: skip
