"""`import`: send a file of activity to a running house and watch it being read."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import aiohttp
import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from tallystick.cli.ground import console, errors, fail, say, say_json
from tallystick.cli.uploading import Found, House, Refused, Tell, Wanted, find, look_at, patience, send

LOOK_SECONDS: Final = 0.3
ENDINGS: Final = {".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet", ".pq": "parquet"}
SHOWN_REJECTIONS: Final = 5
LINE_PERCENT: Final = 10
"""Where no terminal shows a bar, a line is printed for so many percent."""
INTERRUPTED: Final = 130
TOLD: Final = ("status", "linesDone", "accepted", "duplicates", "rejected", "detail")


def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV file, lines of JSON, or Parquet.")
    ],
    kind: Annotated[
        Literal["transaction", "visit", "order"], typer.Option(help="What its lines tell.")
    ] = "transaction",
    column: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=COLUMN, where a column is not called as its field. As often as needed."),
    ] = None,
    merchant: Annotated[
        str | None, typer.Option(help="The merchant's id, where the client may act for several.")
    ] = None,
    file_format: Annotated[
        Literal["csv", "ndjson", "parquet"] | None, typer.Option("--format", help="By the file's ending, unless told.")
    ] = None,
    delimiter: Annotated[str, typer.Option(help="What parts the columns of a CSV.")] = ",",
    attribution: Annotated[
        Literal["immediate", "reconciled"] | None,
        typer.Option(help="Counted at once, or pending; the merchant's setting."),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(help="A file as `up --demo --credentials` writes it.", envvar="TALLYSTICK_CREDENTIALS"),
    ] = None,
    environment: Annotated[
        Literal["sandbox", "production"], typer.Option(help="Which of the file's credentials.")
    ] = "sandbox",
    base_url: Annotated[str | None, typer.Option(help="Where the house answers, instead of a file.")] = None,
    rejected: Annotated[
        Path | None, typer.Option(help="Where to write the lines that were rejected and why, as CSV.", dir_okay=False)
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Read it once more, where it was read to its end already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send a file of activity to a running house, and watch it being read. Without --credentials: CLIENT_ID and CLIENT_SECRET.

    Run again on the same file, it goes on where it was stopped, or shows what came of it. Exits 1 where the file could not be
    read to its end, 130 when stopped by Ctrl-C; lines that were rejected are told.
    """
    address, headers = _credential(credentials, environment, base_url)
    attributes: dict[str, Any] = {
        "kind": kind,
        "format": file_format or ENDINGS.get(file.suffix.lower(), "csv"),
        "columns": dict(_columns(column or ())),
        "delimiter": delimiter,
    }
    attributes |= {} if merchant is None else {"merchantId": merchant}
    attributes |= {} if attribution is None else {"attribution": attribution}
    if rejected is not None and (not rejected.parent.is_dir() or rejected.resolve() == file.resolve()):
        raise fail(f"{rejected} cannot be written: name another file, in a directory that is there.")
    with _sentences(), _steps(quiet=as_json) as tell:
        size, sha256 = look_at(file, tell)
        wanted = Wanted(file, size, sha256, attributes, again)
        told = asyncio.run(_import(wanted, address, headers, rejected, tell))
    (say_json if as_json else _tell)(told)
    raise typer.Exit(0 if told["status"] == "completed" else 1)


@contextmanager
def _sentences() -> Iterator[None]:
    """Whatever stops it is told in one."""
    try:
        yield
    except Refused as refused:
        raise fail(str(refused)) from None
    except KeyboardInterrupt:
        errors.print("Stopped. Run it again: it goes on where it was.", markup=False)
        raise typer.Exit(INTERRUPTED) from None


def _columns(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    for each in given:
        field, equals, column = each.partition("=")
        if not (field and equals and column):
            raise fail(f"--column is FIELD=COLUMN, not {each!r}.")
        yield field, column


def _credential(file: Path | None, environment: str, base_url: str | None) -> tuple[str, dict[str, str]]:
    if file is not None:
        try:
            kept = json.loads(file.read_text())
            named = kept[environment]
            address, client_id, secret = base_url or kept["baseUrl"], named["clientId"], named["clientSecret"]
        except (OSError, ValueError, KeyError) as error:
            raise fail(f"{file} is no file of credentials ({type(error).__name__}).") from None
    else:
        address, client_id, secret = base_url, os.environ.get("CLIENT_ID"), os.environ.get("CLIENT_SECRET")
        if address is None or client_id is None or secret is None:
            raise fail("Name --credentials FILE, or --base-url with CLIENT_ID and CLIENT_SECRET in the environment.")
    return str(address).rstrip("/"), {"Client-ID": client_id, "Authorization": f"Bearer {secret}"}


@dataclass(slots=True)
class _Bars:
    """Each step as a bar."""

    progress: Progress
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def tell(self, step: str, done: int, total: int) -> None:
        if step not in self.tasks:
            self.tasks[step] = self.progress.add_task(step, total=total)
        self.progress.update(self.tasks[step], completed=done, total=total)


@dataclass(slots=True)
class _Lines:
    """Each step as lines: at its begin, every so many percent, and at its end."""

    shown: dict[str, int] = field(default_factory=dict)

    def tell(self, step: str, done: int, total: int) -> None:
        mark = done * 100 // total // LINE_PERCENT
        if self.shown.get(step, -1) < mark:
            self.shown[step] = mark
            say(f"{step}: {done * 100 // total} %, {done} of {total} bytes")


@contextmanager
def _steps(*, quiet: bool) -> Iterator[Tell]:
    """Who tells of the steps: bars on a terminal, lines otherwise, nobody where JSON is wanted."""
    if quiet:
        yield lambda _step, _done, _total: None
    elif console.is_terminal:
        bars = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*bars, console=console) as progress:
            yield _Bars(progress).tell
    else:
        yield _Lines().tell


async def _import(
    wanted: Wanted, address: str, headers: Mapping[str, str], rejected: Path | None, tell: Tell
) -> dict[str, Any]:
    async with aiohttp.ClientSession(timeout=patience()) as session:
        house = House(session, address, headers)
        found = await find(house, wanted)
        while found.status == "uploading" and not await send(house, found, wanted, tell):
            found = await find(house, wanted)
        told = await _watch(house, found, wanted, tell)
        if rejected is not None:
            told["rejectedLines"] = str(await _write_rejected(house, found.id, rejected))
        return told


async def _watch(house: House, found: Found, wanted: Wanted, tell: Tell) -> dict[str, Any]:
    began = time.monotonic()
    while True:
        shown = (await house.get(f"imports/{found.id}"))["data"]["attributes"]
        tell("read", shown["percent"] * wanted.size // 100, wanted.size)
        if shown["status"] not in ("uploading", "accepted", "running"):
            told = {"id": found.id, "sha256": wanted.sha256, "earlier": found.status == "completed"}
            told |= {"seconds": round(time.monotonic() - began, 1), **{name: shown[name] for name in TOLD}}
            return told | {"firstRejections": await _rejections(house, found.id) if shown["rejected"] else []}
        await asyncio.sleep(LOOK_SECONDS)


async def _rejections(house: House, import_id: str) -> list[dict[str, Any]]:
    """The first lines that were not taken, and why."""
    page = await house.get(f"imports/{import_id}/rejections?page[limit]={SHOWN_REJECTIONS}")
    return [{name: each["attributes"][name] for name in ("line", "code", "detail")} for each in page["data"]]


async def _write_rejected(house: House, import_id: str, file: Path) -> Path:
    """Write all lines that were not taken, whole or not at all, for their owner alone. Raises Refused."""
    written: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}-", delete=False) as unfinished:
            written = Path(unfinished.name)
            async for piece in house.stream(f"imports/{import_id}/rejections/download"):
                unfinished.write(piece)
        written.replace(file)
    except OSError as error:
        raise Refused(f"{file} cannot be written: {error.strerror}.") from None
    finally:
        if written is not None:
            written.unlink(missing_ok=True)
    return file


def _tell(told: Mapping[str, Any]) -> None:
    took = "" if told["earlier"] else f" in {told['seconds']} s"
    say(
        f"{told['status']}: {told['linesDone']} lines{took}, {told['accepted']} accepted, "
        f"{told['duplicates']} there already, {told['rejected']} rejected"
    )
    if told["earlier"]:
        say("That is what came of the same file before: nothing was sent. --again reads it once more.")
    if told["detail"]:
        say(told["detail"])
    for each in told["firstRejections"]:
        say(f"  line {each['line']}: {each['code']}, {each['detail']}")
    if "rejectedLines" in told:
        say(f"All that were rejected, as CSV: {told['rejectedLines']}")
    elif told["rejected"]:
        say("All of them, as CSV: run it again with --rejected FILE")
