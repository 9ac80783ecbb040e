"""What is handed out of progress when a person asks for everything that is kept about them."""

from collections.abc import Sequence
from uuid import UUID

import tallystick.thresholds.progress_store as store
from tallystick.base.work import Caller, Work
from tallystick.thresholds import actions, progress_resource


async def of_customers(work: Work, caller: Caller, customer_ids: Sequence[UUID], most: int) -> tuple[list[bytes], bool]:
    """How far these customers are in what, last moved first, as the caller sees it; and whether there is more."""
    partner_id = None if caller.sees_programme else caller.partner_id
    wanted = store.Wanted(partner_id, caller.merchant_ids, customer_ids, None, current=False, status=None)
    page, total = await store.listed(work, wanted, 0, most)
    versions = await actions.versions(work, list({(each.threshold_id, each.number) for each in page}))
    shown = [progress_resource.shown(each, versions[each.threshold_id, each.number], work.now) for each in page]
    return shown, total > most
