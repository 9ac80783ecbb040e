"""One directory has one owner, and a killed owner leaves nothing that stands in the way."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tallystick.base import postgres, postgres_remains
from tallystick.base.postgres import Postgres, Refused
from tests.base.postgres.ground import (
    environment,
    inhabitants,
    only_linux,
    postmaster,
    remember,
    remembered,
    sql,
    until,
)


def test_a_second_start_is_refused_and_names_the_owner(owner: subprocess.Popen[str], place: Path) -> None:
    with pytest.raises(Refused, match=f"in use by process {owner.pid}. Stop that first"):
        Postgres.start(place)
    remember(postgres.address(place))


def test_the_owner_itself_is_refused_a_second_server(server: Postgres, place: Path) -> None:
    with pytest.raises(Refused, match="in use by this process"):
        Postgres.start(place)
    assert server.alive()


@only_linux
def test_when_the_owner_is_killed_the_server_ends_by_itself_and_keeps_everything(
    owner: subprocess.Popen[str], place: Path
) -> None:
    remember(postgres.address(place))
    owner.kill()
    owner.wait()
    until(lambda: not inhabitants(place), 5)
    server = Postgres.start(place)
    assert remembered(server.dsn)
    server.stop()


def test_a_start_right_after_the_owner_was_killed_takes_over(owner: subprocess.Popen[str], place: Path) -> None:
    remember(postgres.address(place))
    before = {one.pid for one in inhabitants(place)}
    os.kill(postmaster(place).pid, signal.SIGSTOP)  # so that it is there for sure
    owner.kill()
    owner.wait()
    server = Postgres.start(place)
    assert remembered(server.dsn)
    assert not before & {one.pid for one in inhabitants(place)}
    server.stop()


def test_a_start_after_owner_and_postmaster_were_killed_ends_the_orphans(
    owner: subprocess.Popen[str], place: Path
) -> None:
    remember(postgres.address(place))
    orphans = [one for one in inhabitants(place) if one.pid != postmaster(place).pid]
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):  # the one that served us may be ending by itself
            orphan.suspend()
    owner.kill()
    postmaster(place).kill()
    owner.wait()
    server = Postgres.start(place)
    assert remembered(server.dsn)
    assert not {one.pid for one in orphans} & {one.pid for one in inhabitants(place)}
    server.stop()


@pytest.mark.parametrize("moment", [0.0, 0.3])
def test_an_owner_killed_while_it_makes_the_database_leaves_nothing_in_the_way(place: Path, moment: float) -> None:
    script = (
        "import pathlib, sys; from tallystick.base import postgres; postgres.Postgres.start(pathlib.Path(sys.argv[1]))"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(place)], env=environment()) as owner:
        until((place / "data.new").exists)
        time.sleep(moment)
        owner.kill()
    server = Postgres.start(place)
    assert server.alive()
    assert sql(server.dsn, "select current_database()") == "tallystick"
    server.stop()


@only_linux
def test_an_unseen_process_of_the_server_stands_in_the_way_of_a_second_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, owner: subprocess.Popen[str]
) -> None:
    os.kill(postmaster(place).pid, signal.SIGSTOP)
    owner.kill()
    owner.wait()
    monkeypatch.setattr(postgres_remains, "living", lambda data: set())
    monkeypatch.setattr(postgres, "LOCK_SECONDS_MAX", 0.3)
    with pytest.raises(Refused, match="cannot be seen from here"):
        Postgres.start(place)
    monkeypatch.undo()
    Postgres.start(place).stop()


@only_linux
def test_an_interrupt_of_the_terminal_does_not_reach_the_server(owner: subprocess.Popen[str], place: Path) -> None:
    os.killpg(owner.pid, signal.SIGINT)
    time.sleep(0.5)
    assert owner.poll() is None
    remember(postgres.address(place))
