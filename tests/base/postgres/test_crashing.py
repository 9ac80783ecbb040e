"""Killed servers come back by themselves, with every committed row."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import asyncpg
import pytest

from tallystick.base import postgres, postgres_remains
from tallystick.base.postgres import Postgres
from tests.base.postgres.ground import (
    inhabitants,
    kept_alive,
    postmaster,
    remember,
    remembered,
    until,
)


async def test_a_killed_postmaster_is_back_with_every_committed_row_and_no_orphan(
    server: Postgres, place: Path
) -> None:
    remember(server.dsn)
    busy = await asyncpg.connect(server.dsn)
    counting = asyncio.create_task(busy.execute("select count(*) from generate_series(1, 1000000000000)"))
    stopped = await asyncpg.connect(server.dsn)
    await asyncio.sleep(0.1)
    os.kill(stopped.get_server_pid(), signal.SIGSTOP)
    before = {one.pid for one in inhabitants(place)}
    async with kept_alive(server):
        began = time.monotonic()
        postmaster(place).kill()
        await asyncio.to_thread(until, lambda: not server.alive())
        await asyncio.to_thread(until, server.alive)
        assert time.monotonic() - began < 8
    assert remembered(server.dsn)
    assert not before & {one.pid for one in inhabitants(place)}
    with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
        await counting
    stopped.terminate()


async def test_it_comes_back_again_and_again(server: Postgres, place: Path) -> None:
    remember(server.dsn)
    async with kept_alive(server):
        for _ in range(3):
            postmaster(place).kill()
            await asyncio.to_thread(until, lambda: not server.alive())
            await asyncio.to_thread(until, server.alive)
    assert remembered(server.dsn)


async def test_a_postmaster_that_answers_no_more_is_replaced(
    server: Postgres, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "QUESTION_SECONDS", 0.1)
    monkeypatch.setattr(postgres, "UNANSWERED_MAX", 1)
    remember(server.dsn)
    before = postmaster(place)
    before.suspend()
    assert not server.alive()
    async with kept_alive(server):
        await asyncio.to_thread(until, server.alive)
    assert not before.is_running()
    assert remembered(server.dsn)


async def test_a_killed_backend_is_recovered_from_by_the_same_postmaster(server: Postgres, place: Path) -> None:
    remember(server.dsn)
    before = postmaster(place)
    async with kept_alive(server):
        connection = await asyncpg.connect(server.dsn)
        os.kill(connection.get_server_pid(), signal.SIGKILL)
        await asyncio.to_thread(until, connection.is_closed)
        await asyncio.to_thread(until, server.alive)
    assert remembered(server.dsn)
    assert postmaster(place) == before


async def test_the_watcher_survives_a_restart_that_fails_and_tries_again(
    server: Postgres, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "RETRY_SECONDS", 0.1)
    away = place / "elsewhere"
    async with kept_alive(server):
        (place / "data/global/pg_control").rename(away)
        postmaster(place).kill()
        await asyncio.sleep(1)
        assert not server.alive()
        away.rename(place / "data/global/pg_control")
        await asyncio.to_thread(until, server.alive)


async def test_the_watcher_ends_with_the_server(server: Postgres) -> None:
    watcher = asyncio.create_task(server.keep_alive(interval=0.05))
    await asyncio.to_thread(server.stop)
    await asyncio.wait_for(watcher, 5)
    assert not server.alive()


@pytest.mark.parametrize("hold", [True, False], ids=["recycled", "dead"])
def test_a_stale_pid_file_is_not_in_the_way_even_if_the_pid_is_now_anothers(
    server: Postgres, place: Path, hold: bool
) -> None:
    remember(server.dsn)
    names = ("postmaster.pid", ".s.PGSQL.5432.lock")
    left = {name: (place / "data" / name).read_text().split("\n", 1)[1] for name in names}
    server.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        if not hold:
            stranger.kill()
            stranger.wait()
        for name in names:
            (place / "data" / name).write_text(f"{stranger.pid}\n{left[name]}")
        try:
            again = Postgres.start(place)
            assert remembered(again.dsn)
            assert (stranger.poll() is None) == hold
            again.stop()
        finally:
            stranger.kill()


def test_without_a_list_of_directories_the_processes_are_found_by_their_titles(server: Postgres, place: Path) -> None:
    found = postgres_remains._by_title(place / "data")
    assert {postmaster(place).pid} < found
    assert found == postgres_remains._by_directory(place / "data")
    server.stop()
    assert not postgres_remains._by_title(place / "data")


def test_a_half_made_database_is_made_anew(place: Path) -> None:
    (place / "data.new/base").mkdir(parents=True)
    (place / "data.new/PG_VERSION").write_text("18\n")
    server = Postgres.start(place)
    assert server.alive()
    assert not (place / "data.new").exists()
    server.stop()
