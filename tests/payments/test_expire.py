"""Authorisations that nobody captured in time: what they held is free again, at their own deadline."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import aiohttp
import pytest

from tallystick import payments, wallets
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, join
from tests.conftest import Clock
from tests.payments.changes import (
    balance,
    cancel,
    capture,
    card_with,
    held,
    increase,
    lots_of,
    pay,
    pay_from,
    payable,
    reverse,
    shown,
    taken,
    till,
    topics,
    wallet_with,
)
from tests.rewards.cast import advance, configure, left, refused, story

WEEK = timedelta(days=7)


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


@pytest.fixture
async def live(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    """In production, whose time is the clock's."""
    async with till(runtime, session, base_url, auditor, environment="production") as joined:
        yield joined


async def run(runtime: Runtime) -> None:
    """Steps of the loop until nothing is due, in any tenant."""
    while await payments.expire_due(runtime):
        pass


async def test_an_authorisation_expires_at_its_deadline_and_frees_what_it_held(
    live: Api, runtime: Runtime, clock: Clock
) -> None:
    wallet_id = await wallet_with(live, 500)
    intent_id = await held(live, wallet_id, 400)
    assert (await shown(live, intent_id))["expiresAt"] == "2026-03-09T09:00:00.000Z"
    clock.move(WEEK - timedelta(milliseconds=1))
    await run(runtime)
    assert await balance(live, wallet_id) == (100, 400)
    clock.move(timedelta(hours=1))
    # It reads so at once; the books and the event follow, dated at the deadline.
    assert (await shown(live, intent_id))["status"] == "expired"
    await run(runtime)
    assert await balance(live, wallet_id) == (500, 0)
    told = await story(live, intent_id)
    assert told[1] == ("redemption.expired", 2, "2026-03-09T09:00:00.000Z")
    assert (await shown(live, intent_id))["updatedAt"] == "2026-03-09T09:00:00.000Z"
    refused(await capture(live, intent_id), 409, "HoldExpired")


async def test_each_expires_at_its_own_deadline(live: Api, runtime: Runtime, clock: Clock) -> None:
    wallet_id = await wallet_with(live, 500)
    made = []
    for _ in range(3):
        made.append(await held(live, wallet_id, 100))
        clock.move(timedelta(hours=1))
    clock.move(WEEK)
    await run(runtime)
    instants = [(await story(live, intent_id))[1][2] for intent_id in made]
    assert instants == [f"2026-03-09T{hour}:00:00.000Z" for hour in ("09", "10", "11")]
    assert await balance(live, wallet_id) == (500, 0)


async def test_what_was_captured_or_cancelled_does_not_expire(live: Api, runtime: Runtime, clock: Clock) -> None:
    wallet_id = await wallet_with(live, 500)
    captured, cancelled = await held(live, wallet_id, 100), await held(live, wallet_id, 100)
    await taken(live, wallet_id, 100)
    await capture(live, captured)
    await cancel(live, cancelled)
    clock.move(WEEK)
    await run(runtime)
    assert (await shown(live, captured))["status"] == "captured"
    assert (await shown(live, cancelled))["status"] == "cancelled"


async def test_the_merchant_says_how_long_an_authorisation_lasts(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, authorization_days=1)
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 400)
    await advance(api, "P1D")
    assert (await shown(api, intent_id))["status"] == "expired"
    assert await balance(api, wallet_id) == (500, 0)
    assert await topics(api, intent_id) == ["redemption.authorized", "redemption.expired"]


async def test_moving_a_sandbox_expires_payments_and_lots_in_their_order(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=10, credit_limit=1000)
    wallet_id = await wallet_with(api, 500)
    await advance(api, "P5D")
    intent_id = await held(api, wallet_id, 400)
    await advance(api, "P30D")
    # The lot expired on day 10, what was held of it with the payment on day 12.
    assert await balance(api, wallet_id) == (0, 0)
    assert await left(runtime, api) == 1000
    assert [lot[:2] for lot in await lots_of(runtime, api, wallet_id)] == [(0, 0)]
    assert await topics(api, intent_id) == ["redemption.authorized", "redemption.expired"]
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select at from journals where tenant_id = $1 and kind = 'lot.expire' order by at", api.tenant.id
        )
    assert [(row[0] - world.T0).days for row in rows] == [10, 12]


async def test_a_lot_that_expired_while_a_late_loop_still_held_it_expires_too(
    live: Api, runtime: Runtime, clock: Clock
) -> None:
    await configure(runtime, live, value_days=8)
    wallet_id = await wallet_with(live, 500)
    await held(live, wallet_id, 400)
    clock.move(timedelta(days=9))
    # The loop that expires payments is late: the lot's deadline is looked at first, while the hold is still there.
    while await wallets.expire_due(runtime):
        pass
    await run(runtime)
    while await wallets.expire_due(runtime):
        pass
    assert [lot[:2] for lot in await lots_of(runtime, live, wallet_id)] == [(0, 0)]


async def test_a_closing_wallet_whose_value_has_expired_closes_with_the_payment(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, value_days=3)
    wallet_id = await wallet_with(api, 500)
    await held(api, wallet_id, 500)
    await api.post(f"wallets/{wallet_id}/close")
    await advance(api, "P6D")
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
    await advance(api, "P1D")
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closed"


async def test_what_expired_counts_no_more_in_its_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, wallet_day_maximum=1000, authorization_days=1)
    wallet_id = await wallet_with(api, 3000)
    await held(api, wallet_id, 600)
    await held(api, wallet_id, 400)
    await advance(api, "P1D")
    async with runtime.reading(api.tenant) as work:
        spent = await work.db.value("select sum(amount) from spending_days where tenant_id = $1", api.tenant.id)
    assert spent == 0
    assert (await pay(api, wallet_id, 1000)).status == 201


async def test_a_card_is_free_again_too(api: Api, runtime: Runtime) -> None:
    card_id = await card_with(api, 500)
    intent_id = (await pay_from(api, [{"giftCardId": card_id}], 500)).data["id"]
    await advance(api, "P7D")
    assert (await shown(api, intent_id))["status"] == "expired"
    assert [lot[:2] for lot in await lots_of(runtime, api, card_id)] == [(500, 0)]
    await pay_from(api, [{"giftCardId": card_id}], 500)


async def test_an_expiry_and_a_reversal_or_increase_at_once_free_once(
    live: Api, runtime: Runtime, clock: Clock
) -> None:
    wallet_id = await wallet_with(live, 500)
    intent_id = await held(live, wallet_id, 400, externalReference="r")
    clock.move(WEEK)
    _, back, more, took = await asyncio.gather(
        payments.expire_at(runtime, live.tenant, clock.now),
        reverse(live, "r"),
        increase(live, intent_id, 10),
        capture(live, intent_id),
    )
    assert back.attributes["reversedAmount"] == 400
    refused(more, 409, "HoldExpired")
    refused(took, 409, "HoldExpired")
    assert await balance(live, wallet_id) == (500, 0)
    assert await topics(live, intent_id) == ["redemption.authorized", "redemption.expired"]


async def test_loops_at_once_expire_once(live: Api, runtime: Runtime, clock: Clock) -> None:
    wallet_id = await wallet_with(live, 500)
    made = [await held(live, wallet_id, 50) for _ in range(10)]
    clock.move(WEEK)
    await asyncio.gather(*(payments.expire_at(runtime, live.tenant, clock.now) for _ in range(4)))
    assert await balance(live, wallet_id) == (500, 0)
    assert [len(await story(live, intent_id)) for intent_id in made] == [2] * 10


async def test_a_tenants_trouble_does_not_keep_others_from_expiring(
    live: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock
) -> None:
    other = await join(runtime, session, base_url, environment="production")
    places = [(one, await wallet_with(one, 500)) for one in (live, other)]
    for one, wallet_id in places:
        await held(one, wallet_id, 400)
    clock.move(WEEK)
    await run(runtime)
    for one, wallet_id in places:
        assert await balance(one, wallet_id) == (500, 0)
    assert await payable(runtime, live) == 0
