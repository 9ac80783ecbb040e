"""The rate limit of a client: exact in one process, shared between several."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import partners
from tallystick.base import ids
from tallystick.base.db import Pool
from tallystick.base.errors import Unavailable
from tallystick.base.work import Caller, Runtime, Tenant
from tests import world

Owner = asyncpg.Connection


class Time:
    """Real time and the machine's own clock, moved together."""

    def __init__(self) -> None:
        self.passed = 0.0

    def ticks(self) -> float:
        return 1000.0 + self.passed

    def clock(self) -> datetime:
        return world.T0 + timedelta(seconds=self.passed)


@pytest.fixture
def time() -> Time:
    return Time()


def caller(per_minute: int, burst: int) -> Caller:
    tenant = Tenant(ids.new(), ids.new(), "sandbox")
    return Caller(tenant, ids.new(), ids.new(), frozenset(), None, False, per_minute, burst)


@pytest.fixture
def limiter(runtime: Runtime, time: Time) -> partners.Limiter:
    return partners.Limiter(runtime.pool, time.clock, ticks=time.ticks)


def taken(limiter: partners.Limiter, of: Caller, tries: int) -> int:
    """How many of so many requests at once are taken."""
    return sum(limiter.take(of).refused is None for _ in range(tries))


async def test_a_burst_is_taken_and_then_one_for_each_interval(limiter: partners.Limiter, time: Time) -> None:
    client = caller(600, 20)
    assert taken(limiter, client, 50) == 20
    time.passed += 0.1
    assert taken(limiter, client, 5) == 1
    time.passed += 1
    assert taken(limiter, client, 50) == 10
    time.passed += 60
    assert taken(limiter, client, 50) == 20


async def test_the_headers_say_what_is_left_and_when_it_is_whole(limiter: partners.Limiter, time: Time) -> None:
    client = caller(60, 3)
    assert limiter.take(client).headers == (
        ("ratelimit-policy", '"default";q=60;w=60'),
        ("ratelimit", '"default";r=2;t=1'),
    )
    assert limiter.take(client).headers[1] == ("ratelimit", '"default";r=1;t=2')
    assert limiter.take(client).headers[1] == ("ratelimit", '"default";r=0;t=3')
    time.passed += 1.5
    assert limiter.take(client).headers[1] == ("ratelimit", '"default";r=0;t=3')


async def test_a_refusal_says_when_to_come_back_and_then_it_is_taken(limiter: partners.Limiter, time: Time) -> None:
    client = caller(6, 2)
    taken(limiter, client, 2)
    time.passed += 2.5
    refusal = limiter.take(client)
    assert refusal.refused is not None
    assert refusal.headers[1] == ("ratelimit", '"default";r=0;t=8')
    assert refusal.refused.headers == (("retry-after", "8"),)
    time.passed += 8
    assert limiter.take(client).refused is None


async def test_a_refused_request_costs_nothing(limiter: partners.Limiter, time: Time) -> None:
    client = caller(60, 1)
    taken(limiter, client, 1000)
    time.passed += 1
    assert limiter.take(client).refused is None


async def test_clients_do_not_spend_each_others_limit(limiter: partners.Limiter) -> None:
    first, second = caller(60, 5), caller(60, 5)
    assert taken(limiter, first, 9) == 5
    assert taken(limiter, second, 9) == 5


async def test_a_changed_limit_holds_at_once_and_what_was_taken_stays_taken(
    limiter: partners.Limiter, time: Time
) -> None:
    client = caller(60, 10)
    assert taken(limiter, client, 10) == 10
    assert taken(limiter, replace(client, rate_burst=15), 20) == 5
    assert taken(limiter, replace(client, rate_per_minute=600, rate_burst=15), 20) == 0
    time.passed += 0.1
    assert taken(limiter, replace(client, rate_per_minute=600, rate_burst=15), 20) == 1


@settings(max_examples=60)
@given(
    per_minute=st.integers(1, 1_000_000),
    burst=st.integers(1, 50),
    waits=st.lists(st.floats(0, 3), min_size=1, max_size=120),
)
def test_in_any_window_no_more_is_taken_than_burst_and_rate_allow(
    per_minute: int, burst: int, waits: list[float]
) -> None:
    time, client = Time(), caller(per_minute, burst)
    limiter = partners.Limiter(Pool("postgresql://nowhere", 1), time.clock, ticks=time.ticks)
    at = []
    for wait in waits:
        time.passed += wait / per_minute * 60
        if limiter.take(client).refused is None:
            at.append(time.passed)
    for first in range(len(at)):
        for last in range(first, len(at)):
            allowed = burst + (at[last] - at[first]) * per_minute / 60 + 1e-3
            assert last - first + 1 <= allowed


async def test_two_processes_share_one_limit(runtime: Runtime, time: Time) -> None:
    limiters = [partners.Limiter(runtime.pool, time.clock, ticks=time.ticks) for _ in range(2)]
    client = caller(6_000, 100)
    assert taken(limiters[0], client, 60) == 60
    assert taken(limiters[1], client, 60) == 60
    for limiter in (*limiters, *limiters):
        await limiter.share()
    # Together they took 20 too many in one interval; that is paid back first.
    assert taken(limiters[1], client, 5) == 0
    time.passed += 0.2
    assert taken(limiters[1], client, 5) == 0
    time.passed += 0.05
    assert taken(limiters[1], client, 9) == 5
    await limiters[1].share()
    time.passed += 60
    assert sum(taken(limiter, client, 500) for limiter in limiters) == 200


async def test_over_a_minute_processes_together_take_the_rate_and_the_overshoot_of_one_interval(
    runtime: Runtime, time: Time
) -> None:
    limiters = [partners.Limiter(runtime.pool, time.clock, ticks=time.ticks) for _ in range(3)]
    client, total = caller(6_000, 50), 0
    for step in range(240):
        for limiter in limiters:
            total += taken(limiter, client, 40)
        time.passed += 0.125
        if step % 2:
            for limiter in limiters:
                await limiter.share()
    # 30 s at 100 a second, the burst, and what two other processes took in one interval: a burst and a quarter second's rate each.
    assert 3_000 <= total <= 3_000 + 50 + 2 * (50 + 25)


async def test_sharing_takes_nothing_from_a_process_that_is_alone(runtime: Runtime, time: Time) -> None:
    alone = partners.Limiter(Pool("postgresql://nowhere", 1), time.clock, ticks=time.ticks)
    sharing = partners.Limiter(runtime.pool, time.clock, ticks=time.ticks)
    client = caller(600, 1)
    for step in range(100):
        assert (alone.take(client).refused is None) == (sharing.take(client).refused is None)
        time.passed += 0.03 if step % 3 else 0.11
        if step % 4 == 0:
            await sharing.share()


async def test_a_new_process_learns_what_the_others_took(runtime: Runtime, time: Time) -> None:
    old, new = (partners.Limiter(runtime.pool, time.clock, ticks=time.ticks) for _ in range(2))
    client = caller(60, 10)
    assert taken(old, client, 20) == 10
    await old.share()
    assert taken(new, client, 1) == 1
    await new.share()
    assert taken(new, client, 20) == 0


async def test_what_is_taken_during_an_exchange_counts_on_top_of_what_the_others_took(
    runtime: Runtime, time: Time
) -> None:
    other, limiter = (partners.Limiter(runtime.pool, time.clock, ticks=time.ticks) for _ in range(2))
    client = caller(60, 20)
    assert taken(other, client, 10) == 10
    await other.share()
    assert taken(limiter, client, 1) == 1
    exchange = asyncio.create_task(limiter.share())
    await asyncio.sleep(0)
    assert taken(limiter, client, 5) == 5
    await exchange
    assert taken(limiter, client, 20) == 20 - 10 - 1 - 5
    await limiter.share()
    await other.share()
    assert taken(other, client, 1) == 1  # it has not heard yet
    await other.share()
    assert taken(other, client, 20) == 0


async def test_many_clients_are_shared_in_one_statement_without_deadlocks(runtime: Runtime, time: Time) -> None:
    clients = [caller(60, 10) for _ in range(200)]
    limiters = [partners.Limiter(runtime.pool, time.clock, ticks=time.ticks) for _ in range(4)]
    for _ in range(5):
        for limiter in limiters:
            for client in clients:
                limiter.take(client)
        await asyncio.gather(*(limiter.share() for limiter in limiters))
    time.passed += 0.001
    for limiter in limiters:
        assert sum(taken(limiter, client, 1) for client in clients) == 0


async def test_without_a_database_each_process_keeps_its_own_limit_and_then_tells_it_once(
    runtime: Runtime, time: Time, owner: Owner
) -> None:
    limiter = partners.Limiter(Pool("postgresql://localhost:1/none", 1), time.clock, ticks=time.ticks)
    client = caller(60, 10)
    for _ in range(100):
        assert taken(limiter, client, 1) == 1
        time.passed += 1
        with pytest.raises(Unavailable):
            await limiter.share()
    limiter._pool = runtime.pool
    await limiter.share()
    # A hundred requests of the hundred seconds past are paid for: nothing is left to pay.
    arrival = await owner.fetchval("select arrival_at from rate_limits where client_id = $1", client.client_id)
    assert abs(arrival - time.clock()) <= timedelta(seconds=1)
    assert taken(limiter, client, 20) == 10


@pytest.fixture
async def running(runtime: Runtime) -> AsyncIterator[list[partners.Limiter]]:
    limiters = [partners.Limiter(runtime.pool, lambda: datetime.now(UTC)) for _ in range(2)]
    for limiter in limiters:
        limiter.start()
    yield limiters
    for limiter in limiters:
        await limiter.close()


async def test_in_the_background_processes_learn_of_each_other_within_moments(
    running: list[partners.Limiter],
) -> None:
    client = caller(1, 10)
    assert taken(running[0], client, 20) == 10
    assert running[1].take(client).refused is None
    for _ in range(20):
        await asyncio.sleep(0.3)
        if running[1].take(client).refused is not None:
            break
    assert taken(running[1], client, 5) == 0


async def test_a_loop_that_lost_the_database_goes_on(runtime: Runtime) -> None:
    limiter = partners.Limiter(Pool("postgresql://localhost:1/none", 1), lambda: datetime.now(UTC))
    limiter.start()
    client = caller(1, 10)
    limiter.take(client)
    await asyncio.sleep(0.4)
    limiter._pool = runtime.pool
    other = partners.Limiter(runtime.pool, lambda: datetime.now(UTC))
    await asyncio.sleep(0.4)
    other.take(client)
    await other.share()
    assert taken(other, client, 20) == 8
    await limiter.close()
