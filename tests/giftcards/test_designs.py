"""How cards look: designs are added, read, changed and retired by the partner that made them."""

from typing import Any

import aiohttp
import pytest

from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join
from tests.giftcards.cast import NOBODY, accept, issue, issued, show
from tests.rewards.cast import another_client, configure, header, refused

PATH = "gift-card-designs"


async def add(api: Api, key: str | None = None, **attributes: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(PATH, document_of("GiftCardDesign", **({"name": "Winter"} | attributes)), headers=headers)


async def change(api: Api, design_id: str, key: str | None = None, **attributes: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.patch(f"{PATH}/{design_id}", document_of("GiftCardDesign", **attributes), headers=headers)


async def test_a_design_is_added_and_read(api: Api) -> None:
    wanted = {
        "imageUrl": "https://images.example/winter.png?size=2",
        "backgroundColour": "#0b3D91",
        "terms": "Not for cash.\nExcept where the law says so.",
    }
    added = await add(api, **wanted)
    assert added.status == 201, added.text
    assert header(added, "location") == f"/api/v1/{PATH}/{added.data['id']}"
    assert added.attributes.items() >= wanted.items()
    assert (added.attributes["name"], added.attributes["status"]) == ("Winter", "active")
    assert added.attributes["merchantId"] == str(api.merchant_id)
    assert (await api.get(f"{PATH}/{added.data['id']}")).text == added.text
    assert [design["id"] for design in (await api.get(PATH)).data] == [added.data["id"]]


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"imageUrl": "http://images.example/a.png"}, "imageUrl"),
        ({"imageUrl": "javascript:alert(1)"}, "imageUrl"),
        ({"imageUrl": "https://"}, "imageUrl"),
        ({"imageUrl": "https://me:secret@images.example/"}, "imageUrl"),
        ({"imageUrl": 'https://images.example/"onload="x'}, "imageUrl"),
        ({"imageUrl": "https://images.example:99999/"}, "imageUrl"),
        ({"imageUrl": "https://[images.example/"}, "imageUrl"),
        ({"imageUrl": "https://images.example/" + "x" * 2000}, "imageUrl"),
        ({"backgroundColour": "blue"}, "backgroundColour"),
        ({"backgroundColour": "#0b3d9"}, "backgroundColour"),
        ({"backgroundColour": "#0b3d91\n"}, "backgroundColour"),
        ({"terms": "x" * 5001}, "terms"),
        ({"merchantId": NOBODY}, "merchantId"),
        ({"status": "retired"}, "status"),
    ],
)
async def test_what_is_wrong_with_a_design_is_told_where_it_is(
    api: Api, attributes: dict[str, Any], place: str
) -> None:
    refused(await add(api, **attributes), 400, "InvalidRequest", f"/data/attributes/{place}")
    assert (await api.get(PATH)).body["meta"]["total"] == 0


async def test_what_is_left_out_of_a_change_stays_and_null_or_blank_takes_away(api: Api) -> None:
    added = await add(api, backgroundColour="#000000", terms="T", imageUrl="https://images.example/")
    changed = await change(api, added.data["id"], name="Summer", terms=None, imageUrl=" ")
    assert changed.status == 200, changed.text
    shown = changed.attributes
    assert (shown["name"], shown["backgroundColour"], shown["terms"], shown["imageUrl"]) == (
        "Summer",
        "#000000",
        None,
        None,
    )
    refused(await change(api, added.data["id"]), 400, "InvalidRequest", "/data/attributes")
    refused(await change(api, added.data["id"], name=None), 400, "InvalidRequest", "/data/attributes/name")
    refused(await change(api, added.data["id"], backgroundColour="red"), 400, "InvalidRequest")
    refused(await change(api, NOBODY, name="X"), 404, "NotFound")
    refused(await change(api, "x", name="X"), 404, "NotFound")


async def test_cards_keep_a_retired_design_and_new_ones_cannot_have_it(api: Api) -> None:
    design_id = (await add(api)).data["id"]
    card = await issued(api, 100, designId=design_id)
    assert card.attributes["designId"] == design_id
    assert (await change(api, design_id, status="retired")).attributes["status"] == "retired"
    refused(await issue(api, 100, designId=design_id), 400, "InvalidRequest", "/data/attributes/designId")
    refused(await accept(api, 1, designId=design_id), 400, "InvalidRequest", "/data/attributes/designId")
    assert (await show(api, card.data["id"]))["designId"] == design_id
    assert [each["id"] for each in (await api.get(f"{PATH}?filter[status]=retired")).data] == [design_id]
    assert (await api.get(f"{PATH}?filter[status]=active")).data == []
    refused(await api.get(f"{PATH}?filter[status]=old"), 400, "InvalidRequest", "filter[status]")
    await change(api, design_id, status="active")
    await issued(api, 100, designId=design_id)


async def test_a_key_makes_one_design(api: Api) -> None:
    first, again = await add(api, "k"), await add(api, "k")
    assert (first.text, header(again, "idempotent-replayed")) == (again.text, "true")
    refused(await add(api, "k", name="Other"), 409, "IdempotencyConflict")
    assert (await api.get(PATH)).body["meta"]["total"] == 1


async def test_a_design_belongs_to_the_partner_that_made_it(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    design_id = (await add(api)).data["id"]
    stranger = await join(runtime, session, base_url, tenant=api.tenant)
    seer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    refused(await stranger.get(f"{PATH}/{design_id}"), 404, "NotFound")
    refused(await issue(stranger, 100, designId=design_id), 400, "InvalidRequest", "/data/attributes/designId")
    assert (await seer.get(f"{PATH}/{design_id}")).status == 200
    for other in (stranger, seer):
        refused(await change(other, design_id, name="Mine"), 404, "NotFound")
    reader = await another_client(runtime, api, scopes=frozenset({"gift-cards:read"}))
    refused(await add(reader), 403, "InsufficientScope")


async def test_a_closed_merchant_gets_no_designs(api: Api, runtime: Runtime) -> None:
    await add(api)
    await configure(runtime, api, status="closed")
    refused(await add(api, merchantId=str(api.merchant_id)), 400, "InvalidRequest", "/data/attributes/merchantId")
