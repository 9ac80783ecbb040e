"""The command line: the list of commands. Each is named for what it does; every list takes `--json`."""

import asyncio
import importlib
import socket
from pathlib import Path
from typing import Annotated

import typer

from tallystick import __version__
from tallystick.base.known_keys import OtherKeys
from tallystick.base.migrate import NotMigrated, migrate
from tallystick.cli import keys as key_commands
from tallystick.cli import operators, parties, periods, quotas, retaining, serving, verifying
from tallystick.cli.ground import (
    directory,
    fail,
    make_directory,
    master_keys,
    reachable,
    read_settings,
    say,
    say_json,
)
from tallystick.cli.importing import import_file
from tallystick.cli.listening import listen as listen_to_events
from tallystick.cli.operating import DataOption, JsonOption
from tallystick.cli.processes import listen
from tallystick.cli.torture import torture
from tallystick.cli.tour import tour
from tallystick.cli.triggering import trigger
from tallystick.cli.up import up

app = typer.Typer(
    name="tallystick",
    help="Merchant rewards and stored value, in books that always add up.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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
        say("listening on {}:{}".format(*listening.getsockname()[:2]))
    try:
        serving.serve(settings, settings.database_url, keys, listening, watch_parent=fd is not None)
    except OtherKeys as other:
        raise fail(str(other)) from None


@app.command()
def work(part: Annotated[bool, typer.Option("--part", hidden=True)] = False) -> None:
    """Run the background work: one process, or several for safety."""
    settings = read_settings()
    if settings.database_url is None:
        raise fail("work needs TALLYSTICK_DATABASE_URL. To run everything on one machine, use `tallystick up`.")
    keys = master_keys(settings, directory(settings, None))
    try:
        serving.work(settings, settings.database_url, keys, watch_parent=part)
    except OtherKeys as other:
        raise fail(str(other)) from None


@app.command("migrate")
def migrate_(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Bring the database to the schema this version needs. Safe while the previous version still runs."""
    applied = asyncio.run(_migrate(data))
    if as_json:
        say_json({"applied": applied})
    else:
        say("\n".join(f"applied {name}" for name in applied) or "up to date")


async def _migrate(data: Path | None) -> list[str]:
    settings = read_settings()
    place = directory(settings, data)
    if settings.database_url is None:
        make_directory(place)
        master_keys(settings, place)
    async with reachable(settings, place, make=True) as dsn:
        try:
            return await migrate(dsn)
        except NotMigrated as error:
            raise fail(str(error)) from None


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    if as_json:
        say_json({"version": __version__})
    else:
        say(__version__)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Measure beside the usual stack. Lives in the source repository; `--help` tells its options."""
    try:
        run = importlib.import_module("benchmarks.__main__")
    except ModuleNotFoundError as missing:
        if missing.name not in ("benchmarks", "benchmarks.__main__"):
            raise fail(f"The benchmarks need {missing.name}: pip install 'tallystick[bench]'.") from None
        raise fail("The benchmarks are part of the source repository. Clone it, and run this there.") from None
    raise typer.Exit(run.main(context.args))


app.command()(up)
app.command()(verifying.verify)
app.command()(torture)
app.command()(tour)
app.command()(retaining.retention)
app.command("import")(import_file)
app.command("listen")(listen_to_events)
app.command()(trigger)
app.add_typer(key_commands.app, name="keys")
for name, commands in {**parties.APPS, **quotas.APPS, **periods.APPS, **operators.APPS}.items():
    app.add_typer(commands, name=name)


def main() -> None:
    """The entry of the command `tallystick`."""
    app()
