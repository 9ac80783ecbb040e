"""What waits to be reconciled: it is shown apart, and counts when it is released, by whoever reconciles or by time."""

from datetime import timedelta
from uuid import UUID

import pytest

from tallystick import activity
from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.activity.cast import progress_of, purchase, recorded, send, standing, stored, told
from tests.api import Api
from tests.conftest import Clock
from tests.rewards.cast import configure
from tests.thresholds.cast import rule


async def decide(runtime: Runtime, api: Api, import_id: UUID, *, reject: bool = False, limit: int = 2) -> None:
    """Decide all of an import, a few at a time."""
    after: UUID | None = UUID(int=0)
    while after is not None:
        async with runtime.work(api.tenant) as work:
            asked = told(api).asked
            after = await activity.release(work, asked, import_id, reject=reject, after=after, limit=limit)


@pytest.mark.parametrize(("reject", "left"), [(False, (2300, 0)), (True, (0, 0))])
async def test_an_import_is_released_or_rejected_as_a_whole(
    runtime: Runtime, api: Api, reject: bool, left: tuple[int, int]
) -> None:
    threshold, user, import_id = await rule(api), await api.user(), ids.new()
    brought = [
        told(api, f"s{n}", user=user, attribution="reconciled", import_id=import_id, import_line=n) for n in range(3)
    ]
    back = told(
        api,
        "r",
        type="Refund",
        amount=700,
        linked_source_id="s1",
        attribution="reconciled",
        import_id=import_id,
        import_line=3,
    )
    outcomes = await recorded(runtime, api, *brought, back)
    assert {each.attribution for each in outcomes} == {"pending"}
    assert await progress_of(runtime, api, threshold, user) == (0, 2300)
    await decide(runtime, api, import_id, reject=reject)
    assert await progress_of(runtime, api, threshold, user) == left
    await decide(runtime, api, import_id, reject=not reject)
    assert await progress_of(runtime, api, threshold, user) == left


async def test_a_rejected_return_takes_nothing_back(runtime: Runtime, api: Api) -> None:
    threshold, user, import_id = await rule(api), await api.user(), ids.new()
    wrong = {"attribution": "reconciled", "import_id": import_id}
    await recorded(runtime, api, told(api, "p", user=user), told(api, "q", user=user))
    await recorded(
        runtime,
        api,
        told(api, "r1", type="Refund", amount=100, linked_source_id="p"),
        told(api, "r2", type="Refund", amount=200, linked_source_id="p", **wrong),
        told(api, "v1", type="Void", amount=0, linked_source_id="p", **wrong),
        told(api, "v2", type="Void", amount=0, linked_source_id="q", **wrong),
        told(api, "v3", type="Void", amount=0, linked_source_id="q"),
        told(api, "late", type="Refund", amount=50, linked_source_id="later", **wrong),
    )
    assert await standing(runtime, api, "p") == (300, 0, True)
    await decide(runtime, api, import_id, reject=True)
    assert await standing(runtime, api, "p") == (100, 0, False)
    assert await standing(runtime, api, "q") == (0, 0, True)
    await recorded(runtime, api, told(api, "later", user=user))
    assert await standing(runtime, api, "later") == (0, 0, False)
    assert await progress_of(runtime, api, threshold, user) == (1900, 0)


async def test_a_merchant_releases_by_itself_after_some_days(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, activity_attribution="reconciled", activity_release_days=2)
    threshold, user = await rule(api), await api.user()
    answer = await send(api, purchase("s1", user=user))
    assert answer.attributes["attribution"] == "pending"
    assert await progress_of(runtime, api, threshold, user) == (0, 1000)
    clock.move(timedelta(days=2, milliseconds=-1))
    assert not await activity.release_due(runtime)
    clock.move(timedelta(milliseconds=1))
    assert await activity.release_due(runtime)
    assert not await activity.release_due(runtime)
    assert await progress_of(runtime, api, threshold, user) == (1000, 0)
    assert (await api.get(f"external-transactions/{answer.data['id']}")).attributes["attribution"] == "counted"


async def test_what_an_import_brought_is_released_by_the_merchants_days_too(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await configure(runtime, api, activity_attribution="reconciled", activity_release_days=2)
    await recorded(runtime, api, told(api, "s1", import_id=ids.new()))
    assert not await activity.release_due(runtime)
    clock.move(timedelta(days=30))
    assert await activity.release_due(runtime)
    async with runtime.reading(api.tenant) as work:
        assert (await stored(work))["s1"]["attribution"] == "counted"
