"""Races over stored value: a house of its own with two HTTP processes, many races side by side, and the count after each."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tallystick.torture.contests import CLOCK_RACES, RACES
from tallystick.torture.house import Broken, House
from tallystick.torture.tables import Refused, Table
from tallystick.torture.tills import Tills, Unanswered

READY_SECONDS = 60.0
EXPIRY_SECONDS = 20.0
"""What is let go after its expiry cannot be spent at once, and is written off by a loop; this long the count waits for it."""
DIFFERENCES_MAX = 1_000
"""Then it is enough: nothing more is begun."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """What is wanted: how many operations at least, by which seed, where, in how many programmes, how many races side by side
    in each, and who is told how often.
    """

    operations: int
    seed: int
    place: Path
    programmes: int = 1
    tables: int = 8
    tell: Callable[[int], None] = lambda _: None
    tell_every: int = 1_000


@dataclass(frozen=True, slots=True)
class Results:
    """What was done, and what was found. `repeats` is requests that were sent again for want of a definite answer."""

    seconds: float
    operations: int
    repeats: int
    races: Mapping[str, int]
    kinds: Mapping[str, int]
    refusals: Mapping[str, int]
    differences: Sequence[str]


async def race(wanted: Meeting) -> Results:
    """Run it. Raises Broken when the house does not start, or ends."""
    house = House(wanted.place)
    await house.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await _ready(house, session)
            joined = await asyncio.gather(*(house.join() for _ in range(wanted.programmes)))
            course = _Course(wanted, house, [_Programme(Tills(session, each), asyncio.Lock()) for each in joined])
            began = time.monotonic()
            await course.run()
            seconds = time.monotonic() - began
            return course.results(seconds, await house.verify())
    finally:
        await house.stop()


@dataclass(frozen=True, slots=True)
class _Programme:
    """One programme: its tills, and whoever moves its clock holds the lock."""

    tills: Tills
    clock: asyncio.Lock


class _Course:
    """The races of one run, one after another on each of the tables."""

    def __init__(self, wanted: Meeting, house: House, programmes: Sequence[_Programme]) -> None:
        self._wanted, self._house, self._programmes = wanted, house, programmes
        self._order = _order(wanted.seed)
        self._phones = itertools.count(1)
        self._races: Counter[str] = Counter()
        self._differences: list[str] = []
        self._told = 0

    @property
    def operations(self) -> int:
        """How many there were so far."""
        return sum(each.tills.kinds.total() for each in self._programmes)

    async def run(self) -> None:
        """Race until there are operations enough."""
        await asyncio.gather(*(self._sit(each) for each in self._programmes for _ in range(self._wanted.tables)))

    async def _sit(self, programme: _Programme) -> None:
        while self.operations < self._wanted.operations and len(self._differences) < DIFFERENCES_MAX:
            if self._house.ended():
                raise Broken(f"The house ended:\n{self._house.last_words()}")
            number, kind = next(self._order)
            chance = random.Random(f"{self._wanted.seed}-{number}")  # noqa: S311 -- repeatable on purpose
            table = Table(programme.tills, f"{kind.replace(' ', '-')}-{number}", chance, self._phones)
            await self._run(kind, table, programme.clock)
            self._races[kind] += 1
            self._tell()

    def results(self, seconds: float, found: Sequence[str]) -> Results:
        """What came of it, with what `verify` found."""
        tills = [each.tills for each in self._programmes]
        kinds = sum((each.kinds for each in tills), Counter[str]())
        refusals = sum((each.refusals for each in tills), Counter[str]())
        faults = [fault for each in tills for fault in each.faults]
        repeats = sum(each.repeats for each in tills)
        differences = (*faults, *self._differences, *found)
        return Results(seconds, kinds.total(), repeats, self._races, kinds, refusals, differences)

    def _tell(self) -> None:
        count = self.operations
        if count >= self._told + self._wanted.tell_every:
            self._told = count
            self._wanted.tell(count)

    async def _run(self, kind: str, table: Table, clock: asyncio.Lock) -> None:
        try:
            if kind in CLOCK_RACES:
                async with clock:
                    await RACES[kind](table)
            else:
                await RACES[kind](table)
            self._differences += await _counted(table, EXPIRY_SECONDS if kind in CLOCK_RACES else 0.0)
        except (Refused, Unanswered) as broken:
            self._differences.append(str(broken))


async def _counted(table: Table, patience: float) -> list[str]:
    """The differences; with patience, those that are still there after so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        differences = await table.count()
        if not differences or time.monotonic() >= deadline:
            return differences
        await asyncio.sleep(0.5)


def _order(seed: int) -> Iterator[tuple[int, str]]:
    """Every race once in each round, each round in another order; numbered."""
    chance = random.Random(seed)  # noqa: S311 -- repeatable on purpose
    numbers = itertools.count()
    while True:
        for kind in chance.sample(sorted(RACES), len(RACES)):
            yield next(numbers), kind


async def _ready(house: House, session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not house.ended():
        try:
            async with session.get(f"{house.base_url}/readyz", timeout=aiohttp.ClientTimeout(3)) as answer:
                if answer.status == 200:
                    return
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass  # not yet
        await asyncio.sleep(0.1)
    raise Broken(f"The house did not get ready:\n{house.last_words()}")
