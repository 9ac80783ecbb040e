"""Reports over HTTP: what each kind says to the last unit, the same however often it is asked."""

from datetime import timedelta
from typing import Any, cast

import aiohttp
import pytest

from tallystick import ledger, reports
from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.reports import making, sheets
from tests.api import Api, join, luna
from tests.conftest import Clock
from tests.reports.cast import DAY, HOUR, MONTH, Made, Shop, close, drain, made, order, read
from tests.rewards.cast import another_client, feed, header, refused
from tests.world import MIRA_PHONE, T0

DAY_1, DAY_2 = T0 + DAY, T0 + 2 * DAY


@pytest.fixture(autouse=True)
def _some_days_later(api: Api, shop: Shop, clock: Clock) -> None:
    clock.move(3 * DAY)


def roll(report: Made, value_class: str) -> dict[str, int]:
    return {row["line"]: row["amount"] for row in report.rows if row["valueClass"] == value_class}


async def test_a_roll_forward_tells_each_movement_on_its_line(api: Api, shop: Shop, runtime: Runtime) -> None:
    card = await shop.sell(1_000)
    await shop.capture(card, 50, T0 + HOUR)
    await shop.load(card, 200, DAY_1)
    gift = await shop.give(300, DAY_1)
    await shop.capture(card, 400, DAY_1 + HOUR)
    await shop.refund(card, 100, DAY_1 + 2 * HOUR)
    await shop.adjust(card, -25, DAY_1 + 3 * HOUR)
    await shop.give_back(card, 60, DAY_1 + 4 * HOUR)
    moved = await shop.move(card, 80, DAY_1 + 5 * HOUR)
    await shop.cash_out(moved, 5, DAY_1 + 6 * HOUR)
    await shop.expire(gift, DAY_1 + 7 * HOUR)
    await shop.capture(card, 1, DAY_2)
    report = await made(api, runtime, "liability", from_=DAY_1, to=DAY_2)
    assert roll(report, "paid") == {
        "opening": 950,
        "loaded": 200,
        "redeemed": -400,
        "refunded": 100,
        "adjusted": -25,
        "transferred": 0,
        "purchaseReturned": -60,
        "cashedOut": -5,
        "closing": 760,
    }
    assert roll(report, "promotional") == {"opening": 0, "issued": 300, "expired": -300, "closing": 0}
    assert roll(report, "refund") == roll(report, "unclaimed") == {"opening": 0, "closing": 0}
    assert report.attributes["figures"] == {"opening": 950, "closing": 760}
    assert {row["currency"] for row in report.rows} == {"USD"}
    (sold,) = [row for row in (await made(api, runtime, "liability", to=DAY_1)).rows if row["line"] == "sold"]
    assert (sold["amount"], sold["entries"]) == (1_000, 1)


async def test_rewards_that_wait_are_owed_too(api: Api, runtime: Runtime, clock: Clock) -> None:
    await api.issue(MIRA_PHONE, 500)
    clock.move(HOUR)
    before = await made(api, runtime, "liability")
    assert roll(before, "unclaimed") == {"opening": 0, "issued": 500, "closing": 500}
    await api.wallet(MIRA_PHONE)
    clock.move(HOUR)
    after = await made(api, runtime, "liability", from_=T0 + 3 * DAY + HOUR)
    assert roll(after, "unclaimed") == {"opening": 500, "claimed": -500, "closing": 0}
    assert roll(after, "promotional") | roll(after, "compensation") | {} == {
        "opening": 0,
        "claimed": 500,
        "closing": 500,
    }


async def test_a_kind_nobody_foresaw_is_told_as_other(api: Api, shop: Shop, runtime: Runtime) -> None:
    lot = await shop.sell(100)
    await shop.post("new.verb", [(lot, shop.house("merchant.losses"), 30)], T0 + HOUR)
    assert roll(await made(api, runtime, "liability"), "paid") == {
        "opening": 0,
        "sold": 100,
        "other": -30,
        "closing": 70,
    }


async def test_a_statement_of_what_is_owed_to_the_merchant(api: Api, shop: Shop, runtime: Runtime) -> None:
    first, second, payment = await shop.sell(500), await shop.give(500), ids.new()
    await shop.capture(first, 120, T0 + HOUR)
    payable = shop.house("merchant.payable")
    legs = [(second, payable, 30), (first, payable, 70)]
    journal = await shop.post("payment.capture", legs, DAY_1, cause=payment)
    await shop.refund(first, 40, DAY_1 + HOUR, cause=payment)
    report = await made(api, runtime, "settlement", from_=DAY_1, to=DAY_2)
    assert report.attributes["figures"] == {
        "opening": 120, "captured": 100, "refunded": 40, "other": 0, "net": 60, "closing": 180,
    }  # fmt: skip
    assert (report.attributes["fromVersion"], report.attributes["toVersion"], report.attributes["final"]) == (
        1,
        4,
        True,
    )
    captured, refunded = report.rows
    assert captured == {
        "paymentId": str(payment), "kind": "payment.capture", "at": "2026-03-03T09:00:00.000Z", "journalId": str(journal),
        "fromVersion": 2, "toVersion": 3, "captured": 100, "refunded": 0, "other": 0, "balanceAfter": 220, "currency": "USD",
    }  # fmt: skip
    assert [refunded[name] for name in ("paymentId", "captured", "refunded", "balanceAfter")] == [
        str(payment),
        0,
        40,
        180,
    ]


async def test_a_statement_is_the_same_for_ever(api: Api, shop: Shop, runtime: Runtime, clock: Clock) -> None:
    lot = await shop.sell(5_000)
    for n in range(6):
        await shop.capture(lot, 10 + n, T0 + n * HOUR)
    first = await made(api, runtime, "settlement")
    versions = {name: first.attributes[name] for name in ("fromVersion", "toVersion")}
    assert versions == {"fromVersion": 0, "toVersion": 6}
    await shop.refund(lot, 25, T0 + 2 * HOUR)
    await close(api, runtime, T0 + 3 * DAY)
    clock.move(9 * DAY)
    again = await made(api, runtime, "settlement", **versions)
    assert (again.csv, again.json) == (first.csv, first.json)
    assert again.attributes["digest"] == first.attributes["digest"]
    assert again.attributes["figures"] == first.attributes["figures"]
    rest = await made(api, runtime, "settlement", fromVersion=6, toVersion=7)
    assert [row["refunded"] for row in rest.rows] == [25]
    assert rest.attributes["figures"]["opening"] == first.attributes["figures"]["closing"]
    none = await made(api, runtime, "settlement", fromVersion=6, toVersion=6)
    assert (none.rows, none.attributes["figures"]["net"]) == ([], 0)


async def test_a_long_statement_keeps_a_journal_together_across_pages(
    api: Api, shop: Shop, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "ROWS_IN_PART", 7)
    lots = [await shop.sell(1_000) for _ in range(3)]
    payable = shop.house("merchant.payable")
    for _ in range(12):
        await shop.post("payment.capture", [(lot, payable, 1) for lot in lots] * 31)
    report = await made(api, runtime, "settlement")
    assert [row["captured"] for row in report.rows] == [93] * 12
    assert (report.rows[-1]["toVersion"], report.attributes["figures"]["captured"]) == (12 * 93, 12 * 93)


async def test_what_is_unspent_is_told_by_age_and_expiry(api: Api, shop: Shop, runtime: Runtime, clock: Clock) -> None:
    await shop.sell(100, T0, expires_at=T0 + 400 * DAY)
    await shop.sell(30, T0 + 31 * DAY, expires_at=T0 + 400 * DAY)
    await shop.give(7, T0 + 60 * DAY, expires_at=T0 + 70 * DAY)
    await shop.give(5, T0 + 61 * DAY)
    gone = await shop.sell(11)
    await shop.capture(gone, 11)
    await shop.sell(1_000, T0 + 62 * DAY)
    clock.move(200 * DAY)
    report = await made(api, runtime, "aging", to=T0 + 62 * DAY)
    assert [tuple(row.values())[:-1] for row in report.rows] == [
        ("paid", "31-90", "181-365", 2, 130),
        ("promotional", "0-30", "0-30", 1, 7),
        ("promotional", "0-30", "never", 1, 5),
    ]
    assert report.attributes["figures"] == {"lots": 4, "amount": 142}


async def test_dormant_value_is_told_lot_by_lot(api: Api, shop: Shop, runtime: Runtime, clock: Clock) -> None:
    still = await shop.sell(100, T0, expires_at=T0 + 900 * DAY)
    moved = await shop.sell(100)
    await shop.capture(moved, 1, T0 + 2 * MONTH)
    await shop.capture(await shop.sell(9), 9)
    await shop.give(5, T0 + 3 * MONTH)
    clock.move(800 * DAY)
    report = await made(api, runtime, "dormancy", to=T0 + 95 * DAY, dormantMonths=3)
    assert report.rows == [
        {
            "jurisdiction": "US",
            "holder": "giftCard",
            "holderId": str(shop.lots[still].parent_id),
            "lotId": str(still),
            "valueClass": "paid",
            "amount": 100,
            "openedAt": "2026-03-02T09:00:00.000Z",
            "lastMovedAt": "2026-03-02T09:00:00.000Z",
            "expiresAt": "2028-08-18T09:00:00.000Z",
            "currency": "USD",
        }
    ]
    assert (await made(api, runtime, "dormancy")).attributes["figures"] == {"lots": 3, "amount": 204}
    assert (await made(api, runtime, "dormancy", dormantMonths=600)).rows == []


async def test_a_trial_balance_ties_every_account_out(api: Api, shop: Shop, runtime: Runtime) -> None:
    lot = await shop.sell(500)
    await shop.capture(lot, 120, DAY_1)
    report = await made(api, runtime, "trialBalance", from_=DAY_1, to=DAY_2)
    found = {(row["account"], row["valueClass"]): tuple(row.values())[2:7] for row in report.rows}
    assert found[("card.lot", "paid")] == (500, 120, 0, 380, 1)
    assert found[("merchant.payable", None)] == (0, 0, 120, 120, 1)
    assert found[("merchant.sales", None)] == (-500, 0, 0, -500, 0)
    assert report.attributes["figures"] == {"openingInTransit": 0, "closingInTransit": 0, "entries": 2}


async def test_a_report_of_closed_periods_is_final(api: Api, shop: Shop, runtime: Runtime) -> None:
    await shop.sell(500)
    assert not (await made(api, runtime, "liability", to=DAY_1)).attributes["final"]
    await close(api, runtime, DAY_1)
    closed = await made(api, runtime, "liability", to=DAY_1)
    assert closed.attributes["final"]
    assert not (await made(api, runtime, "liability", to=DAY_1 + HOUR)).attributes["final"]
    await shop.give(5, T0 + HOUR)
    assert (await made(api, runtime, "liability", to=DAY_1)).csv == closed.csv


async def test_a_report_is_accepted_made_told_and_listed(api: Api, shop: Shop, runtime: Runtime) -> None:
    answer = await order(api, "aging")
    path = f"/api/v1/reports/{answer.data['id']}"
    assert (answer.status, header(answer, "location"), answer.attributes["status"]) == (202, path, "accepted")
    for part in ("download", "rows"):
        refused(await api.get(f"{path}/{part}"), 409, "ReportNotReady")
    await drain(runtime)
    settled = (await order(api, "settlement")).data["id"]
    await drain(runtime)
    told = [
        (each["topic"], each["subjectId"], each["sequence"]) for each in await feed(api) if "report" in each["topic"]
    ]
    assert told == [
        ("reconciliation.report_ready", answer.data["id"], 1),
        ("settlement.report_ready", settled, 1),
    ]
    shown = (await api.get(path)).attributes
    assert (shown["kind"], shown["status"], shown["to"]) == ("aging", "completed", "2026-03-05T09:00:00.000Z")
    assert [each["id"] for each in (await api.get("reports?filter[kind]=aging")).data] == [answer.data["id"]]
    assert len((await api.get(f"reports?filter[merchantId]={api.merchant_id}")).data) == 2
    refused(
        await api.get("reports?filter[kind]=x&filter[merchantId]=y"),
        400,
        "InvalidRequest",
        "filter[merchantId]",
        "filter[kind]",
    )
    download = await api.get(f"{path}/download")
    assert header(download, "content-type") == "text/csv"
    assert download.text == "valueClass,ageDays,expiresInDays,lots,amount,currency\r\n"
    rows = await api.get(f"{path}/rows")
    assert (header(rows, "content-type"), rows.text) == ("application/json", "[]")


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"kind": "profit"}, "kind"),
        ({"kind": "liability", "to": "2026-03-05T09:00:00.001Z"}, "to"),
        ({"kind": "liability", "to": "soon"}, "to"),
        ({"kind": "liability", "from": "2026-03-05T09:00:00.000Z"}, "from"),
        ({"kind": "liability", "from": "2026-03-04T09:00:00Z", "to": "2026-03-04T09:00:00Z"}, "from"),
        ({"kind": "aging", "from": "2026-03-04T09:00:00Z"}, "from"),
        ({"kind": "aging", "dormantMonths": 3}, "dormantMonths"),
        ({"kind": "dormancy", "dormantMonths": 0}, "dormantMonths"),
        ({"kind": "liability", "toVersion": 0}, "toVersion"),
        ({"kind": "settlement", "fromVersion": 0}, "toVersion"),
        ({"kind": "settlement", "fromVersion": 2, "toVersion": 1}, "fromVersion"),
        ({"kind": "settlement", "toVersion": 3}, "toVersion"),
        ({"kind": "settlement", "toVersion": -1}, "toVersion"),
        ({"kind": "settlement", "toVersion": 0, "to": "2026-03-04T09:00:00Z"}, "toVersion"),
        ({"kind": "settlement", "merchantId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"}, "merchantId"),
        ({"kind": "settlement", "merchantId": "x"}, "merchantId"),
        ({"kind": "settlement", "note": "x"}, "note"),
    ],
)
async def test_what_cannot_be_reported_is_told_at_its_place(api: Api, attributes: Any, place: str) -> None:
    answer = await api.post("reports", {"data": {"type": "Report", "attributes": attributes}})
    refused(answer, 400, "InvalidRequest", f"/data/attributes/{place}")
    assert (await api.get("reports")).data == []


async def test_a_repeated_order_is_one_report(api: Api, runtime: Runtime) -> None:
    document = {"data": {"type": "Report", "attributes": {"kind": "aging"}}}
    first, again = [await api.post("reports", document, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert (again.status, again.text) == (202, first.text)
    document["data"]["attributes"] = {"kind": "liability"}
    refused(await api.post("reports", document, headers={"Idempotency-Key": "k"}), 409, "IdempotencyConflict")
    await drain(runtime)


async def test_a_killed_making_is_begun_again(
    api: Api, shop: Shop, runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.sell(500)
    ordered = (await order(api, "liability")).data["id"]

    async def die(*_: object) -> None:
        raise RuntimeError("killed")

    for verb in ("_read", "_write"):
        with monkeypatch.context() as patched:
            patched.setattr(making, verb, die)
            with pytest.raises(ExceptionGroup):
                await reports.run_due(runtime)
        assert not await reports.run_due(runtime)
        clock.move(timedelta(minutes=3))
    await drain(runtime)
    assert (await read(api, ordered)).attributes["figures"] == {"opening": 0, "closing": 500}


async def test_what_cannot_be_made_is_given_up(
    api: Api, runtime: Runtime, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered = (await order(api, "liability")).data["id"]

    def die(_: object) -> Any:
        raise RuntimeError("spoilt")

    with monkeypatch.context() as patched:
        patched.setitem(cast("dict[str, Any]", sheets.SHEETS), "liability", die)
        for _ in range(making.TRIES):
            with pytest.raises(ExceptionGroup):
                await reports.run_due(runtime)
            clock.move(timedelta(minutes=3))
        await drain(runtime)
    assert (await api.get(f"reports/{ordered}")).attributes["status"] == "failed"
    refused(await api.get(f"reports/{ordered}/download"), 409, "ReportNotReady")


async def test_books_that_do_not_close_make_no_report(
    api: Api, shop: Shop, runtime: Runtime, owner: Any, clock: Clock
) -> None:
    """An entry that does not follow from the one before is a fault, not a number in a report."""
    lot = await shop.sell(500)
    await shop.capture(lot, 100, T0 + HOUR)
    spoil = (
        "update entries set balance_after = balance_after + $2 where tenant_id = $3 and account_id = $1 and version = 2"
    )
    await owner.execute("alter table entries no force row level security")
    await owner.execute(spoil, lot, 1, api.tenant.id)
    ordered = (await order(api, "liability", to=T0 + 2 * HOUR)).data["id"]
    await shop.capture(lot, 1, DAY_1)
    with pytest.raises(ExceptionGroup):
        await reports.run_due(runtime)
    await owner.execute(spoil, lot, -1, api.tenant.id)
    await owner.execute("alter table entries force row level security")
    clock.move(timedelta(minutes=3))
    async with runtime.work(api.tenant) as work:
        await ledger.lock(work, [lot])
    await drain(runtime)
    assert (await read(api, ordered)).attributes["figures"]["closing"] == 400


async def test_reports_of_others_are_as_if_they_were_not_there(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    ordered = (await order(api, "aging")).data["id"]
    await drain(runtime)
    stranger = await join(runtime, session, base_url)
    colleague = await join(runtime, session, base_url, tenant=api.tenant)
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    bound = await another_client(runtime, api, merchant_ids=((await luna(runtime, api.tenant, "Café Sol")).id,))
    for other in (stranger, colleague, bound):
        for missing in (ordered, str(ids.new()), "x"):
            for path in (f"reports/{missing}", f"reports/{missing}/download", f"reports/{missing}/rows"):
                refused(await other.get(path), 404, "NotFound")
        assert (await other.get("reports")).data == []
    assert (await overseer.get(f"reports/{ordered}")).status == 200
    for other in (stranger, bound):
        refused(await order(other, "aging", merchantId=str(api.merchant_id)), 400, "InvalidRequest")
