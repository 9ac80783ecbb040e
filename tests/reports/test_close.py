"""Closing a period over HTTP: accepted at once, closed in the background, whatever is killed on the way."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick import ledger, reports
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.ledger import periods
from tallystick.reports import breakage, closing
from tests.api import Api, document_of, join, luna
from tests.conftest import Clock
from tests.reports.cast import DAY, HOUR, Shop, ask_to_close, close, drain, order, set_rate
from tests.rewards.cast import advance, another_client, feed, header, refused
from tests.world import T0

END = T0 + DAY
LEASE = timedelta(seconds=31)


@pytest.fixture(autouse=True)
def _a_day_later(api: Api, shop: Shop, clock: Clock) -> None:
    """The programme began at T0; now is an hour behind the end of its first day."""
    clock.move(DAY + HOUR)


async def test_a_period_is_accepted_then_closed_with_its_figures(api: Api, shop: Shop, runtime: Runtime) -> None:
    lot = await shop.sell(500)
    await shop.capture(lot, 120, T0 + HOUR)
    answer = await ask_to_close(api, END)
    assert answer.status == 202
    path = f"/api/v1/periods/{answer.data['id']}"
    assert header(answer, "location") == path
    waiting = answer.attributes
    assert (waiting["status"], waiting["entries"], waiting["sums"], waiting["digest"]) == ("closing", None, None, None)
    await drain(runtime)
    closed = (await api.get(path)).attributes
    assert {name: closed[name] for name in ("number", "status", "startsAt", "endsAt", "closedAt", "currency")} == {
        "number": 1,
        "status": "closed",
        "startsAt": "2026-03-02T09:00:00.000Z",
        "endsAt": "2026-03-03T09:00:00.000Z",
        "closedAt": "2026-03-03T10:00:00.000Z",
        "currency": "USD",
    }
    assert (closed["entries"], closed["inTransit"], len(closed["digest"])) == (4, 0, 64)
    assert closed["sums"] == {"card.lot": 380, "merchant.payable": 120, "merchant.sales": -500}
    told = [each for each in await feed(api) if each["topic"] == "period.closed"]
    assert [(each["subjectId"], each["sequence"]) for each in told] == [(answer.data["id"], 1)]
    assert told[0]["document"]["attributes"] == closed


async def test_periods_follow_each_other_and_are_listed_latest_first(api: Api, runtime: Runtime) -> None:
    first, second = await close(api, runtime, T0 + HOUR), await close(api, runtime, END)
    assert (first["number"], second["number"], second["startsAt"]) == (1, 2, first["endsAt"])
    for query in ("", f"?filter[merchantId]={api.merchant_id}"):
        assert [each["attributes"]["number"] for each in (await api.get(f"periods{query}")).data] == [2, 1]
    assert (await api.get(f"periods?filter[merchantId]={ids.new()}")).data == []
    refused(await api.get("periods?filter[merchantId]=x"), 400, "InvalidRequest", "filter[merchantId]")


@pytest.mark.parametrize(
    "ends_at",
    ["2026-03-03T10:00:00.001Z", "2026-03-02T09:00:00.000Z", "2020-01-01T00:00:00Z", "yesterday", "2026-03-03"],
)
async def test_what_is_to_come_and_what_was_before_the_books_cannot_be_closed(api: Api, ends_at: str) -> None:
    answer = await api.post("periods", document_of("Period", endsAt=ends_at))
    refused(answer, 400, "InvalidRequest", "/data/attributes/endsAt")
    assert (await api.get("periods")).data == []


async def test_what_is_closed_is_not_closed_again(api: Api, runtime: Runtime) -> None:
    await close(api, runtime, END)
    refused(await ask_to_close(api, END), 400, "InvalidRequest", "/data/attributes/endsAt")
    refused(await ask_to_close(api, END - HOUR), 400, "InvalidRequest", "/data/attributes/endsAt")


async def test_one_period_closes_at_a_time(api: Api, runtime: Runtime) -> None:
    answers = await asyncio.gather(*(ask_to_close(api, END - n * HOUR) for n in range(4)))
    assert sorted(answer.status for answer in answers) == [202, 409, 409, 409]
    assert {code for answer in answers if answer.status == 409 for code in answer.codes} == {"InvalidState"}
    await drain(runtime)
    assert len((await api.get("periods")).data) == 1


async def test_a_repeated_request_is_one_period(api: Api, runtime: Runtime) -> None:
    document = document_of("Period", endsAt="2026-03-03T09:00:00.000Z")
    first = await api.post("periods", document, headers={"Idempotency-Key": "june"})
    await drain(runtime)
    again = await api.post("periods", document, headers={"Idempotency-Key": "june"})
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (202, first.text, "true")
    other = document_of("Period", endsAt="2026-03-03T09:30:00.000Z")
    refused(await api.post("periods", other, headers={"Idempotency-Key": "june"}), 409, "IdempotencyConflict")


async def test_a_correction_after_the_close_is_in_the_next_period(api: Api, shop: Shop, runtime: Runtime) -> None:
    lot = await shop.sell(500)
    first = await close(api, runtime, END)
    await shop.adjust(lot, -30, T0 + HOUR)
    second = await close(api, runtime, END + HOUR)
    assert (first["sums"]["card.lot"], second["sums"]) == (500, {"card.lot": -30, "merchant.adjustments": 30})


async def test_a_late_expiry_is_in_the_next_period(api: Api, shop: Shop, runtime: Runtime) -> None:
    lot = await shop.give(50)
    await close(api, runtime, END)
    await shop.expire(lot, T0 + 2 * HOUR)
    second = await close(api, runtime, END + HOUR)
    assert second["sums"] == {"merchant.receivable": 50, "wallet.lot": -50}


async def test_due_work_before_the_end_comes_first(api: Api, shop: Shop, runtime: Runtime, clock: Clock) -> None:
    await api.issue(amount=40)  # waits until the end of May
    await shop.give(50, expires_at=END + 3 * HOUR)
    clock.move(DAY)
    assert (await close(api, runtime, END))["status"] == "closed"
    answer = await ask_to_close(api, END + 4 * HOUR)
    refused(answer, 409, "WorkOutstanding")
    assert "1 lots to expire" in answer.body["errors"][0]["detail"]
    assert "rewards" not in answer.body["errors"][0]["detail"]
    clock.move(timedelta(days=90))
    answer = await ask_to_close(api, END + timedelta(days=90, hours=2))
    assert "1 waiting rewards to expire" in answer.body["errors"][0]["detail"]
    assert len((await api.get("periods")).data) == 1


async def test_what_falls_due_at_the_end_itself_is_the_next_periods(api: Api, shop: Shop, runtime: Runtime) -> None:
    await shop.give(50, expires_at=END)
    assert (await ask_to_close(api, END)).status == 202
    await drain(runtime)


async def test_in_a_sandbox_its_own_clock_counts(api: Api, runtime: Runtime) -> None:
    refused(await ask_to_close(api, END + 10 * DAY), 400, "InvalidRequest")
    await advance(api, "P20D")
    assert (await close(api, runtime, END + 10 * DAY))["closedAt"] == "2026-03-23T10:00:00.000Z"


async def test_a_poster_from_before_the_fence_is_waited_for(api: Api, shop: Shop, runtime: Runtime) -> None:
    lot = await shop.sell(500)
    answer = await ask_to_close(api, END)
    transfer = ledger.Transfer(lot, shop.house("merchant.payable"), 5)
    journal = ledger.Journal(ids.new(), "payment.capture", ids.new(), shop.merchant.id, "USD", (transfer,))
    async with runtime.work(api.tenant, at=T0 + HOUR) as work:
        assert await ledger.post(work, [journal]) == ["posted"]
        for _ in range(3):
            await reports.run_due(runtime)
        assert (await api.get(f"periods/{answer.data['id']}")).attributes["status"] == "closing"
    await drain(runtime)
    closed = (await api.get(f"periods/{answer.data['id']}")).attributes
    assert (closed["status"], closed["sums"]["merchant.payable"]) == ("closed", 5)


@pytest.mark.parametrize(
    ("room", "verb"),
    [(breakage, "recognise"), (periods, "fence"), (periods, "cut"), (periods, "has_drained"), (periods, "seal")],
)
async def test_a_killed_step_is_taken_again(
    api: Api, shop: Shop, runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch, room: Any, verb: str
) -> None:
    await set_rate(api, 1_000)
    lot = await shop.sell(1_000)
    await shop.capture(lot, 450, T0 + HOUR)
    answer = await ask_to_close(api, END)

    async def die(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(room, verb, die)
        with pytest.raises(ExceptionGroup):
            await drain(runtime)
    assert not await reports.run_due(runtime)  # it is in somebody's hands, as far as anybody knows
    clock.move(LEASE)
    await shop.capture(lot, 7, T0 + 2 * HOUR)
    await drain(runtime)
    closed = (await api.get(f"periods/{answer.data['id']}")).attributes
    assert closed["status"] == "closed"
    assert closed["sums"]["merchant.breakage"] == -(457 * 1_000 // 9_000 if verb in ("recognise", "fence") else 50)
    assert closed["sums"]["merchant.payable"] == (457 if verb in ("recognise", "fence") else 450)


async def test_two_workers_close_a_period_once(api: Api, shop: Shop, runtime: Runtime, clock: Clock) -> None:
    await shop.sell(10)
    await ask_to_close(api, END)
    await asyncio.gather(*(closing.carry_on(runtime, api.tenant) for _ in range(4)))
    clock.move(LEASE)
    await drain(runtime)
    assert len([each for each in await feed(api) if each["topic"] == "period.closed"]) == 1


async def test_merchants_of_others_are_as_if_they_were_not_there(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    stranger = await join(runtime, session, base_url)
    bound = await another_client(runtime, api, merchant_ids=((await luna(runtime, api.tenant, "Café Sol")).id,))
    period_id = (await ask_to_close(api, END, merchantId=str(api.merchant_id))).data["id"]
    for other in (stranger, bound):
        for named in (str(api.merchant_id), str(ids.new()), "x"):
            answer = await ask_to_close(other, END, merchantId=named)
            refused(answer, 400, "InvalidRequest", "/data/attributes/merchantId")
            assert answer.body["errors"][0]["detail"] == "There is no such merchant that you may act for."
        for missing in (period_id, str(ids.new()), "x"):
            refused(await other.get(f"periods/{missing}"), 404, "NotFound")
        assert (await other.get("periods")).data == []
    await drain(runtime)


async def test_books_of_production_are_closed_by_real_time(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, environment="production")
    clock.move(HOUR)
    closed = await close(api, runtime, runtime.clock())
    assert (closed["number"], closed["entries"]) == (1, 0)
    assert await ledger.check_books(auditor, api.tenant.id) == []


async def test_a_tenants_fault_keeps_no_other_from_its_turn(
    api: Api,
    runtime: Runtime,
    session: aiohttp.ClientSession,
    base_url: str,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = await join(runtime, session, base_url)
    clock.move(HOUR)
    await ask_to_close(api, END)
    ordered = (await order(other, "liability")).data["id"]
    real = closing.carry_on

    async def fail_for_one(runtime: Runtime, tenant: Any) -> bool:
        if tenant.id == api.tenant.id:
            raise RuntimeError("spoilt")
        return await real(runtime, tenant)

    with monkeypatch.context() as patched:
        patched.setattr(closing, "carry_on", fail_for_one)
        with pytest.raises(ExceptionGroup):
            await reports.run_due(runtime)
    assert (await other.get(f"reports/{ordered}")).attributes["status"] == "completed"
    await drain(runtime)
