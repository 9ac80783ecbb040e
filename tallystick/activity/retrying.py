"""Rewards that were refused when their step was reached are tried again, while they are deserved."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import tallystick.activity.outcome_store as store
from tallystick import thresholds
from tallystick.activity.awarding import Ground, give
from tallystick.activity.outcome_store import Outcome
from tallystick.base.rounds import each_in_turn
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.thresholds.budgets import Spent

AT_ONCE: Final = 100


async def next_retry(work: Work) -> datetime | None:
    """When the next refused reward is tried again."""
    return await store.next_due(work)


async def retry_at(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
    """Try what is due at `at`, up to a number; whether anything was."""
    async with runtime.work(tenant, at=at) as work:
        wanted = await store.due(work, AT_ONCE)
        if wanted:
            await _retry(work, wanted)
    return bool(wanted)


async def retry_due(runtime: Runtime) -> bool:
    """One step of the loop: of each tenant, what is due by now; whether any had."""
    async with runtime.discovering() as db:
        rows = await db.rows(store.DISCOVERY_DUE, runtime.clock())
    return await each_in_turn(rows, lambda tenant, row: retry_at(runtime, tenant, row[3]))


async def _retry(work: Work, wanted: Sequence[Outcome]) -> None:
    progress = await thresholds.lock_progress(work, [each.place for each in wanted])
    current = {(each.threshold_id, each.customer_id, each.window_start): each.current for each in progress}
    stand = await store.by_ids(work, [each.id for each in wanted])
    due = [each for each in stand.values() if each.due_at is not None and each.due_at <= work.now]
    dropped = [
        replace(each, status="returned", due_at=None, updated_at=work.now) for each in due if _lost(each, current)
    ]
    await store.change(work, dropped)
    still = [each for each in due if not _lost(each, current)]
    await _try(work, still)


def _lost(outcome: Outcome, current: dict[thresholds.Place, int]) -> bool:
    return current.get(outcome.place, 0) < outcome.needs


async def _try(work: Work, outcomes: Sequence[Outcome]) -> None:
    """Each stands behind the request that reached its step."""
    rules = await thresholds.by_ids(work, list({each.threshold_id for each in outcomes}))
    versions = await thresholds.versions(work, list({(each.threshold_id, each.number) for each in outcomes}))
    ground = Ground(rules, {}, versions, {}, {each.place: each.request_id for each in outcomes})
    bounds = [line.bound for each in outcomes for line in ground.bounds(each)]
    ground.spent = Spent(await store.lock_spent(work, bounds))
    tried = await give(work, ground, outcomes)
    await store.change(work, [replace(each, updated_at=work.now) for each in tried])
    await store.spend(work, {bound: ground.spent.of[bound] for bound in ground.spent.changed})
