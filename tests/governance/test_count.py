"""Counting exactly: whoever comes at once, never a unit over, and nothing refused that fits."""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

import pytest

from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.errors import Refusal
from tallystick.base.work import Contended, Runtime, Tenant, Work
from tallystick.governance import quotas
from tests.governance.cast import (
    CARDS,
    REWARDS,
    Take,
    agree,
    given,
    line,
    priced,
    rivals,
    take,
    used,
)


@pytest.fixture
def partner_id() -> UUID:
    return ids.new()


async def test_of_forty_rivals_as_many_take_as_there_is(runtime: Runtime, tenant: Tenant, partner_id: UUID) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 23))
    outcomes = await rivals([runtime], tenant, [[Take(partner_id, 1)]] * 40)
    assert given(outcomes) == [1] * 23
    assert await used(runtime, tenant, partner_id) == [(CARDS, 23, 17)]


@pytest.mark.parametrize("seed", range(6))
async def test_two_processes_at_the_edge_never_take_a_unit_too_much_and_leave_none_that_fits(
    runtimes: tuple[Runtime, Runtime], tenant: Tenant, partner_id: UUID, seed: int
) -> None:
    drawn = random.Random(seed)
    most, before = drawn.randrange(300, 900), drawn.randrange(0, 250)
    await agree(runtimes[0], tenant, partner_id, priced(CARDS, 100, cap=most))
    assert given(await rivals(runtimes, tenant, [[Take(partner_id, before)]])) == [before]
    batches = [[Take(partner_id, drawn.randrange(1, 60)) for _ in range(drawn.randrange(1, 4))] for _ in range(40)]
    outcomes = await rivals(runtimes, tenant, batches)
    taken = given(outcomes)
    asked = [each.amount for batch in batches for each in batch]
    refused = [amount for amount, outcome in zip(asked, outcomes, strict=True) if isinstance(outcome, Refusal)]
    total = before + sum(taken)
    assert await used(runtimes[0], tenant, partner_id) == [(CARDS, total, sum(refused))]
    assert most - min(refused, default=60) < total <= most


async def test_rivals_of_two_partners_and_two_quotas_each_stop_where_their_own_ends(
    runtimes: tuple[Runtime, Runtime], tenant: Tenant
) -> None:
    first, second = ids.new(), ids.new()
    await agree(runtimes[0], tenant, first, line(CARDS, 30), line(CARDS, 25, period="day"))
    await agree(runtimes[0], tenant, second, line(CARDS, 19, period="year"), line(REWARDS, 7_000))
    batches = [
        [Take(first, 1), Take(second, 1), Take(second, 300, REWARDS, "USD")][:: 1 if n % 2 else -1] for n in range(40)
    ]
    given(await rivals(runtimes, tenant, batches))
    assert await used(runtimes[0], tenant, first) == [(CARDS, 25, 0), (CARDS, 25, 15)]
    assert await used(runtimes[0], tenant, second) == [(CARDS, 19, 21), (REWARDS, 6_900, 17 * 300)]


async def test_far_from_the_limit_nobody_waits(runtime: Runtime, tenant: Tenant, partner_id: UUID) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 1_000))
    await rivals([runtime], tenant, [[Take(partner_id, 1)]])
    async with runtime.work(tenant) as slow:
        assert await take(slow, [Take(partner_id, 100)]) == [100]
        assert given(await rivals([runtime], tenant, [[Take(partner_id, 100)]] * 3)) == [100] * 3
        assert await used(runtime, tenant, partner_id) == [(CARDS, 301, 0)]
    assert await used(runtime, tenant, partner_id) == [(CARDS, 401, 0)]


async def test_near_the_limit_who_comes_second_waits_and_sees_what_is_left(
    runtime: Runtime, tenant: Tenant, partner_id: UUID
) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 1_000))
    await rivals([runtime], tenant, [[Take(partner_id, 980)]])
    begun = 0

    async def begin(work: Work, commands: Sequence[Take]) -> list[int | Refusal]:
        nonlocal begun
        begun += 1
        return await take(work, commands)

    async with runtime.work(tenant) as first:
        assert await take(first, [Take(partner_id, 15)]) == [15]
        second = asyncio.create_task(run_batch(runtime, begin, tenant, [Take(partner_id, 10), Take(partner_id, 5)]))
        await asyncio.sleep(0.1)
        assert not second.done()
    refused, taken = await second
    assert isinstance(refused, Refusal)
    assert (refused.code, taken, begun) == ("QuotaExceeded", 5, 1)
    assert "995 are used" in refused.detail
    assert await used(runtime, tenant, partner_id) == [(CARDS, 1_000, 10)]


async def test_who_rolls_back_leaves_what_was_taken_to_the_next(
    runtime: Runtime, tenant: Tenant, partner_id: UUID
) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 10))

    async def take_all_and_fail() -> None:
        async with runtime.work(tenant) as work:
            assert await take(work, [Take(partner_id, 10)]) == [10]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await take_all_and_fail()
    assert given(await rivals([runtime], tenant, [[Take(partner_id, 10)]])) == [10]
    assert await used(runtime, tenant, partner_id) == [(CARDS, 10, 0)]


async def test_with_nothing_left_nobody_waits_for_a_refusal(runtime: Runtime, tenant: Tenant, partner_id: UUID) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 10))
    await rivals([runtime], tenant, [[Take(partner_id, 10)]])
    async with runtime.work(tenant) as slow:
        assert isinstance((await take(slow, [Take(partner_id, 1)]))[0], Refusal)
        assert given(await rivals([runtime], tenant, [[Take(partner_id, 1)]] * 3)) == []
    assert await used(runtime, tenant, partner_id) == [(CARDS, 10, 4)]


async def test_who_decided_by_what_has_changed_since_is_undone_and_done_anew(
    runtime: Runtime, tenant: Tenant, partner_id: UUID
) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 1_000))

    async def take_slowly() -> None:
        async with runtime.work(tenant) as work:
            assert await take(work, [Take(partner_id, 600)]) == [600]
            assert given(await rivals([runtime], tenant, [[Take(partner_id, 500)]])) == [500]

    with pytest.raises(Contended):
        await take_slowly()
    assert await used(runtime, tenant, partner_id) == [(CARDS, 500, 0)]
    begun = 0

    async def overtaken(work: Work, commands: Sequence[Take]) -> list[int | Refusal]:
        nonlocal begun
        begun += 1
        outcomes = await take(work, commands)
        if begun == 1:
            await rivals([runtime], tenant, [[Take(partner_id, 400)]])
        return outcomes

    outcomes = await run_batch(runtime, overtaken, tenant, [Take(partner_id, 300), Take(partner_id, 100)])
    assert begun == 2
    assert given(outcomes) == [100]
    assert await used(runtime, tenant, partner_id) == [(CARDS, 1_000, 300)]


async def test_every_quota_of_the_metric_must_hold_it_and_none_is_taken_from_where_one_does_not(
    runtime: Runtime, tenant: Tenant, partner_id: UUID
) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 100), line(CARDS, 30, period="day"))
    outcomes = await rivals([runtime], tenant, [[Take(partner_id, 25), Take(partner_id, 10), Take(partner_id, 5)]])
    assert given(outcomes) == [25, 5]
    assert outcomes[1].detail.startswith(
        "Your quota of giftCards.count for this day holds 30, of which 25 are used; 10 "
    )
    assert await used(runtime, tenant, partner_id) == [(CARDS, 30, 0), (CARDS, 30, 10)]


async def test_another_metric_currency_or_partner_has_a_quota_of_its_own(
    runtime: Runtime, tenant: Tenant, partner_id: UUID
) -> None:
    await agree(runtime, tenant, partner_id, line(REWARDS, 10, currency="EUR"))
    free = [Take(partner_id, 50), Take(partner_id, 50, REWARDS, "USD"), Take(ids.new(), 50, REWARDS, "EUR")]
    assert given(await rivals([runtime], tenant, [[*free, Take(partner_id, 50, REWARDS, "EUR")]])) == [50, 50, 50]
    assert await used(runtime, tenant, partner_id) == [(REWARDS, 0, 50)]


async def test_a_cap_bounds_all_and_a_notice_bounds_nothing(runtime: Runtime, tenant: Tenant, partner_id: UUID) -> None:
    await agree(
        runtime, tenant, partner_id, priced(CARDS, 10, cap=15), line(REWARDS, 10, beyond="notify"),
        priced("transactions.count", 0, cap=None),
    )  # fmt: skip
    assert given(await rivals([runtime], tenant, [[Take(partner_id, 15), Take(partner_id, 1)]])) == [15]
    huge = 2**31 - 1
    assert given(await rivals([runtime], tenant, [[Take(partner_id, huge, REWARDS, "USD")] * 3])) == [huge] * 3
    assert given(await rivals([runtime], tenant, [[Take(partner_id, huge, "transactions.count")]])) == [huge]
    assert await used(runtime, tenant, partner_id) == [
        (CARDS, 15, 1), (REWARDS, 3 * huge, 0), ("transactions.count", huge, 0),
    ]  # fmt: skip


async def test_who_has_agreed_on_nothing_is_bound_by_nothing_and_leaves_no_row(
    runtime: Runtime, tenant: Tenant, partner_id: UUID
) -> None:
    async with runtime.work(tenant) as work:
        found = await quotas.look(work, [(partner_id, CARDS), (partner_id, REWARDS)])
        assert found.take(partner_id, CARDS, 2**31 - 1) is None
        quotas.count(work, found)
        assert work.counted == []
    assert await used(runtime, tenant, partner_id) == []


async def test_what_is_given_back_in_the_same_work_is_not_used(
    runtime: Runtime, tenant: Tenant, partner_id: UUID
) -> None:
    await agree(runtime, tenant, partner_id, line(CARDS, 10))
    async with runtime.work(tenant) as work:
        found = await quotas.look(work, [(partner_id, CARDS)])
        assert found.take(partner_id, CARDS, 9) is None
        found.give_back(partner_id, CARDS, 9)
        assert found.take(partner_id, CARDS, 10) is None
        quotas.count(work, found)
    assert await used(runtime, tenant, partner_id) == [(CARDS, 10, 0)]
