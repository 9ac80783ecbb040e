"""Webhooks, measured: deliveries to a local sink with one endpoint and with many, from event to arrival, and a backlog; beside the
usual queue that is given the same hand-over in the same run.

Both sides sign each body, post it to the same sink and write down that it arrived. The product finds out by itself for which
endpoints an event is, keeps an order of attempts and what was answered; the queue is told.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import UUID

import asyncpg
from rich.console import Console

import tallystick.webhooks.store as store
from benchmarks import contenders, meter, posting, report
from benchmarks.phases import WrongAnswers
from tallystick import events, partners
from tallystick.base import clock, ids
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate
from tallystick.base.work import Runtime, Tenant
from tallystick.main import CLOSINGS
from tallystick.merchants.resource import MERCHANT
from tallystick.webhooks import secrets
from tallystick.webhooks.model import PAYLOAD_VERSION, Webhook

MANY: Final = 500
RATIO_TARGET: Final = 20.0
TOPIC: Final = "merchant.updated"
CHUNK: Final = 1_000
LOOK_SECONDS: Final = 0.25
PATIENCE_SECONDS: Final = 120.0
"""How long nothing may arrive before it is given up."""
ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Options:
    """How webhooks are measured."""

    rounds: int
    deliveries: int
    queued: int
    """How many jobs the usual queue is given."""
    events: int
    """How many events are timed on their way."""
    backlog: int


@dataclass(frozen=True, slots=True)
class Drained:
    """So many deliveries, in so long, at that cost."""

    deliveries: int
    seconds: float
    app_cpu_us: float
    database_cpu_us: float
    memory_first_mib: float
    """Of the deliverer when a tenth had arrived."""
    memory_most_mib: float

    @property
    def rate(self) -> float:
        return self.deliveries / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.app_cpu_us + self.database_cpu_us


@dataclass(frozen=True, slots=True)
class Round:
    """One round."""

    one: Drained
    many: Drained
    queue: Drained
    p50_ms: float
    p99_ms: float

    @property
    def ratio(self) -> float:
        return self.one.rate / self.queue.rate


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every round, and the backlog."""

    rounds: Sequence[Round]
    backlog: Drained


class Far:
    """A sink in a process of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str = "") -> Any:
        with urllib.request.urlopen(f"http://{posting.HERE}:{self.port}/{path}", timeout=10) as answer:
            return json.loads(answer.read())


@dataclass(frozen=True, slots=True)
class Side:
    """A database with its server, and how its process is started."""

    dsn: str
    server: int
    command: tuple[str, ...]


def measure(options: Options, place: Path, console: Console) -> Outcome:
    """Every round, then the backlog. Raises WrongAnswers when something did not arrive exactly as often as it should."""
    with ExitStack() as stack:
        sink = stack.enter_context(_sink())
        rounds = [_round(options, place / f"round-{number}", sink) for number in range(options.rounds)]
        for number, each in enumerate(rounds, start=1):
            console.print(
                f"round {number}    1 endpoint {each.one.rate:,.0f}/s, {MANY} endpoints {each.many.rate:,.0f}/s,"
                f" queue {each.queue.rate:,.0f}/s; event to arrival p50 {each.p50_ms:.0f} ms, p99 {each.p99_ms:.0f} ms"
            )
        console.print(f"backlog    {options.backlog:,} deliveries")
        with _product(place / "backlog") as side:
            asyncio.run(_fill(side, options.backlog, 1, sink.port))
            backlog = _drain(side, sink, options.backlog)
        return Outcome(rounds, backlog)


def _round(options: Options, place: Path, sink: Far) -> Round:
    with _product(place / "one") as side:
        asyncio.run(_fill(side, options.deliveries, 1, sink.port))
        one = _drain(side, sink, options.deliveries)
        p50, p99 = _timed(side, sink, options.events)
    with _product(place / "many") as side:
        asyncio.run(_fill(side, options.deliveries // MANY, MANY, sink.port))
        many = _drain(side, sink, options.deliveries // MANY * MANY)
    with _usual(place / "queue", sink.port) as side:
        asyncio.run(_defer(side.dsn, options.queued, sink.port))
        queue = _drain(side, sink, options.queued)
    return Round(one, many, queue, p50, p99)


@contextmanager
def _sink() -> Iterator[Far]:
    listening = socket.create_server((posting.HERE, 0), backlog=2048)
    listening.set_inheritable(True)
    with _process(("sink", str(listening.fileno())), listening.fileno()) as running:
        _go(running)
        yield Far(listening.getsockname()[1])
    listening.close()


@contextmanager
def _product(place: Path) -> Iterator[Side]:
    place.mkdir(parents=True)
    key_file = place / "master.key"
    MasterKeys.generate().write_new(key_file)
    with contenders.database(place / "postgres") as (dsn, server):
        asyncio.run(migrate(dsn))
        yield Side(dsn, server, ("product", dsn, str(key_file)))


@contextmanager
def _usual(place: Path, port: int) -> Iterator[Side]:
    place.mkdir(parents=True)
    with contenders.database(place / "postgres") as (dsn, server):
        asyncio.run(_lay_queue(dsn))
        yield Side(dsn, server, ("usual", dsn, f"http://{posting.HERE}:{port}/hooks"))


@contextmanager
def _process(arguments: Sequence[str], *descriptors: int) -> Iterator["subprocess.Popen[bytes]"]:
    running = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.posting", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=descriptors,
    )
    assert running.stdin is not None and running.stdout is not None
    try:
        if running.stdout.readline() != b"ready\n":
            raise WrongAnswers(f"{arguments[0]} did not start")
        yield running
    finally:
        running.stdin.close()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        running.stdout.close()


def _go(running: "subprocess.Popen[bytes]") -> None:
    assert running.stdin is not None
    running.stdin.write(b"go\n")
    running.stdin.flush()


def _drain(side: Side, sink: Far, deliveries: int) -> Drained:
    """Start the process, and wait until everything arrived."""
    sink.ask("again")
    with _process(side.command) as running:
        app, database = meter.cpu_seconds(running.pid), meter.cpu_seconds(side.server)
        memory: list[tuple[int, float]] = []
        began = moved_at = time.time()
        _go(running)
        heard = 0
        while heard < deliveries:
            time.sleep(LOOK_SECONDS)
            found = int(sink.ask()["heard"])
            moved_at = time.time() if found > heard else moved_at
            heard = found
            memory.append((heard, meter.memory_mib(running.pid)))
            if time.time() - moved_at > PATIENCE_SECONDS:
                raise WrongAnswers(f"{heard:,} of {deliveries:,} arrived")
        told = sink.ask()
        app, database = meter.cpu_seconds(running.pid) - app, meter.cpu_seconds(side.server) - database
    if sink.ask()["heard"] != deliveries:
        raise WrongAnswers(f"{sink.ask()['heard']:,} arrived instead of {deliveries:,}")
    first = next((mib for done, mib in memory if done * 10 >= deliveries), memory[-1][1])
    return Drained(
        deliveries,
        told["last"] - began,
        app / deliveries * 1e6,
        database / deliveries * 1e6,
        first,
        max(mib for _, mib in memory),
    )


def _timed(side: Side, sink: Far, number: int) -> tuple[float, float]:
    """Milliseconds from the commit of an event to its arrival: the middle, and all but one of a hundred."""
    sink.ask("again")
    with _process(side.command) as running:
        _go(running)
        time.sleep(1.0)
        began = asyncio.run(_tell_slowly(side, number))
        ends = time.time() + PATIENCE_SECONDS
        while int(sink.ask()["heard"]) < number and time.time() < ends:
            time.sleep(LOOK_SECONDS)
        times = sink.ask("times")["times"]
    arrived = sorted((times[message_id] - at) * 1000 for message_id, at in began.items())
    return median(arrived), arrived[int(len(arrived) * 0.99)]


async def _fill(side: Side, number: int, endpoints: int, port: int) -> None:
    """So many events, for so many endpoints of one partner."""
    pool, runtime = _runtime(side)
    now = clock.utc()
    async with pool.lend() as db, db.connection.transaction():
        await db.run("select partitions_ensure($1)", now)
        programme = await partners.add_programme(db, "Northwind", now)
        partner = await partners.add_partner(db, "Harbour Support", now)
        await partners.agree(db, partner.id, programme.production.programme_id, "programme", now)
    tenant = programme.production
    async with runtime.work(tenant) as work:
        await store.hold_head(work)
        for place in range(endpoints):
            webhook = _endpoint(partner.id, f"http://{posting.HERE}:{port}/{place}", now)
            await store.insert(work, webhook)
            await secrets.add(work, webhook.id)
    for begin in range(0, number, CHUNK):
        await _tell(runtime, tenant, partner.id, min(CHUNK, number - begin))
    await pool.close()


async def _tell(runtime: Runtime, tenant: Tenant, partner_id: UUID, number: int) -> None:
    async with runtime.work(tenant) as work:
        for _ in range(number):
            subject_id = ids.new()
            shown = {"type": MERCHANT.type, "id": str(subject_id), "attributes": dict(MERCHANT.example)}
            events.record(
                work, events.Event(TOPIC, MERCHANT.type, subject_id, 1, json.dumps(shown).encode(), partner_id)
            )


async def _tell_slowly(side: Side, number: int) -> dict[str, float]:
    """One event after the other; when each was committed, by its id."""
    pool, runtime = _runtime(side)
    connection = await asyncpg.connect(side.dsn)
    row = await connection.fetchrow(
        "select t.id, t.programme_id, w.partner_id from webhooks w join tenants t on t.id = w.tenant_id limit 1"
    )
    assert row is not None
    tenant, committed = Tenant(row[0], row[1], "production"), []
    head = await connection.fetchval("select max(position) from events where tenant_id = $1", tenant.id)
    for _ in range(number):
        await _tell(runtime, tenant, row[2], 1)
        committed.append(time.time())
        await asyncio.sleep(0.03)
    told = await connection.fetch(
        "select id from events where tenant_id = $1 and position > $2 order by position", tenant.id, head
    )
    await connection.close()
    await pool.close()
    return {str(each[0]): at for each, at in zip(told, committed, strict=True)}


async def _lay_queue(dsn: str) -> None:
    app, _, _ = posting.queue(dsn, "")
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def _defer(dsn: str, number: int, port: int) -> None:
    """Hand the same bodies to the queue."""
    app, deliver, _ = posting.queue(dsn, f"http://{posting.HERE}:{port}/hooks")
    shown = {"type": MERCHANT.type, "id": str(ids.new()), "attributes": dict(MERCHANT.example)}
    body = json.dumps({"type": TOPIC, "timestamp": "2026-03-02T09:00:00.000Z", "data": shown})
    async with app.open_async():
        for begin in range(0, number, CHUNK):
            jobs = [{"message_id": str(ids.new()), "body": body} for _ in range(min(CHUNK, number - begin))]
            await deliver.batch_defer_async(*jobs)


def _runtime(side: Side) -> tuple[Pool, Runtime]:
    pool = Pool(side.dsn, 2, name="benchmarks")
    return pool, Runtime(pool, clock.utc, MasterKeys.read(Path(side.command[2])), CLOSINGS)


def _endpoint(partner_id: UUID, url: str, now: Any) -> Webhook:
    return Webhook(
        id=ids.new(),
        partner_id=partner_id,
        client_id=partner_id,
        merchant_limit=None,
        url=url,
        description="",
        topics=(TOPIC,),
        merchant_ids=None,
        location_ids=None,
        payload_version=PAYLOAD_VERSION,
        headers_sealed=None,
        rate_per_minute=None,
        fifo=False,
        status="enabled",
        reason=None,
        since_position=0,
        failing_since=None,
        failed_at=None,
        succeeded_at=None,
        warned=0,
        version=0,
        created_at=now,
        updated_at=now,
    )


HEADINGS: Final = ("", "deliveries/s", "app CPU µs", "database CPU µs", "memory MiB, at a tenth and most")


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """A row for each way; medians of the rounds."""
    ways: Mapping[str, Sequence[Drained]] = {
        "one endpoint": [each.one for each in outcome.rounds],
        f"{MANY} endpoints": [each.many for each in outcome.rounds],
        "the usual queue": [each.queue for each in outcome.rounds],
        f"a backlog of {outcome.backlog.deliveries:,}": [outcome.backlog],
    }
    return [
        (
            name,
            f"{median(each.rate for each in found):,.0f}",
            f"{median(each.app_cpu_us for each in found):,.0f}",
            f"{median(each.database_cpu_us for each in found):,.0f}",
            f"{median(each.memory_first_mib for each in found):,.0f}, {max(each.memory_most_mib for each in found):,.0f}",
        )
        for name, found in ways.items()
    ]


def verdict(outcome: Outcome) -> str:
    """The target beside what was reached."""
    ratio = median(each.ratio for each in outcome.rounds)
    met = "met" if ratio >= RATIO_TARGET else "missed"
    cpu = median(each.queue.cpu_us / each.one.cpu_us for each in outcome.rounds)
    p50, p99 = median(each.p50_ms for each in outcome.rounds), median(each.p99_ms for each in outcome.rounds)
    return (
        f"Deliveries to the usual queue's: {ratio:.1f}x of its rate, target {RATIO_TARGET:g}x: {met}; it takes {cpu:.1f}x the CPU."
        f" From an event to its arrival: p50 {p50:.0f} ms, p99 {p99:.0f} ms."
    )


def show(outcome: Outcome, console: Console) -> None:
    """Print the table."""
    report.show(console, HEADINGS, rows(outcome), "Webhooks; medians of the rounds")
    console.print(verdict(outcome))


def markdown(outcome: Outcome) -> str:
    """The same in Markdown."""
    return f"{report.markdown(HEADINGS, rows(outcome))}\n- {verdict(outcome)}\n"


def as_json(outcome: Outcome) -> Mapping[str, Any]:
    """Every figure."""
    return asdict(outcome)
