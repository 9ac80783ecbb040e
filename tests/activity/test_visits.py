"""Visits and orders: like transactions, without what they have not."""

import pytest

from tests.activity.cast import send
from tests.api import Api
from tests.rewards.cast import header, refused
from tests.world import T0

SOURCE = {"id": "v1", "createdAt": T0.isoformat()}


async def test_a_visit_has_no_amounts(api: Api) -> None:
    user = await api.user()
    answer = await send(api, {"source": SOURCE, "customer": {"userId": user}, "channel": "door"}, "visits")
    assert answer.status == 201, answer.text
    assert header(answer, "location") == f"/api/v1/visits/{answer.data['id']}"
    assert set(answer.attributes) == {
        "source", "userId", "merchantId", "channel", "locationId", "attribution", "importId", "importLine", "payload", "createdAt",
    }  # fmt: skip
    assert (await api.get(f"visits/{answer.data['id']}")).data == answer.data
    assert [each["id"] for each in (await api.get("visits?filter[sourceId]=v1")).data] == [answer.data["id"]]
    refused(await send(api, {"source": {**SOURCE, "id": "v2"}, "amount": 5}, "visits"), 400, "InvalidRequest")


@pytest.mark.parametrize(("more", "amount"), [({}, 0), ({"amount": 300}, 300), ({"items": [{"amount": 40}]}, 40)])
async def test_the_amount_of_an_order_may_be_left_out(api: Api, more: dict[str, object], amount: int) -> None:
    answer = await send(api, {"source": SOURCE, **more}, "orders")
    assert (answer.status, answer.attributes["amount"], answer.attributes["type"]) == (201, amount, "Order")
    assert (await api.get("orders")).data == [answer.data]


async def test_one_source_id_may_name_one_of_each_kind(api: Api) -> None:
    assert (await send(api, {"source": SOURCE}, "orders")).status == 201
    assert (await send(api, {"source": SOURCE}, "visits")).status == 201
    shared = {**SOURCE, "system": "square:L88"}
    assert (await send(api, {"source": shared}, "orders")).status == 201
    refused(await send(api, {"source": shared}, "visits"), 409, "ChangedDuplicate")
