"""A process that reads files until it is killed: `python -m tests.imports.dying DSN KEYFILE`."""

import asyncio
import sys
from pathlib import Path

from tallystick import imports
from tallystick.base import clock
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.imports.chunks import Pace
from tallystick.main import CLOSINGS


def _slow(pace: Pace) -> None:
    pace.size, pace.faults = 20, 0


async def main(dsn: str, key_file: str) -> None:
    """Read, a few lines at a time."""
    Pace.took = lambda *_: None  # type: ignore[method-assign]
    Pace.__init__ = _slow  # type: ignore[method-assign,assignment]
    runtime = Runtime(Pool(dsn, 4, name="dying"), clock.utc, MasterKeys.read(Path(key_file)), CLOSINGS)
    while True:
        if not await imports.run_due(runtime):
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
