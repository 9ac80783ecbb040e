"""One process of the house: an HTTP process, or one for background work."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Iterator

import asyncpg
import uvicorn
import uvloop

from tallystick import main, worker
from tallystick.base import clock, known_keys, logs
from tallystick.base.db import LOST, Pool
from tallystick.base.errors import Unavailable
from tallystick.base.keys import MasterKeys
from tallystick.base.protocol import BoundedProtocol
from tallystick.base.settings import Settings
from tallystick.base.work import Runtime
from tallystick.cli.processes import until_told

PROVING_SECONDS = 3
"""How long the first request may wait for the proof of the keys; where the database is away for longer, the door says so."""
GRACE_SECONDS = 8
"""How long requests in flight may take to finish when the process is told to stop."""


class _Server(uvicorn.Server):
    """A server whose signals are ours: what was accepted is finished, then the process ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings, dsn: str, keys: MasterKeys, listening: socket.socket, *, watch_parent: bool) -> None:
    """Answer HTTP on a listening socket until told to stop."""
    logs.configure(settings.log_level, settings.log_format)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # that a process begins and ends, its parent tells
    spare_the_collector()
    uvloop.run(_serve(settings, dsn, keys, listening, watch_parent))


def spare_the_collector() -> None:
    """What the modules hold stays for ever, and requests leave few cycles behind: look for garbage seldom, and not among it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def work(settings: Settings, dsn: str, keys: MasterKeys, *, watch_parent: bool) -> None:
    """Run the background loops until told to stop."""
    logs.configure(settings.log_level, settings.log_format)
    uvloop.run(_work(settings, dsn, keys, watch_parent))


async def _serve(settings: Settings, dsn: str, keys: MasterKeys, listening: socket.socket, watch_parent: bool) -> None:
    house = main.build(settings, dsn, keys)
    config = uvicorn.Config(
        house.road,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nobody's address decides anything here
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
    stopping = asyncio.Event()
    watching = asyncio.create_task(until_told(stopping, watch_parent=watch_parent))
    proving = asyncio.create_task(_prove(house.pool, keys))
    await asyncio.wait([proving], timeout=PROVING_SECONDS)
    async with house.open():
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        refused = asyncio.create_task(_refused(proving))
        await asyncio.wait([serving, watching, refused], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        for waiting in (watching, refused, proving):
            waiting.cancel()
    if not proving.cancelled():
        await proving


async def _prove(pool: Pool, keys: MasterKeys) -> None:
    """Returns when the database answers and knows these keys. Raises OtherKeys."""
    while True:
        try:
            return await known_keys.prove(pool, keys)
        except (
            Unavailable,
            *LOST,
            asyncpg.UndefinedTableError,
        ):  # away, or not migrated yet: ready is who has all of it
            await asyncio.sleep(1)


async def _refused(proving: "asyncio.Task[None]") -> None:
    """Returns when the keys turn out to be others, and never else."""
    await asyncio.wait([proving])
    if proving.cancelled() or proving.exception() is None:
        await asyncio.Event().wait()


async def _work(settings: Settings, dsn: str, keys: MasterKeys, watch_parent: bool) -> None:
    pool = Pool(dsn, settings.db_connections, name="tallystick-work")
    stopping = asyncio.Event()
    watching = asyncio.create_task(until_told(stopping, watch_parent=watch_parent))
    try:
        proving = asyncio.create_task(_prove(pool, keys))
        await asyncio.wait([proving, watching], return_when=asyncio.FIRST_COMPLETED)
        if not proving.done():
            proving.cancel()
            return
        await proving
        await worker.run(Runtime(pool, clock.utc, keys, main.CLOSINGS), settings, stopping)
    finally:
        watching.cancel()
        await pool.close()
