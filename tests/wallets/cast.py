"""Short ways to put value of any kind into a wallet, and to look at its lots, its books and its story over HTTP."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from tallystick import ledger
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.ledger import Hold, Journal, LotClass, NewAccount, Resolution, Transfer, house_account
from tests.api import Api
from tests.rewards.cast import feed

STEPS_MAX = 200
"""More than any test needs: tenants of other tests on the same database may have due work too."""


async def give(
    runtime: Runtime,
    api: Api,
    wallet_id: str,
    amount: int = 500,
    lot_class: LotClass = "paid",
    expires_at: datetime | None = None,
) -> UUID:
    """A lot of a wallet that somebody paid for at Café Luna: nobody funded it, so nobody gets back what expires of it."""
    assert api.merchant_id is not None
    lot = NewAccount(
        ids.new(),
        api.merchant_id,
        "USD",
        "wallet.lot",
        ids.new(),
        UUID(wallet_id),
        lot_class,
        None,
        expires_at,
        floor=0,
    )
    await post(runtime, api, "card.transfer", Transfer(house(api, "merchant.sales"), lot.id, amount), opening=lot)
    return lot.id


def house(api: Api, code: Any) -> UUID:
    """An account that Café Luna has."""
    assert api.merchant_id is not None
    return house_account(api.merchant_id, code)


async def post(runtime: Runtime, api: Api, kind: str, *transfers: Transfer, opening: NewAccount | None = None) -> UUID:
    """A journal of Café Luna's book."""
    assert api.merchant_id is not None
    journal = Journal(ids.new(), kind, ids.new(), api.merchant_id, "USD", transfers)
    async with runtime.work(api.tenant) as work:
        assert await ledger.post(work, [journal], opening=[] if opening is None else [opening]) == ["posted"]
    return journal.id


async def hold(runtime: Runtime, api: Api, lot_id: UUID, amount: int) -> UUID:
    """Reserve value of a lot, as an authorised payment does."""
    held = Hold(ids.new(), lot_id, amount, ids.new())
    async with runtime.work(api.tenant) as work:
        assert await ledger.hold(work, [held]) == ["held"]
    return held.id


async def release(runtime: Runtime, api: Api, hold_id: UUID, lot_id: UUID) -> None:
    """End a hold without spending, as a cancelled payment does."""
    async with runtime.work(api.tenant) as work:
        assert await ledger.resolve(work, [Resolution(hold_id, "released")]) == ["resolved"]
        await ledger.lots.look_again(work, [lot_id])


async def capture(runtime: Runtime, api: Api, hold_id: UUID, lot_id: UUID, amount: int) -> None:
    """End a hold by spending so much of it."""
    assert api.merchant_id is not None
    transfers = (Transfer(lot_id, house(api, "merchant.payable"), amount),)
    journal = Journal(ids.new(), "payment.capture", ids.new(), api.merchant_id, "USD", transfers)
    async with runtime.work(api.tenant) as work:
        assert await ledger.resolve(work, [Resolution(hold_id, "captured", journal)]) == ["resolved"]
        await ledger.lots.look_again(work, [lot_id])


async def lots(api: Api, wallet_id: str) -> list[Any]:
    """The attributes of each lot that a wallet holds, and its id, in the order of their use."""
    return [{"id": one["id"], **one["attributes"]} for one in (await api.get(f"wallets/{wallet_id}/lots")).data]


async def only_lot(api: Api, wallet_id: str) -> UUID:
    (lot,) = await lots(api, wallet_id)
    return UUID(lot["id"])


async def as_of(api: Api, wallet_id: str, instant: str) -> Any:
    """What the wallet held at an instant."""
    answer = await api.get(f"wallets/{wallet_id}/balance?asOf={instant}")
    assert answer.status == 200, answer.text
    return answer.attributes["balance"]


async def standing(auditor: Db, api: Api, account_id: UUID) -> int:
    """The balance of an account in the books."""
    found: int = await auditor.value(
        "select balance from accounts where tenant_id = $1 and id = $2", api.tenant.id, account_id
    )
    return found


async def told(api: Api, wallet_id: str, topic: str) -> list[tuple[int, str, int, str]]:
    """(sequence, instant, amount, expiry) of the events of a topic about value of a wallet."""
    return [
        (
            event["sequence"],
            event["timestamp"],
            event["document"]["attributes"]["amount"],
            event["document"]["attributes"]["expiresAt"],
        )
        for event in await feed(api)
        if event["subjectId"] == wallet_id and event["topic"] == topic
    ]


async def until_done(runtime: Runtime, step: Callable[[Runtime], Awaitable[bool]]) -> int:
    """What the worker does until nothing is due; how many steps did something."""
    steps = 0
    while await step(runtime):
        steps += 1
        assert steps < STEPS_MAX, "what is done is due still"
    return steps
