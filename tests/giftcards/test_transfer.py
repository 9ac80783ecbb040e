"""Value of a card moves to a wallet of the same merchant, whole, once, and as what it was."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

import tallystick.giftcards.store as store
from tallystick import wallets
from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Api, join, luna
from tests.conftest import Clock
from tests.giftcards.hands import add_lot, card, history, hold, put_in, redeem, row, transfer, values
from tests.rewards.cast import another_client, balance, header, refused, reverse, spend, story
from tests.world import MIRA_PHONE, T0

WALLET = "/data/attributes/walletId"
AMOUNT = "/data/attributes/amount"
DAY = timedelta(days=1)


async def owing(runtime: Runtime, api: Api, debt: int) -> str:
    """A wallet whose holder owes."""
    wallet_id = await api.wallet()
    reward = (await api.issue(amount=debt)).data["id"]
    await spend(runtime, api, reward, debt)
    await reverse(api, reward)
    assert (await balance(api, wallet_id))["owed"] == debt
    return wallet_id


async def test_all_of_it_moves_unless_told(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, 5000)
    answer = await transfer(api, held.id, wallet_id)
    assert (answer.status, answer.data["type"], answer.data["id"]) == (200, "GiftCard", str(held.id))
    assert (answer.attributes["status"], answer.attributes["balance"]) == ("depleted", {"available": 0, "held": 0})
    assert await balance(api, wallet_id) == {"available": 5000, "pending": 0, "held": 0, "owed": 0}
    assert await history(runtime, api, held.id) == [("issue", 5000, 5000), ("transfer", -5000, 0), ("deplete", 0, 0)]
    assert [(topic, number) for topic, number, _ in await story(api, str(held.id))] == [
        ("gift_card.issued", 1),
        ("gift_card.transferred", 2),
        ("gift_card.depleted", 3),
    ]
    assert (await row(runtime, api, held.id)).reason == "transferred"


async def test_a_part_can_move_and_the_card_goes_on(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, 5000)
    answer = await transfer(api, held.id, wallet_id, 1200)
    assert (answer.attributes["status"], answer.attributes["balance"]["available"]) == ("active", 3800)
    assert (await balance(api, wallet_id))["available"] == 1200
    refused(await transfer(api, held.id, wallet_id, 3801), 400, "InvalidRequest", AMOUNT)
    assert (await transfer(api, held.id, wallet_id, 3800)).attributes["status"] == "depleted"
    lines = (await api.get(f"wallets/{wallet_id}/transactions")).data
    assert [(line["attributes"]["kind"], line["attributes"]["amount"]) for line in lines] == [
        ("card.transfer", 3800),
        ("card.transfer", 1200),
    ]
    assert lines[0]["attributes"]["causeId"] == str(held.id)


async def test_value_keeps_its_class_its_expiry_and_its_funder(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, 1000)
    await add_lot(runtime, api, held.id, "promotional", 200, T0 + 9 * DAY)
    await add_lot(runtime, api, held.id, "compensation", 300)
    await add_lot(runtime, api, held.id, "refund", 400, T0 + 30 * DAY)
    before = await lots(runtime, api, held.id)
    # Soonest expiry first, and then what was given before what was paid for.
    await transfer(api, held.id, wallet_id, 950)
    assert await values(runtime, api, held.id) == [("paid", 950, None)]
    assert sorted(await values(runtime, api, wallet_id)) == sorted(
        [
            ("promotional", 200, T0 + 9 * DAY),
            ("refund", 400, T0 + 30 * DAY),
            ("compensation", 300, None),
            ("paid", 50, None),
        ]
    )
    after = await lots(runtime, api, wallet_id)
    assert {(lot_class, funder) for lot_class, funder in after} == {(lot_class, funder) for lot_class, funder in before}


async def lots(runtime: Runtime, api: Api, parent_id: Any) -> set[tuple[str, Any]]:
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows(
            "select lot_class, funder_id from accounts where tenant_id = $1 and parent_id = $2::uuid",
            api.tenant.id,
            str(parent_id),
        )
    return {(found[0], found[1]) for found in rows}


async def test_what_expires_expires_in_the_wallet_too(api: Api, runtime: Runtime, clock: Clock) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, 1000)
    await add_lot(runtime, api, held.id, "promotional", 200, T0 + DAY)
    await transfer(api, held.id, wallet_id)
    assert (await balance(api, wallet_id))["available"] == 1200
    clock.move(DAY)
    assert (await balance(api, wallet_id))["available"] == 1000


async def test_what_has_expired_does_not_move(api: Api, runtime: Runtime, clock: Clock) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, 1000)
    await add_lot(runtime, api, held.id, "promotional", 200, T0 + DAY)
    clock.move(DAY)
    assert (await transfer(api, held.id, wallet_id)).status == 200
    assert (await balance(api, wallet_id))["available"] == 1000


async def test_what_payments_hold_stays(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, 1000)
    await hold(runtime, api, held.id, 300)
    refused(await transfer(api, held.id, wallet_id, 701), 400, "InvalidRequest", AMOUNT)
    answer = await transfer(api, held.id, wallet_id)
    assert (answer.attributes["status"], answer.attributes["balance"]) == ("active", {"available": 0, "held": 300})
    assert (await balance(api, wallet_id))["available"] == 700
    refused(await transfer(api, held.id, wallet_id), 409, "InvalidState")
    assert await history(runtime, api, held.id) == [("issue", 1000, 1000), ("transfer", -700, 300)]


async def test_what_was_paid_for_pays_no_debt(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await owing(runtime, api, 500), await card(runtime, api, 1000)
    await transfer(api, held.id, wallet_id)
    shown = await balance(api, wallet_id)
    assert (shown["available"], shown["owed"]) == (1000, 500)


async def test_what_was_given_pays_the_debt_first_as_rewards_do(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await owing(runtime, api, 500), await card(runtime, api, 1000)
    await add_lot(runtime, api, held.id, "promotional", 300)
    await add_lot(runtime, api, held.id, "compensation", 300)
    answer = await transfer(api, held.id, wallet_id)
    assert answer.attributes["balance"]["available"] == 0
    shown = await balance(api, wallet_id)
    assert (shown["available"], shown["owed"]) == (1100, 0)
    assert sorted(await values(runtime, api, wallet_id)) == [("compensation", 100, None), ("paid", 1000, None)]


@pytest.mark.parametrize("status", ["pending", "frozen", "depleted", "expired", "cancelled", "replaced"])
async def test_only_an_active_card_gives(api: Api, runtime: Runtime, status: str) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, status=status)
    refused(await transfer(api, held.id, wallet_id), 409, "InvalidState")
    assert (await balance(api, wallet_id))["available"] == 0
    assert (await row(runtime, api, held.id)).version == 1


async def test_a_card_past_its_expiry_gives_nothing_though_the_books_have_not_moved(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api)
    await put_in(runtime, api, held.id, "active", expires_at=clock.now + DAY)
    clock.move(DAY)
    refused(await transfer(api, held.id, wallet_id), 409, "InvalidState")


async def test_only_an_active_wallet_takes(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    pending = await api.wallet("+12025550161", verified=False)
    suspended, closing, closed = [await api.wallet(f"+1202555016{n}") for n in (2, 3, 4)]
    await api.issue("+12025550163")
    await api.post(f"wallets/{suspended}/suspend")
    for wallet_id in (closing, closed):
        await api.post(f"wallets/{wallet_id}/close")
    for wallet_id, status in ((pending, "pending"), (suspended, "suspended"), (closing, "closing"), (closed, "closed")):
        answer = await transfer(api, held.id, wallet_id)
        refused(answer, 409, "InvalidState", WALLET)
        assert status in answer.body["errors"][0]["detail"]
    assert await values(runtime, api, held.id) == [("paid", 5000, None)]


async def test_value_stays_with_its_merchant(api: Api, runtime: Runtime) -> None:
    other = await luna(runtime, api.tenant, "Café Sol")
    wallet_id, held = await api.wallet(), await card(runtime, api, merchant_id=other.id)
    refused(await transfer(api, held.id, wallet_id), 400, "InvalidRequest", WALLET)


async def test_only_the_maker_moves_a_card_and_only_to_a_wallet_it_sees(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api)
    rival = await join(runtime, api.session, api.base_url, tenant=api.tenant)
    overseer = await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme")
    stranger = await join(runtime, api.session, api.base_url)
    narrow = await another_client(runtime, api, merchant_ids=(ids.new(),))
    for other in (rival, overseer, stranger, narrow):
        refused(await transfer(other, held.id, wallet_id), 404, "NotFound")
        refused(await transfer(other, ids.new(), wallet_id), 404, "NotFound")
    theirs = await card(runtime, Api(**{**vars(rival), "merchant_id": api.merchant_id}))
    for unseen in (wallet_id, str(ids.new()), "x", ""):
        refused(await transfer(rival, theirs.id, unseen), 400, "InvalidRequest", WALLET)
    reader = await another_client(runtime, api, scopes=frozenset({"gift-cards:read", "wallets:write"}))
    refused(await transfer(reader, held.id, wallet_id), 403, "InsufficientScope")


@pytest.mark.parametrize("amount", [0, -1, 2**31, 1.5, "5", True, [], {}])
async def test_an_amount_that_is_none_is_refused(api: Api, runtime: Runtime, amount: Any) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api)
    refused(await transfer(api, held.id, wallet_id, amount), 400, "InvalidRequest", AMOUNT)
    assert (await balance(api, wallet_id))["available"] == 0


@pytest.mark.parametrize("wallet_id", [1, None, True, [], {}, "x" * 101, "\u0000"])
async def test_a_wallet_that_is_no_text_is_refused(api: Api, runtime: Runtime, wallet_id: Any) -> None:
    held = await card(runtime, api)
    refused(await transfer(api, held.id, wallet_id), 400, "InvalidRequest", WALLET)


async def test_the_same_key_moves_once(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api, 1000)
    first = await transfer(api, held.id, wallet_id, 400, key="k")
    again = await transfer(api, held.id, wallet_id, 400, key="k")
    assert (again.text, header(again, "idempotent-replayed")) == (first.text, "true")
    refused(await transfer(api, held.id, wallet_id, 500, key="k"), 409, "IdempotencyConflict")
    assert (await balance(api, wallet_id))["available"] == 400
    refused(await transfer(api, held.id, wallet_id, 601, key="refused"), 400, "InvalidRequest")
    assert (await transfer(api, held.id, wallet_id, 600, key="refused")).status == 200


async def test_no_transfer_moves_value_twice(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, 1000)
    homes = [await api.wallet(f"+1202555016{n}") for n in range(4)]
    answers = await asyncio.gather(*(transfer(api, held.id, homes[n % 4], 300) for n in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [400] * 5
    found = [(await balance(api, wallet_id))["available"] for wallet_id in homes]
    assert sum(found) == 900
    assert await values(runtime, api, held.id) == [("paid", 100, None)]


async def test_a_transfer_a_till_and_a_freeze_at_once_lose_nothing(api: Api, runtime: Runtime) -> None:
    for freezes in (False, True):
        held, wallet_id = await card(runtime, api, 1000), await api.wallet(MIRA_PHONE if freezes else "+12025550161")
        work: list[Any] = [transfer(api, held.id, wallet_id, 200) for _ in range(4)]
        work += [redeem(runtime, api, held.id, 150) for _ in range(4)]
        if freezes:
            work.insert(3, put_in(runtime, api, held.id, "frozen"))
        outcomes = await asyncio.gather(*work)
        moved = sum(200 for outcome in outcomes if getattr(outcome, "status", None) == 200)
        spent = sum(150 for outcome in outcomes if outcome is True)
        assert (await balance(api, wallet_id))["available"] == moved
        found = await values(runtime, api, held.id)
        assert sum(value for _, value, _ in found) == 1000 - moved - spent >= 0
        told = await history(runtime, api, held.id)
        assert [after for _, _, after in told] == [
            sum(amount for _, amount, _ in told[: n + 1]) for n in range(len(told))
        ]
        versions = [number for _, number, _ in await story(api, str(held.id))]
        assert versions == list(range(1, len(versions) + 1))


async def test_a_transfer_waits_for_a_freeze_under_way_and_then_finds_it_frozen(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api)
    async with runtime.work(api.tenant) as work:
        found = (await store.lock(work, [held.id]))[held.id]
        waiting = asyncio.create_task(transfer(api, held.id, wallet_id))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await store.update(work, [replace(found, status="frozen", reason="stolen")])
    refused(await waiting, 409, "InvalidState")
    assert (await balance(api, wallet_id))["available"] == 0


async def test_a_transfer_waits_for_a_suspension_under_way(api: Api, runtime: Runtime) -> None:
    wallet_id, held = await api.wallet(), await card(runtime, api)
    async with runtime.work(api.tenant) as work:
        await wallets.hold(work, [UUID(wallet_id)])
        waiting = asyncio.create_task(transfer(api, held.id, wallet_id))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await work.db.run(
            "update wallets set status = 'suspended' where tenant_id = $1 and id = $2", work.tenant.id, UUID(wallet_id)
        )
    refused(await waiting, 409, "InvalidState", WALLET)


async def test_wallets_and_cards_crosswise_do_not_block_each_other(api: Api, runtime: Runtime) -> None:
    homes = [await api.wallet(f"+1202555016{n}") for n in range(3)]
    held = [await card(runtime, api, 900) for _ in range(3)]
    answers = await asyncio.gather(
        *(transfer(api, held[n % 3].id, homes[(n // 3) % 3], 100) for n in range(27)),
        *(api.issue(f"+1202555016{n % 3}", 50) for n in range(9)),
    )
    assert [answer.status for answer in answers] == [200] * 36
    assert [(await balance(api, wallet_id))["available"] for wallet_id in homes] == [1050] * 3
