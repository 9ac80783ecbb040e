"""Two users that turn out to be one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp

from tallystick import wallets
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, join, luna
from tests.conftest import Clock
from tests.enrolment.merge_cast import (
    NOTHING,
    holder,
    merge,
    merged,
    parted,
    spend,
    status,
    topics,
    unmerge,
    wallet_of,
    wallets_of,
)
from tests.rewards.cast import OTHER_PHONE, advance, another_client, balance, configure, left, refused, reverse
from tests.rewards.conftest import api
from tests.wallets.cast import capture, give, hold, lots, only_lot, release, told

__all__ = ["api"]

MIRA, MIRA_AGAIN = world.MIRA_PHONE, OTHER_PHONE
DAY = timedelta(days=1)


async def test_value_moves_and_keeps_its_class_its_expiry_and_its_funder(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, value_days=30, credit_limit=500)
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    assert (await api.issue(MIRA, 500)).status == 200
    await give(runtime, api, wallet_id, 70, "paid")
    before = await lots(api, wallet_id)
    (part,) = await merged(api, user_id, into)
    assert part == {
        "walletId": wallet_id,
        "intoWalletId": into_wallet,
        "merchantId": str(api.merchant_id),
        "currency": "USD",
        "movedAmount": 570,
        "movedOwed": 0,
        "returnedAmount": None,
        "returnedOwed": None,
        "keptAmount": None,
    }
    assert await balance(api, wallet_id) == NOTHING
    assert await balance(api, into_wallet) == {**NOTHING, "available": 570}
    after = await lots(api, into_wallet)
    assert [{**lot, "id": None} for lot in after] == [{**lot, "id": None} for lot in before]
    assert await left(runtime, api) == 0
    await advance(api, "P30D")
    assert await left(runtime, api) == 500
    assert await balance(api, into_wallet) == {**NOTHING, "available": 70}


async def test_the_merged_user_and_their_wallet_are_closed_and_say_where_they_went(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    await merged(api, user_id, into)
    shown = (await api.get(f"users/{user_id}")).attributes
    assert (shown["status"], shown["mergedInto"], shown["phoneNumber"]) == ("merged", into, MIRA)
    shown = (await api.get(f"wallets/{wallet_id}")).attributes
    assert (shown["status"], shown["mergedInto"]) == ("closed", into_wallet)
    assert await topics(api, wallet_id) == [("wallet.created", 1), ("wallet.merged", 2), ("wallet.closed", 3)]
    assert await topics(api, into_wallet) == [("wallet.created", 1)]
    for answer in (
        await api.patch(f"users/{user_id}", {"data": {"type": "User", "attributes": {"firstName": "M"}}}),
        await api.post(f"users/{user_id}/send-code"),
        await merge(api, user_id, into),
        await merge(api, into, user_id),
    ):
        refused(answer, 409, "InvalidState")
    assert (await api.get(f"users/{into}")).attributes["status"] == "active"


async def test_a_phone_with_two_active_wallets_can_be_given_rewards_once_its_users_are_merged(api: Api) -> None:
    user_id, _ = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA)
    refused(await api.issue(MIRA), 400, "MultipleActiveWallets")
    await merged(api, user_id, into)
    issued = await api.issue(MIRA, 500)
    assert (issued.status, issued.attributes["walletId"]) == (200, into_wallet)
    await parted(api, user_id)
    refused(await api.issue(MIRA), 400, "MultipleActiveWallets")


async def test_a_wallet_is_opened_where_the_survivor_has_none(runtime: Runtime, api: Api) -> None:
    other = await luna(runtime, api.tenant)
    user_id, wallet_id = await holder(api, MIRA)
    elsewhere = await wallet_of(api, user_id, other.id)
    into = await api.user(MIRA_AGAIN)
    await api.issue(MIRA, 500, merchantId=str(api.merchant_id))
    await api.issue(MIRA, 300, merchantId=str(other.id))
    parts = {part["walletId"]: part for part in await merged(api, user_id, into)}
    assert {parts[wallet_id]["movedAmount"], parts[elsewhere]["movedAmount"]} == {500, 300}
    shown = {wallet["merchantId"]: wallet for wallet in await wallets_of(api, into)}
    assert shown[str(api.merchant_id)]["balance"]["available"] == 500
    assert shown[str(other.id)]["balance"]["available"] == 300
    assert {wallet["status"] for wallet in shown.values()} == {"active"}
    for wallet in shown.values():
        assert await topics(api, wallet["id"]) == [("wallet.created", 1)]


async def test_what_waits_for_the_survivors_phone_is_claimed_by_the_wallet_that_is_opened(api: Api) -> None:
    waiting = await api.issue(MIRA, 500)
    user_id, _ = await holder(api, MIRA, verified=False)
    into = await api.user(MIRA)
    assert (await api.get(f"rewards/{waiting.data['id']}")).attributes["status"] == "Created"
    (part,) = await merged(api, user_id, into)
    shown = (await api.get(f"rewards/{waiting.data['id']}")).attributes
    assert (shown["status"], shown["walletId"]) == ("Claimed", part["intoWalletId"])
    assert await balance(api, part["intoWalletId"]) == {**NOTHING, "available": 500}


async def test_what_waits_for_another_phone_than_the_survivors_goes_on_waiting(api: Api) -> None:
    waiting = await api.issue(MIRA, 500)
    user_id, wallet_id = await holder(api, MIRA, verified=False)
    into, _ = await holder(api, MIRA_AGAIN)
    await merged(api, user_id, into)
    assert (await api.get(f"rewards/{waiting.data['id']}")).attributes["status"] == "Created"
    await parted(api, user_id)
    assert await status(api, wallet_id) == "pending"


async def test_debts_move_and_later_rewards_pay_them(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    for phone, wallet, spent in ((MIRA, wallet_id, 400), (MIRA_AGAIN, into_wallet, 50)):
        reward_id = (await api.issue(phone, 500)).data["id"]
        await spend(runtime, api, wallet, spent)
        await reverse(api, reward_id)
    await give(runtime, api, wallet_id, 20)
    assert await balance(api, wallet_id) == {**NOTHING, "available": 20, "owed": 400}
    (part,) = await merged(api, user_id, into)
    assert (part["movedAmount"], part["movedOwed"]) == (20, 400)
    assert await balance(api, wallet_id) == NOTHING
    assert await balance(api, into_wallet) == {**NOTHING, "available": 20, "owed": 450}
    await api.issue(MIRA_AGAIN, 200)
    assert await balance(api, into_wallet) == {**NOTHING, "available": 20, "owed": 250}
    (part,) = await parted(api, user_id)
    assert (part["returnedAmount"], part["returnedOwed"], part["keptAmount"]) == (20, 250, 0)
    assert await balance(api, wallet_id) == {**NOTHING, "available": 20, "owed": 250}
    assert await balance(api, into_wallet) == NOTHING


async def test_a_debt_moves_to_a_survivor_who_never_owed_anything(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    reward_id = (await api.issue(MIRA, 500)).data["id"]
    await spend(runtime, api, wallet_id, 500)
    await reverse(api, reward_id)
    await merged(api, user_id, into)
    assert await balance(api, into_wallet) == {**NOTHING, "owed": 500}
    await parted(api, user_id)
    assert (await balance(api, wallet_id), await balance(api, into_wallet)) == ({**NOTHING, "owed": 500}, NOTHING)


async def test_nothing_is_merged_while_a_payment_holds_value(runtime: Runtime, api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    lot_id = await only_lot(api, wallet_id)
    hold_id = await hold(runtime, api, lot_id, 1)
    refused(await merge(api, user_id, into), 409, "ValueHeld")
    assert (await api.get(f"users/{user_id}")).attributes["status"] == "active"
    assert len(await topics(api, wallet_id)) == 1
    await release(runtime, api, hold_id, lot_id)
    await merged(api, user_id, into)
    lot_id = await only_lot(api, into_wallet)
    hold_id = await hold(runtime, api, lot_id, 500)
    refused(await unmerge(api, user_id), 409, "ValueHeld")
    await capture(runtime, api, hold_id, lot_id, 200)
    (part,) = await parted(api, user_id)
    assert (part["returnedAmount"], part["keptAmount"]) == (300, 200)


async def test_what_the_survivors_own_payments_hold_is_no_hindrance(runtime: Runtime, api: Api) -> None:
    user_id, _ = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA_AGAIN, 500)
    await hold(runtime, api, await only_lot(api, into_wallet), 100)
    await api.issue(MIRA, 300)
    await merged(api, user_id, into)
    assert await balance(api, into_wallet) == {**NOTHING, "available": 700, "held": 100}
    await parted(api, user_id)
    assert await balance(api, into_wallet) == {**NOTHING, "available": 400, "held": 100}


async def test_a_reward_follows_its_value_so_that_it_can_still_be_reversed(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, credit_limit=2000)
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    first, second, third = [(await api.issue(MIRA, 500)).data["id"] for _ in range(3)]
    await merged(api, user_id, into)
    assert (await api.get(f"rewards/{first}")).attributes["walletId"] == into_wallet
    assert (await reverse(api, first)).status == 200
    assert await balance(api, into_wallet) == {**NOTHING, "available": 1000}
    assert await left(runtime, api) == 1000
    await parted(api, user_id)
    assert (await api.get(f"rewards/{second}")).attributes["walletId"] == wallet_id
    assert (await reverse(api, second)).status == 200
    assert await balance(api, wallet_id) == {**NOTHING, "available": 500}
    assert await balance(api, into_wallet) == NOTHING
    await spend(runtime, api, wallet_id, 500)
    await merged(api, user_id, into)
    assert (await reverse(api, third)).status == 200
    assert await balance(api, into_wallet) == {**NOTHING, "owed": 500}
    assert await balance(api, wallet_id) == NOTHING


async def test_a_suspended_wallet_gives_and_takes_nothing(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    for each in (wallet_id, into_wallet):
        await api.post(f"wallets/{each}/suspend")
        refused(await merge(api, user_id, into), 409, "InvalidState")
        await api.post(f"wallets/{each}/resume")
    await merged(api, user_id, into)
    await api.post(f"wallets/{into_wallet}/suspend")
    refused(await unmerge(api, user_id), 409, "InvalidState")
    await api.post(f"wallets/{into_wallet}/resume")
    await parted(api, user_id)


async def test_a_closing_wallet_gives_but_takes_nothing(api: Api) -> None:
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    for phone in (MIRA, MIRA_AGAIN):
        await api.issue(phone, 500)
    await api.post(f"wallets/{wallet_id}/close")
    refused(await merge(api, into, user_id), 409, "InvalidState")
    await merged(api, user_id, into)
    assert (await balance(api, into_wallet))["available"] == 1000
    await parted(api, user_id)
    assert (await status(api, wallet_id), (await balance(api, wallet_id))["available"]) == ("closing", 500)


async def test_what_has_expired_goes_nowhere(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, value_days=30, credit_limit=1000)
    user_id, wallet_id = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    clock.move(10 * DAY)
    await api.issue(MIRA, 300)
    clock.move(20 * DAY)
    (part,) = await merged(api, user_id, into)
    assert part["movedAmount"] == 300
    clock.move(10 * DAY)
    (part,) = await parted(api, user_id)
    assert (part["returnedAmount"], part["keptAmount"]) == (0, 300)
    while await wallets.expire_due(runtime):
        pass
    assert await left(runtime, api) == 1000
    assert [amount for _, _, amount, _ in await told(api, wallet_id, "wallet.value_expired")] == [500]
    assert [amount for _, _, amount, _ in await told(api, into_wallet, "wallet.value_expired")] == [300]


async def test_users_without_wallets_and_phones_are_merged_too(api: Api) -> None:
    made = [await api.post("users", {"data": {"type": "User", "attributes": {}}}) for _ in range(2)]
    user_id, into = [str(answer.data["id"]) for answer in made]
    assert await merged(api, user_id, into) == []
    assert await parted(api, user_id) == []


async def test_a_retry_with_its_key_is_answered_as_the_first(runtime: Runtime, api: Api) -> None:
    user_id, _ = await holder(api, MIRA)
    into, into_wallet = await holder(api, MIRA_AGAIN)
    await api.issue(MIRA, 500)
    for first, again in (
        [await merge(api, user_id, into, key="k") for _ in range(2)],
        [await unmerge(api, user_id, key="k") for _ in range(2)],
    ):
        assert (first.status, again.text) == (200, first.text)
        assert again.headers["Idempotent-Replayed"] == "true"
    refused(await merge(api, into, user_id, key="k"), 409, "IdempotencyConflict")
    assert await balance(api, into_wallet) == NOTHING


async def test_who_cannot_be_merged(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, api: Api) -> None:
    user_id, into = await api.user(MIRA), await api.user(MIRA_AGAIN)
    stranger = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    theirs = await stranger.user(MIRA)
    place = "/data/attributes/intoUserId"
    for wrong in (str(ids.new()), "7", theirs):
        refused(await merge(api, user_id, wrong), 400, "InvalidRequest", place)
    refused(await merge(api, user_id, user_id), 400, "InvalidRequest", place)
    for wrong in (str(ids.new()), "7", theirs):
        refused(await merge(api, wrong, into), 404, "NotFound")
        refused(await unmerge(api, wrong), 404, "NotFound")
    refused(await merge(stranger, user_id, theirs), 404, "NotFound")
    refused(await unmerge(api, user_id), 409, "InvalidState")
    sent: Any = {"data": {"type": "MergeUser", "attributes": {"intoUserId": into, "x": 1}}}
    refused(await api.post(f"users/{user_id}/merge", sent), 400, "InvalidRequest")


async def test_a_client_for_some_merchants_moves_no_value_at_others(runtime: Runtime, api: Api) -> None:
    user_id, _ = await holder(api, MIRA)
    into, _ = await holder(api, MIRA_AGAIN)
    other = await luna(runtime, api.tenant)
    limited = await another_client(runtime, api, merchant_ids=(other.id,))
    refused(await merge(limited, user_id, into), 400, "InvalidRequest")
    await merged(api, user_id, into)
    refused(await unmerge(limited, user_id), 400, "InvalidRequest")


async def test_the_request_log_has_both_without_what_was_said(api: Api, auditor: Db) -> None:
    user_id, into = await api.user(MIRA), await api.user(MIRA_AGAIN)
    await merged(api, user_id, into)
    await parted(api, user_id)
    rows = await auditor.rows(
        "select route, status, resource_id from request_log where tenant_id = $1 and route like '%merge' order by route",
        api.tenant.id,
    )
    assert [list(row) for row in rows] == [
        ["/api/v1/users/{id}/merge", 200, UUID(user_id)],
        ["/api/v1/users/{id}/unmerge", 200, UUID(user_id)],
    ]
