"""Every door of the house, tried with every wrong key: route by credential, scope, tenant, partner and environment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import aiohttp
import pytest

from tallystick import partners, reports
from tallystick.base import clock, ids
from tallystick.base.routes import Route
from tallystick.base.secrets import new_secret
from tallystick.base.work import Runtime
from tallystick.governance.terms import LineWish
from tallystick.main import routes
from tallystick.merchants import MerchantDirectory
from tests.api import Answer, Api, document_of, join
from tests.governance.cast import agree
from tests.world import T0

TABLE = routes(cast(MerchantDirectory, None))
EACH = [pytest.param(route, id=f"{route.method} {route.path}") for route in TABLE]
LAW = "/api/v1/gift-card-rules"
"""The same for everyone: nobody owns it."""
NAMED = [
    pytest.param(route, id=f"{route.method} {route.path}")
    for route in TABLE
    if "{id}" in route.path and not route.path.startswith(LAW)
]


WANTED = {"userId": "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a11"}
"""What required parameters are given; a phone number unless named."""


EVENT_STREAM = "text/event-stream"


async def knock(api: Api, route: Route, id_: str | None = None, **more: Any) -> Answer:
    """A request of this route that would be let in, with the documented example as its body."""
    path = route.path.replace("{id}", id_ or str(ids.new()))
    if route.download == EVENT_STREAM:  # it would never end: who is let in is told that the feed does not reach so far
        path += "?after=9000000000000000000"
    required = "&".join(
        f"{each.name}={WANTED.get(each.name, '%2B12025550143')}" for each in route.query if each.required
    )
    document = None
    if route.takes is not None:
        example = dict(route.takes.example)
        if "idempotencyKey" in example:
            example["idempotencyKey"] = str(ids.new())
        document = {"data": {"type": route.takes.types[0], "attributes": example}}
    return await api.request(route.method, path + (f"?{required}" if required else ""), document, **more)


def told(answer: Answer, id_: str) -> Any:
    """What an answer tells, but for the names of this one request."""
    text = answer.text.replace(id_, "ID")
    body = json.loads(text) if text else None
    for error in (body or {}).get("errors", []):
        del error["id"], error["meta"]["timestamp"], error["meta"]["requestId"]
    kept = {name for name in answer.headers if name.lower() not in {"date", "request-id", "content-length"}}
    return answer.status, body, sorted(kept - {"ratelimit"})


QUESTIONS = {"/api/v1/webhook-events/missing"}
"""What is asked by a POST since the question is long; nothing changes."""


def test_every_route_names_one_scope_that_exists() -> None:
    assert len(TABLE) > 30
    assert [route.path for route in TABLE if route.scope not in partners.SCOPES] == []
    assert {route.scope for route in TABLE} <= set(partners.SCOPES)


def test_what_reads_needs_no_right_to_write() -> None:
    for route in TABLE:
        assert route.scope is not None
        if route.method != "GET" and route.path not in QUESTIONS:
            assert not route.scope.endswith(":read"), route.path


@pytest.mark.parametrize("route", EACH)
async def test_no_door_opens_without_a_credential(api: Api, route: Route) -> None:
    nobody: Mapping[str, str] = {"Client-ID": "", "Authorization": ""}
    for sent in (nobody, {"Client-ID": ""}, {"Authorization": ""}, {"Authorization": "Basic eDp5"}):
        answer = await knock(api, route, headers=sent)
        assert (answer.status, answer.codes) == (401, ["Unauthorized"]), sent
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "ratelimit" not in answer.headers


@pytest.mark.parametrize("route", EACH)
async def test_unknown_clients_and_wrong_secrets_are_answered_alike(api: Api, route: Route) -> None:
    wrong_secret = replace(api, secret=new_secret("sandbox"))
    unknown = replace(wrong_secret, client_id=str(ids.new()))
    other_environment = replace(api, secret=new_secret("production"))
    first = told(await knock(wrong_secret, route, str(ID)), str(ID))
    assert first[0] == 401
    for stranger in (unknown, other_environment, replace(api, client_id=str(ids.new()))):
        assert told(await knock(stranger, route, str(ID)), str(ID)) == first


ID = ids.new()


@dataclass(frozen=True)
class Street:
    """One who owns things, and neighbours who must not see them."""

    owner: Api
    things: Mapping[str, str]
    """The id of one thing of the owner for each path."""
    neighbours: Mapping[str, Api]


@pytest.fixture(scope="module")
async def street(the_runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> Street:
    owner = await join(the_runtime, session, base_url)
    neighbours = {
        "another programme": await join(the_runtime, session, base_url),
        "the other environment": await join(
            the_runtime, session, base_url, tenant=await _other_environment(the_runtime, owner)
        ),
        "another partner of the programme": await join(the_runtime, session, base_url, tenant=owner.tenant),
    }
    await agree(the_runtime, owner.tenant, owner.partner_id, LineWish("giftCards.count", "month", "UTC", 100, "notify"))
    things = await _things(owner)
    report = await _made(owner, "reports", "Report", kind="reconciliation", **{"from": clock.render(T0)})
    while await reports.run_due(the_runtime):
        pass
    totals = [{"topic": "reward.credited", "count": 1_000}]
    things["/api/v1/reconciliations"] = await _made(
        owner, "reconciliations", "Reconciliation", reportId=report, totals=totals
    )
    return Street(owner, things, neighbours)


async def _other_environment(runtime: Runtime, api: Api) -> Any:
    async with runtime.pool.lend() as db:
        row = await db.row(
            "select id from tenants where programme_id = $1 and environment = 'production'", api.tenant.programme_id
        )
    assert row is not None
    return replace(api.tenant, id=row[0], environment="production")


async def _things(owner: Api) -> dict[str, str]:
    user_id = await owner.user("+12025550111")
    wallet = await owner.post("wallets", document_of("Wallet", userId=user_id))
    reward = await owner.issue("+12025550112")
    assert reward.status == 200, reward.text
    batch = await owner.post(
        "reward-batches",
        document_of(
            "RewardBatch", idempotencyKey=str(ids.new()), recipients=[{"phoneNumber": "+12025550113", "amount": 5}]
        ),
    )
    assert batch.status == 202, batch.text
    return {
        **await _stored_value(owner),
        "/api/v1/users": user_id,
        "/api/v1/wallets": wallet.data["id"],
        "/api/v1/rewards": reward.data["id"],
        "/api/v1/reward-batches": batch.data["id"],
        "/api/v1/merchants": str(owner.merchant_id),
        "/api/v1/credentials": owner.client_id,
    }


async def _stored_value(owner: Api) -> dict[str, str]:
    await owner.post("sandbox/clock/advance", document_of("AdvanceClock", by="PT2H"))
    key = {"idempotencyKey": str(ids.new())}
    card = await _made(owner, "gift-cards", "GiftCard", amount=500, **key)
    await owner.patch(
        f"merchants/{owner.merchant_id}/configuration", document_of("MerchantConfiguration", adjustMaximum=0)
    )
    paid = {"giftCardId": card, "amount": 100, "capture": "manual", **key}
    correction = {"amount": 5, "reason": "complimentary"}
    return {
        "/api/v1/gift-cards": card,
        "/api/v1/payment-intents": await _made(owner, "payment-intents", "PaymentIntent", **paid),
        "/api/v1/gift-card-batches": await _made(owner, "gift-card-batches", "GiftCardBatch", count=1, amount=5, **key),
        "/api/v1/gift-card-designs": await _made(owner, "gift-card-designs", "GiftCardDesign", name="Winter"),
        "/api/v1/gift-card-adjustments": await _made(
            owner, f"gift-cards/{card}/adjust", "AdjustGiftCard", **correction
        ),
        "/api/v1/reports": await _made(owner, "reports", "Report", kind="aging"),
        "/api/v1/periods": await _made(owner, "periods", "Period", endsAt=clock.render(T0 + timedelta(hours=1))),
        "/api/v1/locations": await _made(owner, "locations", "Location", name="Airport"),
        **await _activity(owner),
        "/api/v1/usage": (await owner.get("usage")).data[0]["id"],
        "/api/v1/webhook-events": (await owner.get("webhook-events")).data[0]["id"],
        "/api/v1/webhooks": await _made(owner, "webhooks", "Webhook", url="https://93.184.216.34/hooks", topics=["*"]),
    }


async def _activity(owner: Api) -> dict[str, str]:
    step = {"target": 500, "reward": {"type": "walletCredit", "amount": 1}}
    rule = await _made(owner, "thresholds", "Threshold", name="Club", metric="spend", steps=[step])
    assert (await owner.post(f"thresholds/{rule}/publish")).status == 200
    user = await owner.user("+12025550199", verified=True)
    at = (await owner.get("sandbox/clock")).attributes["now"]
    said = {"source": {"id": "1", "createdAt": at}, "customer": {"userId": user}}
    transaction = await _made(
        owner, "external-transactions", "ExternalTransaction", type="Purchase", amount=100, **said
    )
    secret = "a-signing-secret-of-32-characters"
    return {
        "/api/v1/thresholds": rule,
        "/api/v1/imports": await _made(owner, "imports", "Import", kind="visit", format="csv"),
        "/api/v1/threshold-progress": (await owner.get("threshold-progress")).data[0]["id"],
        "/api/v1/external-transactions": transaction,
        "/api/v1/visits": await _made(owner, "visits", "Visit", **said),
        "/api/v1/orders": await _made(owner, "orders", "Order", **said),
        "/api/v1/integrations": await _made(
            owner,
            "integrations",
            "Integration",
            system="shopify",
            account="luna.myshopify.com",
            name="Shop",
            signingSecret=secret,
        ),
    }


async def _made(owner: Api, path: str, of_type: str, **attributes: Any) -> str:
    answer = await owner.post(path, {"data": {"type": of_type, "attributes": attributes}})
    assert answer.status in {201, 202}, answer.text
    return str(answer.data["id"])


SHARED = {"/api/v1/users", "/api/v1/wallets", "/api/v1/merchants", "/api/v1/periods", "/api/v1/locations"}
"""What belongs to the programme, not to the partner that made it."""


@pytest.mark.parametrize("route", NAMED)
async def test_what_is_not_ones_own_is_answered_as_what_is_not_there(street: Street, route: Route) -> None:
    collection = "/".join(route.path.split("/")[:4])
    foreign = street.things[collection]
    for name, neighbour in street.neighbours.items():
        if name == "another partner of the programme" and collection in SHARED:
            continue
        missing = str(ids.new())
        answer, expected = await knock(neighbour, route, foreign), await knock(neighbour, route, missing)
        assert told(answer, foreign) == told(expected, missing), name
        if (route.method, route.path) == ("GET", "/api/v1/rewards/{id}"):
            assert (answer.status, answer.body) == (200, {"data": None})
        else:
            assert (answer.status, answer.codes) == (404, ["NotFound"]), (name, answer.text)


@pytest.mark.parametrize("route", [each for each in NAMED if cast(Route, each.values[0]).method == "GET"])
async def test_ones_own_is_there(street: Street, route: Route) -> None:
    own = street.things["/".join(route.path.split("/")[:4])]
    answer = await knock(street.owner, route, own)
    assert answer.status == 200, answer.text
    assert answer.text if route.download is not None else answer.data is not None


@pytest.mark.parametrize(
    "route",
    [
        each
        for each in EACH
        if cast(Route, each.values[0]).method == "GET"
        and "{" not in cast(Route, each.values[0]).path
        and cast(Route, each.values[0]).download != EVENT_STREAM
    ],
)
async def test_lists_show_nothing_of_others(street: Street, route: Route) -> None:
    for name, neighbour in street.neighbours.items():
        answer = await knock(neighbour, route)
        if route.path.startswith("/api/v1/sandbox") and neighbour.tenant.environment == "production":
            assert answer.status in {403, 404}, answer.text
            continue
        if answer.status == 400:  # a filter is needed
            answer = await neighbour.get(f"{route.path}?filter[phoneNumber]=%2B12025550111")
        assert answer.status == 200, answer.text
        if name == "another partner of the programme" and route.path in SHARED:
            continue
        for thing in street.things.values():
            assert thing not in answer.text, name


@pytest.mark.parametrize("route", EACH)
async def test_the_scope_is_needed_and_is_enough(street: Street, route: Route, the_runtime: Runtime) -> None:
    assert route.scope is not None
    owner = street.owner
    lacking = await _with_scopes(the_runtime, owner, frozenset(partners.SCOPES) - {route.scope})
    answer = await knock(lacking, route)
    assert (answer.status, answer.codes) == (403, ["InsufficientScope"])
    assert route.scope in answer.headers["WWW-Authenticate"]
    assert "ratelimit" in answer.headers
    having = await _with_scopes(the_runtime, owner, frozenset({route.scope}))
    assert (await knock(having, route)).status not in {401, 403}


async def _with_scopes(runtime: Runtime, owner: Api, scopes: frozenset[str]) -> Api:
    return await join(runtime, owner.session, owner.base_url, tenant=owner.tenant, scopes=scopes)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"])
async def test_a_method_that_is_not_there_is_told_which_are(api: Api, method: str) -> None:
    for path in {route.path for route in TABLE}:
        allowed: set[str] = {route.method for route in TABLE if route.path == path}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        if method in allowed:
            continue
        answer = await api.request(method, path.replace("{id}", str(ids.new())))
        assert answer.status == 405, path
        assert set(answer.headers["Allow"].split(", ")) == allowed
        assert method == "HEAD" or answer.codes == ["MethodNotAllowed"]
