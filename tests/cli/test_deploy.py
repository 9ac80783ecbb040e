"""A deployment on a server of its own: the same parts, together and one at a time; and a house of an ordinary user."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests import world
from tests.base.postgres.test_users import interpreter_for
from tests.cli.conftest import Begin
from tests.cli.running import Client, ask, client_of, tallystick, told, until

NOBODY = 65534


@pytest.fixture
def external(server: str) -> Iterator[str]:
    """An empty database on the server of this run: one that no `up` runs."""
    name = f"tallystick_{uuid4().hex}"
    asyncio.run(_tell(server, f"create database {name} template template0 encoding 'UTF8'"))
    yield world.another_database(server, name)
    asyncio.run(_tell(server, f"drop database {name} with (force)"))


async def _tell(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def test_beside_an_external_server_the_parts_run_one_at_a_time_and_together(
    begin: Begin, place: Path, external: str
) -> None:
    place.mkdir()
    url = {"TALLYSTICK_DATABASE_URL": external}
    unmigrated = tallystick("partners", "list", settings=url)
    assert unmigrated.exit_code == 1
    assert "The database lacks migrations of this version. Run `tallystick migrate`" in unmigrated.stderr
    assert told("migrate", settings=url)["applied"]
    assert told("migrate", settings=url)["applied"] == []
    for words in (("up", "--data", place), ("serve",), ("work",), ("partners", "list")):
        keyless = tallystick(*words, settings=url)
        assert keyless.exit_code == 1
        assert "Beside an external database the master key is a required setting" in keyless.stderr
    told("keys", "generate", place / "house.key")
    assert tallystick("keys", "generate", place / "house.key").exit_code == 1
    settings = {**url, "TALLYSTICK_MASTER_KEY_FILE": str(place / "house.key")}

    serve = begin(place, "serve", "--port", "0", settings=settings)
    until(lambda: "listening on" in serve.said, what=serve.said)
    serve.base_url = f"http://{re.findall(r'listening on (.+)', serve.said)[0]}"
    until(lambda: ask(f"{serve.base_url}/readyz").body == {"status": "waiting", "for": "workers"})
    work = begin(place, "work", settings=settings)
    serve.until_ready()
    assert work.end(signal.SIGINT) == 0

    up = begin(place, "up", "--demo", "--data", str(place), "--port", "0", settings=settings).serving()
    assert "database   PostgreSQL at" in up.said
    assert not (place / "postgres").exists()
    assert not (place / "master.key").exists()
    credentials = json.loads((place / "demo-credentials.json").read_text())
    given = client_of(credentials, up.base_url).issue("+12025550143", "one")
    assert given.status == 200
    assert client_of(credentials, serve.base_url).issue("+12025550143", "one").body == given.body
    assert up.end() == 0
    assert serve.end() == 0
    assert "Traceback" not in serve.said + work.said + up.said
    assert told("verify", settings=url)["ok"] is True

    told("keys", "generate", place / "other.key")
    others = {**url, "TALLYSTICK_MASTER_KEY_FILE": str(place / "other.key")}
    for line in (f"up --data {place} --port 0", "serve --port 0", "work", "partners list"):
        refused = begin(place, *line.split(), settings=others)
        assert refused.process.wait(60) == 1
        assert "This is not the master key that the database was made with: version 1 is another." in refused.said

    shutil.copy(place / "house.key", place / "older.key")
    told("keys", "rotate", place / "house.key")
    assert tallystick("partners", "list", settings=settings).exit_code == 0
    older = tallystick("partners", "list", settings={**url, "TALLYSTICK_MASTER_KEY_FILE": str(place / "older.key")})
    assert older.exit_code == 1
    assert "The master key lacks version 2" in older.stderr


def test_a_database_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    url = {"TALLYSTICK_DATABASE_URL": f"postgresql://somebody:secret@/none?host={tmp_path}"}
    for words in (("migrate",), ("verify",), ("partners", "list")):
        done = tallystick(*words, settings=url)
        assert done.exit_code == 1
        assert done.stderr.startswith("The database cannot be reached")
        assert "secret" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_an_ordinary_user_has_a_house_too(begin: Begin, place: Path) -> None:
    python = interpreter_for(NOBODY)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv here")
    home = place.with_name("home")
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY, NOBODY)
    become = (setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    words = ("up", "--demo", "--port", "0")
    settings = {
        "HOME": str(home),
        "XDG_DATA_HOME": "",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    up = begin(place, *words, settings=settings, before=become, command=(python, "-m", "tallystick")).serving()
    data = home / ".local/share/tallystick"
    sandbox = json.loads((data / "demo-credentials.json").read_text())["sandbox"]
    client = Client(up.base_url, sandbox["clientId"], sandbox["clientSecret"])
    assert client.issue(sandbox["activeWalletPhone"], "one").status == 200
    assert {process.uids().real for process in up.everybody()} == {NOBODY}
    assert up.end() == 0
    assert {path.lstat().st_uid for path in home.rglob("*")} == {NOBODY}
    assert (data / "master.key").stat().st_mode & 0o777 == 0o600
