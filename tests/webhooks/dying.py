"""A process that delivers until it is killed: `python -m tests.webhooks.dying DSN KEYFILE`."""

import asyncio
import sys
from ipaddress import ip_network
from pathlib import Path

from tallystick.base import clock
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.main import CLOSINGS
from tallystick.webhooks import Deliverer, Rules, Sender


async def main(dsn: str, key_file: str) -> None:
    """Deliver."""
    runtime = Runtime(Pool(dsn, 4, name="dying"), clock.utc, MasterKeys.read(Path(key_file)), CLOSINGS)
    sender = Sender(Rules((ip_network("127.0.0.1/32"),))).open()
    await Deliverer(runtime, sender).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
