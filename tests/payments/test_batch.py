"""A batch is its payments one at a time: the whole verb against another programme."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, given, settings

from tallystick import ledger, merchants
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.errors import Refusal
from tallystick.base.work import Runtime
from tallystick.ledger import LotClass
from tallystick.payments.authorizing import Paid, authorize
from tests import world
from tests.customers.cast import Partner
from tests.payments.cast import check_whole
from tests.payments.wishes import HOLDINGS, PLACES, SPLITS, WISHES, Wish, command, split


@dataclass
class Programme:
    """A programme with one merchant, two partners, and wallets as `STATUSES` says, but that none is suspended."""

    partners: list[Partner]
    shop_id: UUID
    wallets: list[UUID]
    intents: dict[UUID, int] = field(default_factory=dict)
    purses: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    async def found(cls, runtime: Runtime, holdings: Sequence[tuple[int, LotClass, int, int | None]]) -> "Programme":
        tenant = await world.northwind(runtime, "production")
        partners = [Partner(runtime, tenant), Partner(runtime, tenant)]
        async with runtime.work(tenant) as work:
            shop = await merchants.add(work, merchants.NewMerchant("Café Luna", "USD", "US", "America/New_York"))
            changes = merchants.Changes(wallet_day_maximum=150, wallet_day_count=6, merchant_day_maximum=260)
            await merchants.configure(work, shop.id, changes)
        wallets = []
        for number in range(PLACES):
            user = await partners[0].create(phone=f"+1202555{number:04}", phone_verified=True)
            wallets.append(await partners[0].wallet(user.resource_id, shop))
        made = cls(partners, shop.id, wallets)
        for number, (wallet, lot_class, amount, days) in enumerate(holdings):
            made.purses[await made._fill(wallet, lot_class, amount, days)] = number
        await partners[0].suspend(wallets[2])
        await partners[0].close(wallets[3])
        return made

    async def _fill(self, wallet: int, lot_class: LotClass, amount: int, days: int | None) -> UUID:
        partner = self.partners[0]
        async with partner.runtime.work(partner.tenant) as work:
            # Lots of one class and expiry are burnt by their ids, which two programmes give in the same order.
            account = ledger.NewAccount(
                id=ids.new(1_000_000 + len(self.purses)),
                merchant_id=self.shop_id,
                currency="USD",
                code="wallet.lot",
                owner_id=self.wallets[wallet],
                parent_id=self.wallets[wallet],
                lot_class=lot_class,
                expires_at=None if days is None else work.now + timedelta(days=days),
                floor=0,
            )
            transfer = ledger.Transfer(ledger.house_account(self.shop_id, "merchant.sales"), account.id, amount)
            journal = ledger.Journal(ids.new(), "card.load", account.id, self.shop_id, "USD", (transfer,))
            assert await ledger.post(work, [journal], opening=[account]) == ["posted"]
        return account.id

    async def pay(self, batch: Sequence[Wish]) -> list[str]:
        commands = [
            msgspec.structs.replace(
                command(wish, self.shop_id, self.wallets), asked=self.partners[wish.partner].asked()
            )
            for wish in batch
        ]
        return [self._said(outcome) for outcome in await self.partners[0].do(authorize, *commands)]

    def _said(self, outcome: Any) -> str:
        if isinstance(outcome, Paid):
            number = self.intents.setdefault(outcome.intent_id, len(self.intents))
            return f"payment {number}{' again' if outcome.replayed else ''}"
        assert isinstance(outcome, Refusal), repr(outcome)
        return outcome.code

    async def state(self) -> Any:
        """Payments, parts, lots, wallets, counted days, references, events in their order, and how many keys there are."""
        tenant = self.partners[0].tenant
        wallets = {wallet_id: number for number, wallet_id in enumerate([*self.wallets, self.shop_id])}

        async def rows(sql: str) -> list[list[Any]]:
            names = {**wallets, **self.intents, **self.purses}
            found = await work.db.rows(sql, tenant.id)
            return sorted(([names.get(each, each) for each in row] for row in found), key=repr)

        async with self.partners[0].runtime.reading(tenant) as work:
            return [
                await rows(
                    "select id, status, authorized_amount, captured_tender from payment_intents where tenant_id = $1"
                ),
                await rows(
                    "select intent_id, ordinal, account_id, amount, captured from payment_parts where tenant_id = $1"
                ),
                await rows("select id, balance, held from accounts where tenant_id = $1 and code = 'wallet.lot'"),
                await rows("select id, status from wallets where tenant_id = $1"),
                await rows("select subject_id, day, count, amount from spending_days where tenant_id = $1"),
                await rows("select reference, intent_id from till_references where tenant_id = $1"),
                await rows(
                    "select subject_id, topic, sequence from events where tenant_id = $1 and topic like 'redem%'"
                ),
                await rows("select count(*) from idempotency_keys where tenant_id = $1 and operation like 'payments%'"),
            ]


@given(wishes=WISHES, cuts=SPLITS, holdings=HOLDINGS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_paying_in_batches_does_what_paying_one_by_one_does(
    runtime: Runtime,
    auditor: Db,
    wishes: list[Wish],
    cuts: list[int],
    holdings: list[tuple[int, LotClass, int, int | None]],
) -> None:
    coming = [
        (wallet, kind, amount, None if days is None else abs(days) + 1) for wallet, kind, amount, days in holdings
    ]
    batched, single = await Programme.found(runtime, coming), await Programme.found(runtime, coming)
    together = [told for batch in split(wishes, cuts) for told in await batched.pay(batch)]
    apart = [told for wish in wishes for told in await single.pay([wish])]
    assert together == apart
    assert await batched.state() == await single.state()
    for programme in (batched, single):
        await check_whole(auditor, programme.partners[0].tenant)
