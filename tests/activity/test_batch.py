"""Lists of documents: a verdict on each, and no document harms another."""

from typing import Any

import pytest

from tests.activity.cast import purchase, send, send_many, transaction
from tests.api import JSON_API, Api
from tests.rewards.cast import feed, refused
from tests.world import T0


def statuses(answer: Any) -> list[str]:
    return [each["attributes"]["status"] for each in answer.data]


async def test_each_document_has_its_verdict(api: Api) -> None:
    await send(api, purchase("s0"))
    answer = await send_many(
        api,
        [
            purchase("s0"),
            purchase("s1"),
            {**purchase("s2"), "amount": "10", "colour": "red"},
            purchase("s0", 5),
            transaction("Refund", "s3", 100, linkedExternalTransactionId="s1"),
            purchase("s1"),
            purchase("s4", merchantId="0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"),
        ],
    )
    assert answer.status == 200, answer.text
    assert statuses(answer) == ["duplicate", "accepted", "rejected", "rejected", "accepted", "duplicate", "rejected"]
    assert answer.body["meta"] == {"accepted": 2, "duplicates": 2, "rejected": 3}
    assert [each["id"] for each in answer.data] == [str(number) for number in range(7)]
    assert {each["type"] for each in answer.data} == {"Verdict"}
    shown = [each["attributes"] for each in answer.data]
    assert shown[1]["activityId"] == shown[5]["activityId"]
    assert {error["source"]["pointer"] for error in shown[2]["errors"]} == {
        "/data/2/attributes/amount",
        "/data/2/attributes/colour",
    }
    (conflict,) = shown[3]["errors"]
    assert (conflict["code"], conflict["status"], conflict["source"]) == (
        "ChangedDuplicate",
        "409",
        {"pointer": "/data/3/attributes/source/id"},
    )
    assert shown[6]["errors"][0]["source"] == {"pointer": "/data/6/attributes/merchantId"}
    back = (await api.get(f"external-transactions/{shown[1]['activityId']}")).attributes
    assert back["returnedAmount"] == 100


@pytest.mark.parametrize(
    ("item", "places"),
    [
        (5, {"/data/1"}),
        ({"attributes": {}}, {"/data/1", "/data/1/attributes"}),
        ({"type": "Visit", "attributes": {}}, {"/data/1/attributes"}),
        ({"type": "ExternalTransaction", "id": "7", "attributes": purchase("s9")}, {"/data/1/id"}),
        (
            {"type": "ExternalTransaction", "attributes": {**purchase("s9"), "channel": "a\x00"}},
            {"/data/1/attributes/channel"},
        ),
    ],
)
async def test_a_document_of_another_shape_is_told_where_it_stands(api: Api, item: Any, places: set[str]) -> None:
    good = {"type": "ExternalTransaction", "attributes": purchase("s1")}
    answer = await api.post("external-transactions", {"data": [good, item]})
    assert statuses(answer) == ["accepted", "rejected"], answer.text
    assert {error["source"]["pointer"] for error in answer.data[1]["attributes"]["errors"]} == places


async def test_a_name_given_twice_is_a_fault_of_its_document(api: Api) -> None:
    attributes = b'{"type":"Purchase","amount":1,"amount":2,"source":{"id":"a","createdAt":"x"}}'
    twice = b'{"type":"ExternalTransaction","attributes":%s}' % attributes
    answer = await api.post("external-transactions", raw=b'{"data":[%s,%s]}' % (twice, twice))
    places = [{e["source"]["pointer"] for e in each["attributes"]["errors"]} for each in answer.data]
    assert places == [{f"/data/{number}/attributes/amount"} for number in range(2)], answer.text


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b'{"data":[]}', ["/data"]),
        (b'{"data":[{}],"more":1}', ["/more"]),
        (b'{"data":[{}],"meta":[]}', ["/meta"]),
        (b'{"data":[{}],"data":[{}]}', ["/data"]),
        (b'{"data":[' + b",".join([b"{}"] * 1001) + b"]}", ["/data"]),
        (b'{"data":[{}', [""]),
        (b'[{"data":{}}]', [""]),
        (b'{"data":null}', ["/data"]),
        (b'{"data":[\xff]}', [""]),
    ],
)
async def test_a_list_that_is_none_is_refused_as_a_whole(api: Api, body: bytes, places: list[str]) -> None:
    answer = await api.post("external-transactions", raw=body, headers={"Content-Type": JSON_API})
    refused(answer, 400, "InvalidRequest", *places)


async def test_a_thousand_at_once(api: Api) -> None:
    user = await api.user()
    answer = await send_many(api, [purchase(f"s{number}", user=user) for number in range(1000)])
    assert answer.body["meta"] == {"accepted": 1000, "duplicates": 0, "rejected": 0}
    again = await send_many(api, [purchase(f"s{number}", user=user) for number in range(1000)])
    assert again.body["meta"] == {"accepted": 0, "duplicates": 1000, "rejected": 0}


async def test_visits_and_orders_come_in_lists_too(api: Api) -> None:
    visit = {"source": {"id": "v1", "createdAt": T0.isoformat()}, "channel": "door"}
    assert statuses(await send_many(api, [visit, visit], "visits")) == ["accepted", "duplicate"]
    order = {"source": {"id": "v1", "createdAt": T0.isoformat()}, "items": [{"amount": 5, "quantity": 2}]}
    assert statuses(await send_many(api, [order], "orders")) == ["accepted"]
    assert len([each for each in await feed(api) if each["topic"] == "transaction.accepted"]) == 2


async def test_a_purchase_of_nothing_but_a_list_of_one_is_a_list(api: Api) -> None:
    answer = await send_many(api, [purchase("s1", 0)])
    assert (answer.status, statuses(answer)) == (200, ["accepted"])
