"""`torture`: a house of its own, its processes killed under load, or its value raced for; and an independent count."""

import asyncio
import dataclasses
import random
import statistics
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tallystick.cli.ground import columns, fail, say, say_json
from tallystick.torture import Meeting, Report, Results, Torment, race, torment
from tallystick.torture.house import Broken

SHOWN_MAX = 50
OPERATIONS = 20_000
TOLD_EVERY = 10_000
PROGRAMMES = 4
"""A programme has one clock, so as many races that move it can go on at once."""

T = TypeVar("T")


def torture(
    minutes: Annotated[float, typer.Option(help="How long the processes are killed.", min=0.05, max=10_000)] = 1.0,
    seed: Annotated[int | None, typer.Option(help="What is done in which order; without, a new one, printed.")] = None,
    writers: Annotated[int, typer.Option(help="Partners that write at the same time.", min=1, max=200)] = 12,
    tellers: Annotated[int, typer.Option(help="Tills that tell of activity at the same time.", min=0, max=200)] = 4,
    data: Annotated[
        Path | None, typer.Option(help="An empty directory for the house; kept. Without, a temporary one, removed.")
    ] = None,
    races: Annotated[
        bool,
        typer.Option("--races", help="Kill nothing; race for the same stored value instead, and count every unit."),
    ] = False,
    operations: Annotated[
        int | None, typer.Option(help=f"With --races: how many, at least; {OPERATIONS} unless told.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Kill processes under load, then prove that no acknowledged reward or activity was lost or doubled. Exits 1 on any difference.

    With --races: many tills on the same cards, wallets and payments at once; then prove that no unit was lost or doubled.
    """
    if sys.platform != "linux":
        raise fail("torture finds the processes it kills in /proc, which only Linux has.")
    if operations is not None and not races:
        raise fail("--operations goes with --races.")
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="tallystick-torture-") as temporary:
        place = Path(temporary) if data is None else data.expanduser().resolve()
        if data is not None:
            _make_empty(place)
        if races:
            differs = _race(Meeting(operations or OPERATIONS, chosen, place, PROGRAMMES), as_json)
        else:
            differs = _torment(Torment(minutes * 60, chosen, place, writers, tellers), as_json)
    raise typer.Exit(1 if differs else 0)


def _torment(wanted: Torment, as_json: bool) -> bool:
    """Whether there are differences."""
    if not as_json:
        say(f"seed {wanted.seed}, {wanted.writers} writers, {wanted.tellers} tellers, {wanted.seconds / 60:g} minutes")
        wanted = dataclasses.replace(wanted, tell=lambda kind: say(f"  {kind}"))
    report = _run(torment(wanted))
    (_print_json if as_json else _print)(report, wanted.seed)
    return bool(report.differences)


def _race(wanted: Meeting, as_json: bool) -> bool:
    """The same for races."""
    if not as_json:
        say(f"seed {wanted.seed}, {wanted.operations} operations")
        wanted = dataclasses.replace(wanted, tell=lambda count: say(f"  {count} operations"), tell_every=TOLD_EVERY)
    results = _run(race(wanted))
    (_print_races_json if as_json else _print_races)(results, wanted.seed)
    return bool(results.differences)


def _run(wanted: Coroutine[object, object, T]) -> T:
    try:
        return asyncio.run(wanted)
    except Broken as broken:
        raise fail(str(broken)) from None


def _make_empty(place: Path) -> None:
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(place.iterdir()):
            raise fail(f"{place} is not empty; torture makes a house of its own.")
    except OSError as error:
        raise fail(f"{place} cannot be used: {error.strerror}.") from None


def _print_json(report: Report, seed: int) -> None:
    say_json(
        {
            "ok": not report.differences,
            "seed": seed,
            "seconds": round(report.seconds, 1),
            "requests": report.attempts,
            "acknowledged": report.done,
            "refused": report.refused,
            "unknown": report.unknown,
            "rewards": report.rewards,
            "activity": {
                "requests": report.told.requests,
                "unknown": report.told.unknown,
                "acknowledged": dict(report.told.facts),
                "acknowledgedAgain": report.told.repeated,
                "customers": report.told.customers,
                "rewards": dict(report.told.rewards),
            },
            "faults": {
                kind: {"count": count, "secondsToServeAgain": [round(each, 3) for each in report.recoveries[kind]]}
                for kind, count in report.injuries.items()
            },
            "differences": list(report.differences),
        }
    )


def _print(report: Report, seed: int) -> None:
    say("")
    rows = [("fault", "times", "serving again after, median", "longest")]
    for kind, count in report.injuries.items():
        times = report.recoveries[kind] or [0.0]
        rows.append((kind, str(count), f"{statistics.median(times):.2f} s", f"{max(times):.2f} s"))
    columns(rows)
    say(
        f"\n{report.attempts} requests in {report.seconds:.0f} s ({report.done / report.seconds:.0f} acknowledged a second):"
        f" {report.done} acknowledged, {report.refused} refused, {report.unknown} unknown and settled by their keys"
    )
    told = report.told
    say(
        f"of activity: {told.requests} requests, {told.unknown} answers unknown and settled by telling again;"
        f" {sum(told.facts.values())} facts of {told.customers} customers acknowledged, and {told.repeated} times again"
    )
    if not _print_differences(report.differences, seed):
        say(
            f"{report.rewards} rewards, each there exactly once; amounts, wallets and funding are exact; verify finds nothing"
        )
        say(f"each fact is there exactly once; progress and {sum(told.rewards.values())} rewards for it are exact")


def _print_races_json(results: Results, seed: int) -> None:
    say_json(
        {
            "ok": not results.differences,
            "seed": seed,
            "seconds": round(results.seconds, 1),
            "operations": results.operations,
            "operationsPerSecond": round(results.operations / results.seconds),
            "sentAgain": results.repeats,
            "races": dict(results.races),
            "operationsByKind": dict(results.kinds),
            "refusals": dict(results.refusals),
            "differences": list(results.differences),
        }
    )


def _print_races(results: Results, seed: int) -> None:
    for title, counts in (("race", results.races), ("operation", results.kinds), ("refusal", results.refusals)):
        say("")
        columns([(title, "times"), *((name, str(count)) for name, count in sorted(counts.items()))])
    say(
        f"\n{results.operations} operations in {results.seconds:.0f} s ({results.operations / results.seconds:.0f} a second),"
        f" {results.repeats} requests sent again with their keys"
    )
    if not _print_differences(results.differences, seed):
        say("every unit of every card and wallet is there once, every key had one effect; verify finds nothing")


def _print_differences(differences: Sequence[str], seed: int) -> bool:
    """Whether there are any."""
    for difference in differences[:SHOWN_MAX]:
        say(f"DIFFERENCE  {difference}")
    if differences:
        say(f"{len(differences)} differences; run it again with --seed {seed}")
    return bool(differences)
