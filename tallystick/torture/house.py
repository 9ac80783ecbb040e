"""A house to torture: `tallystick up` as its own process on a directory of its own, and the way to each of its processes."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import asyncpg

from tallystick.base import postgres
from tallystick.torture.partner import Credential

STOP_SECONDS = 45.0
CREDIT_LIMIT = 10**12
DATABASE = "postgres"
"""Where `up` keeps its embedded server below the data directory."""

BACKENDS = """
select pid from pg_stat_activity
where backend_type = 'client backend' and application_name in ('tallystick-http', 'tallystick-work') order by pid
"""


class Broken(Exception):
    """The house could not be brought to where torture begins or goes on; the message says what it said."""


class House:
    """One `tallystick up`, started, killed and started again at the same port."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port = _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._funding: dict[str, tuple[str, ...]] = {}
        self._log = place / "up.log"

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start `up`; it answers some time later."""
        with self._log.open("ab") as log:
            self._process = await self._run(
                "up", "--data", str(self.place), "--port", str(self.port), "--workers", "2", out=log
            )

    async def stop(self) -> None:
        """End `up` in order, by force when it takes too long."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        """Kill `up` itself, and only it."""
        assert self._process is not None, "a house is started before it is killed"
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def ended(self) -> bool:
        """Whether `up` has ended by itself."""
        return self._process is not None and self._process.returncode is not None

    def last_words(self) -> str:
        """The end of what `up` printed and logged."""
        return self._log.read_text(errors="replace")[-2_000:]

    def parts(self, command: str) -> list[int]:
        """The processes of `up` that run `tallystick serve`, or `work`."""
        assert self._process is not None, "a house is started before it has parts"
        return [pid for pid, parent, words in _processes() if parent == self._process.pid and command in words[2:4]]

    def postmaster(self) -> int | None:
        """The main process of the database server, while there is one."""
        try:
            return int((self.place / DATABASE / "data" / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    async def backends(self) -> list[int]:
        """The database processes that serve the house just now."""
        try:
            connection = await asyncpg.connect(postgres.address(self.place / DATABASE), timeout=2)
            try:
                return [row[0] for row in await connection.fetch(BACKENDS)]
            finally:
                await connection.close(timeout=2)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return []

    async def join(self) -> Credential:
        """Bring a partner with one merchant into the house, as an operator does it in a shell."""
        programme, partner = await asyncio.gather(
            self.command("programmes", "add", "Northwind"), self.command("partners", "add", "Harbour Support")
        )
        within, named = ("--programme", programme["id"]), ("--partner", partner["id"])
        place = ("--currency", "USD", "--country", "US", "--time-zone", "America/New_York")
        limit = ("--credit-limit", str(CREDIT_LIMIT))
        made, _ = await asyncio.gather(
            self.command("merchants", "add", "Café Luna", *within, *place, *limit),
            self.command("agreements", "add", *named, *within),
        )
        merchant = made["id"]
        rate = ("--rate-per-minute", "10000000", "--burst", "1000000")
        client = await self.command("credentials", "add", "torture", *within, *named, "--merchant", merchant, *rate)
        self._funding[merchant] = ("merchants", "funding", merchant, *within)
        return Credential(self.base_url, client["clientId"], client["clientSecret"], merchant)

    async def funding_left(self, merchant_id: str) -> int:
        """What a merchant has left for rewards."""
        return int((await self.command(*self._funding[merchant_id]))["available"])

    async def verify(self) -> list[str]:
        """What `tallystick verify` finds."""
        told = await self.command("verify", codes=(0, 1))
        return [f"verify: {fault['invariant']}: {fault['detail']}" for fault in told["faults"]]

    async def command(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        """Run a command of the house, and read what it says."""
        process = await self._run(*words, "--data", str(self.place), "--json", out=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        if process.returncode not in codes:
            raise Broken(f"`tallystick {' '.join(words[:2])}` ended with {process.returncode}: {said.decode()[-1000:]}")
        return json.loads(said)

    async def _run(self, *words: str, out: IO[bytes] | int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tallystick",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
            env=_environ(),
            start_new_session=True,
        )


def strike(pid: int | None, signum: signal.Signals) -> bool:
    """Signal a process; whether it was there."""
    if pid is None:
        return False
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def _environ() -> Mapping[str, str]:
    """The settings of whoever runs this are not those of the house it makes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}


def _processes() -> list[tuple[int, int, list[str]]]:
    """Pid, parent and words of every process of this machine; asks the kernel, which is why torture wants Linux."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (OSError, ValueError):
            continue  # it has ended meanwhile
        found.append((int(entry.name), parent, words))
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
