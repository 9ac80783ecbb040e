"""The contenders: each a PostgreSQL server of its own and the processes that answer HTTP before it.

A server each, because only so can the CPU time of every process of a server (writers, checkpointer, vacuum) be told apart, and
because the one's write-ahead log and dead rows do not weigh on the other. Both have the embedded server's settings: fsync is on.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit, urlunsplit

from benchmarks import meter
from tallystick.base.postgres import Postgres
from tallystick.cli.processes import listen

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
LOG: Final = "processes.log"


@dataclass(frozen=True, slots=True)
class Contender:
    """What is measured: the port that answers, and the processes before and behind it."""

    name: str
    dsn: str
    port: int
    processes: tuple[int, ...]
    server: int

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU used so far: by the application, and by the database."""
        return sum(meter.cpu_seconds(pid) for pid in self.processes), meter.cpu_seconds(self.server)

    def memory(self) -> tuple[float, float]:
        """MiB in use: by the application, and by the database."""
        return sum(meter.memory_mib(pid) for pid in self.processes), meter.memory_mib(self.server)


@contextmanager
def database(directory: Path) -> Iterator[tuple[str, int]]:
    """An embedded server with its own settings, for the length of the block: its dsn, and the pid of its first process."""
    server = Postgres.start(directory)
    try:
        yield server.dsn, int((directory / "data" / "postmaster.pid").read_text().split()[0])
    finally:
        server.stop()


def beside(dsn: str, name: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@contextmanager
def product(name: str, place: Path, dsn: str, server: int, key_file: Path, processes: int) -> Iterator[Contender]:
    """This product: HTTP processes that share a socket, and the one for background work, as `tallystick up` runs them."""
    environ = {
        **_environ(),
        "TALLYSTICK_DATABASE_URL": dsn,
        "TALLYSTICK_MASTER_KEY_FILE": str(key_file),
        "TALLYSTICK_LOG_LEVEL": "warning",
    }
    with _socket() as listening:
        serve = ("tallystick", "serve", "--fd", str(listening.fileno()))
        commands = [*([serve] * processes), ("tallystick", "work", "--part")]
        with _running(commands, environ, listening, place / LOG) as pids:
            port: int = listening.getsockname()[1]
            _wait(port, "/readyz", {200})
            yield Contender(name, dsn, port, pids, server)


@contextmanager
def usual(name: str, place: Path, dsn: str, server: int, key_file: Path, processes: int) -> Iterator[Contender]:
    """The usual stack: as many processes that share a socket, as `uvicorn --workers` runs them."""
    environ = {**_environ(), "BENCH_DSN": dsn, "BENCH_KEY_FILE": str(key_file)}
    with _socket() as listening:
        command = ("benchmarks.usual", str(listening.fileno()))
        with _running([command] * processes, environ, listening, place / LOG) as pids:
            port: int = listening.getsockname()[1]
            _wait(port, "/nothing-here", {404})
            yield Contender(name, dsn, port, pids, server)


@contextmanager
def _socket() -> Iterator[socket.socket]:
    listening = listen("127.0.0.1", 0, exact=True)
    try:
        yield listening
    finally:
        listening.close()


@contextmanager
def _running(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], listening: socket.socket, log: Path
) -> Iterator[tuple[int, ...]]:
    """Modules run as processes; each ends by itself when this one is gone, since its standard input closes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        out = stack.enter_context(log.open("ab"))
        started = [stack.enter_context(_started(command, environ, listening, out)) for command in commands]
        for process in started:
            stack.callback(process.terminate)  # all are told before any is waited for
        yield tuple(process.pid for process in started)


@contextmanager
def _started(
    command: Sequence[str], environ: Mapping[str, str], listening: socket.socket, out: IO[bytes]
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=out,
        env=environ,
        cwd=Path(__file__).parent.parent,
        pass_fds=(listening.fileno(),),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None, "it is a pipe"
        process.stdin.close()


def _environ() -> dict[str, str]:
    """The environment without settings of somebody else's house."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TALLYSTICK_", "PG"))}


def _wait(port: int, path: str, statuses: set[int]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            status = 0
        if status in statuses:
            return
        time.sleep(0.1)
    raise TimeoutError(f"Nothing answers {path} within {READY_SECONDS:.0f} seconds; see {LOG} in its directory.")
