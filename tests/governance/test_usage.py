"""What a partner reads of its quotas: used, left, charged and foreseen, now and in periods that are over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.money import MINOR_MAX, Money
from tallystick.base.work import Runtime
from tallystick.governance import model
from tallystick.governance.model import NO_BOUND, Line, Usage
from tests.api import Api, join
from tests.conftest import Clock
from tests.governance.cast import CARDS, NEW_YORK, REWARDS, Take, advance_to, agree, line, priced, rivals, usage
from tests.rewards.cast import refused


def kept(**more: Any) -> Line:
    return Line(ids.new(), ids.new(), **{
        "metric": REWARDS, "currency": "USD", "period": "month", "time_zone": NEW_YORK, "included": 1_000, "beyond": "allow",
        "cap": None, "unit_price": 3, "per": 100, "price_currency": "USD", **more,
    })  # fmt: skip


async def test_a_quota_is_shown_before_anything_is_used(runtime: Runtime, api: Api) -> None:
    assert await usage(api) == []
    await agree(runtime, api.tenant, api.partner_id, line(), priced(CARDS, 10, cap=20, unit_price=50, per=1))
    cards, rewards = await usage(api)
    assert cards["metric"] == "giftCards.count"
    assert rewards == {
        "partnerId": str(api.partner_id),
        "programmeId": str(api.tenant.programme_id),
        "environment": "sandbox",
        "metric": "rewards.value",
        "currency": "USD",
        "period": "month",
        "timeZone": "America/New_York",
        "periodStart": "2026-03-01T05:00:00.000Z",
        "periodEnd": "2026-04-01T04:00:00.000Z",
        "included": 1_000,
        "beyond": "block",
        "cap": None,
        "used": 0,
        "remaining": 1_000,
        "overage": 0,
        "overageCharge": 0,
        "priceCurrency": None,
        "refused": 0,
        "forecast": 0,
        "state": "within",
    }


async def test_usage_tells_what_is_left_what_it_costs_and_where_it_leads(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await agree(runtime, api.tenant, api.partner_id, priced(included=1_000, cap=2_000))
    assert (await api.issue(amount=700)).status == 200
    [shown] = await usage(api)
    assert (shown["used"], shown["remaining"], shown["overage"], shown["state"]) == (700, 300, 0, "within")
    # 28 hours of the 743 that March has in New York, where the clocks go forward: 700 * 743 / 28.
    assert shown["forecast"] == 18_575
    assert (await api.issue("+12025550101", 351)).status == 200
    refused(await api.issue("+12025550102", 950), 409, "QuotaExceeded")
    [shown] = await usage(api)
    assert (shown["used"], shown["remaining"], shown["overage"], shown["refused"]) == (1_051, 0, 51, 950)
    assert (shown["overageCharge"], shown["priceCurrency"], shown["state"]) == (2, "USD", "exceeded")


async def test_one_period_is_found_by_its_id_used_or_not(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(), line(CARDS, period="day"))
    ids_before = [each["id"] for each in (await api.get("usage")).data]
    await api.issue(amount=700)
    listed = (await api.get("usage")).data
    assert [each["id"] for each in listed] == ids_before
    for each in listed:
        assert (await api.get(f"usage/{each['id']}")).data == each
    assert (await api.get(f"usage/{ids.new()}")).codes == ["NotFound"]
    assert (await api.get("usage/overage")).codes == ["NotFound"]


async def test_nobody_reads_the_usage_of_another(
    runtime: Runtime, api: Api, session: aiohttp.ClientSession, base_url: str
) -> None:
    await agree(runtime, api.tenant, api.partner_id, line())
    await api.issue(amount=700)
    own = (await api.get("usage")).data[0]["id"]
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    assert await usage(overseer) == []
    missing, foreign = await overseer.get(f"usage/{ids.new()}"), await overseer.get(f"usage/{own}")
    assert (foreign.status, foreign.codes) == (missing.status, missing.codes) == (404, ["NotFound"])
    assert (await overseer.get("usage/overage-lines")).data == []


async def test_periods_that_are_over_are_told_last_first_by_the_terms_at_their_end(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, priced(included=100), line(CARDS, 5, period="day"))
    await api.issue(amount=150)
    await rivals([runtime], api.tenant, [[Take(api.partner_id, 2)]])
    await advance_to(api, "2026-03-31T00:00:00.000Z")
    # Agreed within the month: it bounds all of it. What is agreed after its end does not.
    await agree(runtime, api.tenant, api.partner_id, priced(included=120, unit_price=10))
    await advance_to(api, "2026-04-02T00:00:00.000Z")
    await agree(runtime, api.tenant, api.partner_id, priced(included=1))
    await api.issue("+12025550101", 20)
    await advance_to(api, "2026-05-15T00:00:00.000Z")
    told = await usage(api, "?filter[period]=previous")
    assert [(each["metric"], each["periodStart"][:7], each["used"], each["overage"]) for each in told] == [
        (REWARDS, "2026-04", 20, 19),
        (REWARDS, "2026-03", 150, 30),
        (CARDS, "2026-03", 2, 0),
    ]
    assert [each["forecast"] for each in told] == [20, 150, 2]
    assert [each["used"] for each in await usage(api)] == [0]
    only = await usage(api, "?filter[period]=previous&filter[metric]=rewards.value&page[offset]=1&page[limit]=1")
    assert [each["periodStart"][:7] for each in only] == ["2026-03"]
    lines = (await api.get("usage/overage-lines")).data
    assert [(each["attributes"]["overage"], each["attributes"]["charge"]) for each in lines] == [(30, 3), (19, 1)]
    assert lines[0]["attributes"] == {
        "metric": REWARDS,
        "currency": "USD",
        "period": "month",
        "periodStart": "2026-03-01T05:00:00.000Z",
        "periodEnd": "2026-04-01T04:00:00.000Z",
        "included": 120,
        "used": 150,
        "overage": 30,
        "unitPrice": 10,
        "per": 100,
        "charge": 3,
        "priceCurrency": "USD",
    }
    since = "usage/overage-lines?filter[periodStart]=2026-04-01T04:00:00.000Z"
    assert [each["attributes"]["overage"] for each in (await api.get(since)).data] == [19]
    until = "usage/overage-lines?filter[periodEnd]=2026-04-01T04:00:00.000Z"
    assert [each["attributes"]["overage"] for each in (await api.get(until)).data] == [30]


async def test_a_running_period_is_on_no_invoice(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, priced(included=100))
    await api.issue(amount=150)
    await advance_to(api, "2026-04-01T03:59:59.999Z")
    assert (await api.get("usage/overage-lines")).data == []
    await advance_to(api, "2026-04-01T04:00:00.000Z")
    assert len((await api.get("usage/overage-lines")).data) == 1


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("usage?filter[period]=next", "filter[period]"),
        ("usage?filter[metric]=rewards", "filter[metric]"),
        ("usage?page[limit]=0", "page[limit]"),
        ("usage?filter[partnerId]=x", "filter[partnerId]"),
        ("usage/overage-lines?filter[periodStart]=yesterday", "filter[periodStart]"),
        ("usage/overage-lines?filter[periodEnd]=2026-13-01T00:00:00Z", "filter[periodEnd]"),
    ],
)
async def test_a_wrong_question_is_told_where(api: Api, query: str, place: str) -> None:
    refused(await api.get(query), 400, "InvalidRequest", place)


@pytest.mark.parametrize(
    ("used", "price", "per", "charged"),
    [
        (1_000, 3, 100, 0), (1_016, 3, 100, 0), (1_017, 3, 100, 1), (1_050, 1, 100, 1), (1_049, 1, 100, 0), (1_150, 1, 100, 2),
        (1_001, 7, 1, 7), (500, 7, 1, 0), (1_100, 0, 1, 0), (NO_BOUND, 2**31 - 1, 1, MINOR_MAX), (1_003, 1, 2, 2),
    ],
)  # fmt: skip
def test_overage_is_charged_in_proportion_rounded_once_half_a_unit_up(
    used: int, price: int, per: int, charged: int
) -> None:
    assert model.charge(kept(unit_price=price, per=per), used) == Money(charged, "USD")


def test_what_has_no_price_is_not_charged() -> None:
    assert model.charge(kept(beyond="notify", unit_price=None, per=None, price_currency=None), 5_000) is None


@pytest.mark.parametrize(
    ("used", "elapsed", "whole", "foreseen"),
    [(10, 1, 10, 100), (10, 0, 10, 10), (10, 10, 10, 10), (10, 11, 10, 10), (1, 2, 3, 2), (0, 1, 9, 0),
     (NO_BOUND, 1, 10**6, MINOR_MAX)],
)  # fmt: skip
def test_a_forecast_goes_on_as_it_went(used: int, elapsed: int, whole: int, foreseen: int) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    end = start + timedelta(days=whole)
    shown = Usage(ids.new(), ids.new(), ids.new(), REWARDS, "USD", "month", "UTC", start, end, used, 0)
    assert model.forecast(shown, start + timedelta(days=elapsed)) == foreseen


@pytest.mark.parametrize(
    ("included", "used", "refused_", "state"),
    [(10, 0, 0, "within"), (10, 7, 0, "within"), (10, 8, 0, "warning"), (10, 10, 0, "full"), (10, 11, 0, "exceeded"),
     (10, 3, 9, "exceeded"), (0, 0, 0, "full"), (0, 1, 0, "exceeded"), (7, 5, 0, "within"), (7, 6, 0, "warning")],
)  # fmt: skip
def test_how_far_a_period_is_in_a_word(included: int, used: int, refused_: int, state: str) -> None:
    assert model.state(kept(included=included), used, refused_) == state
