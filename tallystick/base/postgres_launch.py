"""Become somebody PostgreSQL accepts, ask for a signal when the parent dies, then turn into the given program.

Run as a script: these steps belong between fork and exec, and Python code there is unsafe in a process that has threads.
A small interpreter of its own is safe, and the program it turns into keeps the pid, so the caller reaps the server itself.

Arguments: parent pid, death signal, uid:gid to drop to or -, uid:gid to appear as or -, directory to stand in, program
and its arguments. Exit codes: 123 the parent is gone, 124 the directory is out of reach, 125 cannot become that user,
126 the program cannot run.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARENT_GONE, OUT_OF_REACH, CANNOT_BECOME, CANNOT_RUN = 123, 124, 125, 126

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def main(parent: str, death_signal: str, drop: str, appear: str, directory: str, *program: str) -> None:
    os.umask(0o077)
    with _fault_is(CANNOT_BECOME):
        if drop != "-":
            _drop(*map(int, drop.split(":")))
        if appear != "-":
            _appear(*map(int, appear.split(":")))
    with _fault_is(OUT_OF_REACH):
        os.chdir(directory)
    if sys.platform == "linux":
        # After every change of user, because the kernel forgets the wish whenever credentials change.
        _call("prctl", PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        sys.exit(PARENT_GONE)  # it died before the wish was made
    with _fault_is(CANNOT_RUN):
        os.execv(program[0], program)  # noqa: S606 - turning into the program is the point


@contextmanager
def _fault_is(code: int) -> Iterator[None]:
    """An error of the operating system inside the block is told and ends the script with this code."""
    try:
        yield
    except OSError as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(code)


def _drop(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _appear(uid: int, gid: int) -> None:
    """In a user namespace of its own this process is `uid`; outside it stays who it is, and so do its files."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")


def _call(name: str, *arguments: int) -> None:
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except AttributeError:
        raise OSError(f"this system has no {name}") from None
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
