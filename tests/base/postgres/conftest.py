"""Places for embedded servers, and servers in them; whoever leaves a process behind fails."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.base.postgres import Postgres
from tests.base.postgres.ground import environment, inhabitants, until

OWNER = """
import signal, sys, time
from pathlib import Path
from tallystick.base.postgres import Postgres
signal.signal(signal.SIGINT, lambda *_: None)
server = Postgres.start(Path(sys.argv[1]))
print(server.dsn, flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "db"
    yield place
    assert_empty(place)


def assert_empty(place: Path) -> None:
    leaked = inhabitants(place)
    for one in leaked:
        one.kill()
    assert not leaked, "a process was leaked"


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database made once, to copy: making one takes longer than starting it."""
    place = tmp_path_factory.mktemp("blank") / "db"
    Postgres.start(place).stop()
    return place


@pytest.fixture
def filled(place: Path, blank: Path) -> Path:
    """A place with a database in it."""
    shutil.copytree(blank, place)
    return place


@pytest.fixture
def server(filled: Path) -> Iterator[Postgres]:
    server = Postgres.start(filled)
    yield server
    server.stop()


@pytest.fixture
def owner(filled: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has started the server and would keep it for ever."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(filled)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().startswith("postgresql://")
        yield owner
        owner.kill()
    until(lambda: not inhabitants(filled))


@pytest.fixture
def open_place(tmp_path: Path) -> Iterator[Path]:
    """A directory that every user may enter; the ones pytest makes are private."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    yield place
    assert_empty(place)
    shutil.rmtree(place)
