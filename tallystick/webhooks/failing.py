"""How endpoints fare: since when one fails, when its partner is warned, and when it is sent nothing any more.

An endpoint's row is written when something changes that matters, and at most once a minute otherwise: never for every delivery.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import tallystick.webhooks.delivery_store as delivery_store
import tallystick.webhooks.store as store
from tallystick import events
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.webhooks import changing, resource
from tallystick.webhooks.model import APART, PATIENCE, WARNINGS, Reason, Webhook

OFTEN: Final = timedelta(minutes=1)
"""How exactly the last success and the last failure of an endpoint are known."""
SKIPPED_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Fared:
    """What a few attempts in a row came to at one endpoint."""

    webhook_id: UUID
    succeeded_at: datetime | None
    """The last that went well."""
    failed_at: datetime | None
    """The last that went wrong."""
    is_failing: bool
    """Whether the very last one went wrong."""
    disables: Reason | None = None


def matters(webhook: Webhook, fared: Fared) -> bool:
    """Whether there is anything to write; by the row as it was known lately."""
    return judged(webhook, fared) != webhook or fared.disables is not None


def judged(webhook: Webhook, fared: Fared) -> Webhook:
    """The endpoint as it is after these attempts, short of being disabled."""
    if webhook.status != "enabled":
        return webhook
    after = webhook
    if fared.succeeded_at is not None:
        if webhook.failing_since is not None or _is_old(webhook.succeeded_at, fared.succeeded_at):
            after = replace(after, succeeded_at=_later(webhook.succeeded_at, fared.succeeded_at))
        after = replace(after, failing_since=None, warned=0)
    if fared.is_failing and fared.failed_at is not None:
        if after.failing_since is None or _is_old(webhook.failed_at, fared.failed_at):
            after = replace(after, failed_at=_later(webhook.failed_at, fared.failed_at))
        since = fared.failed_at if after.failing_since is None else after.failing_since
        after = replace(after, failing_since=since, warned=max(after.warned, _warning(since, fared.failed_at)))
    return after


def is_given_up(webhook: Webhook, at: datetime) -> bool:
    """Whether a failure at this instant is one too many: it only failed for so long, and not in one short stretch."""
    since = webhook.failing_since
    return since is not None and at - since >= max(PATIENCE, APART)


async def note(work: Work, fared: Sequence[Fared]) -> Mapping[UUID, Webhook]:
    """Write how these endpoints fared, tell their partners what they have to know; the endpoints as they are now."""
    now: dict[UUID, Webhook] = {}
    locked = await store.lock(work, [each.webhook_id for each in fared])
    for each in fared:
        before = locked.get(each.webhook_id)
        if before is not None:
            now[before.id] = await _note(work, before, each)
    return now


async def _note(work: Work, before: Webhook, fared: Fared) -> Webhook:
    after = judged(before, fared)
    if before.status != "enabled":
        return before
    if fared.disables is not None:
        return await changing.disable(work, after, fared.disables)
    if fared.is_failing and fared.failed_at is not None and is_given_up(after, fared.failed_at):
        return await changing.disable(work, after, "failures")
    if after.warned > before.warned:
        after = replace(after, version=after.version + 1)
        events.record(work, resource.event("webhook.failing", after, percent=after.warned))
    if after != before:
        await store.update(work, after)
    return after


async def skip_due(runtime: Runtime) -> bool:
    """One step of the loop: what waits for endpoints that are off is skipped, some of it; whether there was any."""
    async with runtime.discovering() as db:
        rows = await db.rows(delivery_store.DISCOVERY_OFF, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: skip(runtime, tenant, row[3]))


async def skip(runtime: Runtime, tenant: Tenant, webhook_ids: Sequence[UUID]) -> bool:
    """Skip some of what waits for these endpoints; whether there was any."""
    did = False
    for webhook_id in webhook_ids:
        async with runtime.work(tenant) as work:
            did = await delivery_store.skip(work, webhook_id, SKIPPED_AT_ONCE) > 0 or did
    return did


def _warning(since: datetime, at: datetime) -> int:
    """The last warning that is due when it failed from one instant to another; 0: none."""
    return max((percent for percent in WARNINGS if (at - since) * 100 >= PATIENCE * percent), default=0)


def _is_old(known: datetime | None, at: datetime) -> bool:
    """Whether this instant is worth writing; a clock that was set back makes nothing old."""
    return known is None or at - known >= OFTEN


def _later(known: datetime | None, at: datetime) -> datetime:
    return at if known is None else max(known, at)
