"""Every statement on `wallet_merges`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from tallystick.base.work import Work

COLUMNS = """id, customer_merge_id, wallet_id, into_wallet_id, status_before, journal_id, from_lots, into_lots, amounts, owed,
    undo_journal_id, returned, owed_returned"""

INSERT = """
insert into wallet_merges (
    tenant_id, id, customer_merge_id, wallet_id, into_wallet_id, status_before, journal_id, from_lots, into_lots, amounts, owed
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

OF_MERGES = f"""
select {COLUMNS}
from wallet_merges
where tenant_id = $1 and customer_merge_id = any($2::uuid[])
order by wallet_id
"""

UNDO = """
update wallet_merges set undo_journal_id = $3, returned = $4, owed_returned = $5 where tenant_id = $1 and id = $2
"""

OWNERS = """
select owner_id from accounts where tenant_id = $1 and parent_id = any($2::uuid[]) and code = 'wallet.lot' and balance > 0
"""


Before = Literal["pending", "active", "closing"]


@dataclass(frozen=True, slots=True)
class WalletMerge:
    """What a merge did to one wallet, in minor units of its currency; what undoing it brought back, None until it is undone.

    Lots go by place: of `from_lots[n]`, `amounts[n]` moved to `into_lots[n]`. No journal: nothing was there to move.
    """

    id: UUID
    merge_id: UUID
    wallet_id: UUID
    into_wallet_id: UUID
    status_before: Before
    journal_id: UUID | None
    from_lots: Sequence[UUID]
    into_lots: Sequence[UUID]
    amounts: Sequence[int]
    owed: int
    undo_journal_id: UUID | None = None
    returned: int | None = None
    owed_returned: int | None = None

    @property
    def moved(self) -> int:
        """All value that moved."""
        return sum(self.amounts)


async def insert(work: Work, made: WalletMerge) -> None:
    """Keep what a merge did to a wallet."""
    await work.db.run(
        INSERT,
        work.tenant.id,
        made.id,
        made.merge_id,
        made.wallet_id,
        made.into_wallet_id,
        made.status_before,
        made.journal_id,
        made.from_lots,
        made.into_lots,
        made.amounts,
        made.owed,
    )


async def of_merges(work: Work, merge_ids: Sequence[UUID]) -> list[WalletMerge]:
    """What merges of customers did to their wallets, by wallet."""
    return [WalletMerge(*row) for row in await work.db.rows(OF_MERGES, work.tenant.id, merge_ids)]


async def undo(work: Work, made: WalletMerge) -> None:
    """Keep what undoing a merge brought back."""
    await work.db.run(UNDO, work.tenant.id, made.id, made.undo_journal_id, made.returned, made.owed_returned)


async def owners(work: Work, wallet_ids: Sequence[UUID]) -> set[UUID]:
    """What gave the lots of these wallets that hold anything: their rewards."""
    return {row[0] for row in await work.db.rows(OWNERS, work.tenant.id, wallet_ids)}
