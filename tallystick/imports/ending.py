"""What is done for a file behind its end: what waits is released or rejected, and the file itself is forgotten."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import tallystick.imports.store as store
from tallystick import activity, events, partners
from tallystick.base.work import Asked, Caller, Runtime, Tenant, Work
from tallystick.imports import resource
from tallystick.imports.model import KEPT_DAYS, Import

RELEASED_AT_ONCE: Final = 500


async def go_on(runtime: Runtime, tenant: Tenant, import_id: UUID, seconds: float) -> None:
    """Do what is due for an import that is not read, for about so many seconds."""
    async with runtime.work(tenant) as work:
        found = await store.lock(work, import_id)
        if found is None or found.due_at is None or found.due_at > work.real_now:
            return
        if found.release_after is None:
            await _forget(work, found)
            return
    until = time.monotonic() + seconds
    while await _release(runtime, tenant, found):
        if time.monotonic() > until:
            return


async def _forget(work: Work, found: Import) -> None:
    """Forget the file. One that was never sent to its end has failed."""
    await store.forget_parts(work, found.id)
    forgotten = replace(found, due_at=None, version=found.version + 1, updated_at=work.now)
    if found.status == "uploading":
        detail = f"It was not started within {KEPT_DAYS} days, and what was sent is forgotten."
        forgotten = replace(forgotten, status="failed", detail=detail, finished_at=work.now)
        events.record(work, resource.event("import.failed", forgotten))
    await store.update(work, forgotten)


async def _release(runtime: Runtime, tenant: Tenant, found: Import) -> bool:
    """Release, or reject, the next of what waits; whether there may be more."""
    caller = await partners.caller_of(runtime.pool, found.client_id)
    if caller is None:
        # Whoever sent the file is not let in any more: what waits is decided all the same.
        caller = Caller.behind(tenant, found.partner_id, found.client_id)
    asked = Asked(caller, found.request_id, "POST", resource.IMPORT.path)
    async with runtime.work(tenant) as work:
        stands = await store.lock(work, found.id)
        if stands is None or stands.release_after is None:
            return False
        after = await activity.release(
            work,
            asked,
            stands.id,
            reject=stands.rejecting,
            after=stands.release_after,
            limit=RELEASED_AT_ONCE,
        )
        due_at = work.real_now if after is not None else work.real_now + timedelta(days=KEPT_DAYS)
        written = replace(stands, release_after=after, due_at=due_at, version=stands.version + 1, updated_at=work.now)
        await store.update(work, written)
    return after is not None
