"""How far a user is: what a reader is shown at an instant, found by whom it is about, and what of it counted."""

from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.clock import render
from tallystick.base.work import Runtime
from tallystick.thresholds import progress_store
from tests.activity.cast import purchase, send, transaction
from tests.api import Api, join
from tests.conftest import Clock
from tests.rewards.cast import another_client, refused
from tests.thresholds.cast import rule, step
from tests.world import MIRA_PHONE, T0

DAY = timedelta(days=1)
OTHER = "+12025550167"


@pytest.fixture
async def user(api: Api) -> str:
    return await api.user()


async def spend(api: Api, user: str, amount: int, name: str | None = None, **more: Any) -> str:
    """A purchase that is accepted; its source id."""
    name = name or str(ids.new())
    answer = await send(api, purchase(name, amount, user=user, **more))
    assert answer.status == 201, answer.text
    return name


async def listed(api: Api, **filters: str) -> list[Any]:
    """The attributes of progress that these filters find."""
    query = "&".join(f"filter[{name}]={value.replace('+', '%2B')}" for name, value in filters.items())
    answer = await api.get(f"threshold-progress?{query}")
    assert answer.status == 200, answer.text
    if filters.keys() & {"userId", "phoneNumber", "thresholdId"}:
        assert answer.body["meta"]["total"] == len(answer.data)
    else:
        assert "total" not in answer.body["meta"]
    assert answer.body["links"]["next"] is None
    return [each["attributes"] for each in answer.data]


async def only(api: Api, threshold_id: str) -> Any:
    """The one progress of a rule, with its id."""
    (found,) = (await api.get(f"threshold-progress?filter[thresholdId]={threshold_id}")).data
    return found


async def history(api: Api, progress_id: str, page: str = "") -> list[tuple[str, int, int]]:
    """What counted: its source id, by how much, and the total by then."""
    answer = await api.get(f"threshold-progress/{progress_id}/history{page}")
    assert answer.status == 200, answer.text
    return [
        (each["attributes"]["sourceId"], each["attributes"]["counted"], each["attributes"]["total"])
        for each in answer.data
    ]


async def test_progress_says_how_far_a_user_is(api: Api, user: str) -> None:
    club = await rule(api, steps=[step(5000), step(9000)], window={"kind": "calendar", "period": "month"})
    await spend(api, user, 3333)
    found = await only(api, club)
    assert found["type"] == "ThresholdProgress"
    assert found["attributes"] == {
        "userId": user, "thresholdId": club, "merchantId": str(api.merchant_id), "current": 3333, "pending": 0,
        "total": 3333, "target": 5000, "remaining": 1667, "percent": 66, "step": 0, "steps": 2, "cycle": 1,
        "window": found["attributes"]["window"], "status": "inProgress", "thresholdVersion": 1, "updatedAt": render(T0),
    }  # fmt: skip
    start, end = found["attributes"]["window"]["start"], found["attributes"]["window"]["end"]
    assert start < render(T0) < end
    one = await api.get(f"threshold-progress/{found['id']}")
    assert (one.status, one.data) == (200, found)


async def test_behind_the_last_step_the_rule_is_reached_and_nothing_remains(api: Api, user: str) -> None:
    club = await rule(api, steps=[step(1000), step(2000)])
    await spend(api, user, 1500)
    midway = (await only(api, club))["attributes"]
    assert [midway[name] for name in ("target", "remaining", "percent", "step", "status")] == [
        2000, 500, 75, 1, "inProgress",
    ]  # fmt: skip
    await spend(api, user, 4000)
    done = (await only(api, club))["attributes"]
    assert [done[name] for name in ("current", "target", "remaining", "percent", "step", "status")] == [
        5500, 2000, 0, 100, 2, "reached",
    ]  # fmt: skip


async def test_in_a_rule_that_repeats_progress_is_of_the_cycle(api: Api, user: str) -> None:
    club = await rule(api, steps=[step(1000)], repeat="repeating")
    await spend(api, user, 2300)
    shown = (await only(api, club))["attributes"]
    assert [shown[name] for name in ("current", "total", "target", "cycle", "step", "status")] == [
        300, 2300, 1000, 3, 0, "inProgress",
    ]  # fmt: skip


async def test_a_window_that_rolls_shows_its_last_days(api: Api, user: str, clock: Clock) -> None:
    club = await rule(api, steps=[step(5000)], window={"kind": "rolling", "days": 3})
    await spend(api, user, 1000)
    clock.move(2 * DAY)
    await spend(api, user, 200, at=render(clock.now))
    assert (await only(api, club))["attributes"]["current"] == 1200
    clock.move(DAY)
    assert (await only(api, club))["attributes"]["current"] == 200, "the first day is gone"
    clock.move(2 * DAY)
    shown = (await only(api, club))["attributes"]
    assert (shown["current"], shown["status"]) == (0, "notStarted")
    await spend(api, user, 4100, at=render(T0 + 2 * DAY))
    assert (await only(api, club))["attributes"]["status"] == "reached", (
        "what came late made its three days hold enough"
    )


async def test_a_period_that_is_over_has_ended_and_the_next_one_begins_at_nothing(
    api: Api, user: str, clock: Clock
) -> None:
    club = await rule(api, steps=[step(5000)], window={"kind": "calendar", "period": "week"})
    await spend(api, user, 4000)
    clock.move(7 * DAY)
    (over,) = await listed(api, userId=user, thresholdId=club)
    assert over["status"] == "ended"
    assert await listed(api, thresholdId=club, window="current") == [], "nothing counted in this week yet"
    await spend(api, user, 100, at=render(clock.now))
    assert [each["current"] for each in await listed(api, thresholdId=club)] == [100, 4000]
    assert [each["current"] for each in await listed(api, thresholdId=club, window="current")] == [100]


async def test_progress_is_found_by_user_rule_number_and_status(api: Api, user: str) -> None:
    other = await api.user(OTHER)
    small, large = await rule(api, steps=[step(1000)]), await rule(api, steps=[step(9000)])
    await spend(api, user, 1000)
    await spend(api, other, 10)

    async def found(**filters: str) -> set[tuple[str, str]]:
        return {(each["userId"], each["thresholdId"]) for each in await listed(api, **filters)}

    assert await found() == {(user, small), (user, large), (other, small), (other, large)}
    assert await found(userId=user) == {(user, small), (user, large)}
    assert await found(phoneNumber=OTHER) == {(other, small), (other, large)}
    assert await found(phoneNumber=MIRA_PHONE, thresholdId=large) == {(user, large)}
    assert await found(phoneNumber=MIRA_PHONE, userId=other) == set()
    assert await found(phoneNumber="+12025550199") == set(), "nobody has this number"
    assert await found(userId=str(ids.new())) == set()
    assert await found(status="reached") == {(user, small)}
    assert await found(status="inProgress") == {(user, large), (other, small), (other, large)}
    assert await found(status="notStarted") == await found(status="ended") == set()


async def test_every_status_is_found_as_it_is_shown(api: Api, user: str, clock: Clock) -> None:
    """What is asked for by status is reckoned by the database, what is shown by us: the two agree."""
    await rule(api, steps=[step(1000)])
    await rule(api, steps=[step(9000)], window={"kind": "calendar", "period": "day"})
    await rule(api, steps=[step(9000)], window={"kind": "rolling", "days": 2})
    await rule(api, steps=[step(9000)], window={"kind": "dates", "until": render(T0 + 3 * DAY)})
    await rule(api, steps=[step(9000)], repeat="repeating")
    name = await spend(api, user, 1500)
    seen: set[str] = set()
    for _ in range(3):
        shown = sorted((each["thresholdId"], each["status"]) for each in await listed(api))
        found = [
            (each["thresholdId"], status)
            for status in ("notStarted", "inProgress", "reached", "ended")
            for each in await listed(api, status=status)
        ]
        assert shown == sorted(found)
        seen |= {status for _, status in found}
        clock.move(3 * DAY)
    assert seen == {"notStarted", "inProgress", "reached", "ended"}
    assert (await send(api, transaction("Void", "v", linkedExternalTransactionId=name))).status == 201
    assert {each["status"] for each in await listed(api, status="notStarted")} == {"notStarted"}


async def test_filters_that_cannot_be_read_are_refused_all_at_once(api: Api) -> None:
    answer = await api.get(
        "threshold-progress?filter[userId]=x&filter[thresholdId]=y&filter[status]=lost&filter[window]=next"
    )
    refused(answer, 400, "InvalidRequest")
    assert set(answer.pointers) == {"filter[userId]", "filter[thresholdId]", "filter[status]", "filter[window]"}


async def test_history_tells_what_counted_newest_first(api: Api, user: str, clock: Clock) -> None:
    club = await rule(api, steps=[step(5000)], filters={"minimum": 100})
    clock.move(2 * DAY)
    await spend(api, user, 300, "late", at=render(clock.now))
    await spend(api, user, 50, "small", at=render(clock.now))
    await spend(api, user, 1000, "early", at=render(T0))
    await spend(api, user, 400, "middle", at=render(T0 + DAY))
    progress = (await only(api, club))["id"]
    assert await history(api, progress) == [("late", 300, 1700), ("middle", 400, 1400), ("early", 1000, 1000)]
    assert await history(api, progress, "?page[limit]=1&page[offset]=1") == [("middle", 400, 1400)]
    back = transaction("Refund", "back", 250, at=render(clock.now), linkedExternalTransactionId="early")
    assert (await send(api, back)).status == 201
    assert await history(api, progress) == [("late", 300, 1450), ("middle", 400, 1150), ("early", 750, 750)]
    assert (await only(api, club))["attributes"]["current"] == 1450
    assert (await send(api, transaction("Void", "gone", linkedExternalTransactionId="middle"))).status == 201
    assert await history(api, progress) == [("late", 300, 1050), ("early", 750, 750)]


async def test_history_is_of_one_window(api: Api, user: str, clock: Clock) -> None:
    club = await rule(api, steps=[step(5000)], window={"kind": "calendar", "period": "week"})
    await spend(api, user, 100, "this week")
    clock.move(7 * DAY)
    await spend(api, user, 200, "next week", at=render(clock.now))
    found = (await api.get(f"threshold-progress?filter[thresholdId]={club}")).data
    assert [await history(api, each["id"]) for each in found] == [[("next week", 200, 200)], [("this week", 100, 100)]]


async def test_progress_of_others_is_as_if_it_were_not_there(api: Api, user: str, runtime: Runtime) -> None:
    club = await rule(api, steps=[step(5000)])
    await spend(api, user, 100)
    progress = (await only(api, club))["id"]
    elsewhere = await another_client(runtime, api, merchant_ids=(ids.new(),))
    for path in (f"threshold-progress/{progress}", f"threshold-progress/{progress}/history"):
        refused(await elsewhere.get(path), 404, "NotFound")
        refused(await api.get(path.replace(progress, str(ids.new()))), 404, "NotFound")
    assert await listed(elsewhere, thresholdId=club) == []
    blind = await another_client(runtime, api, scopes=frozenset({"activity:write"}))
    assert (await blind.get(f"threshold-progress/{progress}")).status == 403


@pytest.mark.parametrize("scanned", [1, 3, 5_000])
async def test_all_progress_is_read_by_cursor_each_once(
    api: Api, user: str, scanned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little is looked at for one page; a page may hold nothing, and there be more."""
    monkeypatch.setattr(progress_store, "SCANNED_MAX", scanned)
    rules = [await rule(api, steps=[step(1000)]) for _ in range(4)]
    for number, each in enumerate((user, await api.user(OTHER))):
        await spend(api, each, 1500 if number else 500)
    for query, wanted in (("", 8), ("filter[status]=reached&", 4), ("filter[window]=current&", 8)):
        found: list[tuple[str, str]] = []
        path: str | None = f"threshold-progress?{query}page[limit]=2"
        while path:
            answer = await api.get(path)
            assert answer.status == 200, answer.text
            assert len(answer.data) <= 2
            found += [(each["attributes"]["thresholdId"], each["attributes"]["userId"]) for each in answer.data]
            path = answer.body["links"]["next"]
        assert (len(found), len(set(found))) == (wanted, wanted)
        assert found == sorted(found)
        assert {of for of, _ in found} == set(rules)


async def test_nobody_goes_on_behind_what_they_were_not_given(
    api: Api, user: str, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    for _ in range(2):
        await rule(api, steps=[step(1000)])
    await spend(api, user, 500)
    following = (await api.get("threshold-progress?page[limit]=1")).body["links"]["next"]
    assert (await api.get(following)).status == 200
    cursor, shown = following.rsplit("=", 1)[1], (await api.get("threshold-progress?page[limit]=1")).data[0]["id"]
    other = await join(runtime, session, base_url, tenant=api.tenant)
    told = set()
    for asking, after in ((api, ids.new()), (api, shown), (api, cursor[:-4] + "AAAA"), (other, cursor), (other, shown)):
        answer = await asking.get(f"threshold-progress?page[after]={after}")
        assert (answer.status, answer.pointers) == (400, ["page[after]"])
        told.add(answer.body["errors"][0]["detail"])
    assert len(told) == 1


async def test_a_page_of_all_progress_counts_nothing(api: Api, user: str, runtime: Runtime) -> None:
    """It walks the primary key, and sorts nothing."""
    await rule(api)
    await spend(api, user, 1500)
    edge = ("explain (format json) " + progress_store.EDGE, api.tenant.id, None, *progress_store.FIRST, 4_999)
    async with runtime.reading(api.tenant) as work:
        await work.db.script("set local enable_seqscan = off; set local enable_sort = off")
        plan = str(await work.db.value(*edge))
    assert "threshold_progress_pkey" in plan, plan
    assert "Sort" not in plan, plan
