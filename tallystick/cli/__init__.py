"""The command line: the list of commands. Each is named for what it does; every list takes `--json`."""

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer

from tallystick import __version__
from tallystick.base.migrate import NotMigrated, migrate
from tallystick.cli import keys as key_commands
from tallystick.cli import parties, serving, verifying
from tallystick.cli.ground import console, directory, fail, master_keys, reachable, read_settings
from tallystick.cli.processes import listen
from tallystick.cli.up import up

app = typer.Typer(
    name="tallystick",
    help="Merchant rewards and stored value, in books that always add up.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path | None, typer.Option("--data", help="Where the embedded database and its key lie.")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on.", min=0, max=65535)] = None,
    fd: Annotated[int | None, typer.Option(help="A listening socket that was handed over.", hidden=True)] = None,
) -> None:
    """Answer HTTP: one process. A deployment runs as many as it likes beside each other."""
    settings = read_settings()
    if settings.database_url is None:
        raise fail("serve needs TALLYSTICK_DATABASE_URL. To run everything on one machine, use `tallystick up`.")
    keys = master_keys(settings, directory(settings, None))
    if fd is not None:
        listening = socket.socket(fileno=fd)
    else:
        try:
            listening = listen(host or settings.host, settings.port if port is None else port, exact=True)
        except OSError as error:
            raise fail(f"Nothing can listen there: {error.strerror}. Give another --host or --port.") from None
        console.print(f"listening on {listening.getsockname()[0]}:{listening.getsockname()[1]}")
    serving.serve(settings, settings.database_url, keys, listening, watch_parent=fd is not None)


@app.command()
def work(part: Annotated[bool, typer.Option("--part", hidden=True)] = False) -> None:
    """Run the background work: one process, or several for safety."""
    settings = read_settings()
    if settings.database_url is None:
        raise fail("work needs TALLYSTICK_DATABASE_URL. To run everything on one machine, use `tallystick up`.")
    keys = master_keys(settings, directory(settings, None))
    serving.work(settings, settings.database_url, keys, watch_parent=part)


@app.command("migrate")
def migrate_(data: Data = None) -> None:
    """Bring the database to the schema this version needs. Safe while the previous version still runs."""
    asyncio.run(_migrate(data))


async def _migrate(data: Path | None) -> None:
    settings = read_settings()
    place = directory(settings, data)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    dsn, server = await reachable(settings, place)
    try:
        applied = await migrate(dsn)
    except NotMigrated as error:
        raise fail(str(error)) from None
    finally:
        if server is not None:
            server.stop()
    console.print("\n".join(f"applied {name}" for name in applied) or "up to date")


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


app.command()(up)
app.command()(verifying.verify)
app.add_typer(key_commands.app, name="keys")
for name, commands in parties.APPS.items():
    app.add_typer(commands, name=name)


def main() -> None:
    """The entry of the command `tallystick`."""
    app()
