"""Merging while others give, spend, and merge: every unit is somewhere, once."""

import asyncio

from tallystick.base.work import Runtime
from tests import world
from tests.api import Api
from tests.enrolment.merge_cast import (
    holder,
    merge,
    merge_aside,
    parted,
    spend,
    status,
    topics,
    unmerge,
    unmerge_aside,
)
from tests.rewards.cast import OTHER_PHONE, balance
from tests.rewards.conftest import api
from tests.wallets.cast import hold, only_lot

__all__ = ["api"]

MIRA, MIRA_AGAIN = world.MIRA_PHONE, OTHER_PHONE


async def available(api: Api, *wallet_ids: str) -> int:
    return sum([(await balance(api, each))["available"] for each in wallet_ids])


async def test_a_merge_and_rewards_at_once_lose_nothing(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    answers = await asyncio.gather(
        merge(api, user_id, into), *(api.issue(phone, 100) for phone in (MIRA, MIRA_AGAIN) for _ in range(4))
    )
    assert answers[0].status == 200
    given = [answer for answer in answers[1:] if answer.status == 200]
    waiting = sum(answer.attributes["status"] == "Created" for answer in given)
    assert await available(api, wallet_id, into_wallet) == 100 * (len(given) - waiting)
    assert await available(api, wallet_id) == 0


async def test_a_merge_and_payments_at_once_lose_nothing(runtime: Runtime, api: Api) -> None:
    for n in range(3):
        phones = f"+1202555011{n}", f"+1202555012{n}"
        user_id, wallet_id = await holder(api, phones[0])
        into, into_wallet = await holder(api, phones[1])
        for _ in range(3):
            await api.issue(phones[0], 100)
        tills = [spend(runtime, api, each, 70) for each in (wallet_id, into_wallet) * 3]
        answer, spent = await asyncio.gather(merge(api, user_id, into), asyncio.gather(*tills))
        assert answer.status == 200
        assert await available(api, wallet_id) == 0
        assert await available(api, into_wallet) == 300 - sum(spent)


async def test_a_merge_and_an_authorisation_at_once_never_leave_held_value_behind(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    lot_id = await only_lot(api, wallet_id)

    async def authorise() -> bool:
        try:
            await hold(runtime, api, lot_id, 200)
        except AssertionError:
            return False
        return True

    answer, held = await asyncio.gather(merge(api, user_id, into), authorise())
    if held:
        assert (answer.status, answer.codes) == (409, ["ValueHeld"])
        assert await balance(api, wallet_id) == {"available": 300, "pending": 0, "held": 200, "owed": 0}
    else:
        assert answer.status == 200
        assert await available(api, into_wallet) == 500


async def test_of_two_merges_that_cross_one_happens(runtime: Runtime, api: Api) -> None:
    for n in range(3):
        phones = f"+1202555013{n}", f"+1202555014{n}"
        (a, a_wallet), (b, b_wallet) = [await holder(api, phone) for phone in phones]
        for phone in phones:
            await api.issue(phone, 100)
        outcomes = await asyncio.gather(merge_aside(runtime, api, a, b), merge_aside(runtime, api, b, a))
        assert sorted(outcomes) == ["InvalidState", "merged"]
        assert await available(api, a_wallet, b_wallet) == 200
        assert sorted([await status(api, a_wallet), await status(api, b_wallet)]) == ["active", "closed"]


async def test_of_merges_into_two_survivors_one_happens(runtime: Runtime, api: Api) -> None:
    for n in range(2):
        people = [await holder(api, f"+120255502{n}{m}") for m in range(3)]
        await api.issue(f"+120255502{n}0", 100)
        (a, _), (b, b_wallet), (c, c_wallet) = people
        outcomes = await asyncio.gather(*(merge_aside(runtime, api, a, into) for into in (b, c, b, c)))
        assert sorted(outcomes) == ["InvalidState"] * 3 + ["merged"]
        assert await available(api, b_wallet, c_wallet) == 100


async def test_many_merges_into_one_and_round_in_a_ring_lose_nothing(runtime: Runtime, api: Api) -> None:
    people = [await holder(api, f"+1202555015{n}") for n in range(4)]
    for n in range(4):
        await api.issue(f"+1202555015{n}", 100)
    users = [user_id for user_id, _ in people]
    outcomes = await asyncio.gather(
        *(merge_aside(runtime, api, user_id, users[(n + 1) % 4]) for n, user_id in enumerate(users)),
        *(merge_aside(runtime, api, user_id, users[0]) for user_id in users[1:]),
    )
    assert set(outcomes) <= {"merged", "InvalidState"}
    assert await available(api, *(wallet_id for _, wallet_id in people)) == 400
    statuses = [(await api.get(f"users/{user_id}")).attributes["status"] for user_id in users]
    assert statuses.count("merged") == outcomes.count("merged")
    assert "active" in statuses


async def test_undoing_twice_at_once_happens_once(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    await merge(api, user_id, into)
    await spend(runtime, api, into_wallet, 100)
    outcomes = await asyncio.gather(*(unmerge_aside(runtime, api, user_id) for _ in range(4)))
    assert sorted(outcomes) == ["InvalidState"] * 3 + ["parted"]
    assert await available(api, wallet_id) == 400
    assert (await topics(api, wallet_id))[-1] == ("wallet.unmerged", 4)


async def test_users_without_wallets_are_merged_and_parted_once_too(runtime: Runtime, api: Api) -> None:
    user_id, b, c = await api.user(MIRA), await api.user(MIRA), await api.user(MIRA_AGAIN)
    outcomes = await asyncio.gather(*(merge_aside(runtime, api, user_id, into) for into in (b, c, b, c)))
    assert sorted(outcomes) == ["InvalidState"] * 3 + ["merged"]
    outcomes = await asyncio.gather(*(unmerge_aside(runtime, api, user_id) for _ in range(4)))
    assert sorted(outcomes) == ["InvalidState"] * 3 + ["parted"]


async def test_undoing_and_spending_at_once_lose_nothing(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    for _ in range(3):
        await api.issue(MIRA, 100)
    await merge(api, user_id, into)
    tills = [spend(runtime, api, each, 40) for each in (wallet_id, into_wallet) * 3]
    answer, spent = await asyncio.gather(unmerge(api, user_id), asyncio.gather(*tills))
    assert answer.status == 200
    assert await available(api, wallet_id, into_wallet) == 300 - sum(spent)
    (part,) = answer.attributes["wallets"]
    assert part["movedAmount"] == part["returnedAmount"] + part["keptAmount"]


async def test_merging_and_undoing_in_turns_with_everything_else_comes_out_whole(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 300)
    spent = 0
    given = 300
    for _ in range(4):
        outcomes = await asyncio.gather(
            merge(api, user_id, into),
            unmerge(api, user_id),
            api.issue(MIRA_AGAIN, 10),
            spend(runtime, api, into_wallet, 25),
            spend(runtime, api, wallet_id, 15),
        )
        spent += outcomes[3] + outcomes[4]
        given += 10 * (outcomes[2].status == 200)
    if (await api.get(f"users/{user_id}")).attributes["status"] == "merged":
        await parted(api, user_id)
    assert await available(api, wallet_id, into_wallet) == given - spent
