"""Breakage: recognised in proportion, caught up with, bounded, consumed by expiry, and never at a holder's cost."""

from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.reports.breakage import WHOLE, Paid, contra_wanted, reckon
from tests.api import Api, document_of, join, luna
from tests.conftest import Clock
from tests.reports.cast import DAY, HOUR, MONTH, Shop, close, made, put, set_rate
from tests.rewards.cast import another_client, refused
from tests.world import T0

UNITS = st.integers(0, 2**40)


@pytest.fixture(autouse=True)
def _a_year_later(api: Api, shop: Shop, clock: Clock) -> None:
    clock.move(12 * MONTH)


async def contra(shop: Shop) -> int:
    return -await shop.balance(shop.house("merchant.breakage"))


async def income(shop: Shop) -> int:
    return await shop.balance(shop.house("merchant.breakage_income"))


async def test_breakage_is_recognised_as_the_rest_is_redeemed(api: Api, shop: Shop, runtime: Runtime) -> None:
    """10 percent of 10,000 will not be redeemed: of that 1,000, what of the other 9,000 was redeemed."""
    await set_rate(api, 1_000)
    lot = await shop.sell(10_000)
    lots = await shop.versions()
    await close(api, runtime, T0 + MONTH)
    assert (await contra(shop), await income(shop)) == (0, 0)
    await shop.capture(lot, 4_500, T0 + MONTH + DAY)
    second = await close(api, runtime, T0 + 2 * MONTH)
    assert (await contra(shop), await income(shop)) == (500, 500)
    assert (second["sums"]["merchant.breakage"], second["sums"]["merchant.breakage_income"]) == (-500, 500)
    await shop.refund(lot, 900, T0 + 2 * MONTH + DAY)
    await close(api, runtime, T0 + 3 * MONTH)
    assert (await contra(shop), await income(shop)) == (400, 400)
    await shop.capture(lot, 5_400, T0 + 3 * MONTH + DAY)
    await close(api, runtime, T0 + 4 * MONTH)
    assert await contra(shop) == 1_000
    assert await shop.versions() == {lot: lots[lot] + 3}
    report = await made(api, runtime, "breakage")
    figures = (
        "period",
        "rateBasisPoints",
        "sold",
        "redeemed",
        "unredeemed",
        "contraBefore",
        "recognised",
        "contraAfter",
    )
    assert [tuple(row[name] for name in figures) for row in report.rows] == [
        (1, 1_000, 10_000, 0, 10_000, 0, 0, 0),
        (2, 1_000, 10_000, 4_500, 5_500, 0, 500, 500),
        (3, 1_000, 10_000, 3_600, 6_400, 500, -100, 400),
        (4, 1_000, 10_000, 9_000, 1_000, 400, 600, 1_000),
    ]
    assert report.attributes["figures"] == {
        "contraOpening": 0, "contraRecognised": 1_000, "contraExpired": 0, "contraClosing": 1_000,
        "incomeOpening": 0, "incomeRecognised": 1_000, "incomeExpired": 0, "incomeClosing": 1_000,
    }  # fmt: skip
    part = await made(api, runtime, "breakage", from_=T0 + MONTH, to=T0 + 2 * MONTH)
    assert [row["recognised"] for row in part.rows] == [500]
    assert part.attributes["figures"]["contraClosing"] == 500


async def test_a_new_rate_is_caught_up_with_at_once_both_ways(api: Api, shop: Shop, runtime: Runtime) -> None:
    lot = await shop.sell(10_000)
    await shop.capture(lot, 4_000)
    await close(api, runtime, T0 + MONTH)
    assert await contra(shop) == 0
    for n, rate in enumerate((2_000, 1_000, 0, 2_000)):
        await set_rate(api, rate)
        await close(api, runtime, T0 + (n + 2) * MONTH)
        assert await contra(shop) == await income(shop) == 4_000 * rate // (WHOLE - rate)
    shown = (await api.get(f"merchants/{api.merchant_id}/breakage-terms")).attributes
    assert (shown["rateBasisPoints"], shown["basis"]) == (2_000, "What was sold in 2020.")


async def test_holders_who_redeem_more_than_expected_get_all_of_it(api: Api, shop: Shop, runtime: Runtime) -> None:
    """The contra is never more than what is left to redeem: the estimate gives way."""
    await set_rate(api, 5_000)
    lot = await shop.sell(1_000)
    await shop.capture(lot, 500)
    await close(api, runtime, T0 + MONTH)
    assert await contra(shop) == 500
    await shop.capture(lot, 400, T0 + MONTH)
    await close(api, runtime, T0 + 2 * MONTH)
    assert await contra(shop) == await shop.balance(lot) == 100
    await shop.capture(lot, 100, T0 + 2 * MONTH)
    await close(api, runtime, T0 + 3 * MONTH)
    assert (await contra(shop), await income(shop)) == (0, 0)


async def test_a_lawful_expiry_consumes_what_was_recognised_first(api: Api, shop: Shop, runtime: Runtime) -> None:
    await set_rate(api, 2_000)
    spent, left = await shop.sell(800), await shop.sell(200)
    await shop.capture(spent, 400)
    await close(api, runtime, T0 + MONTH)
    assert (await contra(shop), await income(shop)) == (100, 100)
    await shop.expire(left, T0 + MONTH + DAY)
    assert (await contra(shop), await income(shop)) == (0, 200)
    await shop.capture(spent, 400, T0 + MONTH + 2 * DAY)
    await close(api, runtime, T0 + 2 * MONTH)
    assert (await contra(shop), await income(shop)) == (0, 200)
    report = await made(api, runtime, "breakage")
    assert [row["expired"] for row in report.rows] == [0, 200]
    assert report.attributes["figures"] == {
        "contraOpening": 0, "contraRecognised": 100, "contraExpired": -100, "contraClosing": 0,
        "incomeOpening": 0, "incomeRecognised": 100, "incomeExpired": 100, "incomeClosing": 200,
    }  # fmt: skip


async def test_what_moved_since_the_end_of_the_period_is_not_recognised_on(
    api: Api, shop: Shop, runtime: Runtime
) -> None:
    """Value that expired or was spent behind the end cannot carry an estimate of before, nor is the contra overdrawn."""
    await set_rate(api, 5_000)
    first, second = await shop.sell(1_000), await shop.sell(1_000)
    await shop.capture(first, 600)
    await close(api, runtime, T0 + MONTH)
    assert await contra(shop) == 600
    await shop.capture(first, 400, T0 + MONTH + DAY)
    await shop.expire(second, T0 + 2 * MONTH + HOUR)  # behind the end of the period that closes now
    assert (await contra(shop), await income(shop)) == (0, 1_000)
    await close(api, runtime, T0 + 2 * MONTH)
    assert (await contra(shop), await income(shop)) == (0, 1_000)
    await close(api, runtime, T0 + 3 * MONTH)
    assert (await contra(shop), await income(shop)) == (0, 1_000)


async def test_value_that_was_given_is_no_breakage(api: Api, shop: Shop, runtime: Runtime) -> None:
    await set_rate(api, 5_000)
    gift = await shop.give(1_000)
    await shop.capture(gift, 500)
    await shop.expire(gift, T0 + DAY)
    await close(api, runtime, T0 + MONTH)
    assert (await contra(shop), await income(shop)) == (0, 0)


async def test_recognition_is_the_last_entry_of_its_period(api: Api, shop: Shop, runtime: Runtime) -> None:
    await set_rate(api, 5_000)
    lot = await shop.sell(1_000)
    await shop.capture(lot, 300)
    await close(api, runtime, T0 + MONTH)
    async with runtime.reading(api.tenant) as work:
        at = await work.db.value(
            "select at from journals where tenant_id = $1 and kind = 'breakage.recognise'", api.tenant.id
        )
    assert T0 + MONTH > at > T0 + MONTH - HOUR


async def test_terms_are_set_by_whoever_may_act_for_the_merchant(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    path = f"merchants/{api.merchant_id}/breakage-terms"
    before = (await api.get(path)).attributes
    assert before == {"rateBasisPoints": 0, "basis": None, "effectiveFrom": None}
    stranger = await join(runtime, session, base_url)
    bound = await another_client(runtime, api, merchant_ids=((await luna(runtime, api.tenant, "Café Sol")).id,))
    document = document_of("BreakageTerms", rateBasisPoints=1, basis="A guess.")
    for other, missing in ((stranger, api.merchant_id), (bound, api.merchant_id), (api, ids.new()), (api, "x")):
        for answer in (
            await put(other, f"merchants/{missing}/breakage-terms", document),
            await other.get(f"merchants/{missing}/breakage-terms"),
        ):
            refused(answer, 404, "NotFound")
            assert answer.body["errors"][0]["detail"] == "No merchant has this id. Verify the id."
    assert (await api.get(path)).attributes == before


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"rateBasisPoints": 10_000, "basis": "x"}, "/data/attributes/rateBasisPoints"),
        ({"rateBasisPoints": -1, "basis": "x"}, "/data/attributes/rateBasisPoints"),
        ({"rateBasisPoints": 4.5, "basis": "x"}, "/data/attributes/rateBasisPoints"),
        ({"rateBasisPoints": 1, "basis": " "}, "/data/attributes/basis"),
        ({"rateBasisPoints": 1, "basis": "a\nb"}, "/data/attributes/basis"),
        ({"rateBasisPoints": 1, "basis": "x" * 501}, "/data/attributes/basis"),
        ({"rateBasisPoints": 1}, "/data/attributes"),
    ],
)
async def test_terms_that_make_no_sense_are_refused(api: Api, attributes: Any, place: str) -> None:
    answer = await put(api, f"merchants/{api.merchant_id}/breakage-terms", document_of("BreakageTerms", **attributes))
    refused(answer, 400, "InvalidRequest", place)


@given(
    steps=st.lists(st.tuples(st.sampled_from(["sell", "redeem", "refund", "expire"]), UNITS), max_size=20),
    rate=st.integers(0, WHOLE - 1),
)
def test_the_estimate_is_bounded_and_loses_nothing(steps: list[tuple[str, int]], rate: int) -> None:
    paid, contra, income = Paid(), 0, 0
    for verb, units in steps:
        if verb == "sell":
            paid = Paid(paid.sold + units, paid.redeemed, paid.expired)
        elif verb == "redeem":
            paid = Paid(paid.sold, paid.redeemed + min(units, paid.unredeemed), paid.expired)
        elif verb == "refund":
            paid = Paid(paid.sold, paid.redeemed - min(units, paid.redeemed), paid.expired)
        else:
            gone = min(units, paid.unredeemed)
            consumed = min(contra, gone)
            contra, income = contra - consumed, income + gone - consumed
            paid = Paid(paid.sold, paid.redeemed, paid.expired + gone)
        wanted = contra_wanted(paid, rate)
        contra, income = wanted, income + wanted - contra
        assert 0 <= contra <= paid.unredeemed
        assert contra + paid.expired <= max(paid.sold * rate // WHOLE, paid.expired)
        # Every unit of income is an expiry or stands on the contra: what is recognised once is not recognised again.
        assert income == contra + paid.expired


def test_nothing_moved_is_nothing_paid() -> None:
    assert reckon([]) == Paid(0, 0, 0)
    assert contra_wanted(Paid(), 9_999) == 0
