"""What is handed out of activity when a person asks for everything that is kept about them."""

from collections.abc import AsyncIterator, Sequence
from typing import Final, get_args
from uuid import UUID

import tallystick.activity.store as store
from tallystick.activity import resource
from tallystick.activity.model import Kind
from tallystick.activity.reading import NEWEST
from tallystick.activity.store import Wanted
from tallystick.base.work import Caller, Work

AT_ONCE: Final = 50
BYTES_MAX: Final = 8 * 1024 * 1024
"""Senders' own documents may be long: behind so many bytes of a kind the rest is left out, whatever their number."""


async def of_customers(work: Work, caller: Caller, customer_ids: Sequence[UUID], most: int) -> tuple[list[bytes], bool]:
    """The newest resources of what these customers did, as the caller sees it; and whether there are more of a kind."""
    shown: list[bytes] = []
    truncated = False
    for kind in get_args(Kind):
        room, size = most, BYTES_MAX
        for customer_id in customer_ids:
            async for one in _of_one(work, caller, kind, customer_id):
                if not room or size < len(one):
                    truncated = True
                    break
                room, size = room - 1, size - len(one)
                shown.append(one)
    return shown, truncated


async def _of_one(work: Work, caller: Caller, kind: Kind, customer_id: UUID) -> AsyncIterator[bytes]:
    """Newest first, some at a time."""
    before = NEWEST
    while found := await store.listed(work, _wanted(caller, kind, customer_id, before), AT_ONCE):
        for each in found:
            yield resource.resource(work, each, caller)
        before = found[-1].id


def _wanted(caller: Caller, kind: Kind, customer_id: UUID, before: UUID) -> Wanted:
    partner_id = None if caller.sees_programme else caller.partner_id
    return Wanted("customer", customer_id, kind, partner_id, caller.merchant_ids, None, before)
