"""Two customers that turn out to be one, as far as the people go: what they hold is moved by whoever calls this, in the same work.

A merged customer keeps everything that names them, changes no more, and can be parted again.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import tallystick.customers.store as store
from tallystick.base import ids
from tallystick.base.work import Work
from tallystick.customers.model import Customer, Merge


async def merge(work: Work, merged: Customer, survivor: Customer) -> tuple[Merge, Customer]:
    """One held customer is another from now on: the merge, and the customer as they are now."""
    made = Merge(ids.new(), merged.id, survivor.id, work.now, None)
    await store.insert_merge(work, made)
    return made, await _set(work, replace(merged, status="merged", merged_into=survivor.id))


async def part(work: Work, made: Merge, merged: Customer) -> tuple[Merge, Customer]:
    """A held customer is themselves again."""
    await store.undo_merge(work, made.id)
    return replace(made, undone_at=work.now), await _set(work, replace(merged, status="active", merged_into=None))


async def open_merges(work: Work, customer_ids: Sequence[UUID]) -> dict[UUID, Merge]:
    """The merge that each of these customers is in, by customer; final only for whoever holds them."""
    return await store.open_merges(work, customer_ids)


async def of_member_codes(work: Work, codes: Sequence[str]) -> dict[str, UUID]:
    """The active customer of each member code: who has it, or whom they were merged into; others are absent."""
    found = await store.by_member_codes(work, codes)
    active: dict[str, UUID] = {}
    while found:
        active |= {code: customer_id for code, (customer_id, status, _) in found.items() if status == "active"}
        following = {code: into for code, (_, _, into) in found.items() if into is not None}
        known = await store.succession(work, list(set(following.values()))) if following else {}
        found = {code: (into, *known[into]) for code, into in following.items()}
    return active


async def _set(work: Work, customer: Customer) -> Customer:
    written = replace(customer, version=customer.version + 1, updated_at=work.now)
    await store.set_status(work, written)
    return written
