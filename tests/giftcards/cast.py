"""Short ways to do and to look in the tests of gift cards."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from tallystick import giftcards, ledger
from tallystick.base import clock, ids
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"
LEASE = timedelta(seconds=31)
"""Longer than the worker's hold on a batch."""


async def issue(api: Api, amount: Any = 5000, key: str | None = None, **more: Any) -> Answer:
    """Issue a card; the key is a new one unless given."""
    attributes = {"amount": amount, "idempotencyKey": key or str(ids.new()), **more}
    return await api.post("gift-cards", document_of("GiftCard", **attributes))


async def issued(api: Api, amount: int = 5000, **more: Any) -> Answer:
    """The same, and it went well."""
    answer = await issue(api, amount, **more)
    assert answer.status == 201, answer.text
    return answer


async def show(api: Api, card_id: str) -> Any:
    """A card as a partner reads it."""
    answer = await api.get(f"gift-cards/{card_id}")
    assert answer.status == 200, answer.text
    return answer.attributes


async def accept(api: Api, count: int, amount: int = 100, key: str | None = None, **more: Any) -> Answer:
    """Ask for a batch of cards."""
    attributes = {"count": count, "amount": amount, "idempotencyKey": key or str(ids.new()), **more}
    return await api.post("gift-card-batches", document_of("GiftCardBatch", **attributes))


async def batch(api: Api, batch_id: str) -> Any:
    """A batch as a partner reads it."""
    return (await api.get(f"gift-card-batches/{batch_id}")).attributes


async def tell(
    api: Api, path: str, kind: str = "", key: str | None = None, attributes: Mapping[str, Any] | None = None
) -> Answer:
    """A verb on a resource; with attributes where there are any."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(path, None if attributes is None else document_of(kind, **attributes), headers=headers)


async def run(runtime: Runtime) -> int:
    """What the worker does with batches until nothing is due; how many rounds it took."""
    rounds = 0
    while await giftcards.run_batches(runtime):
        rounds += 1
    return rounds


async def books(runtime: Runtime, api: Api, code: ledger.Code) -> int:
    """The balance of one of Café Luna's own accounts."""
    assert api.merchant_id is not None
    async with runtime.reading(api.tenant) as work:
        return await ledger.balance(work, ledger.house_account(api.merchant_id, code)) or 0


async def lots_of(runtime: Runtime, api: Api, card_id: str) -> list[ledger.Lot]:
    """What a card holds, lot by lot."""
    async with runtime.reading(api.tenant) as work:
        return await ledger.lots.of_parents(work, [UUID(card_id)])


async def now(api: Api) -> Any:
    """The sandbox's clock."""
    return clock.parse_instant((await api.get("sandbox/clock")).attributes["now"])


async def rows(runtime: Runtime, api: Api, sql: str, *arguments: object) -> list[Any]:
    """Rows of the tenant, straight from the database; `$1` is the tenant."""
    async with runtime.reading(api.tenant) as work:
        return [tuple(row) for row in await work.db.rows(sql, api.tenant.id, *arguments)]
