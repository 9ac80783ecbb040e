"""A rule's life: draft, scheduled, active, paused, completed. What happens counts by the version in force when it happened."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from tallystick import thresholds
from tallystick.base.clock import render
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api
from tests.conftest import Clock
from tests.rewards.cast import advance, feed, refused, story
from tests.thresholds.cast import change, counted, done, draft, publish, republish, rule, shown, step, turn, versions
from tests.world import T0

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def test_a_draft_counts_nothing_and_nobody_is_told_of_it(api: Api) -> None:
    threshold_id = await draft(api)
    await change(api, threshold_id, steps=[step(9)])
    assert (await counted(api, threshold_id), await story(api, threshold_id)) == ([], [])
    for verb in ("pause", "resume"):
        refused(await turn(api, threshold_id, verb), 409, "InvalidState")


async def test_a_paused_stretch_counts_nothing(api: Api, clock: Clock) -> None:
    threshold_id = await rule(api)
    clock.move(HOUR)
    paused = await done(api, threshold_id, "pause")
    assert (paused["status"], paused["liveVersion"]) == ("paused", 1)
    refused(await turn(api, threshold_id, "pause"), 409, "InvalidState")
    clock.move(HOUR)
    assert (await done(api, threshold_id, "resume"))["status"] == "active"
    refused(await turn(api, threshold_id, "resume"), 409, "InvalidState")
    assert await counted(api, threshold_id) == [(1, render(T0), render(T0 + HOUR)), (1, render(T0 + 2 * HOUR), None)]
    assert await story(api, threshold_id) == [
        ("threshold.published", 1, render(T0)),
        ("threshold.paused", 2, render(T0 + HOUR)),
        ("threshold.resumed", 3, render(T0 + 2 * HOUR)),
    ]


async def test_pausing_and_resuming_at_one_instant_leaves_one_stretch(api: Api) -> None:
    threshold_id = await rule(api)
    for verb in ("pause", "resume", "pause", "resume"):
        await done(api, threshold_id, verb)
    assert await counted(api, threshold_id) == [(1, render(T0), None)]


async def test_resuming_a_rule_with_a_newer_draft_brings_back_what_was_in_force(api: Api, clock: Clock) -> None:
    threshold_id = await rule(api)
    clock.move(HOUR)
    await done(api, threshold_id, "pause")
    await change(api, threshold_id, steps=[step(9)])
    resumed = await done(api, threshold_id, "resume")
    assert (resumed["version"], resumed["draft"]["version"]) == (1, 2)


async def test_publishing_a_paused_rule_brings_it_into_force(api: Api, clock: Clock) -> None:
    threshold_id = await rule(api)
    clock.move(HOUR)
    await done(api, threshold_id, "pause")
    clock.move(HOUR)
    assert await republish(api, threshold_id, steps=[step(9)]) == 2
    assert (await shown(api, threshold_id))["status"] == "active"
    assert await counted(api, threshold_id) == [(1, render(T0), render(T0 + HOUR)), (2, render(T0 + 2 * HOUR), None)]


@pytest.mark.parametrize("before", ["draft", "scheduled", "active", "paused"])
async def test_a_completed_rule_ends_for_good(api: Api, clock: Clock, before: str) -> None:
    threshold_id = await draft(api)
    if before == "scheduled":
        await publish(api, threshold_id, T0 + DAY)
    elif before != "draft":
        await done(api, threshold_id, "publish")
    if before == "paused":
        await done(api, threshold_id, "pause")
    clock.move(HOUR)
    assert (await shown(api, threshold_id))["status"] == before
    completed = await done(api, threshold_id, "complete")
    assert (completed["status"], completed["scheduledAt"]) == ("completed", None)
    for verb in ("publish", "pause", "resume", "complete"):
        refused(await turn(api, threshold_id, verb), 409, "InvalidState")
    refused(await change(api, threshold_id, name="Other"), 409, "InvalidState")
    clock.move(2 * DAY)
    assert (await shown(api, threshold_id))["status"] == "completed"
    assert await counted(api, threshold_id) == ([(1, render(T0), render(T0 + HOUR))] if before == "active" else [])
    topic, number, _ = (await story(api, threshold_id))[-1]
    assert topic == "threshold.completed"
    assert number == {"draft": 1, "scheduled": 2, "active": 2, "paused": 3}[before]


async def test_a_scheduled_rule_comes_into_force_at_its_own_instant(api: Api) -> None:
    threshold_id = await draft(api)
    scheduled = await publish(api, threshold_id, T0 + DAY)
    assert scheduled.status == 200, scheduled.text
    told = scheduled.attributes
    assert (told["status"], told["version"], told["liveVersion"], told["scheduledVersion"]) == ("scheduled", 1, None, 1)
    assert told["scheduledAt"] == render(T0 + DAY)
    assert await counted(api, threshold_id) == [(1, render(T0 + DAY), None)]
    await advance(api, "P3D")
    now = await shown(api, threshold_id)
    assert (now["status"], now["liveVersion"], now["scheduledAt"]) == ("active", 1, None)
    assert await story(api, threshold_id) == [
        ("threshold.scheduled", 1, render(T0)),
        ("threshold.published", 2, render(T0 + DAY)),
    ]


async def test_the_next_version_waits_while_the_old_one_goes_on(api: Api, runtime: Runtime) -> None:
    threshold_id = await rule(api)
    await change(api, threshold_id, steps=[step(9)])
    waiting = (await publish(api, threshold_id, T0 + DAY)).attributes
    assert (waiting["status"], waiting["version"], waiting["scheduledVersion"]) == ("active", 1, 2)
    assert waiting["draft"] is None
    await advance(api, "PT23H")
    async with runtime.reading(api.tenant) as work:
        assert (await thresholds.live(work, [UUID(threshold_id)]))[UUID(threshold_id)].number == 1
    await advance(api, "PT1H")
    async with runtime.reading(api.tenant) as work:
        assert (await thresholds.live(work, [UUID(threshold_id)]))[UUID(threshold_id)].number == 2
    now = await shown(api, threshold_id)
    assert (now["version"], now["liveVersion"], now["steps"][0]["target"]) == (2, 2, 9)
    assert await counted(api, threshold_id) == [(1, render(T0), render(T0 + DAY)), (2, render(T0 + DAY), None)]


async def test_a_rule_is_in_force_at_its_instant_even_before_its_row_is_turned(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    threshold_id = await draft(api)
    await publish(api, threshold_id, T0 + HOUR)
    clock.move(2 * HOUR)
    now = await shown(api, threshold_id)
    assert (now["status"], now["liveVersion"], now["scheduledAt"]) == ("active", 1, None)
    assert [each["id"] for each in (await api.get("thresholds?filter[status]=active")).data] == [threshold_id]
    assert (await api.get("thresholds?filter[status]=scheduled")).data == []
    async with runtime.reading(api.tenant) as work:
        assert UUID(threshold_id) in await thresholds.live(work, [UUID(threshold_id)])
    assert (await done(api, threshold_id, "pause"))["status"] == "paused"
    assert await counted(api, threshold_id) == [(1, render(T0 + HOUR), render(T0 + 2 * HOUR))]
    assert [topic for topic, _, _ in await story(api, threshold_id)] == [
        "threshold.scheduled",
        "threshold.published",
        "threshold.paused",
    ]
    assert not await thresholds.turn_at(runtime, api.tenant, T0 + 2 * HOUR)


async def test_the_loop_turns_what_is_due_in_its_order_and_then_rests(api: Api, runtime: Runtime, clock: Clock) -> None:
    later, sooner = await draft(api), await draft(api)
    await publish(api, later, T0 + 2 * HOUR)
    await publish(api, sooner, T0 + HOUR)
    async with runtime.reading(api.tenant) as work:
        assert await thresholds.next_due(work) == T0 + HOUR
    clock.move(DAY)
    while await thresholds.run_due(runtime):
        pass
    async with runtime.reading(api.tenant) as work:
        assert await thresholds.next_due(work) is None
    told = [
        (each["subjectId"], each["timestamp"]) for each in await feed(api) if each["topic"] == "threshold.published"
    ]
    assert told == [(sooner, render(T0 + HOUR)), (later, render(T0 + 2 * HOUR))]


async def test_another_instant_replaces_the_one_that_was_scheduled(api: Api, clock: Clock) -> None:
    threshold_id = await rule(api)
    await change(api, threshold_id, steps=[step(9)])
    for hours in (5, 3, 4, 3, 5):
        assert (await publish(api, threshold_id, T0 + hours * HOUR)).attributes["scheduledVersion"] == 2
    assert await counted(api, threshold_id) == [
        (1, render(T0), render(T0 + 5 * HOUR)),
        (2, render(T0 + 5 * HOUR), None),
    ]
    await change(api, threshold_id, steps=[step(7)])
    replaced = (await publish(api, threshold_id, T0 + 4 * HOUR)).attributes
    assert (replaced["scheduledVersion"], replaced["latestVersion"]) == (3, 3)
    clock.move(HOUR)
    assert (await done(api, threshold_id, "publish"))["version"] == 3
    assert await counted(api, threshold_id) == [(1, render(T0), render(T0 + HOUR)), (3, render(T0 + HOUR), None)]


async def test_a_change_beside_a_scheduled_version_leaves_that_as_it_is(api: Api) -> None:
    threshold_id = await draft(api)
    await publish(api, threshold_id, T0 + DAY)
    changed = (await change(api, threshold_id, steps=[step(9)])).attributes
    assert (changed["status"], changed["version"], changed["scheduledVersion"]) == ("scheduled", 1, 1)
    assert changed["draft"]["version"] == 2
    await advance(api, "P1D")
    now = await shown(api, threshold_id)
    assert (now["liveVersion"], now["steps"][0]["target"], now["draft"]["version"]) == (1, 5000, 2)


async def test_a_pause_calls_off_what_waits(api: Api, clock: Clock) -> None:
    first = await draft(api)
    await publish(api, first, T0 + DAY)
    off = await done(api, first, "pause")
    assert (off["status"], off["scheduledAt"], off["scheduledVersion"]) == ("paused", None, None)
    refused(await turn(api, first, "resume"), 409, "InvalidState")
    second = await rule(api)
    await change(api, second, steps=[step(9)])
    await publish(api, second, T0 + DAY)
    clock.move(HOUR)
    await done(api, second, "pause")
    clock.move(2 * DAY)
    assert (await shown(api, second))["status"] == "paused"
    assert (await counted(api, first), await counted(api, second)) == ([], [(1, render(T0), render(T0 + HOUR))])
    assert [each["publishedAt"] for each in await versions(api, first)] == [render(T0)]
    assert (await done(api, first, "publish"))["status"] == "active"


async def test_a_paused_rule_can_wait_for_its_next_version_and_be_resumed_until_then(api: Api, clock: Clock) -> None:
    threshold_id = await rule(api)
    clock.move(HOUR)
    await done(api, threshold_id, "pause")
    await change(api, threshold_id, steps=[step(9)])
    waiting = (await publish(api, threshold_id, T0 + DAY)).attributes
    assert (waiting["status"], waiting["scheduledVersion"]) == ("paused", 2)
    assert await counted(api, threshold_id) == [(1, render(T0), render(T0 + HOUR)), (2, render(T0 + DAY), None)]
    clock.move(HOUR)
    resumed = await done(api, threshold_id, "resume")
    assert (resumed["status"], resumed["scheduledVersion"]) == ("active", 2)
    assert await counted(api, threshold_id) == [
        (1, render(T0), render(T0 + HOUR)),
        (1, render(T0 + 2 * HOUR), render(T0 + DAY)),
        (2, render(T0 + DAY), None),
    ]


@pytest.mark.parametrize("ahead", [timedelta(0), -HOUR])
async def test_nothing_is_published_into_the_past(api: Api, ahead: timedelta) -> None:
    threshold_id = await draft(api)
    refused(await publish(api, threshold_id, T0 + ahead), 400, "InvalidRequest", "/data/attributes/at")
    document = {"data": {"type": "PublishThreshold", "attributes": {"at": "tomorrow"}}}
    answer = await api.post(f"thresholds/{threshold_id}/publish", document)
    refused(answer, 400, "InvalidRequest", "/data/attributes/at")
    assert (await shown(api, threshold_id))["status"] == "draft"


async def test_of_rivals_one_publishes_and_stretches_never_overlap(api: Api, auditor: Db) -> None:
    threshold_id = await draft(api)
    verbs = ["publish", "pause", "publish", "resume", "pause", "resume", "publish"]
    answers = await asyncio.gather(*(turn(api, threshold_id, verb) for verb in verbs))
    assert {answer.status for answer in answers} <= {200, 409}
    assert [answer.status for answer, verb in zip(answers, verbs, strict=True) if verb == "publish"].count(200) == 1
    told = [number for _, number, _ in await story(api, threshold_id)]
    assert told == list(range(1, len(told) + 1))
    open_now = await auditor.value(
        "select count(*) from threshold_intervals where tenant_id = $1 and until_at is null", api.tenant.id
    )
    assert open_now == (1 if (await shown(api, threshold_id))["status"] == "active" else 0)


async def test_events_hold_nothing_that_somebody_wrote_freely(api: Api) -> None:
    secret = "Mira's club"
    threshold_id = await rule(api, name=secret, steps=[step(5, message=secret, reasonCode=secret)])
    (event,) = [each for each in await feed(api) if each["subjectId"] == threshold_id]
    assert event["document"]["attributes"]["metric"] == "spend"
    assert secret not in str(event)
