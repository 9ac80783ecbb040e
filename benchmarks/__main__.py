"""`tallystick bench`, or `python -m benchmarks`: measure this product beside the usual stack, and how it bears growth."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks import activity, comparing, growing, report, spending, webhooks
from benchmarks.phases import WrongAnswers, machine
from benchmarks.world import QUICK, Size

TITLE = "Each contender alone on the machine in turn; medians of the rounds, memory the most"


Measure = Callable[[argparse.Namespace, Path, Console], tuple[dict[str, object], str]]


def main(arguments: Sequence[str]) -> int:
    """Measure; 0 when everything that was answered was right. A target that is missed is told, and is no failure."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything started is stopped
    measured_on = machine()
    console.print(f"machine    {measured_on['processors']} x {measured_on['model']}, {measured_on['memoryGiB']} GiB")
    console.print(f"           {report.NOTE}\n")
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-", dir=options.directory) as place:
        try:
            measure = _measure_of(options)
            told, text = measure(options, Path(place), console)
        except WrongAnswers as wrong:
            console.print(f"wrong      {wrong}", style="red", markup=False)
            _show_log(Path(place), console)
            return 1
        except KeyboardInterrupt:
            console.print("\nstopped")
            return 130
    console.print(f"\n{report.NOTE}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": measured_on, **told}, indent=2) + "\n")
    if options.markdown is not None:
        options.markdown.write_text(text)
    return 0


def _measure_of(options: argparse.Namespace) -> Measure:
    if options.activity:
        return _land
    if options.webhooks:
        return _deliver
    return _grow if options.grow else _spend if options.spending else _compare


def _compare(options: argparse.Namespace, place: Path, console: Console) -> tuple[dict[str, object], str]:
    wanted = comparing.Options(
        rounds=options.rounds or (1 if options.quick else 5),
        seconds=options.seconds or (2.0 if options.quick else 8.0),
        callers=options.callers,
        processes=options.processes,
        connections=options.connections,
        batches=8 if options.quick else 80,
        warm_seconds=2.0 if options.quick else 12.0,
        size=QUICK if options.quick else Size(),
    )
    rounds = comparing.compare(wanted, place, console)
    found = report.ratios(rounds)
    figures, reached = report.figure_rows(rounds), report.ratio_rows(found)
    console.print()
    report.show(console, report.HEADINGS, figures, TITLE)
    report.show(console, report.RATIO_HEADINGS, reached, "What was to be reached")
    text = f"{report.markdown(report.HEADINGS, figures)}\n{report.markdown(report.RATIO_HEADINGS, reached)}"
    run = {"rounds": wanted.rounds, "seconds": wanted.seconds, "callers": wanted.callers, "processes": wanted.processes}
    return {"run": run, **report.as_json(rounds, found)}, text


def _grow(options: argparse.Namespace, place: Path, console: Console) -> tuple[dict[str, object], str]:
    sizes = options.sizes or ([1_000, 10_000] if options.quick else [1_000, 100_000, 3_000_000])
    wanted = growing.Options(
        sizes=tuple(sizes),
        rounds=options.rounds or (2 if options.quick else 7),
        seconds=options.seconds or (3.0 if options.quick else 10.0),
        rate=options.rate,
        callers=options.callers,
        processes=options.processes,
        size=QUICK if options.quick else Size(),
    )
    grown = growing.measure(wanted, place, console)
    rows = growing.rows(grown)
    console.print()
    report.show(console, growing.HEADINGS, rows, f"Growth, at {wanted.rate:g} rewards a second; medians of the rounds")
    run = {"rounds": wanted.rounds, "seconds": wanted.seconds, "rate": wanted.rate, "callers": wanted.callers}
    return {"run": run, **growing.as_json(grown)}, report.markdown(growing.HEADINGS, rows)


def _spend(options: argparse.Namespace, place: Path, console: Console) -> tuple[dict[str, object], str]:
    wanted = spending.Options(
        rounds=options.rounds or (1 if options.quick else 5),
        seconds=options.seconds or (2.0 if options.quick else 5.0),
        processes=options.processes,
        warm_seconds=1.0 if options.quick else 5.0,
        cards=200 if options.quick else 2_000,
        batch=2_000 if options.quick else 100_000,
        usual_batch=500 if options.quick else 5_000,
    )
    outcome = spending.measure(wanted, place, console)
    console.print()
    spending.show(outcome, console)
    run = {"rounds": wanted.rounds, "seconds": wanted.seconds, "processes": wanted.processes}
    return {"run": run, **spending.as_json(outcome)}, spending.markdown(outcome)


def _land(options: argparse.Namespace, place: Path, console: Console) -> tuple[dict[str, object], str]:
    wanted = activity.Options(
        rounds=options.rounds or (1 if options.quick else 3),
        rows=options.rows or (20_000 if options.quick else 1_000_000),
        rules=options.rules,
        customers=options.customers or (2_000 if options.quick else 100_000),
        seconds=options.seconds or (2.0 if options.quick else 8.0),
        processes=options.processes,
    )
    if options.grow:
        grown = activity.grow(
            wanted, options.sizes or ([40_000] if options.quick else [1_000_000, 10_000_000]), place, console
        )
        rows = activity.growth_rows(grown)
        console.print()
        report.show(console, activity.GROWTH_HEADINGS, rows, "Activity at growing numbers of stored rows")
        found = [{"stored": size, **asdict(each)} for size, each in grown]
        return {"run": asdict(wanted), "rounds": found}, report.markdown(activity.GROWTH_HEADINGS, rows)
    rounds = activity.measure(wanted, place, console)
    console.print()
    activity.show(rounds, console)
    return {"run": asdict(wanted), **activity.as_json(rounds)}, activity.markdown(rounds)


def _deliver(options: argparse.Namespace, place: Path, console: Console) -> tuple[dict[str, object], str]:
    wanted = webhooks.Options(
        rounds=options.rounds or (1 if options.quick else 3),
        deliveries=5_000 if options.quick else 50_000,
        queued=500 if options.quick else 5_000,
        events=60 if options.quick else 300,
        backlog=options.rows or (20_000 if options.quick else 1_000_000),
    )
    outcome = webhooks.measure(wanted, place, console)
    console.print()
    webhooks.show(outcome, console)
    return {"run": asdict(wanted), **webhooks.as_json(outcome)}, webhooks.markdown(outcome)


def _show_log(place: Path, console: Console) -> None:
    log = place / "processes.log"
    if log.exists():
        console.print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-40:]), markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tallystick bench",
        description="Measure this product beside the usual stack doing the same job. Takes some minutes; leaves nothing behind.",
    )
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn")
    parser.add_argument("--seconds", type=float, help="measured seconds of each turn")
    parser.add_argument("--callers", type=int, default=64, help="concurrent callers (default: 64)")
    parser.add_argument("--processes", type=int, default=2, help="HTTP processes of each contender (default: 2)")
    parser.add_argument("--connections", type=int, default=1, help="connections of the SQL alone (default: 1)")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: to see that everything works")
    parser.add_argument("--grow", action="store_true", help="measure at growing numbers of existing rewards instead")
    parser.add_argument(
        "--spending", action="store_true", help="measure payments, lookups and batches of gift cards instead"
    )
    parser.add_argument("--activity", action="store_true", help="measure transactions and threshold rules instead")
    parser.add_argument("--webhooks", action="store_true", help="measure deliveries to a local sink instead")
    parser.add_argument(
        "--rows",
        type=int,
        help="with --activity: lines of the file in each round; with --webhooks: deliveries of the backlog (default: 1,000,000)",
    )
    parser.add_argument(
        "--rules", type=int, default=5, choices=range(6), help="with --activity: rules in force (default: 5)"
    )
    parser.add_argument("--customers", type=int, help="with --activity: customers (default: 100,000)")
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="with --grow: how many rewards (or activities) exist, ascending"
    )
    parser.add_argument("--rate", type=float, default=200.0, help="with --grow: rewards a second (default: 200)")
    parser.add_argument("--directory", type=Path, help="where the databases lie for the time being; a real disk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
