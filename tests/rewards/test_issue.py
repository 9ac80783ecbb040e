"""What becomes of a reward that a partner issues: credited at once, waiting to be claimed, or refused with the reason."""

from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Answer, Api, document_of, join, luna
from tests.conftest import Clock
from tests.rewards.cast import (
    OTHER_PHONE,
    another_client,
    balance,
    cancel,
    check_whole,
    configure,
    left,
    refused,
    story,
    top_up,
)

PHONE = "/data/attributes/phoneNumber"
AMOUNT = "/data/attributes/amount"
MERCHANT = "/data/attributes/merchantId"
NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"

SEED = {
    "phoneNumber": "+15551234567",
    "amount": 500,
    "idempotencyKey": "reward-case-98765",
    "reasonCode": "CX-COMPENSATION",
    "message": "Thank you for your patience!",
}


async def test_one_active_wallet_is_credited_at_once(api: Api) -> None:
    wallet_id = await api.wallet("+15551234567")
    answer = await api.post("rewards", document_of("IssueReward", **SEED))
    assert answer.status == 200
    assert answer.data["type"] == "Reward"
    assert answer.attributes == {
        "kind": "immediate",
        "amount": 500,
        "walletId": wallet_id,
        "status": "Credited",
        "canUpdate": False,
        "canCancel": False,
        "claimExpiresAt": None,
        "message": "Thank you for your patience!",
        "reasonCode": "CX-COMPENSATION",
        "costCenter": None,
        "notificationEmail": None,
        "currency": "USD",
        "merchantId": str(api.merchant_id),
        "reversedAmount": 0,
        "createdAt": "2026-03-02T09:00:00.000Z",
        "updatedAt": "2026-03-02T09:00:00.000Z",
    }
    assert (await balance(api, wallet_id))["available"] == 500
    assert await story(api, answer.data["id"]) == [("reward.credited", 1, "2026-03-02T09:00:00.000Z")]


async def test_without_a_wallet_it_waits_ninety_days_to_be_claimed(api: Api) -> None:
    sent = {**SEED, "notificationEmail": "agent@partner.example"}
    answer = await api.post("rewards", document_of("IssueReward", **sent))
    assert answer.status == 200
    assert answer.data["type"] == "Reward"
    assert answer.attributes == {
        "kind": "preIssued",
        "amount": 500,
        "walletId": None,
        "status": "Created",
        "canUpdate": True,
        "canCancel": True,
        "claimExpiresAt": "2026-05-31T09:00:00.000Z",
        "message": "Thank you for your patience!",
        "reasonCode": "CX-COMPENSATION",
        "costCenter": None,
        "notificationEmail": "agent@partner.example",
        "currency": "USD",
        "merchantId": str(api.merchant_id),
        "reversedAmount": 0,
        "createdAt": "2026-03-02T09:00:00.000Z",
        "updatedAt": "2026-03-02T09:00:00.000Z",
    }
    assert await story(api, answer.data["id"]) == [("reward.pre_issued", 1, "2026-03-02T09:00:00.000Z")]


async def test_the_claim_window_is_the_merchants_setting(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, claim_days=7)
    assert (await api.issue()).attributes["claimExpiresAt"] == "2026-03-09T09:00:00.000Z"


@pytest.mark.parametrize("verb", ["suspend", "close"])
async def test_a_suspended_or_closing_wallet_cannot_be_issued_to(api: Api, verb: str) -> None:
    wallet_id = await api.wallet()
    assert (await api.issue()).status == 200
    stopped = await api.post(f"wallets/{wallet_id}/{verb}")
    assert stopped.attributes["status"] == {"suspend": "suspended", "close": "closing"}[verb]
    refused(await api.issue(), 409, "WalletNotIssuable", PHONE)


async def test_a_closed_wallet_does_not_block(api: Api) -> None:
    wallet_id = await api.wallet()
    assert (await api.post(f"wallets/{wallet_id}/close")).attributes["status"] == "closed"
    assert (await api.issue()).attributes["status"] == "Created"


async def test_a_pending_wallet_is_neither_active_nor_blocking(api: Api) -> None:
    await api.wallet(verified=False)
    assert (await api.issue()).attributes["status"] == "Created"


async def test_a_pending_wallet_beside_an_active_one_changes_nothing(api: Api) -> None:
    await api.wallet(verified=False)
    wallet_id = await api.wallet()
    assert (await api.issue()).attributes["walletId"] == wallet_id


async def test_more_than_one_active_wallet_is_refused(api: Api) -> None:
    await api.wallet()
    await api.wallet()
    refused(await api.issue(), 400, "MultipleActiveWallets", PHONE)


async def test_one_active_wallet_is_credited_although_another_is_suspended(api: Api) -> None:
    suspended, active = await api.wallet(), await api.wallet()
    await api.post(f"wallets/{suspended}/suspend")
    assert (await api.issue()).attributes["walletId"] == active


async def test_where_the_merchant_does_not_pre_issue_nobody_is_found(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, pre_issuing=False)
    refused(await api.issue(), 400, "WalletNotFound", PHONE)
    await api.wallet()
    assert (await api.issue()).attributes["status"] == "Credited"


async def test_a_second_waiting_reward_conflicts_until_the_first_is_gone(api: Api) -> None:
    first = await api.issue()
    refused(await api.issue(), 409, "PreIssuedConflict", PHONE)
    assert (await api.issue(OTHER_PHONE)).status == 200
    assert (await cancel(api, first.data["id"])).status == 204
    assert (await api.issue()).status == 200


async def test_a_merchant_may_let_waiting_rewards_stack(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, stacking=True)
    assert [(await api.issue()).attributes["status"] for _ in range(3)] == ["Created"] * 3


async def test_what_waits_is_counted_for_each_partner_alone(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    assert (await api.issue()).status == 200
    assert (await other.issue()).status == 200
    refused(await other.issue(), 409, "PreIssuedConflict", PHONE)


async def test_what_waits_is_counted_for_each_merchant_alone(api: Api, runtime: Runtime) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    for merchant_id in (api.merchant_id, lagoon.id):
        assert (await api.issue(merchantId=str(merchant_id))).status == 200
        refused(await api.issue(merchantId=str(merchant_id)), 409, "PreIssuedConflict")


async def test_a_reward_past_its_deadline_is_in_nobodys_way(api: Api, clock: Clock) -> None:
    await api.issue()
    clock.move(timedelta(days=90) - timedelta(milliseconds=1))
    refused(await api.issue(), 409, "PreIssuedConflict")
    clock.move(timedelta(milliseconds=1))
    assert (await api.issue()).status == 200


@pytest.mark.parametrize(
    "written", ["(202) 555-0143", "202.555.0143", "1 202 555 0143", "+1 202 555 0143", "+1 (202) 555-0143"]
)
async def test_a_phone_may_be_written_as_it_is_dialled_there(api: Api, written: str) -> None:
    wallet_id = await api.wallet()
    assert (await api.issue(written)).attributes["walletId"] == wallet_id


@pytest.mark.parametrize("written", ["+1", "+1202555", "12", "banana", "+1 202 555 0143 ext. 7", "++12025550143", "📞"])
async def test_an_impossible_phone_is_told_at_its_place(api: Api, written: str) -> None:
    answer = await api.issue(written)
    refused(answer, 400, "InvalidRequest", PHONE)
    assert written not in answer.text or written in ("12", "+1")


async def test_blank_optional_text_is_absent(api: Api) -> None:
    answer = await api.issue(message=" ", reasonCode="", costCenter="\t\n", notificationEmail="  ")
    names = ("message", "reasonCode", "costCenter", "notificationEmail")
    assert [answer.attributes[name] for name in names] == [None] * 4


@pytest.mark.parametrize(
    "message", ["Gracias 🎉👩‍👩‍👧", "line\nline\ttab", '"quoted" \\ back', "שלום", "\u2028 \x7f", "x" * 500, "🎁" * 500]
)
async def test_a_message_says_what_it_says(api: Api, message: str) -> None:
    issued = await api.issue(message=message)
    assert issued.attributes["message"] == message
    assert (await api.get(f"rewards/{issued.data['id']}")).attributes["message"] == message


async def test_the_largest_amount_can_be_given(api: Api) -> None:
    wallet_id = await api.wallet()
    for _ in range(3):
        assert (await api.issue(amount=2_147_483_647)).status == 200
    assert (await balance(api, wallet_id))["available"] == 3 * 2_147_483_647


async def test_a_merchants_cap_holds_for_each_reward(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, reward_maximum=500)
    refused(await api.issue(amount=501), 400, "InvalidRequest", AMOUNT)
    assert (await api.issue(amount=500)).status == 200


async def test_a_cap_for_each_phone_and_day_counts_from_the_merchants_midnight(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    await configure(runtime, api, phone_day_maximum=1000, stacking=True)
    await api.wallet()
    assert (await api.issue(amount=600)).status == 200
    refused(await api.issue(amount=401), 409, "QuotaExceeded", AMOUNT)
    assert (await api.issue(OTHER_PHONE, amount=1000)).status == 200
    assert (await api.issue(amount=400)).status == 200
    clock.now = world.T0.replace(day=3, hour=4, minute=59, second=59)  # a second before midnight in New York
    refused(await api.issue(amount=1), 409, "QuotaExceeded")
    clock.move(timedelta(seconds=1))
    assert (await api.issue(amount=1000)).status == 200
    refused(await api.issue(amount=1), 409, "QuotaExceeded")


async def test_what_was_cancelled_does_not_count_for_the_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, phone_day_maximum=1000)
    first = await api.issue(amount=1000)
    await cancel(api, first.data["id"])
    assert (await api.issue(amount=1000)).status == 200


async def test_a_client_that_may_act_for_several_merchants_names_one(api: Api, runtime: Runtime) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    refused(await api.issue(), 400, "InvalidRequest", MERCHANT)
    assert (await api.issue(merchantId=str(lagoon.id))).attributes["merchantId"] == str(lagoon.id)


@pytest.mark.parametrize("named", [NOBODY, "7", "", "not an id", "🏪"])
async def test_a_merchant_that_is_unknown_is_refused_at_its_place(api: Api, named: str) -> None:
    refused(await api.issue(merchantId=named), 400, "InvalidRequest", MERCHANT)


async def test_a_merchant_of_someone_else_is_refused_as_one_that_does_not_exist(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    foreign = await join(runtime, session, base_url)
    limited = await another_client(runtime, api, (lagoon.id,))

    def told(answer: Answer) -> Any:
        refused(answer, 400, "InvalidRequest", MERCHANT)
        (error,) = answer.body["errors"]
        return {name: value for name, value in error.items() if name not in ("id", "meta")}

    unknown = told(await api.issue(merchantId=NOBODY))
    assert told(await api.issue(merchantId=str(foreign.merchant_id))) == unknown
    assert told(await limited.issue(merchantId=str(api.merchant_id))) == unknown
    assert (await limited.issue()).attributes["merchantId"] == str(lagoon.id)


async def test_a_closed_merchant_gives_nothing(api: Api, runtime: Runtime) -> None:
    await luna(runtime, api.tenant, "Lagoon")
    assert (await api.issue(OTHER_PHONE, merchantId=str(api.merchant_id))).status == 200
    await configure(runtime, api, status="closed")
    refused(await api.issue(merchantId=str(api.merchant_id)), 400, "InvalidRequest", MERCHANT)


async def test_an_invoiced_merchant_gives_up_to_its_limit_and_not_a_unit_more(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, credit_limit=1000)
    assert (await api.issue(amount=400)).status == 200
    refused(await api.issue(OTHER_PHONE, amount=601), 409, "InsufficientFunding", AMOUNT)
    assert (await api.issue(OTHER_PHONE, amount=600)).status == 200
    refused(await api.issue("+12025550100", amount=1), 409, "InsufficientFunding")
    assert await left(runtime, api) == 0
    await check_whole(auditor, api.tenant)


async def test_a_prefunded_merchant_gives_what_was_paid_in_and_never_below_nothing(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, funding_mode="prefunded")
    refused(await api.issue(amount=1), 409, "InsufficientFunding", AMOUNT)
    await top_up(runtime, api, 500)
    await api.wallet()
    refused(await api.issue(amount=501), 409, "InsufficientFunding")
    assert (await api.issue(amount=499)).status == 200
    refused(await api.issue(amount=2), 409, "InsufficientFunding")
    assert (await api.issue(amount=1)).status == 200
    assert await left(runtime, api) == 0
    await check_whole(auditor, api.tenant)


async def test_a_refused_reward_leaves_nothing_behind(api: Api, runtime: Runtime, auditor: Db) -> None:
    await configure(runtime, api, pre_issuing=False)
    refused(await api.issue(message="canary"), 400, "WalletNotFound")
    for table in ("rewards", "idempotency_keys", "entries", "events"):
        where = " and topic like 'reward%'" if table == "events" else ""
        sql = f"select count(*) from {table} where tenant_id = $1{where}"
        assert await auditor.value(sql, api.tenant.id) == 0, table


async def test_every_fault_of_a_reward_is_told_at_once(api: Api) -> None:
    answer = await api.issue("12", notificationEmail="nobody")
    refused(answer, 400, "InvalidRequest", PHONE, "/data/attributes/notificationEmail")


@pytest.mark.parametrize("address", ["a", "a@b", "@b.c", "a b@c.d", "a@b..c", "a@b.c\n", f"{'x' * 65}@b.c"])
async def test_what_is_no_address_is_refused(api: Api, address: str) -> None:
    refused(await api.issue(notificationEmail=address), 400, "InvalidRequest", "/data/attributes/notificationEmail")


async def test_sandbox_and_production_never_see_each_others_rewards(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    production = await join(runtime, session, base_url, environment="production")
    issued = await production.issue()
    assert issued.attributes["status"] == "Created"
    assert (await api.get(f"rewards/{issued.data['id']}")).data is None
    await check_whole(auditor, production.tenant)


async def test_a_refused_request_leaves_nobody_behind(api: Api, runtime: Runtime) -> None:
    unknown = await join(runtime, api.session, api.base_url, pre_issuing=False)
    refused = await unknown.issue("+12025550178")
    assert (refused.status, refused.codes) == (400, ["WalletNotFound"])
    async with runtime.reading(unknown.tenant) as work:
        known = await work.db.value("select count(*) from recipients where tenant_id = $1", unknown.tenant.id)
    assert known == 0
