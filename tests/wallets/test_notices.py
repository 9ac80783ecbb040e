"""Value that expires soon is told of once, as long before as the merchant's terms say."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest

from tallystick import wallets
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.ledger import Transfer
from tallystick.wallets import notices
from tests import world
from tests.api import Api, join, luna
from tests.conftest import Clock
from tests.rewards.cast import advance, check_whole, configure, feed, mailbox
from tests.wallets.cast import give, hold, house, post, told, until_done

THIRTY_DAYS = timedelta(days=30)
DEADLINE = "2026-04-01T09:00:00.000Z"
TOPIC = "wallet.value_expiring"


async def notify(runtime: Runtime) -> int:
    return await until_done(runtime, wallets.notify_due)


async def test_value_is_announced_two_weeks_ahead_with_how_much_and_when(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    await advance(api, "P29D")
    assert await told(api, wallet_id, TOPIC) == [(2, "2026-03-18T09:00:00.000Z", 500, DEADLINE)]
    (event,) = [each for each in await feed(api) if each["topic"] == TOPIC]
    assert event["document"] == {
        "id": wallet_id,
        "type": "Wallet",
        "attributes": {
            **(await api.get(f"wallets/{wallet_id}")).attributes,
            "amount": 500,
            "expiresAt": DEADLINE,
        },
    }


async def test_each_merchant_says_how_long_before(runtime: Runtime, api: Api) -> None:
    user_id = await api.user()
    other = await luna(runtime, api.tenant, value_days=30)
    held = {}
    for merchant_id, days in ((str(api.merchant_id), 3), (str(other.id), 20)):
        answer = await api.post(
            "wallets",
            {"data": {"type": "Wallet", "attributes": {"userId": user_id, "merchantId": merchant_id}}},
        )
        held[days] = str(answer.data["id"])
        changed = await api.patch(
            f"merchants/{merchant_id}/configuration",
            {
                "data": {
                    "type": "MerchantConfiguration",
                    "attributes": {"expiryNoticeDays": days, "valueDays": 30},
                }
            },
        )
        assert changed.status == 200, changed.text
        await api.issue(amount=10, merchantId=merchant_id)
    await advance(api, "P29D")
    assert [at for _, at, _, _ in await told(api, held[3], TOPIC)] == ["2026-03-29T09:00:00.000Z"]
    assert [at for _, at, _, _ in await told(api, held[20], TOPIC)] == ["2026-03-12T09:00:00.000Z"]


async def test_the_loop_tells_once_and_dates_it_when_it_tells(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    clock.move(timedelta(days=16) - timedelta(milliseconds=1))
    await notify(runtime)
    assert await told(api, wallet_id, TOPIC) == []
    clock.move(timedelta(hours=2))
    await notify(runtime)
    assert await notify(runtime) == 0
    assert [at for _, at, _, _ in await told(api, wallet_id, TOPIC)] == ["2026-03-18T10:59:59.999Z"]


async def test_value_that_lives_shorter_than_the_notice_is_told_of_when_it_is_there(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await configure(runtime, api, value_days=7)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    clock.move(timedelta(minutes=1))
    await notify(runtime)
    assert [at for _, at, _, _ in await told(api, wallet_id, TOPIC)] == ["2026-03-02T09:01:00.000Z"]


async def test_terms_that_change_hold_for_what_was_not_announced(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, value_days=30, expiry_notice_days=1)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    clock.move(timedelta(days=20))
    await notify(runtime)
    assert await told(api, wallet_id, TOPIC) == []
    await configure(runtime, api, expiry_notice_days=10)
    await notify(runtime)
    assert [at for _, at, _, _ in await told(api, wallet_id, TOPIC)] == ["2026-03-22T09:00:00.000Z"]


async def test_what_was_spent_is_not_told_of_and_what_is_held_is(runtime: Runtime, api: Api, clock: Clock) -> None:
    wallet_id = await api.wallet()
    spent, held, _ = [await give(runtime, api, wallet_id, 100, expires_at=world.T0 + THIRTY_DAYS) for _ in range(3)]
    await post(runtime, api, "payment.capture", Transfer(spent, house(api, "merchant.payable"), 100))
    await hold(runtime, api, held, 30)
    clock.move(timedelta(days=16))
    await notify(runtime)
    assert [amount for _, _, amount, _ in await told(api, wallet_id, TOPIC)] == [200]


async def test_what_expired_before_anybody_told_of_it_is_not_announced_any_more(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    clock.move(THIRTY_DAYS)
    await notify(runtime)
    async with runtime.reading(api.tenant) as work:
        assert await wallets.next_notice(work) is None
    await until_done(runtime, wallets.expire_due)
    assert await told(api, wallet_id, TOPIC) == []


async def test_more_than_one_work_can_carry_is_told_all_the_same(
    runtime: Runtime, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "NOTIFY_AT_ONCE", 2)
    wallet_id = await api.wallet()
    for _ in range(5):
        await give(runtime, api, wallet_id, 100, expires_at=world.T0 + THIRTY_DAYS)
    await advance(api, "P20D")
    assert [amount for _, _, amount, _ in await told(api, wallet_id, TOPIC)] == [200, 200, 100]


async def test_two_loops_at_once_tell_once(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    clock.move(timedelta(days=20))
    await asyncio.gather(*(wallets.notify_at(runtime, api.tenant, clock.now) for _ in range(5)))
    assert len(await told(api, wallet_id, TOPIC)) == 1


async def test_the_loop_serves_production_too(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, environment="production", value_days=30)
    wallet_id = await api.wallet()
    await api.issue()
    clock.move(timedelta(days=16))
    await notify(runtime)
    assert len(await told(api, wallet_id, TOPIC)) == 1
    await check_whole(auditor, api.tenant)


async def test_the_holder_is_written_to_by_mail_else_to_a_phone_that_is_theirs(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    for phone, verified, more in (
        ("+12025550101", True, {"email": "mira@northwind.example"}),
        ("+12025550102", True, {}),
        ("+12025550103", False, {}),
    ):
        user_id = await api.user(phone, verified=verified, **more)
        answer = await api.post("wallets", {"data": {"type": "Wallet", "attributes": {"userId": user_id}}})
        await give(runtime, api, answer.data["id"], 250, expires_at=world.T0 + THIRTY_DAYS)
    clock.move(timedelta(days=16))
    await notify(runtime)
    told_of = [(each["channel"], each["to"], each["kind"], each["text"]) for each in await mailbox(api)]
    text = "2.50 USD of what you have at Café Luna can be used until 2026-04-01."
    assert sorted(told_of) == [
        ("email", "mira@northwind.example", "value_notice", text),
        ("sms", "+12025550102", "value_notice", text),
    ]
