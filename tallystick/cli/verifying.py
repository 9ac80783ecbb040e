"""`verify`: proves the books on a live database."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tallystick import ledger
from tallystick.base.db import LOST, Pool
from tallystick.base.errors import Unavailable
from tallystick.cli.ground import columns, directory, fail, reachable, read_settings, require_schema, say, say_json
from tallystick.cli.proofs import check_stories

AUDITOR_COUNTS = "select (select count(*) from journals), (select count(*) from entries)"


def verify(
    data: Annotated[Path | None, typer.Option(help="Where the embedded database lies.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove the books: balances, chains, limits, holds, idempotency, events. Exits 1 with a list where anything is off."""
    raise typer.Exit(asyncio.run(_verify(data, as_json)))


async def _verify(data: Path | None, as_json: bool) -> int:
    settings = read_settings()
    async with reachable(settings, directory(settings, data), make=False) as dsn:
        await require_schema(dsn)
        try:
            proof = await prove(dsn)
        except (*LOST, Unavailable):
            raise fail("The database went away meanwhile; nothing is proved. Try again.") from None
    (_print_json if as_json else _print)(proof)
    return 1 if proof.faults else 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What was looked at, and what is wrong with it."""

    journals: int
    entries: int
    seconds: float
    faults: Sequence[ledger.Fault]


async def prove(dsn: str) -> Proof:
    """Prove the whole house as the auditor, whose snapshots see everything and who writes nothing."""
    started = time.monotonic()
    pool = Pool(dsn, 1, role="tallystick_auditor", name="tallystick-verify")
    try:
        async with pool.lend() as db:
            # A proof reads whole tables: what serves single rows well does not serve it.
            await db.script("set statement_timeout = 0; set enable_seqscan = on; set plan_cache_mode = auto")
            faults = await ledger.check_books(db)
            await db.script("begin isolation level repeatable read read only")
            faults += await check_stories(db)
            counts = await db.row(AUDITOR_COUNTS)
            await db.script("commit")
    finally:
        await pool.close()
    assert counts is not None, "counting answers one row"
    return Proof(counts[0], counts[1], time.monotonic() - started, faults)


def _print_json(proof: Proof) -> None:
    told = {
        "ok": not proof.faults,
        "journals": proof.journals,
        "entries": proof.entries,
        "seconds": round(proof.seconds, 3),
        "faults": [
            {"invariant": f.invariant, "tenantId": str(f.tenant_id), "id": str(f.id), "detail": f.sentence}
            for f in proof.faults
        ],
    }
    say_json(told)


def _print(proof: Proof) -> None:
    if not proof.faults:
        say(f"the books are whole: {proof.journals} journals, {proof.entries} entries, {proof.seconds:.1f} s")
        return
    columns([(f.invariant, str(f.tenant_id), str(f.id), f.sentence) for f in proof.faults])
    say(f"{len(proof.faults)} faults")
