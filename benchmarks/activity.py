"""Activity, measured: files, the verb, batches and single posts, beside a bare COPY of the same lines in the same run."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

import asyncpg
from rich.console import Console

from benchmarks import accepting, clubs, contenders, copying, importing, loading, phases, receipts, report, stocking
from benchmarks.clubs import Club
from benchmarks.contenders import Contender
from benchmarks.importing import Landed
from benchmarks.load import RECEIPTS_EACH
from benchmarks.phases import Books, Load, Measured
from tallystick.base import ids
from tallystick.base.keys import MasterKeys

CHUNK: Final = 1_000
"""How many commands the verb takes at a time."""
BATCH_CALLERS: Final = 2
SINGLE_CALLERS: Final = 16
WARM_SECONDS: Final = 1.0
RATIO_TARGET: Final = 0.4
REHEARSAL_SECONDS: Final = 60.0

# Every row of the product is there once, with its name, and no rule's progress is other than the sum of what counts.
COUNTS: Final = """
select (select count(*) from activities), (select count(*) from activity_keys where activity_id is not null),
    (select count(*) from activity_keys), (select coalesce(sum(current), 0)::bigint from threshold_progress where threshold_id = (
        select threshold_id from threshold_versions where metric = 'visits'))
"""


@dataclass(frozen=True, slots=True)
class Options:
    """How activity is measured: so many rows of a file in each round; the verb takes a fifth of them."""

    rounds: int
    rows: int
    rules: int
    customers: int
    seconds: float
    processes: int


@dataclass(slots=True)
class Arena:
    """The product before its database, the bare tables' database on the same server, and what was sent."""

    product: Contender
    bare_dsn: str
    club: Club
    key_file: Path
    place: Path
    rows: int = 0
    """How many rows must be there."""
    posted: Books = field(default_factory=Books)
    batched: Books = field(default_factory=Books)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A rule rehearsed over all activity that was stored by then."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the ceiling, the same rows by a loader made for them, a file, the verb alone, requests, and a rehearsal of all."""

    ceiling: Landed
    loader: Landed
    file: Landed
    verb: Landed
    batches: Measured
    posts: Measured
    rehearsal: Rehearsed

    @property
    def ratio(self) -> float:
        """Rows a second of a file's reading to those of the ceiling."""
        return self.file.rate / self.ceiling.rate

    @property
    def loader_ratio(self) -> float:
        """The same to those of the loader written by hand."""
        return self.file.rate / self.loader.rate

    @property
    def cpu_ratio(self) -> float:
        """CPU of the ceiling's row to that of a file's."""
        return self.ceiling.cpu_us / self.file.cpu_us


def measure(options: Options, place: Path, console: Console) -> list[Round]:
    """Every figure of every round. Raises WrongAnswers when anything was refused, or is not there in the end."""
    with arena(options, place, console) as ground:
        rounds = [carry_out(ground, options, number, console) for number in range(1, options.rounds + 1)]
        _prove(ground, options, console)
        return rounds


def grow(options: Options, sizes: Sequence[int], place: Path, console: Console) -> list[tuple[int, Round]]:
    """The rounds at growing numbers of stored rows, one after the other in one database. Raises WrongAnswers."""
    found: list[tuple[int, Round]] = []
    with arena(options, place, console) as ground:
        stocked = 0
        for size in sorted(sizes):
            more = max(0, size - ground.rows) // options.customers * options.customers
            asyncio.run(stocking.stock(ground.product.dsn, ground.club, stocked, more))
            stocked, ground.rows = stocked + more, ground.rows + more
            console.print(f"stocked    {ground.rows:,} rows are there")
            found += [(size, carry_out(ground, options, number, console)) for number in range(1, options.rounds + 1)]
        _prove(ground, options, console)
    return found


@contextmanager
def arena(options: Options, place: Path, console: Console) -> Iterator[Arena]:
    """A server, a merchant with its customers and rules, and the processes before them."""
    keys, key_file = MasterKeys.generate(), place / "master.key"
    keys.write_new(key_file)
    with contenders.database(place / "product") as (dsn, server):
        console.print(f"making     a merchant with {options.customers:,} customers")
        club = asyncio.run(clubs.make(dsn, keys, options.customers))
        with contenders.product("product", place, dsn, server, key_file, options.processes) as product:
            clubs.lay_down(product, club, options.rules)
            yield Arena(product, asyncio.run(_bare(dsn)), club, key_file, place)


async def _bare(dsn: str) -> str:
    """A database of its own for the bare tables, so that none of the two settings is the other's."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("create database bare template template0 encoding 'UTF8'")
    finally:
        await connection.close()
    return contenders.beside(dsn, "bare")


def carry_out(ground: Arena, options: Options, number: int, console: Console) -> Round:
    """One round."""
    run, file = f"run-{str(ids.new())[-12:]}", ground.place / "receipts.csv"
    receipts.write(file, run, options.rows, options.customers)
    found = Round(
        ceiling=_rested(ground, lambda: _copy(ground, file)),
        loader=_rested(ground, lambda: _loaded(ground, options, file)),
        file=_rested(ground, lambda: _import(ground, file, options.rows)),
        verb=_rested(ground, lambda: _accept(ground, f"verb-{run}", max(CHUNK * 5, options.rows // 5))),
        batches=_rested(ground, lambda: _load(ground, ground.batched, "batches", BATCH_CALLERS, options.seconds)),
        posts=_rested(ground, lambda: _load(ground, ground.posted, "receipts", SINGLE_CALLERS, options.seconds)),
        rehearsal=_rested(ground, lambda: _rehearsed(ground)),
    )
    file.unlink()
    landed = {"ceiling": found.ceiling, "loader": found.loader, "file": found.file, "verb": found.verb}
    for name, one in landed.items():
        console.print(
            f"round {number}    {name:8} {one.rows:9,} rows {one.rate:9,.0f}/s"
            f"  CPU {one.app_cpu_us:6,.1f} + {one.database_cpu_us:6,.1f} µs"
        )
    for name, sent in {"batches": found.batches, "posts": found.posts}.items():
        console.print(
            f"round {number}    {name:8} {sent.rate:9,.1f}/s  p50 {sent.p50_ms:7.1f} ms  p99 {sent.p99_ms:7.1f} ms"
            f"  CPU {sent.app_cpu_us or 0:8,.0f} + {sent.database_cpu_us:8,.0f} µs"
        )
    console.print(f"round {number}    rehearsed {found.rehearsal.rows:,} rows in {found.rehearsal.seconds:.1f} s")
    return found


def _rested(ground: Arena, do: Any) -> Any:
    phases.rest([ground.product])
    return do()


def _copy(ground: Arena, file: Path) -> Landed:
    cost, counted = phases.carry_out(
        "benchmarks.copying", copying.Plan(ground.bare_dsn, str(file)), copying.Counted, ground.product
    )
    app, database = counted.cpu_seconds / counted.rows * 1e6, cost.database_seconds / counted.rows * 1e6
    return Landed(counted.rows, counted.seconds, app, database, None)


def _loaded(ground: Arena, options: Options, file: Path) -> Landed:
    plan = loading.Plan(
        ground.bare_dsn, str(file), options.customers, options.rules, ground.club.merchant_id, str(ids.new())
    )
    cost, counted = phases.carry_out("benchmarks.loading", plan, copying.Counted, ground.product)
    app, database = counted.cpu_seconds / counted.rows * 1e6, cost.database_seconds / counted.rows * 1e6
    return Landed(counted.rows, counted.seconds, app, database, None)


def _rehearsed(ground: Arena) -> Rehearsed:
    """The first rule, over the whole year."""
    rule = min(clubs.ask(ground.product, ground.club.credential, "GET", "thresholds"), key=lambda each: str(each["id"]))
    stretch = {"from": "2026-01-01T00:00:00.000Z", "until": "2026-12-31T00:00:00.000Z"}
    document = {"data": {"type": "SimulateThreshold", "attributes": stretch}}
    began = time.perf_counter()
    clubs.ask(ground.product, ground.club.credential, "POST", f"thresholds/{rule['id']}/simulate", document)
    return Rehearsed(ground.rows, time.perf_counter() - began)


def _import(ground: Arena, file: Path, rows: int) -> Landed:
    ground.rows += rows
    return importing.by_product(ground.product, ground.club, file, rows)


def _accept(ground: Arena, run: str, rows: int) -> Landed:
    plan = accepting.Plan(
        dsn=ground.product.dsn,
        key_file=str(ground.key_file),
        run=run,
        client_id=ground.club.credential.caller.client_id,
        merchant_id=ground.club.credential.shops[0].merchant_id,
        customers=ground.club.customers,
        rows=rows,
        chunk=CHUNK,
    )
    cost, counted = phases.carry_out("benchmarks.accepting", plan, accepting.Counted, ground.product)
    ground.rows += counted.rows + accepting.WARM_CHUNKS * CHUNK
    app, database = counted.cpu_seconds / counted.rows * 1e6, cost.database_seconds / counted.rows * 1e6
    return Landed(counted.rows, counted.seconds, app, database, counted.memory)


def _load(ground: Arena, books: Books, what: Literal["batches", "receipts"], callers: int, seconds: float) -> Measured:
    granted = books.granted
    wanted = Load((ground.club.credential,), callers, seconds, WARM_SECONDS, what=what, customers=ground.club.named)
    measured = phases.over_http(ground.product, books, wanted, f"{what}-{str(ids.new())[-12:]}")
    ground.rows += (books.granted - granted) * (RECEIPTS_EACH if what == "batches" else 1)
    return measured


def _prove(ground: Arena, options: Options, console: Console) -> None:
    found = asyncio.run(_counts(ground.product.dsn))
    wanted = [ground.rows] * (4 if options.rules >= 3 else 3)
    if found[: len(wanted)] != wanted:
        raise phases.WrongAnswers(
            f"There are {found} activities, names, and visits counted, and {ground.rows:,} were sent."
        )
    console.print(f"proven     {ground.rows:,} activities, each there once and counted once")


async def _counts(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn, command_timeout=None)
    try:
        await connection.execute("set statement_timeout = 0")
        counted = await connection.fetchrow(COUNTS)
        assert counted is not None, "counts are one row"
        return list(counted)
    finally:
        await connection.close()


HEADINGS: Final = (
    "rows",
    "of",
    "rows/s",
    "app µs/row",
    "database µs/row",
    "to the ceiling: rate",
    "CPU",
    "MiB at start, middle, end",
)
SENT_HEADINGS: Final = ("requests", "each second", "rows/s", "p50 ms", "p99 ms", "app µs/row", "database µs/row")


def rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """A row for each way; medians of the rounds, of ratios as well, which are taken inside each round."""
    return [
        _row("COPY and insert, each name once", [each.ceiling for each in rounds], rounds),
        _row("a loader written by hand for these rules", [each.loader for each in rounds], rounds),
        _row("a file, read by the worker", [each.file for each in rounds], rounds),
        _row(f"the verb, {CHUNK:,} at a time", [each.verb for each in rounds], rounds),
    ]


def _row(name: str, landed: Sequence[Landed], rounds: Sequence[Round]) -> tuple[str, ...]:
    rate = median(one.rate / each.ceiling.rate for one, each in zip(landed, rounds, strict=True))
    cpu = median(one.cpu_us / each.ceiling.cpu_us for one, each in zip(landed, rounds, strict=True))
    memory = landed[-1].memory
    return (
        name,
        f"{landed[0].rows:,}",
        f"{median(one.rate for one in landed):,.0f}",
        f"{median(one.app_cpu_us for one in landed):,.1f}",
        f"{median(one.database_cpu_us for one in landed):,.1f}",
        f"{rate:.2f}x",
        f"{cpu:.1f}x",
        "-" if memory is None else ", ".join(f"{each:.0f}" for each in memory),
    )


def sent_rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """The same of requests."""
    return [
        _sent(
            f"batches of {RECEIPTS_EACH:,}, {BATCH_CALLERS} callers", [each.batches for each in rounds], RECEIPTS_EACH
        ),
        _sent(f"single posts, {SINGLE_CALLERS} callers", [each.posts for each in rounds], 1),
    ]


def _sent(name: str, measured: Sequence[Measured], each: int) -> tuple[str, ...]:
    rate = median(one.rate for one in measured)
    return (
        name,
        f"{rate:,.1f}",
        f"{rate * each:,.0f}",
        f"{median(one.p50_ms for one in measured):,.1f}",
        f"{median(one.p99_ms for one in measured):,.1f}",
        f"{median(one.app_cpu_us or 0.0 for one in measured) / each:,.1f}",
        f"{median(one.database_cpu_us for one in measured) / each:,.1f}",
    )


GROWTH_HEADINGS: Final = (
    "stored rows",
    "file rows/s",
    "CPU µs/row",
    "to the least",
    "batches, p50 ms",
    "single posts, p50 ms",
    "CPU µs/post",
)


def growth_rows(found: Sequence[tuple[int, Round]]) -> list[tuple[str, ...]]:
    """A row for each size: medians of its rounds, and the file's CPU to that at the least size."""
    sizes = sorted({size for size, _ in found})
    rounds = {size: [each for at, each in found if at == size] for size in sizes}
    least = median(each.file.cpu_us for each in rounds[sizes[0]])
    return [
        (
            f"{size:,}",
            f"{median(each.file.rate for each in rounds[size]):,.0f}",
            f"{median(each.file.cpu_us for each in rounds[size]):,.1f}",
            f"{median(each.file.cpu_us for each in rounds[size]) / least:.2f}x",
            f"{median(each.batches.p50_ms for each in rounds[size]):,.1f}",
            f"{median(each.posts.p50_ms for each in rounds[size]):,.1f}",
            f"{median(each.posts.cpu_us for each in rounds[size]):,.0f}",
        )
        for size in sizes
    ]


def verdicts(rounds: Sequence[Round]) -> list[str]:
    """The targets beside what was reached, and what is shown beside them."""
    ratio, longest = (
        median(each.ratio for each in rounds),
        max(rounds, key=lambda each: each.rehearsal.seconds).rehearsal,
    )
    beside = median(each.loader_ratio for each in rounds)
    met = "met" if ratio >= RATIO_TARGET else "missed"
    minute = "met" if longest.seconds <= REHEARSAL_SECONDS else "missed"
    return [
        f"A file to the ceiling: {ratio:.2f}x of its rate, target {RATIO_TARGET}x: {met}.",
        f"A file to the loader written by hand: {beside:.2f}x of its rate.",
        f"A rule rehearsed over {longest.rows:,} rows: {longest.seconds:.1f} s, target a minute for 1,000,000: {minute}.",
    ]


def show(rounds: Sequence[Round], console: Console) -> None:
    """Print the tables."""
    report.show(console, HEADINGS, rows(rounds), "Activity; medians of the rounds")
    report.show(console, SENT_HEADINGS, sent_rows(rounds), "Activity over HTTP")
    for told in verdicts(rounds):
        console.print(told)


def markdown(rounds: Sequence[Round]) -> str:
    """The same tables in Markdown."""
    sent = report.markdown(SENT_HEADINGS, sent_rows(rounds))
    told = "".join(f"- {each}\n" for each in verdicts(rounds))
    return f"{report.markdown(HEADINGS, rows(rounds))}\n{sent}\n{told}"


def as_json(rounds: Sequence[Round]) -> Mapping[str, Any]:
    """Every figure of every round."""
    return {"rounds": [asdict(each) for each in rounds]}
