"""One phase of a round: a contender under load for some seconds, and what that cost."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from benchmarks import ceiling, load, meter
from benchmarks.contenders import Contender
from benchmarks.world import FRESH_FIRST, Credential, Shop

REST_SHARE: Final = 0.04
"""Of one processor: what may still be used by the contenders when a phase begins."""
REST_SECONDS: Final = 15.0
ROOT: Final = Path(__file__).parent.parent

T = TypeVar("T")


class WrongAnswers(Exception):
    """Something was answered that grants nothing; the measurement is worth nothing."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A phase. CPU is microseconds for each reward; memory is MiB at the phase's end (PSS)."""

    rate: float
    p50_ms: float
    p99_ms: float
    app_cpu_us: float | None
    database_cpu_us: float
    app_mib: float | None
    database_mib: float
    rewards: int
    load_cpu_us: float | None
    """Of the load generator, for each request; not counted for anyone."""

    @property
    def cpu_us(self) -> float:
        return (self.app_cpu_us or 0.0) + self.database_cpu_us


@dataclass(slots=True)
class Books:
    """What one database must hold: counted as the load is sent, compared at the end."""

    granted: int = 0
    next_fresh: int = FRESH_FIRST
    """One sequence for all tenants, so that no telephone is new twice."""


@dataclass(frozen=True, slots=True)
class Load:
    """How a contender is loaded."""

    credentials: tuple[Credential, ...]
    callers: int
    seconds: float
    warm_seconds: float
    rate: float | None = None
    what: load.What = "rewards"
    cards: tuple[str, ...] = ()
    """Of payments their ids, of lookups their numbers: cards of the first merchant of each credential."""
    customers: tuple[str, ...] = ()
    """Of receipts: ids of customers."""


def rest(contenders: Sequence[Contender]) -> None:
    """Wait until none of the contenders does anything worth mention: vacuum and checkpoints of one must not slow the next."""
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:
        before = sum(sum(each.cpu()) for each in contenders)
        time.sleep(0.5)
        if sum(sum(each.cpu()) for each in contenders) - before <= REST_SHARE * 0.5 + 0.01:
            return


def over_http(contender: Contender, books: Books, wanted: Load, run: str) -> Measured:
    """The contender under load by the generator. Raises WrongAnswers."""
    plan = load.Plan(
        port=contender.port,
        run=run,
        targets=[_target(credential, wanted) for credential in wanted.credentials],
        callers=wanted.callers,
        warm_seconds=wanted.warm_seconds,
        seconds=wanted.seconds,
        first_fresh=books.next_fresh,
        rate=wanted.rate,
        seed=books.next_fresh,
        what=wanted.what,
    )
    cost, counted = carry_out("benchmarks.load", plan, load.Counted, contender)
    books.granted += counted.granted
    books.next_fresh = counted.next_fresh
    if counted.other:
        raise WrongAnswers(f"{contender.name}: {json.dumps(counted.other)}; the first was {counted.sample}")
    answered = max(counted.answered, 1)
    return Measured(
        rate=counted.answered / counted.seconds,
        p50_ms=counted.p50_us / 1000,
        p99_ms=counted.p99_us / 1000,
        app_cpu_us=cost.app_seconds / answered * 1e6,
        database_cpu_us=cost.database_seconds / answered * 1e6,
        app_mib=cost.app_mib,
        database_mib=cost.database_mib,
        rewards=counted.answered,
        load_cpu_us=counted.cpu_us,
    )


def statements_alone(
    contender: Contender, books: Books, credential: Credential, key_file: Path, run: str, batches: int, connections: int
) -> Measured:
    """The product's statements at full batches: what its database gives when nothing stands before it."""
    caller = credential.caller
    plan = ceiling.Plan(
        dsn=contender.dsn,
        key_file=str(key_file),
        run=run,
        tenant_id=caller.tenant.id,
        programme_id=caller.tenant.programme_id,
        partner_id=caller.partner_id,
        client_id=caller.client_id,
        shops=[_shop(shop) for shop in credential.shops],
        batches=batches + 2 * connections,
        batch=250,
        connections=connections,
        first_fresh=books.next_fresh,
    )
    cost, counted = carry_out("benchmarks.ceiling", plan, ceiling.Counted, contender)
    books.granted += plan.batches * plan.batch
    books.next_fresh = counted.next_fresh
    return Measured(
        rate=counted.rewards / counted.seconds,
        p50_ms=counted.batch_p50_us / 1000,
        p99_ms=counted.batch_p50_us / 1000,
        app_cpu_us=None,
        database_cpu_us=cost.database_seconds / counted.rewards * 1e6,
        app_mib=None,
        database_mib=cost.database_mib,
        rewards=counted.rewards,
        load_cpu_us=None,
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What the contender used while something was measured; memory at its end."""

    app_seconds: float
    database_seconds: float
    app_mib: float
    database_mib: float


def carry_out(module: str, plan: Any, answer: type[T], contender: Contender) -> tuple[Cost, T]:
    """A plan carried out by a process of its own, and what the contender used within the measured time."""
    with subprocess.Popen(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    ) as process:
        try:
            assert process.stdin is not None and process.stdout is not None, "they are pipes"
            process.stdin.write(msgspec.json.encode(plan) + b"\n")
            process.stdin.flush()
            _expect(process, "measuring")
            before = contender.cpu()
            _expect(process, "measured")
            after = contender.cpu()
            memory = contender.memory()
            told = process.stdout.readline()
        except BaseException:
            process.kill()
            raise
        if process.wait(60) != 0 or not told:
            raise RuntimeError(f"{module} ended with {process.returncode}; it has said why above.")
    return Cost(after[0] - before[0], after[1] - before[1], *memory), msgspec.json.decode(told, type=answer)


def _expect(process: "subprocess.Popen[bytes]", word: str) -> None:
    assert process.stdout is not None, "it is a pipe"
    said = process.stdout.readline().decode().strip()
    if said != word:
        raise RuntimeError(f"It was to say {word}, and said {said!r}.")


def _target(credential: Credential, wanted: Load) -> load.Target:
    shops, client_id = [_shop(shop) for shop in credential.shops], str(credential.caller.client_id)
    return load.Target(client_id, credential.secret, shops, list(wanted.cards), list(wanted.customers))


def _shop(shop: Shop) -> load.Shop:
    return load.Shop(str(shop.merchant_id), shop.first, shop.customers)


def machine() -> dict[str, object]:
    """What was measured on, as far as it matters to whoever compares."""
    names = [
        line.partition(":")[2].strip()
        for line in (meter.PROC / "cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = next(line for line in (meter.PROC / "meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "processors": len(names) or 1,
        "model": names[0] if names else "unknown",
        "memoryGiB": round(int(memory.split()[1]) / 1024**2, 1),
        "python": sys.version.split()[0],
    }
