"""`retention`: forgets events that are older than they are kept, a month at a time, as the owner of the database."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import typer

from tallystick.base import clock
from tallystick.cli.ground import directory, fail, reachable, read_settings, require_schema, say, say_json

FORGET: Final = "select forgotten, events_forgotten from events_forget($1, $2)"
TRIES: Final = 10
PAUSE_SECONDS: Final = 1.0


def retention(
    data: Annotated[Path | None, typer.Option(help="Where the embedded database lies.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell which month would be first, and change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Forget events older than TALLYSTICK_EVENT_RETENTION_DAYS, whole months at a time. Safe while the house runs."""
    forgotten = asyncio.run(_retention(data, rehearsed=dry_run))
    if as_json:
        say_json(
            {"forgotten": [{"partition": name, "events": number} for name, number in forgotten], "dryRun": dry_run}
        )
        return
    verb = "would forget" if dry_run else "forgot"
    say("\n".join(f"{verb} {name}: {number} events" for name, number in forgotten) or "nothing is old enough")


async def forget(dsn: str, before: datetime, *, rehearsed: bool) -> list[tuple[str, int]]:
    """Forget every month that ended before an instant; which, and how many events each had. Rehearsed: only the first, and nothing
    is changed. Raises LockNotAvailableError where somebody reads events for so long that no month could be detached.
    """
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    forgotten: list[tuple[str, int]] = []
    try:
        while (found := await _one(connection, before, rehearsed)) is not None:
            forgotten.append(found)
            if rehearsed:
                break
    finally:
        await connection.close()
    return forgotten


async def _one(
    connection: "asyncpg.Connection[asyncpg.Record]", before: datetime, rehearsed: bool
) -> tuple[str, int] | None:
    for tried in range(1, TRIES + 1):
        try:
            async with connection.transaction():
                row = await connection.fetchrow(FORGET, before, rehearsed)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if tried == TRIES:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return None if row is None else (row[0], row[1])
    raise AssertionError("the last try answers or raises")


async def _retention(data: Path | None, *, rehearsed: bool) -> list[tuple[str, int]]:
    settings = read_settings()
    before = clock.utc() - timedelta(days=settings.event_retention_days)
    async with reachable(settings, directory(settings, data), make=False) as dsn:
        await require_schema(dsn)
        try:
            return await forget(dsn, before, rehearsed=rehearsed)
        except asyncpg.LockNotAvailableError:
            raise fail("Somebody reads events without a pause; nothing more was forgotten. Try again later.") from None
        except asyncpg.InsufficientPrivilegeError:
            raise fail("Only the owner of the database forgets events: name it in TALLYSTICK_DATABASE_URL.") from None
