"""Documents of systems over real HTTP: signed and not, again and changed, early and late, known and unknown."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick import partners
from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Answer, Api, join
from tests.conftest import Clock
from tests.integrations.cast import SECRETS, Shop, activities, connect, document

SYSTEMS = ("square", "shopify", "lightspeed")
FIRST = {"square": "square_payment", "shopify": "shopify_order", "lightspeed": "lightspeed_sale"}
BACK = {"square": "square_refund", "shopify": "shopify_refund", "lightspeed": "lightspeed_return"}
TOPIC_BACK = {"shopify": "refunds/create"}


def said(answer: Answer) -> Any:
    """What an answer of an error says, but for the names of this one request."""
    error = dict(answer.body["errors"][0])
    meta = dict(error.pop("meta"))
    path = meta.pop("path").rpartition("/")[0]
    del error["id"], meta["timestamp"], meta["requestId"]
    kept = {name.lower() for name in answer.headers} - {"date"}
    return answer.status, error, meta, path, sorted(kept), answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_signed_document_becomes_a_purchase(api: Api, system: str) -> None:
    shop = await connect(api, system)
    answer = await shop.send(document(FIRST[system]))
    assert (answer.status, answer.body["outcome"]) == (200, "recorded"), answer.text
    purchase = (await activities(api))[0]["attributes"]
    assert purchase["type"] == "Purchase"
    assert purchase["source"]["system"] == f"{system}:{(await shop.shown())['account']}"
    assert purchase["amount"] == {"square": 1350, "shopify": 6426, "lightspeed": 4182}[system]
    shown = await shop.shown()
    assert (shown["received"], shown["ignored"], shown["refused"]) == (1, 0, 0)
    assert shown["lastReceivedAt"] is not None


@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_document_that_comes_again_counts_once(api: Api, system: str) -> None:
    shop = await connect(api, system)
    for _ in range(3):
        assert (await shop.send(document(FIRST[system]))).status == 200
    assert len(await activities(api)) == 1
    assert await shop.faults() == []


@pytest.mark.parametrize("system", SYSTEMS)
async def test_two_partners_that_connect_one_shop_count_it_once(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, system: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    mine = await connect(api, system)
    theirs = await connect(
        other, system, merchantId=str(api.merchant_id), signingSecret="another secret that is long enough"
    )
    for shop in (mine, theirs):
        answer = await shop.send(document(FIRST[system]))
        assert (answer.status, answer.body["outcome"]) == (200, "recorded")
    assert len(await activities(other)) == 1


@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_body_that_was_changed_on_the_way_is_refused(api: Api, system: str) -> None:
    shop = await connect(api, system)
    body = shop.body(document(FIRST[system]))
    answer = await shop.post(body.replace(b"1", b"2", 1), shop.signed(body, None))
    assert answer.status == 401
    assert await activities(api) == []


@pytest.mark.parametrize("system", SYSTEMS)
async def test_whoever_cannot_prove_it_gets_one_answer(api: Api, system: str) -> None:
    shop, disabled = await connect(api, system), await connect(api, system)
    assert (await api.post(f"integrations/{disabled.id}/disable")).attributes["status"] == "disabled"
    body = shop.body(document(FIRST[system]))
    wrong = Shop(api, system, shop.id, shop.url, "not the secret at all")
    answers = [
        await shop.post(body, wrong.signed(body, None)),
        await shop.post(body, {}),
        await disabled.send(body),
        await shop.post(body, shop.signed(body, None), f"/in/{ids.new()}"),
        await shop.post(body, shop.signed(body, None), "/in/not-an-id"),
    ]
    assert all(said(answer) == said(answers[0]) for answer in answers)
    assert (answers[0].status, answers[0].codes) == (401, ["Unauthorized"])
    assert await activities(api) == []


async def test_every_kind_of_broken_signature_is_refused(api: Api) -> None:
    for system, header in (
        ("square", "X-Square-HmacSha256-Signature"),
        ("shopify", "X-Shopify-Hmac-Sha256"),
        ("lightspeed", "X-Signature"),
    ):
        shop = await connect(api, system)
        right = shop.signed(shop.body(document(FIRST[system])), None)[header]
        for sent in (
            "",
            "=",
            "ÿ",
            right[:-2],
            right + "=",
            "A" * 5000,
            right.swapcase() if system != "lightspeed" else "x",
        ):
            assert (await shop.send(document(FIRST[system]), **{header: sent})).status == 401, (system, sent[:50])
    assert await activities(api) == []


async def test_a_lightspeed_signature_is_read_in_base64_and_of_no_other_algorithm(api: Api) -> None:
    shop = await connect(api, "lightspeed")
    body = shop.body(document("lightspeed_sale"))
    digits = shop.signed(body, None)["X-Signature"].split(",")[0].removeprefix("signature=")
    written = base64.b64encode(bytes.fromhex(digits)).decode()
    other = await shop.post(body, {"X-Signature": f"signature={digits},algorithm=HMAC-SHA1"})
    assert other.status == 401
    assert (await shop.post(body, {"X-Signature": f"algorithm=HMAC-SHA256, signature={written}"})).status == 200


async def test_a_document_of_one_integration_is_not_taken_by_another(api: Api) -> None:
    first, second = await connect(api, "square"), await connect(api, "square")
    body = first.body(document("square_payment"))
    # The same secret: but Square signs the address, too.
    assert (await second.post(body, first.signed(body, None))).status == 401


async def test_refused_documents_are_counted_and_in_the_partners_log(api: Api) -> None:
    shop = await connect(api, "square")
    for _ in range(3):
        assert (await shop.post(b"{}", {})).status == 401

    async def logged() -> int:
        each = [row["attributes"] for row in (await api.get("request-logs?page[limit]=50")).data]
        return len([row for row in each if (row["route"], row["status"]) == ("/in/{id}", 401)])

    # Both are written in the background, within a second or so.
    for _ in range(100):
        if (await shop.shown())["refused"] == 3 and await logged() == 3:
            break
        await asyncio.sleep(0.05)
    shown = await shop.shown()
    assert (shown["refused"], shown["received"], await logged()) == (3, 0, 3)


@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_refund_is_taken_off_its_purchase_whichever_comes_first(api: Api, system: str) -> None:
    shop = await connect(api, system)
    assert (await shop.send(document(BACK[system]), TOPIC_BACK.get(system))).body["outcome"] == "recorded"
    assert (await shop.send(document(FIRST[system]))).body["outcome"] == "recorded"
    kept = {each["attributes"]["type"]: each["attributes"] for each in await activities(api)}
    returned = {"square": 450, "shopify": 1944, "lightspeed": 976}[system]
    assert kept["Refund"]["amount"] == returned
    assert kept["Purchase"]["returnedAmount"] == returned
    assert kept["Refund"]["linkedId"] is not None


async def test_a_cancelled_order_is_voided(api: Api) -> None:
    shop = await connect(api, "shopify")
    order = document("shopify_order")
    await shop.send(order)
    cancelled = order | {"cancelled_at": "2026-03-02T03:58:00-05:00", "financial_status": "voided"}
    assert (await shop.send(cancelled, "orders/cancelled")).body["outcome"] == "recorded"
    kept = {each["attributes"]["type"]: each["attributes"] for each in await activities(api)}
    assert kept["Purchase"]["voided"] is True


async def test_a_topic_that_the_body_does_not_bear_out_is_not_believed(api: Api) -> None:
    shop = await connect(api, "shopify")
    order = document("shopify_order")
    await shop.send(order)
    # The topic is a header, and no header is signed: a signed order must not void itself.
    answer = await shop.send(order, "orders/cancelled")
    assert answer.body["outcome"] == "fault"
    assert [each["attributes"]["type"] for each in await activities(api)] == ["Purchase"]


async def test_a_voided_sale_is_voided(api: Api) -> None:
    shop = await connect(api, "lightspeed")
    sale = document("lightspeed_sale")
    await shop.send(sale)
    answer = await shop.send(sale | {"status": "VOIDED", "updated_at": "2026-03-02 08:30:00"})
    assert answer.body["outcome"] == "recorded"
    kept = {each["attributes"]["type"]: each["attributes"] for each in await activities(api)}
    assert kept["Purchase"]["voided"] is True


async def test_documents_that_nobody_needs_are_counted_as_ignored(api: Api) -> None:
    square, shopify = await connect(api, "square"), await connect(api, "shopify")
    event = document("square_payment")
    event["data"]["object"]["payment"]["status"] = "APPROVED"
    test_event = {"merchant_id": "MLUNA4F7Q2ZX1", "type": "webhooks.test_notification", "event_id": "1"}
    for told in (event, document("square_payment") | {"type": "inventory.count.updated"}, test_event):
        answer = await square.send(told)
        assert (answer.status, answer.body["outcome"]) == (200, "ignored")
    unpaid = document("shopify_order") | {"financial_status": "pending"}
    for told, topic in ((unpaid, "orders/create"), ({"id": 1}, "products/update")):
        assert (await shopify.send(told, topic)).body["outcome"] == "ignored"
    for shop, ignored in ((square, 3), (shopify, 2)):
        shown = await shop.shown()
        assert (shown["ignored"], shown["received"]) == (ignored, 0)
    assert await activities(api) == [] and await square.faults() == [] and await shopify.faults() == []


@pytest.mark.parametrize("system", SYSTEMS)
async def test_documents_of_another_account_of_the_same_application_are_ignored(api: Api, system: str) -> None:
    shop = await connect(api, system, account="other-shop")
    answer = await shop.send(document(FIRST[system]))
    assert (answer.status, answer.body["outcome"]) == (200, "ignored")
    assert await activities(api) == []


async def test_an_event_of_square_that_is_old_is_not_taken(api: Api) -> None:
    shop = await connect(api, "square")
    for made_at in ("2026-01-20T00:00:00Z", "2026-03-02T09:30:00Z"):
        answer = await shop.send(document("square_payment") | {"created_at": made_at})
        assert (answer.status, answer.body["outcome"]) == (200, "fault")
    assert await activities(api) == []


async def test_places_are_mapped_to_the_merchants_own(api: Api) -> None:
    made = await api.post(
        "locations",
        {"data": {"type": "Location", "attributes": {"name": "Old town", "timeZone": "America/New_York"}}},
    )
    assert made.status == 201, made.text
    shop = await connect(api, "square", locations={"L4TBSQMWW5JYN": made.data["id"]})
    await shop.send(document("square_payment"))
    assert (await activities(api))[0]["attributes"]["locationId"] == made.data["id"]


async def test_a_customer_is_known_by_phone_or_by_the_systems_own_id(api: Api) -> None:
    kim = await api.user("+12025550143", externalId="W92WH6P11H4Z77CTET0RNTGFW8")
    for system in SYSTEMS:
        shop = await connect(api, system)
        assert (await shop.send(document(FIRST[system]))).body["outcome"] == "recorded"
    assert [each["attributes"]["userId"] for each in await activities(api)] == [kim] * 3


async def test_a_changed_secret_leaves_the_former_one_for_a_day(api: Api, clock: Clock) -> None:
    shop = await connect(api, "shopify")
    answer = await api.patch(
        f"integrations/{shop.id}", {"data": {"type": "Integration", "attributes": {"signingSecret": "n" * 32}}}
    )
    assert answer.attributes["formerSecretUntil"] == "2026-03-03T09:00:00.000Z"
    renewed = Shop(api, "shopify", shop.id, shop.url, "n" * 32)
    for each in (shop, renewed):
        assert (await each.send({}, "products/update")).status == 200
    clock.move(timedelta(hours=24))
    assert (await shop.send({}, "products/update")).status == 401
    assert (await renewed.send({}, "products/update")).status == 200


async def test_a_suspended_partners_integration_is_closed(api: Api, runtime: Runtime) -> None:
    shop = await connect(api, "square")
    async with runtime.pool.lend() as db, db.connection.transaction():
        await partners.suspend_partner(db, api.partner_id)
    assert (await shop.send(document("square_payment"))).status == 401


async def test_an_enabled_integration_takes_documents_again(api: Api) -> None:
    shop = await connect(api, "square")
    await api.post(f"integrations/{shop.id}/disable")
    assert (await shop.send(document("square_payment"))).status == 401
    assert (await api.post(f"integrations/{shop.id}/enable")).attributes["status"] == "active"
    assert (await shop.send(document("square_payment"))).status == 200


async def test_a_body_may_have_a_mebibyte_and_no_more(api: Api) -> None:
    shop = await connect(api, "shopify")
    padding = 1024 * 1024 - len(json.dumps({"note": ""}))
    assert (await shop.send({"note": "x" * padding}, "products/update")).status == 200
    assert (await shop.send({"note": "x" * (padding + 1)}, "products/update")).status == 413


async def test_only_posts_are_taken(api: Api) -> None:
    shop = await connect(api, "square")
    async with api.session.get(f"{api.base_url}/in/{shop.id}") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    async with api.session.post(f"{api.base_url}/in/") as answer:
        assert answer.status == 404
    async with api.session.post(f"{api.base_url}/in/{shop.id}/more") as answer:
        assert answer.status == 404


async def test_secrets_are_nowhere_to_be_read(api: Api, runtime: Runtime) -> None:
    shop = await connect(api, "square")
    shown = (await api.get(f"integrations/{shop.id}")).text
    assert SECRETS["square"] not in shown and "ecret" not in shown.replace("formerSecretUntil", "")
    async with runtime.work(api.tenant) as work:
        row = await work.db.row(
            "select secret_sealed from integrations where tenant_id = $1 and id = $2", api.tenant.id, shop.id
        )
    assert row is not None and SECRETS["square"].encode() not in row[0]
