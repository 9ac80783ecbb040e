"""Wrong PINs: how they lock a card, for how long, and that no two doors together let more of them in."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.giftcards import lookup
from tallystick.giftcards.lookup import CodeTried, Found
from tallystick.main import CLOSINGS, build
from tests.api import SETTINGS, Api, luna, served
from tests.conftest import Clock
from tests.giftcards.hands import asked, card, counted, guess, look_up, tries
from tests.rewards.cast import another_client, refused

MINUTE = timedelta(minutes=1)


async def test_five_wrong_pins_lock_the_card_and_the_right_one_opens_it_after_a_minute(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    held = await card(runtime, api, pin=True)
    for n in range(5):
        assert (await tries(runtime, api, held.id))[0] == n
        refused(await look_up(api, held.code, held.wrong_pin), 404, "CodeRefused")
    assert await tries(runtime, api, held.id) == (0, 1, clock.now + MINUTE)
    clock.move(timedelta(seconds=59))
    refused(await look_up(api, held.code, held.pin), 404, "CodeRefused")
    clock.move(timedelta(seconds=1))
    assert (await look_up(api, held.code, held.pin)).status == 200


async def test_locks_grow_whatever_the_holder_does_between_them(api: Api, runtime: Runtime, clock: Clock) -> None:
    held = await card(runtime, api, pin=True)
    for minutes in (1, 5, 15, 60, 240, 1440, 1440):
        await guess(runtime, api, held, 5)
        assert (await tries(runtime, api, held.id))[2] == clock.now + minutes * MINUTE
        clock.move(minutes * MINUTE)
        assert (await look_up(api, held.code, held.pin)).status == 200


async def test_the_right_pin_gives_the_tries_back(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, pin=True)
    await guess(runtime, api, held, 4)
    assert (await look_up(api, held.code, held.pin)).status == 200
    await guess(runtime, api, held, 4)
    assert (await look_up(api, held.code, held.pin)).status == 200


async def test_a_pin_that_was_not_sent_is_no_try_and_one_too_many_is_not_looked_at(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, pin=True)
    for _ in range(6):
        refused(await look_up(api, held.code), 404, "CodeRefused")
    assert await tries(runtime, api, held.id) == (0, 0, None)
    assert (await look_up(api, held.code, held.pin)).status == 200
    plain = await card(runtime, api)
    assert (await look_up(api, plain.code, "0000")).status == 200


async def test_who_may_not_find_a_card_cannot_lock_it_either(api: Api, runtime: Runtime) -> None:
    other = await luna(runtime, api.tenant, "Café Sol")
    held = await card(runtime, api, merchant_id=other.id, pin=True)
    assert api.merchant_id is not None
    narrow = await another_client(runtime, api, merchant_ids=(api.merchant_id,))
    for _ in range(6):
        refused(await look_up(narrow, held.code, held.wrong_pin), 404, "CodeRefused")
    assert await tries(runtime, api, held.id) == (0, 0, None)


async def test_a_batch_of_tries_is_as_one_after_another(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, pin=True)
    wrong, right = (
        CodeTried(asked(api), None, held.code, held.wrong_pin),
        CodeTried(asked(api), None, held.code, held.pin),
    )
    outcomes = await run_batch(runtime, lookup.look_up, api.tenant, [wrong, wrong, right, *[wrong] * 5, right, wrong])
    assert [isinstance(outcome, Found) for outcome in outcomes] == [False, False, True, *[False] * 7]
    assert (await tries(runtime, api, held.id))[:2] == (0, 1)
    assert (await counted(runtime, api))[:2] == (10, 9)


@pytest.fixture
async def doors(dsn: str, keys: MasterKeys, the_clock: Clock, base_url: str) -> AsyncIterator[tuple[str, str]]:
    """Two processes' worth of the house on one database."""
    async with served(build(SETTINGS, dsn, keys, the_clock)) as second:
        yield base_url, second


async def test_tries_are_counted_exactly_however_many_doors_are_tried_at_once(
    api: Api, runtime: Runtime, doors: tuple[str, str]
) -> None:
    held = await card(runtime, api, pin=True)
    clients = [replace(await another_client(runtime, api), base_url=doors[n % 2]) for n in range(4)]
    answers = await asyncio.gather(*(look_up(clients[n % 4], held.code, held.wrong_pin) for n in range(48)))
    assert {answer.status for answer in answers} == {404}
    # The first five lock the card; what comes while it is locked is not looked at.
    assert (await tries(runtime, api, held.id))[:2] == (0, 1)
    assert [(await counted(runtime, client))[:2] for client in clients] == [(12, 12)] * 4
    refused(await look_up(api, held.code, held.pin), 404, "CodeRefused")


async def test_of_many_guesses_at_once_no_more_than_five_are_looked_at(
    api: Api, runtime: Runtime, dsn: str, keys: MasterKeys, clock: Clock
) -> None:
    held = await card(runtime, api, pin=True)
    pools = [Pool(dsn, 4), Pool(dsn, 4)]
    houses = [Runtime(pool, clock, keys, CLOSINGS) for pool in pools]
    wrong = [
        CodeTried(asked(replace(api, client_id=str(ids.new()))), None, held.code, held.wrong_pin) for _ in range(5)
    ]
    await asyncio.gather(
        *(run_batch(houses[n % 2], lookup.look_up, api.tenant, [one]) for n, one in enumerate(wrong[:4]))
    )
    assert (await tries(runtime, api, held.id))[:2] == (4, 0)
    # One wrong and twelve right ones: those behind the wrong one are refused, those before it give the tries back.
    rivals = [
        wrong[4],
        *(CodeTried(asked(replace(api, client_id=str(ids.new()))), None, held.code, held.pin) for _ in range(12)),
    ]
    outcomes = await asyncio.gather(
        *(run_batch(houses[n % 2], lookup.look_up, api.tenant, [one]) for n, one in enumerate(rivals))
    )
    opened = sum(isinstance(outcome[0], Found) for outcome in outcomes)
    state = (await tries(runtime, api, held.id))[:2]
    assert (state, opened) == ((0, 1), 0) or (state in {(0, 0), (1, 0)} and opened == 12), (state, opened)
    for pool in pools:
        await pool.close()
