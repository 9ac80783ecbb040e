"""Transactions over HTTP: sent one at a time, read again, listed, and refused where they cannot be."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, attribute
from tallystick.base.work import Runtime
from tests.activity.cast import accept, names, progress_of, purchase, send, send_many, told, transaction
from tests.api import Api, document_of, join, luna
from tests.governance.cast import agree, line
from tests.rewards.cast import another_client, feed, header, refused
from tests.thresholds.cast import rule
from tests.world import T0

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"


async def test_a_purchase_is_answered_as_it_is_kept(api: Api) -> None:
    user = await api.user()
    lines = [
        {"amount": 700, "tax": 50, "quantity": 2, "category": "coffee", "name": "Flat white", "sku": "FW"},
        {"amount": 300, "category": "cake"},
        {"amount": 200, "category": "coffee"},
    ]
    paid = [{"amount": 1000, "method": "DebitCard"}, {"amount": 200, "method": "GiftCard"}]
    answer = await send(api, purchase("s1", None, user=user, items=lines, payments=paid, payload={"till": 4}))
    assert answer.status == 201, answer.text
    assert header(answer, "location") == f"/api/v1/external-transactions/{answer.data['id']}"
    assert answer.data["type"] == "ExternalTransaction"
    assert answer.attributes == {
        "type": "Purchase",
        "source": {"id": "s1", "createdAt": "2026-03-02T09:00:00.000Z", "system": None},
        "userId": user,
        "merchantId": str(api.merchant_id),
        "channel": "pos",
        "currency": "USD",
        "amount": 1200,
        "tax": 50,
        "units": 4,
        "categories": [
            {"category": "coffee", "amount": 900, "tax": 50, "units": 3},
            {"category": "cake", "amount": 300, "tax": 0, "units": 1},
        ],
        "payments": [{"method": "DebitCard", "amount": 1000}, {"method": "GiftCard", "amount": 200}],
        "locationId": None,
        "linkedExternalTransactionId": None,
        "linkedId": None,
        "attribution": "counted",
        "returnedAmount": 0,
        "voided": False,
        "importId": None,
        "importLine": None,
        "payload": {"till": 4},
        "createdAt": "2026-03-02T09:00:00.000Z",
    }
    assert (await api.get(f"external-transactions/{answer.data['id']}")).data == answer.data


async def test_a_refund_shows_on_what_it_takes_back(api: Api) -> None:
    bought = await send(api, purchase("s1"))
    back = await send(api, transaction("Refund", "r1", 1200, linkedExternalTransactionId="s1"))
    assert back.attributes["linkedId"] == bought.data["id"]
    shown = (await api.get(f"external-transactions/{bought.data['id']}")).attributes
    assert (shown["returnedAmount"], shown["voided"]) == (1200, False)
    assert (await send(api, transaction("Void", "v1", linkedExternalTransactionId="s1"))).status == 201
    assert (await api.get(f"external-transactions/{bought.data['id']}")).attributes["voided"] is True


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"items": [{"amount": 900}]}, ["items"]),
        ({"payments": [{"amount": 900, "method": "Cash"}]}, ["payments"]),
        ({"items": [{"amount": 1}], "payments": [{"amount": 2, "method": "Cash"}]}, ["items", "payments"]),
        ({"tax": 1001}, ["tax"]),
        ({"tax": 5, "items": [{"amount": 1000, "tax": 4}]}, ["tax"]),
        ({"amount": -1}, ["amount"]),
        ({"amount": 2**31}, ["amount"]),
        ({"amount": None}, ["amount"]),
        ({"currency": "usd"}, ["currency"]),
        ({"type": "Sale"}, ["type"]),
        ({"merchantId": NOBODY}, ["merchantId"]),
        ({"merchantId": "luna"}, ["merchantId"]),
        ({"locationId": NOBODY}, ["locationId"]),
        ({"locationId": "here"}, ["locationId"]),
        ({"customer": {}}, ["customer"]),
        ({"customer": {"userId": NOBODY, "memberCode": "x"}}, ["customer"]),
        ({"customer": {"userId": "mira"}}, ["customer/userId"]),
        ({"customer": {"phoneNumber": "12"}}, ["customer/phoneNumber"]),
        ({"payments": [{"amount": 1000, "method": "Shells"}]}, ["payments/0/method"]),
        ({"source": {"id": "x", "createdAt": "yesterday"}}, ["source/createdAt"]),
        ({"source": {"id": "x", "createdAt": "2026-03-02T09:05:00.001Z"}}, ["source/createdAt"]),
        ({"source": {"id": "x", "createdAt": "1969-12-31T23:59:59Z"}}, ["source/createdAt"]),
        ({"source": {"id": "x", "createdAt": "2026-03-02T09:00:00Z", "system": "partner:me"}}, ["source/system"]),
        ({"source": {"id": "x", "createdAt": "2026-03-02T09:00:00Z", "system": "a b"}}, ["source/system"]),
        ({"linkedExternalTransactionId": "s1"}, ["linkedExternalTransactionId"]),
        ({"dryRun": True}, ["dryRun"]),
    ],
)
async def test_what_cannot_be_is_refused_where_it_stands(api: Api, changes: dict[str, Any], places: list[str]) -> None:
    answer = await send(api, {**purchase("s1"), **changes})
    refused(answer, 400, "InvalidRequest", *(f"/data/attributes/{place}" for place in places))
    assert (await api.get("external-transactions")).data == []


async def test_a_clock_may_be_five_minutes_ahead(api: Api) -> None:
    assert (await send(api, purchase("s1", at="2026-03-02T09:05:00Z"))).status == 201


async def test_the_newest_come_first_and_pages_follow_each_other(api: Api) -> None:
    made = [(await send(api, purchase(f"s{number}"))).data["id"] for number in range(5)]
    newest = sorted(made, reverse=True)
    first = await api.get("external-transactions?page[limit]=3")
    assert [each["id"] for each in first.data] == newest[:3]
    second = await api.get(first.body["links"]["next"])
    assert [each["id"] for each in second.data] == newest[3:]
    assert second.body["links"]["next"] is None


async def test_lists_are_filtered(runtime: Runtime, api: Api) -> None:
    user = await api.user()
    theirs = (await send(api, purchase("s1", user=user))).data["id"]
    unknown = (await send(api, purchase("s2", customer={"externalId": "c-9"}))).data["id"]
    back = (await send(api, transaction("Refund", "s3", 5))).data["id"]
    system = (await send(api, purchase("x", source={"id": "s1", "createdAt": T0.isoformat(), "system": "t:1"}))).data[
        "id"
    ]
    every = {theirs, unknown, back, system}
    shop = await luna(runtime, api.tenant, "Other")
    for query, wanted in (
        (f"filter[userId]={user}", {theirs}),
        ("filter[customer]=unknown", {unknown}),
        ("filter[type]=Refund", {back}),
        ("filter[sourceId]=s1", {theirs}),
        ("filter[sourceId]=s1&filter[system]=t:1", {system}),
        ("filter[sourceId]=s9", set()),
        (f"filter[merchantId]={api.merchant_id}", every),
        (f"filter[merchantId]={shop.id}", set()),
        (f"filter[importId]={NOBODY}", set()),
    ):
        found = await api.get(f"external-transactions?{query}")
        assert {each["id"] for each in found.data} == wanted, query
    for place in ("filter[userId]", "filter[importId]", "filter[type]", "filter[customer]", "page[after]"):
        refused(await api.get(f"external-transactions?{place}=me"), 400, "InvalidRequest", place)
    both = f"filter[userId]={user}&filter[importId]={NOBODY}"
    refused(await api.get(f"external-transactions?{both}"), 400, "InvalidRequest", "filter[userId]", "filter[importId]")


async def test_others_see_neither_it_nor_its_payload(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, api: Api
) -> None:
    made = (await send(api, purchase("s1", payload={"secret": 1}))).data["id"]
    other = await join(runtime, session, base_url, tenant=api.tenant)
    refused(await other.get(f"external-transactions/{made}"), 404, "NotFound")
    assert (await other.get("external-transactions")).data == []
    seeing = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    shown = (await seeing.get(f"external-transactions/{made}")).attributes
    assert (shown["payload"], shown["amount"]) == (None, 1000)
    elsewhere = await luna(runtime, api.tenant, "Other")
    narrow = await another_client(runtime, api, merchant_ids=(elsewhere.id,))
    refused(await narrow.get(f"external-transactions/{made}"), 404, "NotFound")
    assert (await narrow.get("external-transactions")).data == []
    refused(await api.get(f"visits/{made}"), 404, "NotFound")


async def test_an_event_tells_of_it_without_whose_it_was(api: Api) -> None:
    user = await api.user()
    made = (await send(api, purchase("s1", user=user, payload={"till": 4}))).data["id"]
    (told,) = [each for each in await feed(api) if each["subjectId"] == made]
    assert (told["topic"], told["sequence"]) == ("transaction.accepted", 1)
    assert "till" not in str(told)
    assert user not in str(told)


async def test_the_payload_is_sealed_at_rest(runtime: Runtime, api: Api) -> None:
    made = (await send(api, purchase("s1", payload={"till": "fourteen"}))).data["id"]
    async with runtime.reading(api.tenant) as work:
        sealed = await work.db.value(
            "select payload_sealed from activities where tenant_id = $1 and id = $2", api.tenant.id, UUID(made)
        )
    assert b"fourteen" not in sealed


async def test_scopes_are_asked_for(runtime: Runtime, api: Api) -> None:
    reads = await another_client(runtime, api, scopes=frozenset({"activity:read"}))
    refused(await send(reads, purchase("s1")), 403, "InsufficientScope")
    writes = await another_client(runtime, api, scopes=frozenset({"activity:write"}))
    assert (await send(writes, purchase("s1"))).status == 201
    refused(await writes.get("external-transactions"), 403, "InsufficientScope")


async def test_a_location_is_named_by_its_id_or_the_partners(runtime: Runtime, api: Api) -> None:
    made = await api.post("locations", document_of("Location", name="Airport", externalId="store-12"))
    assert made.status == 201, made.text
    by_id = await send(api, purchase("s1", locationId=made.data["id"]))
    by_name = await send(api, purchase("s2", locationExternalId="store-12"))
    assert by_id.attributes["locationId"] == by_name.attributes["locationId"] == made.data["id"]
    place = "/data/attributes/locationExternalId"
    refused(await send(api, purchase("s3", locationExternalId="store-13")), 400, "InvalidRequest", place)
    both = purchase("s3", locationExternalId="store-12", locationId=made.data["id"])
    refused(await send(api, both), 400, "InvalidRequest", place)
    elsewhere = await luna(runtime, api.tenant, "Other")
    away = told(api, "s3", merchant_id=elsewhere.id, location_id=UUID(made.data["id"]))
    (outcome,) = await accept(runtime, api, away)
    assert isinstance(outcome, InvalidRequest)
    assert outcome.source == attribute("locationId")


async def test_a_quota_counts_what_is_accepted_and_no_resend(runtime: Runtime, api: Api) -> None:
    await agree(runtime, api.tenant, api.partner_id, line("transactions.count", 2))
    assert (await send(api, purchase("s1"))).status == 201
    assert (await send(api, purchase("s1"))).status == 201
    many = await send_many(api, [purchase("s2"), purchase("s1"), purchase("s3")])
    assert [each["attributes"]["status"] for each in many.data] == ["accepted", "duplicate", "rejected"]
    refused(await send(api, purchase("s4")), 409, "QuotaExceeded")
    assert (await send(api, purchase("s2"))).status == 201
    assert await names(runtime, api) == {"s1": True, "s2": True}


async def test_another_currency_is_kept_and_counts_nothing(runtime: Runtime, api: Api) -> None:
    threshold, user = await rule(api), await api.user()
    answer = await send(api, purchase("s1", user=user, currency="EUR"))
    assert (answer.status, answer.attributes["currency"]) == (201, "EUR")
    assert await progress_of(runtime, api, threshold, user) == (0, 0)


async def test_months_of_them_are_partitions(runtime: Runtime, api: Api, owner: Any) -> None:
    made = UUID((await send(api, purchase("s1"))).data["id"])
    month = await owner.fetchval("select tableoid::regclass::text from activities where id = $1", made)
    assert month == f"activities_{datetime.now(UTC):%Y_%m}"
    long_ago = ids.new(int(datetime(2020, 5, 1, tzinfo=UTC).timestamp() * 1000))
    assert await owner.fetchval("select uuid_floor('2020-05-01T00:00:00Z') <= $1", long_ago)
    assert await owner.fetchval("select uuid_floor('2020-05-01T00:00:00.001Z') > $1", long_ago)
