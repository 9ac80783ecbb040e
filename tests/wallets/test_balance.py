"""What a wallet holds, now and at an instant, and its statement."""

from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from tallystick import ledger, wallets
from tallystick.base import ids
from tallystick.ledger import Journal, NewAccount, Transfer
from tallystick.merchants import Merchant
from tallystick.rewards import ReverseReward, reverse
from tallystick.wallets import Balance, Line
from tests.conftest import Clock
from tests.customers.cast import Partner, answered
from tests.wallets.spending import hold, lots, release, spend
from tests.world import T0

DAY = timedelta(days=1)


async def at(partner: Partner, wallet_id: UUID, instant: datetime) -> Balance:
    async with partner.runtime.reading(partner.tenant) as work:
        return await wallets.balance_at(work, (await wallets.by_ids(work, [wallet_id]))[wallet_id], instant)


async def now(partner: Partner, wallet_id: UUID) -> Balance:
    async with partner.runtime.reading(partner.tenant) as work:
        return (await wallets.balances(work, [wallet_id]))[wallet_id]


async def statement(partner: Partner, wallet_id: UUID, offset: int = 0, limit: int = 50) -> tuple[list[Line], int]:
    async with partner.runtime.reading(partner.tenant) as work:
        return await wallets.lines(work, wallet_id, offset, limit)


async def test_a_balance_parts_what_is_free_from_what_is_held(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    assert await now(harbour, wallet_id) == Balance()
    await harbour.reward(luna, 500)
    await harbour.reward(luna, 300)
    (first, _), _ = await lots(harbour, wallet_id)
    hold_id = await hold(harbour, first, 120)
    assert await now(harbour, wallet_id) == Balance(available=680, held=120)
    await release(harbour, hold_id)
    await spend(harbour, first, 500)
    assert await now(harbour, wallet_id) == Balance(available=300)


async def test_a_holder_who_spent_what_is_taken_back_owes_it_and_never_sees_less_than_nothing(
    harbour: Partner, luna: Merchant, clock: Clock
) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    await harbour.reward(luna, 500)
    ((lot_id, _),) = await lots(harbour, wallet_id)
    await spend(harbour, lot_id, 400)
    async with harbour.runtime.reading(harbour.tenant) as work:
        reward_id = await work.db.value("select id from rewards where tenant_id = $1", harbour.tenant.id)
    clock.move(DAY)
    answered((await harbour.do(reverse, ReverseReward(harbour.asked(), reward_id)))[0])
    assert await now(harbour, wallet_id) == Balance(owed=400)
    assert await at(harbour, wallet_id, T0) == Balance(available=100)
    assert await at(harbour, wallet_id, T0 + DAY) == Balance(owed=400)
    await harbour.reward(luna, 600)
    assert await now(harbour, wallet_id) == Balance(available=200)


async def test_the_past_stays_as_it_was(harbour: Partner, luna: Merchant, clock: Clock) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    clock.move(DAY)
    await harbour.reward(luna, 500)
    ((lot_id, _),) = await lots(harbour, wallet_id)
    clock.move(DAY)
    hold_id = await hold(harbour, lot_id, 200)
    clock.move(DAY)
    await release(harbour, hold_id)
    await spend(harbour, lot_id, 50)
    past = [await at(harbour, wallet_id, T0 + DAY * n) for n in range(5)]
    assert past == [
        Balance(),
        Balance(available=500),
        Balance(available=300, held=200),
        Balance(available=450),
        Balance(available=450),
    ]
    assert await at(harbour, wallet_id, T0 + DAY - timedelta(milliseconds=1)) == Balance()


async def test_value_past_its_expiry_is_no_value_though_the_books_still_have_it(
    harbour: Partner, luna: Merchant, clock: Clock
) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    async with harbour.runtime.work(harbour.tenant) as work:
        funder_id = luna.receivable_account_id
        lot = NewAccount(
            ids.new(), luna.id, "USD", "wallet.lot", ids.new(), wallet_id, "promotional", funder_id, T0 + DAY, floor=0
        )
        transfer = Transfer(funder_id, lot.id, 900)
        journal = Journal(ids.new(), "reward.issue", ids.new(), luna.id, "USD", (transfer,))
        assert await ledger.post(work, [journal], opening=[lot]) == ["posted"]
    assert await now(harbour, wallet_id) == Balance(available=900)
    clock.move(DAY)
    assert await now(harbour, wallet_id) == Balance()
    assert await at(harbour, wallet_id, T0 + DAY) == Balance()
    assert await at(harbour, wallet_id, T0 + DAY - timedelta(milliseconds=1)) == Balance(available=900)


async def test_a_statement_has_every_movement_newest_first_with_the_balance_after_it(
    harbour: Partner, luna: Merchant, clock: Clock
) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    for amount in (500, 300):
        await harbour.reward(luna, amount)
        clock.move(DAY)
    (first, _), (second, _) = await lots(harbour, wallet_id)
    await spend(harbour, second, 300)
    clock.move(DAY)
    await spend(harbour, first, 100)
    lines, total = await statement(harbour, wallet_id)
    assert total == 4
    assert [(line.account_id, line.amount, line.balance_after, line.kind, line.at) for line in lines] == [
        (first, -100, 400, "redemption.capture", T0 + 3 * DAY),
        (second, -300, 500, "redemption.capture", T0 + 2 * DAY),
        (second, 300, 800, "reward.issue", T0 + DAY),
        (first, 500, 500, "reward.issue", T0),
    ]
    assert {line.lot_class for line in lines} == {"compensation"}
    assert await statement(harbour, wallet_id, 1, 2) == (lines[1:3], 4)
    assert await statement(harbour, wallet_id, 4, 2) == ([], 4)


async def test_a_statement_of_one_instant_is_in_order_and_never_below_zero(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    for amount in (500, 300, 200):
        await harbour.reward(luna, amount)
        for lot_id, balance in await lots(harbour, wallet_id):
            if balance:
                await spend(harbour, lot_id, balance)
    lines, total = await statement(harbour, wallet_id)
    assert total == 6
    assert min(line.balance_after for line in lines) >= 0
    assert lines[0].balance_after == 0
    for newer, older in pairwise(lines):
        assert newer.balance_after == older.balance_after + newer.amount


async def test_a_statement_shows_nobody_elses_lots(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    other_id = await harbour.wallet((await harbour.create(phone="+12025550199", phone_verified=True)).resource_id, luna)
    await harbour.reward(luna, 500)
    assert (await statement(harbour, wallet_id))[1] == 1
    assert await statement(harbour, other_id) == ([], 0)
    assert await now(harbour, other_id) == Balance()
