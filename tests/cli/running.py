"""The command as a user runs it: real processes on temporary directories and free ports, each wait bounded."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import psutil
from typer.testing import CliRunner, Result

from tallystick.cli import app

COMMAND = (sys.executable, "-m", "tallystick")
READY_SECONDS = 45.0
END_SECONDS = 30.0


def environment(**settings: str) -> dict[str, str]:
    """What the command is given: none of the settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    return {**inherited, **settings}


def tallystick(*words: str | Path, settings: Mapping[str, str] | None = None) -> Result:
    """Run a command to its end, in this process."""
    unset = {name: None for name in os.environ if name.startswith("TALLYSTICK_")}
    done = CliRunner().invoke(app, [str(word) for word in words], env={**unset, **(settings or {})})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def told(*words: str | Path, settings: Mapping[str, str] | None = None) -> Any:
    """What a command that succeeds tells as JSON."""
    done = tallystick(*words, "--json", settings=settings)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def until(true: Callable[[], object], seconds: float = 20.0, what: str = "") -> float:
    """Wait until it is true; the seconds it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; status 0 when nobody answered."""

    status: int
    headers: Mapping[str, str]
    body: Any


def ask(url: str, document: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    """One request, a POST when it has a document."""
    content = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, content, dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=25) as answer:
            return Answer(answer.status, _lower(answer.headers), json.loads(answer.read() or b"null"))
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, _lower(refused.headers), json.loads(refused.read() or b"null"))
    except (urllib.error.URLError, OSError):
        return Answer(0, {}, None)


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class Running:
    """A long-running command of tallystick: `up`, `serve` or `work`."""

    def __init__(
        self,
        place: Path,
        *words: str,
        settings: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.place = place
        self._out = place.parent / f"{place.name}-{time.monotonic_ns()}.out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*before, *command, *words],
                env=environment(**(settings or {})),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.base_url = ""

    @property
    def said(self) -> str:
        """Everything it has printed and logged."""
        return self._out.read_text()

    def serving(self) -> "Running":
        """Itself, when it has printed where it serves and everything after that."""
        until(lambda: "Ctrl-C stops" in self.said or self.process.poll() is not None, READY_SECONDS, self.said)
        where = re.search(r"^serving +(http://\S+)", self.said, re.MULTILINE)
        assert where is not None, self.said
        self.base_url = where[1]
        return self

    def everybody(self) -> list[psutil.Process]:
        """Its process and all below it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def part(self, command: str) -> psutil.Process:
        """A process of its own that runs a command of tallystick."""
        return next(each for each in self.everybody()[1:] if each.cmdline()[2:4] == ["tallystick", command])

    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.place / "postgres/data/postmaster.pid").read_text().split()[0]))

    def end(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; nobody is left. Its exit code."""
        everybody = self.everybody() if self.process.poll() is None else []
        self.process.send_signal(signum)
        code = self.process.wait(END_SECONDS)
        _, left = psutil.wait_procs(everybody, timeout=END_SECONDS)
        assert left == []
        return code

    def abandon(self) -> None:
        """Whatever a failed test left."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ready(self) -> Answer:
        return ask(f"{self.base_url}/readyz")

    def until_ready(self, seconds: float = 20.0) -> float:
        return until(lambda: self.ready().status == 200, seconds, self.said)


@dataclass(frozen=True)
class Client:
    """One credential against a running house."""

    base_url: str
    client_id: str
    secret: str

    def post(self, path: str, kind: str, **attributes: object) -> Answer:
        return ask(
            f"{self.base_url}/api/v1/{path}",
            {"data": {"type": kind, "attributes": attributes}},
            {**self._who, "Content-Type": "application/vnd.api+json"},
        )

    def get(self, path: str) -> Answer:
        return ask(f"{self.base_url}/api/v1/{path}", headers=self._who)

    def issue(self, phone: str, key: str, amount: int = 500) -> Answer:
        return self.post("rewards", "IssueReward", phoneNumber=phone, amount=amount, idempotencyKey=key)

    @property
    def _who(self) -> dict[str, str]:
        return {"Client-ID": self.client_id, "Authorization": f"Bearer {self.secret}"}


def client_of(credentials: Mapping[str, Any], base_url: str, environment_name: str = "sandbox") -> Client:
    """The demo's credential."""
    named = credentials[environment_name]
    return Client(base_url, named["clientId"], named["clientSecret"])
