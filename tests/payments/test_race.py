"""Payments of several processes at once: each of them has its own batch, and only the database stands between them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.errors import Refusal, attribute
from tallystick.base.work import Asked, Caller, Runtime
from tallystick.payments import AuthorizePayment, Paid, SourceAsked, authorize
from tests.api import Api
from tests.payments.cast import activities, configure, filled, gift_card, held, left


def payment(api: Api, amount: int, *sources: SourceAsked, **more: Any) -> AuthorizePayment:
    """A wish with a key of its own, unless given."""
    assert api.merchant_id is not None
    caller = Caller(api.tenant, api.partner_id, UUID(api.client_id), frozenset(), None, False, 1, 1)
    asked = Asked(caller, ids.new(), "POST", "/api/v1/payment-intents")
    return AuthorizePayment(asked, api.merchant_id, True, amount, sources, **{"key": str(ids.new()), **more})


def wallet(wallet_id: str) -> SourceAsked:
    return SourceAsked(attribute("walletId"), "wallet", UUID(wallet_id))


def card(card_id: str) -> SourceAsked:
    return SourceAsked(attribute("giftCardId"), "giftCard", UUID(card_id))


async def at_once(runtime: Runtime, api: Api, *batches: Sequence[AuthorizePayment]) -> list[Paid | Refusal]:
    """The outcomes of batches that are carried out at the same time, one after another in the answer."""
    outcomes = await asyncio.gather(*(run_batch(runtime, authorize, api.tenant, batch) for batch in batches))
    found = [outcome for batch in outcomes for outcome in batch]
    told = [outcome for outcome in found if isinstance(outcome, (Paid, Refusal))]
    assert len(told) == len(found), found
    return told


def told(outcomes: Sequence[Paid | Refusal]) -> Counter[str]:
    return Counter(outcome.code if isinstance(outcome, Refusal) else "Paid" for outcome in outcomes)


@pytest.mark.parametrize("capture", ["automatic", "manual"])
async def test_eight_tills_one_wallet(runtime: Runtime, api: Api, capture: str) -> None:
    wallet_id = await filled(runtime, api, 1000)
    batches = [[payment(api, 150, wallet(wallet_id), capture=capture) for _ in range(2)] for _ in range(8)]
    assert told(await at_once(runtime, api, *batches)) == {"Paid": 6, "InsufficientValue": 10}
    balances = await left(runtime, api, wallet_id), await held(runtime, api, wallet_id)
    assert balances == ((100, 0) if capture == "automatic" else (1000, 900))


async def test_eight_tills_one_card(runtime: Runtime, api: Api) -> None:
    sold = await gift_card(api, 1000)
    batches = [[payment(api, 150, card(sold.id))] for _ in range(8)]
    assert told(await at_once(runtime, api, *batches)) == {"Paid": 6, "InsufficientValue": 2}
    assert [each[2] for each in await activities(runtime, api, sold.id)] == [1000, 850, 700, 550, 400, 250, 100]


async def test_sources_in_any_order_never_stop_each_other(runtime: Runtime, api: Api) -> None:
    first, second = await filled(runtime, api, 400), await filled(runtime, api, 400, phone="+12025550167")
    sold = await gift_card(api, 400)
    sources = [wallet(first), wallet(second), card(sold.id)]
    orders = [sources[n % 3 :] + sources[: n % 3] for n in range(8)]
    outcomes = await at_once(runtime, api, *([payment(api, 200, *order)] for order in orders))
    assert told(outcomes) == {"Paid": 6, "InsufficientValue": 2}


async def test_one_key_is_one_payment(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    outcomes = await at_once(runtime, api, *([payment(api, 300, wallet(wallet_id), key="once")] for _ in range(8)))
    assert told(outcomes) == {"Paid": 8}
    assert len({outcome.document for outcome in outcomes if isinstance(outcome, Paid)}) == 1
    assert [outcome.replayed for outcome in outcomes if isinstance(outcome, Paid)].count(False) == 1
    assert await left(runtime, api, wallet_id) == 700


async def test_one_reference_is_one_payment(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    batches = [[payment(api, 300, wallet(wallet_id), external_reference="r")] for _ in range(8)]
    assert told(await at_once(runtime, api, *batches)) == {"Paid": 1, "DuplicateReference": 7}
    assert await left(runtime, api, wallet_id) == 700


@pytest.mark.parametrize("terms", [{"wallet_day_count": 3}, {"merchant_day_maximum": 300}, {"wallet_day_maximum": 350}])
async def test_what_a_day_allows_is_exact(runtime: Runtime, api: Api, terms: dict[str, int]) -> None:
    await configure(runtime, api, **terms)
    wallet_id = await filled(runtime, api, 5000)
    batches = [[payment(api, 100, wallet(wallet_id)) for _ in range(2)] for _ in range(8)]
    assert told(await at_once(runtime, api, *batches)) == {"Paid": 3, "PaymentLimit": 13}
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows("select day, count, amount from spending_days where tenant_id = $1", api.tenant.id)
    assert [tuple(row) for row in rows] == [(date(2026, 3, 2), 3, 300)]


async def test_a_later_twin_has_what_the_refused_first_one_wanted(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 100)
    batch = [
        payment(api, 500, wallet(wallet_id), key="k", external_reference="r"),
        payment(api, 60, wallet(wallet_id), key="k", external_reference="r"),
        payment(api, 40, wallet(wallet_id), key="l", external_reference="r"),
        payment(api, 60, wallet(wallet_id), key="k", external_reference="r"),
        payment(api, 40, wallet(wallet_id), key="m", external_reference="s"),
        payment(api, 40, wallet(wallet_id), key="n", external_reference="t"),
    ]
    outcomes = await at_once(runtime, api, batch)
    codes = [outcome.code if isinstance(outcome, Refusal) else f"{outcome.replayed}" for outcome in outcomes]
    assert codes == ["InsufficientValue", "False", "DuplicateReference", "True", "False", "InsufficientValue"]
    again = await at_once(runtime, api, [batch[1]], [batch[0]])
    assert [isinstance(each, Paid) and each.replayed for each in again] == [True, False]
    async with runtime.reading(api.tenant) as work:
        kept = await work.db.rows("select reference from till_references where tenant_id = $1", api.tenant.id)
    assert sorted(row[0] for row in kept) == ["r", "s"]


async def test_a_poisonous_payment_harms_no_neighbour(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    good = [payment(api, 100, wallet(wallet_id)) for _ in range(3)]
    poison = payment(api, 100, wallet(wallet_id), location_id="\0")
    outcomes = await run_batch(runtime, authorize, api.tenant, [good[0], poison, *good[1:]])
    assert [isinstance(outcome, Paid) for outcome in outcomes] == [True, False, True, True]
    assert await left(runtime, api, wallet_id) == 700
