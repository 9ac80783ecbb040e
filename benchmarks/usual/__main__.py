"""One process of the usual stack: `python -m benchmarks.usual FD`, answering on a listening socket that was handed over."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop

from benchmarks.usual.app import POOL_SIZE, build
from tallystick.base.keys import MasterKeys
from tallystick.cli.processes import until_told


class _Server(uvicorn.Server):
    """Its signals are ours, as in the product's own processes."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(listening: socket.socket) -> None:
    keys = MasterKeys.read(Path(os.environ["BENCH_KEY_FILE"]))
    app = build(os.environ["BENCH_DSN"], keys, int(os.environ.get("BENCH_POOL", POOL_SIZE)))
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=8,
    )
    server = _Server(config)
    stopping = asyncio.Event()
    watching = asyncio.create_task(until_told(stopping, watch_parent=True))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await asyncio.wait([serving, watching], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    watching.cancel()


if __name__ == "__main__":
    uvloop.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
