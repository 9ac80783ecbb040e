"""The verb alone: `activity.accept`, a chunk in each work, without HTTP, files or their lines.

`python -m benchmarks.accepting` reads one JSON line (`Plan`), says `measuring`, accepts, says `measured`, and tells in one
JSON line (`Counted`) what that took. Commands are made outside of the counted time of this process.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import uvloop

from benchmarks import meter, receipts
from tallystick import activity, partners
from tallystick.activity import sent
from tallystick.activity.model import Identity, Item, Payment, RecordActivity, Recorded
from tallystick.base import clock, ids
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Asked, Caller, Runtime
from tallystick.main import CLOSINGS

WARM_CHUNKS: Final = 3


class Plan(msgspec.Struct):
    """What to accept: so many receipts of a run, so many in each work."""

    dsn: str
    key_file: str
    run: str
    client_id: UUID
    merchant_id: UUID
    customers: int
    rows: int
    chunk: int


class Counted(msgspec.Struct):
    """What was accepted in the measured time, without that of making the commands; CPU and memory of this process alone."""

    rows: int
    seconds: float
    cpu_seconds: float
    memory: tuple[float, float, float]
    """MiB (PSS) at the start, in the middle and at the end."""


async def drive(plan: Plan) -> Counted:
    """Carry the plan out."""
    pool = Pool(plan.dsn, 1, name="benchmarks")
    runtime = Runtime(pool, clock.utc, MasterKeys.read(Path(plan.key_file)), CLOSINGS)
    try:
        caller = await partners.caller_of(pool, plan.client_id)
        assert caller is not None, "the client is let in"
        for number in range(WARM_CHUNKS):
            await _accept(runtime, caller, commands_of(plan, caller, f"{plan.run}-warm", number))
        _say("measuring")
        memory = [_memory()]
        seconds = cpu = 0.0
        chunks = plan.rows // plan.chunk
        for number in range(chunks):
            commands = commands_of(plan, caller, plan.run, number)
            began, used = time.perf_counter(), time.process_time()
            await _accept(runtime, caller, commands)
            seconds, cpu = seconds + time.perf_counter() - began, cpu + time.process_time() - used
            if number == chunks // 2:
                memory.append(_memory())
        memory.append(_memory())
        _say("measured")
    finally:
        await pool.close()
    return Counted(chunks * plan.chunk, seconds, cpu, (memory[0], memory[1], memory[2]))


async def _accept(runtime: Runtime, caller: Caller, commands: list[RecordActivity]) -> None:
    async with runtime.work(caller.tenant) as work:
        outcomes = await activity.accept(work, commands, all_moved=False)
    assert all(isinstance(each, Recorded) and not each.duplicate for each in outcomes), "every receipt is new and good"


def commands_of(plan: Plan, caller: Caller, run: str, chunk: int) -> list[RecordActivity]:
    """A chunk of the run's receipts, as the lines of a file tell them."""
    asked = Asked(caller, ids.new(), "POST", "benchmarks")
    first = chunk * plan.chunk
    return [_command(plan, asked, run, number) for number in range(first, first + plan.chunk)]


def _command(plan: Plan, asked: Asked, run: str, number: int) -> RecordActivity:
    total, method = receipts.amount(number), receipts.METHODS[number // 4 % 4]
    named: Any = Payment(total, method)  # type: ignore[arg-type]
    return RecordActivity(
        asked=asked,
        kind="transaction",
        type="Purchase",
        merchant_id=plan.merchant_id,
        source=sent.source(asked.caller, "transaction", None),
        source_id=f"{run}-{number:09d}",
        occurred_at=receipts.occurred_at(number),
        identity=Identity("externalId", receipts.external_id(receipts.customer(number, plan.customers))),
        channel="pos",
        amount=total,
        tax=total // 12,
        items=(Item(total, total // 12, 1 + number % 3, receipts.CATEGORIES[number % 4]),),
        payments=(named,),
        import_id=asked.request_id,
        import_line=number + 2,
    )


def _memory() -> float:
    return meter.memory_mib(os.getpid())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the plan, carry it out, tell what was counted."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    _say(msgspec.json.encode(uvloop.run(drive(plan))).decode())


if __name__ == "__main__":
    main()
