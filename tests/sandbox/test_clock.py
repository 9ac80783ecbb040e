"""The sandbox's clock: it only moves forward, and what falls due on the way happens in its order, each at its own instant."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tallystick.base import clock as clocks
from tallystick.base.errors import IdempotencyConflict, InvalidRequest, NotFound, Unavailable, at, attribute
from tallystick.base.work import Runtime, Tenant, Work
from tallystick.sandbox import DueWork, advance, clockwork
from tallystick.sandbox.api import routes
from tallystick.sandbox.model import LATEST
from tests.conftest import Clock
from tests.merchants.cast import Answered, Door, caller
from tests.world import T0

HOUR = timedelta(hours=1)


class Diary:
    """Things that fall due, and what was done of them: (name, the instant it was done at, the tenant's clock then)."""

    def __init__(self, name: str, *hours: float, done: list[tuple[str, datetime, datetime]]) -> None:
        self.name, self.done = name, done
        self.waiting = [T0 + hour * HOUR for hour in hours]
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    def due(self) -> DueWork:
        return DueWork(self.name, self.next_due, self.run)

    async def next_due(self, work: Work) -> datetime | None:
        assert work.tenant.environment == "sandbox"
        return min(self.waiting, default=None)

    async def run(self, runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
        if self.meanwhile is not None:
            await self.meanwhile()
        async with runtime.work(tenant) as work:
            self.done.append((self.name, at, work.now))
        self.waiting.remove(at)
        return True


@pytest.fixture
def done() -> list[tuple[str, datetime, datetime]]:
    return []


async def now(runtime: Runtime, tenant: Tenant) -> datetime:
    async with runtime.reading(tenant) as work:
        return work.now


async def test_due_work_happens_in_its_order_each_at_its_own_instant(
    runtime: Runtime, tenant: Tenant, done: list[Any]
) -> None:
    rewards, wallets = Diary("rewards", 3, 1, 3, 9, done=done), Diary("wallets", 2, 3, done=done)
    due = [rewards.due(), wallets.due()]
    assert await advance(runtime, tenant, T0 + 5 * HOUR, due) == T0 + 5 * HOUR
    expected = [("rewards", 1), ("wallets", 2), ("rewards", 3), ("rewards", 3), ("wallets", 3)]
    assert done == [(name, T0 + hour * HOUR, T0 + hour * HOUR) for name, hour in expected]
    assert rewards.waiting == [T0 + 9 * HOUR]
    assert await now(runtime, tenant) == T0 + 5 * HOUR


async def test_what_falls_due_at_the_target_itself_is_done(runtime: Runtime, tenant: Tenant, done: list[Any]) -> None:
    await advance(runtime, tenant, T0 + 5 * HOUR, [Diary("rewards", 5, done=done).due()])
    assert done == [("rewards", T0 + 5 * HOUR, T0 + 5 * HOUR)]


async def test_time_flows_on_from_where_the_clock_was_moved_to(runtime: Runtime, tenant: Tenant, clock: Clock) -> None:
    await advance(runtime, tenant, T0 + 5 * HOUR, [])
    clock.move(HOUR)
    assert await now(runtime, tenant) == T0 + 6 * HOUR
    async with runtime.reading(tenant) as work:
        assert work.real_now == T0 + HOUR


async def test_other_tenants_keep_their_time(runtime: Runtime, tenant: Tenant, production: Tenant) -> None:
    await advance(runtime, tenant, T0 + 5 * HOUR, [])
    assert await now(runtime, production) == T0


async def test_work_that_is_overdue_is_done_at_its_own_instant_and_the_clock_stays(
    runtime: Runtime, tenant: Tenant, done: list[Any]
) -> None:
    await advance(runtime, tenant, T0 + 5 * HOUR, [])
    assert await advance(runtime, tenant, T0 + 2 * HOUR, [Diary("rewards", 1, done=done).due()]) == T0 + 5 * HOUR
    assert done == [("rewards", T0 + HOUR, T0 + 5 * HOUR)]


async def test_two_advances_at_once_end_at_no_less_than_each_ones_target(
    runtime: Runtime, tenant: Tenant, done: list[Any]
) -> None:
    diary = Diary("rewards", 1, 2, 3, done=done)
    ends = await asyncio.gather(
        advance(runtime, tenant, T0 + 9 * HOUR, []),
        advance(runtime, tenant, T0 + 4 * HOUR, [diary.due()]),
        advance(runtime, tenant, T0 + 7 * HOUR, []),
    )
    assert all(end >= T0 + hours * HOUR for end, hours in zip(ends, (9, 4, 7), strict=True))
    assert await now(runtime, tenant) == T0 + 9 * HOUR
    assert diary.waiting == []


async def test_whoever_looks_meanwhile_sees_time_go_forward_only(
    runtime: Runtime, tenant: Tenant, done: list[Any]
) -> None:
    seen: list[datetime] = []

    async def look() -> None:
        seen.append(await now(runtime, tenant))

    slow, fast = Diary("rewards", 1, 2, 3, done=done), Diary("wallets", 1, 4, 6, done=done)
    slow.meanwhile = fast.meanwhile = look
    await asyncio.gather(
        advance(runtime, tenant, T0 + 5 * HOUR, [slow.due()]), advance(runtime, tenant, T0 + 8 * HOUR, [fast.due()])
    )
    assert len(seen) == 6
    assert seen == sorted(seen)


async def test_a_killed_advance_leaves_an_earlier_time_and_goes_on_when_repeated(
    runtime: Runtime, tenant: Tenant, done: list[Any]
) -> None:
    diary = Diary("rewards", 1, 2, 3, done=done)

    async def killed() -> None:
        if len(done) == 1:
            raise asyncio.CancelledError

    diary.meanwhile = killed
    with pytest.raises(asyncio.CancelledError):
        await advance(runtime, tenant, T0 + 5 * HOUR, [diary.due()])
    assert await now(runtime, tenant) == T0 + 2 * HOUR
    assert [at for _, at, _ in done] == [T0 + HOUR]
    diary.meanwhile = None
    assert await advance(runtime, tenant, T0 + 5 * HOUR, [diary.due()]) == T0 + 5 * HOUR
    assert [at for _, at, _ in done] == [T0 + hour * HOUR for hour in (1, 2, 3)]


async def test_work_that_another_process_has_in_hand_is_waited_for(
    runtime: Runtime, tenant: Tenant, done: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clockwork, "PAUSE", 0.001)
    diary = Diary("rewards", 1, done=done)
    looks = 0

    async def in_other_hands(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
        nonlocal looks
        looks += 1
        if looks == 5:
            diary.waiting.clear()
        return False

    due = DueWork("rewards", diary.next_due, in_other_hands)
    assert await advance(runtime, tenant, T0 + 5 * HOUR, [due]) == T0 + 5 * HOUR
    assert looks == 5


async def test_work_that_does_not_get_done_stops_the_clock_where_it_fell_due(
    runtime: Runtime, tenant: Tenant, done: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clockwork, "PAUSE", 0.001)

    async def nothing(runtime: Runtime, tenant: Tenant, at: datetime) -> bool:
        return False

    with pytest.raises(Unavailable):
        await advance(
            runtime, tenant, T0 + 5 * HOUR, [DueWork("rewards", Diary("rewards", 1, done=done).next_due, nothing)]
        )
    assert await now(runtime, tenant) == T0 + HOUR


@pytest.fixture
def diary(done: list[Any]) -> Diary:
    return Diary("rewards", 1, 30, done=done)


@pytest.fixture
def door(runtime: Runtime, diary: Diary) -> Door:
    return Door.of(runtime, routes([diary.due()]))


async def post(door: Door, tenant: Tenant, key: str | None = None, who: Any = None, **attributes: Any) -> Answered:
    return await door.call(who or caller(tenant), "POST", "/sandbox/clock/advance", attributes=attributes, key=key)


async def told(door: Door, tenant: Tenant) -> str:
    answered = await door.call(caller(tenant), "GET", "/sandbox/clock")
    assert (answered.data["type"], answered.data["id"]) == ("Clock", str(tenant.id))
    instant: str = answered.data["attributes"]["now"]
    return instant


async def test_the_clock_is_read_and_moved_by_a_duration_or_to_an_instant(
    tenant: Tenant, door: Door, done: list[Any]
) -> None:
    assert await told(door, tenant) == "2026-03-02T09:00:00.000Z"
    moved = await post(door, tenant, by="PT90M")
    assert moved.data["attributes"]["now"] == await told(door, tenant) == "2026-03-02T10:30:00.000Z"
    assert len(done) == 1
    await post(door, tenant, to="2026-03-02T12:00:00.000123+01:00")
    assert await told(door, tenant) == "2026-03-02T11:00:00.001Z"
    await post(door, tenant, by="P1M")
    assert await told(door, tenant) == "2026-04-02T11:00:00.001Z"
    assert len(done) == 2


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({}, None),
        ({"by": "P1D", "to": "2027-01-01T00:00:00Z"}, None),
        ({"by": "-P1D"}, "by"),
        ({"by": "one day"}, "by"),
        ({"by": "P"}, "by"),
        ({"by": "P10Y1D"}, "by"),
        ({"by": "P999999999W"}, "by"),
        ({"by": "PT" + "9" * 90 + "S"}, "by"),
        ({"to": "2026-03-02T08:59:59.999Z"}, "to"),
        ({"to": "2036-03-03T00:00:00Z"}, "to"),
        ({"to": "2026-03-03T00:00:00"}, "to"),
        ({"to": "9999-12-31T23:59:59.999999Z"}, "to"),
        ({"to": "tomorrow"}, "to"),
    ],
)
async def test_a_clock_does_not_go_where_it_may_not(
    tenant: Tenant, door: Door, attributes: Any, pointer: str | None
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await post(door, tenant, **attributes)
    assert refused.value.source == (at("/data/attributes") if pointer is None else attribute(pointer))
    assert await told(door, tenant) == "2026-03-02T09:00:00.000Z"


async def test_ten_years_at_a_time_end_before_the_end_of_time(runtime: Runtime, tenant: Tenant, door: Door) -> None:
    await advance(runtime, tenant, LATEST - timedelta(days=1), [])
    with pytest.raises(InvalidRequest):
        await post(door, tenant, by="P1D")
    assert LATEST + timedelta(days=3650) < clocks.END_OF_TIME
    await post(door, tenant, by="PT23H")
    assert await told(door, tenant) == clocks.render(LATEST - HOUR)


async def test_a_retry_with_its_key_goes_to_the_same_instant_and_not_as_far_again(tenant: Tenant, door: Door) -> None:
    who = caller(tenant)
    first = await post(door, tenant, "k", who, by="P1D")
    again = await post(door, tenant, "k", who, by="P1D")
    assert again.reply.replayed
    assert again.reply.body == first.reply.body
    assert await told(door, tenant) == "2026-03-03T09:00:00.000Z"
    with pytest.raises(IdempotencyConflict):
        await post(door, tenant, "k", who, by="P2D")


async def test_a_retry_finishes_what_a_killed_request_began(
    tenant: Tenant, door: Door, diary: Diary, done: list[Any]
) -> None:
    who = caller(tenant)

    async def killed() -> None:
        raise asyncio.CancelledError

    diary.meanwhile = killed
    with pytest.raises(asyncio.CancelledError):
        await post(door, tenant, "k", who, by="P1D")
    diary.meanwhile = None
    await post(door, tenant, "k", who, by="P1D")
    assert done == [("rewards", T0 + HOUR, T0 + HOUR)]
    assert await told(door, tenant) == "2026-03-03T09:00:00.000Z"


@pytest.mark.parametrize(
    ("method", "path", "attributes"),
    [
        ("GET", "/sandbox/clock", None),
        ("POST", "/sandbox/clock/advance", {"by": "P1D"}),
        ("GET", "/sandbox/mailbox", None),
    ],
)
async def test_production_has_no_sandbox(
    runtime: Runtime, production: Tenant, door: Door, method: str, path: str, attributes: Any
) -> None:
    with pytest.raises(NotFound):
        await door.call(caller(production), method, path, attributes=attributes)
    assert await now(runtime, production) == T0


async def test_the_clock_of_production_cannot_be_moved_even_by_mistake(runtime: Runtime, production: Tenant) -> None:
    with pytest.raises(AssertionError):
        await advance(runtime, production, T0 + HOUR, [])
    assert await now(runtime, production) == datetime(2026, 3, 2, 9, tzinfo=UTC)
