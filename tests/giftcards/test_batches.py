"""Batches of gift cards: exactly as many as were asked for, whatever happens on the way; their numbers given out once."""

import asyncio
import csv
import io
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick import giftcards
from tallystick.base.clock import render
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.giftcards import batch_store, codes, downloading, making
from tallystick.giftcards.downloading import AlreadyDownloaded, DownloadBatch
from tests.api import Answer, Api, join
from tests.conftest import Clock
from tests.giftcards.cast import LEASE, NOBODY, accept, batch, books, now, rows, run, tell
from tests.giftcards.hands import asked, put_in
from tests.governance.cast import agree, line
from tests.rewards.cast import (
    advance,
    another_client,
    check_whole,
    configure,
    feed,
    header,
    left,
    refused,
    story,
    top_up,
)

COUNT = "select count(*) from gift_cards where tenant_id = $1"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "CARDS_AT_ONCE", 5)
    monkeypatch.setattr(downloading, "PAGE", 4)


async def count(runtime: Runtime, api: Api) -> int:
    return int((await rows(runtime, api, COUNT))[0][0])


async def made(runtime: Runtime, api: Api, number: int = 12, **more: Any) -> str:
    """A batch that is completed."""
    answer = await accept(api, number, **more)
    assert answer.status == 202, answer.text
    await run(runtime)
    return str(answer.data["id"])


async def verb(api: Api, batch_id: str, name: str, key: str | None = None) -> Answer:
    return await tell(api, f"gift-card-batches/{batch_id}/{name}", key=key)


async def test_a_batch_is_accepted_at_once_and_made_in_chunks(api: Api, runtime: Runtime) -> None:
    answer = await accept(api, 12, 250, pin=True, externalReference="spring", reloadable=False)
    batch_id = answer.data["id"]
    assert answer.status == 202 and header(answer, "location") == f"/api/v1/gift-card-batches/{batch_id}"
    shown = answer.attributes
    assert (shown["status"], shown["total"], shown["done"], shown["currency"]) == ("accepted", 12, 0, "USD")
    assert (await api.get(f"gift-card-batches/{batch_id}")).text == answer.text
    progress = []
    while await giftcards.run_batches(runtime):
        shown = await batch(api, batch_id)
        progress.append((shown["status"], shown["done"], await count(runtime, api)))
    assert progress == [("running", 5, 5), ("running", 10, 10), ("completed", 12, 12)]
    assert await books(runtime, api, "merchant.sales") == -3000
    listed = await api.get(f"gift-cards?filter[batchId]={batch_id}&page[limit]=50")
    assert listed.body["meta"]["total"] == 12
    for card in (each["attributes"] for each in listed.data):
        assert (card["status"], card["batchId"], card["balance"]["available"]) == ("active", batch_id, 250)
        assert (card["hasPin"], card["reloadable"], card["externalReference"]) == (True, False, "spring")
        assert card["code"] is None
    assert [topic for topic, _, _ in await story(api, batch_id)] == ["gift_card.batch_completed"]
    events = await feed(api)
    assert [event["topic"] for event in events].count("gift_card.issued") == 12
    assert [each["id"] for each in (await api.get("gift-card-batches?filter[status]=completed")).data] == [batch_id]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_batch_that_is_killed_on_the_way_has_exactly_its_cards_in_the_end(
    api: Api, runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    batch_id = (await accept(api, 12)).data["id"]
    assert await giftcards.run_batches(runtime)
    update = batch_store.update
    deaths = 0

    async def dying(work: Any, changed: Any) -> None:
        nonlocal deaths
        await update(work, changed)
        deaths += 1
        raise SystemError("killed")

    for _ in range(times):
        with monkeypatch.context() as patch:
            patch.setattr(batch_store, "update", dying)
            with pytest.raises(ExceptionGroup):
                await giftcards.run_batches(runtime)
        assert (await batch(api, batch_id))["done"] == await count(runtime, api) == 5
        assert not await giftcards.run_batches(runtime), "whoever died holds it for a while"
        clock.move(LEASE)
    await run(runtime)
    assert deaths == times
    assert (await batch(api, batch_id))["done"] == await count(runtime, api) == 12


async def test_workers_at_once_make_no_card_too_many(api: Api, runtime: Runtime) -> None:
    ids = [(await accept(api, 12)).data["id"] for _ in range(2)]

    async def work() -> None:
        for _ in range(6):
            await giftcards.run_batches(runtime)

    await asyncio.gather(*(work() for _ in range(4)))
    await run(runtime)
    assert await count(runtime, api) == 24
    assert [(await batch(api, each))["done"] for each in ids] == [12, 12]


async def test_a_batch_whose_funding_ends_is_paused_and_goes_on_when_told(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, funding_mode="prefunded")
    await top_up(runtime, api, 799)
    batch_id = await made(runtime, api, 12, amount=100, valueClass="promotional")
    stopped = await batch(api, batch_id)
    assert (stopped["status"], stopped["done"], await count(runtime, api), await left(runtime, api)) == (
        "paused",
        7,
        7,
        99,
    )
    assert stopped["error"]["code"] == "InsufficientFunding"
    assert stopped["error"]["source"] == {"pointer": "/data/attributes/amount"}
    assert await run(runtime) == 0, "it waits"
    again = await verb(api, batch_id, "resume")
    assert again.status == 202 and again.attributes["error"] is None
    await run(runtime)
    assert (await batch(api, batch_id))["status"] == "paused"
    await top_up(runtime, api, 401)
    await verb(api, batch_id, "resume")
    await run(runtime)
    assert ((await batch(api, batch_id))["status"], await count(runtime, api)) == ("completed", 12)
    assert await left(runtime, api) == 0
    refused(await verb(api, batch_id, "resume"), 409, "InvalidState")


async def test_quotas_bound_a_batch_exactly_also_beside_single_cards(api: Api, runtime: Runtime) -> None:
    await agree(
        runtime, api.tenant, api.partner_id, line("giftCards.count", 9), line("giftCards.value", 800, currency="USD")
    )
    batch_id = await made(runtime, api, 12, amount=100)
    stopped = await batch(api, batch_id)
    assert (stopped["status"], stopped["done"], stopped["error"]["code"]) == ("paused", 8, "QuotaExceeded")
    assert await count(runtime, api) == 8


async def test_a_merchant_that_closes_stops_its_batch(api: Api, runtime: Runtime) -> None:
    batch_id = (await accept(api, 12)).data["id"]
    await giftcards.run_batches(runtime)
    await configure(runtime, api, status="closed")
    await run(runtime)
    assert ((await batch(api, batch_id))["status"], await count(runtime, api)) == ("paused", 5)


async def test_a_cancelled_batch_keeps_what_is_made_and_makes_no_more(api: Api, runtime: Runtime) -> None:
    batch_id = (await accept(api, 12)).data["id"]
    await giftcards.run_batches(runtime)
    first = await verb(api, batch_id, "cancel", "k")
    assert (first.status, first.attributes["status"], first.attributes["done"]) == (202, "cancelled", 5)
    assert (await verb(api, batch_id, "cancel", "k")).text == first.text
    assert await run(runtime) == 0
    assert await count(runtime, api) == 5
    for name in ("cancel", "resume"):
        refused(await verb(api, batch_id, name), 409, "InvalidState")
    assert (await verb(api, batch_id, "download")).text.count("\n") == 6


async def test_cancelling_while_a_chunk_is_made_loses_and_doubles_nothing(api: Api, runtime: Runtime) -> None:
    batch_id = (await accept(api, 40)).data["id"]
    await asyncio.gather(run(runtime), verb(api, batch_id, "cancel"))
    await run(runtime)
    end = await batch(api, batch_id)
    assert end["done"] == await count(runtime, api)
    assert end["status"] in ("cancelled", "completed")


async def test_the_pending_cards_of_a_batch_are_activated_in_chunks(api: Api, runtime: Runtime) -> None:
    answer = await accept(api, 12, activate=False)
    batch_id = answer.data["id"]
    refused(await verb(api, batch_id, "activate"), 409, "InvalidState")
    await run(runtime)
    one, two, three = [each["id"] for each in (await api.get("gift-cards")).data][:3]
    await put_in(runtime, api, UUID(two), "frozen")
    await put_in(runtime, api, UUID(three), "pending", expires_at=await now(api))
    assert (await verb(api, batch_id, "activate")).attributes["activation"] == "running"
    refused(await verb(api, batch_id, "activate"), 409, "InvalidState")
    await run(runtime)
    end = await batch(api, batch_id)
    assert (end["activation"], end["activated"]) == ("completed", 10)
    states = [each["attributes"]["status"] for each in (await api.get("gift-cards?page[limit]=50")).data]
    assert (states.count("active"), states.count("frozen"), states.count("expired")) == (10, 1, 1)
    assert [(topic, n) for topic, n, _ in await story(api, one)] == [
        ("gift_card.issued", 1),
        ("gift_card.activated", 2),
    ]
    written = await rows(
        runtime,
        api,
        "select kind, sequence, amount, balance_after, reason from gift_card_activities "
        "where tenant_id = $1 and card_id = $2::text::uuid order by sequence",
        one,
    )
    assert written == [("issue", 1, 100, 100, None), ("activate", 2, 0, 100, "activated")]
    # A second round finds nothing more.
    assert (await verb(api, batch_id, "activate")).status == 202
    await run(runtime)
    assert (await batch(api, batch_id))["activated"] == 10


async def test_cards_that_are_active_already_are_not_activated(api: Api, runtime: Runtime) -> None:
    refused(await verb(api, await made(runtime, api), "activate"), 409, "InvalidState")


async def test_the_numbers_are_downloaded_once(api: Api, runtime: Runtime) -> None:
    batch_id = await made(runtime, api, 13, pin=True, amount=250)
    answer = await verb(api, batch_id, "download")
    assert answer.status == 200, answer.text
    assert header(answer, "content-type") == "text/csv"
    assert header(answer, "cache-control") == "no-store"
    assert header(answer, "content-disposition") == f'attachment; filename="gift-cards-{batch_id}.csv"'
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(table[0]) == ["id", "code", "pin", "amount", "currency", "expiresAt"]
    assert len(table) == len({card["code"] for card in table}) == 13
    tails = {each["id"]: each["attributes"]["codeTail"] for each in (await api.get("gift-cards?page[limit]=50")).data}
    for card in table:
        assert codes.canonical(card["code"]) is not None and card["code"].endswith(tails[card["id"]])
        assert codes.well_formed_pin(card["pin"])
        assert (card["amount"], card["currency"], card["expiresAt"]) == ("250", "USD", "")
    # No value begins with what a spreadsheet takes for a formula, and none needs quotes.
    assert all(re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z:.-]*|", value) for card in table for value in card.values())
    assert (await batch(api, batch_id))["downloadedAt"] is not None
    for key in (None, "k"):
        refused(await verb(api, batch_id, "download", key), 409, "AlreadyDownloaded")
    written = await rows(
        runtime,
        api,
        "select count(*) from request_log where tenant_id = $1 and route like '%/download' and status = 200",
    )
    assert written == [(1,)]


async def test_a_download_that_broke_off_begins_again_with_its_key_for_a_day(api: Api, runtime: Runtime) -> None:
    batch_id = await made(runtime, api)
    first = await verb(api, batch_id, "download", "k")
    await advance(api, "PT23H59M59S")
    assert (await verb(api, batch_id, "download", "k")).text == first.text
    refused(await verb(api, batch_id, "download", "other"), 409, "AlreadyDownloaded")
    refused(await verb(api, batch_id, "download"), 409, "AlreadyDownloaded")
    await advance(api, "PT1S")
    refused(await verb(api, batch_id, "download", "k"), 409, "AlreadyDownloaded")


async def test_of_two_downloads_at_once_one_gets_the_numbers(api: Api, runtime: Runtime) -> None:
    batch_id = await made(runtime, api)
    answers = await asyncio.gather(*(verb(api, batch_id, "download") for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 5


async def test_of_two_downloads_in_one_work_one_gets_the_numbers(api: Api, runtime: Runtime) -> None:
    wish = DownloadBatch(asked(api), UUID(await made(runtime, api)))
    async with runtime.work(api.tenant) as work:
        first, second = await downloading.allow(work, [wish, wish])
    assert isinstance(first, tuple) and isinstance(second, AlreadyDownloaded)


async def test_numbers_are_given_to_nobody_else_and_not_before_they_are_made(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    batch_id = (await accept(api, 12)).data["id"]
    refused(await verb(api, batch_id, "download"), 409, "InvalidState")
    await run(runtime)
    writer = await another_client(runtime, api, scopes=frozenset({"gift-cards:write", "gift-cards:read"}))
    elsewhere = await another_client(runtime, api, merchant_ids=(UUID(NOBODY),))
    seer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    stranger = await join(runtime, session, base_url, tenant=api.tenant)
    refused(await verb(writer, batch_id, "download"), 403, "InsufficientScope")
    for other in (elsewhere, seer, stranger):
        for name in ("download", "cancel", "resume", "activate"):
            refused(await verb(other, batch_id, name), 404, "NotFound")
    for name in ("download", "cancel", "resume", "activate"):
        refused(await verb(api, NOBODY, name), 404, "NotFound")
        refused(await verb(api, "x", name), 404, "NotFound")
    for other, status in ((elsewhere, 404), (stranger, 404), (seer, 200), (writer, 200)):
        assert (await other.get(f"gift-card-batches/{batch_id}")).status == status
    assert [each["id"] for each in (await seer.get("gift-card-batches")).data] == [batch_id]
    assert (await stranger.get("gift-card-batches")).data == []


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"count": 0}, "count"),
        ({"count": 100_001}, "count"),
        ({"amount": 0}, "amount"),
        ({"amount": 2_147_483_648}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"merchantId": NOBODY}, "merchantId"),
        ({"designId": NOBODY}, "designId"),
        ({"designId": "x"}, "designId"),
        ({"expiresAt": "x"}, "expiresAt"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"delivery": {}}, "delivery"),
    ],
)
async def test_what_is_wrong_with_a_batch_is_told_where_it_is(api: Api, attributes: dict[str, Any], place: str) -> None:
    refused(await accept(api, **({"count": 1} | attributes)), 400, "InvalidRequest", f"/data/attributes/{place}")
    assert (await api.get("gift-card-batches")).body["meta"]["total"] == 0


async def test_a_key_makes_one_batch(api: Api, runtime: Runtime) -> None:
    answers = await asyncio.gather(*(accept(api, 3, key="k") for _ in range(4)))
    assert len({answer.text for answer in answers}) == 1
    refused(await accept(api, 4, key="k"), 409, "IdempotencyConflict", "/data/attributes/idempotencyKey")
    await run(runtime)
    assert await count(runtime, api) == 3


async def test_a_page_of_batches_is_filtered_by_status(api: Api) -> None:
    await accept(api, 1)
    assert (await api.get("gift-card-batches?filter[status]=accepted")).body["meta"]["total"] == 1
    assert (await api.get("gift-card-batches?filter[status]=paused")).body["meta"]["total"] == 0
    refused(await api.get("gift-card-batches?filter[status]=done"), 400, "InvalidRequest", "filter[status]")


async def test_an_expiry_that_passes_before_all_are_made_stops_the_batch(api: Api, runtime: Runtime) -> None:
    answer = await accept(api, 12, valueClass="promotional", expiresAt="2026-03-03T09:00:00Z")
    await giftcards.run_batches(runtime)
    await advance(api, "P2D")
    await run(runtime)
    stopped = await batch(api, answer.data["id"])
    assert (stopped["status"], stopped["error"]["source"]) == ("paused", {"pointer": "/data/attributes/expiresAt"})


async def test_the_law_counts_from_when_a_batch_is_accepted(api: Api, runtime: Runtime) -> None:
    issued_at = await now(api)
    refused(
        await accept(api, 12, expiresAt="2031-03-02T08:59:59Z"), 400, "InvalidRequest", "/data/attributes/expiresAt"
    )
    batch_id = (await accept(api, 12, expiresAt="2031-03-02T09:00:00Z")).data["id"]
    await giftcards.run_batches(runtime)
    await advance(api, "PT1H")
    await run(runtime)
    assert (await batch(api, batch_id))["status"] == "completed"
    cards = [each["attributes"] for each in (await api.get("gift-cards?page[limit]=50")).data]
    assert {card["issuedAt"] for card in cards} == {render(issued_at)}
    assert len({card["createdAt"] for card in cards}) == 2


async def test_a_batch_of_production_is_made_by_real_time(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db, clock: Clock
) -> None:
    api = await join(runtime, session, base_url, environment="production")
    clock.move(timedelta(seconds=1))
    batch_id = await made(runtime, api, 7)
    assert (await batch(api, batch_id))["done"] == await count(runtime, api) == 7
    await check_whole(auditor, api.tenant)
