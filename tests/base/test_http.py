"""The road: what is asked for how, and what every answer carries."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.main import build
from tests.api import JSON_API, SETTINGS, Api, document_of, join, served
from tests.base.wire import head, post, wire
from tests.conftest import Clock
from tests.world import MIRA_PHONE

REWARDS = "/api/v1/rewards"
OAUTH = "/oauth/token"


def reward(**more: Any) -> Any:
    sent = {"phoneNumber": MIRA_PHONE, "amount": 500, "idempotencyKey": str(ids.new()), **more}
    return document_of("IssueReward", **sent)


async def test_every_answer_of_the_api_carries_its_headers(api: Api) -> None:
    issued = await api.issue()
    answers = [
        issued,
        await api.issue(amount=0),
        await api.get("merchants"),
        await api.get("nothing"),
        await api.request("PUT", REWARDS),
        await api.get("merchants", headers={"Accept": "text/html"}),
        await api.post("rewards", reward(), headers={"Content-Type": "text/plain"}),
        await api.get("merchants", headers={"Authorization": "Bearer x"}),
        await api.get("/nowhere"),
    ]
    assert [each.status for each in answers] == [200, 400, 200, 404, 405, 406, 415, 401, 404]
    for answer in answers:
        assert answer.headers["Content-Type"] == JSON_API
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Vary"] == "Accept"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ids.parse(answer.headers["request-id"]) is not None
        for error in (answer.body or {}).get("errors", []):
            assert error["meta"]["requestId"] == answer.headers["request-id"]
            assert error["status"] == str(answer.status)
            assert set(error["meta"]) == {"environment", "timestamp", "path", "requestId"}
            assert {"id", "code", "title", "detail"} <= set(error)
    assert len({each.headers["request-id"] for each in answers}) == len(answers)
    emptied = await api.delete(f"rewards/{issued.data['id']}")
    assert (emptied.status, emptied.text) == (204, "")
    assert "Content-Type" not in emptied.headers
    assert emptied.headers["Cache-Control"] == "no-store"


async def test_no_header_is_sent_twice(api: Api) -> None:
    form = f"grant_type=client_credentials&client_id={api.client_id}&client_secret={api.secret}".encode()
    sent = [
        post(api, REWARDS, reward()),
        post(api, REWARDS, b"x" * (SETTINGS.body_bytes + 1)),
        head(api, "GET", "/healthz"),
        head(api, "GET", "/openapi.json"),
        head(api, "GET", "/oauth/token"),
        head(
            api,
            "POST",
            OAUTH,
            Authorization=None,
            Content_Type="application/x-www-form-urlencoded",
            Content_Length=len(form),
        )
        + form,
    ]
    for each in sent:
        async with wire(api.base_url) as open_wire:
            await open_wire.say(each)
            heard = await open_wire.hear()
        names = [name for name in heard.names if name not in {"server", "date"}]
        assert sorted(names) == sorted(set(names)), heard


async def test_what_is_named_twice_and_decides_is_refused(api: Api) -> None:
    for line in (
        f"Client-ID: {api.client_id}",
        f"authorization: Bearer {api.secret}",
        f"Content-Type: {JSON_API}",
        "Idempotency-Key: a",
    ):
        twice = f"{line}\r\n{line}\r\n" if line.startswith("Idem") else f"{line}\r\n"
        sent = post(api, REWARDS, reward()).replace(b"Host: x\r\n", b"Host: x\r\n" + twice.encode())
        async with wire(api.base_url) as open_wire:
            await open_wire.say(sent)
            heard = await open_wire.hear()
        assert (heard.status, heard.codes) == (400, ["InvalidRequest"]), line
        assert json.loads(heard.content)["errors"][0]["source"]["header"].lower() == line.split(":")[0].lower()


async def test_head_is_get_without_the_body(api: Api) -> None:
    for path in (
        REWARDS + "?filter[phoneNumber]=%2B12025550143",
        "/api/v1/nothing",
        REWARDS,
        "/healthz",
        "/openapi.json",
    ):
        got, headed = await api.get(path), await api.request("HEAD", path)
        assert (headed.status, headed.text) == (got.status, "")
        assert headed.headers["Content-Type"] == got.headers["Content-Type"]
        if got.status == 200:
            assert headed.headers["Content-Length"] == got.headers["Content-Length"]


async def test_pages_tell_which_methods_they_take(api: Api) -> None:
    for method, path, allowed in (
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/openapi.json", "GET, HEAD"),
        ("DELETE", "/.well-known/oauth-authorization-server", "GET, HEAD"),
    ):
        answer = await api.request(method, path)
        assert (answer.status, answer.codes, answer.headers["Allow"]) == (405, ["MethodNotAllowed"], allowed)
    answer = await api.get(OAUTH)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        JSON_API,
        f"{JSON_API};profile=https://example.com/p",
        f"{JSON_API};charset=utf-8, {JSON_API}",
    ],
)
async def test_who_accepts_json_is_answered(api: Api, accept: str) -> None:
    answer = await api.get("merchants", headers={"Accept": accept})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == JSON_API


@pytest.mark.parametrize(
    "accept", ["text/html", f"{JSON_API};charset=utf-8", f"{JSON_API};ext=a", f"{JSON_API};q=0", "garbage", "\xff"]
)
async def test_who_does_not_is_told_and_nothing_happens(api: Api, accept: str) -> None:
    document = reward()
    answer = await api.post("rewards", document, headers={"Accept": accept})
    assert (answer.status, answer.codes, answer.pointers) == (406, ["NotAcceptable"], ["Accept"])
    assert "idempotent-replayed" not in (await api.post("rewards", document)).headers


@pytest.mark.parametrize(
    "sent", ["text/plain", f"{JSON_API}; charset=utf-8", f"{JSON_API};ext=a", "", "application/x-www-form-urlencoded"]
)
async def test_other_media_types_are_not_read(api: Api, sent: str) -> None:
    answer = await api.post("rewards", reward(), headers={"Content-Type": sent})
    assert (answer.status, answer.codes, answer.pointers) == (415, ["UnsupportedMediaType"], ["Content-Type"])


@pytest.mark.parametrize(
    "sent", ["application/json", "application/json; charset=utf-8", f"{JSON_API};", f'{JSON_API}; profile="a b"']
)
async def test_media_types_that_clients_send_are_read(api: Api, sent: str) -> None:
    assert (await api.post("rewards", reward(), headers={"Content-Type": sent})).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "filter[phoneNumber]=%2B12025550143",
        "filter%5BphoneNumber%5D=%2B12025550143",
        "filter%5bphoneNumber%5d=%2b12025550143&",
        "&&filter[phoneNumber]=%2B12025550143&page[limit]=1",
        "filter[phoneNumber]=+12025550143",
        "filter[phoneNumber]=%2B1%20202%20555%200143",
        "filter[phoneNumber]=%2B1+202+555+0143",
        "filter[phoneNumber]=(202)+555-0143",
    ],
)
async def test_a_query_is_read_as_clients_write_it(api: Api, query: str) -> None:
    await api.issue()
    for path in (REWARDS, REWARDS + "/"):
        answer = await api.get(f"{path}?{query}")
        assert answer.status == 200, answer.text
        assert answer.body["meta"]["total"] == 1


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("unknown=1", ["unknown"]),
        ("include=merchant&sort=amount&fields[Reward]=amount", ["include", "sort", "fields[Reward]"]),
        ("filter[phoneNumber]=1&filter[phoneNumber]=2", ["filter[phoneNumber]"]),
        ("filter[phoneNumber]=1&filter%5BphoneNumber%5D=2", ["filter[phoneNumber]"]),
        ("filter[phoneNumber]=%00", ["filter[phoneNumber]"]),
        ("filter[phoneNumber]=%ff", ["filter[phoneNumber]"]),
        ("%ff=1", ["%ff"]),
        ("filter[phoneNumber]=%ed%a0%80", ["filter[phoneNumber]"]),
        ("page%5Blimit%5D=0&page[offset]=-1&filter[phoneNumber]=%2B12025550143", ["page[offset]", "page[limit]"]),
        (
            "page[limit]=1e1&page[offset]=" + "9" * 400 + "&filter[phoneNumber]=%2B12025550143",
            ["page[offset]", "page[limit]"],
        ),
        ("page[limit]=%D9%A1&filter[phoneNumber]=%2B12025550143", ["page[limit]"]),
        ("page=1&page[]=1&Page[limit]=1", ["page", "page[]", "Page[limit]"]),
        ("%00=1", ["\0"]),
        ("%C3%A9=1", ["é"]),
        ("=", [""]),
    ],
)
async def test_every_fault_of_a_query_names_its_parameter(api: Api, query: str, parameters: list[str]) -> None:
    async with wire(api.base_url) as open_wire:
        await open_wire.say(head(api, "GET", "/").replace(b"GET / ", f"GET {REWARDS}?{query} ".encode()))
        heard = await open_wire.hear()
    assert heard.status == 400, heard.content
    assert sorted(error["source"]["parameter"] for error in json.loads(heard.content)["errors"]) == sorted(parameters)


async def test_a_plus_before_a_phone_is_a_plus(api: Api) -> None:
    abroad = await api.issue("+442071838750")
    assert abroad.status == 200, abroad.text
    for written in ("+442071838750", "%2B442071838750", "+44+20+7183+8750"):
        answer = await api.get(f"{REWARDS}?filter[phoneNumber]={written}")
        assert (answer.status, answer.body["meta"]["total"]) == (200, 1), written


async def test_ten_thousand_parameters_are_a_hundred_faults(api: Api) -> None:
    answer = await api.get(REWARDS + "?" + "&".join(f"x{number}" for number in range(3_000)))
    assert (answer.status, len(answer.codes)) == (400, 100)


@pytest.mark.parametrize(
    "path",
    [
        "%ff",
        "%00",
        "a%2Fb",
        "..%2f..%2fetc",
        "%F0%9F%98%80",
        "x" * 20_000,
        "%zz",
        "a;b=c",
        "'%20or%201=1--",
        "\\",
        "%0d%0aX:%20y",
    ],
)
async def test_a_path_may_hold_anything(api: Api, path: str) -> None:
    for sent in (path, f"wallets/{path}", f"wallets/{path}/suspend", f"rewards/{path}", f"request-logs/{path}"):
        async with wire(api.base_url) as open_wire:
            await open_wire.say(head(api, "GET", f"/api/v1/{sent}"))
            heard = await open_wire.hear()
        expected = {200, 404} if sent.startswith("rewards") else {404, 405}
        assert heard.status in expected, heard
        assert heard.headers["content-type"] == JSON_API
        if heard.status == 200:
            assert json.loads(heard.content) == {"data": None}


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a b", "é", '""', '"' + "a" * 256 + '"'])
async def test_a_key_is_visible_ascii(api: Api, key: str) -> None:
    document = document_of("User", phoneNumber=MIRA_PHONE)
    sent = post(api, "/api/v1/users", document, Idempotency_Key=key)
    async with wire(api.base_url) as open_wire:
        await open_wire.say(sent)
        heard = await open_wire.hear()
    assert (heard.status, heard.codes) == (400, ["InvalidRequest"])
    assert json.loads(heard.content)["errors"][0]["source"] == {"header": "Idempotency-Key"}


async def test_a_key_is_the_same_in_quotes(api: Api) -> None:
    document = document_of("User", phoneNumber=MIRA_PHONE)
    for key, first in (("a-1", True), ('"a-1"', False), ("b" * 255, True), ('"c\\"d"', True), ('c"d', False)):
        answer = await api.post("users", document, headers={"Idempotency-Key": key})
        assert answer.status == 201, answer.text
        assert ("idempotent-replayed" not in answer.headers) is first, key


async def test_the_rate_is_told_and_held(runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> None:
    api = await join(runtime, session, base_url, rate_per_minute=60, rate_burst=4, scopes=frozenset({"merchants:read"}))
    for _ in range(3):  # whoever is not known spends nobody's
        assert (await api.get("merchants", headers={"Authorization": "Bearer x"})).status == 401
    # Whoever is known spends, also on what is not theirs.
    allowed = [await api.get(path) for path in ("rewards", "nothing", "merchants", "merchants")]
    assert [each.status for each in allowed] == [403, 404, 200, 200]
    assert [each.headers["ratelimit"].split(";")[1] for each in allowed] == ["r=3", "r=2", "r=1", "r=0"]
    refused = await api.get("merchants")
    assert (refused.status, refused.codes) == (429, ["RateLimited"])
    assert int(refused.headers["Retry-After"]) >= 1
    for answer in (*allowed, refused):
        assert answer.headers["ratelimit-policy"] == '"default";q=60;w=60'
        assert answer.headers["ratelimit"].startswith('"default";r=')


async def form(api: Api, path: str, **sent: str) -> tuple[int, Any, Any]:
    """A form of a client that names itself in the body."""
    body = aiohttp.FormData({"client_id": api.client_id, "client_secret": api.secret, **sent})
    async with api.session.post(api.base_url + path, data=body) as answer:
        content = await answer.read()
        return answer.status, json.loads(content) if content else None, answer.headers


async def test_a_token_opens_the_doors_until_it_is_revoked(api: Api) -> None:
    known = await api.get("/.well-known/oauth-authorization-server", headers={"Authorization": "", "Client-ID": ""})
    assert known.body["token_endpoint"].endswith(OAUTH)
    assert known.headers["Content-Type"] == "application/json"
    status, granted, headers = await form(api, OAUTH, grant_type="client_credentials", scope="merchants:read")
    assert (status, granted["token_type"], granted["scope"]) == (200, "Bearer", "merchants:read")
    assert headers["Cache-Control"] == "no-store"
    token = granted["access_token"]
    _, told, _ = await form(api, "/oauth/introspect", token=token)
    assert told["active"] is True
    by_token = Api(api.session, api.base_url, api.tenant, api.partner_id, api.client_id, token)
    assert (await by_token.get("merchants")).status == 200
    assert (await by_token.get("merchants", headers={"Client-ID": str(ids.new())})).status == 401
    assert (await by_token.get("request-logs")).status == 403
    assert (await form(api, "/oauth/revoke", token=token))[0] == 200
    _, told, _ = await form(api, "/oauth/introspect", token=token)
    assert told == {"active": False}
    # Unseen until now by any cache: a token that was revoked before it was used opens nothing.
    _, unused, _ = await form(api, OAUTH, grant_type="client_credentials")
    await form(api, "/oauth/revoke", token=unused["access_token"])
    late = Api(api.session, api.base_url, api.tenant, api.partner_id, api.client_id, unused["access_token"])
    assert (await late.get("merchants")).status == 401


async def test_every_request_is_in_the_log_and_unknown_callers_apart(api: Api, auditor: Db, owner: Any) -> None:
    answers = [
        await api.issue(),
        await api.issue(amount=0),
        await api.get("nothing/12025550143"),
        await api.get("merchants", headers={"Accept": "text/html"}),
        await api.request("PUT", REWARDS),
        await api.get(f"rewards/{ids.new()}?filter[secret]=12025550143"),
    ]
    unknown = [
        await api.get("merchants", headers={"Authorization": "Bearer tly_sandbox_x"}),
        await api.get("/nowhere/12025550143"),
        await api.request("OPTIONS", "/healthz"),
        await api.request("POST", OAUTH, raw=b"x" * (SETTINGS.body_bytes + 1)),
    ]
    await asyncio.sleep(1.2)
    rows = await auditor.rows(
        "select id, method, route, status, code from request_log where tenant_id = $1", api.tenant.id
    )
    assert {tuple(row) for row in rows} == {
        (UUID(answer.headers["request-id"]), method, route, answer.status, code)
        for answer, (method, route, code) in zip(
            answers,
            [
                ("POST", REWARDS, None),
                ("POST", REWARDS, "InvalidRequest"),
                ("GET", "unmatched", "NotFound"),
                ("GET", "/api/v1/merchants", "NotAcceptable"),
                ("PUT", "unmatched", "MethodNotAllowed"),
                ("GET", "/api/v1/rewards/{id}", "InvalidRequest"),
            ],
            strict=True,
        )
    }
    names = [UUID(answer.headers["request-id"]) for answer in unknown]
    found = await owner.fetch("select id, route, status from unknown_requests where id = any($1)", names)
    assert {tuple(row) for row in found} == set(
        zip(names, ["/api/v1/merchants", "unmatched", "/healthz", OAUTH], [401, 404, 405, 413], strict=True)
    )


@pytest.fixture
async def lost_url(keys: MasterKeys, the_clock: Clock) -> AsyncIterator[str]:
    """A house whose database cannot be reached."""
    async with served(build(SETTINGS, "postgresql://nobody@127.0.0.1:9/nowhere", keys, the_clock)) as address:
        yield address


async def test_a_house_without_its_database_says_so(api: Api, lost_url: str) -> None:
    api.base_url = lost_url
    assert (await api.get("/healthz")).status == 200
    waiting = await api.get("/readyz")
    assert (waiting.status, waiting.body) == (503, {"status": "waiting", "for": "database"})
    assert waiting.headers["Retry-After"] == "1"
    answer = await api.get("merchants")
    assert (answer.status, answer.codes, answer.headers["Retry-After"]) == (503, ["Unavailable"], "1")
    status, told, headers = await form(api, OAUTH, grant_type="client_credentials")
    assert (status, told["error"], headers["Retry-After"]) == (503, "temporarily_unavailable", "1")


async def test_metrics_count_by_pattern(api: Api) -> None:
    await api.get("rewards/12025550143")
    await api.get("nothing/12025550143")
    await api.get("/healthz")
    metrics = await api.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=")
    for counted in (
        'method="GET",route="/api/v1/rewards/{id}",status="200"',
        'route="unmatched",status="404"',
        'route="/healthz",status="200"',
    ):
        assert counted in metrics.text
    assert "12025550143" not in metrics.text
