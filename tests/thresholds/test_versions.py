"""A version that was published stays as it was: a change is a draft, and the next version once it is published."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

import tallystick.thresholds.store as store
from tallystick import thresholds
from tallystick.base.clock import render
from tallystick.base.work import Runtime
from tests.api import Api
from tests.conftest import Clock
from tests.rewards.cast import advance, header, refused, story
from tests.thresholds.cast import change, counted, done, draft, publish, republish, rule, shown, step, turn, versions
from tests.world import T0

HOUR = timedelta(hours=1)


async def test_a_change_of_a_draft_rewrites_it(api: Api) -> None:
    threshold_id = await draft(api, filters={"channels": ["app"]}, caps={"customerCount": 1})
    changed = await change(api, threshold_id, steps=[step(7, 70)], filters={"groups": ["city"]}, caps=None)
    assert changed.status == 200, changed.text
    shown_now = changed.attributes
    assert (shown_now["version"], shown_now["draft"], shown_now["status"]) == (1, None, "draft")
    assert [each["target"] for each in shown_now["steps"]] == [7]
    assert (shown_now["filters"]["channels"], shown_now["filters"]["groups"]) == (None, ["city"])
    assert shown_now["caps"]["customerCount"] is None
    assert [each["version"] for each in await versions(api, threshold_id)] == [1]


async def test_a_change_of_a_published_rule_is_a_draft_beside_it(api: Api) -> None:
    threshold_id = await rule(api, steps=[step(5)])
    before = (await versions(api, threshold_id))[0]
    changed = (await change(api, threshold_id, steps=[step(9)], refundPolicy="none")).attributes
    assert (changed["version"], changed["liveVersion"], changed["latestVersion"], changed["status"]) == (
        *(1, 1, 2),
        "active",
    )
    assert (changed["steps"][0]["target"], changed["refundPolicy"]) == (5, "full")
    assert (changed["draft"]["version"], changed["draft"]["steps"][0]["target"]) == (2, 9)
    assert changed["draft"]["refundPolicy"] == "none"
    again = (await change(api, threshold_id, repeat="repeating")).attributes
    assert (again["latestVersion"], again["draft"]["steps"][0]["target"]) == (2, 9)
    assert again["draft"]["repeat"] == "repeating"
    assert [each["version"] for each in await versions(api, threshold_id)] == [2, 1]
    assert (await versions(api, threshold_id))[1] == before
    assert again == await shown(api, threshold_id)


async def test_the_name_is_the_rules_own_and_makes_no_version(api: Api) -> None:
    threshold_id = await rule(api)
    changed = (await change(api, threshold_id, name="Lunch club")).attributes
    assert (changed["name"], changed["latestVersion"], changed["draft"]) == ("Lunch club", 1, None)


async def test_another_metric_counts_its_own_kinds_unless_others_were_wanted(api: Api) -> None:
    usual, asked = await draft(api), await draft(api, filters={"kinds": ["order"]})
    assert (await change(api, usual, metric="visits")).attributes["filters"]["kinds"] == ["visit"]
    assert (await change(api, asked, metric="visits")).attributes["filters"]["kinds"] == ["order"]
    assert (await change(api, asked, filters=None)).attributes["filters"]["kinds"] == ["visit"]


async def test_what_a_change_makes_of_a_rule_is_checked_as_a_whole(api: Api) -> None:
    threshold_id = await rule(api, repeat="repeating")
    wrong = await change(api, threshold_id, window={"kind": "rolling", "days": 7}, metric="distinctLocations", name=" ")
    assert (wrong.status, set(wrong.pointers)) == (
        400,
        {f"/data/attributes/{name}" for name in ("name", "repeat", "metric", "window")},
    )
    refused(await change(api, threshold_id), 400, "InvalidRequest", "/data/attributes")
    refused(await change(api, threshold_id, metric=None), 400, "InvalidRequest", "/data/attributes/metric")
    refused(await change(api, threshold_id, merchantId=str(api.merchant_id)), 400, "InvalidRequest")
    refused(await change(api, "x", name="A"), 404, "NotFound")
    assert (await shown(api, threshold_id))["latestVersion"] == 1


async def test_a_new_version_counts_from_its_publication_and_the_past_keeps_the_old_one(api: Api, clock: Clock) -> None:
    threshold_id = await rule(api)
    clock.move(HOUR)
    assert await republish(api, threshold_id, steps=[step(9)]) == 2
    clock.move(HOUR)
    assert await republish(api, threshold_id, steps=[step(7)]) == 3
    assert await counted(api, threshold_id) == [
        (1, render(T0), render(T0 + HOUR)),
        (2, render(T0 + HOUR), render(T0 + 2 * HOUR)),
        (3, render(T0 + 2 * HOUR), None),
    ]
    assert [(each["version"], each["publishedAt"]) for each in await versions(api, threshold_id)] == [
        (3, render(T0 + 2 * HOUR)),
        (2, render(T0 + HOUR)),
        (1, render(T0)),
    ]
    assert [(topic, number) for topic, number, _ in await story(api, threshold_id)] == [
        ("threshold.published", 1),
        ("threshold.published", 2),
        ("threshold.published", 3),
    ]


async def test_versions_published_at_one_instant_leave_only_the_last_to_count(api: Api) -> None:
    threshold_id = await rule(api)
    await republish(api, threshold_id, steps=[step(9)])
    assert await counted(api, threshold_id) == [(2, render(T0), None)]


async def test_publishing_needs_something_new(api: Api) -> None:
    threshold_id = await rule(api)
    refused(await publish(api, threshold_id), 409, "InvalidState")
    refused(await publish(api, threshold_id, T0 + HOUR), 409, "InvalidState")
    await change(api, threshold_id, name="Only the name")
    refused(await publish(api, threshold_id), 409, "InvalidState")


async def test_a_published_version_is_never_written_again(api: Api, runtime: Runtime) -> None:
    name = (UUID(await rule(api)), 1)
    async with runtime.work(api.tenant, at=T0 + HOUR) as work:
        version = (await store.versions(work, [name]))[name]
        assert not await store.write_draft(work, replace(version, targets=(1,), published_at=None))
        await store.publish(work, *name)
    async with runtime.reading(api.tenant) as work:
        assert (await store.versions(work, [name]))[name] == version


async def test_a_key_changes_once(api: Api) -> None:
    threshold_id = await rule(api)
    first = await change(api, threshold_id, key="k", steps=[step(9)])
    published = await publish(api, threshold_id, key="k")
    again = await change(api, threshold_id, key="k", steps=[step(9)])
    assert (again.text, header(again, "idempotent-replayed")) == (first.text, "true")
    assert (await publish(api, threshold_id, key="k")).text == published.text
    refused(await change(api, threshold_id, key="k", steps=[step(8)]), 409, "IdempotencyConflict")
    refused(await publish(api, threshold_id, T0 + HOUR, key="k"), 409, "IdempotencyConflict")
    assert (await shown(api, threshold_id))["latestVersion"] == 2


async def test_versions_are_listed_in_pages(api: Api) -> None:
    threshold_id = await rule(api)
    for target in (6, 7, 8):
        await republish(api, threshold_id, steps=[step(target)])
    page = await api.get(f"thresholds/{threshold_id}/versions?page[offset]=1&page[limit]=2")
    assert [each["attributes"]["version"] for each in page.data] == [3, 2]
    assert {each["type"] for each in page.data} == {"ThresholdVersion"}
    assert page.body["meta"] == {"total": 4, "limit": 2, "offset": 1}
    ids = {each["id"] for each in (await api.get(f"thresholds/{threshold_id}/versions")).data}
    assert len(ids) == 4
    assert {UUID(each) for each in ids}


async def test_the_version_in_force_is_the_one_that_others_read(api: Api, runtime: Runtime) -> None:
    threshold_id = UUID(await rule(api))
    await change(api, str(threshold_id), steps=[step(9)])
    async with runtime.reading(api.tenant) as work:
        assert (await thresholds.live(work, [threshold_id]))[threshold_id].number == 1
    await done(api, str(threshold_id), "publish")
    async with runtime.reading(api.tenant) as work:
        assert (await thresholds.live(work, [threshold_id]))[threshold_id].targets == (9,)
    await advance(api, "PT1H")
    await turn(api, str(threshold_id), "pause")
    async with runtime.reading(api.tenant) as work:
        assert await thresholds.live(work, [threshold_id]) == {}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"metric": "items"}, "/data/attributes/metric"),
        ({"window": {"kind": "rolling", "days": 7}}, "/data/attributes/window"),
    ],
)
async def test_a_published_rule_counts_the_same_thing_for_ever(api: Api, changed: dict[str, Any], place: str) -> None:
    threshold_id = await draft(api)
    assert (await change(api, threshold_id, **changed)).status == 200, "a draft may change altogether"
    published = await rule(api)
    refused = await change(api, published, **changed)
    assert (refused.status, refused.pointers) == (400, [place])
