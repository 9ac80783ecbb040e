"""A wallet that becomes active claims what waits for its phone at its merchant, in the same transaction."""

from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, document_of, join, luna
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE, balance, configure, listed, mailbox, story

T0 = "2026-03-02T09:00:00.000Z"


async def shown(api: Api, reward_id: str) -> Any:
    return (await api.get(f"rewards/{reward_id}")).attributes


async def test_a_wallet_opened_for_a_verified_holder_claims_at_once(api: Api, clock: Clock) -> None:
    issued = await api.issue(message="hello", notificationEmail="agent@partner.example")
    clock.move(timedelta(seconds=1))
    wallet_id = await api.wallet()
    assert await shown(api, issued.data["id"]) == {
        **issued.attributes,
        "status": "Claimed",
        "walletId": wallet_id,
        "canUpdate": False,
        "canCancel": False,
        "updatedAt": "2026-03-02T09:00:01.000Z",
    }
    assert await balance(api, wallet_id) == {"available": 500, "pending": 0, "held": 0, "owed": 0}
    assert await story(api, issued.data["id"]) == [
        ("reward.pre_issued", 1, T0),
        ("reward.claimed", 2, "2026-03-02T09:00:01.000Z"),
    ]


async def test_whoever_the_partner_named_is_told(api: Api) -> None:
    reward_id = (await api.issue(notificationEmail="agent@partner.example")).data["id"]
    assert await mailbox(api) == []
    await api.wallet()
    (told,) = await mailbox(api)
    assert (told["channel"], told["to"], told["kind"]) == ("email", "agent@partner.example", "claim_notice")
    assert reward_id in told["text"]


async def test_nobody_is_told_where_nobody_was_named(api: Api) -> None:
    await api.issue()
    await api.wallet()
    assert await mailbox(api) == []


async def test_an_unverified_holder_claims_at_the_verification(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    user_id = await api.user(verified=False)
    wallet_id = (await api.post("wallets", document_of("Wallet", userId=user_id))).data["id"]
    assert (await shown(api, reward_id))["status"] == "Created"
    await api.post(f"users/{user_id}/send-code")
    code = (await mailbox(api))[0]["text"][:6]
    assert (await api.post(f"users/{user_id}/verify", document_of("VerifyUser", code=code))).status == 200
    claimed = await shown(api, reward_id)
    assert (claimed["status"], claimed["walletId"]) == ("Claimed", wallet_id)
    assert (await balance(api, wallet_id))["available"] == 500


async def test_a_partners_word_verifies_too(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    user_id = await api.user(verified=False)
    await api.post("wallets", document_of("Wallet", userId=user_id))
    assert (await api.patch(f"users/{user_id}", document_of("User", phoneVerified=True))).status == 200
    assert (await shown(api, reward_id))["status"] == "Claimed"


async def test_a_resumed_wallet_claims_what_came_to_wait_before(api: Api) -> None:
    user_id = await api.user(OTHER_PHONE)
    wallet_id = (await api.post("wallets", document_of("Wallet", userId=user_id))).data["id"]
    await api.post(f"wallets/{wallet_id}/suspend")
    reward_id = (await api.issue()).data["id"]
    await verify(api, user_id, world.MIRA_PHONE)
    assert (await shown(api, reward_id))["status"] == "Created"
    assert (await api.post(f"wallets/{wallet_id}/resume")).attributes["status"] == "active"
    assert (await shown(api, reward_id))["status"] == "Claimed"


async def verify(api: Api, user_id: str, phone: str) -> None:
    """The user has another phone, and verifies it by the code that was sent there."""
    assert (await api.patch(f"users/{user_id}", document_of("User", phoneNumber=phone))).status == 200
    await api.post(f"users/{user_id}/send-code")
    code = (await mailbox(api))[0]["text"][:6]
    assert (await api.post(f"users/{user_id}/verify", document_of("VerifyUser", code=code))).status == 200


async def test_a_wallet_claims_when_its_holder_verifies_a_phone_for_which_something_waits(api: Api) -> None:
    user_id = await api.user(OTHER_PHONE)
    wallet_id = (await api.post("wallets", document_of("Wallet", userId=user_id))).data["id"]
    reward_id = (await api.issue()).data["id"]
    await verify(api, user_id, world.MIRA_PHONE)
    assert (await shown(api, reward_id))["walletId"] == wallet_id


async def test_everything_that_waits_is_claimed_from_every_partner(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    await configure(runtime, api, stacking=True)
    other = await join(runtime, session, base_url, tenant=api.tenant)
    for partner in (api, api, other):
        await partner.issue(amount=100)
    wallet_id = await api.wallet()
    assert (await balance(api, wallet_id))["available"] == 300
    assert [each["attributes"]["status"] for each in (await listed(other)).data] == ["Claimed"]


async def test_another_phone_or_another_merchants_wallet_claims_nothing(api: Api, runtime: Runtime) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    reward_id = (await api.issue(merchantId=str(lagoon.id))).data["id"]
    await api.wallet()
    await api.wallet(OTHER_PHONE)
    assert (await shown(api, reward_id))["status"] == "Created"


@pytest.mark.parametrize(("late_by", "status"), [(timedelta(milliseconds=-1), "Claimed"), (timedelta(0), "Expired")])
async def test_the_deadline_is_the_first_instant_that_is_too_late(
    api: Api, clock: Clock, late_by: timedelta, status: str
) -> None:
    reward_id = (await api.issue()).data["id"]
    clock.move(timedelta(days=90) + late_by)
    wallet_id = await api.wallet()
    assert (await shown(api, reward_id))["status"] == status
    assert (await balance(api, wallet_id))["available"] == (500 if status == "Claimed" else 0)


async def test_a_claim_cannot_fail_for_funds(runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> None:
    api = await join(runtime, session, base_url, credit_limit=500)
    await api.issue(amount=500)
    await configure(runtime, api, pre_issuing=False)
    wallet_id = await api.wallet()
    assert (await balance(api, wallet_id))["available"] == 500


async def test_a_wallet_that_was_not_opened_has_claimed_nothing(api: Api) -> None:
    reward_id = (await api.issue(notificationEmail="agent@partner.example")).data["id"]
    user_id = await api.user()
    first = await api.post("wallets", document_of("Wallet", userId=user_id))
    second = await api.post("wallets", document_of("Wallet", userId=user_id))
    assert (first.status, second.status) == (201, 409)
    assert [topic for topic, _, _ in await story(api, reward_id)] == ["reward.pre_issued", "reward.claimed"]
    assert len(await mailbox(api)) == 1
