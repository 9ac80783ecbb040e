"""Whatever is asked of a wallet in whatever order: what it has, what is held and what was taken are what came into it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests.api import Api
from tests.payments.changes import balance, cancel, capture, increase, pay, payable, refund, till

FUNDS = (70, 110, 20)
TOTAL = sum(FUNDS)

Verb = Literal["pay", "increase", "capture", "cancel", "refund"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pay", "pay", "increase", "capture", "cancel", "refund", "refund"]),
        st.integers(0, 3),
        st.integers(1, 130),
    ),
    max_size=14,
)


@dataclass
class Model:
    """One wallet and its payments: what is held, taken and given back of each."""

    payments: list[list[int]] = field(default_factory=list)
    """Held, captured, refunded."""

    @property
    def available(self) -> int:
        return TOTAL - sum(held + captured - refunded for held, captured, refunded in self.payments)

    def step(self, verb: str, n: int, amount: int) -> bool:
        """Whether the step is carried out."""
        if verb == "pay":
            if amount <= self.available:
                self.payments.append([amount, 0, 0])
                return True
            return False
        payment = self.payments[n]
        held, captured, refunded = payment
        if verb == "increase" and held > 0 and amount <= self.available:
            payment[0] += amount
        elif verb == "capture" and amount <= held:
            payment[:2] = 0, amount
        elif verb == "cancel" and held:
            payment[0] = 0
        elif verb == "refund" and amount <= captured - refunded:
            payment[2] += amount
        else:
            return False
        return True


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


async def carried_out(api: Api, wallet_id: str, made: list[str], verb: str, n: int, amount: int) -> bool:
    if verb == "pay":
        answer = await pay(api, wallet_id, amount)
        if answer.status == 201:
            made.append(answer.data["id"])
    elif verb == "cancel":
        answer = await cancel(api, made[n])
    else:
        answer = await {"increase": increase, "capture": capture, "refund": refund}[verb](api, made[n], amount)
    assert answer.status in (200, 201, 400, 409), answer.text
    return answer.status < 300


PHONES = (f"+1202555{n:04}" for n in range(200, 9999))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
async def test_no_order_of_verbs_makes_or_loses_a_unit(
    api: Api, runtime: Runtime, steps: list[tuple[str, int, int]]
) -> None:
    wallet_id = await fresh_wallet(api)
    before = await payable(runtime, api)
    model, made = Model(), list[str]()
    for verb, n, amount in steps:
        if verb != "pay" and not made:
            continue
        which = n % len(made) if made else 0
        assert await carried_out(api, wallet_id, made, verb, which, amount) == model.step(verb, which, amount)
        held = sum(payment[0] for payment in model.payments)
        owed = sum(payment[1] - payment[2] for payment in model.payments)
        assert await balance(api, wallet_id) == (model.available, held)
        assert await payable(runtime, api) - before == owed
        assert model.available + held + owed == TOTAL


async def fresh_wallet(api: Api) -> str:
    """A new person's wallet with several lots."""
    phone = next(PHONES)
    wallet_id = await api.wallet(phone)
    for amount in FUNDS:
        assert (await api.issue(phone, amount=amount)).status == 200
    return wallet_id
