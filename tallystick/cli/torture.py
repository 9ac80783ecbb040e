"""`torture`: a house of its own, its processes killed under load, and an independent count at the end."""

import asyncio
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli.ground import columns, fail, say, say_json
from tallystick.torture import Report, Torment, torment
from tallystick.torture.house import Broken

SHOWN_MAX = 50


def torture(
    minutes: Annotated[float, typer.Option(help="How long the processes are killed.", min=0.05, max=10_000)] = 1.0,
    seed: Annotated[int | None, typer.Option(help="What is done in which order; without, a new one, printed.")] = None,
    writers: Annotated[int, typer.Option(help="Partners that write at the same time.", min=1, max=200)] = 12,
    data: Annotated[
        Path | None, typer.Option(help="An empty directory for the house; kept. Without, a temporary one, removed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Kill processes under load, then prove that no acknowledged reward was lost or doubled. Exits 1 on any difference."""
    if sys.platform != "linux":
        raise fail("torture finds the processes it kills in /proc, which only Linux has.")
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    if not as_json:
        say(f"seed {chosen}, {writers} writers, {minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="tallystick-torture-") as temporary:
        place = Path(temporary) if data is None else data.expanduser().resolve()
        if data is not None:
            _make_empty(place)
        tell = (lambda _: None) if as_json else (lambda kind: say(f"  {kind}"))
        try:
            report = asyncio.run(torment(Torment(minutes * 60, chosen, place, writers, tell=tell)))
        except Broken as broken:
            raise fail(str(broken)) from None
    (_print_json if as_json else _print)(report, chosen)
    raise typer.Exit(1 if report.differences else 0)


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
    for difference in report.differences[:SHOWN_MAX]:
        say(f"DIFFERENCE  {difference}")
    if report.differences:
        say(f"{len(report.differences)} differences; run it again with --seed {seed}")
    else:
        say(
            f"{report.rewards} rewards, each there exactly once; amounts, wallets and funding are exact; verify finds nothing"
        )
