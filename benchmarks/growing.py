"""Growth: the same modest load on databases that hold more and more rewards, in turn, round after round."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from rich.console import Console

from benchmarks import contenders, filling, phases, proofs, world
from benchmarks.contenders import Contender
from benchmarks.phases import Books, Load, Measured
from benchmarks.world import World
from tallystick.base import clock, ids
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate

WARM_SECONDS: Final = 2.0
P50_WITHIN: Final = 1.3
P99_WITHIN: Final = 1.5
HEADINGS: Final = (
    "existing rewards",
    "p50 ms",
    "p99 ms",
    "CPU µs/reward",
    "p50 to the least",
    f"within {P50_WITHIN:g}x",
    "p99 to the least",
    f"within {P99_WITHIN:g}x",
)


@dataclass(frozen=True, slots=True)
class Options:
    """How growth is measured."""

    sizes: tuple[int, ...]
    rounds: int
    seconds: float
    rate: float
    callers: int
    processes: int
    size: world.Size


@dataclass(slots=True)
class House:
    """One contender of growth: the product before a database with so many rewards."""

    rewards: int
    contender: Contender
    world: World
    books: Books


Round = Mapping[int, Measured]


def measure(options: Options, place: Path, console: Console) -> list[Round]:
    """Every round's phases by size. Raises WrongAnswers when anything but 200 was answered or the books do not hold."""
    with _houses(options, place, console) as houses:
        everyone = [house.contender for house in houses]
        for house in houses:
            _load(options, house)  # warms, and is not counted
        rounds: list[Round] = []
        for number in range(1, options.rounds + 1):
            measured: dict[int, Measured] = {}
            for house in houses:
                phases.rest(everyone)
                found = measured[house.rewards] = _load(options, house)
                console.print(
                    f"round {number}    {house.rewards:9,} rewards  p50 {found.p50_ms:6.2f} ms  p99 {found.p99_ms:6.2f} ms"
                    f"  CPU {found.cpu_us:6,.0f} µs"
                )
            rounds.append(measured)
        for house in houses:
            console.print(f"proving    the books with {house.rewards:,} rewards")
            wrong = asyncio.run(proofs.faults(house.contender.dsn, house.books.granted))
            if wrong:
                raise phases.WrongAnswers(f"{house.rewards:,}: " + " ".join(wrong[:5]))
        return rounds


def rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """A row for each size; ratios are taken to the least size inside each round."""
    told: list[tuple[str, ...]] = []
    least = min(rounds[0])
    for size in rounds[0]:
        p50, p99 = (_ratio(rounds, size, least, figure) for figure in ("p50_ms", "p99_ms"))
        told.append(
            (
                f"{size:,}",
                f"{median(each[size].p50_ms for each in rounds):.2f}",
                f"{median(each[size].p99_ms for each in rounds):.2f}",
                f"{median(each[size].cpu_us for each in rounds):,.0f}",
                f"{p50:.2f}x",
                "-" if size == least else "met" if p50 <= P50_WITHIN else "missed",
                f"{p99:.2f}x",
                "-" if size == least else "met" if p99 <= P99_WITHIN else "missed",
            )
        )
    return told


def as_json(rounds: Sequence[Round]) -> dict[str, Any]:
    """Every figure of every round."""
    return {"rounds": [{str(size): asdict(phase) for size, phase in each.items()} for each in rounds]}


def _ratio(rounds: Sequence[Round], size: int, least: int, figure: str) -> float:
    ratios: list[float] = [getattr(each[size], figure) / getattr(each[least], figure) for each in rounds]
    return median(ratios)


def _load(options: Options, house: House) -> Measured:
    wanted = Load((house.world.many,), options.callers, options.seconds, WARM_SECONDS, options.rate)
    return phases.over_http(house.contender, house.books, wanted, f"reward-now-{str(ids.new())[:13]}")


@contextmanager
def _houses(options: Options, place: Path, console: Console) -> Iterator[list[House]]:
    """A database and its processes for each size, on one server: only one is under load at a time."""
    keys, key_file = MasterKeys.generate(), place / "master.key"
    keys.write_new(key_file)
    with ExitStack() as stack:
        dsn, server = stack.enter_context(contenders.database(place / "product"))
        houses = []
        for rewards in options.sizes:
            began = time.monotonic()
            address, made = asyncio.run(_filled(dsn, keys, options.size, rewards))
            console.print(f"filled     {rewards:,} rewards in {time.monotonic() - began:.0f} s")
            name = f"product with {rewards:,} rewards"
            started = contenders.product(name, place, address, server, key_file, options.processes)
            houses.append(House(rewards, stack.enter_context(started), made, Books(granted=rewards)))
        yield houses


async def _filled(dsn: str, keys: MasterKeys, size: world.Size, rewards: int) -> tuple[str, World]:
    name = f"rewards_{rewards}"
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"create database {name} template template0 encoding 'UTF8'")
    await connection.close()
    address = urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    await migrate(address)
    made = await world.make(address, keys, size, whole=False)
    await filling.fill(address, made.many, rewards, clock.utc())
    return address, made
