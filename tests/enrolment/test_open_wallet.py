"""Opening and resuming a wallet, and what that claims."""

import asyncio
from datetime import timedelta
from uuid import UUID

from tallystick import enrolment, ledger, rewards
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Tenant
from tallystick.enrolment import OpenWallet
from tallystick.merchants import Merchant
from tallystick.rewards import IssueReward
from tests.conftest import Clock
from tests.customers.cast import Partner, answered, attributes, cafe_luna, codes, refused
from tests.world import MIRA_PHONE


async def test_a_wallet_of_a_verified_user_is_active_and_empty(harbour: Partner, luna: Merchant) -> None:
    user_id = await harbour.mira()
    answer = answered(await harbour.open(user_id, luna))
    assert (answer.status, answer.location) == (201, f"/api/v1/wallets/{answer.resource_id}")
    assert attributes(answer.body) == {
        "userId": str(user_id),
        "merchantId": str(luna.id),
        "status": "active",
        "mergedInto": None,
        "balance": {"available": 0, "pending": 0, "held": 0, "owed": 0},
        "currency": "USD",
        "createdAt": "2026-03-02T09:00:00.000Z",
    }
    assert await harbour.events(answer.resource_id) == [("wallet.created", 1, "active")]


async def test_an_active_wallet_claims_what_waited_as_it_opens(
    harbour: Partner, luna: Merchant, auditor: Db, tenant: Tenant
) -> None:
    assert (await harbour.reward(luna, 500))["status"] == "Created"
    user_id = await harbour.mira()
    answer = answered(await harbour.open(user_id, luna))
    assert attributes(answer.body)["balance"]["available"] == 500
    row = await auditor.row("select status, wallet_id from rewards where tenant_id = $1", tenant.id)
    assert row is not None
    assert (row[0], row[1]) == ("Claimed", answer.resource_id)
    assert await ledger.check_books(auditor, tenant.id) == []


async def test_a_pending_wallet_claims_nothing_until_its_holder_is_verified(harbour: Partner, luna: Merchant) -> None:
    await harbour.reward(luna, 500)
    user_id = await harbour.mira(verified=False)
    wallet_id = await harbour.wallet(user_id, luna)
    shown = await harbour.show_wallet(wallet_id)
    assert (shown["status"], shown["balance"]["available"]) == ("pending", 0)
    answered(await harbour.send_code(user_id))
    answered(await harbour.verify(user_id, await harbour.last_code()))
    shown = await harbour.show_wallet(wallet_id)
    assert (shown["status"], shown["balance"]["available"]) == ("active", 500)
    assert await harbour.events(wallet_id) == [("wallet.created", 1, "pending"), ("wallet.resumed", 2, "active")]


async def test_verification_claims_at_every_merchant(
    runtime: Runtime, tenant: Tenant, harbour: Partner, luna: Merchant
) -> None:
    other = await cafe_luna(runtime, tenant)
    user_id = await harbour.mira(verified=False)
    places = [luna, other]
    held = [await harbour.wallet(user_id, place) for place in places]
    for place, amount in zip(places, (100, 250), strict=True):
        await harbour.reward(place, amount)
    answered(await harbour.change(user_id, phone_verified=True))
    assert [(await harbour.show_wallet(each))["balance"]["available"] for each in held] == [100, 250]


async def test_what_expired_is_not_claimed(harbour: Partner, luna: Merchant, clock: Clock) -> None:
    await harbour.reward(luna, 500)
    clock.move(timedelta(days=luna.claim_days))
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    assert (await harbour.show_wallet(wallet_id))["balance"]["available"] == 0


async def test_a_resumed_wallet_claims(harbour: Partner, luna: Merchant) -> None:
    await harbour.reward(luna, 500)
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    answered(await harbour.suspend(wallet_id))
    refused(await harbour.reward(luna, 100), "WalletNotIssuable")
    answer = answered(await harbour.resume(wallet_id))
    assert attributes(answer.body)["status"] == "active"
    assert [one[0] for one in await harbour.events(wallet_id)] == [
        "wallet.created",
        "wallet.suspended",
        "wallet.resumed",
    ]
    assert (await harbour.reward(luna, 100))["status"] == "Credited"


async def test_a_user_has_one_open_wallet_at_a_merchant(
    runtime: Runtime, tenant: Tenant, harbour: Partner, luna: Merchant
) -> None:
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    refused(await harbour.open(user_id, luna, key="k"), "WalletExists")
    answered(await harbour.open(user_id, await cafe_luna(runtime, tenant)))
    answered(await harbour.close(wallet_id))
    answered(await harbour.open(user_id, luna, key="k"))


async def test_of_many_that_open_at_once_one_does(harbour: Partner, luna: Merchant) -> None:
    user_id = await harbour.mira()
    outcomes = await asyncio.gather(*(harbour.open(user_id, luna) for _ in range(8)))
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert codes(outcomes) == {"WalletExists"}
    assert await harbour.count("wallets") == 1


async def test_of_twins_in_one_batch_one_opens(harbour: Partner, luna: Merchant) -> None:
    user_id = await harbour.mira()
    commands = [OpenWallet(harbour.asked(), user_id, luna.id, merchant_named=True) for _ in range(3)]
    first, *others = await harbour.do(enrolment.open_wallet, *commands)
    answered(first)
    for other in others:
        refused(other, "WalletExists")


async def test_the_same_key_is_the_same_wallet(harbour: Partner, luna: Merchant) -> None:
    user_id = await harbour.mira()
    answers = await asyncio.gather(*(harbour.open(user_id, luna, key="k") for _ in range(4)))
    assert len({answered(answer).body for answer in answers}) == 1
    other = await harbour.mira()
    refused(await harbour.open(other, luna, key="k"), "IdempotencyConflict")


async def test_users_who_share_a_phone_have_wallets_of_their_own_and_then_nothing_can_be_given(
    harbour: Partner, luna: Merchant
) -> None:
    first, second = await harbour.mira(), await harbour.mira()
    await harbour.wallet(first, luna)
    await harbour.wallet(second, luna)
    refused(await harbour.reward(luna), "MultipleActiveWallets")


async def test_a_wallet_needs_a_user_that_the_partner_sees_and_a_merchant_it_may_act_for(
    runtime: Runtime, tenant: Tenant, harbour: Partner, stranger: Partner, overseer: Partner, luna: Merchant
) -> None:
    user_id = await harbour.mira()
    foreign = refused(await stranger.open(user_id, luna), "InvalidRequest")
    missing = refused(await stranger.open(ids.new(), luna), "InvalidRequest", "/data/attributes/userId")
    assert (foreign.detail, foreign.source) == (missing.detail, missing.source)
    limited = Partner(runtime, tenant, partner_id=harbour.caller.partner_id, merchant_ids=(ids.new(),))
    refused(await limited.open(user_id, luna), "InvalidRequest", "/data/attributes/merchantId")
    assert await harbour.count("wallets") == 0
    answered(await overseer.open(user_id, luna))


async def test_issuing_and_opening_at_once_never_leaves_a_reward_waiting_beside_an_active_wallet(
    harbour: Partner, luna: Merchant, auditor: Db, tenant: Tenant
) -> None:
    async def joins(n: int) -> UUID:
        user_id = (await harbour.create(phone=f"+1202555{n:04}", phone_verified=True)).resource_id
        return await harbour.wallet(user_id, luna)

    def gift(n: int) -> IssueReward:
        return IssueReward(harbour.asked(), luna.id, True, f"+1202555{n:04}", 100, f"gift-{n}")

    people = range(100, 112)
    gifts = [gift(n) for n in people]
    opened = asyncio.gather(*(joins(n) for n in people))
    given = asyncio.gather(*(harbour.do(rewards.issue, *gifts[start : start + 3]) for start in range(0, len(gifts), 3)))
    held = await opened
    assert not any(isinstance(outcome, Exception) for batch in await given for outcome in batch)
    assert [(await harbour.show_wallet(each))["balance"]["available"] for each in held] == [100] * len(people)
    assert await ledger.check_books(auditor, tenant.id) == []


async def test_a_wallet_is_found_by_the_phone_of_its_holder(harbour: Partner, luna: Merchant) -> None:
    user_id = await harbour.mira()
    await harbour.wallet(user_id, luna)
    credited = await harbour.reward(luna, 500, MIRA_PHONE)
    assert credited["status"] == "Credited"


async def test_a_user_without_a_phone_has_one_open_wallet_too_however_many_open_at_once(
    harbour: Partner, luna: Merchant
) -> None:
    user_id = (await harbour.create()).resource_id
    outcomes = await asyncio.gather(*(harbour.open(user_id, luna) for _ in range(8)))
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert await harbour.count("wallets") == 1


async def test_what_came_to_wait_while_a_wallet_was_suspended_is_claimed_when_it_resumes(
    harbour: Partner, luna: Merchant
) -> None:
    new_phone = "+12025550199"
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    answered(await harbour.suspend(wallet_id))
    assert (await harbour.reward(luna, 500, new_phone))["status"] == "Created"
    answered(await harbour.change(user_id, phone=new_phone))
    answered(await harbour.send_code(user_id))
    answered(await harbour.verify(user_id, await harbour.last_code()))
    assert (await harbour.show_wallet(wallet_id))["balance"]["available"] == 0
    answer = answered(await harbour.resume(wallet_id))
    assert attributes(answer.body)["balance"]["available"] == 500
