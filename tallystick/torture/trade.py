"""Activity in a torture: the shop with its rules, the tellers, and the comparing of what stands with the tally."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from tallystick.torture.facts import Regular
from tallystick.torture.house import CREDIT_LIMIT, Broken, House
from tallystick.torture.partner import Credential, Partner
from tallystick.torture.shop import Rejected, Shop
from tallystick.torture.tally import (
    RULES,
    Rule,
    Stand,
    Tally,
    activity_faults,
    progress_faults,
    reward_faults,
    worth,
)
from tallystick.torture.telling import Teller

READERS = 8
COUNTED_SECONDS = 150.0
"""What was nobody's is counted soon after somebody bears its name, and for certain when no work can be under way any more that
saw nobody, a minute and a half later. This long the comparing waits for it.
"""
METRICS: Mapping[str, Mapping[str, object]] = {
    "spend": {"metric": "spend"},
    "purchases": {"metric": "orders", "filters": {"kinds": ["transaction"]}},
}


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of activity, and what came of it. `repeated` is acknowledgements of what was known already."""

    requests: int
    unknown: int
    facts: Mapping[str, int]
    repeated: int
    customers: int
    rewards: Mapping[str, int]


class Trade:
    """A merchant of its own, whose customers buy and return; every teller tells of all of them."""

    def __init__(
        self, session: aiohttp.ClientSession, credential: Credential, tellers: int, seed: int, *, strangers: bool
    ) -> None:
        self._merchant_id = credential.merchant_id
        self._shop, self._partner, self._tally = Shop(session, credential), Partner(session, credential), Tally()
        self._tellers = [
            Teller(number, seed, self._shop, self._partner, self._tally, strangers=strangers)
            for number in range(tellers)
        ]
        self._rules: dict[str, Rule] = {}

    async def open(self) -> None:
        """Bring the rules into force. Raises Broken."""
        try:
            for rule in RULES:
                reward = {"type": "walletCredit", "amount": rule.reward, "reasonCode": rule.counts}
                steps = [{"target": rule.target, "reward": reward}]
                wish = {"name": rule.counts, "steps": steps, "repeat": "repeating", **METRICS[rule.counts]}
                self._rules[await self._shop.write_rule(f"rule-{rule.counts}", **wish)] = rule
        except (aiohttp.ClientError, Rejected) as refused:
            raise Broken(f"The rules could not be written: {refused}") from None

    def write(self, stopping: asyncio.Event, patience: float) -> list["asyncio.Task[None]"]:
        """The tellers at work, until told to stop; `patience` seconds are for what has to be known before it goes on."""
        return [asyncio.create_task(teller.write(stopping, patience)) for teller in self._tellers]

    async def settle(self, seconds: float) -> None:
        """Find out what came of everything unknown."""
        await asyncio.gather(*(teller.settle(seconds) for teller in self._tellers))

    async def compare(self, house: House) -> list[str]:
        """Look at every customer through the API until all is as it must be, or for as long as counting may take."""
        stands = self._tally.stands()
        waiting: dict[str, list[str]] = {phone: [] for phone in self._tally.regulars}
        deadline = time.monotonic() + COUNTED_SECONDS
        while waiting:
            turns = asyncio.Semaphore(READERS)
            regulars = [self._tally.regulars[phone] for phone in waiting]
            looks = await asyncio.gather(*(self._look(each, stands[each.phone], turns) for each in regulars))
            waiting = {regular.phone: faults for regular, faults in zip(regulars, looks, strict=True) if faults}
            if time.monotonic() >= deadline or not self._tally.early & waiting.keys():
                break
            await asyncio.sleep(1)
        left, wanted = await house.funding_left(self._merchant_id), CREDIT_LIMIT - sum(map(worth, stands.values()))
        funding = [] if left == wanted else [f"the funding left behind activity is {left} instead of {wanted}"]
        faults = [fault for of_one in waiting.values() for fault in of_one]
        return [*self._shop.faults, *self._partner.faults, *self._tally.differences, *faults, *funding]

    def told(self) -> Told:
        """What there was to it."""
        return Told(
            self._shop.requests,
            self._shop.unknown,
            Counter(fact.what for fact in self._tally.told),
            self._tally.repeated,
            len(self._tally.regulars),
            self._tally.given(),
        )

    async def _look(self, regular: Regular, stands: Sequence[Stand], turns: asyncio.Semaphore) -> list[str]:
        """Every difference between what the house shows of a customer and what it must."""
        phone = regular.phone
        try:
            async with turns:
                faults = list(progress_faults(phone, stands, self._rules, await self._shop.progress_of(regular)))
                faults += reward_faults(phone, stands, await self._partner.rewards_of(phone))
                faults += activity_faults(phone, stands, self._tally.ids, await self._shop.activity_of(regular))
                holds = await self._partner.balance_of(regular.wallet_id)
        except aiohttp.ClientError as error:
            return [f"looking at {phone} failed: {error}"]
        if holds != worth(stands):
            faults.append(f"the wallet of {phone} holds {holds} instead of {worth(stands)}")
        return faults
