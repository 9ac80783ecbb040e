"""Connecting accounts: what is asked for, what is shown, to whom, and what may be changed."""

from typing import Any

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.work import Runtime
from tests.api import Api, document_of, join, luna
from tests.integrations.cast import SECRETS, Shop, connect, document, wish


def changes(**attributes: Any) -> Any:
    return document_of("Integration", **attributes)


async def test_an_integration_is_shown_with_its_address(api: Api) -> None:
    answer = await api.post("integrations", wish("shopify", account=" Cafe-Luna.MyShopify.com ", name=" Web shop "))
    shown = answer.attributes
    assert answer.headers["Location"] == f"/api/v1/integrations/{answer.data['id']}"
    assert (shown["account"], shown["name"], shown["status"]) == ("cafe-luna.myshopify.com", "Web shop", "active")
    assert shown["merchantId"] == str(api.merchant_id)
    assert (shown["received"], shown["ignored"], shown["refused"], shown["lastReceivedAt"]) == (0, 0, 0, None)
    assert shown["receivingUrl"].endswith(f"/in/{answer.data['id']}")
    assert (await api.get(f"integrations/{answer.data['id']}")).data == answer.data


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"system": "clover"}, "system"),
        ({"account": ""}, "account"),
        ({"account": "two words"}, "account"),
        ({"account": "x" * 101}, "account"),
        ({"name": "  "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"signingSecret": "short"}, "signingSecret"),
        ({"signingSecret": " " * 20}, "signingSecret"),
        ({"signingSecret": "ü" * 20}, "signingSecret"),
        ({"merchantId": "no id"}, "merchantId"),
        ({"merchantId": str(ids.new())}, "merchantId"),
        ({"locations": {"L1": "no id"}}, "locations"),
        ({"locations": {"L1": 5}}, "locations"),
        ({"locations": {"": str(ids.new())}}, "locations"),
        ({"locations": {"L1": str(ids.new())}}, "locations"),
        ({"locations": {f"L{number}": str(ids.new()) for number in range(1001)}}, "locations"),
        ({"locations": []}, "locations"),
    ],
)
async def test_what_cannot_be_connected_is_refused_at_its_place(api: Api, wrong: Any, pointer: str) -> None:
    answer = await api.post("integrations", wish("square", **wrong))
    assert (answer.status, answer.pointers) == (400, [f"/data/attributes/{pointer}"]), answer.text
    assert (await api.get("integrations")).data == []


async def test_a_place_of_another_merchant_is_refused(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    neighbour = await luna(runtime, api.tenant, "Luna by the sea")
    other = await join(runtime, session, base_url)
    elsewhere = await other.post("locations", document_of("Location", name="Elsewhere", timeZone="Europe/Berlin"))
    made = await api.post(
        "locations",
        document_of("Location", name="Pier", timeZone="America/New_York", merchantId=str(neighbour.id)),
    )
    assert made.status == 201, made.text
    mine, places = str(api.merchant_id), {"L1": made.data["id"]}
    for foreign in (places, {"L1": elsewhere.data["id"]}):
        answer = await api.post("integrations", wish("square", merchantId=mine, locations=foreign))
        assert (answer.status, answer.pointers) == (400, ["/data/attributes/locations"])
    shop = await connect(api, "square", merchantId=mine)
    answer = await api.patch(f"integrations/{shop.id}", changes(locations=places))
    assert (answer.status, answer.pointers) == (400, ["/data/attributes/locations"])


async def test_what_was_sent_twice_with_a_key_is_connected_once(api: Api) -> None:
    key = {"Idempotency-Key": "connect-1"}
    first, second = [await api.post("integrations", wish("square"), headers=key) for _ in range(2)]
    assert first.data == second.data and second.headers["Idempotent-Replayed"] == "true"
    third = await api.post("integrations", wish("square", signingSecret="another secret entirely"), headers=key)
    assert (third.status, third.codes) == (409, ["IdempotencyConflict"])
    assert len((await api.get("integrations")).data) == 1


async def test_what_is_changed_stays_changed(api: Api) -> None:
    shop = await connect(api, "square")
    made = await api.post("locations", document_of("Location", name="Old town", timeZone="America/New_York"))
    answer = await api.patch(
        f"integrations/{shop.id}", changes(name="Tills", locations={"L4TBSQMWW5JYN": made.data["id"]})
    )
    assert answer.status == 200, answer.text
    assert answer.attributes == await shop.shown()
    assert (answer.attributes["name"], answer.attributes["formerSecretUntil"]) == ("Tills", None)
    await shop.send(document("square_payment"))
    assert (await shop.shown())["received"] == 1
    assert (await api.patch(f"integrations/{shop.id}", changes(name="Again"))).attributes["received"] == 1


async def test_the_same_secret_again_is_no_change(api: Api) -> None:
    shop = await connect(api, "square")
    answer = await api.patch(f"integrations/{shop.id}", changes(signingSecret=SECRETS["square"]))
    assert answer.attributes["formerSecretUntil"] is None


@pytest.mark.parametrize(
    "wrong", [{}, {"name": ""}, {"signingSecret": "x"}, {"locations": {"a": "b"}}, {"account": "x"}]
)
async def test_what_cannot_be_changed_is_refused(api: Api, wrong: Any) -> None:
    shop = await connect(api, "square")
    before = await shop.shown()
    assert (await api.patch(f"integrations/{shop.id}", changes(**wrong))).status == 400
    assert await shop.shown() == before


async def test_integrations_are_listed_by_merchant_system_and_status(api: Api) -> None:
    shops = [await connect(api, system) for system in ("square", "shopify", "lightspeed")]
    await api.post(f"integrations/{shops[0].id}/disable")

    async def listed(query: str) -> list[str]:
        return [each["id"] for each in (await api.get(f"integrations{query}")).data]

    assert await listed("") == [shop.id for shop in reversed(shops)]
    assert await listed("?filter[system]=shopify") == [shops[1].id]
    assert await listed("?filter[status]=disabled") == [shops[0].id]
    assert await listed(f"?filter[merchantId]={api.merchant_id}&page[limit]=1&page[offset]=2") == [shops[0].id]
    assert await listed(f"?filter[merchantId]={ids.new()}") == []
    for query in ("filter[system]=clover", "filter[status]=gone", "filter[merchantId]=x"):
        assert (await api.get(f"integrations?{query}")).status == 400


async def stranger_of(kind: str, api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> Api:
    if kind == "another tenant":
        return await join(runtime, session, base_url)
    if kind == "another partner":
        return await join(runtime, session, base_url, tenant=api.tenant)
    return await join(runtime, session, base_url, tenant=api.tenant, visibility="programme", merchant_ids=(ids.new(),))


@pytest.mark.parametrize("kind", ["another tenant", "another partner", "another merchant"])
async def test_what_is_not_yours_is_not_there(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, kind: str
) -> None:
    shop = await connect(api, "square")
    await shop.send(b"{}")
    fault = (await shop.faults())[0]["id"]
    stranger = await stranger_of(kind, api, runtime, session, base_url)
    missing = str(ids.new())
    for id_ in (shop.id, missing):
        answers = [
            await stranger.get(f"integrations/{id_}"),
            await stranger.patch(f"integrations/{id_}", changes(name="Mine")),
            await stranger.post(f"integrations/{id_}/disable"),
            await stranger.post(f"integrations/{id_}/enable"),
            await stranger.get(f"integrations/{id_}/faults"),
            await stranger.post(f"integrations/{id_}/faults/{fault}/retry"),
        ]
        assert [(answer.status, answer.body["errors"][0]["detail"]) for answer in answers] == [
            (404, "No integration has this id. Verify the id.")
        ] * len(answers)
    assert (await stranger.get("integrations")).data == []
    assert (await shop.shown())["name"] == "Café Luna on square"


async def test_who_sees_the_programme_reads_and_does_not_change(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    shop = await connect(api, "square")
    reader = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    assert (await reader.get(f"integrations/{shop.id}")).status == 200
    assert (await reader.patch(f"integrations/{shop.id}", changes(name="Mine"))).status == 404
    assert (await reader.post(f"integrations/{shop.id}/disable")).status == 404


async def test_scopes_are_asked_for(api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> None:
    reader = await join(
        runtime, session, base_url, tenant=api.tenant, scopes=frozenset({"integrations:read", "merchants:read"})
    )
    assert (await reader.get("integrations")).status == 200
    assert (await reader.post("integrations", wish("square"))).codes == ["InsufficientScope"]


async def test_the_address_alone_proves_nothing_of_another_tenant(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = await join(runtime, session, base_url)
    mine = await connect(api, "shopify")
    theirs = await connect(other, "shopify", signingSecret="their own secret, long enough")
    body = mine.body(document("shopify_order"))
    forged = Shop(other, "shopify", theirs.id, theirs.url, mine.secret)
    assert (await forged.post(body, mine.signed(body, None))).status == 401
    assert (await other.get("external-transactions")).data == []
