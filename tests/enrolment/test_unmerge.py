"""Users that were merged turn out to be two after all."""

from datetime import timedelta
from uuid import UUID

from tallystick import wallets
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api
from tests.conftest import Clock
from tests.enrolment.merge_cast import (
    NOTHING,
    holder,
    journals,
    merged,
    parted,
    spend,
    status,
    topics,
    unmerge,
)
from tests.rewards.cast import OTHER_PHONE, balance, refused
from tests.rewards.conftest import api
from tests.wallets.cast import as_of, lots

__all__ = ["api"]

MIRA, MIRA_AGAIN = world.MIRA_PHONE, OTHER_PHONE
DAY = timedelta(days=1)


async def test_undone_what_is_left_goes_back_and_what_was_spent_stays_spent(
    runtime: Runtime, api: Api, auditor: Db
) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    before = await lots(api, wallet_id)
    await merged(api, user_id, into)
    await api.issue(MIRA_AGAIN, 80)
    assert await spend(runtime, api, into_wallet, 200) == 200
    (part,) = await parted(api, user_id)
    assert (part["movedAmount"], part["returnedAmount"], part["keptAmount"]) == (500, 300, 200)
    assert await balance(api, wallet_id) == {**NOTHING, "available": 300}
    assert await balance(api, into_wallet) == {**NOTHING, "available": 80}
    assert [lot["id"] for lot in await lots(api, wallet_id)] == [lot["id"] for lot in before]
    shown = (await api.get(f"users/{user_id}")).attributes
    assert (shown["status"], shown["mergedInto"]) == ("active", None)
    shown = (await api.get(f"wallets/{wallet_id}")).attributes
    assert (shown["status"], shown["mergedInto"]) == ("active", None)
    assert await topics(api, wallet_id) == [
        ("wallet.created", 1),
        ("wallet.merged", 2),
        ("wallet.closed", 3),
        ("wallet.unmerged", 4),
    ]
    ((there, _),) = await journals(auditor, api, "wallet.merge")
    ((_, reverses),) = await journals(auditor, api, "wallet.unmerge")
    assert reverses == there
    kinds = [one["attributes"]["kind"] for one in (await api.get(f"wallets/{wallet_id}/transactions")).data]
    assert kinds == ["wallet.unmerge", "wallet.merge", "reward.issue"]


async def test_a_merge_can_be_undone_and_made_again(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    for _ in range(2):
        await merged(api, user_id, into)
        assert (await balance(api, into_wallet))["available"] == 500
        await parted(api, user_id)
        assert (await balance(api, wallet_id))["available"] == 500
    assert [number for _, number in await topics(api, wallet_id)] == list(range(1, 8))


async def test_a_chain_of_merges_is_undone_from_its_end(runtime: Runtime, api: Api) -> None:
    people = [await holder(api, f"+1202555010{n}") for n in range(3)]
    (a, a_wallet), (b, b_wallet), (c, c_wallet) = people
    await api.issue("+12025550100", 500)
    await merged(api, a, b)
    await merged(api, b, c)
    assert (await balance(api, c_wallet))["available"] == 500
    async with runtime.reading(api.tenant) as work:
        living = await wallets.successors(work, [UUID(each) for each in (a_wallet, b_wallet, c_wallet)])
    assert set(living.values()) == {UUID(c_wallet)}
    refused(await unmerge(api, a), 409, "InvalidState")
    await parted(api, b)
    assert (await balance(api, b_wallet))["available"] == 500
    await parted(api, a)
    assert [(await balance(api, each))["available"] for each in (a_wallet, b_wallet, c_wallet)] == [500, 0, 0]
    async with runtime.reading(api.tenant) as work:
        assert await wallets.successors(work, [UUID(a_wallet), ids.new()]) == {UUID(a_wallet): UUID(a_wallet)}


async def test_a_closing_wallet_that_gets_nothing_back_stays_closed(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    await api.post(f"wallets/{wallet_id}/close")
    await merged(api, user_id, into)
    await spend(runtime, api, into_wallet, 500)
    (part,) = await parted(api, user_id)
    assert (part["returnedAmount"], part["keptAmount"]) == (0, 500)
    shown = (await api.get(f"wallets/{wallet_id}")).attributes
    assert (shown["status"], shown["mergedInto"]) == ("closed", None)


async def test_a_closing_survivor_closes_when_the_last_it_has_goes_back(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    await merged(api, user_id, into)
    await api.post(f"wallets/{into_wallet}/close")
    assert await status(api, into_wallet) == "closing"
    await parted(api, user_id)
    assert await status(api, into_wallet) == "closed"
    assert await balance(api, wallet_id) == {**NOTHING, "available": 500}


async def test_the_past_of_both_wallets_stays_as_it_was(api: Api, clock: Clock) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    clock.move(DAY)
    await merged(api, user_id, into)
    clock.move(DAY)
    await parted(api, user_id)
    instants = [f"2026-03-0{day}T08:59:59.999Z" for day in (3, 4)] + ["2026-03-04T09:00:00.000Z"]
    assert [(await as_of(api, wallet_id, at))["available"] for at in instants] == [500, 0, 500]
    assert [(await as_of(api, into_wallet, at))["available"] for at in instants] == [0, 500, 0]


async def test_undoing_makes_a_wallet_active_and_so_claims_what_came_to_wait(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, _ = await holder(api, MIRA_AGAIN)
    await merged(api, user_id, into)
    waiting = await api.issue(MIRA, 500)
    assert waiting.attributes["status"] == "Created"
    await parted(api, user_id)
    assert await balance(api, wallet_id) == {**NOTHING, "available": 500}
