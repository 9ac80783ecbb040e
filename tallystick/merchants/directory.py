"""Which merchant a request is for, without a statement for each request: every tenant's merchants, kept for seconds.

Only ids, countries and whether they are open are kept. What was decided from it is checked again in the work itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import tallystick.merchants.store as store
from tallystick.base.errors import InvalidRequest
from tallystick.base.work import Caller, Runtime, Tenant
from tallystick.merchants.model import MerchantRef, TenantMerchants, choose

FRESH: Final = 5.0
"""Seconds for which what was read is believed."""

ASKED_AGAIN: Final = 1.0
"""Seconds after which a merchant that is not known here is looked for again: it may be new."""

TENANTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was read of one tenant, and when by the machine's own clock the reading began."""

    merchants: TenantMerchants
    since: float


class MerchantDirectory:
    """One for each process. Kept by tenant, so that what is stale is never another tenant's."""

    def __init__(self, runtime: Runtime, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._runtime, self._ticks = runtime, ticks
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()
        self._reading: dict[UUID, asyncio.Lock] = {}
        self._forgotten = 0

    def resolve_cached(self, caller: Caller, named: UUID | None) -> MerchantRef | None:
        """The merchant where it is known already; None: ask `resolve`. Never refuses."""
        kept = self._kept.get(caller.tenant.id)
        if kept is None or self._ticks() - kept.since > FRESH:
            return None
        found = choose(caller, kept.merchants, named)
        return None if isinstance(found, InvalidRequest) else found

    async def resolve(self, caller: Caller, named: UUID | None) -> MerchantRef:
        """The merchant a request is for. Raises InvalidRequest at merchantId: unknown, not allowed, or to be named."""
        found = self.resolve_cached(caller, named)
        if found is None:
            chosen = choose(caller, await self._merchants(caller.tenant, ASKED_AGAIN), named)
            if isinstance(chosen, InvalidRequest):
                raise chosen
            found = chosen
        return found

    def forget(self, tenant_id: UUID) -> None:
        """Read this tenant's merchants anew when they are next wanted: one was added or closed."""
        self._forgotten += 1
        self._kept.pop(tenant_id, None)

    async def _merchants(self, tenant: Tenant, fresh: float) -> TenantMerchants:
        """What was read within the last `fresh` seconds; those who want the same at once share one reading."""
        turn = self._reading.setdefault(tenant.id, asyncio.Lock())
        try:
            async with turn:
                kept = self._kept.get(tenant.id)
                if kept is None or self._ticks() - kept.since > fresh:
                    kept = await self._read(tenant)
                return kept.merchants
        finally:
            if not turn.locked() and self._reading.get(tenant.id) is turn:
                del self._reading[tenant.id]

    async def _read(self, tenant: Tenant) -> _Kept:
        since, forgotten = self._ticks(), self._forgotten
        async with self._runtime.reading(tenant) as work:
            kept = _Kept(TenantMerchants.of(await store.refs(work)), since)
        if forgotten == self._forgotten:
            self._kept[tenant.id] = kept
            self._kept.move_to_end(tenant.id)
            if len(self._kept) > TENANTS_MAX:
                self._kept.popitem(last=False)
        return kept
