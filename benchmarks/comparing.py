"""The comparison: every contender in turn, round after round, in one run on one machine."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import contenders, phases, proofs, world
from benchmarks.contenders import Contender
from benchmarks.phases import Books, Load, Measured
from benchmarks.world import Credential, World
from tallystick.base import ids
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import migrate

WARM_SECONDS: Final = 1.0
"""Before each measured time: connections are made, the first answers are slow."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a comparison is run."""

    rounds: int
    seconds: float
    callers: int
    processes: int
    connections: int
    batches: int
    warm_seconds: float
    """Of each contender before the first round, so that everything is compiled, prepared and cached."""
    size: world.Size


@dataclass(slots=True)
class Arena:
    """Both contenders, their worlds, and what each database must hold."""

    usual: Contender
    product: Contender
    usual_world: World
    product_world: World
    key_file: Path
    usual_books: Books = field(default_factory=Books)
    product_books: Books = field(default_factory=Books)


def compare(options: Options, place: Path, console: Console) -> list[Mapping[str, Measured]]:
    """Every round's phases. Raises WrongAnswers when anything but 200 was answered or the books do not hold."""
    with _arena(options, place, console) as arena:
        console.print(f"warming    {options.warm_seconds:g} s each")
        for name in ("a", "a hot", "b", "c", "e"):
            _phase(arena, options, name, options.warm_seconds)
        rounds = []
        for number in range(1, options.rounds + 1):
            measured: dict[str, Measured] = {}
            for name in ("a", "b", "c", "d", "e", "a hot"):
                phases.rest((arena.usual, arena.product))
                measured[name] = found = _phase(arena, options, name, options.seconds)
                console.print(
                    f"round {number}    {name:6} {found.rate:8,.0f}/s  p50 {found.p50_ms:7.1f} ms  p99 {found.p99_ms:7.1f} ms"
                    f"  CPU {found.app_cpu_us or 0:6,.0f} + {found.database_cpu_us:6,.0f} µs"
                )
            rounds.append(measured)
        console.print("proving    the books of both, and a reward for each 200")
        for contender, books in ((arena.usual, arena.usual_books), (arena.product, arena.product_books)):
            wrong = asyncio.run(proofs.faults(contender.dsn, books.granted))
            if wrong:
                raise phases.WrongAnswers(f"{contender.name}: " + " ".join(wrong[:5]))
            console.print(f"           {contender.name}: {books.granted:,} rewards, all there, and the books hold")
        return [{name: each[name] for name in ("a", "a hot", "b", "c", "d", "e")} for each in rounds]


@contextmanager
def _arena(options: Options, place: Path, console: Console) -> Iterator[Arena]:
    keys, key_file = MasterKeys.generate(), place / "master.key"
    keys.write_new(key_file)
    with (
        contenders.database(place / "usual") as (usual_dsn, usual_server),
        contenders.database(place / "product") as (product_dsn, product_server),
    ):
        console.print("making     merchants, customers with wallets and credentials, in both databases")
        usual_world = asyncio.run(_made(usual_dsn, keys, options.size, whole=False))
        product_world = asyncio.run(_made(product_dsn, keys, options.size, whole=True))
        with (
            contenders.usual("usual stack", place, usual_dsn, usual_server, key_file, options.processes) as usual,
            contenders.product("product", place, product_dsn, product_server, key_file, options.processes) as product,
        ):
            yield Arena(usual, product, usual_world, product_world, key_file)


async def _made(dsn: str, keys: MasterKeys, size: world.Size, *, whole: bool) -> World:
    await migrate(dsn)
    return await world.make(dsn, keys, size, whole=whole)


def _phase(arena: Arena, options: Options, name: str, seconds: float) -> Measured:
    """One phase by its letter."""
    run = f"reward-case-{str(ids.new())[:13]}"
    product, usual = arena.product_world, arena.usual_world

    def over_http(contender: Contender, books: Books, *credentials: Credential, callers: int) -> Measured:
        wanted = Load(credentials, callers, seconds, WARM_SECONDS)
        return phases.over_http(contender, books, wanted, run)

    if name == "a":
        return over_http(arena.usual, arena.usual_books, usual.many, callers=options.callers)
    if name == "a hot":
        return over_http(arena.usual, arena.usual_books, usual.hot, callers=options.callers)
    if name == "b":
        return over_http(arena.product, arena.product_books, product.many, callers=options.callers)
    if name == "c":
        return over_http(arena.product, arena.product_books, product.hot, callers=options.callers)
    if name == "e":
        return over_http(arena.product, arena.product_books, *product.tenants, callers=len(product.tenants))
    assert name == "d" and product.alone is not None, "there are five letters, and the product has the whole world"
    return phases.statements_alone(
        arena.product, arena.product_books, product.alone, arena.key_file, run, options.batches, options.connections
    )
