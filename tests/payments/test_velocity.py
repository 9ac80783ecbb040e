"""What a merchant's terms allow in a payment and in a day, counted exactly."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from tallystick.base.work import Runtime
from tallystick.payments import store, velocity
from tests.api import Api
from tests.payments.cast import configure, filled, lot, pay, refused

AMOUNT = "/data/attributes/amount"
WALLET = "/data/attributes/walletId"


async def spent(runtime: Runtime, api: Api, subject_id: str) -> list[tuple[date, int, int]]:
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select day, count, amount from spending_days where tenant_id = $1 and subject_id = $2 order by day",
            api.tenant.id,
            UUID(subject_id),
        )
    return [(row[0], row[1], row[2]) for row in rows]


async def test_the_smallest_and_the_largest_payment_are_the_merchants(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, payment_minimum=100, payment_maximum=500)
    wallet_id = await filled(runtime, api, 5000)
    for amount, way in ((99, "at least 100"), (501, "at most 500")):
        answer = await pay(api, amount, walletId=wallet_id)
        refused(answer, 409, "PaymentLimit", AMOUNT)
        assert way in answer.body["errors"][0]["detail"]
    for amount in (100, 500):
        assert (await pay(api, amount, walletId=wallet_id)).status == 201


@pytest.mark.parametrize(
    ("terms", "place"),
    [({"wallet_day_maximum": 1000}, WALLET), ({"merchant_day_maximum": 1000}, AMOUNT)],
)
async def test_tills_that_race_spend_exactly_what_the_day_allows(
    runtime: Runtime, api: Api, terms: dict[str, int], place: str
) -> None:
    await configure(runtime, api, **terms)
    wallet_id = await filled(runtime, api, 5000)
    answers = await asyncio.gather(*(pay(api, 300, walletId=wallet_id) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] * 3 + [409] * 5
    for answer in answers:
        if answer.status == 409:
            refused(answer, 409, "PaymentLimit", place)
    assert (await pay(api, 100, walletId=wallet_id)).status == 201
    subject = wallet_id if place == WALLET else str(api.merchant_id)
    assert await spent(runtime, api, subject) == [(date(2026, 3, 2), 4, 1000)]


async def test_so_many_payments_of_a_wallet_in_a_day(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, wallet_day_count=2)
    wallet_id = await filled(runtime, api, 5000)
    answers = await asyncio.gather(*(pay(api, 1, walletId=wallet_id) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201] * 2 + [409] * 3
    other = await filled(runtime, api, 100, phone="+12025550167")
    assert (await pay(api, 1, walletId=other)).status == 201


async def test_a_day_begins_at_the_merchants_midnight(runtime: Runtime, api: Api, clock: Any) -> None:
    await configure(runtime, api, wallet_day_maximum=100)
    wallet_id = await filled(runtime, api, 5000)
    clock.now = datetime(2026, 3, 3, 4, 59, tzinfo=UTC)  # a minute before midnight in New York
    assert (await pay(api, 100, walletId=wallet_id)).status == 201
    refused(await pay(api, 1, walletId=wallet_id), 409, "PaymentLimit", WALLET)
    clock.now = datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
    assert (await pay(api, 100, walletId=wallet_id)).status == 201
    assert await spent(runtime, api, wallet_id) == [(date(2026, 3, 2), 1, 100), (date(2026, 3, 3), 1, 100)]


async def test_where_nothing_is_bounded_nothing_is_counted(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 5000)
    assert (await pay(api, 100, walletId=wallet_id)).status == 201
    assert await spent(runtime, api, wallet_id) == []
    await configure(runtime, api, wallet_day_maximum=100)
    assert (await pay(api, 100, walletId=wallet_id)).status == 201


async def test_only_what_a_source_gives_counts(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, wallet_day_count=1)
    empty, full = await api.wallet(), await filled(runtime, api, 500, phone="+12025550167")
    sources = [{"walletId": empty}, {"walletId": full}]
    assert (await pay(api, 100, sources=sources)).status == 201
    assert await spent(runtime, api, empty) == []
    await lot(runtime, api, empty, 100)
    assert (await pay(api, 100, walletId=empty)).status == 201


async def test_what_ends_without_a_capture_counts_no_more(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, wallet_day_maximum=1000, merchant_day_maximum=1000)
    wallet_id = await filled(runtime, api, 5000)
    made = [UUID((await pay(api, 400, walletId=wallet_id, capture="manual")).data["id"]) for _ in range(2)]
    refused(await pay(api, 400, walletId=wallet_id), 409, "PaymentLimit")
    async with runtime.work(api.tenant) as work:
        counters = await velocity.lock(work, made)
        assert {(each.count, each.amount) for each in counters.days.values()} == {(2, 800)}
        intents = await store.lock(work, made)
        sources = await store.sources_of(work, made)
        await velocity.give_back(work, [intents[made[0]]], sources)
        await velocity.give_back_part(work, intents[made[1]], [(sources[made[1]][0], 150)])
    for subject in (wallet_id, str(api.merchant_id)):
        assert await spent(runtime, api, subject) == [(date(2026, 3, 2), 1, 250)]
    assert (await pay(api, 750, walletId=wallet_id)).status == 201


async def test_an_increase_counts_in_the_day_of_its_payment(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, wallet_day_maximum=1000, wallet_day_count=1)
    wallet_id = await filled(runtime, api, 5000)
    made = UUID((await pay(api, 400, walletId=wallet_id, capture="manual")).data["id"])
    async with runtime.work(api.tenant) as work:
        counters = await velocity.lock(work, [made])
        intent = (await store.lock(work, [made]))[made]
        source = (await store.sources_of(work, [made]))[made][0]
        from tallystick import merchants
        from tallystick.base.errors import attribute

        terms = (await merchants.terms(work, [intent.merchant_id]))[intent.merchant_id]
        place = attribute("amount")
        assert velocity.increase(counters, terms, intent, [(source, 600)], place) is None
        refusal = velocity.increase(counters, terms, intent, [(source, 1)], place)
        assert refusal is not None and refusal.code == "PaymentLimit"
        await velocity.save(work, counters)
    assert await spent(runtime, api, wallet_id) == [(date(2026, 3, 2), 1, 1000)]
