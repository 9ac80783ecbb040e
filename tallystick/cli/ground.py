"""What every command stands on: settings, the data directory, the database and the keys of the house."""

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import typer
from rich.console import Console

from tallystick.base import clock
from tallystick.base.db import LOST, Pool
from tallystick.base.keys import BadKeys, MasterKeys
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
    errors.print(f"[red]{sentence}[/red]" if errors.is_terminal else sentence)
    return typer.Exit(1)


def directory(settings: Settings, given: Path | None) -> Path:
    """Where this machine keeps its data."""
    return (given or settings.data_directory or default_data_directory()).expanduser().resolve()


def master_keys(settings: Settings, data: Path) -> MasterKeys:
    """The keys of the house: from the settings, or from the file that the first embedded start made."""
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
        file = data / MASTER_KEY
        with contextlib.suppress(FileExistsError):
            if not file.exists():
                MasterKeys.generate().write_new(file)
        return MasterKeys.read(file)
    except (BadKeys, FileNotFoundError) as error:
        raise fail(str(error)) from None


@dataclass(frozen=True, slots=True)
class Ground:
    """An open house without its doors: for commands that work beside a running `up` or on their own."""

    settings: Settings
    dsn: str
    keys: MasterKeys
    runtime: Runtime


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=3)
    except (*LOST, OSError):
        return False
    await connection.close()
    return True


async def reachable(settings: Settings, data: Path) -> tuple[str, Postgres | None]:
    """The dsn of the database; an embedded one is started here unless another process of this directory runs it."""
    if settings.database_url is not None:
        return settings.database_url, None
    place = data / DATABASE
    if place.exists() and await _answers(address(place)):
        return address(place), None
    try:
        server = Postgres.start(place)
    except Refused as refused:
        raise fail(str(refused)) from None
    return server.dsn, server


@asynccontextmanager
async def opened(settings: Settings, data_given: Path | None) -> AsyncIterator[Ground]:
    """The house's runtime for the length of a command, on whichever database the settings name."""
    data = directory(settings, data_given)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    dsn, server = await reachable(settings, data)
    try:
        keys = master_keys(settings, data)
        pool = Pool(dsn, 4, name="tallystick-cli")
        try:
            yield Ground(settings, dsn, keys, Runtime(pool, clock.utc, keys, CLOSINGS))
        finally:
            await pool.close()
    finally:
        if server is not None:
            server.stop()


def read_settings() -> Settings:
    """The settings of this process, read once; a sentence for each wrong one."""
    try:
        return Settings.read(os.environ)
    except BadSettings as bad:
        raise fail(str(bad)) from None
