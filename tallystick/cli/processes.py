"""The processes of one machine: HTTP processes that share a socket, one for background work; dead ones are started again."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.base import logs

STOP_SECONDS = 12.0
"""How long a process may take to finish what it has accepted."""
RESTART_SECONDS = 0.5
PORT_MAX = 65_535
PORTS_TRIED = 100


def listen(host: str, port: int, *, exact: bool) -> socket.socket:
    """A listening socket. Unless the port must be exact, a taken one gives way to the next that is free.

    Raises OSError when the exact port, or every port tried, is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = port if exact or port == 0 else min(port + PORTS_TRIED, PORT_MAX)
    for candidate in range(port, last + 1):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
            listening.listen(2048)
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE or candidate == last:
                raise
            continue
        listening.setblocking(False)
        return listening
    raise AssertionError("the last port is bound or raises")


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep: what it is called in the log, and its command line after `tallystick`."""

    name: str
    arguments: tuple[str, ...]
    sockets: tuple[int, ...] = ()


class Processes:
    """Keeps parts running until told to stop. A part ends by itself when this process is gone: its standard input closes."""

    def __init__(self, parts: Sequence[Part], environ: Mapping[str, str]) -> None:
        self._parts, self._environ = tuple(parts), dict(environ)
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Run every part, each started again when it ends unasked. Returns after `stop`."""
        await asyncio.gather(*(self._keep(part) for part in self._parts))

    async def stop(self) -> None:
        """Ask every part to finish, and end those that do not in time."""
        self._stopping.set()
        await asyncio.gather(*(_end(process) for process in list(self._running.values())))

    async def _keep(self, part: Part) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            process = self._running[part.name] = await self._start(part)
            if self._stopping.is_set():  # while it was being started
                await _end(process)
            code = await process.wait()
            del self._running[part.name]
            if self._stopping.is_set():
                return
            logs.log().error("A process ended unasked and is started again.", worker=part.name, exit_status=code)
            await asyncio.sleep(max(0.0, RESTART_SECONDS - (time.monotonic() - started)))

    async def _start(self, part: Part) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tallystick",
            *part.arguments,
            stdin=asyncio.subprocess.PIPE,
            pass_fds=part.sockets,
            env=self._environ,
            start_new_session=True,  # the terminal's Ctrl-C is for the parent, which stops its parts in order
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    """In order when it ends in time, else by force."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until_told(stopping: asyncio.Event, *, watch_parent: bool) -> None:
    """Set `stopping` at SIGINT or SIGTERM, or, in a part, when the parent is gone."""
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stopping.set)
    if watch_parent:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", 0))
        gone = asyncio.create_task(reader.read())
        gone.add_done_callback(lambda _: stopping.set())
    await stopping.wait()
