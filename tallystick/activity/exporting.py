"""What is handed out of activity when a person asks for everything that is kept about them."""

from collections.abc import Sequence
from typing import get_args
from uuid import UUID

import tallystick.activity.store as store
from tallystick.activity import resource
from tallystick.activity.model import Activity, Kind
from tallystick.activity.reading import NEWEST
from tallystick.activity.store import Wanted
from tallystick.base.work import Caller, Work


async def of_customers(work: Work, caller: Caller, customer_ids: Sequence[UUID], most: int) -> tuple[list[bytes], bool]:
    """The newest resources of what these customers did, as the caller sees it; and whether there are more of a kind."""
    shown: list[bytes] = []
    truncated = False
    for kind in get_args(Kind):
        found: list[Activity] = []
        for customer_id in customer_ids:
            found += await store.listed(work, _wanted(caller, kind, customer_id), most + 1)
        found.sort(key=lambda each: each.id.int, reverse=True)
        truncated = truncated or len(found) > most
        shown += [resource.resource(work, each, caller) for each in found[:most]]
    return shown, truncated


def _wanted(caller: Caller, kind: Kind, customer_id: UUID) -> Wanted:
    partner_id = None if caller.sees_programme else caller.partner_id
    return Wanted("customer", customer_id, kind, partner_id, caller.merchant_ids, None, NEWEST)
