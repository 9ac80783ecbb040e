"""Loading value on a card."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tallystick.base import clock
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api
from tests.giftcards.cast import books, lots_of, show
from tests.giftcards.living import (
    AMOUNT,
    balance_of,
    check_cards,
    do,
    done,
    in_state,
    journals,
    new,
    pay,
    settle,
    status_of,
    told,
)
from tests.governance.cast import agree, line
from tests.rewards.cast import advance, configure, refused, story
from tests.world import T0

FIVE_YEARS = "2031-03-02T09:00:00.000Z"


async def test_a_load_is_a_sale_into_a_lot_of_its_own(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    answer = await done(api, card_id, "load", amount=2500)
    assert answer.attributes["balance"] == {"available": 3400, "held": 0}
    assert answer.attributes["initialAmount"] == 900
    assert sorted(lot.available for lot in await lots_of(runtime, api, card_id)) == [900, 2500]
    assert await books(runtime, api, "merchant.sales") == -3400
    assert await journals(runtime, api, "card.load") == [[("card.lot", 2500), ("merchant.sales", -2500)]]
    assert await told(api, card_id) == [("issue", 900, 900), ("load", 2500, 3400)]
    assert [topic for topic, _, _ in await story(api, card_id)] == ["gift_card.issued", "gift_card.loaded"]


async def test_a_load_makes_a_depleted_card_active_again(api: Api, runtime: Runtime) -> None:
    card_id = await in_state(api, "depleted")
    answer = await done(api, card_id, "load", amount=50)
    assert (answer.attributes["status"], answer.attributes["reason"]) == ("active", "loaded")
    await pay(api, card_id, 50)
    assert await status_of(api, card_id) == "depleted"


async def test_the_same_key_loads_once_and_another_request_under_it_is_a_conflict(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    first = await do(api, card_id, "load", key="load-1", amount=100)
    again = await do(api, card_id, "load", key="load-1", amount=100)
    assert (again.text, again.headers["Idempotent-Replayed"]) == (first.text, "true")
    refused(await do(api, card_id, "load", key="load-1", amount=101), 409, "IdempotencyConflict")
    assert await balance_of(api, card_id) == (1000, 0)


async def test_a_card_that_is_not_reloadable_takes_nothing(api: Api) -> None:
    card_id = await new(api, 900, reloadable=False)
    refused(await do(api, card_id, "load", amount=100), 409, "InvalidState")
    assert await balance_of(api, card_id) == (900, 0)


async def test_a_card_never_holds_more_than_the_merchant_allows_held_value_included(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, card_maximum=1000)
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 500, "manual")
    refused(await do(api, card_id, "load", amount=101), 400, "InvalidRequest", "/data/attributes/amount")
    await done(api, card_id, "load", amount=100)
    await settle(api, intent_id, "capture")
    await done(api, card_id, "load", amount=500)
    assert await balance_of(api, card_id) == (1000, 0)


async def test_a_closed_merchant_sells_nothing_more(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    await configure(runtime, api, status="closed")
    refused(await do(api, card_id, "load", amount=100), 409, "InvalidState")


async def test_what_was_paid_for_lasts_five_years_from_the_last_load(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900, expiresAt=FIVE_YEARS)
    await advance(api, "P365D")
    answer = await done(api, card_id, "load", amount=100)
    assert answer.attributes["expiresAt"] == "2032-03-02T09:00:00.000Z"
    [lot] = await lots_of(runtime, api, card_id)
    assert (lot.available, lot.expires_at) == (1000, clock.parse_instant("2032-03-02T09:00:00Z"))
    assert await journals(runtime, api, "card.load") == [
        [("card.lot", -900), ("card.lot", 100), ("card.lot", 900), ("merchant.sales", -100)]
    ]


async def test_a_longer_term_of_the_card_is_kept(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900, expiresAt="2040-01-01T00:00:00.000Z")
    assert (await done(api, card_id, "load", amount=100)).attributes["expiresAt"] == "2040-01-01T00:00:00.000Z"
    assert len({lot.expires_at for lot in await lots_of(runtime, api, card_id)}) == 1


async def test_what_payments_hold_stays_where_it_is_while_the_rest_moves_on(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    card_id = await new(api, 900, expiresAt=FIVE_YEARS)
    await advance(api, "P10D")
    intent_id = await pay(api, card_id, 300, "manual")
    await done(api, card_id, "load", amount=100)
    lots = await lots_of(runtime, api, card_id)
    assert sorted((lot.available, lot.held) for lot in lots) == [(0, 300), (700, 0)]
    await settle(api, intent_id, "capture")
    assert await balance_of(api, card_id) == (700, 0)
    await check_cards(auditor, api.tenant)


async def test_a_promotional_card_is_loaded_from_the_funding_and_never_lasts_longer_for_it(
    api: Api, runtime: Runtime
) -> None:
    soon = clock.render(T0 + timedelta(days=10))
    card_id = await new(api, 900, valueClass="promotional", expiresAt=soon)
    assert (await done(api, card_id, "load", amount=100)).attributes["expiresAt"] == soon
    assert {lot.lot_class for lot in await lots_of(runtime, api, card_id)} == {"promotional"}
    assert await books(runtime, api, "merchant.sales") == 0
    assert await journals(runtime, api, "card.load") == [[("card.lot", 100), ("merchant.receivable", -100)]]


async def test_a_promotional_load_beyond_the_funding_is_refused_and_leaves_nothing(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, credit_limit=1000)
    card_id = await new(api, 900, valueClass="promotional")
    refused(await do(api, card_id, "load", key="k", amount=101), 409, "InsufficientFunding", "/data/attributes/amount")
    assert await told(api, card_id) == [("issue", 900, 900)]
    await done(api, card_id, "load", key="k", amount=100)


@pytest.mark.parametrize("amount", [0, -1, 1.5, "100", None, True, 2**31, 10**30, [], {}])
async def test_amounts_that_are_none_are_refused(api: Api, amount: Any) -> None:
    card_id = await new(api)
    answer = await do(api, card_id, "load", amount=amount)
    assert answer.status == 400, answer.text
    assert await balance_of(api, card_id) == (AMOUNT, 0)


async def test_loads_and_payments_at_once_lose_nothing(api: Api, runtime: Runtime, auditor: Db) -> None:
    card_id = await new(api, 1000)
    await asyncio.gather(
        *(done(api, card_id, "load", amount=10) for _ in range(8)), *(pay(api, card_id, 25) for _ in range(8))
    )
    assert await balance_of(api, card_id) == (1000 + 80 - 200, 0)
    lines = await told(api, card_id)
    assert len(lines) == 17
    balance = 0
    for _, amount, after in lines:
        balance += amount
        assert after == balance
    assert (await show(api, card_id))["status"] == "active"
    await check_cards(auditor, api.tenant)


async def test_loads_use_the_partners_quota_of_value_and_a_refused_one_does_not(api: Api, runtime: Runtime) -> None:
    await agree(runtime, api.tenant, api.partner_id, line("giftCards.value", 1500))
    card_id = await new(api, 900, reloadable=True)
    other = await new(api, 100, reloadable=False)
    refused(await do(api, other, "load", amount=400), 409, "InvalidState")
    refused(await do(api, card_id, "load", amount=501), 409, "QuotaExceeded", "/data/attributes/amount")
    await done(api, card_id, "load", amount=500)
    refused(await do(api, card_id, "load", amount=1), 409, "QuotaExceeded")
    assert await balance_of(api, card_id) == (1400, 0)
