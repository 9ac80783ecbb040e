"""Terms come in versions: each replaces the lines of the last from its instant on, and what is used goes on."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tallystick.base import ids
from tallystick.base.errors import Refusal
from tallystick.base.work import Runtime
from tallystick.governance import terms
from tallystick.governance.terms import NewTerms, faults_of
from tests.api import Api
from tests.conftest import Clock
from tests.governance.cast import CARDS, REWARDS, Take, advance_to, agree, given, line, priced, rivals, usage, used
from tests.rewards.cast import refused
from tests.world import T0


async def test_a_new_version_bounds_what_is_used_already(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=1_000))
    assert (await api.issue(amount=800)).status == 200
    await agree(runtime, api.tenant, api.partner_id, line(included=500))
    refused(await api.issue("+12025550101", 1), 409, "QuotaExceeded")
    await agree(runtime, api.tenant, api.partner_id, priced(included=500, cap=1_100))
    assert (await api.issue("+12025550102", 300)).status == 200
    refused(await api.issue("+12025550103", 1), 409, "QuotaExceeded")
    assert await used(runtime, api.tenant, api.partner_id) == [(REWARDS, 1_100, 2)]
    [shown] = await usage(api)
    assert (shown["included"], shown["used"], shown["overage"], shown["overageCharge"]) == (500, 1_100, 600, 18)


async def test_a_version_begins_at_its_instant_by_the_clock_of_its_environment(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=100))
    later = await agree(runtime, api.tenant, api.partner_id, line(included=300), effective_from=T0 + timedelta(days=3))
    assert later.version == 2
    refused(await api.issue(amount=101), 409, "QuotaExceeded")
    await advance_to(api, "2026-03-05T08:59:59.999Z")
    refused(await api.issue(amount=101), 409, "QuotaExceeded")
    await advance_to(api, "2026-03-05T09:00:00.000Z")
    assert (await api.issue(amount=300)).status == 200
    assert await used(runtime, api.tenant, api.partner_id) == [(REWARDS, 300, 202)]


async def test_the_last_version_that_has_begun_holds_also_over_one_that_was_to_begin_later(
    runtime: Runtime, api: Api
) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=100))
    await agree(runtime, api.tenant, api.partner_id, line(included=900), effective_from=T0 + timedelta(days=1))
    await agree(runtime, api.tenant, api.partner_id, line(included=200))
    await advance_to(api, "2026-03-05T09:00:00.000Z")
    refused(await api.issue(amount=201), 409, "QuotaExceeded")
    assert (await api.issue(amount=200)).status == 200


async def test_without_lines_nothing_is_bound_and_nothing_counted(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=100))
    assert (await api.issue(amount=60)).status == 200
    await agree(runtime, api.tenant, api.partner_id)
    assert (await api.issue("+12025550101", 60)).status == 200
    assert await used(runtime, api.tenant, api.partner_id) == [(REWARDS, 60, 0)]
    [shown] = await usage(api)
    assert (shown["included"], shown["used"]) == (100, 60)
    await agree(runtime, api.tenant, api.partner_id, line(included=100))
    refused(await api.issue("+12025550102", 41), 409, "QuotaExceeded")
    assert (await api.issue("+12025550103", 40)).status == 200


async def test_the_next_period_begins_with_nothing_used(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(included=100), line(included=60, period="week"))
    assert (await api.issue(amount=60)).status == 200
    refused(await api.issue("+12025550101", 1), 409, "QuotaExceeded")
    await advance_to(api, "2026-03-09T03:59:59.999Z")  # Sunday night in New York; its clocks went forward that day
    refused(await api.issue("+12025550101", 1), 409, "QuotaExceeded")
    await advance_to(api, "2026-03-09T04:00:00.000Z")
    assert (await api.issue("+12025550101", 40)).status == 200
    refused(await api.issue("+12025550102", 1), 409, "QuotaExceeded")
    await advance_to(api, "2026-04-01T03:59:59.999Z")
    refused(await api.issue("+12025550102", 1), 409, "QuotaExceeded")
    await advance_to(api, "2026-04-01T04:00:00.000Z")
    assert (await api.issue("+12025550102", 60)).status == 200


async def test_what_is_agreed_never_reaches_into_the_past(runtime: Runtime, api: Api) -> None:
    async with runtime.work(api.tenant) as work:
        past = NewTerms(api.partner_id, (line(),), work.now - timedelta(milliseconds=1))
        outcome = await terms.agree(work, past)
    assert isinstance(outcome, Refusal)
    assert outcome.source is not None and outcome.source.name == "/data/attributes/effectiveFrom"
    async with runtime.reading(api.tenant) as work:
        assert await terms.history(work, api.partner_id) == []


async def test_of_operators_who_saw_the_same_version_one_succeeds(runtime: Runtime, api: Api) -> None:
    async def change(included: int) -> object:
        async with runtime.work(api.tenant) as work:
            return await terms.agree(work, NewTerms(api.partner_id, (line(included=included),), None, 0))

    outcomes = await asyncio.gather(*(change(n) for n in range(6)))
    assert sorted(getattr(each, "code", "agreed") for each in outcomes) == ["InvalidState"] * 5 + ["agreed"]
    async with runtime.reading(api.tenant) as work:
        assert [each.version for each in await terms.history(work, api.partner_id)] == [1]


async def test_terms_change_while_others_are_near_the_limit(runtimes: tuple[Runtime, Runtime], api: Api) -> None:
    await agree(runtimes[0], api.tenant, api.partner_id, line(CARDS, 20))
    taking = asyncio.create_task(rivals(runtimes, api.tenant, [[Take(api.partner_id, 1)]] * 40))
    for included in (25, 30):
        await agree(runtimes[1], api.tenant, api.partner_id, line(CARDS, included))
    taken = len(given(await taking))
    assert 20 <= taken <= 30
    assert await used(runtimes[0], api.tenant, api.partner_id) == [(CARDS, taken, 40 - taken)]
    await rivals(runtimes, api.tenant, [[Take(api.partner_id, 1)]] * 40)
    assert (await used(runtimes[0], api.tenant, api.partner_id))[0][1] == 30


@pytest.mark.parametrize(
    ("wish", "places"),
    [
        (line(), []),
        (priced(), []),
        (priced(CARDS, price_currency="EUR", cap=None), []),
        (priced(price_currency=None, per=None, unit_price=0), []),
        (line(currency=None), ["currency"]),
        (line(CARDS, currency="USD"), ["currency"]),
        (line(currency="usd"), ["currency"]),
        (line(currency="XAU"), ["currency"]),
        (line(time_zone="Mars/Olympus"), ["timeZone"]),
        (line(cap=2_000), ["cap"]),
        (line(unit_price=1, per=1, price_currency="USD"), ["per", "priceCurrency", "unitPrice"]),
        (priced(beyond="notify"), ["per", "priceCurrency", "unitPrice"]),
        (priced(unit_price=None), ["unitPrice"]),
        (priced(cap=1_000), ["cap"]),
        (priced(CARDS, price_currency=None), ["priceCurrency"]),
        (priced(price_currency="EURO"), ["priceCurrency"]),
    ],
)
def test_a_line_that_makes_no_sense_is_told_where(wish: Any, places: list[str]) -> None:
    faults = faults_of([wish])
    assert sorted(each.source.name for each in faults if each.source) == [
        f"/data/attributes/lines/0/{p}" for p in places
    ]


def test_two_lines_of_the_same_thing_are_one_too_many() -> None:
    assert faults_of([line(), line(period="day"), line(currency="EUR"), line(CARDS)]) == []
    [fault] = faults_of([line(CARDS), line(), line(included=5, time_zone="UTC")])
    assert fault.source is not None and fault.source.name == "/data/attributes/lines/2/metric"
    assert len(faults_of([line(currency=None, time_zone="x")] * 60)) > 50


async def test_a_production_clock_is_the_real_one(runtime: Runtime, clock: Clock, production: Any) -> None:
    partner_id = ids.new()
    clock.move(timedelta(days=1))
    made = await agree(runtime, production, partner_id, line())
    assert made.effective_from == clock()
