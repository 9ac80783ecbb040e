"""What every command stands on: settings, the data directory, the database and the keys of the house."""

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import typer
from rich.console import Console

from tallystick.base import clock, known_keys
from tallystick.base.db import LOST, Pool
from tallystick.base.keys import BadKeys, MasterKeys
from tallystick.base.known_keys import OtherKeys
from tallystick.base.migrate import NotMigrated, pending
from tallystick.base.postgres import Postgres, Refused, address
from tallystick.base.settings import BadSettings, Settings, default_data_directory
from tallystick.base.work import Runtime
from tallystick.main import CLOSINGS

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

MASTER_KEY = "master.key"
DATABASE = "postgres"


def fail(sentence: str) -> typer.Exit:
    """Print what is wrong and what to do; the command ends with 1."""
    errors.print(sentence, style="red", markup=False)
    return typer.Exit(1)


def say(text: str) -> None:
    """Print a line as it is: a path or a name may hold brackets."""
    console.print(text, markup=False)


def say_json(told: object) -> None:
    """Print a value as JSON."""
    console.print_json(json.dumps(told))


def columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, each row one line however narrow the terminal, so that ids can be copied and lines counted."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def read_settings() -> Settings:
    """The settings of this process, read once; a sentence for each wrong one."""
    try:
        return Settings.read(os.environ)
    except BadSettings as bad:
        raise fail(str(bad)) from None


def directory(settings: Settings, given: Path | None) -> Path:
    """Where this machine keeps its data."""
    return (given or settings.data_directory or default_data_directory()).expanduser().resolve()


def make_directory(place: Path) -> None:
    """Make the data directory, for its owner alone."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise fail(f"The data directory {place} cannot be made: {error.strerror}. Name another with --data.") from None


def master_keys(settings: Settings, place: Path) -> MasterKeys:
    """The keys of the house: from the settings, or from the file beside the embedded database.

    That file is made before its database is: a database without it has lost its key, and a new one would open nothing.
    """
    try:
        if settings.master_key is not None:
            return MasterKeys.from_text(settings.master_key)
        if settings.master_key_file is not None:
            return MasterKeys.read(settings.master_key_file)
        if settings.database_url is not None:
            raise fail(
                "Beside an external database the master key is a required setting: set TALLYSTICK_MASTER_KEY_FILE to a file "
                "made by `tallystick keys generate FILE`, and keep a copy of it. Without it nothing sealed can be read again."
            )
        file = place / MASTER_KEY
        if not file.exists() and not (place / DATABASE).exists():
            _make_key(file)
        return MasterKeys.read(file)
    except FileNotFoundError as missing:
        raise fail(
            f"The master key {missing.filename} is gone. Put it back from your copy: what it sealed opens with no other."
        ) from None
    except BadKeys as bad:
        raise fail(str(bad)) from None
    except OSError as error:
        raise fail(f"The master key {error.filename} cannot be used: {error.strerror}.") from None


def _make_key(file: Path) -> None:
    try:
        MasterKeys.generate().write_new(file)
    except FileExistsError:
        return  # another command of the same moment made it


def shown(dsn: str) -> str:
    """Where an external database is, without user and password."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'a socket'}{f':{parts.port}' if parts.port else ''}{parts.path}"


@dataclass(frozen=True, slots=True)
class Ground:
    """An open house without its doors: for commands that work beside a running `up` or on their own."""

    settings: Settings
    dsn: str
    keys: MasterKeys
    runtime: Runtime


@asynccontextmanager
async def reachable(settings: Settings, place: Path, *, make: bool) -> AsyncIterator[str]:
    """The dsn of the database for the length of the block.

    An embedded one is started unless a running `up` of this directory has done so, and made only where `make` says so:
    a mistyped directory must not become a new, empty house.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    if not make and not _exists(place):
        raise fail(
            f"There is no database in {place}. Name its directory with --data, or begin one with `tallystick up`."
        )
    if await _answers(address(place / DATABASE)):
        yield address(place / DATABASE)
        return
    server: Postgres | None = None
    try:
        server = Postgres.start(place / DATABASE)
        yield server.dsn
    except Refused as refused:
        raise fail(str(refused)) from None
    finally:
        if server is not None:
            server.stop()


def _exists(place: Path) -> bool:
    try:
        return (place / DATABASE).exists()
    except PermissionError:
        raise fail(f"The data directory {place} belongs to somebody else. Run this as its owner.") from None


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=3)
    except (*LOST, OSError):
        return False
    await connection.close()
    return True


@asynccontextmanager
async def opened(settings: Settings, given: Path | None) -> AsyncIterator[Ground]:
    """The house's runtime for the length of a command, on whichever database the settings name."""
    place = directory(settings, given)
    async with reachable(settings, place, make=False) as dsn:
        await require_schema(dsn)
        keys = master_keys(settings, place)
        pool = Pool(dsn, 4, name="tallystick-cli")
        try:
            await require_keys(pool, keys)
            yield Ground(settings, dsn, keys, Runtime(pool, clock.utc, keys, CLOSINGS))
        finally:
            await pool.close()


async def require_schema(dsn: str) -> None:
    """A sentence unless the database answers and has every migration."""
    try:
        missing = await pending(dsn)
    except NotMigrated as away:
        raise fail(str(away)) from None
    if missing:
        raise fail("The database lacks migrations of this version. Run `tallystick migrate`, or start `tallystick up`.")


async def require_keys(pool: Pool, keys: MasterKeys) -> None:
    """A sentence unless these are the keys that the database was made with."""
    try:
        await known_keys.prove(pool, keys)
    except OtherKeys as other:
        raise fail(str(other)) from None


Told = Mapping[str, object]
"""One thing as it is printed: names as in the API."""


def show(told: Told | Sequence[Told], as_json: bool) -> None:
    """Print one thing or a list of them, or JSON."""
    if as_json:
        say_json(told)
    elif isinstance(told, Mapping):
        columns([(name, _plain(value)) for name, value in told.items()])
    elif told:
        columns([tuple(told[0]), *(tuple(map(_plain, each.values())) for each in told)])
    else:
        say("none")


def _plain(value: object) -> str:
    if value is None:
        return "-"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
