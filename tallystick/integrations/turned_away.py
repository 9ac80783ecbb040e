"""How many documents were turned away at each integration's door, counted aside: who has no proof makes us write nothing.

What a kill may lose is what was counted in the last second.
"""

import asyncio
from typing import Final
from uuid import UUID

import tallystick.integrations.store as store
from tallystick.base import logs
from tallystick.base.batcher import BUSY, RETRIED
from tallystick.base.db import LOST
from tallystick.base.errors import Unavailable
from tallystick.base.work import Runtime, Tenant

WRITTEN_EVERY: Final = 1.0
COUNT_MAX: Final = 2**31 - 1

OUTAGE = (*LOST, *BUSY, *RETRIED, Unavailable)


class TurnedAway:
    """One for each process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[Tenant, dict[UUID, int]] = {}
        self._closing = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def add(self, tenant: Tenant, integration_id: UUID) -> None:
        """Count one. Only integrations that exist are counted, so that their number bounds the memory this takes."""
        of_tenant = self._waiting.setdefault(tenant, {})
        of_tenant[integration_id] = min(of_tenant.get(integration_id, 0) + 1, COUNT_MAX)

    def start(self) -> None:
        """Begin to write, in the background."""
        assert self._loop is None, "counting is started once"
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what waits and stop; what the database cannot take now is lost."""
        self._closing.set()
        if self._loop is not None:
            await self._loop
        try:
            await self.write()
        except OUTAGE as error:
            logs.log().warning("Counts of refused documents are lost.", error=type(error).__name__)

    async def write(self) -> None:
        """Write everything that waits now. When the database is away it raises, and what was not written waits on."""
        for tenant in list(self._waiting):
            counted = self._waiting.pop(tenant)
            try:
                async with self._runtime.work(tenant) as work:
                    await store.count_refused(work, counted)
            except BaseException:
                waiting = self._waiting.setdefault(tenant, {})
                for integration_id, count in counted.items():
                    waiting[integration_id] = min(waiting.get(integration_id, 0) + count, COUNT_MAX)
                raise

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(WRITTEN_EVERY):
                    await self._closing.wait()
            except TimeoutError:
                pass
            try:
                await self.write()
            except OUTAGE as error:
                logs.log().warning("Counts of refused documents wait.", error=type(error).__name__)
