"""Spending without a till: straight in the books."""

from uuid import UUID

from tallystick import ledger
from tallystick.base import ids
from tallystick.base.work import Work
from tallystick.ledger import Hold, Journal, NewAccount, Resolution, Transfer
from tests.customers.cast import Partner


async def lots(partner: Partner, wallet_id: UUID) -> list[tuple[UUID, int]]:
    """The lots of a wallet with their balances, oldest first."""
    async with partner.runtime.reading(partner.tenant) as work:
        rows = await work.db.rows(
            "select id, balance from accounts where tenant_id = $1 and parent_id = $2 order by opened_at, id",
            partner.tenant.id,
            wallet_id,
        )
    return [(row[0], row[1]) for row in rows]


async def spend(partner: Partner, lot_id: UUID, amount: int) -> None:
    """Move value out of a lot to the merchant."""
    async with partner.runtime.work(partner.tenant) as work:
        await spend_in(work, lot_id, amount)


async def spend_in(work: Work, lot_id: UUID, amount: int) -> None:
    """The same in a work that goes on."""
    lot = (await ledger.lock(work, [lot_id]))[lot_id]
    till = NewAccount(ids.new(), lot.merchant_id, lot.currency, "merchant.payable", ids.new())
    transfers = (Transfer(lot_id, till.id, amount),)
    journal = Journal(ids.new(), "redemption.capture", ids.new(), lot.merchant_id, lot.currency, transfers)
    assert await ledger.post(work, [journal], opening=[till]) == ["posted"]


async def hold(partner: Partner, lot_id: UUID, amount: int) -> UUID:
    """Reserve value of a lot."""
    held = Hold(ids.new(), lot_id, amount, ids.new())
    async with partner.runtime.work(partner.tenant) as work:
        assert await ledger.hold(work, [held]) == ["held"]
    return held.id


async def release(partner: Partner, hold_id: UUID) -> None:
    """End a hold without spending."""
    async with partner.runtime.work(partner.tenant) as work:
        assert await ledger.resolve(work, [Resolution(hold_id, "released")]) == ["resolved"]
