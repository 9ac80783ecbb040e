"""Who hangs delays nobody else: not one of them, nor many."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from uuid import uuid4

from tallystick.base.work import Runtime, Tenant
from tallystick.webhooks import Sender
from tallystick.webhooks.fanning import fan_out
from tallystick.webhooks.lanes import Busy, Lane, Places
from tallystick.webhooks.pacing import AT_ONCE_MAX, PAUSE_MAX, Pace
from tests.webhooks import sinks
from tests.webhooks.deliveries import HERE, delivering, endpoint_at, partner_of, tell, until
from tests.webhooks.sinks import sink

HEALTHY = 20
TIMES = 20


@contextlib.asynccontextmanager
async def listening(arrivals: dict[bytes, list[float]]) -> AsyncIterator[str]:
    """A healthy receiver that answers everything at once, and notes when each event came to each endpoint."""

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = found.requests.pop()
            key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"webhook-id"))
            arrivals.setdefault(key, []).append(time.monotonic())
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            found.requests.append(await sinks.request(reader))

    async with sink(answers) as found:
        yield found.url()


async def everything_arrives(runtime: Runtime, *, hanging: int, at_once: int) -> None:
    """Healthy endpoints hear of every event while others never answer: none of those attempts ends meanwhile."""
    tenant, partner_id = await partner_of(runtime)
    arrivals: dict[bytes, list[float]] = {}
    async with listening(arrivals) as url, sink(sinks.hangs) as bad:
        for _ in range(HEALTHY):
            await endpoint_at(runtime, tenant, partner_id, url)
        for _ in range(hanging):
            await endpoint_at(runtime, tenant, partner_id, bad.url())
        sender = Sender(HERE, first_byte_seconds=600.0, total_seconds=600.0)
        async with delivering(runtime, sender, at_once=at_once, end_seconds=0.0) as deliverer:
            for _ in range(TIMES):
                await tell(runtime, tenant, partner_id)
                await fan_out(runtime, tenant)
                deliverer.wake()
            await until(lambda: sum(map(len, arrivals.values())) == TIMES * HEALTHY, seconds=60.0)


async def test_one_endpoint_that_hangs_keeps_nothing_from_the_others(runtime: Runtime) -> None:
    await everything_arrives(runtime, hanging=1, at_once=400)


async def test_more_endpoints_that_hang_than_there_are_places_starve_nobody(runtime: Runtime) -> None:
    await everything_arrives(runtime, hanging=60, at_once=40)


def lane(runtime_tenant: Tenant, pace: Pace) -> Lane:
    return Lane(runtime_tenant, uuid4(), pace)


async def test_who_is_new_is_not_kept_waiting_for_long_by_many_that_hang(runtime: Runtime) -> None:
    tenant, partner_id = await partner_of(runtime)
    arrivals: dict[bytes, list[float]] = {}
    async with listening(arrivals) as url, sink(sinks.hangs) as bad:
        for _ in range(60):
            await endpoint_at(runtime, tenant, partner_id, bad.url())
        await endpoint_at(runtime, tenant, partner_id, url)
        await tell(runtime, tenant, partner_id)
        await fan_out(runtime, tenant)
        sender = Sender(HERE, first_byte_seconds=3.0, total_seconds=3.0)
        async with delivering(runtime, sender, at_once=40, end_seconds=0.0):
            await until(lambda: len(arrivals) == 1, seconds=4.0)


async def test_the_last_places_are_for_those_that_answer(runtime: Runtime) -> None:
    tenant, _ = await partner_of(runtime)
    places = Places(8)
    taken = 0
    while places.has("bad"):
        places.begin(Busy(None, 0.0, "bad"))  # type: ignore[arg-type]
        taken += 1
    assert taken == 4 and places.has("unknown")
    while places.has("unknown"):
        places.begin(Busy(None, 0.0, "unknown"))  # type: ignore[arg-type]
        taken += 1
    assert taken == 6 and places.has("good")
    waiting = lane(tenant, Pace(seconds=0.1))
    places.wait(lane(tenant, Pace(failures=1)))
    places.wait(waiting)
    assert places.next() is waiting and places.next() is None


async def test_kinds_take_turns_where_all_of_them_wait(runtime: Runtime) -> None:
    tenant, _ = await partner_of(runtime)
    places = Places(400)
    for _ in range(3):
        for pace in (Pace(seconds=0.1), Pace(), Pace(failures=1)):
            places.wait(lane(tenant, pace))
    turns = [found.pace.kind for _ in range(9) if (found := places.next()) is not None]
    assert sorted(turns[:3]) == sorted(turns[3:6]) == sorted(turns[6:]) == ["bad", "good", "unknown"]


def test_who_answers_is_sent_more_at_once_up_to_eight_and_who_fails_half_down_to_one() -> None:
    pace = Pace()
    for _ in range(20):
        pace.succeeded(0.01)
    assert int(pace.at_once) == AT_ONCE_MAX == 8
    found = []
    for _ in range(4):
        pace.failed(0.0)
        found.append(int(pace.at_once))
    assert found == [4, 2, 1, 1]


def test_who_goes_on_failing_is_tried_ever_more_rarely_and_one_success_ends_that() -> None:
    pace = Pace()
    pauses = []
    for _ in range(12):
        pace.failed(0.0)
        pauses.append(pace.waits(0.0, 0))
    assert pauses[:2] == [0.0, 0.0] and pauses[-1] == PAUSE_MAX
    assert pauses == sorted(pauses, key=float)  # type: ignore[arg-type]
    pace.succeeded(0.01)
    assert pace.waits(0.0, 0) == 0.0


def test_a_rate_is_kept_over_any_minute_but_for_one_second_in_advance() -> None:
    pace = Pace(rate_per_minute=120)
    sent, now = 0, 1000.0
    while now < 1060.0:
        if pace.waits(now, 0) == 0.0:
            pace.sent()
            sent += 1
        now += 0.01
    assert 119 <= sent <= 122
