"""Cards in the hands of tests: made straight in the house, so that their numbers and PINs are known and any state can be had."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import tallystick.giftcards.store as store
from tallystick import ledger, merchants, partners
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.work import Asked, Caller, Runtime
from tallystick.giftcards import codes, issuing, lookup, spending
from tallystick.giftcards.deciding import Terms
from tallystick.giftcards.spending import CodeTried, Movement
from tallystick.ledger import LotClass
from tests.api import Answer, Api, document_of


@dataclass(frozen=True)
class Card:
    """A card that somebody holds, with what is printed on it."""

    id: UUID
    code: str
    pin: str | None

    @property
    def wrong_pin(self) -> str:
        assert self.pin is not None
        return f"{(int(self.pin) + 1) % 10_000:04d}"


def asked(api: Api) -> Asked:
    """A request of this client, as the road would name it."""
    scopes = frozenset(partners.SCOPES)
    caller = Caller(api.tenant, api.partner_id, UUID(api.client_id), scopes, None, False, 1000, 1000)
    return Asked(caller, ids.new(), "POST", "/api/v1/tests")


async def card(
    runtime: Runtime,
    api: Api,
    amount: int = 5000,
    *,
    merchant_id: UUID | None = None,
    status: str = "active",
    **terms: Any,
) -> Card:
    """A new card of the client's partner, in this state."""
    place = merchant_id or api.merchant_id
    assert place is not None
    async with runtime.work(api.tenant) as work:
        merchant = (await merchants.by_ids(work, [place]))[place]
        wanted = Terms(place, amount, activate=status != "pending", **terms)
        new = issuing.draw(work, api.partner_id, wanted, merchant)
        issuing.put(work, [(new, asked(api))])
    if status not in ("active", "pending"):
        await put_in(runtime, api, new.card.id, status)
    return Card(new.card.id, codes.written(new.code), new.pin)


async def put_in(runtime: Runtime, api: Api, card_id: UUID, status: Any, **changes: Any) -> None:
    """Put a card in a state, whatever led there."""
    async with runtime.work(api.tenant) as work:
        found = (await store.lock(work, [card_id]))[card_id]
        await store.update(work, [replace(found, status=status, **changes)])


async def add_lot(
    runtime: Runtime, api: Api, card_id: UUID, lot_class: LotClass, amount: int, expires_at: datetime | None = None
) -> UUID:
    """More value on a card, of a class and with an expiry of its own."""
    assert api.merchant_id is not None
    async with runtime.work(api.tenant) as work:
        merchant = (await merchants.by_ids(work, [api.merchant_id]))[api.merchant_id]
        funder = None if lot_class in ("paid", "refund") else merchant.funding_account_id
        debit = funder or ledger.house_account(merchant.id, "merchant.sales")
        lot = ledger.NewAccount(
            ids.new(), merchant.id, merchant.currency, "card.lot", card_id, card_id, lot_class, funder, expires_at, 0
        )
        transfers = (ledger.Transfer(debit, lot.id, amount),)
        journal = ledger.Journal(ids.new(), "card.load", card_id, merchant.id, merchant.currency, transfers)
        assert await ledger.post(work, [journal], opening=[lot]) == ["posted"]
    return lot.id


async def hold(runtime: Runtime, api: Api, card_id: UUID, amount: int) -> UUID:
    """Reserve value of a card as a payment does."""
    async with runtime.work(api.tenant) as work:
        lots = ledger.lots.burn_order(await ledger.lots.lock(work, [card_id]), work.now)
        held = ledger.Hold(ids.new(), lots[0].id, amount, ids.new())
        assert await ledger.hold(work, [held]) == ["held"]
    return held.id


async def row(runtime: Runtime, api: Api, card_id: UUID) -> Any:
    """The card as its row stands."""
    async with runtime.reading(api.tenant) as work:
        return (await store.by_ids(work, [card_id]))[card_id]


async def history(runtime: Runtime, api: Api, card_id: UUID) -> list[tuple[str, int, int]]:
    """(kind, amount, balance after) of what happened to a card, oldest first."""
    async with runtime.reading(api.tenant) as work:
        found, _ = await store.activities(work, card_id, 0, 50)
    return [(each.kind, each.amount, each.balance_after) for each in reversed(found)]


async def values(runtime: Runtime, api: Api, parent_id: UUID | str) -> list[tuple[str, int, datetime | None]]:
    """(class, balance, expiry) of the lots of a card or wallet that hold anything, in the order of their ids."""
    async with runtime.reading(api.tenant) as work:
        lots = await ledger.lots.of_parents(work, [UUID(str(parent_id))])
    return [(lot.lot_class, lot.available + lot.held, lot.expires_at) for lot in lots]


async def look_up(api: Api, code: Any, pin: Any = None, **more: Any) -> Answer:
    """What the house says of a number."""
    given = {"code": code} if pin is None else {"code": code, "pin": pin}
    return await api.post("gift-cards/lookup", document_of("LookUpGiftCard", **given, **more))


async def reveal(api: Api, card_id: UUID | str) -> Answer:
    return await api.post(f"gift-cards/{card_id}/reveal")


async def transfer(
    api: Api, card_id: UUID | str, wallet_id: str, amount: int | None = None, *, key: str | None = None, **more: Any
) -> Answer:
    given = {"walletId": wallet_id} if amount is None else {"walletId": wallet_id, "amount": amount}
    headers = {} if key is None else {"Idempotency-Key": key}
    document = document_of("TransferGiftCard", **given, **more)
    return await api.post(f"gift-cards/{card_id}/transfer", document, headers=headers)


async def topics(runtime: Runtime, api: Api, names: Sequence[str]) -> list[tuple[str, Any, UUID | None]]:
    """(topic, document, partner) of every event of these topics, in their order."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select topic, document, partner_id from events where tenant_id = $1 and topic = any($2) order by position",
            api.tenant.id,
            list(names),
        )
    return [(found[0], found[1], found[2]) for found in rows]


async def counted(runtime: Runtime, api: Api) -> tuple[int, int, datetime | None]:
    """(lookups, misses, blocked until) of a client."""
    async with runtime.reading(api.tenant) as work:
        found = await work.db.row(
            "select tried, missed, blocked_until from card_lookup_windows where tenant_id = $1 and client_id = $2",
            api.tenant.id,
            UUID(api.client_id),
        )
    return (0, 0, None) if found is None else (found[0], found[1], found[2])


async def tries(runtime: Runtime, api: Api, card_id: UUID) -> tuple[int, int, datetime | None]:
    """(wrong PINs, locks, locked until) of a card."""
    async with runtime.reading(api.tenant) as work:
        found = await work.db.row(
            "select wrong, locks, locked_until from card_pin_tries where tenant_id = $1 and card_id = $2",
            api.tenant.id,
            card_id,
        )
    return (0, 0, None) if found is None else (found[0], found[1], found[2])


async def redeem(runtime: Runtime, api: Api, card_id: UUID, amount: int) -> bool:
    """Spend from a card as a till does; whether it could be."""
    async with runtime.work(api.tenant) as work:
        found = (await spending.lock_cards(work, [card_id]))[card_id]
        lots = await ledger.lots.lock(work, [card_id])
        usable = ledger.lots.burn_order(lots, work.now)
        left = sum(lot.available for lot in usable) - amount
        if found.effective(work.now) != "active" or left < 0:
            return False
        payable = ledger.house_account(found.merchant_id, "merchant.payable")
        transfers = tuple(ledger.Transfer(lot.id, payable, part) for lot, part in ledger.lots.take(usable, amount))
        payment_id = ids.new()
        journal = ledger.Journal(ids.new(), "payment.capture", payment_id, found.merchant_id, found.currency, transfers)
        ledger.post_foreseen(work, [journal])
        held = sum(lot.held for lot in lots)
        await spending.note_redeemed(work, [Movement(card_id, amount, asked(api), payment_id, left + held)])
    return True


async def take_back(runtime: Runtime, api: Api, card_id: UUID, amount: int, expires_at: datetime | None = None) -> None:
    """Refund to a card, into a lot of its own, as a payment does that finds the first one expired."""
    payment_id = ids.new()
    async with runtime.work(api.tenant) as work:
        found = (await spending.lock_cards(work, [card_id]))[card_id]
        payable = ledger.house_account(found.merchant_id, "merchant.payable")
        lot = ledger.NewAccount(
            ids.new(), found.merchant_id, found.currency, "card.lot", payment_id, card_id, "paid", None, expires_at, 0
        )
        transfers = (ledger.Transfer(payable, lot.id, amount),)
        journal = ledger.Journal(ids.new(), "payment.refund", payment_id, found.merchant_id, found.currency, transfers)
        assert await ledger.post(work, [journal], opening=[lot]) == ["posted"]
        balance = (await store.balances(work, [card_id]))[card_id]
        after = balance.available + balance.held
        await spending.note_refunded(work, [Movement(card_id, amount, asked(api), payment_id, after)])


async def guess(runtime: Runtime, api: Api, held: Card, times: int) -> None:
    """Wrong PINs, as they are tried with another credential: this one's record stays as it is."""
    stranger = replace(api, client_id=str(ids.new()))
    wrong = [CodeTried(asked(stranger), None, held.code, held.wrong_pin)] * times
    outcomes = await run_batch(runtime, lookup.look_up, api.tenant, wrong)
    assert {type(outcome) for outcome in outcomes} == {lookup.CodeRefused}
