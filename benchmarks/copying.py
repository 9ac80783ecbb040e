"""The ceiling of activity: a bare COPY of a file's lines into a staging table, and one insert that keeps each name once.

`python -m benchmarks.copying` reads one JSON line (`Plan`), says `measuring`, copies, says `measured`, and tells in one JSON line
(`Counted`) how long that took. Nothing is checked, looked up, related or counted; a transaction takes `PIECE` lines.
"""

import asyncio
import io
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

PIECE: Final = 50_000
TYPES: Final = (
    "source_id text not null, occurred_at timestamptz not null, external_id text, channel text, amount bigint not null, "
    "tax bigint not null, quantity bigint, category text, method text"
)
NAMES: Final = "source_id, occurred_at, external_id, channel, amount, tax, quantity, category, method"
KEEP: Final = f"""
insert into bare_rows ({NAMES}) select {NAMES} from bare_staging on conflict do nothing
"""


class Plan(msgspec.Struct):
    """The file, and the database it is copied into."""

    dsn: str
    file: str


class Counted(msgspec.Struct):
    """What was copied in the measured time; CPU of this process alone."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


async def drive(plan: Plan) -> Counted:
    """Carry the plan out. The tables stay from run to run, as those of the product do; the staging table is left empty."""
    connection = await asyncpg.connect(plan.dsn, command_timeout=None)
    try:
        await connection.execute(
            "set client_min_messages = error;"
            f"create table if not exists bare_staging ({TYPES});"
            f"create table if not exists bare_rows ({TYPES}, primary key (source_id))"
        )
        say("measuring")
        began, cpu = time.perf_counter(), time.process_time()
        rows = 0
        for piece in pieces(Path(plan.file)):
            async with connection.transaction():
                await connection.copy_to_table("bare_staging", source=piece, format="csv")
                kept = await connection.execute(KEEP)
                await connection.execute("truncate bare_staging")
            rows += int(kept.split()[-1])
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        say("measured")
    finally:
        await connection.close()
    return Counted(rows, seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def pieces(file: Path) -> Iterator[io.BytesIO]:
    """The lines of a file, so many at a time."""
    with file.open("rb") as content:
        next(content)  # names the columns
        while piece := b"".join(islice(content, PIECE)):
            yield io.BytesIO(piece)


def say(line: str) -> None:
    """Tell whoever measures, in one line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the plan, carry it out, tell what was counted."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    say(msgspec.json.encode(asyncio.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
