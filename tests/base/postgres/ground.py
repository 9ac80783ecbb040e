"""What the tests of the embedded server stand on: looking at its processes, and keeping a word in it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

import tallystick
from tallystick.base.postgres import Postgres

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def inhabitants(place: Path) -> list[psutil.Process]:
    """Everyone who lives in the directory and is not a zombie, found by other means than the server's own."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if one.status() != psutil.STATUS_ZOMBIE and Path(one.cwd()).is_relative_to(place):
                found.append(one)
    return found


def postmaster(place: Path) -> psutil.Process:
    return psutil.Process(int((place / "data/postmaster.pid").read_text().split()[0]))


def sql(dsn: str, *statements: str) -> str:
    """What psql prints; raises when a statement fails."""
    commands = [argument for statement in statements for argument in ("-c", statement)]
    done = subprocess.run(
        [Postgres.binary("psql"), dsn, "-XAtq", "-v", "ON_ERROR_STOP=1", *commands],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def remember(dsn: str) -> None:
    sql(dsn, "create table kept (word text)", "insert into kept values ('here')")


def remembered(dsn: str) -> bool:
    return sql(dsn, "select word from kept") == "here"


def until(true: Callable[[], bool], seconds: float = 10.0) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - began


def environment() -> dict[str, str]:
    paths = [str(Path(tallystick.__file__).parents[1]), *(path for path in sys.path if path.endswith("site-packages"))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@asynccontextmanager
async def kept_alive(server: Postgres) -> AsyncIterator[None]:
    watcher = asyncio.create_task(server.keep_alive(interval=0.05))
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
