"""What was measured, as ratios beside their targets: on the screen, as JSON and as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.phases import Measured

TITLES: Final = {
    "a": "(a) the usual stack, many merchants",
    "a hot": "(a) the usual stack, one hot merchant",
    "b": "(b) this product, many merchants",
    "c": "(c) this product, one hot merchant",
    "d": "(d) its SQL alone, batches of 250",
    "e": "(e) this product, many tenants, one caller each",
}

Round = Mapping[str, Measured]


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio taken inside each round, and what it should be at least."""

    name: str
    ratio: Callable[[Round], float]
    least: float
    aim: float | None = None


TARGETS: Final = (
    Target("rate of (b) to (a)", lambda r: r["b"].rate / r["a"].rate, 20),
    Target("CPU of (a) to (b), application and database", lambda r: r["a"].cpu_us / r["b"].cpu_us, 25, 50),
    Target("rate of (c) to hot (a)", lambda r: r["c"].rate / r["a hot"].rate, 50),
    Target("rate of (b) to (d)", lambda r: r["b"].rate / r["d"].rate, 0.4),
    Target("rate of (e) to (a)", lambda r: r["e"].rate / r["a"].rate, 8),
)

NOTE: Final = "Absolute figures depend on the machine and on what else it does; the ratios are what counts."


@dataclass(frozen=True, slots=True)
class Ratio:
    """A target, and what was reached: the median of the rounds, and their range."""

    name: str
    reached: float
    least: float
    most: float
    target: float
    aim: float | None

    @property
    def met(self) -> bool:
        return self.reached >= self.target


def ratios(rounds: Sequence[Round]) -> list[Ratio]:
    """Every target, as the rounds reached it."""
    found = []
    for target in TARGETS:
        values = [target.ratio(each) for each in rounds]
        found.append(Ratio(target.name, median(values), min(values), max(values), target.least, target.aim))
    return found


def medians(rounds: Sequence[Round], name: str) -> Measured:
    """Each figure's median over the rounds; of memory, the most."""
    phases = [each[name] for each in rounds]

    def middle(figure: str, of: Callable[[list[float]], float] = median) -> Any:
        values = [getattr(phase, figure) for phase in phases]
        return None if None in values else of(values)

    return Measured(
        rate=middle("rate"),
        p50_ms=middle("p50_ms"),
        p99_ms=middle("p99_ms"),
        app_cpu_us=middle("app_cpu_us"),
        database_cpu_us=middle("database_cpu_us"),
        app_mib=middle("app_mib", max),
        database_mib=middle("database_mib", max),
        rewards=sum(phase.rewards for phase in phases),
        load_cpu_us=middle("load_cpu_us"),
    )


HEADINGS: Final = (
    "contender",
    "rewards/s",
    "p50 ms",
    "p99 ms",
    "app µs/reward",
    "database µs/reward",
    "app MiB",
    "database MiB",
)
WIDTH: Final = 160
RATIO_HEADINGS: Final = ("ratio, median of rounds", "reached", "range", "target", "")


def figure_rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """A row for each contender, in the order of the rounds."""
    rows: list[tuple[str, ...]] = []
    for name in rounds[0]:
        found = medians(rounds, name)
        latencies = (
            ("-", "-")
            if name == "d"  # its latency is a batch's, not a caller's
            else (f"{found.p50_ms:.1f}", f"{found.p99_ms:.1f}")
        )
        rows.append(
            (
                TITLES[name],
                f"{found.rate:,.0f}",
                *latencies,
                _figure(found.app_cpu_us),
                _figure(found.database_cpu_us),
                _figure(found.app_mib),
                _figure(found.database_mib),
            )
        )
    return rows


def ratio_rows(found: Sequence[Ratio]) -> list[tuple[str, ...]]:
    """A row for each target."""
    return [
        (
            each.name,
            f"{each.reached:.2f}x",
            f"{each.least:.2f} to {each.most:.2f}",
            f"≥ {each.target:g}x" + (f" (aim {each.aim:g}x)" if each.aim else ""),
            "met" if each.met else "missed",
        )
        for each in found
    ]


def show(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # As wide as it is, however narrow the terminal: a figure that is cut short is none.
    Console(file=console.file, highlight=False, width=WIDTH).print(table)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table in Markdown."""
    aligned = ["---", *(["---:"] * (len(headings) - 1))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, aligned, *rows))


def as_json(rounds: Sequence[Round], found: Sequence[Ratio]) -> dict[str, Any]:
    """Every figure of every round."""
    return {
        "rounds": [{name: asdict(phase) for name, phase in each.items()} for each in rounds],
        "ratios": [{**asdict(each), "met": each.met} for each in found],
    }


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
