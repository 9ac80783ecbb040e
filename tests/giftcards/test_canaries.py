"""Numbers that were never sold: whoever tries one is told of, and not told."""

import io
import json
import logging

import pytest
import structlog

from tallystick.base import logs
from tallystick.base.batcher import run_batch
from tallystick.base.work import Runtime
from tallystick.giftcards import canaries, codes, spending
from tallystick.giftcards.spending import CodeRefused, CodeTried
from tests.api import Api, join
from tests.giftcards.hands import asked, look_up, topics
from tests.rewards.cast import feed, refused

USED = ["gift_card.canary_used"]


async def plant(runtime: Runtime, api: Api, count: int = 1) -> list[str]:
    async with runtime.work(api.tenant) as work:
        return await canaries.plant(work, count, "supplier file of March")


async def test_canaries_look_like_numbers_and_are_kept_like_them(api: Api, runtime: Runtime) -> None:
    planted = await plant(runtime, api, 20)
    assert len(set(planted)) == 20
    assert all(codes.canonical(code) == code.replace("-", "") for code in planted)
    async with runtime.reading(api.tenant) as work:
        rows = await work.db.rows("select t::text from card_canaries as t where tenant_id = $1", api.tenant.id)
    assert len(rows) == 20
    assert not any(code in row[0] or code.replace("-", "") in row[0] for code in planted for row in rows)


async def test_a_canary_is_refused_like_any_number_and_told_of(api: Api, runtime: Runtime) -> None:
    [code] = await plant(runtime, api)
    before, root, heard = structlog.get_config(), logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure("debug", "json", heard)
    try:
        refused(await look_up(api, code.lower()), 404, "CodeRefused")
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
    [(_, document, partner_id)] = await topics(runtime, api, USED)
    shown = json.loads(document)
    assert shown["attributes"] == {
        "kind": "canaryUsed",
        "partnerId": str(api.partner_id),
        "clientId": api.client_id,
        "at": "2026-03-02T09:00:00.000Z",
        "label": "supplier file of March",
        "lookups": None,
        "missed": None,
        "blockedUntil": None,
    }
    assert partner_id is None
    lines = [json.loads(line) for line in heard.getvalue().splitlines()]
    assert [line["client_id"] for line in lines if line["level"] == "warning"] == [api.client_id]
    for text in (document, heard.getvalue()):
        assert code not in text.upper()
        assert code.replace("-", "") not in text.upper()


async def test_whoever_tried_it_does_not_read_of_it_and_whoever_sees_the_programme_may(
    api: Api, runtime: Runtime
) -> None:
    [code] = await plant(runtime, api)
    overseer = await join(runtime, api.session, api.base_url, tenant=api.tenant, visibility="programme")
    await look_up(api, code)
    await look_up(api, code, merchantId=str(api.merchant_id))
    assert len(await topics(runtime, api, USED)) == 2
    assert [event for event in await feed(api) if event["topic"] in USED] == []
    # What is about no merchant is the operator's alone.
    assert len([event for event in await feed(overseer) if event["topic"] in USED]) == 1


async def test_a_canary_at_a_till_is_told_of_too(api: Api, runtime: Runtime) -> None:
    [code] = await plant(runtime, api)
    tried = CodeTried(asked(api), api.merchant_id, code, "1234")
    outcomes = await run_batch(runtime, spending.find_codes, api.tenant, [tried])
    assert isinstance(outcomes[0], CodeRefused)
    assert len(await topics(runtime, api, USED)) == 1


async def test_a_canary_of_another_programme_is_just_unknown(api: Api, runtime: Runtime) -> None:
    other = await join(runtime, api.session, api.base_url)
    [code] = await plant(runtime, other)
    refused(await look_up(api, code), 404, "CodeRefused")
    assert await topics(runtime, api, USED) == await topics(runtime, other, USED) == []


async def test_a_number_nobody_planted_raises_no_alarm(api: Api, runtime: Runtime) -> None:
    await plant(runtime, api)
    await look_up(api, codes.new())
    assert await topics(runtime, api, USED) == []


@pytest.mark.parametrize(("count", "label"), [(0, "a"), (-1, "a"), (1001, "a"), (1, ""), (1, "a" * 101)])
async def test_what_cannot_be_meant_is_not_planted(api: Api, runtime: Runtime, count: int, label: str) -> None:
    async with runtime.work(api.tenant) as work:
        with pytest.raises(AssertionError):
            await canaries.plant(work, count, label)
