"""A shop whose books are written as every verb of stored value writes them, and short ways to close periods and order reports."""

import asyncio
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tallystick import ledger, merchants, reports
from tallystick.base import clock, ids
from tallystick.base.work import Runtime, Tenant
from tallystick.ledger import Code, Journal, LotClass, NewAccount, Transfer
from tests.api import Answer, Api, document_of
from tests.world import T0

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONTH = timedelta(days=30)


@dataclass
class Shop:
    """One merchant's books. Every verb is one journal at an instant; lots go by their ids."""

    runtime: Runtime
    tenant: Tenant
    merchant: merchants.Merchant
    lots: dict[UUID, NewAccount] = field(default_factory=dict)

    def house(self, code: Code) -> UUID:
        return ledger.house_account(self.merchant.id, code)

    async def post(
        self,
        kind: str,
        transfers: Sequence[tuple[UUID, UUID, int]],
        at: datetime = T0,
        opening: Sequence[NewAccount] = (),
        cause: UUID | None = None,
    ) -> UUID:
        legs = tuple(Transfer(*each) for each in transfers)
        journal = Journal(ids.new(), kind, cause or ids.new(), self.merchant.id, self.merchant.currency, legs)
        async with self.runtime.work(self.tenant, at=at) as work:
            assert await ledger.post(work, [journal], opening) == ["posted"]
        return journal.id

    def lot(
        self,
        lot_class: LotClass = "paid",
        code: str = "card.lot",
        expires_at: datetime | None = None,
        funder_id: UUID | None = None,
        parent_id: UUID | None = None,
    ) -> NewAccount:
        lot_id, parent_id = ids.new(), parent_id or ids.new()
        self.lots[lot_id] = NewAccount(
            lot_id,
            self.merchant.id,
            self.merchant.currency,
            code,
            parent_id,
            parent_id,
            lot_class,
            funder_id,
            expires_at,
            0,
        )
        return self.lots[lot_id]

    async def sell(self, amount: int, at: datetime = T0, **more: Any) -> UUID:
        lot = self.lot("paid", **more)
        await self.post("card.issue", [(self.house("merchant.sales"), lot.id, amount)], at, [lot])
        return lot.id

    async def give(self, amount: int, at: datetime = T0, **more: Any) -> UUID:
        funding = self.merchant.funding_account_id
        lot = self.lot("promotional", "wallet.lot", funder_id=funding, **more)
        await self.post("reward.issue", [(funding, lot.id, amount)], at, [lot])
        return lot.id

    async def load(self, lot_id: UUID, amount: int, at: datetime = T0) -> UUID:
        lot = self.lot("paid", parent_id=self.lots[lot_id].parent_id)
        await self.post("card.load", [(self.house("merchant.sales"), lot.id, amount)], at, [lot])
        return lot.id

    async def capture(self, lot_id: UUID, amount: int, at: datetime = T0, cause: UUID | None = None) -> None:
        await self.post("payment.capture", [(lot_id, self.house("merchant.payable"), amount)], at, cause=cause)

    async def refund(self, lot_id: UUID, amount: int, at: datetime = T0, cause: UUID | None = None) -> None:
        await self.post("payment.refund", [(self.house("merchant.payable"), lot_id, amount)], at, cause=cause)

    async def expire(self, lot_id: UUID, at: datetime = T0) -> None:
        """Everything that is left of it; what was recognised ahead is consumed first."""
        amount = await self.balance(lot_id)
        funder = self.lots[lot_id].funder_id
        if funder is not None:
            await self.post("lot.expire", [(lot_id, funder, amount)], at)
            return
        contra = min(amount, -await self.balance(self.house("merchant.breakage")))
        legs = [
            (lot_id, self.house("merchant.breakage"), contra),
            (lot_id, self.house("merchant.breakage_income"), amount - contra),
        ]
        await self.post("lot.expire", [leg for leg in legs if leg[2]], at)

    async def adjust(self, lot_id: UUID, amount: int, at: datetime = T0) -> None:
        ours = self.house("merchant.adjustments")
        await self.post("card.adjust", [(ours, lot_id, amount) if amount > 0 else (lot_id, ours, -amount)], at)

    async def move(self, lot_id: UUID, amount: int, at: datetime = T0, kind: str = "card.transfer") -> UUID:
        """Some of a lot goes to a new one elsewhere, which inherits what it is."""
        old = self.lots[lot_id]
        assert old.lot_class is not None
        new = self.lot(old.lot_class, "wallet.lot", old.expires_at, old.funder_id)
        await self.post(kind, [(lot_id, new.id, amount)], at, [new])
        return new.id

    async def give_back(self, lot_id: UUID, amount: int, at: datetime = T0) -> None:
        """The purchase of a card is refunded."""
        await self.post("card.refund_purchase", [(lot_id, self.house("merchant.sales"), amount)], at)

    async def cash_out(self, lot_id: UUID, amount: int, at: datetime = T0) -> None:
        await self.post("card.cash_out", [(lot_id, self.house("merchant.cash_out"), amount)], at)

    async def balance(self, account_id: UUID) -> int:
        async with self.runtime.reading(self.tenant) as work:
            return await ledger.balance(work, account_id) or 0

    async def versions(self) -> dict[UUID, int]:
        """The version of every lot: how often it moved."""
        async with self.runtime.work(self.tenant) as work:
            return {each.id: each.version for each in (await ledger.lock(work, list(self.lots))).values()}


async def shop_of(runtime: Runtime, tenant: Tenant, merchant_id: UUID) -> Shop:
    async with runtime.reading(tenant) as work:
        return Shop(runtime, tenant, (await merchants.by_ids(work, [merchant_id]))[merchant_id])


async def drain(runtime: Runtime) -> None:
    """What the worker does until nothing is left to do. Transactions of other tests are older than a fence now and then."""
    for _ in range(1_000):
        if await reports.run_due(runtime):
            continue
        async with runtime.discovering() as db:
            if not await db.value("select count(*) from periods where due_at <= $1", runtime.clock()):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("some transaction does not end")


async def put(api: Api, path: str, document: Any = None, **more: Any) -> Answer:
    return await api.request("PUT", path, document, **more)


async def ask_to_close(api: Api, ends_at: datetime, **more: Any) -> Answer:
    return await api.post("periods", document_of("Period", endsAt=clock.render(ends_at), **more))


async def close(api: Api, runtime: Runtime, ends_at: datetime) -> Any:
    """A period that is closed: its attributes."""
    answer = await ask_to_close(api, ends_at)
    assert answer.status == 202, answer.text
    await drain(runtime)
    shown = await api.get(f"periods/{answer.data['id']}")
    assert shown.attributes["status"] == "closed", shown.text
    return shown.attributes


async def set_rate(api: Api, rate: int) -> None:
    terms = document_of("BreakageTerms", rateBasisPoints=rate, basis="What was sold in 2020.")
    answer = await put(api, f"merchants/{api.merchant_id}/breakage-terms", terms)
    assert answer.status == 200, answer.text


async def order(api: Api, kind: str, **more: Any) -> Answer:
    instants = {name: clock.render(each) if isinstance(each, datetime) else each for name, each in more.items()}
    if "from_" in instants:
        instants["from"] = instants.pop("from_")
    return await api.post("reports", {"data": {"type": "Report", "attributes": {"kind": kind, **instants}}})


@dataclass(frozen=True)
class Made:
    """A report that is made: what it says of itself, and its rows both ways."""

    attributes: Any
    csv: str
    json: Any

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.json
        return rows


async def made(api: Api, runtime: Runtime, kind: str, **more: Any) -> Made:
    """Order a report, have it made, download it."""
    ordered = await order(api, kind, **more)
    assert ordered.status == 202, ordered.text
    await drain(runtime)
    return await read(api, ordered.data["id"])


async def read(api: Api, report_id: str) -> Made:
    shown = await api.get(f"reports/{report_id}")
    assert shown.attributes["status"] == "completed", shown.text
    as_csv, as_json = await api.get(f"reports/{report_id}/download"), await api.get(f"reports/{report_id}/rows")
    assert (as_csv.status, as_json.status) == (200, 200)
    found = Made(shown.attributes, as_csv.text, as_json.body)
    # Both say the same; null is empty in CSV.
    lines = list(csv.DictReader(io.StringIO(as_csv.text, newline="")))
    assert lines == [{name: "" if each is None else str(each) for name, each in row.items()} for row in found.rows]
    assert len(lines) == found.attributes["rows"]
    return found
