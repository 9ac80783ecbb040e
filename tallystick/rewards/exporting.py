"""What is handed out of rewards when a person asks for everything that is kept about them."""

from collections.abc import Collection, Sequence
from uuid import UUID

import tallystick.rewards.store as store
from tallystick.base.work import Caller, Work
from tallystick.customers import recipients
from tallystick.rewards import resource


async def of_person(
    work: Work, caller: Caller, recipient_ids: Sequence[UUID], wallet_ids: Collection[UUID] | None, most: int
) -> tuple[list[bytes], bool]:
    """The newest rewards of these recipients, as the caller sees them; and whether there are more.

    Where the phone is somebody else's too, only those that came into these wallets; None: all of them.
    """
    people = await recipients.by_ids(work, recipient_ids)
    partner_id = None if caller.sees_programme else caller.partner_id
    shown: list[bytes] = []
    truncated = False
    for person in people.values():
        page, total = await store.listed(work, person.id, partner_id, caller.merchant_ids, None, 0, most)
        truncated = truncated or total > most
        shown += [
            resource.resource(reward, resource.open_private(reward, person), work.now, caller)
            for reward in page
            if wallet_ids is None or reward.wallet_id in wallet_ids
        ]
    return shown, truncated
