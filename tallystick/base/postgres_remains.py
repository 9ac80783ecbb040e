"""What a dead server or its dead owner left: locks, processes, files. The kernel is asked, not a file believed."""

import fcntl
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from tallystick.base.postgres_account import ENVIRONMENT, Refused


def lock(path: Path) -> int | None:
    """The descriptor of the locked file, or None while another holds it; released when its last copy closes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def sign(descriptor: int) -> None:
    """Write our pid into the locked file, for the sentence a second owner is refused with."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def cluster_name(data: Path) -> str:
    """The name the server shows in the title of each of its processes."""
    return f"tallystick-{sha256(os.fsencode(data)).hexdigest()[:16]}"


def living(data: Path) -> set[int]:
    """The pids of all PostgreSQL processes in this data directory, without the dead that nobody has reaped yet."""
    return _by_directory(data) if Path("/proc/self/cwd").exists() else _by_title(data)


def end(data: Path, *, patience: float) -> None:
    """End every process of the server: in order if its postmaster lives and ends within `patience` seconds, else by force.

    Force loses nothing: what was acknowledged is in the log on disk, and the next start replays it.
    """
    postmaster = _postmaster(data)
    if postmaster in living(data):
        _signal({postmaster}, signal.SIGINT)
        _signal({postmaster}, signal.SIGCONT)  # one that was stopped could not obey
        _gone(data, patience)
        _signal(living(data) & {postmaster}, signal.SIGQUIT)
        _gone(data, min(patience, 3.0))
    deadline = time.monotonic() + 10.0
    while remains := living(data):
        _signal(remains, signal.SIGKILL)
        if _gone(data, 0.2):
            break
        if time.monotonic() > deadline:
            raise Refused(
                f"Processes {sorted(remains)} of the database in {data} cannot be killed. Restart the machine."
            )


def clear(data: Path, socket: Path) -> None:
    """Remove the lock files of a server none of whose processes lives: the pid they name may by now be anyone's."""
    for path in (data / "postmaster.pid", socket, socket.with_name(f"{socket.name}.lock")):
        path.unlink(missing_ok=True)


def _by_directory(data: Path) -> set[int]:
    # Each process of a server stands in its data directory, whatever its title, session or parent.
    try:
        home = data.stat()
    except FileNotFoundError:
        return set()
    found = set()
    for entry in Path("/proc").iterdir():
        # A process may end while we look, and those of other users are closed to us and cannot be ours.
        with suppress(OSError):
            if entry.name.isdigit() and os.path.samestat((entry / "cwd").stat(), home) and _is_postgres(entry):
                found.add(int(entry.name))
    return found


def _is_postgres(entry: Path) -> bool:
    # Not the shell of someone who looks around there. After an upgrade the name may read "postgres (deleted)".
    return re.match(r"postgres\b", (entry / "exe").readlink().name) is not None


def _by_title(data: Path) -> set[int]:
    name = cluster_name(data)
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,stat=,command="],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    found = set()
    for line in listing.stdout.splitlines():
        pid, state, command = line.split(None, 2)
        if name in command and "postgres" in command.split()[0] and not state.startswith("Z"):
            found.add(int(pid))
    return found


def _postmaster(data: Path) -> int:
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return 0


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _gone(data: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while living(data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
