"""The directory of an embedded server: owned by one process, with a database inside and a socket nobody else reaches."""

import os
import shutil
import signal
import stat
import subprocess
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from tallystick.base import postgres_remains
from tallystick.base.postgres_account import ENVIRONMENT, Account, Refused, Seat, version

HALF_MADE = "data.new"
DATABASE = "tallystick"
SUPERUSER = "postgres"

PORT = 5432
"""Only a part of the socket's name: no port is opened."""
SOCKET = f".s.PGSQL.{PORT}"
SOCKET_PATH_MAX = 100
"""Bytes. Systems differ, from 103 on; longer paths of sockets are cut or refused."""

MAKING_SECONDS_MAX = 300.0
END_SECONDS_MAX = 5.0


def address(directory: Path) -> str:
    """The DSN of the server in this directory, whether or not it runs."""
    place = directory.expanduser().resolve()
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(socket_directory(place)))}&port={PORT}"


def make(place: Path) -> tuple[Path, bool]:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o700)
    except FileExistsError as fault:
        if not place.is_dir():
            raise Refused(f"{fault.filename} is not a directory. Name another place for the database.") from None
        return place, False
    except OSError as fault:
        raise Refused(f"The database directory {place} cannot be made: {fault.strerror}. Name another one.") from fault
    return place, True


def own(place: Path) -> int:
    path = place / "owner.lock"
    try:
        locked = postgres_remains.lock(path)
        if locked is None:
            pid = path.read_text(encoding="ascii").strip()
            whose = "this process" if pid == str(os.getpid()) else f"process {pid or 'that has just begun'}"
            raise Refused(f"The database in {place} is in use by {whose}. Stop that first, or name another directory.")
    except OSError as fault:
        raise Refused(
            f"The database directory {place} cannot be used: {fault}. Start as its owner, or name another one."
        ) from fault
    postgres_remains.sign(locked)
    return locked


def create_once(place: Path, seat: Seat, lock: int) -> None:
    """Make the database unless there is one; then see that it is of our version and belongs to the account.

    Every program inherits `lock`, so that a later owner waits until the last one has ended.
    """
    data = place / "data"
    if not (data / "PG_VERSION").exists():
        _refuse_strangers(data)
        _create(place, seat, lock)
    found, ours = (data / "PG_VERSION").read_text(encoding="ascii").strip(), version().split(".")[0]
    if found != ours:
        raise Refused(
            f"The database in {place} was written by PostgreSQL {found}, and this is PostgreSQL {ours}. Bring it over"
            f" with pg_upgrade, or with pg_dump of version {found} and psql into a new directory."
        )
    if data.stat().st_uid != seat.account.uid():
        seat.account.own_all(data)


def socket_directory(place: Path) -> Path:
    """Inside the data directory; or a short private one where that path is too long or has a sign no list of hosts can hold.

    It follows from `place` alone, so that another process of the same user finds the server too.
    """
    data = place / "data"
    length = len(os.fsencode(data / SOCKET))
    if length <= SOCKET_PATH_MAX and str(data).isprintable() and not set(str(data)) & set(',"'):
        return data
    return Path("/tmp", f"tallystick-{sha256(os.fsencode(place)).hexdigest()[:24]}")  # noqa: S108 - make_private checks who made it


def make_private(socket: Path, account: Account) -> None:
    with suppress(FileExistsError):
        socket.mkdir(mode=0o700)
        account.own(socket)
    if not _is_private(socket, account):
        raise Refused(
            f"{socket} is needed for the database's socket, but is not a private directory of ours. Remove it."
        )


def leave(place: Path, account: Account) -> None:
    """Remove what only a running server needs, after its last process has ended."""
    data, socket = place / "data", socket_directory(place)
    if socket == data or _is_private(socket, account):  # else it is not ours to touch
        postgres_remains.clear(data, socket / SOCKET)
        if socket != data:
            shutil.rmtree(socket)


def _is_private(directory: Path, account: Account) -> bool:
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid() and not found.st_mode & 0o077


def _refuse_strangers(data: Path) -> None:
    if data.exists() and any(data.iterdir()):
        raise Refused(f"{data} is not empty and holds no database. Name another directory, or move what is there away.")


def _create(place: Path, seat: Seat, lock: int) -> None:
    """Make a complete database beside, then rename it: a directory `data` is never half made."""
    fresh = place / HALF_MADE
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    seat.account.own(fresh)
    initdb: list[str | Path] = [
        seat.programs / "initdb",
        "-D",
        fresh,
        "-U",
        SUPERUSER,
        "--auth=trust",
        "--data-checksums",
    ]
    # One collation everywhere, by code point, that no update of the system's libraries can change under an index.
    initdb += [
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
    ]
    # Should anyone ever start this directory by hand, it opens no port either.
    _run(place, seat, lock, *initdb, "-c", "listen_addresses=")
    alone: list[str | Path] = [
        seat.programs / "postgres",
        "--single",
        "-D",
        fresh,
        "-c",
        "exit_on_error=on",
        "template1",
    ]
    _run(place, seat, lock, *alone, said=f"create database {DATABASE}\n")
    fresh.rename(place / "data")
    folder = os.open(place, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _run(place: Path, seat: Seat, lock: int, *program: str | Path, said: str = "") -> None:
    with subprocess.Popen(
        seat.account.command(place, *program, death=signal.SIGKILL),
        env=ENVIRONMENT,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(lock,),
    ) as running:
        try:
            answered, _ = running.communicate(said.encode(), MAKING_SECONDS_MAX)
        except BaseException:
            _end(running)
            raise
    if running.returncode != 0:
        words = " ".join(answered.decode(errors="replace").split("\n")[-6:]).strip()
        raise Refused(f"A new database cannot be made in {place}: {words or f'exit code {running.returncode}'}")


def _end(running: "subprocess.Popen[bytes]") -> None:
    """End a program with everything that it began: a server of its own goes on writing for a moment behind its end."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    until = time.monotonic() + END_SECONDS_MAX
    with suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < until:
            os.killpg(running.pid, 0)
            time.sleep(0.01)
