"""`up`: everything on one machine, until Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer

from tallystick.base import clock, logs
from tallystick.base.db import LOST, Pool
from tallystick.base.errors import Refusal
from tallystick.base.keys import MasterKeys
from tallystick.base.migrate import NotMigrated, migrate
from tallystick.base.postgres import Postgres, Refused
from tallystick.base.settings import Settings
from tallystick.base.work import Runtime
from tallystick.cli import demo, demo_sink
from tallystick.cli.ground import (
    DATABASE,
    MASTER_KEY,
    console,
    directory,
    fail,
    make_directory,
    master_keys,
    read_settings,
    require_keys,
    say,
    shown,
)
from tallystick.cli.processes import Part, Processes, listen, until_told
from tallystick.cli.sink import Sink, opened
from tallystick.main import CLOSINGS

READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What `up` was asked for."""

    data: Path | None
    host: str | None
    port: int | None
    workers: int | None
    demo: bool
    credentials: Path | None


def up(
    data: Annotated[
        Path | None, typer.Option(help="Where the database, its key and the demo's credentials lie.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(help="The port; unless given, the first free one from 8080.", min=0, max=65535)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="HTTP processes.", min=1, max=64)] = None,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="With a demo partner, merchants, customers and credentials.")
    ] = False,
    credentials: Annotated[Path | None, typer.Option(help="Also write the demo's credentials here, as JSON.")] = None,
) -> None:
    """Start everything on this machine: database, migrations, API and background work."""
    settings = read_settings()
    if credentials is not None and not with_demo:
        raise fail("--credentials writes the demo's credentials; give --demo too.")
    wish = Wish(data, host, port, workers, with_demo, credentials)
    if credentials is not None and not credentials.absolute().parent.is_dir():
        raise fail(f"{credentials} cannot be written: its directory does not exist.")
    place = directory(settings, data)
    make_directory(place)
    keys = master_keys(settings, place)
    logs.configure(settings.log_level, settings.log_format)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the loop listens to both
    # The server is started here, on the main thread's watch: it must not end before everything that uses it has.
    server: Postgres | None = None
    try:
        if settings.database_url is None:
            say(f"database   PostgreSQL, embedded, in {place}")
            server = Postgres.start(place / DATABASE)
        else:
            say(f"database   PostgreSQL at {shown(settings.database_url)}")
        asyncio.run(_up(settings, wish, place, server, keys))
    except Refused as refused:
        raise fail(str(refused)) from None
    except KeyboardInterrupt:
        say("\nstopped")  # before anything was served
    finally:
        # Whoever is impatient now would leave less in order, not sooner.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if server is not None:
            server.stop()


async def _up(settings: Settings, wish: Wish, place: Path, server: Postgres | None, keys: MasterKeys) -> None:
    dsn = server.dsn if server is not None else str(settings.database_url)
    await _migrate(dsn)
    pool = Pool(dsn, 1, name="tallystick-up")
    await require_keys(pool, keys)
    await pool.close()
    host = wish.host or settings.host
    listening = _listen(host, wish.port, settings)
    port = listening.getsockname()[1]
    base_url = f"http://{_reached(host)}:{port}"
    stopping = asyncio.Event()
    watching = asyncio.create_task(until_told(stopping, watch_parent=False))
    environ = _environ(settings, dsn, place, base_url)
    if wish.demo:
        environ["TALLYSTICK_WEBHOOK_ALLOWED_NETWORKS"] = _with_sink(settings)
    processes = Processes(_parts(wish.workers or settings.workers, listening), environ)
    closing = contextlib.AsyncExitStack()  # what the demo opens is closed when nobody sends to it any more
    tasks = [asyncio.create_task(processes.keep())]
    if server is not None:
        tasks.append(asyncio.create_task(server.keep_alive()))
    try:
        if await _ready(base_url, stopping):
            taken = f" ({settings.port} is taken)" if wish.port is None and port != settings.port else ""
            console.print(f"serving    [bold]{base_url}[/bold]{taken}   reference {base_url}/docs")
            if wish.demo:
                credentials = await _demo(dsn, keys, place, base_url, wish.credentials)
                await _sink(closing, place, base_url, credentials)
            console.print("\n[dim]Ctrl-C stops everything.[/dim]")
        await _until(stopping, tasks)
    finally:
        say("\nstopping")
        await processes.stop()
        await closing.aclose()
        for task in (*tasks, watching):
            task.cancel()
        await asyncio.gather(*tasks, watching, return_exceptions=True)
        listening.close()


async def _migrate(dsn: str) -> None:
    try:
        applied = await migrate(dsn)
    except NotMigrated as error:
        raise fail(str(error)) from None
    say(f"schema     {len(applied)} migrations applied" if applied else "schema     up to date")


async def _until(stopping: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Until told to stop, or until what must go on for ever ends by a fault, which is raised."""
    told = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    for task in done:
        if task is not told:
            task.result()


def _listen(host: str, port: int | None, settings: Settings) -> socket.socket:
    try:
        return listen(host, settings.port if port is None else port, exact=port is not None)
    except OSError as error:
        wanted = settings.port if port is None else port
        raise fail(
            f"Nothing can listen on {host}:{wanted}: {error.strerror}. Give another --port, or none for the next free one."
        ) from None


def _reached(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _parts(workers: int, listening: socket.socket) -> list[Part]:
    number = listening.fileno()
    serving = [Part(f"http-{n}", ("serve", "--fd", str(number)), (number,)) for n in range(1, workers + 1)]
    return [*serving, Part("work", ("work", "--part"))]


def _environ(settings: Settings, dsn: str, place: Path, base_url: str) -> dict[str, str]:
    """What the parts need to know; secrets go by the environment, which other users cannot read."""
    environ = {**os.environ, "TALLYSTICK_DATABASE_URL": dsn}
    if settings.public_url is None:
        environ["TALLYSTICK_PUBLIC_URL"] = base_url
    if settings.master_key is None and settings.master_key_file is None:
        environ["TALLYSTICK_MASTER_KEY_FILE"] = str(place / MASTER_KEY)
    return environ


async def _ready(base_url: str, stopping: asyncio.Event) -> bool:
    """Whether the house answers that it is ready before anyone tells it to stop."""
    async with aiohttp.ClientSession() as session:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while asyncio.get_running_loop().time() < deadline and not stopping.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"{base_url}/readyz", timeout=aiohttp.ClientTimeout(2)) as answer:
                    if answer.status == 200:
                        return True
            await asyncio.sleep(0.1)
    if not stopping.is_set():
        raise fail(f"The house did not get ready within {READY_SECONDS:.0f} seconds; the log above says why.")
    return False


def _with_sink(settings: Settings) -> str:
    """The networks that webhooks may go to, and the demo's sink."""
    return ",".join([*map(str, settings.webhook_allowed_networks), demo_sink.NETWORK])


async def _sink(closing: contextlib.AsyncExitStack, place: Path, base_url: str, credentials: dict[str, Any]) -> None:
    """Begin the demo's sink. The demo goes on without it where that cannot be."""
    sink = Sink()
    try:
        url = await closing.enter_async_context(opened(sink, demo_sink.where(place)))
        await demo_sink.connect(sink, f"{url}/", place, base_url, credentials["sandbox"])
    except (demo_sink.NotConnected, OSError) as error:
        say(f"\nThe sink for webhooks is not connected: {error}")
        return
    console.print(f"\nsink       [bold]{url}[/bold]   shows every webhook of the sandbox as it arrives")


async def _demo(dsn: str, keys: MasterKeys, place: Path, base_url: str, copy: Path | None) -> dict[str, Any]:
    pool = Pool(dsn, 2, name="tallystick-demo")
    try:
        credentials = await demo.seed(Runtime(pool, clock.utc, keys, CLOSINGS), place, base_url)
    except (Refusal, *LOST, OSError) as error:
        why = error.detail if isinstance(error, Refusal) else type(error).__name__
        raise fail(f"The demo could not be made: {why} Start again.") from None
    finally:
        await pool.close()
    if copy is not None:
        try:
            demo.write(copy, credentials)
        except OSError as error:
            raise fail(f"{copy} cannot be written: {error.strerror}.") from None
    demo.show(credentials, place / demo.FILE)
    return credentials
