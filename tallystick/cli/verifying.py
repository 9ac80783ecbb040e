"""`verify`: proves the books on a live database."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tallystick import ledger
from tallystick.base.db import Pool
from tallystick.base.errors import Unavailable
from tallystick.cli.ground import console, directory, fail, reachable, read_settings
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
    place = directory(settings, data)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    dsn, server = await reachable(settings, place)
    try:
        proof = await prove(dsn)
    except Unavailable as away:
        raise fail(away.detail) from None
    finally:
        if server is not None:
            server.stop()
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
    console.print_json(json.dumps(told))


def _print(proof: Proof) -> None:
    if not proof.faults:
        console.print(f"the books are whole: {proof.journals} journals, {proof.entries} entries, {proof.seconds:.1f} s")
        return
    table = Table("invariant", "tenant", "id", "what is off")
    for fault in proof.faults:
        table.add_row(fault.invariant, str(fault.tenant_id), str(fault.id), fault.sentence)
    console.print(table)
    console.print(f"{len(proof.faults)} faults")
