"""One demo house for the tests that leave it as it was, and a place for houses of their own."""

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import Client, Running, client_of, free_port


@pytest.fixture(scope="session", autouse=True)
def heard() -> None:
    """Commands hear Ctrl-C also where the tests themselves are run in the background, and ignore it as such jobs do."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Demo:
    """A running `up --demo`, the file it wrote its credentials to, and its sandbox's client."""

    up: Running
    credentials: dict[str, Any]
    file: Path

    @property
    def sandbox(self) -> Client:
        return client_of(self.credentials, self.up.base_url)


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """Shared by the tests that bring it back to serving, whatever they do to it."""
    with tempfile.TemporaryDirectory(prefix="tallystick-cli-") as above:
        place, file = Path(above) / "house", Path(above) / "credentials.json"
        words = ("up", "--demo", "--data", str(place), "--port", str(free_port()), "--credentials", str(file))
        up = Running(place, *words)
        try:
            up.serving()
            yield Demo(up, json.loads(file.read_text()), file)
        finally:
            up.abandon()


Begin = Callable[..., Running]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins commands, and sees to it that none outlives the test."""
    begun: list[Running] = []

    def begin_one(place: Path, *words: str, **more: Any) -> Running:
        begun.append(Running(place, *words, **more))
        return begun[-1]

    yield begin_one
    for each in begun:
        each.abandon()


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path for a house of its own, below a directory that everybody may pass."""
    above = Path(tempfile.mkdtemp(prefix="tallystick-cli-"))
    above.chmod(0o755)
    yield above / "house"
    shutil.rmtree(above)
