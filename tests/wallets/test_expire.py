"""Value of wallets that expires: gone for every reader at its deadline, and in the books by the clock or by the loop."""

import asyncio
from datetime import timedelta
from uuid import UUID

import aiohttp
import pytest

from tallystick import ledger, wallets
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.ledger import Hold, Transfer
from tallystick.wallets import expiry
from tests import world
from tests.api import Api, join
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE, advance, balance, check_whole, configure, left, story
from tests.wallets.cast import (
    as_of,
    capture,
    give,
    hold,
    house,
    lots,
    only_lot,
    post,
    release,
    standing,
    told,
    until_done,
)

THIRTY_DAYS = timedelta(days=30)
DEADLINE = "2026-04-01T09:00:00.000Z"
NOTHING = {"available": 0, "pending": 0, "held": 0, "owed": 0}


async def expire(runtime: Runtime) -> int:
    return await until_done(runtime, wallets.expire_due)


async def test_what_expires_returns_to_whoever_paid_for_it_at_its_own_deadline(
    runtime: Runtime, api: Api, auditor: Db
) -> None:
    await configure(runtime, api, value_days=30, credit_limit=500)
    wallet_id = await api.wallet()
    assert (await api.issue(amount=500)).status == 200
    assert await left(runtime, api) == 0
    await advance(api, "P1Y")
    assert await left(runtime, api) == 500
    assert await balance(api, wallet_id) == NOTHING
    assert await told(api, wallet_id, "wallet.value_expired") == [(3, DEADLINE, 500, DEADLINE)]
    (line, _) = (await api.get(f"wallets/{wallet_id}/transactions")).data
    assert (line["attributes"]["kind"], line["attributes"]["amount"]) == ("lot.expire", -500)
    assert (line["attributes"]["at"], line["attributes"]["balanceAfter"]) == (DEADLINE, 0)


async def test_readers_see_it_at_once_and_the_books_follow(
    runtime: Runtime, api: Api, clock: Clock, auditor: Db
) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    lot_id = await only_lot(api, wallet_id)
    clock.move(THIRTY_DAYS - timedelta(milliseconds=1))
    assert (await balance(api, wallet_id))["available"] == 500
    clock.move(timedelta(milliseconds=1))
    assert await balance(api, wallet_id) == NOTHING
    assert await lots(api, wallet_id) == []
    assert await standing(auditor, api, lot_id) == 500
    clock.move(timedelta(hours=5))
    await expire(runtime)
    assert await standing(auditor, api, lot_id) == 0
    assert await told(api, wallet_id, "wallet.value_expired") == [(2, DEADLINE, 500, DEADLINE)]
    assert (await as_of(api, wallet_id, "2026-04-01T08:59:59.999Z"))["available"] == 500
    assert await as_of(api, wallet_id, DEADLINE) == NOTHING


async def test_what_was_sold_becomes_breakage_and_what_was_recognised_ahead_is_used_up_first(
    runtime: Runtime, api: Api, auditor: Db
) -> None:
    wallet_id = await api.wallet()
    for amount in (200, 500, 100):
        await give(runtime, api, wallet_id, amount, expires_at=world.T0 + THIRTY_DAYS)
    ahead, income = house(api, "merchant.breakage"), house(api, "merchant.breakage_income")
    await post(runtime, api, "breakage.recognise", Transfer(ahead, income, 300))
    await advance(api, "P30D")
    assert await standing(auditor, api, ahead) == 0
    assert await standing(auditor, api, income) == 800
    assert [amount for _, _, amount, _ in await told(api, wallet_id, "wallet.value_expired")] == [800]


async def test_a_lot_that_was_paid_for_by_nobody_in_particular_expires_without_anything_recognised(
    runtime: Runtime, api: Api, auditor: Db
) -> None:
    wallet_id = await api.wallet()
    await give(runtime, api, wallet_id, 70, "refund", expires_at=world.T0 + THIRTY_DAYS)
    await advance(api, "P30D")
    assert await standing(auditor, api, house(api, "merchant.breakage")) == 0
    assert await standing(auditor, api, house(api, "merchant.breakage_income")) == 70


async def test_what_a_payment_holds_stays_until_the_hold_ends_and_expires_then(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await configure(runtime, api, value_days=30, credit_limit=500)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    lot_id = await only_lot(api, wallet_id)
    clock.move(timedelta(days=29))
    hold_id = await hold(runtime, api, lot_id, 200)
    clock.move(timedelta(days=2))
    assert await balance(api, wallet_id) == {**NOTHING, "held": 200}
    await expire(runtime)
    assert await balance(api, wallet_id) == {**NOTHING, "held": 200}
    assert [(lot["available"], lot["held"]) for lot in await lots(api, wallet_id)] == [(0, 200)]
    assert await left(runtime, api) == 300
    assert await expire(runtime) == 0
    clock.move(timedelta(days=1))
    await release(runtime, api, hold_id, lot_id)
    assert await balance(api, wallet_id) == NOTHING
    clock.move(timedelta(hours=1))
    await expire(runtime)
    assert await left(runtime, api) == 500
    assert await told(api, wallet_id, "wallet.value_expired") == [
        (2, DEADLINE, 300, DEADLINE),
        (3, "2026-04-03T09:00:00.000Z", 200, DEADLINE),
    ]
    assert await as_of(api, wallet_id, "2026-04-02T00:00:00.000Z") == {**NOTHING, "held": 200}
    assert await as_of(api, wallet_id, "2026-03-31T12:00:00.000Z") == {**NOTHING, "available": 300, "held": 200}


async def test_what_is_captured_after_the_expiry_is_spent_and_only_the_rest_expires(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    lot_id = await only_lot(api, wallet_id)
    hold_id = await hold(runtime, api, lot_id, 500)
    clock.move(THIRTY_DAYS)
    await expire(runtime)
    assert await told(api, wallet_id, "wallet.value_expired") == []
    await capture(runtime, api, hold_id, lot_id, 450)
    await expire(runtime)
    assert [amount for _, _, amount, _ in await told(api, wallet_id, "wallet.value_expired")] == [50]
    assert await balance(api, wallet_id) == NOTHING


async def test_a_closing_wallet_closes_when_the_last_of_it_has_expired(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    await api.post(f"wallets/{wallet_id}/close")
    await advance(api, "P15D")
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
    await advance(api, "P15D")
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closed"
    assert [(topic, sequence) for topic, sequence, _ in await story(api, wallet_id)] == [
        ("wallet.created", 1),
        ("wallet.value_expiring", 2),
        ("wallet.value_expired", 3),
        ("wallet.closed", 4),
    ]


async def test_lots_of_one_expiry_are_told_together_and_of_two_apart(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    for days in (30, 30, 31):
        await give(runtime, api, wallet_id, 100, expires_at=world.T0 + timedelta(days=days))
    await advance(api, "P60D")
    assert await told(api, wallet_id, "wallet.value_expired") == [
        (4, DEADLINE, 200, DEADLINE),
        (5, "2026-04-02T09:00:00.000Z", 100, "2026-04-02T09:00:00.000Z"),
    ]


async def test_what_was_spent_expires_without_a_word(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    lot_id = await give(runtime, api, wallet_id, 100, expires_at=world.T0 + THIRTY_DAYS)
    await post(runtime, api, "payment.capture", Transfer(lot_id, house(api, "merchant.payable"), 100))
    await advance(api, "P60D")
    assert [topic for topic, _, _ in await story(api, wallet_id)] == ["wallet.created"]


async def test_more_than_one_work_can_carry_expires_at_one_instant(
    runtime: Runtime, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "EXPIRE_AT_ONCE", 2)
    wallet_id = await api.wallet()
    for _ in range(5):
        await give(runtime, api, wallet_id, 100, expires_at=world.T0 + THIRTY_DAYS)
    await advance(api, "P30D")
    assert [amount for _, _, amount, _ in await told(api, wallet_id, "wallet.value_expired")] == [200, 200, 100]


async def test_the_loop_serves_every_tenant_at_its_own_deadline(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock, auditor: Db
) -> None:
    apis = [await join(runtime, session, base_url, environment="production", value_days=days) for days in (30, 31)]
    held = []
    for api in apis:
        held.append(await api.wallet())
        await api.issue()
    clock.move(THIRTY_DAYS)
    await expire(runtime)
    assert len(await told(apis[0], held[0], "wallet.value_expired")) == 1
    assert await told(apis[1], held[1], "wallet.value_expired") == []
    clock.move(timedelta(days=3))
    await expire(runtime)
    assert [at for _, at, _, _ in await told(apis[1], held[1], "wallet.value_expired")] == ["2026-04-02T09:00:00.000Z"]
    for api in apis:
        await check_whole(auditor, api.tenant)


async def test_two_loops_at_once_expire_once(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, value_days=30)
    held = [await api.wallet(), await api.wallet(OTHER_PHONE)]
    await api.issue()
    await api.issue(OTHER_PHONE)
    clock.move(THIRTY_DAYS)
    at = world.T0 + THIRTY_DAYS
    await asyncio.gather(*(wallets.expire_at(runtime, api.tenant, at) for _ in range(4)))
    assert [len(await told(api, each, "wallet.value_expired")) for each in held] == [1, 1]


async def test_a_payment_and_the_expiry_at_once_share_no_unit(runtime: Runtime, api: Api, auditor: Db) -> None:
    wallet_id = await api.wallet()
    deadline = world.T0 + THIRTY_DAYS
    made = [await give(runtime, api, wallet_id, 100, expires_at=deadline) for _ in range(6)]

    async def authorise(lot_id: UUID) -> str:
        async with runtime.work(api.tenant, at=deadline - timedelta(milliseconds=1)) as work:
            (verdict,) = await ledger.hold(work, [Hold(ids.new(), lot_id, 60, ids.new())])
            return verdict

    _, *verdicts = await asyncio.gather(
        wallets.expire_at(runtime, api.tenant, deadline), *(authorise(lot_id) for lot_id in made)
    )
    await wallets.expire_at(runtime, api.tenant, deadline)
    for lot_id, verdict in zip(made, verdicts, strict=True):
        row = await auditor.row(
            "select balance, held from accounts where tenant_id = $1 and id = $2", api.tenant.id, lot_id
        )
        assert row is not None
        assert list(row) == ([60, 60] if verdict == "held" else [0, 0])


async def test_a_lot_without_an_expiry_stays_for_ever(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    await advance(api, "P10Y")
    assert (await balance(api, wallet_id))["available"] == 500
    async with runtime.reading(api.tenant) as work:
        assert await wallets.next_expiry(work) is None
