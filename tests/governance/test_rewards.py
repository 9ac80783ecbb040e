"""Rewards under quotas: what is given counts once, and what is refused leaves nothing but its count."""

import asyncio
from dataclasses import replace
from uuid import UUID

from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.rewards import run_batches
from tests.api import Api, document_of, luna
from tests.governance.cast import REWARDS, agree, give, given, line, used, wish
from tests.rewards.cast import cancel, configure, refused, reverse, update


async def agreed(runtime: Runtime, api: Api, included: int = 1_000) -> None:
    await agree(runtime, api.tenant, api.partner_id, line(REWARDS, included))


async def counted(runtime: Runtime, api: Api) -> tuple[int, int]:
    rows = await used(runtime, api.tenant, api.partner_id)
    assert len(rows) <= 1
    return (rows[0][1], rows[0][2]) if rows else (0, 0)


async def test_a_reward_beyond_the_quota_is_refused_and_leaves_its_count_alone(runtime: Runtime, api: Api) -> None:
    await agreed(runtime, api)
    assert (await api.issue(amount=900)).status == 200
    stranger, key = "+12025550199", str(ids.new())
    before = await rows_of(runtime, api)
    answer = await api.issue(stranger, 101, key)
    refused(answer, 409, "QuotaExceeded", "/data/attributes/amount")
    detail = answer.body["errors"][0]["detail"]
    assert detail == (
        "Your quota of rewards.value for this month holds 1000 minor units of USD, of which 900 are used; 101 more do not fit. "
        "Ask for less, wait until it begins anew at 2026-04-01T04:00:00.000Z, or agree on a higher quota with the operator."
    )
    assert await rows_of(runtime, api) == before
    assert await counted(runtime, api) == (900, 101)
    assert (await api.issue(stranger, 100, key)).status == 200
    assert await counted(runtime, api) == (1_000, 101)


async def rows_of(runtime: Runtime, api: Api) -> list[int]:
    """How many rows there are of all that a reward leaves."""
    tables = ("rewards", "idempotency_keys", "recipients", "events", "journals", "accounts", "entries")
    async with runtime.reading(api.tenant) as work:
        return [
            await work.db.value(f"select count(*) from {table} where tenant_id = $1", api.tenant.id) for table in tables
        ]


async def test_a_replay_uses_nothing_and_is_answered_though_nothing_is_left(runtime: Runtime, api: Api) -> None:
    await agreed(runtime, api, 500)
    first = await api.issue(amount=500, key="once")
    again = await asyncio.gather(*(api.issue(amount=500, key="once") for _ in range(5)))
    assert {answer.text for answer in again} == {first.text}
    assert await counted(runtime, api) == (500, 0)


async def test_what_is_refused_for_another_reason_uses_nothing(runtime: Runtime, api: Api) -> None:
    await agreed(runtime, api)
    await configure(runtime, api, reward_maximum=100)
    refused(await api.issue(amount=101), 400, "InvalidRequest")
    await configure(runtime, api, reward_maximum=None, pre_issuing=False)
    refused(await api.issue(amount=100), 400, "WalletNotFound")
    await configure(runtime, api, pre_issuing=True, credit_limit=50)
    refused(await api.issue(amount=100), 409, "InsufficientFunding")
    assert await counted(runtime, api) == (0, 0)


async def test_forty_rivals_for_several_merchants_give_exactly_what_was_agreed(
    runtimes: tuple[Runtime, Runtime], api: Api
) -> None:
    runtime = runtimes[0]
    shops = [(await luna(runtime, api.tenant, f"Luna {n}")).id for n in range(8)]
    await agreed(runtime, api, 1_050)
    commands = [wish(api, shops[n % 8], f"+1202555{1000 + n}", 40 + n % 3) for n in range(40)]
    answers = await asyncio.gather(
        *(give(runtimes[n % 2], api.tenant, commands[n : n + 2]) for n in range(0, len(commands), 2))
    )
    outcomes = [getattr(each, "reward_id", each) for answer in answers for each in answer]
    taken = sum(c.amount for c, o in zip(commands, outcomes, strict=True) if isinstance(o, UUID))
    given([1 if isinstance(outcome, UUID) else outcome for outcome in outcomes])
    assert 1_050 - 40 < taken <= 1_050
    assert await counted(runtime, api) == (taken, sum(c.amount for c in commands) - taken)
    async with runtime.reading(api.tenant) as work:
        total = await work.db.value("select sum(amount) from rewards where tenant_id = $1", api.tenant.id)
    assert total == taken


async def test_a_larger_reward_uses_the_difference_and_a_smaller_one_gives_nothing_back(
    runtime: Runtime, api: Api
) -> None:
    await agreed(runtime, api)
    reward_id = (await api.issue(amount=400)).data["id"]
    assert (await update(api, reward_id, amount=700)).status == 200
    assert await counted(runtime, api) == (700, 0)
    assert (await update(api, reward_id, amount=300)).status == 200
    assert (await update(api, reward_id, message="Thanks")).status == 200
    assert await counted(runtime, api) == (700, 0)
    refused(await update(api, reward_id, amount=601), 409, "QuotaExceeded", "/data/attributes/amount")
    assert await counted(runtime, api) == (700, 301)
    assert (await api.get(f"rewards/{reward_id}")).attributes["amount"] == 300
    assert (await update(api, reward_id, amount=600)).status == 200
    assert await counted(runtime, api) == (1_000, 301)


async def test_a_larger_reward_that_the_funding_does_not_cover_uses_nothing(runtime: Runtime, api: Api) -> None:
    await agreed(runtime, api)
    reward_id = (await api.issue(amount=400)).data["id"]
    await configure(runtime, api, credit_limit=500)
    refused(await update(api, reward_id, amount=700), 409, "InsufficientFunding")
    assert await counted(runtime, api) == (400, 0)


async def test_what_was_given_stays_used_when_it_is_taken_back(runtime: Runtime, api: Api) -> None:
    await agreed(runtime, api)
    await api.wallet()
    credited = (await api.issue(amount=400)).data["id"]
    waiting = (await api.issue("+12025550177", 300)).data["id"]
    assert (await reverse(api, credited)).status == 200
    assert (await cancel(api, waiting)).status == 204
    assert await counted(runtime, api) == (700, 0)
    refused(await api.issue(amount=301), 409, "QuotaExceeded")


async def test_lines_of_a_batch_stop_where_the_quota_ends(runtime: Runtime, api: Api) -> None:
    await agreed(runtime, api)
    people = [{"phoneNumber": f"+1202555{2000 + n}", "amount": 300} for n in range(5)]
    accepted = await api.post("reward-batches", document_of("RewardBatch", idempotencyKey="b", recipients=people))
    assert accepted.status == 202, accepted.text
    while await run_batches(runtime):
        pass
    batch = (await api.get(f"reward-batches/{accepted.data['id']}")).attributes
    assert (batch["succeeded"], batch["failed"]) == (3, 2)
    assert await counted(runtime, api) == (900, 600)


async def test_production_is_counted_by_itself(runtime: Runtime, api: Api) -> None:
    await agreed(runtime, api, 100)
    refused(await api.issue(amount=101), 409, "QuotaExceeded")
    async with runtime.pool.lend() as db:
        row = await db.row(
            "select id from tenants where programme_id = $1 and environment = 'production'", api.tenant.programme_id
        )
    assert row is not None
    tenant = replace(api.tenant, id=row[0], environment="production")
    shop = await luna(runtime, tenant)
    outcomes = await give(runtime, tenant, [wish(replace(api, tenant=tenant), shop.id, "+12025550100", 5_000)])
    assert [getattr(each, "code", "given") for each in outcomes] == ["given"]
    assert await used(runtime, tenant, api.partner_id) == []
