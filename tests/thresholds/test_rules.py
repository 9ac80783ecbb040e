"""Rules are written as drafts, read and listed; what is wrong with one is told at once, each fault where it is."""

from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick import thresholds
from tallystick.base.work import Runtime
from tests.api import Api, join, luna
from tests.rewards.cast import another_client, configure, header, refused
from tests.thresholds.cast import change, done, draft, rule, shown, step, turn, versions, write

NOBODY = "0199d3c0-0000-7000-8000-000000000000"
MOST = 2**53 - 1

FULL: dict[str, Any] = {
    "metric": "spend",
    "beforeTax": True,
    "filters": {
        "kinds": ["transaction", "order"],
        "locations": None,
        "groups": ["city", "airport"],
        "channels": ["app"],
        "categories": ["coffee"],
        "methods": None,
        "excludedMethods": ["GiftCard", "Wallet"],
        "minimum": 300,
        "weekdays": [1, 5, 7],
        "hours": {"from": "07:30", "until": "24:00"},
    },
    "steps": [
        {"target": 1, "reward": {"type": "walletCredit", "amount": 1, "message": None, "reasonCode": None}},
        {
            "target": MOST,
            "reward": {"type": "giftCard", "amount": 2_147_483_647, "message": "Thanks!\nEnjoy.", "reasonCode": "VIP"},
        },
    ],
    "window": {"kind": "calendar", "from": None, "until": None, "period": "quarter", "days": None},
    "repeat": "repeating",
    "caps": {"customerCount": 3, "customerAmount": MOST, "customerDayCount": 1},
    "budgets": [
        {"scope": "rule", "amount": MOST, "period": None, "locationId": None},
        {"scope": "rule", "amount": 1, "period": "day", "locationId": None},
        {"scope": "location", "amount": 1, "period": "day", "locationId": None},
    ],
    "refundPolicy": "unspent_only",
}


async def test_a_rule_is_shown_as_it_was_written(api: Api) -> None:
    added = await write(api, name="Everything", **FULL)
    assert added.status == 201, added.text
    assert header(added, "location") == f"/api/v1/thresholds/{added.data['id']}"
    assert added.attributes.items() >= FULL.items()
    assert {name: added.attributes[name] for name in ("name", "merchantId", "status", "currency", "timeZone")} == {
        "name": "Everything",
        "merchantId": str(api.merchant_id),
        "status": "draft",
        "currency": "USD",
        "timeZone": "America/New_York",
    }
    numbers = ("version", "liveVersion", "latestVersion", "scheduledVersion", "scheduledAt", "draft")
    assert [added.attributes[name] for name in numbers] == [1, None, 1, None, None, None]
    assert (await api.get(f"thresholds/{added.data['id']}")).text == added.text


async def test_what_is_left_out_is_as_usual(api: Api) -> None:
    attributes = await shown(api, await draft(api))
    assert {name: value for name, value in attributes["filters"].items() if value is not None} == {
        "kinds": ["transaction"]
    }
    assert (attributes["window"]["kind"], attributes["repeat"], attributes["refundPolicy"]) == ("ever", "once", "full")
    assert (attributes["beforeTax"], attributes["budgets"]) == (False, [])
    assert set(attributes["caps"].values()) == {None}


@pytest.mark.parametrize(
    ("metric", "kinds"),
    [
        ("spend", ["transaction"]),
        ("items", ["transaction"]),
        ("visits", ["visit"]),
        ("orders", ["order"]),
        ("distinctDays", ["transaction", "visit", "order"]),
        ("distinctLocations", ["transaction", "visit", "order"]),
    ],
)
async def test_each_metric_counts_its_own_kinds_unless_told(api: Api, metric: str, kinds: list[str]) -> None:
    assert (await shown(api, await draft(api, metric=metric)))["filters"]["kinds"] == kinds
    asked = await shown(api, await draft(api, metric=metric, filters={"kinds": ["order"], "minimum": 1}))
    assert asked["filters"]["kinds"] == ["order"]


@pytest.mark.parametrize(
    ("window", "repeat"),
    [
        ({"kind": "ever"}, "once"),
        ({"kind": "dates", "from": "2026-01-01T00:00:00Z"}, "once"),
        ({"kind": "dates", "until": "2026-01-01T00:00:00+02:00"}, "once"),
        ({"kind": "calendar", "period": "week"}, "perPeriod"),
        ({"kind": "rolling", "days": 366}, "once"),
    ],
)
async def test_each_window_has_its_usual_repetition(api: Api, window: dict[str, Any], repeat: str) -> None:
    assert (await shown(api, await draft(api, window=window)))["repeat"] == repeat


def faulty(attributes: dict[str, Any], *places: str) -> Any:
    return pytest.param(attributes, places, id=f"{places[0]} {str(attributes)[:50]}")


@pytest.mark.parametrize(
    ("attributes", "places"),
    [
        faulty({"name": ""}, "name"),
        faulty({"name": " "}, "name"),
        faulty({"name": "two\nlines"}, "name"),
        faulty({"name": "x" * 101}, "name"),
        faulty({"metric": "money"}, "metric"),
        faulty({"merchantId": NOBODY}, "merchantId"),
        faulty({"merchantId": "x"}, "merchantId"),
        faulty({"currency": "EUR"}, "currency"),
        faulty({"steps": []}, "steps"),
        faulty({"steps": [step(number) for number in range(1, 22)]}, "steps"),
        faulty({"steps": [step(0)]}, "steps/0/target"),
        faulty({"steps": [step(MOST + 1)]}, "steps/0/target"),
        faulty({"steps": [step(1.0)]}, "steps/0/target"),  # type: ignore[arg-type]
        faulty({"steps": [step(5, 0)]}, "steps/0/reward/amount"),
        faulty({"steps": [step(5, 2_147_483_648)]}, "steps/0/reward/amount"),
        faulty({"steps": [step(5, type="cash")]}, "steps/0/reward/type"),
        faulty({"steps": [step(5, message="x" * 501)]}, "steps/0/reward/message"),
        faulty({"steps": [step(5, reasonCode="a\nb")]}, "steps/0/reward/reasonCode"),
        faulty({"steps": [step(5), step(5), step(4)]}, "steps/1/target", "steps/2/target"),
        faulty({"filters": {"kinds": []}}, "filters/kinds"),
        faulty({"filters": {"kinds": ["refund"]}}, "filters/kinds/0"),
        faulty({"filters": {"kinds": ["order", "order"]}}, "filters/kinds"),
        faulty({"filters": {"kinds": ["visit"]}}, "filters/kinds"),
        faulty({"metric": "items", "filters": {"kinds": ["visit", "order"]}}, "filters/kinds"),
        faulty({"filters": {"groups": []}}, "filters/groups"),
        faulty({"filters": {"channels": ["x"] * 101}}, "filters/channels"),
        faulty({"filters": {"categories": ["x" * 101]}}, "filters/categories/0"),
        faulty({"filters": {"categories": ["tea", " ", "a\tb"]}}, "filters/categories/1", "filters/categories/2"),
        faulty({"filters": {"methods": ["Shells"]}}, "filters/methods/0"),
        faulty({"filters": {"methods": ["Cash"], "excludedMethods": ["Wallet"]}}, "filters/excludedMethods"),
        faulty({"filters": {"minimum": 0}}, "filters/minimum"),
        faulty({"filters": {"weekdays": [0]}}, "filters/weekdays/0"),
        faulty({"filters": {"weekdays": [7, 8]}}, "filters/weekdays/1"),
        faulty({"filters": {"weekdays": [7, 7]}}, "filters/weekdays"),
        faulty({"filters": {"hours": {"from": "07:00"}}}, "filters/hours"),
        faulty({"filters": {"hours": {"from": "24:00", "until": "24:00"}}}, "filters/hours"),
        faulty({"filters": {"hours": {"from": "22:00", "until": "02:00"}}}, "filters/hours"),
        faulty({"filters": {"hours": {"from": "7:00", "until": "24:01"}}}, "filters/hours/from", "filters/hours/until"),
        faulty({"filters": {"colour": "red"}}, "filters/colour"),
        faulty({"window": {"kind": "moon"}}, "window/kind"),
        faulty({"window": {"kind": "ever", "period": "day"}}, "window/period"),
        faulty({"window": {"kind": "dates"}}, "window"),
        faulty({"window": {"kind": "dates", "from": "2026-01-01"}}, "window/from"),
        faulty(
            {"window": {"kind": "dates", "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}},
            "window/until",
        ),
        faulty({"window": {"kind": "calendar"}}, "window"),
        faulty({"window": {"kind": "calendar", "days": 7}}, "window/days", "window"),
        faulty({"window": {"kind": "rolling", "days": 367}}, "window/days"),
        faulty({"window": {"kind": "rolling"}}, "window"),
        faulty({"window": {"kind": "rolling", "days": 7}, "repeat": "repeating"}, "repeat"),
        faulty({"window": {"kind": "rolling", "days": 7}, "metric": "distinctLocations"}, "metric"),
        faulty({"repeat": "perPeriod"}, "repeat"),
        faulty({"window": {"kind": "calendar", "period": "day"}, "repeat": "once"}, "repeat"),
        faulty({"caps": {"customerCount": 0}}, "caps/customerCount"),
        faulty({"caps": {"total": 1}}, "caps/total"),
        faulty({"budgets": [{"scope": "rule", "amount": 0}]}, "budgets/0/amount"),
        faulty({"budgets": [{"scope": "world", "amount": 1}]}, "budgets/0/scope"),
        faulty({"budgets": [{"scope": "rule", "amount": 1, "locationId": NOBODY}]}, "budgets/0/locationId"),
        faulty({"budgets": [{"scope": "rule", "amount": 1}, {"scope": "rule", "amount": 2}]}, "budgets/1"),
        faulty({"budgets": [{"scope": "merchant", "amount": 1}] * 21}, "budgets"),
        faulty({"refundPolicy": "half"}, "refundPolicy"),
        faulty(
            {"name": "\u200b", "steps": [step(2), step(1)], "repeat": "perPeriod", "window": {"kind": "rolling"}},
            *("name", "window", "repeat", "steps/1/target"),
        ),
    ],
)
async def test_what_is_wrong_with_a_rule_is_told_where_it_is(
    api: Api, attributes: dict[str, Any], places: tuple[str, ...]
) -> None:
    answer = await write(api, **attributes)
    assert answer.status == 400, answer.text
    assert set(answer.pointers) == {f"/data/attributes/{place}" for place in places}, answer.text
    assert (await api.get("thresholds")).body["meta"]["total"] == 0


@pytest.mark.parametrize("name", ["metric", "steps", "name"])
async def test_a_rule_has_a_name_a_metric_and_steps(api: Api, name: str) -> None:
    wanted = {"name": "Club", "metric": "spend", "steps": [step(5)]}
    del wanted[name]
    refused(
        await api.post("thresholds", {"data": {"type": "Threshold", "attributes": wanted}}),
        *(400, "InvalidRequest", "/data/attributes"),
    )


async def test_a_key_makes_one_rule(api: Api) -> None:
    first, again = await write(api, key="k"), await write(api, key="k")
    assert (first.text, header(again, "idempotent-replayed")) == (again.text, "true")
    refused(await write(api, key="k", name="Other"), 409, "IdempotencyConflict")
    assert (await api.get("thresholds")).body["meta"]["total"] == 1


async def test_rules_are_listed_newest_first_by_merchant_and_status(api: Api, runtime: Runtime) -> None:
    other = await luna(runtime, api.tenant, "Other")
    one = await draft(api, merchantId=str(api.merchant_id))
    two = await rule(api, merchantId=str(other.id))

    async def found(query: str) -> list[str]:
        return [each["id"] for each in (await api.get(f"thresholds?{query}")).data]

    assert set(await found("")) == {one, two}
    assert await found(f"filter[merchantId]={other.id}") == [two]
    assert await found("filter[status]=draft") == [one]
    assert await found("filter[status]=active") == [two]
    assert await found(f"filter[status]=active&filter[merchantId]={api.merchant_id}") == []
    refused(
        await api.get("thresholds?filter[status]=old&filter[merchantId]=x"),
        *(400, "InvalidRequest", "filter[status]", "filter[merchantId]"),
    )


async def test_a_rule_belongs_to_the_partner_that_wrote_it(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    threshold_id = await rule(api)
    stranger = await join(runtime, session, base_url, tenant=api.tenant)
    seer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    elsewhere = await another_client(runtime, api, merchant_ids=(UUID(NOBODY),))
    for blind in (stranger, elsewhere):
        for path in (f"thresholds/{threshold_id}", f"thresholds/{threshold_id}/versions", "thresholds/x"):
            refused(await blind.get(path), 404, "NotFound")
        assert (await blind.get("thresholds")).data == []
    assert [each["id"] for each in (await seer.get("thresholds")).data] == [threshold_id]
    assert (await seer.get(f"thresholds/{threshold_id}/versions")).status == 200
    for other in (stranger, seer, elsewhere):
        refused(await change(other, threshold_id, name="Mine"), 404, "NotFound")
        for verb in ("publish", "pause", "resume", "complete"):
            refused(await turn(other, threshold_id, verb), 404, "NotFound")
    assert (await shown(api, threshold_id))["status"] == "active"


async def test_reading_needs_one_scope_and_writing_another(api: Api, runtime: Runtime) -> None:
    threshold_id = await rule(api)
    reader = await another_client(runtime, api, scopes=frozenset({"thresholds:read"}))
    writer = await another_client(runtime, api, scopes=frozenset({"thresholds:write"}))
    assert (await shown(reader, threshold_id))["status"] == "active"
    refused(await write(reader), 403, "InsufficientScope")
    refused(await turn(reader, threshold_id, "pause"), 403, "InsufficientScope")
    refused(await writer.get(f"thresholds/{threshold_id}"), 403, "InsufficientScope")
    await done(writer, threshold_id, "pause")


async def test_a_closed_merchant_gets_no_rules_and_none_is_published_there(api: Api, runtime: Runtime) -> None:
    threshold_id = await draft(api)
    await configure(runtime, api, status="closed")
    named = str(api.merchant_id)
    refused(await write(api, merchantId=named), 400, "InvalidRequest", "/data/attributes/merchantId")
    refused(await turn(api, threshold_id, "publish"), 409, "InvalidState")


async def test_other_rooms_read_the_version_in_force_and_any_version(api: Api, runtime: Runtime) -> None:
    waiting = UUID(await draft(api))
    active = UUID(await rule(api, name="Everything", **FULL))
    async with runtime.reading(api.tenant) as work:
        live = await thresholds.live(work, [waiting, active, UUID(NOBODY)])
        known = await thresholds.by_ids(work, [waiting, active, UUID(NOBODY)])
        found = await thresholds.versions(work, [(waiting, 1), (active, 1), (active, 2)])
    assert set(live) == {active}
    assert {each.id: each.status for each in known.values()} == {waiting: "draft", active: "active"}
    assert set(found) == {(waiting, 1), (active, 1)}
    version = live[active]
    assert found[active, 1] == version
    assert (version.targets, version.filters.minute_from, version.filters.minute_until) == ((1, MOST), 450, 1440)
    assert (version.rewards[1].reason_code, version.caps.customer_day_count, len(version.budgets)) == ("VIP", 1, 3)
    assert (await versions(api, str(active)))[0]["publishedAt"] is not None
