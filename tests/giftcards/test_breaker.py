"""A client that mostly finds nothing is stopped for a while, exactly and whatever it tries next."""

import asyncio
import io
import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from tallystick.base import ids, logs
from tallystick.base.batcher import run_batch
from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.giftcards import breaker, codes, spending
from tallystick.giftcards.breaker import LookupsBlocked, Window
from tallystick.giftcards.spending import CodeRefused, CodeTried
from tallystick.main import CLOSINGS, build
from tests.api import SETTINGS, Api, served
from tests.conftest import Clock
from tests.giftcards.hands import asked, card, counted, look_up, topics
from tests.rewards.cast import advance, another_client, feed, header, refused
from tests.world import T0

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def miss(api: Api, times: int) -> None:
    for _ in range(times):
        refused(await look_up(api, codes.new()), 404, "CodeRefused")


async def missed(runtime: Runtime, api: Api, times: int) -> None:
    """Misses straight in the house, in one batch."""
    wanted = [CodeTried(asked(api), None, codes.new()) for _ in range(times)]
    outcomes = await run_batch(runtime, spending.find_codes, api.tenant, wanted)
    assert {type(outcome) for outcome in outcomes} == {CodeRefused}


def window_after(lookups: str, start: Window | None = None) -> Window:
    """The window after lookups at one instant: `.` found something, `x` nothing."""
    window = start or Window(ids.new(), T0)
    for each in lookups:
        assert not window.is_blocked(T0)
        window = breaker.after(window, T0, missed=each == "x")
    return window


@pytest.mark.parametrize(
    ("lookups", "is_blocked"),
    [
        ("x" * 19, False),
        ("x" * 20, True),
        ("." * 10 + "x" * 10, False),
        ("." * 9 + "x" * 11, True),
        ("x" * 11 + "." * 8, False),
        ("x" * 11 + "." * 9, True),
        ("." * 1000 + "x" * 1000, False),
        ("." * 1000 + "x" * 1001, True),
        (".", False),
    ],
)
def test_more_misses_than_hits_in_twenty_lookups_or_more_are_too_many(lookups: str, is_blocked: bool) -> None:
    assert window_after(lookups).is_blocked(T0) is is_blocked


def test_each_block_is_twice_as_long_up_to_a_day_and_forgiven_a_day_after_its_end() -> None:
    now, window, blocks = T0, Window(ids.new(), T0), []
    for _ in range(9):
        for _ in range(20):
            window = breaker.after(breaker.at(window, now), now, missed=True)
        assert window.blocked_until is not None
        blocks.append((window.blocked_until - now) // MINUTE)
        now = window.blocked_until
    assert blocks == [15, 30, 60, 120, 240, 480, 960, 1440, 1440]
    assert breaker.at(window, now + timedelta(hours=23)).blocked_until is not None
    assert breaker.at(window, now + timedelta(hours=24)) == Window(window.client_id, now + timedelta(hours=24))


def test_a_window_is_ten_minutes_long_but_for_a_client_that_is_watched() -> None:
    window = window_after("x" * 19)
    assert breaker.at(window, T0 + 10 * MINUTE - timedelta(seconds=1)) == window
    assert breaker.at(window, T0 + 10 * MINUTE) == Window(window.client_id, T0 + 10 * MINUTE)
    watched = breaker.at(window_after("x" * 20), T0 + 15 * MINUTE)
    for hour in range(19):
        watched = breaker.after(breaker.at(watched, T0 + 15 * MINUTE + hour * HOUR), T0, missed=True)
    assert watched.tried == 19


async def test_twenty_misses_block_the_client_whatever_it_tries_next(api: Api, runtime: Runtime, clock: Clock) -> None:
    held = await card(runtime, api)
    colleague = await another_client(runtime, api)
    await miss(api, 20)
    for code in (held.code, codes.new(), "nonsense"):
        answer = await look_up(api, code)
        refused(answer, 429, "LookupsBlocked")
        assert header(answer, "retry-after") == "900"
    assert (await counted(runtime, api)) == (0, 0, clock.now + 15 * MINUTE)
    assert (await look_up(colleague, held.code)).status == 200
    clock.move(15 * MINUTE - timedelta(milliseconds=500))
    assert header(await look_up(api, held.code), "retry-after") == "1"
    clock.move(timedelta(milliseconds=500))
    assert (await look_up(api, held.code)).status == 200


async def test_a_client_that_goes_on_is_blocked_for_longer(api: Api, runtime: Runtime, clock: Clock) -> None:
    for minutes in (15, 30, 60):
        await missed(runtime, api, 20)
        assert header(await look_up(api, codes.new()), "retry-after") == str(minutes * 60)
        clock.move(minutes * MINUTE)


async def test_what_is_found_keeps_a_till_open(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    found = [CodeTried(asked(api), None, held.code)] * 15
    await run_batch(runtime, spending.find_codes, api.tenant, found)
    await miss(api, 15)
    assert (await counted(runtime, api))[:2] == (30, 15)
    assert (await look_up(api, held.code)).status == 200


async def test_what_is_mistyped_and_what_is_no_number_count_alike(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api)
    for n in range(20):
        code = ("x", held.code[:-1], "É" * 20, held.code + "0", "0" * 20)[n % 5]
        refused(await look_up(api, code), 404, "CodeRefused")
    refused(await look_up(api, held.code), 429, "LookupsBlocked")


async def test_ten_minutes_later_a_new_window_begins(api: Api, runtime: Runtime, clock: Clock) -> None:
    await missed(runtime, api, 19)
    clock.move(10 * MINUTE)
    await missed(runtime, api, 19)
    assert await counted(runtime, api) == (19, 19, None)


async def test_moving_a_sandbox_through_time_ends_no_block(api: Api, runtime: Runtime) -> None:
    await missed(runtime, api, 20)
    await advance(api, "P2D")
    refused(await look_up(api, codes.new()), 429, "LookupsBlocked")


async def test_tills_that_pay_with_numbers_are_counted_with_those_that_look(api: Api, runtime: Runtime) -> None:
    assert api.merchant_id is not None
    held = await card(runtime, api)
    await missed(runtime, api, 10)
    await miss(api, 10)
    tried = CodeTried(asked(api), api.merchant_id, held.code)
    outcomes = await run_batch(runtime, spending.find_codes, api.tenant, [tried])
    assert isinstance(outcomes[0], LookupsBlocked)
    colleague = await another_client(runtime, api)
    tried = CodeTried(asked(colleague), api.merchant_id, held.code)
    assert await run_batch(runtime, spending.find_codes, api.tenant, [tried]) == [held.id]


async def test_a_batch_is_stopped_where_it_was_too_much(api: Api, runtime: Runtime) -> None:
    held = await card(runtime, api, pin=True)
    wanted = [CodeTried(asked(api), None, codes.new()) for _ in range(20)]
    wanted += [CodeTried(asked(api), None, held.code, held.pin)] * 3
    outcomes = await run_batch(runtime, spending.find_codes, api.tenant, wanted)
    assert [type(outcome) for outcome in outcomes] == [CodeRefused] * 20 + [LookupsBlocked] * 3


async def test_lookups_are_counted_exactly_over_two_processes(
    api: Api, runtime: Runtime, dsn: str, keys: MasterKeys, the_clock: Clock
) -> None:
    async with served(build(SETTINGS, dsn, keys, the_clock)) as second:
        doors = (api, replace(api, base_url=second))
        answers = await asyncio.gather(*(look_up(doors[n % 2], codes.new()) for n in range(60)))
    assert sorted(answer.status for answer in answers) == [404] * 20 + [429] * 40
    assert len(await topics(runtime, api, ["gift_card.lookups_blocked"])) == 1


async def test_lookups_are_counted_exactly_over_works_of_one_each(
    api: Api, runtime: Runtime, dsn: str, keys: MasterKeys, clock: Clock
) -> None:
    await missed(runtime, api, 1)
    pool = Pool(dsn, 6)
    houses = (runtime, Runtime(pool, clock, keys, CLOSINGS))
    wanted = [CodeTried(asked(api), None, codes.new()) for _ in range(30)]
    outcomes = await asyncio.gather(
        *(run_batch(houses[n % 2], spending.find_codes, api.tenant, [one]) for n, one in enumerate(wanted))
    )
    await pool.close()
    assert sum(isinstance(outcome[0], CodeRefused) for outcome in outcomes) == 19
    assert sum(isinstance(outcome[0], LookupsBlocked) for outcome in outcomes) == 11


async def test_a_block_is_told_of_in_the_feed_and_the_log(api: Api, runtime: Runtime, clock: Clock) -> None:
    held = await card(runtime, api)
    before, root, heard = structlog.get_config(), logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure("info", "json", heard)
    try:
        await missed(runtime, api, 19)
        await miss(api, 1)
        for _ in range(3):
            refused(await look_up(api, held.code), 429, "LookupsBlocked")
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
    told = [event for event in await feed(api) if event["topic"] == "gift_card.lookups_blocked"]
    assert [(event["subjectType"], event["sequence"]) for event in told] == [("CardAlert", 1)]
    [(_, document, partner_id)] = await topics(runtime, api, ["gift_card.lookups_blocked"])
    shown = json.loads(document)
    assert (shown["type"], partner_id) == ("CardAlert", api.partner_id)
    assert shown["attributes"] == {
        "kind": "lookupsBlocked",
        "partnerId": str(api.partner_id),
        "clientId": api.client_id,
        "at": "2026-03-02T09:00:00.000Z",
        "label": None,
        "lookups": 20,
        "missed": 20,
        "blockedUntil": "2026-03-02T09:15:00.000Z",
    }
    lines = [json.loads(line) for line in heard.getvalue().splitlines()]
    [line] = [line for line in lines if line["level"] == "warning"]
    assert (line["client_id"], line["count"]) == (api.client_id, 20)
    assert "dropped" not in line
