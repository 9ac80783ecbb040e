"""Starting and stopping the embedded server: what it is, where it may live, what it writes down."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from tallystick.base import postgres
from tallystick.base.postgres import Postgres, Refused
from tests.base.postgres.ground import (
    environment,
    inhabitants,
    postmaster,
    remember,
    remembered,
    sql,
    until,
)


def test_a_new_directory_becomes_a_database_that_finds_everything_when_it_starts_again(place: Path) -> None:
    server = Postgres.start(place)
    remember(server.dsn)
    server.stop()
    began = time.monotonic()
    server = Postgres.start(place)
    assert time.monotonic() - began < 5
    assert server.alive()
    assert remembered(server.dsn)
    server.stop()


def test_it_is_durable_private_and_sorts_alike_everywhere(server: Postgres, place: Path) -> None:
    names = ["fsync", "full_page_writes", "synchronous_commit", "data_checksums", "listen_addresses", "jit"]
    assert sql(server.dsn, *(f"show {name}" for name in names)).splitlines() == ["on", "on", "on", "on", "", "off"]
    assert (
        sql(
            server.dsn,
            "select datlocprovider, datlocale, pg_encoding_to_char(encoding) from pg_database"
            " where datname = 'tallystick'",
        )
        == "b|C.UTF-8|UTF8"
    )
    assert not [one for one in postmaster(place).net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert stat.S_IMODE((place / "data").stat().st_mode) == 0o700
    assert server.dsn == postgres.address(place)


async def test_the_address_works_for_the_driver_of_the_application(server: Postgres) -> None:
    connection = await asyncpg.connect(server.dsn)
    assert await connection.fetchval("select current_user || '@' || current_database()") == "postgres@tallystick"
    await connection.close()


def test_tuning_replaces_a_setting_but_never_opens_a_port(filled: Path) -> None:
    server = Postgres.start(filled, tuning={"max_connections": "20", "listen_addresses": "127.0.0.1"})
    assert sql(server.dsn, "show max_connections", "show listen_addresses") == "20"
    server.stop()


def test_stopping_leaves_nothing_and_the_second_time_does_nothing(server: Postgres, place: Path) -> None:
    server.stop()
    assert not inhabitants(place)
    assert not server.alive()
    assert not (place / "data/postmaster.pid").exists()
    server.stop()
    with pytest.raises(Refused, match="was stopped"):
        server.restart()
    Postgres.start(place).stop()


def test_the_server_outlives_the_thread_that_asked_for_it(filled: Path) -> None:
    started: list[Postgres] = []
    thread = threading.Thread(target=lambda: started.append(Postgres.start(filled)))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert started[0].alive()
    thread = threading.Thread(target=started[0].restart)
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert started[0].alive()
    started[0].stop()


def test_a_program_that_forgets_to_stop_its_server_leaves_none(filled: Path) -> None:
    script = (
        "import pathlib, sys; from tallystick.base import postgres; postgres.Postgres.start(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", script, str(filled)], env=environment(), check=True, timeout=30)
    assert not inhabitants(filled)
    assert not (filled / "data/postmaster.pid").exists()


def test_a_forked_copy_of_the_program_cannot_stop_the_server(server: Postgres) -> None:
    child = os.fork()
    if child == 0:
        server.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert server.alive()


@pytest.mark.parametrize("name", ["long" * 40, 'comma,quote"percent%25 space', "umlaut-ü"])
def test_any_name_of_a_directory_will_do(tmp_path: Path, blank: Path, name: str) -> None:
    place = tmp_path / name
    shutil.copytree(blank, place)
    server = Postgres.start(place)
    remember(server.dsn)
    server.restart()
    assert remembered(server.dsn)
    server.stop()
    assert not inhabitants(place)


def test_a_socket_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    place = tmp_path / ("long" * 40)
    socket = Path(postgres.address(place).split("host=")[1].split("&")[0])
    socket.mkdir(mode=0o755)
    try:
        with pytest.raises(Refused, match="Remove it"):
            Postgres.start(place)
        socket.rmdir()
        socket.symlink_to(tmp_path)
        with pytest.raises(Refused, match="Remove it"):
            Postgres.start(place)
        socket.unlink()
        server = Postgres.start(place)
        assert server.dsn == postgres.address(place)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        server.stop()
        assert not socket.exists()
    finally:
        shutil.rmtree(socket, ignore_errors=True)
    assert not inhabitants(place)


def test_what_is_no_place_for_a_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="is not a directory"):
        Postgres.start(tmp_path / "file")
    with pytest.raises(Refused, match="file is not a directory"):
        Postgres.start(tmp_path / "file/below")
    (tmp_path / "full/data").mkdir(parents=True)
    (tmp_path / "full/data/letter").touch()
    with pytest.raises(Refused, match="holds no database"):
        Postgres.start(tmp_path / "full")
    assert (tmp_path / "full/data/letter").exists()
    (tmp_path / "old/data").mkdir(parents=True)
    (tmp_path / "old/data/PG_VERSION").write_text("15\n")
    with pytest.raises(Refused, match="written by PostgreSQL 15"):
        Postgres.start(tmp_path / "old")


def test_a_server_that_cannot_start_says_why_and_gives_the_directory_free(place: Path) -> None:
    with pytest.raises(Refused, match="no_such_setting"):
        Postgres.start(place, tuning={"no_such_setting": "1"})
    assert not inhabitants(place)
    Postgres.start(place).stop()


async def test_no_value_reaches_the_log(server: Postgres, place: Path) -> None:
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("create table people (phone text primary key)")
    await connection.execute("insert into people values ($1)", "+4915112345678")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("insert into people values ($1)", "+4915112345678")
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await connection.execute("select '+4915112345678'::text::uuid")
    waiting = asyncio.create_task(connection.execute("select pg_sleep(60), '+4915112345678'"))
    await asyncio.sleep(0.2)
    os.kill(connection.get_server_pid(), signal.SIGKILL)
    with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
        await waiting
    await asyncio.to_thread(until, server.alive)
    text = "".join(path.read_text() for path in (place / "data/log").iterdir())
    assert "was terminated by signal 9" in text
    assert "5112345678" not in text


def test_the_server_does_not_see_our_environment(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_SECRET", "do-not-tell")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    server = Postgres.start(filled)
    assert server.alive()
    assert all("TALLYSTICK_SECRET" not in one.environ() for one in inhabitants(filled))
    server.stop()
