"""The injuries: what may happen to a process on a bad day, in an order that the seed decides."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping

from tallystick.torture.house import House, strike

FROZEN_SECONDS = 1.0

Injury = Callable[[House, random.Random], Awaitable[bool]]
"""Does it; whether there was anything to do it to."""


async def kill_http(house: House, chance: random.Random) -> bool:
    """One of the HTTP processes is killed."""
    return _kill_one(house.parts("serve"), chance)


async def kill_work(house: House, chance: random.Random) -> bool:
    """The process of background work is killed."""
    return _kill_one(house.parts("work"), chance)


async def kill_postmaster(house: House, _chance: random.Random) -> bool:
    """The main process of the database server is killed."""
    return strike(house.postmaster(), signal.SIGKILL)


async def kill_backend(house: House, chance: random.Random) -> bool:
    """A database process is killed in the middle of its work: the server throws all of them out and recovers."""
    return _kill_one(await house.backends(), chance)


async def freeze_backend(house: House, chance: random.Random) -> bool:
    """A database process stands still for a second, perhaps with locks in its hands."""
    backends = await house.backends()
    if not backends:
        return False
    pid = chance.choice(backends)
    if not strike(pid, signal.SIGSTOP):
        return False
    await asyncio.sleep(FROZEN_SECONDS)
    return strike(pid, signal.SIGCONT)


async def kill_up(house: House, _chance: random.Random) -> bool:
    """The whole of it loses its head, and somebody starts it again at once."""
    await house.kill()
    await house.start()
    return True


INJURIES: Mapping[str, Injury] = {
    "kill an HTTP process": kill_http,
    "kill the work process": kill_work,
    "kill the postmaster": kill_postmaster,
    "kill a backend": kill_backend,
    "freeze a backend": freeze_backend,
    "kill up itself": kill_up,
}


def schedule(seed: int) -> Iterator[str]:
    """Injuries without end: each kind once in every round, the order shuffled by the seed."""
    chance = random.Random(seed)  # noqa: S311 -- repeatable on purpose
    while True:
        kinds = list(INJURIES)
        chance.shuffle(kinds)
        yield from kinds


def _kill_one(pids: list[int], chance: random.Random) -> bool:
    return bool(pids) and strike(chance.choice(pids), signal.SIGKILL)
