"""Stored value, measured: payments from gift cards, lookups and batches, each beside the usual stack in the same run."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console

from benchmarks import cards, contenders, minting, phases, proofs, report
from benchmarks.cards import Tables
from benchmarks.contenders import Contender
from benchmarks.load import What
from benchmarks.minting import Minted
from benchmarks.phases import Books, Load, Measured
from tallystick.base import ids
from tallystick.base.keys import MasterKeys

WARM_SECONDS: Final = 2.0
"""Before each measured time: a queue of 256 callers takes the usual stack about as long to fill."""
P99_AIM_MS: Final = 150.0


@dataclass(frozen=True, slots=True)
class Phase:
    """What is sent by how many callers: payments from one merchant's many cards or from a single one, or lookups of the many."""

    title: str
    what: What
    hot: bool
    callers: int


PHASES: Final = (
    Phase("payments, one merchant, 64 callers", "payments", hot=False, callers=64),
    Phase("payments, one merchant, 256 callers", "payments", hot=False, callers=256),
    Phase("payments, one card, 64 callers", "payments", hot=True, callers=64),
    Phase("payments, one card, 256 callers", "payments", hot=True, callers=256),
    Phase("lookups, 64 callers", "lookups", hot=False, callers=64),
)


@dataclass(frozen=True, slots=True)
class Options:
    """How stored value is measured."""

    rounds: int
    seconds: float
    processes: int
    warm_seconds: float
    cards: int
    batch: int
    usual_batch: int


@dataclass(slots=True)
class Side:
    """A contender, its cards, and what was granted to it."""

    contender: Contender
    tables: Tables
    payments: Books = field(default_factory=Books)
    lookups: Books = field(default_factory=Books)


@dataclass(slots=True)
class Arena:
    """Both sides."""

    usual: Side
    product: Side
    key_file: Path

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.usual, self.product


@dataclass(frozen=True, slots=True)
class Pair:
    """One phase of one round, by either side."""

    usual: Measured
    product: Measured


Round = Mapping[str, Pair]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was measured."""

    rounds: Sequence[Round]
    usual_batch: Minted
    batch: Minted


def measure(options: Options, place: Path, console: Console) -> Outcome:
    """Every figure. Raises WrongAnswers when anything was refused, or the books do not hold."""
    with _arena(options, place, console) as arena:
        console.print(f"warming    {options.warm_seconds:g} s for each kind of request")
        for side in arena.sides:
            for phase in (PHASES[0], PHASES[2], PHASES[4]):
                _load(side, phase, options.warm_seconds)
        rounds = [_round(arena, options, number, console) for number in range(1, options.rounds + 1)]
        phases.rest([side.contender for side in arena.sides])
        usual = minting.by_usual(
            arena.usual.contender, arena.usual.tables.many.credential, str(arena.key_file), options.usual_batch
        )
        phases.rest([side.contender for side in arena.sides])
        batch = minting.by_product(arena.product.contender, arena.product.tables.many.credential, options.batch)
        console.print(f"batches    usual {usual.rate:,.0f} cards/s  product {batch.rate:,.0f} cards/s")
        made = options.cards + 1
        _prove(arena.usual, made + options.usual_batch, console)
        _prove(arena.product, made + options.batch, console)
        return Outcome(rounds, usual, batch)


def _round(arena: Arena, options: Options, number: int, console: Console) -> Round:
    found: dict[str, Pair] = {}
    for phase in PHASES:
        measured = []
        for side in arena.sides:
            phases.rest([each.contender for each in arena.sides])
            measured.append(one := _load(side, phase, options.seconds))
            console.print(
                f"round {number}    {phase.title:36} {side.contender.name:12} {one.rate:8,.0f}/s  p50 {one.p50_ms:7.1f} ms"
                f"  p99 {one.p99_ms:7.1f} ms  CPU {one.app_cpu_us or 0:6,.0f} + {one.database_cpu_us:6,.0f} µs"
            )
        found[phase.title] = Pair(*measured)
    return found


def _load(side: Side, phase: Phase, seconds: float) -> Measured:
    deck = side.tables.hot if phase.hot else side.tables.many
    books, sent = (side.lookups, deck.codes) if phase.what == "lookups" else (side.payments, deck.ids)
    wanted = Load((deck.credential,), phase.callers, seconds, WARM_SECONDS, what=phase.what, cards=sent)
    return phases.over_http(side.contender, books, wanted, f"till-{str(ids.new())[:18]}")


def _prove(side: Side, made: int, console: Console) -> None:
    name = side.contender.name
    wrong = asyncio.run(proofs.spending_faults(side.contender.dsn, side.payments.granted, made))
    if wrong:
        raise phases.WrongAnswers(f"{name}: " + " ".join(wrong[:5]))
    console.print(f"proven     {name}: {side.payments.granted:,} payments and {made:,} cards, and the books hold")


@contextmanager
def _arena(options: Options, place: Path, console: Console) -> Iterator[Arena]:
    keys, key_file = MasterKeys.generate(), place / "master.key"
    keys.write_new(key_file)
    with (
        contenders.database(place / "usual") as (usual_dsn, usual_server),
        contenders.database(place / "product") as (product_dsn, product_server),
    ):
        console.print("making     merchants and their cards, in both databases")
        usual_tables = asyncio.run(cards.make(usual_dsn, keys, options.cards))
        product_tables = asyncio.run(cards.make(product_dsn, keys, options.cards))
        with (
            contenders.usual("usual stack", place, usual_dsn, usual_server, key_file, options.processes) as usual,
            contenders.product("product", place, product_dsn, product_server, key_file, options.processes) as product,
        ):
            yield Arena(Side(usual, usual_tables), Side(product, product_tables), key_file)


HEADINGS: Final = (
    "measured",
    "contender",
    "each second",
    "p50 ms",
    "p99 ms",
    "app µs",
    "database µs",
    "rate, ratio",
    "CPU, ratio",
)


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Two rows for each phase: medians of the rounds, of ratios as well, which are taken inside each round."""
    told: list[tuple[str, ...]] = []
    for phase in PHASES:
        pairs = [each[phase.title] for each in outcome.rounds]
        rate = median(pair.product.rate / pair.usual.rate for pair in pairs)
        cpu = median(pair.usual.cpu_us / pair.product.cpu_us for pair in pairs)
        told.append((phase.title, "the usual stack", *_figures([pair.usual for pair in pairs]), "", ""))
        told.append(("", "this product", *_figures([pair.product for pair in pairs]), f"{rate:.1f}x", f"{cpu:.1f}x"))
    return told


def _figures(measured: Sequence[Measured]) -> tuple[str, ...]:
    return (
        f"{median(each.rate for each in measured):,.0f}",
        f"{median(each.p50_ms for each in measured):,.1f}",
        f"{median(each.p99_ms for each in measured):,.1f}",
        f"{median(each.app_cpu_us or 0.0 for each in measured):,.0f}",
        f"{median(each.database_cpu_us for each in measured):,.0f}",
    )


BATCH_HEADINGS: Final = (
    "batch",
    "cards",
    "seconds",
    "cards/s",
    "rows/s",
    "app µs/card",
    "database µs/card",
    "MiB at start, middle, end",
)


def batch_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """A row for each side."""
    return [_batch_row("the usual stack", outcome.usual_batch), _batch_row("this product", outcome.batch)]


def _batch_row(name: str, minted: Minted) -> tuple[str, ...]:
    memory = "-" if minted.memory is None else ", ".join(f"{each:.0f}" for each in minted.memory)
    return (
        name,
        f"{minted.cards:,}",
        f"{minted.seconds:.1f}",
        f"{minted.rate:,.0f}",
        f"{minted.rows:,.0f}",
        f"{minted.app_cpu_us:,.0f}",
        f"{minted.database_cpu_us:,.0f}",
        memory,
    )


def verdict(outcome: Outcome) -> list[str]:
    """The aim beside what was reached, a sentence for each phase with 256 callers."""
    told = []
    for phase in PHASES:
        if phase.callers == 256:
            reached = median(each[phase.title].product.p99_ms for each in outcome.rounds)
            met = "met" if reached <= P99_AIM_MS else "missed"
            told.append(f"{phase.title}: p99 {reached:.0f} ms, aim {P99_AIM_MS:.0f} ms: {met}.")
    return told


def show(outcome: Outcome, console: Console) -> None:
    """Print the tables."""
    report.show(console, HEADINGS, rows(outcome), "Stored value; medians of the rounds")
    report.show(console, BATCH_HEADINGS, batch_rows(outcome), "A batch of gift cards, from acceptance to completion")
    for sentence in verdict(outcome):
        console.print(sentence)


def markdown(outcome: Outcome) -> str:
    """The same tables in Markdown."""
    told = "".join(f"- {sentence}\n" for sentence in verdict(outcome))
    batches = report.markdown(BATCH_HEADINGS, batch_rows(outcome))
    return f"{report.markdown(HEADINGS, rows(outcome))}\n{batches}\n{told}"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Every figure of every round."""
    rounds = [{title: asdict(pair) for title, pair in each.items()} for each in outcome.rounds]
    return {"rounds": rounds, "batches": {"usual": asdict(outcome.usual_batch), "product": asdict(outcome.batch)}}
