"""A process that dies between taking back and counting: `python -m tests.rewards.dying DSN KEYFILE TENANT PROGRAMME INSTANT`."""

import asyncio
import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.main import CLOSINGS
from tallystick.rewards import batch_store, batches


async def _die(work: Work, batch_id: UUID) -> int:
    del work, batch_id
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


async def main(dsn: str, key_file: str, tenant: str, programme: str, instant: str) -> None:
    """Revoke, until something was taken back and is to be counted."""
    batch_store.taken_back = _die
    now = datetime.fromisoformat(instant)
    runtime = Runtime(Pool(dsn, 4, name="dying"), lambda: now, MasterKeys.read(Path(key_file)), CLOSINGS)
    while await batches.step(runtime, Tenant(UUID(tenant), UUID(programme), "sandbox")):
        pass


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
