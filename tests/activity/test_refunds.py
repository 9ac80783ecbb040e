"""Refunds and voids: they change what they take back, in whatever order they come, and count for nothing themselves."""

import itertools

import pytest

from tallystick.activity import Item
from tallystick.base.work import Runtime
from tests.activity.cast import accept, names, progress_of, recorded, standing, stored, told
from tests.api import Api, luna
from tests.thresholds.cast import rule


async def test_a_refund_is_noted_on_what_it_takes_back(runtime: Runtime, api: Api) -> None:
    await recorded(runtime, api, told(api, "p"))
    back = await recorded(runtime, api, told(api, "r", type="Refund", amount=300, linked_source_id="p"))
    assert back[0].takes_back == "linked"
    assert await standing(runtime, api, "p") == (300, 0, False)


@pytest.mark.parametrize("order", list(itertools.permutations(("p", "r1", "r2", "v"))))
@pytest.mark.parametrize("split", [False, True])
async def test_the_order_of_arrival_is_of_no_consequence(
    runtime: Runtime, api: Api, order: tuple[str, ...], split: bool
) -> None:
    all_of_it = {
        "p": told(api, "p", items=(Item(1000, quantity=3),)),
        "r1": told(api, "r1", type="Refund", amount=300, linked_source_id="p", items=(Item(300),)),
        "r2": told(api, "r2", type="Refund", amount=200, linked_source_id="p"),
        "v": told(api, "v", type="Void", amount=0, linked_source_id="p"),
    }
    commands = [all_of_it[name] for name in order]
    for group in [[each] for each in commands] if split else [commands]:
        await recorded(runtime, api, *group)
    assert await standing(runtime, api, "p") == (500, 1, True)
    async with runtime.reading(api.tenant) as work:
        rows = await stored(work)
        waits = await work.db.value("select count(*) from activity_waits where tenant_id = $1", api.tenant.id)
    assert waits == 0
    assert {rows[name]["linked_id"] for name in ("r1", "r2", "v")} == {rows["p"]["id"]}
    assert await names(runtime, api) == dict.fromkeys(all_of_it, True)
    assert await accept(runtime, api, all_of_it["r1"]) is not None
    assert await standing(runtime, api, "p") == (500, 1, True)


@pytest.mark.parametrize("first", ["p", "r"])
async def test_only_the_same_shop_and_currency_take_back(runtime: Runtime, api: Api, first: str) -> None:
    other = await luna(runtime, api.tenant, "Other")
    back = {"type": "Refund", "amount": 100, "linked_source_id": "p"}
    strange = [
        told(api, "r1", merchant_id=other.id, **back),
        told(api, "r2", currency="EUR", **back),
        told(api, "v1", merchant_id=other.id, **{**back, "type": "Void"}),
    ]
    groups = [[told(api, "p")], strange] if first == "p" else [strange, [told(api, "p")]]
    for group in groups:
        await recorded(runtime, api, *group)
    assert await standing(runtime, api, "p") == (0, 0, False)


async def test_what_has_no_link_or_links_to_a_void_counts_for_nothing(runtime: Runtime, api: Api) -> None:
    await recorded(runtime, api, told(api, "p"), told(api, "v", type="Void", amount=0, linked_source_id="p"))
    outcomes = await recorded(
        runtime,
        api,
        told(api, "alone", type="Refund", amount=100),
        told(api, "undo", type="Void", amount=0, linked_source_id="v"),
        told(api, "back", type="Refund", amount=100, linked_source_id="v"),
        told(api, "early", type="Refund", amount=100, linked_source_id="nothing yet"),
    )
    assert [each.takes_back for each in outcomes] == ["nothing", "nothing", "nothing", "waiting"]
    assert await standing(runtime, api, "p") == (0, 0, True)
    assert await standing(runtime, api, "v") == (0, 0, False)


async def test_progress_follows_returns_in_whatever_order(runtime: Runtime, api: Api) -> None:
    threshold, user = await rule(api), await api.user()
    await recorded(runtime, api, told(api, "r", type="Refund", amount=300, linked_source_id="p"))
    await recorded(runtime, api, told(api, "p", user=user), told(api, "q", user=user))
    assert await progress_of(runtime, api, threshold, user) == (1700, 0)
    await recorded(runtime, api, told(api, "r2", type="Refund", amount=900, linked_source_id="p"))
    assert await progress_of(runtime, api, threshold, user) == (1000, 0)
    await recorded(runtime, api, told(api, "v", type="Void", amount=0, linked_source_id="q"))
    assert await progress_of(runtime, api, threshold, user) == (0, 0)


async def test_one_batch_may_bring_and_take_back_many_times(runtime: Runtime, api: Api) -> None:
    threshold, user = await rule(api), await api.user()
    await recorded(runtime, api, told(api, "p", user=user))
    await recorded(
        runtime,
        api,
        *(told(api, f"r{n}", type="Refund", amount=100, linked_source_id="p") for n in range(3)),
        told(api, "q", user=user),
        *(told(api, f"s{n}", type="Refund", amount=10, linked_source_id="q") for n in range(3)),
    )
    assert await progress_of(runtime, api, threshold, user) == (1670, 0)
