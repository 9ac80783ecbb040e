"""One run: a house, writers, injuries; then the settling, the counting and the report."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tallystick.torture.history import Attempt, Done, Fault, Refused, Unknown, recovery
from tallystick.torture.house import CREDIT_LIMIT, Broken, House
from tallystick.torture.injuries import INJURIES, schedule
from tallystick.torture.model import Model
from tallystick.torture.partner import Credential, Partner
from tallystick.torture.trade import Told, Trade
from tallystick.torture.writing import Writer

READY_SECONDS = 60.0
SETTLE_SECONDS = 60.0
READERS = 8
BETWEEN_SECONDS = (0.7, 2.0)
"""How long the house is left alone after it serves again."""


@dataclass(frozen=True, slots=True)
class Torment:
    """What is wanted: for how long and at least how often, by which seed, by how many, where, and who is told of each injury.

    `writers` write rewards, `tellers` tell of activity; with `strangers` some customers buy before anybody knows them, which may be
    counted a minute and a half after they are known.
    """

    seconds: float
    seed: int
    place: Path
    writers: int = 12
    tellers: int = 4
    strangers: bool = True
    at_least: int = 0
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, and what was found. `recoveries` is seconds to serve again, by kind of injury.

    `told` is of activity, all else but the differences of rewards.
    """

    seconds: float
    attempts: int
    done: int
    refused: int
    unknown: int
    rewards: int
    told: Told
    injuries: Mapping[str, int]
    recoveries: Mapping[str, Sequence[float]]
    differences: Sequence[str]


async def torment(wanted: Torment) -> Report:
    """Run it. Raises Broken when the house does not start, or does not come back."""
    house = House(wanted.place)
    await house.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await _until_ready(house, session)
            credential, other = await asyncio.gather(house.join(), house.join())
            trade = Trade(session, other, wanted.tellers, wanted.seed, strangers=wanted.strangers)
            await trade.open()
            return await _tormented(wanted, house, session, credential, trade)
    finally:
        await house.stop()


async def _tormented(
    wanted: Torment, house: House, session: aiohttp.ClientSession, credential: Credential, trade: Trade
) -> Report:
    partner = Partner(session, credential)
    writers = [Writer(number, wanted.seed, partner) for number in range(wanted.writers)]
    stopping = asyncio.Event()
    began = time.monotonic()
    writing = [asyncio.create_task(writer.write(stopping)) for writer in writers]
    writing += trade.write(stopping, SETTLE_SECONDS)
    faults = await _injure(wanted, house, partner, writing)
    stopping.set()
    await asyncio.gather(*writing)
    ended = time.monotonic()
    times, differences = _recoveries(faults, ended, partner.attempts), list(partner.faults)
    differences += [f"after `{kind}` the house did not serve again" for kind, seconds in times if seconds is None]
    await _until_ready(house, session)
    await asyncio.gather(trade.settle(SETTLE_SECONDS), *(writer.settle(SETTLE_SECONDS) for writer in writers))
    model = Model()
    for writer in writers:
        model.learn(writer.history)
    _, found = await asyncio.gather(_compare(model, house, partner, credential.merchant_id), trade.compare(house))
    differences += [*model.differences, *found, *await house.verify()]
    return _report(ended - began, partner.attempts, times, model, trade.told(), differences)


async def _injure(
    wanted: Torment, house: House, partner: Partner, writing: Sequence["asyncio.Task[None]"]
) -> list[Fault]:
    """One injury after another until the time is over; each when the house has got over the last."""
    chance = random.Random(wanted.seed)  # noqa: S311 -- repeatable on purpose
    deadline = time.monotonic() + wanted.seconds
    faults: list[Fault] = []
    for kind in schedule(wanted.seed):
        await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
        for ended in (task for task in writing if task.done()):
            ended.result()  # a writer writes until told to stop: it fell over
        if time.monotonic() >= deadline and len(faults) >= wanted.at_least:
            return faults
        at = time.monotonic()
        if await INJURIES[kind](house, chance):
            faults.append(Fault(kind, at))
            await _until_serving(house, partner, at)
            wanted.tell(kind)
    return faults


async def _until_serving(house: House, partner: Partner, since: float) -> None:
    """Until something that was asked after the injury is acknowledged, and all is quiet."""
    deadline = since + READY_SECONDS
    while time.monotonic() < deadline and not house.ended():
        await asyncio.sleep(0.1)
        recent = [a for a in partner.attempts[-400:] if a.sent > max(since, time.monotonic() - 0.5) and not a.hung_up]
        if any(isinstance(a.outcome, Done) for a in recent) and not any(isinstance(a.outcome, Unknown) for a in recent):
            return
    raise Broken(f"The house did not serve again within {READY_SECONDS:.0f} seconds:\n{house.last_words()}")


async def _until_ready(house: House, session: aiohttp.ClientSession) -> None:
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


async def _compare(model: Model, house: House, partner: Partner, merchant_id: str) -> None:
    """Look at every phone and wallet through the API, and at the funding as an operator does."""
    turns = asyncio.Semaphore(READERS)

    async def look(phone: str, wallet_id: str | None) -> None:
        try:
            async with turns:
                model.compare_rewards(phone, await partner.rewards_of(phone))
                if wallet_id is not None:
                    model.compare_balance(phone, await partner.balance_of(wallet_id))
        except aiohttp.ClientResponseError as refused:
            model.differences.append(f"looking at {phone} was answered {refused.status}")

    await asyncio.gather(*(look(phone, person.wallet_id) for phone, person in model.people.items()))
    model.compare_funding(CREDIT_LIMIT, await house.funding_left(merchant_id))


def _recoveries(faults: Sequence[Fault], ended: float, attempts: Sequence[Attempt]) -> list[tuple[str, float | None]]:
    untils = [*(fault.at for fault in faults[1:]), ended]
    return [(fault.kind, recovery(fault, until, list(attempts))) for fault, until in zip(faults, untils, strict=True)]


def _report(
    seconds: float,
    attempts: Sequence[Attempt],
    times: Sequence[tuple[str, float | None]],
    model: Model,
    told: Told,
    differences: Sequence[str],
) -> Report:
    outcomes = [attempt.outcome for attempt in attempts]
    recoveries: dict[str, list[float]] = {}
    for kind, took in times:
        recoveries.setdefault(kind, []).extend([] if took is None else [took])
    return Report(
        seconds,
        len(outcomes),
        sum(isinstance(outcome, Done) for outcome in outcomes),
        sum(isinstance(outcome, Refused) for outcome in outcomes),
        sum(isinstance(outcome, Unknown) for outcome in outcomes),
        sum(len(person.rewards) for person in model.people.values()),
        told,
        {kind: sum(kind == each for each, _ in times) for kind in recoveries},
        recoveries,
        tuple(differences),
    )
