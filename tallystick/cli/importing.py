"""`import`: send a file of activity to a running house and watch it being read."""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import aiohttp
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tallystick.cli.ground import console, fail, say, say_json

PART_BYTES: Final = 4 * 1024 * 1024
LOOK_SECONDS: Final = 0.3
TRIES: Final = 5
JSON_API: Final = "application/vnd.api+json"
ENDINGS: Final = {".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet", ".pq": "parquet"}
SHOWN_REJECTIONS: Final = 5


class Refused(Exception):
    """The house did not take it; the message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file, and how it is to be read."""

    file: Path
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class House:
    """A running house, and the credential to speak to it with."""

    session: aiohttp.ClientSession
    base_url: str
    headers: Mapping[str, str]

    async def ask(self, method: str, path: str, kind: str = "", attributes: Mapping[str, Any] | None = None) -> Any:
        """The resource that is answered. Raises Refused."""
        document = json.dumps({"data": {"type": kind, "attributes": attributes or {}}}).encode() if kind else None
        return await self._sent(method, path, document, JSON_API)

    async def put(self, path: str, content: bytes) -> Any:
        """Send bytes. What has no answer is sent again: a part is the same however often it comes. Raises Refused."""
        return await self._sent("PUT", path, content, "application/octet-stream")

    async def _sent(self, method: str, path: str, content: bytes | None, content_type: str) -> Any:
        for tried in range(TRIES):
            try:
                async with self.session.request(
                    method,
                    f"{self.base_url}/api/v1/{path}",
                    data=content,
                    headers={**self.headers, "Content-Type": content_type},
                ) as answer:
                    if answer.status not in (429, 503) or tried == TRIES - 1:
                        return await _read(answer, method, path)
            except (aiohttp.ClientError, TimeoutError) as error:
                if tried == TRIES - 1:
                    raise Refused(f"{method} {path} had no answer: {type(error).__name__}.") from None
            await asyncio.sleep(2**tried / 4)
        raise AssertionError("the last try answers or raises")


async def _read(answer: aiohttp.ClientResponse, method: str, path: str) -> Any:
    body = await answer.json(content_type=None)
    if answer.status >= 300:
        faults = "; ".join(
            f"{each['detail']} ({next(iter(each.get('source', {'': ''}).values()))})" for each in body["errors"]
        )
        raise Refused(f"{method} {path} was answered {answer.status}: {faults}")
    return body["data"]


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send a file of activity to a running house, and watch it being read. Without --credentials: CLIENT_ID and CLIENT_SECRET.

    Exits 1 where the file could not be read to its end; lines that were rejected are told.
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
    try:
        found = asyncio.run(_import(Wanted(file, attributes), address, headers, quiet=as_json))
    except Refused as refused:
        raise fail(str(refused)) from None
    (say_json if as_json else _tell)(found)
    raise typer.Exit(0 if found["status"] == "completed" else 1)


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


async def _import(wanted: Wanted, address: str, headers: Mapping[str, str], *, quiet: bool) -> dict[str, Any]:
    bars = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        house = House(session, address, headers)
        import_id = (await house.ask("POST", "imports", "Import", wanted.attributes))["id"]
        size = wanted.file.stat().st_size
        with Progress(*bars, console=console, disable=quiet) as progress:
            parts = await _upload(house, import_id, wanted.file, progress, size)
            await house.ask("POST", f"imports/{import_id}/start", "StartImport", {"parts": parts})
            return await _watch(house, import_id, progress, size)


async def _upload(house: House, import_id: str, file: Path, progress: Progress, size: int) -> int:
    task, number = progress.add_task("sent", total=size), 0
    with file.open("rb") as content:
        while piece := content.read(PART_BYTES):
            number += 1
            await house.put(f"imports/{import_id}/parts/{number}", piece)
            progress.advance(task, len(piece))
    if number == 0:
        raise Refused(f"{file} is empty.")
    return number


async def _watch(house: House, import_id: str, progress: Progress, size: int) -> dict[str, Any]:
    task, began = progress.add_task("read", total=size), time.monotonic()
    while True:
        shown = (await house.ask("GET", f"imports/{import_id}"))["attributes"]
        progress.update(task, completed=shown["percent"] * size // 100)
        if shown["status"] not in ("accepted", "running"):
            seconds = round(time.monotonic() - began, 1)
            told = {"id": import_id, "seconds": seconds, **{name: shown[name] for name in TOLD}}
            return told | {"firstRejections": await _rejections(house, import_id) if shown["rejected"] else []}
        await asyncio.sleep(LOOK_SECONDS)


async def _rejections(house: House, import_id: str) -> list[dict[str, Any]]:
    """The first lines that were not taken, and why."""
    page: Any = await house.ask("GET", f"imports/{import_id}/rejections?page[limit]={SHOWN_REJECTIONS}")
    return [{name: each["attributes"][name] for name in ("line", "code", "detail")} for each in page]


TOLD: Final = ("status", "linesDone", "accepted", "duplicates", "rejected", "detail")


def _tell(found: Mapping[str, Any]) -> None:
    say(
        f"{found['status']}: {found['linesDone']} lines in {found['seconds']} s, {found['accepted']} accepted, "
        f"{found['duplicates']} there already, {found['rejected']} rejected"
    )
    if found["detail"]:
        say(found["detail"])
    if found["rejected"]:
        for each in found["firstRejections"]:
            say(f"  line {each['line']}: {each['code']}, {each['detail']}")
        say(f"All of them, as CSV: GET /api/v1/imports/{found['id']}/rejections/download")
