"""What is handed out of wallets when a person asks for everything that is kept about them."""

from collections.abc import Sequence
from uuid import UUID

import tallystick.wallets.store as store
from tallystick.base.work import Caller, Work
from tallystick.wallets import resource
from tallystick.wallets.model import Wallet


async def of_customers(work: Work, caller: Caller, customer_ids: Sequence[UUID], most: int) -> list[Wallet]:
    """The wallets of these customers that the caller may see, closed ones too."""
    partner_id = None if caller.sees_programme else caller.partner_id
    found, _ = await store.listed(work, customer_ids, partner_id, caller.merchant_ids, 0, most)
    return found


async def statements(work: Work, wallets: Sequence[Wallet], most: int) -> tuple[list[bytes], bool]:
    """The newest lines of each wallet's statement, so many in all; and whether there are more."""
    shown: list[bytes] = []
    truncated = False
    for wallet in wallets:
        room = most - len(shown)
        lines, total = await store.lines(work, wallet.id, 0, room)
        truncated = truncated or total > room
        shown += [resource.line(wallet, each) for each in lines]
    return shown, truncated
