"""`keys`: the master key of a deployment with a database of its own."""

from pathlib import Path
from typing import Annotated

import typer

from tallystick.base.keys import BadKeys, MasterKeys
from tallystick.cli.ground import fail, show

app = typer.Typer(help="The master key: without it nothing that was sealed can be read again.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
File = Annotated[Path, typer.Argument(help="The file of the master key; only its owner may read it.")]


@app.command()
def generate(file: File, as_json: JsonOption = False) -> None:
    """Make a new master key in a new file. Keep a copy where the database's backups are not."""
    try:
        MasterKeys.generate().write_new(file)
    except FileExistsError:
        raise fail(
            f"{file} exists; a master key is never written over. Use `tallystick keys rotate` to add a version."
        ) from None
    except OSError as error:
        raise fail(f"{file} cannot be written: {error.strerror}.") from None
    show({"file": str(file), "version": 1, "setting": f"TALLYSTICK_MASTER_KEY_FILE={file}"}, as_json)


@app.command()
def rotate(file: File, as_json: JsonOption = False) -> None:
    """Add a version to the master key; new values are sealed under it, and older ones stay readable."""
    try:
        keys = MasterKeys.read(file).add_version()
        keys.write_over(file)
    except BadKeys as bad:
        raise fail(str(bad)) from None
    except OSError as error:
        raise fail(f"{file} cannot be rotated: {error.strerror}.") from None
    show({"file": str(file), "version": keys.current, "next": "start every process again"}, as_json)
