"""A day's reconciliation: balances that close, totals by topic, digests; and what a partner's own totals and rows are told."""

import asyncio
import hashlib
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.reports import reconciliation_model as model
from tallystick.reports import reconciliation_store as store
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.giftcards.living import done, new, pay, settle
from tests.reports.cast import Made, drain, made, order, put
from tests.reports.reconciling import balances, delta, differences, hold, own_totals, reported, told, totals
from tests.rewards.cast import advance, another_client, feed, refused

FIRST_DAY = "2026-03-02"
"""The day of T0 in New York, where Café Luna is."""
MISMATCH = "reconciliation.mismatch_found"


async def a_days_trade(api: Api) -> tuple[str, str]:
    """Two cards sold, one spent in parts and refunded, a reward, a card that expires ten days later; the next day has come."""
    card = await new(api, 5_000, externalReference="order-1")
    await new(api, 700, externalReference="order-2")
    await new(api, 300, valueClass="promotional", expiresAt="2026-03-12T09:00:00.000Z")
    payment = await pay(api, card, 2_000, externalReference="till-1")
    await settle(api, payment, "refund", 500)
    await settle(api, payment, "refund", 250)
    assert (await api.issue(amount=120)).status == 200
    await advance(api, "P1D")
    return card, payment


async def test_a_day_of_a_shop_is_reported_to_the_unit(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    _, report = await reported(api, runtime, date=FIRST_DAY)
    assert balances(report) == {"opening": 0, "movement": 4_870, "closing": 4_870, "difference": 0}
    assert balances(report, "paid") == {
        "opening": 0, "sold": 5_700, "redeemed": -2_000, "refunded": 750, "closing": 4_450, "difference": 0,
    }  # fmt: skip
    found = totals(report)
    assert found["gift_card.issued"] == (3, 6_000)
    assert found["redemption.captured"] == (1, 2_000)
    assert found["redemption.refunded"] == (2, 750)
    assert found["gift_card.redeemed"] == (1, 2_000)
    assert found["gift_card.refunded"] == (2, 750)
    assert found["reward.pre_issued"] == (1, 120)
    assert report.attributes["figures"] | {"position": 0} == {
        "opening": 0, "movement": 4_870, "closing": 4_870, "difference": 0, "position": 0,
        "events": sum(count for count, _ in found.values()),
    }  # fmt: skip
    assert {(row["day"], row["currency"]) for row in report.rows} == {(FIRST_DAY, "USD")}


async def test_the_digest_of_a_topic_is_over_its_sorted_ids(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    _, report = await reported(api, runtime, date=FIRST_DAY)
    answer = await api.get("webhook-events?page[limit]=100")
    by_topic: dict[str, list[str]] = {}
    for event in answer.data:
        by_topic.setdefault(event["attributes"]["topic"], []).append(event["id"])
    digests = {row["name"]: row["digest"] for row in report.rows if row["section"] == "events"}
    assert digests
    for topic, digest in digests.items():
        assert digest == hashlib.sha256("\n".join(sorted(by_topic[topic])).encode()).hexdigest(), topic


async def test_a_partner_can_reckon_the_amounts_from_what_it_heard(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    _, report = await reported(api, runtime, date=FIRST_DAY)
    last: dict[str, Any] = {}
    heard: dict[str, int] = {}
    for event in await feed(api):
        if event["subjectType"] == "GiftCard":
            heard[event["topic"]] = heard.get(event["topic"], 0) + delta(event, last.get(event["subjectId"]))
            last[event["subjectId"]] = event
    assert heard == {name: amount for name, (_, amount) in totals(report).items() if name.startswith("gift_card.")}


async def test_amounts_outlive_the_events_before_them(api: Api, runtime: Runtime, dsn: str) -> None:
    card, payment = await a_days_trade(api)
    _, report = await reported(api, runtime, date=FIRST_DAY)
    since, until = model.bounds(model.parse_day(FIRST_DAY), "America/New_York")
    connection = await asyncpg.connect(dsn)
    undone = connection.transaction()
    await undone.start()
    gone = ["gift_card.issued", "redemption.authorized", "redemption.captured"]
    await connection.execute(
        "delete from events where tenant_id = $1 and subject_id = any($2::uuid[]) and topic = any($3)",
        api.tenant.id, [UUID(card), UUID(payment)], gone,
    )  # fmt: skip
    span = (api.tenant.id, api.merchant_id, True, api.partner_id, 2**62, store.EPOCH, since, until)
    rows = await connection.fetch(store.TOTALS, *span)
    await undone.rollback()
    await connection.close()
    left = {row[0]: (row[1], row[2]) for row in rows}
    assert {*gone[1:]} & set(left) == set()
    for topic in ("redemption.refunded", "gift_card.redeemed", "gift_card.refunded"):
        assert left[topic] == totals(report)[topic]


async def test_days_follow_each_other_and_expiry_falls_in_its_own(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    await advance(api, "P12D")
    _, report = await reported(api, runtime, **{"from": "2026-03-02T05:00:00.000Z", "to": "2026-03-13T04:00:00.000Z"})
    days = sorted({row["day"] for row in report.rows})
    assert (days[0], days[-1], len(days)) == (FIRST_DAY, "2026-03-12", 11)
    reached = 0
    for day in days:
        of_day = {row["name"]: row["amount"] for row in report.rows if row["day"] == day and row["valueClass"] == "all"}
        assert (of_day["opening"], of_day["difference"]) == (reached, 0)
        reached = of_day["closing"]
    expired = [row for row in report.rows if row["name"] == "gift_card.expired"]
    assert [(row["day"], row["count"], row["amount"]) for row in expired] == [("2026-03-12", 1, 300)]
    assert reached == 4_870 - 300


async def test_a_day_is_the_merchants_own_also_where_clocks_change() -> None:
    assert model.bounds(model.parse_day("2026-03-08"), "America/New_York")[0].isoformat() == "2026-03-08T05:00:00+00:00"
    start, end = model.bounds(model.parse_day("2026-03-08"), "America/New_York")
    assert end - start == timedelta(hours=23)
    start, end = model.bounds(model.parse_day("2026-09-06"), "America/Santiago")  # midnight does not exist
    assert model.day_of(start, "America/Santiago").isoformat() == "2026-09-06"
    pieces = model.days(start - timedelta(hours=1), end + timedelta(hours=1), "America/Santiago")
    assert [each[0].day for each in pieces] == [5, 6, 7]
    assert all(before[2] == after[1] for before, after in pairwise(pieces))


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"date": "2026-3-2"}, "date"),
        ({"date": "2026-02-30"}, "date"),
        ({"date": "9999-12-31"}, "date"),
        ({"date": FIRST_DAY}, "date"),
        ({"date": "2026-03-01", "to": "2026-03-02T08:00:00.000Z"}, "date"),
        ({"from": "2025-03-01T08:00:00.000Z"}, "from"),
        ({"kind": "liability", "date": "2026-03-01"}, "date"),
    ],
)
async def test_a_day_that_cannot_be_reported_is_refused(api: Api, attributes: dict[str, Any], place: str) -> None:
    asked = {"kind": "reconciliation", **attributes}
    answer = await api.post("reports", {"data": {"type": "Report", "attributes": asked}})
    refused(answer, 400, "InvalidRequest", f"/data/attributes/{place}")


async def test_equal_totals_and_rows_match_and_nobody_is_told(api: Api, runtime: Runtime) -> None:
    card, payment = await a_days_trade(api)
    report_id, report = await reported(api, runtime, date=FIRST_DAY)
    rows = [
        {"topic": "redemption.captured", "id": payment, "amount": 2_000},
        {"topic": "redemption.refunded", "externalReference": "till-1", "amount": 500},
        {"topic": "redemption.refunded", "externalReference": "till-1", "amount": 250},
        {"topic": "gift_card.redeemed", "id": card},
    ]
    answer = await hold(api, reportId=report_id, currency="USD", totals=own_totals(report), rows=rows)
    assert (answer.status, answer.attributes["status"]) == (201, "matched"), answer.text
    assert (answer.attributes["rows"], answer.attributes["differenceCount"]) == (4, 0)
    assert {each["topic"]: (each["ourCount"], each["ourAmount"]) for each in answer.attributes["totals"]} == totals(
        report
    )
    assert await differences(api, answer.data["id"]) == []
    assert await told(api) == []
    by_day = await hold(api, date=FIRST_DAY, totals=own_totals(report))
    assert (by_day.attributes["status"], by_day.attributes["reportId"]) == ("matched", report_id)


async def test_a_row_that_is_missing_is_named_and_told_once(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    report_id, _ = await reported(api, runtime, date=FIRST_DAY)
    issued = (await api.get("webhook-events?page[limit]=100&filter[topic]=gift_card.issued")).data
    kept, left_out = issued[:-1], issued[-1]
    rows = [{"topic": "gift_card.issued", "id": event["id"]} for event in kept]
    answer = await hold(api, reportId=report_id, rows=rows)
    assert answer.attributes["status"] == "mismatched"
    total, row = await differences(api, answer.data["id"])
    assert (total["kind"], total["ourCount"], total["theirCount"]) == ("total", 3, 2)
    assert (row["kind"], row["eventId"], row["subjectId"]) == (
        "missingThere",
        left_out["id"],
        left_out["attributes"]["subjectId"],
    )
    assert (row["ourCount"], row["ourAmount"], row["theirCount"], row["theirAmount"]) == (1, 300, 0, None)
    (event,) = await told(api)
    assert (event["subjectId"], event["subjectType"], event["sequence"]) == (answer.data["id"], "Reconciliation", 1)
    assert event["document"]["attributes"] == answer.attributes
    listed = await api.get("reconciliations?filter[status]=mismatched")
    assert [each["id"] for each in listed.data] == [answer.data["id"]]
    assert (await api.get(f"reconciliations/{answer.data['id']}")).data == answer.data
    assert (await api.get("reconciliations?filter[status]=matched")).data == []


async def test_rows_that_differ_are_named_by_what_differs(api: Api, runtime: Runtime) -> None:
    _, payment = await a_days_trade(api)
    report_id, _ = await reported(api, runtime, date=FIRST_DAY)
    unknown = str(ids.new())
    rows = [
        {"topic": "redemption.captured", "id": payment, "amount": 1_999},
        {"topic": "redemption.captured", "id": unknown, "amount": 1},
        {"topic": "redemption.refunded", "externalReference": "till-1", "amount": 500},
    ]
    answer = await hold(api, reportId=report_id, rows=rows)
    found = [
        (each["kind"], each["topic"], each["ourCount"], each["ourAmount"], each["theirCount"], each["theirAmount"])
        for each in await differences(api, answer.data["id"])
    ]
    assert found == [
        ("total", "redemption.captured", 1, 2_000, 2, 2_000),
        ("total", "redemption.refunded", 2, 750, 1, 500),
        ("differs", "redemption.captured", 1, 2_000, 1, 1_999),
        ("missingHere", "redemption.captured", 0, None, 1, 1),
        ("differs", "redemption.refunded", 2, 750, 1, 500),
    ]
    assert [each["subjectId"] for each in await differences(api, answer.data["id"])][2:4] == [payment, unknown]
    assert answer.attributes["differenceCount"] == 5


async def test_the_same_event_sent_twice_differs(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    report_id, _ = await reported(api, runtime, date=FIRST_DAY)
    (event,) = (await api.get("webhook-events?page[limit]=100&filter[topic]=redemption.captured")).data
    row = {"topic": "redemption.captured", "id": event["id"], "amount": 2_000}
    answer = await hold(api, reportId=report_id, totals=[{"topic": "redemption.captured", "count": 1}], rows=[row, row])
    (found,) = await differences(api, answer.data["id"])
    assert (found["kind"], found["eventId"], found["ourCount"], found["theirCount"]) == ("differs", event["id"], 1, 2)


async def test_csv_says_the_same_as_rows(api: Api, runtime: Runtime) -> None:
    _, payment = await a_days_trade(api)
    report_id, _ = await reported(api, runtime, date=FIRST_DAY)
    text = f"amount,topic,id,externalReference\r\n2000,redemption.captured,{payment},\r\n"
    text += '500,redemption.refunded,,"till-1"\r\n250,redemption.refunded,,till-1\r\n'
    answer = await hold(api, reportId=report_id, csv=text)
    assert (answer.attributes["status"], answer.attributes["rows"]) == ("matched", 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line"),
        ("topic,topic\n", "first line"),
        ("id,amount\n", "first line"),
        ("topic,id,colour\n", "first line"),
        ("topic,id\nreward.credited\n", "Line 2"),
        ("topic,id\nreward.credited,x\n", "Line 2: This is not an id"),
        ("topic,id,externalReference\nreward.credited,,\n", "Line 2: Give either"),
        ("topic,externalReference,amount\nreward.credited,a,1.5\n", "Line 2"),
        ("topic,externalReference,amount\nreward.credited,a,1e3\n", "Line 2"),
        ("topic,externalReference,amount\nreward.credited,a,9007199254740992\n", "Line 2"),
        ("topic,externalReference\nreward.credited,\x01\n", "Line 2"),
        ('topic,externalReference\nreward.credited,"a\n', "unexpected end"),
        ("topic,externalReference\n" + "reward.credited,a\n" * 10_001, "10000"),
    ],
)
async def test_csv_that_cannot_be_read_is_refused_with_its_line(api: Api, text: str, said: str) -> None:
    answer = await hold(api, reportId=str(ids.new()), csv=text)
    refused(answer, 400, "InvalidRequest", "/data/attributes/csv")
    assert said in answer.body["errors"][0]["detail"], answer.text


ONE = {"topic": "reward.credited", "count": 1}


@pytest.mark.parametrize(
    ("sent", "places"),
    [
        ({"totals": [ONE]}, ["reportId"]),
        ({"reportId": "x", "totals": [ONE]}, ["reportId"]),
        ({"reportId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11", "date": FIRST_DAY, "totals": [ONE]}, ["date"]),
        ({"date": "2026-02-30", "totals": [ONE]}, ["date"]),
        ({"date": FIRST_DAY, "totals": [ONE]}, ["date"]),
        ({"date": FIRST_DAY, "merchantId": "x", "totals": [ONE]}, ["merchantId"]),
        ({"date": FIRST_DAY, "currency": "usd", "totals": [ONE]}, ["currency"]),
        ({"date": FIRST_DAY}, ["totals"]),
        ({"date": FIRST_DAY, "totals": [ONE, ONE]}, ["totals/1/topic"]),
        ({"date": FIRST_DAY, "totals": [{"topic": "reward.lost", "count": 1}]}, ["totals/0/topic"]),
        ({"date": FIRST_DAY, "totals": [{**ONE, "count": -1}]}, ["totals/0/count"]),
        ({"date": FIRST_DAY, "totals": [{**ONE, "count": 1.5}]}, ["totals/0/count"]),
        ({"date": FIRST_DAY, "totals": [{**ONE, "amount": 2**53}]}, ["totals/0/amount"]),
        ({"date": FIRST_DAY, "totals": [{**ONE, "amount": 10**400}]}, ["totals/0/amount"]),
        ({"date": FIRST_DAY, "rows": [{"topic": "reward.credited"}]}, ["rows/0"]),
        ({"date": FIRST_DAY, "rows": [{"topic": "reward.credited", "id": "x"}]}, ["rows/0"]),
        ({"date": FIRST_DAY, "rows": [{"topic": "x", "externalReference": "a"}]}, ["rows/0"]),
        ({"date": FIRST_DAY, "rows": [{"topic": "reward.credited", "externalReference": "a\u0001"}]}, ["rows/0"]),
        ({"date": FIRST_DAY, "rows": [{"topic": "reward.credited", "externalReference": "a"}] * 10_001}, ["rows"]),
    ],
)
async def test_what_cannot_be_held_against_a_report_is_refused(
    api: Api, sent: dict[str, Any], places: list[str]
) -> None:
    answer = await hold(api, **sent)
    assert answer.status == 400, answer.text
    assert answer.pointers == [f"/data/attributes/{place}" for place in places], answer.text


async def test_numbers_that_come_to_too_much_are_refused(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    report_id, _ = await reported(api, runtime, date=FIRST_DAY)
    most = {"topic": "gift_card.issued", "externalReference": "order-1", "amount": 2**53 - 1}
    refused(await hold(api, reportId=report_id, rows=[most] * 5_000), 400, "InvalidRequest", "/data/attributes/rows")
    full = [{**most, "externalReference": f"order-{n}", "amount": 1} for n in range(10_000)]
    answer = await hold(api, reportId=report_id, rows=full)
    assert (answer.status, answer.attributes["differenceCount"]) == (201, 1 + 10_000 + 1)
    assert (await api.get(f"reconciliations/{answer.data['id']}/differences")).body["meta"]["total"] == 10_000
    refused(
        await hold(api, reportId=report_id, currency="EUR", totals=[ONE]),
        400,
        "InvalidRequest",
        "/data/attributes/currency",
    )


async def test_only_a_reconciliation_that_is_made_can_be_held_against(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    waiting = await order(api, "reconciliation", date=FIRST_DAY)
    refused(await hold(api, reportId=waiting.data["id"], totals=[ONE]), 409, "ReportNotReady")
    refused(await hold(api, date=FIRST_DAY, totals=[ONE]), 400, "InvalidRequest", "/data/attributes/date")
    await drain(runtime)
    other = await order(api, "aging")
    await drain(runtime)
    refused(
        await hold(api, reportId=other.data["id"], totals=[ONE]), 400, "InvalidRequest", "/data/attributes/reportId"
    )


async def test_a_report_of_others_is_as_one_that_is_not_there(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    await a_days_trade(api)
    report_id, report = await reported(api, runtime, date=FIRST_DAY)
    own = (await hold(api, reportId=report_id, totals=own_totals(report))).data["id"]
    neighbours = [
        await join(runtime, session, base_url),
        await join(runtime, session, base_url, tenant=api.tenant),
        await another_client(runtime, api, merchant_ids=(ids.new(),)),
    ]
    for neighbour in neighbours:
        there = await hold(neighbour, reportId=report_id, totals=[ONE])
        nowhere = await hold(neighbour, reportId=str(ids.new()), totals=[ONE])
        assert (there.status, there.codes, there.pointers) == (400, ["InvalidRequest"], ["/data/attributes/reportId"])
        assert there.body["errors"][0]["detail"] == nowhere.body["errors"][0]["detail"]
        for path in (f"reconciliations/{own}", f"reconciliations/{own}/differences"):
            refused(await neighbour.get(path), 404, "NotFound")
        assert (await neighbour.get("reconciliations")).data == []


async def test_a_partner_is_told_of_what_it_may_see(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    await a_days_trade(api)
    own = await join(runtime, session, base_url, tenant=api.tenant)
    all_of_it = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    named = {"merchantId": str(api.merchant_id), "date": FIRST_DAY}
    _, first = await reported(own, runtime, **named)
    _, second = await reported(all_of_it, runtime, **named)
    assert totals(first) == {}
    assert totals(second)["gift_card.issued"] == (3, 6_000)
    assert balances(first) == balances(second)


async def test_the_same_key_twice_at_once_is_held_once(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    report_id, _ = await reported(api, runtime, date=FIRST_DAY)
    sent = {"reportId": report_id, "totals": [ONE]}
    answers = await asyncio.gather(*(hold(api, key="one", **sent) for _ in range(6)))
    assert {(each.status, each.text) for each in answers} == {(201, answers[0].text)}
    assert len((await api.get("reconciliations")).data) == len(await told(api)) == 1
    other = await hold(api, key="one", reportId=report_id, totals=[{**ONE, "count": 2}])
    refused(other, 409, "IdempotencyConflict")


async def test_what_happens_later_changes_nothing_that_was_found(api: Api, runtime: Runtime, clock: Clock) -> None:
    await new(api, 400)
    clock.move(timedelta(days=1))
    report_id, report = await reported(api, runtime, date=FIRST_DAY)
    clock.move(-timedelta(days=1))  # a work that began in the day and ended behind it
    await new(api, 900)
    clock.move(timedelta(days=1))
    rows = [{"topic": "gift_card.issued", "id": (await told(api, "gift_card.issued"))[0]["subjectId"], "amount": 400}]
    answer = await hold(api, reportId=report_id, totals=own_totals(report), rows=rows)
    assert answer.attributes["status"] == "matched", await differences(api, answer.data["id"])
    again, later = await reported(api, runtime, date=FIRST_DAY)
    assert totals(later)["gift_card.issued"] == (2, 1_300)
    assert (await hold(api, reportId=again, totals=own_totals(report))).attributes["status"] == "mismatched"


async def ask(api: Api, **more: Any) -> Any:
    answer = await put(api, "report-schedules", document_of("ReportSchedule", kind="reconciliation", **more))
    assert answer.status == 200, answer.text
    return answer.attributes


async def daily(api: Api) -> list[tuple[str, str]]:
    """From when until when each report is, oldest first."""
    found = (await api.get("reports?filter[kind]=reconciliation&page[limit]=50")).data
    return sorted((each["attributes"]["from"], each["attributes"]["to"]) for each in found)


async def test_each_day_with_activity_is_reported_once_when_it_is_over(api: Api, runtime: Runtime) -> None:
    wish = await ask(api)
    assert (wish["enabled"], wish["nextDate"], wish["dueAt"]) == (True, FIRST_DAY, "2026-03-03T06:00:00.000Z")
    await new(api, 500)
    await advance(api, "PT19H")
    assert await daily(api) == []
    await advance(api, "PT2H")  # an hour behind midnight
    await advance(api, "P3D")  # in which nothing happens
    await new(api, 600)
    await advance(api, "P2D")
    await drain(runtime)
    await drain(runtime)
    assert await daily(api) == [
        ("2026-03-02T05:00:00.000Z", "2026-03-03T05:00:00.000Z"),
        ("2026-03-06T05:00:00.000Z", "2026-03-07T05:00:00.000Z"),
    ]
    ready = await told(api, "reconciliation.report_ready")
    assert [event["document"]["attributes"]["status"] for event in ready] == ["completed"] * 2
    (kept,) = (await api.get("report-schedules")).data
    assert (kept["attributes"]["nextDate"], kept["attributes"]["lastReportId"] in {e["subjectId"] for e in ready}) == (
        "2026-03-08", True,
    )  # fmt: skip


async def test_the_worker_orders_what_is_due_once_however_many_there_are(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    await ask(api)
    await new(api, 500)
    clock.move(timedelta(days=1))
    await asyncio.gather(*(drain(runtime) for _ in range(3)))
    assert len(await daily(api)) == 1
    again = await order(api, "reconciliation", date=FIRST_DAY)
    await drain(runtime)
    assert (again.status, len(await daily(api))) == (202, 2)


async def test_a_schedule_is_switched_off_and_on_again(api: Api, runtime: Runtime) -> None:
    first = await ask(api)
    assert await ask(api) == first  # goes on where it is
    off = await ask(api, enabled=False)
    assert (off["enabled"], off["nextDate"], off["dueAt"]) == (False, None, None)
    await new(api, 500)
    await advance(api, "P3D")
    assert await daily(api) == []
    on = await ask(api)
    assert on["nextDate"] == "2026-03-05"
    assert len((await api.get("report-schedules")).data) == 1
    refused(
        await put(
            api, "report-schedules", document_of("ReportSchedule", kind="reconciliation", merchantId=str(ids.new()))
        ),
        400,
        "InvalidRequest",
        "/data/attributes/merchantId",
    )


async def test_a_card_is_sold_spent_expired_reported_and_reconciled(api: Api, runtime: Runtime) -> None:
    await ask(api)
    card = await new(api, 900, valueClass="promotional", expiresAt="2026-03-12T09:00:00.000Z")
    await pay(api, card, 300)
    sold = await new(api, 2_000)
    await advance(api, "P1D")
    await done(api, sold, "load", amount=150)
    await advance(api, "P10D")
    await drain(runtime)
    reports = (await api.get("reports?filter[kind]=reconciliation&page[limit]=50")).data
    by_day = {each["attributes"]["from"][:10]: each["id"] for each in reports}
    assert set(by_day) == {"2026-03-02", "2026-03-03", "2026-03-12"}
    closing = 0
    for day, moved in (("2026-03-02", 2_600), ("2026-03-03", 150), ("2026-03-12", -600)):
        report = await read_of(api, by_day[day])
        assert balances(report) == {"opening": closing, "movement": moved, "closing": closing + moved, "difference": 0}
        closing += moved
        assert (await hold(api, reportId=by_day[day], totals=own_totals(report))).attributes["status"] == "matched"
    assert await told(api) == []
    expired = [{"topic": "gift_card.expired", "id": sold, "amount": 600}]
    answer = await hold(api, reportId=by_day["2026-03-12"], rows=expired)
    kinds = [(each["kind"], each["subjectId"]) for each in await differences(api, answer.data["id"])]
    assert kinds == [("missingHere", sold), ("missingThere", card)]
    assert len(await told(api)) == 1


async def read_of(api: Api, report_id: str) -> Made:
    rows = (await api.get(f"reports/{report_id}/rows")).body
    return Made((await api.get(f"reports/{report_id}")).attributes, "", rows)


async def test_without_a_day_it_is_about_the_one_that_ended_last(api: Api, runtime: Runtime) -> None:
    await a_days_trade(api)
    report = await made(api, runtime, "reconciliation")
    assert (report.attributes["from"], report.attributes["to"]) == (
        "2026-03-02T05:00:00.000Z",
        "2026-03-03T05:00:00.000Z",
    )
