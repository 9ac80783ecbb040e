"""Books for the tests of the ledger: accounts of a merchant, and journals between them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from tallystick import ledger
from tallystick.base import ids
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.ledger import Journal, NewAccount, Transfer


@dataclass(frozen=True)
class Books:
    """The book of one merchant in one currency, and short ways to write in it."""

    runtime: Runtime
    tenant: Tenant
    merchant_id: UUID = field(default_factory=ids.new)
    currency: str = "USD"

    @asynccontextmanager
    async def work(self, at: datetime | None = None) -> AsyncIterator[Work]:
        async with self.runtime.work(self.tenant, at=at) as work:
            yield work

    def new(self, code: str = "wallet.lot", *, floor: int | None = 0, ceiling: int | None = None) -> NewAccount:
        return NewAccount(ids.new(), self.merchant_id, self.currency, code, ids.new(), floor=floor, ceiling=ceiling)

    async def open(self, code: str, *, floor: int | None = None, ceiling: int | None = None) -> UUID:
        account = self.new(code, floor=floor, ceiling=ceiling)
        async with self.work() as work:
            await ledger.open_accounts(work, [account])
        return account.id

    async def receivable(self) -> UUID:
        """What an invoiced merchant owes: no limit."""
        return await self.open("merchant.receivable")

    async def lot(self, balance: int) -> UUID:
        """A lot that holds a balance."""
        lot = self.new()
        assert await self.post(self.journal((await self.receivable(), lot.id, balance)), opening=[lot]) == ["posted"]
        return lot.id

    def journal(self, *transfers: tuple[UUID, UUID, int], kind: str = "reward.issue") -> Journal:
        legs = tuple(Transfer(*transfer) for transfer in transfers)
        return Journal(ids.new(), kind, ids.new(), self.merchant_id, self.currency, legs)

    async def post(
        self, *journals: Journal, opening: Sequence[NewAccount] = (), at: datetime | None = None
    ) -> list[ledger.Verdict]:
        async with self.work(at) as work:
            return await ledger.post(work, journals, opening)

    async def account(self, account_id: UUID) -> ledger.Account | None:
        async with self.work() as work:
            return (await ledger.lock(work, [account_id])).get(account_id)

    async def balance(self, account_id: UUID) -> int | None:
        async with self.runtime.reading(self.tenant) as work:
            return await ledger.balance(work, account_id)

    async def entries(self, account_id: UUID) -> list[ledger.Entry]:
        async with self.runtime.reading(self.tenant) as work:
            return await ledger.statement(work, account_id)
