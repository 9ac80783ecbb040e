"""Two that want one payment: whoever comes second waits for the first, and then sees what it left."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick import payments
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.idempotency import Answer as Done
from tallystick.base.work import Asked, Caller, Runtime, Work
from tallystick.payments import capturing, changing, increasing, refunding, reversing
from tests.api import Answer, Api
from tests.conftest import Clock
from tests.payments.changes import (
    balance,
    cancel,
    capture,
    held,
    increase,
    payable,
    refund,
    reverse,
    till,
    wallet_with,
)
from tests.rewards.cast import refused

PATIENCE = 0.15
"""Seconds after which somebody who is not done is waiting."""

First = Callable[[Work, Asked, UUID, Api], Awaitable[Any]]
Second = Callable[[Api, str], Awaitable[Answer]]


@pytest.fixture
async def api(runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db) -> AsyncIterator[Api]:
    async with till(runtime, session, base_url, auditor) as joined:
        yield joined


def asked(api: Api) -> Asked:
    """A request of the partner, straight to a verb."""
    caller = Caller(api.tenant, api.partner_id, UUID(api.client_id), frozenset(), None, False, 0, 0)
    return Asked(caller, ids.new(), "POST", "/api/v1/payment-intents")


async def a_capture(work: Work, by: Asked, intent_id: UUID, _api: Api) -> Any:
    return await capturing.capture(work, [capturing.CapturePaymentIntent(by, intent_id, 60)])


async def a_cancellation(work: Work, by: Asked, intent_id: UUID, _api: Api) -> Any:
    return await changing.cancel(work, [changing.CancelPaymentIntent(by, intent_id)])


async def an_increase(work: Work, by: Asked, intent_id: UUID, _api: Api) -> Any:
    return await increasing.increase(work, [increasing.IncreasePaymentIntent(by, intent_id, 400)])


async def a_refund(work: Work, by: Asked, intent_id: UUID, _api: Api) -> Any:
    return await refunding.refund(work, [refunding.RefundPaymentIntent(by, intent_id, 70)])


async def a_reversal(work: Work, by: Asked, _intent_id: UUID, api: Api) -> Any:
    assert api.merchant_id is not None
    return await reversing.reverse(work, [reversing.ReversePayment(by, api.merchant_id, "r")])


async def in_turn(runtime: Runtime, api: Api, intent_id: str, first: First, second: Second) -> Answer:
    """What the second is answered, who began while the first was not done."""
    async with runtime.work(api.tenant) as work:
        (done,) = await first(work, asked(api), UUID(intent_id), api)
        assert isinstance(done, Done), done
        waiting = asyncio.ensure_future(second(api, intent_id))
        early, _ = await asyncio.wait([waiting], timeout=PATIENCE)
        assert not early, "nobody overtakes"
    return await waiting


@pytest.mark.parametrize("first", [a_capture, a_cancellation, a_reversal])
@pytest.mark.parametrize("second", [capture, cancel, lambda api, intent_id: increase(api, intent_id, 1)])
async def test_what_has_ended_is_seen_by_whoever_waited(
    api: Api, runtime: Runtime, first: First, second: Second
) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100, externalReference="r")
    refused(await in_turn(runtime, api, intent_id, first, second), 409, "InvalidState")
    taken = 60 if first is a_capture else 0
    assert await balance(api, wallet_id) == (500 - taken, 0)
    assert await payable(runtime, api) == taken


async def test_what_was_added_meanwhile_is_captured_too(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100)
    answer = await in_turn(runtime, api, intent_id, an_increase, capture)
    assert answer.attributes["capturedAmount"] == 500
    assert await payable(runtime, api) == 500


async def test_what_was_added_meanwhile_is_released_too(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100)
    assert (await in_turn(runtime, api, intent_id, an_increase, cancel)).status == 200
    assert await balance(api, wallet_id) == (500, 0)


async def test_what_was_given_back_meanwhile_is_not_given_back_again(api: Api, runtime: Runtime) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100, externalReference="r", capture="automatic")
    more = await in_turn(runtime, api, intent_id, a_refund, lambda api, intent_id: refund(api, intent_id, 31))
    refused(more, 400, "InvalidRequest")
    back = await in_turn(runtime, api, intent_id, a_refund_of_a_little, lambda api, _: reverse(api, "r"))
    assert back.attributes["reversedAmount"] == 100
    assert await balance(api, wallet_id) == (500, 0)
    assert await payable(runtime, api) == 0


async def a_refund_of_a_little(work: Work, by: Asked, intent_id: UUID, _api: Api) -> Any:
    return await refunding.refund(work, [refunding.RefundPaymentIntent(by, intent_id, 5)])


@pytest.mark.parametrize("first", [a_capture, a_cancellation])
async def test_time_passes_over_what_ended_while_it_waited(
    api: Api, runtime: Runtime, clock: Clock, first: First
) -> None:
    wallet_id = await wallet_with(api, 500)
    intent_id = await held(api, wallet_id, 100)
    async with runtime.reading(api.tenant) as work:
        deadline = await payments.next_deadline(work)
    assert deadline is not None
    async with runtime.work(api.tenant) as work:
        (done,) = await first(work, asked(api), UUID(intent_id), api)
        assert isinstance(done, Done), done
        late = asyncio.ensure_future(payments.expire_at(runtime, api.tenant, deadline))
        early, _ = await asyncio.wait([late], timeout=PATIENCE)
        assert not early, "nobody overtakes"
    await late
    taken = 60 if first is a_capture else 0
    assert await balance(api, wallet_id) == (500 - taken, 0)
    assert await payable(runtime, api) == taken
