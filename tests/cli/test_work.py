"""Background work: loops that end when told, that do not stop each other, and that are seen to be alive."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tallystick import messages, worker
from tallystick.base.settings import Settings
from tallystick.base.work import Runtime
from tallystick.worker import Loop
from tests.conftest import Clock

Step = Callable[[Runtime], Awaitable[bool]]


def counting(seen: list[float], outcome: Callable[[int], bool]) -> Step:
    async def step(_runtime: Runtime) -> bool:
        seen.append(time.monotonic())
        return outcome(len(seen))

    return step


def failing(number: int) -> bool:
    raise RuntimeError(f"time {number}")


async def running(monkeypatch: pytest.MonkeyPatch, runtime: Runtime, enough: Callable[[], bool], *loops: Loop) -> float:
    """Run the loops until they did enough, then tell them to stop; the seconds that took."""
    monkeypatch.setattr(worker, "loops", lambda _senders: loops)
    stopping = asyncio.Event()
    work = asyncio.create_task(worker.run(runtime, Settings.read({}), stopping))
    async with asyncio.timeout(20):
        while not enough():  # noqa: ASYNC110 - the loops have no event for it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert not work.done()
    stopping.set()
    began = time.monotonic()
    await asyncio.wait_for(work, 5)
    return time.monotonic() - began


async def test_a_loop_goes_on_at_once_while_it_finds_work_and_rests_when_it_does_not(
    monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    busy: list[float] = []
    idle: list[float] = []
    took = await running(
        monkeypatch,
        runtime,
        lambda: len(busy) == 50 and len(idle) == 1,
        Loop("busy", counting(busy, lambda number: number < 50), idle_seconds=60),
        Loop("idle", counting(idle, lambda _: False), idle_seconds=60),
    )
    assert (len(busy), len(idle)) == (50, 1)
    assert took < 1


async def test_a_step_that_fails_stops_neither_its_loop_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.02)
    broken: list[float] = []
    sound: list[float] = []
    await running(
        monkeypatch,
        runtime,
        lambda: len(broken) >= 4 and len(sound) > 10,
        Loop("broken", counting(broken, failing), idle_seconds=3600),
        Loop("sound", counting(sound, lambda _: False), idle_seconds=0.02),
    )
    pauses = [after - before for before, after in itertools.pairwise(broken)]
    assert all(pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.16), strict=False))


async def test_a_loop_that_rests_for_an_hour_is_soon_back_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.02)
    seen: list[float] = []
    once = Loop("rare", counting(seen, lambda number: failing(number) if number == 1 else False), idle_seconds=3600)
    await running(monkeypatch, runtime, lambda: len(seen) >= 2, once)
    assert len(seen) == 2


async def test_work_that_was_not_seen_for_a_while_is_missed(runtime: Runtime, clock: Clock) -> None:
    clock.move(timedelta(days=400))  # past whatever beat here before
    assert not await worker.seen(runtime)
    await worker.beat(runtime)
    assert await worker.seen(runtime)
    clock.move(worker.SILENT_AFTER - timedelta(seconds=1))
    assert await worker.seen(runtime)
    clock.move(timedelta(seconds=2))
    assert not await worker.seen(runtime)


def test_every_loop_has_a_name_of_its_own() -> None:
    names = [loop.name for loop in worker.loops(messages.Senders())]
    assert len(set(names)) == len(names)
