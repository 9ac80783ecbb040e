"""What a wallet holds, lot by lot; and that no balance is ever below nothing."""

from datetime import timedelta
from uuid import UUID

from tallystick import ledger, wallets
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.ledger import Hold, Journal, NewAccount, Transfer
from tests import world
from tests.api import Api
from tests.conftest import Clock
from tests.rewards.cast import balance, configure, refused
from tests.wallets.cast import as_of, give, hold, house, lots, only_lot, post, release

DAY = timedelta(days=1)


async def test_lots_are_listed_in_the_order_in_which_they_are_spent(runtime: Runtime, api: Api, clock: Clock) -> None:
    wallet_id = await api.wallet()
    made = {
        name: await give(runtime, api, wallet_id, amount, lot_class, expires_at)  # type: ignore[arg-type]
        for name, amount, lot_class, expires_at in (
            ("paid for ever", 10, "paid", None),
            ("later", 20, "promotional", world.T0 + 9 * DAY),
            ("soon, paid", 30, "paid", world.T0 + 3 * DAY),
            ("soon, back from a refund", 40, "refund", world.T0 + 3 * DAY),
            ("soon, promised", 50, "compensation", world.T0 + 3 * DAY),
            ("soon, given", 60, "promotional", world.T0 + 3 * DAY),
        )
    }
    order = [lot["id"] for lot in await lots(api, wallet_id)]
    names = {str(lot_id): name for name, lot_id in made.items()}
    assert [names[each] for each in order] == [
        "soon, given",
        "soon, promised",
        "soon, back from a refund",
        "soon, paid",
        "later",
        "paid for ever",
    ]
    async with runtime.reading(api.tenant) as work:
        burnt = ledger.lots.burn_order(await ledger.lots.of_parents(work, [UUID(wallet_id)]), work.now)
    assert [str(lot.id) for lot in burnt] == order
    clock.move(3 * DAY)
    assert [names[lot["id"]] for lot in await lots(api, wallet_id)] == ["later", "paid for ever"]


async def test_a_lot_says_what_can_be_spent_and_what_is_held_and_a_spent_one_is_not_there(
    runtime: Runtime, api: Api
) -> None:
    await configure(runtime, api, value_days=30)
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    lot_id = await only_lot(api, wallet_id)
    await hold(runtime, api, lot_id, 120)
    spent = await give(runtime, api, wallet_id, 10)
    await post(runtime, api, "payment.capture", Transfer(spent, house(api, "merchant.payable"), 10))
    assert await lots(api, wallet_id) == [
        {
            "id": str(lot_id),
            "valueClass": "compensation",
            "available": 380,
            "held": 120,
            "currency": "USD",
            "expiresAt": "2026-04-01T09:00:00.000Z",
            "createdAt": "2026-03-02T09:00:00.000Z",
        }
    ]


async def test_lots_come_by_pages(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    for day in range(1, 4):
        await give(runtime, api, wallet_id, day, expires_at=world.T0 + day * DAY)
    page = await api.get(f"wallets/{wallet_id}/lots?page[limit]=2&page[offset]=1")
    assert [one["attributes"]["available"] for one in page.data] == [2, 3]
    assert page.body["meta"] == {"total": 3, "limit": 2, "offset": 1}
    assert (await api.get(f"wallets/{wallet_id}/lots?page[offset]=3")).data == []


async def test_the_lots_of_a_foreign_wallet_are_those_of_a_missing_one(runtime: Runtime, api: Api) -> None:
    refused(await api.get(f"wallets/{ids.new()}/lots"), 404, "NotFound")
    refused(await api.get("wallets/7/lots"), 404, "NotFound")


async def test_a_refund_that_comes_after_the_expiry_lives_by_its_own(runtime: Runtime, api: Api, clock: Clock) -> None:
    wallet_id = await api.wallet()
    first = await give(runtime, api, wallet_id, 100, expires_at=world.T0 + DAY)
    payable = house(api, "merchant.payable")
    await post(runtime, api, "payment.capture", Transfer(first, payable, 100))
    clock.move(2 * DAY)
    assert api.merchant_id is not None
    grace = NewAccount(
        ids.new(), api.merchant_id, "USD", "wallet.lot", ids.new(), UUID(wallet_id), "paid", None,
        clock.now + 30 * DAY, floor=0,
    )  # fmt: skip
    await post(runtime, api, "payment.refund", Transfer(payable, grace.id, 60), opening=grace)
    assert (await balance(api, wallet_id))["available"] == 60
    assert [lot["id"] for lot in await lots(api, wallet_id)] == [str(grace.id)]
    clock.move(30 * DAY)
    assert (await balance(api, wallet_id))["available"] == 0
    assert (await as_of(api, wallet_id, "2026-04-03T08:59:59.999Z"))["available"] == 60
    assert (await as_of(api, wallet_id, "2026-03-03T12:00:00.000Z"))["available"] == 0


async def test_a_hold_from_a_clock_that_lags_never_makes_the_past_negative(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    wallet_id = await api.wallet()
    clock.move(timedelta(seconds=1))
    lot_id = await give(runtime, api, wallet_id, 100)
    async with runtime.work(api.tenant, at=world.T0) as work:
        assert await ledger.hold(work, [Hold(ids.new(), lot_id, 80, ids.new())]) == ["held"]
    for instant in ("2026-03-02T09:00:00.000Z", "2026-03-02T09:00:00.500Z"):
        assert await as_of(api, wallet_id, instant) == {"available": 0, "pending": 0, "held": 0, "owed": 0}
    assert await as_of(api, wallet_id, "2026-03-02T09:00:01.000Z") == {
        "available": 20, "pending": 0, "held": 80, "owed": 0,
    }  # fmt: skip


KINDS = (
    "card.transfer",
    "lot.expire",
    "payment.capture",
    "payment.refund",
    "reward.claim",
    "reward.issue",
    "reward.reverse",
    "wallet.merge",
    "wallet.unmerge",
)


async def test_a_statement_names_every_kind_of_movement(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    lot_id = await give(runtime, api, wallet_id, 100)
    payable = house(api, "merchant.payable")
    for kind in KINDS:
        await post(runtime, api, kind, Transfer(lot_id, payable, 1))
    page = await api.get(f"wallets/{wallet_id}/transactions?page[limit]=50")
    assert {one["attributes"]["kind"] for one in page.data} == set(KINDS)
    assert page.data[0]["attributes"]["balanceAfter"] == 100 - len(KINDS)


async def test_a_closing_wallet_gives_but_takes_nothing_and_closes_when_it_is_drained(
    runtime: Runtime, api: Api, auditor: Db
) -> None:
    wallet_id = await api.wallet()
    await api.issue(amount=500)
    lot_id = await only_lot(api, wallet_id)
    hold_id = await hold(runtime, api, lot_id, 500)
    assert (await api.post(f"wallets/{wallet_id}/close")).attributes["status"] == "closing"
    refused(await api.issue(), 409, "WalletNotIssuable")
    assert (await api.get(f"wallets/{wallet_id}/lots")).data != []
    await release(runtime, api, hold_id, lot_id)
    for amount, status in ((499, "closing"), (1, "closed")):
        transfer = Transfer(lot_id, house(api, "merchant.payable"), amount)
        async with runtime.work(api.tenant) as work:
            assert api.merchant_id is not None
            journal = Journal(ids.new(), "payment.capture", ids.new(), api.merchant_id, "USD", (transfer,))
            assert await ledger.post(work, [journal]) == ["posted"]
            await wallets.close_drained(work, [UUID(wallet_id)])
        assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == status
