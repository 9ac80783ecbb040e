"""An embedded PostgreSQL server: one directory, one owning process, one unix socket, full durability.

The directory holds `data` (the database, mode 0700, with the socket and `log` inside), `owner.lock` (held by the process
that owns the server) and `server.lock` (held by every process of the server). Nobody but the directory's owner can reach
the socket, and that user could read the files anyway, so the server trusts whoever connects.
"""

import asyncio
import atexit
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import IO

import structlog

from tallystick.base import postgres_account, postgres_place, postgres_remains, postgres_tuning
from tallystick.base.postgres_account import ENVIRONMENT, Refused, Seat, binaries, version
from tallystick.base.postgres_place import PORT, address

__all__ = ["Postgres", "Refused", "address", "binaries", "version"]

START_SECONDS_MAX = 300.0
"""Includes the replay of the log after a crash; a server that ends before is noticed at once."""
FAST_STOP_SECONDS_MAX = 20.0
"""Time for the last checkpoint; then the server is killed, and the next start replays the log instead."""
LOCK_SECONDS_MAX = 10.0

QUESTION_SECONDS = 2.0
UNANSWERED_MAX = 3
RETRY_SECONDS = 5.0

ACCEPTS, SILENT = 0, 2
NO_TUNING: Mapping[str, str] = MappingProxyType({})


class Postgres:
    """A running embedded server that belongs to this process. All verbs wait and may be called from any thread."""

    def __init__(self, place: Path, seat: Seat, tuning: Mapping[str, str], owner_lock: int) -> None:
        """Use `start`."""
        self.dsn = address(place)
        self._place = place
        self._data = place / "data"
        self._seat = seat
        self._tuning = tuning
        self._owner = os.getpid()
        self._owner_lock = owner_lock
        self._server_lock = -1
        self._server: subprocess.Popen[bytes] | None = None
        self._turn = threading.RLock()
        self._leaving = threading.Event()
        # The kernel signals the server when the thread that started it ends, so one thread starts it and then waits for as
        # long as this object is in use. When the interpreter ends, so does that thread, and with it the server, in order.
        self._parent = ThreadPoolExecutor(1, thread_name_prefix="postgres-parent")

    @classmethod
    def start(cls, directory: Path, *, tuning: Mapping[str, str] = NO_TUNING) -> "Postgres":
        """Make the database when the directory is new, start the server, return when it accepts connections; or Refused.

        `tuning` replaces settings by name. Whatever an earlier owner left running in the directory is stopped first.
        """
        place, made = postgres_place.make(directory.expanduser().resolve())
        owner_lock = postgres_place.own(place)
        try:
            server = cls(place, postgres_account.choose(place, made=made), tuning, owner_lock)
        except BaseException:
            os.close(owner_lock)
            raise
        try:
            server._seat.account.own(place / "owner.lock")
            server._take_over()
            postgres_place.create_once(place, server._seat, server._server_lock)
            server._launch()
        except BaseException:
            server.stop()
            raise
        atexit.register(server.stop)
        return server

    @staticmethod
    def binary(name: str) -> Path:
        """The path of a PostgreSQL program of the server's own version, such as pg_dump."""
        found = binaries() / name
        if not found.is_file():
            raise Refused(f"The embedded PostgreSQL has no program {name}.")
        return found

    def alive(self) -> bool:
        """Whether the server really answers and accepts connections. It is not enough that a process exists."""
        return self._runs() and self._ask() == ACCEPTS

    def restart(self) -> None:
        """Start again, whatever state the server is in and whatever its dead left; or Refused, as after `stop`."""
        with self._turn:
            self._refuse_after_stop()
            patience = FAST_STOP_SECONDS_MAX if self.alive() else 0.0
            self._end(patience)
            self._take_over()
            self._launch()

    def stop(self) -> None:
        """Stop the server, by force when it takes too long, and give the directory free. Does nothing the second time."""
        if os.getpid() != self._owner:
            return  # a forked child has a copy of this object, not the server
        self._leaving.set()
        with self._turn:
            if self._owner_lock < 0:
                return
            try:
                self._end(FAST_STOP_SECONDS_MAX)
                postgres_place.leave(self._place, self._seat.account)
            finally:
                self._parent.shutdown()
                os.close(self._owner_lock)
                self._owner_lock = -1
                atexit.unregister(self.stop)

    async def keep_alive(self, *, interval: float = 0.25) -> None:
        """Start the server again whenever it has died or stopped answering; runs until cancelled or until `stop`.

        Every `interval` seconds it looks whether the server has exited, which costs nothing; more rarely it asks it.
        """
        log = structlog.get_logger(__name__)
        pause, silence = interval, _Silence()
        while not self._leaving.is_set():
            await asyncio.sleep(pause)
            pause = interval
            try:
                silent = await silence.lasts(self._ask)
                if self._leaving.is_set() or (self._runs() and not silent):
                    continue
                began = time.monotonic()
                log.warning("postgres.silent" if silent else "postgres.died", place=str(self._place))
                await asyncio.to_thread(self._revive, silent=silent)
                log.warning("postgres.restarted", seconds=round(time.monotonic() - began, 3))
            except (Refused, OSError) as fault:
                # The disk may be full or the system out of processes; neither lasts for ever.
                if not self._leaving.is_set():
                    log.warning("postgres.not_restarted", reason=str(fault))
                pause = RETRY_SECONDS

    def _revive(self, *, silent: bool) -> None:
        with self._turn:
            if silent:
                self._end(0.0)
            if not self._runs():  # else somebody has restarted it while we waited for our turn
                self.restart()

    def _runs(self) -> bool:
        server = self._server
        return server is not None and server.poll() is None

    def _ask(self) -> int:
        """What pg_isready says: 0 accepts, 1 is starting or stopping, 2 no answer."""
        where = [
            "-U",
            postgres_place.SUPERUSER,
            "-d",
            postgres_place.DATABASE,
            "-h",
            str(postgres_place.socket_directory(self._place)),
            "-p",
            str(PORT),
        ]
        question = [str(self.binary("pg_isready")), "-q", "-t", "2", *where]
        try:
            return subprocess.run(
                question, env=ENVIRONMENT, cwd="/", start_new_session=True, check=False, timeout=30
            ).returncode
        except subprocess.TimeoutExpired:
            return SILENT

    def _refuse_after_stop(self) -> None:
        if self._leaving.is_set() or os.getpid() != self._owner:
            raise Refused(f"The database in {self._place} was stopped, or belongs to another process.")

    def _take_over(self) -> None:
        """End whoever is left of an earlier server, also of one that was still being made, and lock the directory."""
        postgres_remains.end(self._data, patience=FAST_STOP_SECONDS_MAX)
        postgres_remains.end(self._place / postgres_place.HALF_MADE, patience=0)
        self._server_lock = self._lock_server()

    def _launch(self) -> None:
        socket = postgres_place.socket_directory(self._place)
        if socket != self._data:
            postgres_place.make_private(socket, self._seat.account)
        postgres_remains.clear(self._data, socket / postgres_place.SOCKET)
        settings = {**postgres_tuning.settings(postgres_tuning.memory()), **self._tuning, **self._fixed(socket)}
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        program: list[str | Path] = [self._seat.programs / "postgres", "-D", self._data, *arguments]
        command = self._seat.account.command(self._place, *program, death=signal.SIGINT)
        with tempfile.TemporaryFile() as said:
            self._server = self._parent.submit(self._popen, command, said).result()
            self._wait_until_ready(said)

    def _popen(self, command: list[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
        # A session of its own, so that Ctrl-C in our terminal reaches us and not the server: we stop it in order.
        return subprocess.Popen(
            command,
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            pass_fds=(self._server_lock,),
        )

    def _fixed(self, socket: Path) -> dict[str, str]:
        return {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{socket}"',
            "cluster_name": postgres_remains.cluster_name(self._data),
        }

    def _lock_server(self) -> int:
        """Every process of the server inherits this lock: while one lives, even unseen, nobody starts another."""
        deadline = time.monotonic() + LOCK_SECONDS_MAX
        while (locked := postgres_remains.lock(self._place / "server.lock")) is None:
            if time.monotonic() > deadline:
                raise Refused(
                    f"A PostgreSQL server that cannot be seen from here still uses {self._place}; perhaps it runs in"
                    f" another container. Stop it first."
                )
            time.sleep(0.02)
        self._seat.account.own(self._place / "server.lock")
        return locked

    def _wait_until_ready(self, said: IO[bytes]) -> None:
        assert self._server is not None, "wait for a server that was launched"
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (_says_ready(self._data) and self._ask() == ACCEPTS):
            if self._server.poll() is not None:
                raise Refused(f"PostgreSQL did not start in {self._place}: {_last_words(said, self._data)}")
            self._refuse_after_stop()
            if time.monotonic() > deadline:
                raise Refused(
                    f"PostgreSQL in {self._place} was not ready after {START_SECONDS_MAX:.0f} s; see its log in"
                    f" {self._data / 'log'}."
                )
            time.sleep(0.01)

    def _end(self, patience: float) -> None:
        postgres_remains.end(self._data, patience=patience)
        if self._server is not None:
            # Not every server is seen: one that is still becoming itself, say. This one is our child: its pid is its own.
            if self._server.poll() is None:
                self._server.kill()
            self._server.wait()
            self._server = None
        if self._server_lock >= 0:
            os.close(self._server_lock)
            self._server_lock = -1


class _Silence:
    """How many questions in a row the server has left unanswered; one that says it is still starting has answered."""

    def __init__(self) -> None:
        self.asked_at = time.monotonic()
        self.unanswered = 0

    async def lasts(self, ask: Callable[[], int]) -> bool:
        """Ask when it is time again; true, once, when the server has been silent too often."""
        if time.monotonic() - self.asked_at < QUESTION_SECONDS:
            return False
        answer = await asyncio.to_thread(ask)
        self.asked_at = time.monotonic()
        self.unanswered = self.unanswered + 1 if answer == SILENT else 0
        if self.unanswered < UNANSWERED_MAX:
            return False
        self.unanswered = 0
        return True


def _says_ready(data: Path) -> bool:
    # The eighth line, as pg_ctl reads it. A cheap sign only, in a file that may be torn: the server is asked as well.
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _last_words(said: IO[bytes], data: Path) -> str:
    """The last lines of the server's own explanation: from before it opened its log, else from the log."""
    said.seek(0)
    texts = [said.read()]
    logs = sorted((data / "log").glob("postgres-*.log"), key=lambda path: path.stat().st_mtime)
    texts += [path.read_bytes()[-2000:] for path in logs[-1:]]
    lines = [line for text in texts for line in text.decode(errors="replace").splitlines()]
    grave = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "cannot", "could not"))]
    return " ".join((grave or lines)[-3:]).strip() or "it ended without a word"
