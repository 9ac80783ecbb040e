"""Short ways to do and to look in the tests of payments: value in wallets, tills that ask for it, and the books below."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tallystick import ledger, wallets
from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.ledger import Journal, LotClass, NewAccount, Transfer
from tests.api import Answer, Api, document_of
from tests.rewards.cast import advance, another_client, check_whole, configure, feed, header, refused, story

__all__ = [
    "activities",
    "advance",
    "another_client",
    "card_status",
    "check_whole",
    "configure",
    "feed",
    "filled",
    "gift_card",
    "header",
    "held",
    "left",
    "lot",
    "parts",
    "pay",
    "refused",
    "story",
    "till_code",
]


async def lot(
    runtime: Runtime,
    api: Api,
    parent_id: str,
    amount: int,
    lot_class: LotClass = "paid",
    *,
    days: float | None = None,
    code: str = "wallet.lot",
) -> UUID:
    """Value of a class in a wallet or card, sold by the merchant; it can be spent for so many days, or for ever."""
    assert api.merchant_id is not None
    async with runtime.work(api.tenant) as work:
        account = NewAccount(
            id=ids.new(),
            merchant_id=api.merchant_id,
            currency="USD",
            code=code,
            owner_id=UUID(parent_id),
            parent_id=UUID(parent_id),
            lot_class=lot_class,
            expires_at=None if days is None else work.now + timedelta(days=days),
            floor=0,
        )
        sales = ledger.house_account(api.merchant_id, "merchant.sales")
        transfers = (Transfer(sales, account.id, amount),)
        journal = Journal(ids.new(), "card.load", ids.new(), api.merchant_id, "USD", transfers)
        assert await ledger.post(work, [journal], opening=[account]) == ["posted"]
    return account.id


async def filled(runtime: Runtime, api: Api, amount: int = 1000, lot_class: LotClass = "paid", **more: Any) -> str:
    """The id of Mira's wallet, with one lot in it."""
    wallet_id = await api.wallet(**more)
    await lot(runtime, api, wallet_id, amount, lot_class)
    return wallet_id


@dataclass(frozen=True)
class Card:
    """A gift card as its holder has it."""

    id: str
    code: str
    pin: str | None


async def gift_card(api: Api, amount: int = 1000, **more: Any) -> Card:
    """A card of Café Luna, with its number and its PIN."""
    named = {"merchantId": str(api.merchant_id), "amount": amount, "idempotencyKey": str(ids.new()), **more}
    answer = await api.post("gift-cards", document_of("GiftCard", **named))
    assert answer.status == 201, answer.text
    return Card(answer.data["id"], answer.attributes["code"], answer.attributes["pin"])


async def activities(runtime: Runtime, api: Api, card_id: str) -> list[tuple[str, int, int]]:
    """What happened to a card: kind, amount, and what it held then."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select kind, amount, balance_after from gift_card_activities where tenant_id = $1 and card_id = $2 order by sequence",
            api.tenant.id,
            UUID(card_id),
        )
    return [(row[0], row[1], row[2]) for row in rows]


async def card_status(runtime: Runtime, api: Api, card_id: str) -> str:
    async with runtime.reading(api.tenant) as work:
        sql = "select status from gift_cards where tenant_id = $1 and id = $2"
        return str(await work.db.value(sql, api.tenant.id, UUID(card_id)))


async def till_code(runtime: Runtime, api: Api, wallet_id: str) -> str:
    """A code that the holder of a wallet shows, good for a minute and one payment."""
    async with runtime.work(api.tenant) as work:
        await wallets.lock(work, [UUID(wallet_id)])
        drawn = await wallets.till_codes.draw(work, UUID(wallet_id))
    assert not isinstance(drawn, datetime)
    return drawn.code


async def pay(api: Api, amount: Any, *, key: str | None = None, **more: Any) -> Answer:
    """Ask for a payment; the key is a new one unless given."""
    attributes = {"amount": amount, "idempotencyKey": key or str(ids.new()), **more}
    return await api.post("payment-intents", document_of("PaymentIntent", **attributes))


async def left(runtime: Runtime, api: Api, parent_id: str) -> int:
    """What a wallet or card holds in its lots, whether held or not."""
    return sum(balance for _, balance, _ in await _lots(runtime, api, parent_id))


async def held(runtime: Runtime, api: Api, parent_id: str) -> int:
    """What payments hold of it."""
    return sum(held for _, _, held in await _lots(runtime, api, parent_id))


async def parts(runtime: Runtime, api: Api, intent_id: str) -> list[tuple[UUID, int]]:
    """Which part of which lot a payment took, in their order."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select account_id, amount from payment_parts where tenant_id = $1 and intent_id = $2 order by ordinal",
            api.tenant.id,
            UUID(intent_id),
        )
    return [(row[0], row[1]) for row in rows]


async def _lots(runtime: Runtime, api: Api, parent_id: str) -> list[tuple[UUID, int, int]]:
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select id, balance, held from accounts where tenant_id = $1 and parent_id = $2 and lot_class is not null",
            api.tenant.id,
            UUID(parent_id),
        )
    return [(row[0], row[1], row[2]) for row in rows]
