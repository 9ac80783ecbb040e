"""Short ways to change payments and to look at what they did, in the tests of capturing, refunding and the like."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp

import tallystick.payments.store as store
from tallystick import ledger
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.ledger import LotClass, house_account
from tests.api import Answer, Api, document_of, join
from tests.giftcards.cast import issued
from tests.payments import cast
from tests.rewards.cast import story

# What a payment says is what its parts say, and what the books hold for it.
UNLIKE_ITS_PARTS = """
select p.id
from payment_intents as p
cross join lateral (
    select sum(t.amount) as amount, sum(t.captured) as captured, sum(t.refunded) as refunded,
        sum(t.captured) filter (where t.lot_class in ('paid', 'refund')) as captured_tender,
        sum(t.refunded) filter (where t.lot_class in ('paid', 'refund')) as refunded_tender
    from payment_parts as t where t.tenant_id = p.tenant_id and t.intent_id = p.id
) as parts
cross join lateral (
    select coalesce(sum(s.authorized_amount), 0) as authorized
    from payment_sources as s where s.tenant_id = p.tenant_id and s.intent_id = p.id
) as sources
cross join lateral (
    select coalesce(sum(h.amount), 0) as held
    from holds as h left join hold_resolutions as r on r.tenant_id = h.tenant_id and r.hold_id = h.id
    where h.tenant_id = p.tenant_id and h.cause_id = p.id and r.hold_id is null
) as open
cross join lateral (
    select coalesce(sum(r.amount), 0) as refunded, coalesce(sum(r.tender), 0) as tender
    from payment_refunds as r where r.tenant_id = p.tenant_id and r.intent_id = p.id
) as refunds
where p.tenant_id = $1 and (
    parts.amount <> p.authorized_amount or sources.authorized <> p.authorized_amount
    or parts.captured <> p.captured_amount or parts.refunded <> p.refunded_amount
    or coalesce(parts.captured_tender, 0) <> p.captured_tender or coalesce(parts.refunded_tender, 0) <> p.refunded_tender
    or refunds.refunded <> p.refunded_amount or refunds.tender <> p.refunded_tender
    or open.held <> case when p.status = 'authorized' then p.authorized_amount else 0 end
    or (p.status in ('captured', 'refunded')) <> (p.captured_amount > 0)
    or (p.status = 'refunded') <> (p.refunded_amount > 0 and p.refunded_amount = p.captured_amount)
)
"""

OWED = "select coalesce(sum(captured_amount - refunded_amount), 0) from payment_intents where tenant_id = $1 and merchant_id = $2"

UNTOLD = """
select p.id
from payment_intents as p
left join (
    select subject_id, count(distinct sequence) as told from events where tenant_id = $1 and subject_type = 'PaymentIntent'
    group by subject_id
) as e on e.subject_id = p.id
where p.tenant_id = $1 and e.told is distinct from p.version
"""


@asynccontextmanager
async def till(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db, **settings: Any
) -> AsyncIterator[Api]:
    """A partner whose till takes stored value at Café Luna; in the end its books, payments and events tell one story."""
    joined = await join(runtime, session, base_url, **settings)
    yield joined
    await check_whole(runtime, joined, auditor)


async def check_whole(runtime: Runtime, api: Api, auditor: Db) -> None:
    assert api.merchant_id is not None
    await cast.check_whole(auditor, api.tenant)
    assert await auditor.rows(UNLIKE_ITS_PARTS, api.tenant.id) == []
    assert await auditor.rows(UNTOLD, api.tenant.id) == []
    assert await payable(runtime, api) == await auditor.value(OWED, api.tenant.id, api.merchant_id)


async def wallet_with(api: Api, *amounts: int) -> str:
    """A new wallet that got rewards of these amounts."""
    wallet_id = await api.wallet()
    for amount in amounts:
        answer = await api.issue(amount=amount)
        assert answer.status == 200, answer.text
    return wallet_id


async def add_lot(
    runtime: Runtime,
    api: Api,
    wallet_id: str,
    amount: int,
    *,
    lot_class: LotClass = "paid",
    expires_at: datetime | None = None,
) -> UUID:
    """Value in a wallet that is not a reward, straight in the books."""
    assert api.merchant_id is not None
    lot_id = ids.new()
    source = house_account(api.merchant_id, "merchant.sales")
    lot = ledger.NewAccount(
        lot_id, api.merchant_id, "USD", "wallet.lot", ids.new(), UUID(wallet_id), lot_class,
        None if lot_class == "paid" else source, expires_at, floor=0,
    )  # fmt: skip
    transfer = ledger.Transfer(source, lot_id, amount)
    journal = ledger.Journal(ids.new(), "wallet.load", ids.new(), api.merchant_id, "USD", (transfer,))
    async with runtime.work(api.tenant) as work:
        assert await ledger.post(work, [journal], opening=[lot]) == ["posted"]
    return lot_id


async def pay(api: Api, wallet_id: str, amount: int, **more: Any) -> Answer:
    """Hold value of a wallet, to be captured later unless told otherwise."""
    wanted = {"walletId": wallet_id, "capture": "manual", "idempotencyKey": str(ids.new()), "amount": amount, **more}
    return await api.post("payment-intents", document_of("PaymentIntent", **wanted))


async def held(api: Api, wallet_id: str, amount: int, **more: Any) -> str:
    """The id of a payment that holds value."""
    answer = await pay(api, wallet_id, amount, **more)
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def taken(api: Api, wallet_id: str, amount: int, **more: Any) -> str:
    """The id of a payment that was captured at once."""
    return await held(api, wallet_id, amount, capture="automatic", **more)


async def capture(api: Api, intent_id: str, amount: Any = None, *, key: str | None = None) -> Answer:
    return await _change(api, intent_id, "capture", "CapturePaymentIntent", key, amount=amount)


async def increase(api: Api, intent_id: str, amount: Any, *, key: str | None = None) -> Answer:
    return await _change(api, intent_id, "increase", "IncreasePaymentIntent", key, amount=amount)


async def cancel(api: Api, intent_id: str, *, key: str | None = None) -> Answer:
    return await _change(api, intent_id, "cancel", "CancelPaymentIntent", key)


async def refund(
    api: Api, intent_id: str, amount: Any = None, *, key: str | None = None, reason: str | None = None
) -> Answer:
    return await _change(api, intent_id, "refund", "RefundPaymentIntent", key, amount=amount, reason=reason)


async def reverse(api: Api, reference: str, *, key: str | None = None, **more: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    wanted = document_of("ReversePayment", externalReference=reference, **more)
    return await api.post("payment-intents/reverse", wanted, headers=headers)


async def shown(api: Api, intent_id: str) -> Any:
    """The payment as a partner reads it."""
    answer = await api.get(f"payment-intents/{intent_id}")
    assert answer.status == 200, answer.text
    return answer.attributes


async def balance(api: Api, wallet_id: str) -> tuple[int, int]:
    """What the wallet has to spend, and what is held of it."""
    found = (await api.get(f"wallets/{wallet_id}")).attributes["balance"]
    return found["available"], found["held"]


async def payable(runtime: Runtime, api: Api) -> int:
    """What Café Luna is owed for value that it accepted."""
    assert api.merchant_id is not None
    async with runtime.reading(api.tenant) as work:
        owed = await ledger.balance(work, house_account(api.merchant_id, "merchant.payable"))
    assert owed is not None
    return owed


async def lots_of(runtime: Runtime, api: Api, parent_id: str) -> list[tuple[int, int, str, datetime | None]]:
    """(balance, held, class, expiry) of every lot of a wallet or card, oldest first."""
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select balance, held, lot_class, expires_at from accounts where tenant_id = $1 and parent_id = $2"
            " order by opened_at, id",
            api.tenant.id,
            UUID(parent_id),
        )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def topics(api: Api, intent_id: str) -> list[str]:
    """What was told of a payment, in order; the numbers have no gap."""
    told = await story(api, intent_id)
    assert [sequence for _, sequence, _ in told] == list(range(1, len(told) + 1))
    return [topic for topic, _, _ in told]


async def _change(api: Api, intent_id: str, verb: str, kind: str, key: str | None, **attributes: Any) -> Answer:
    sent = {name: value for name, value in attributes.items() if value is not None}
    headers = {} if key is None else {"Idempotency-Key": key}
    document = document_of(kind, **sent) if sent else None
    return await api.post(f"payment-intents/{intent_id}/{verb}", document, headers=headers)


async def card_with(api: Api, amount: int, **more: Any) -> str:
    """The id of a new gift card."""
    answer = await issued(api, amount, **more)
    return str(answer.data["id"])


async def pay_from(api: Api, sources: list[dict[str, Any]], amount: int, **more: Any) -> Answer:
    """Hold value of several sources in their order, to be captured later unless told otherwise."""
    wanted = {"sources": sources, "capture": "manual", "idempotencyKey": str(ids.new()), "amount": amount, **more}
    answer = await api.post("payment-intents", document_of("PaymentIntent", **wanted))
    assert answer.status == 201, answer.text
    return answer


async def refunds_of(runtime: Runtime, api: Api, intent_id: str) -> list[tuple[int, int, int, str | None]]:
    """(amount, tender, discount, reason) of each refund of a payment, oldest first."""
    async with runtime.reading(api.tenant) as work:
        rows = await store.refunds_of(work, UUID(intent_id))
    return [(each.amount, each.tender, each.discount, each.reason) for each in rows]
