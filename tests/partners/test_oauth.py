"""The OAuth pages, rule by rule."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
import msgspec
import pytest

from tallystick import partners
from tallystick.base import ids
from tallystick.base.db import Pool
from tallystick.base.errors import Unauthorized
from tallystick.base.ports import LogEntry
from tallystick.base.secrets import new_secret, new_token, well_formed
from tallystick.base.work import Runtime
from tests.conftest import Clock
from tests.partners.cast import SCOPES, Member, another_client, directory, join

ISSUER = "https://rewards.northwind.example"
GRANT = {"grant_type": "client_credentials"}
Owner = asyncpg.Connection


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.json["error"]

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1
        return found[0] if found else None


@dataclass
class Counter:
    """The pages, and what they told the log."""

    runtime: Runtime
    logged: list[LogEntry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limiter = partners.Limiter(self.runtime.pool, self.runtime.clock)
        self.door = partners.Authenticator(self.runtime.pool, self.runtime.keys, self.runtime.clock, 0)
        self.pages = partners.oauth_pages(
            self.runtime.pool, self.runtime.keys, self.runtime.clock, self.limiter, ISSUER + "/", self.logged.append
        )

    async def post(
        self,
        path: str,
        form: dict[str, str] | bytes,
        *,
        authorization: bytes | None = None,
        content_type: bytes = b"application/x-www-form-urlencoded",
        query: bytes = b"",
        **headers: bytes,
    ) -> Answer:
        sent = {b"content-type": content_type}
        if authorization is not None:
            sent[b"authorization"] = authorization
        sent.update({name.replace("_", "-").encode(): value for name, value in headers.items()})
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return Answer(*await self.pages["POST", path](sent, query, body))

    async def token(self, member: Member, **more: str) -> Answer:
        return await self.post("/oauth/token", GRANT | more, authorization=member.basic)


@pytest.fixture
async def counter(runtime: Runtime) -> AsyncIterator[Counter]:
    counter = Counter(runtime)
    yield counter
    await counter.door.close()


@pytest.fixture
async def member(runtime: Runtime) -> Member:
    return await join(runtime)


def in_body(member: Member) -> dict[str, str]:
    return {"client_id": member.client_id, "client_secret": member.secret}


async def test_a_token_for_a_secret_in_either_place(counter: Counter, member: Member) -> None:
    by_header = await counter.token(member)
    by_body = await counter.post("/oauth/token", GRANT | in_body(member))
    for answer in (by_header, by_body):
        assert answer.status == 200
        told = answer.json
        token = told.pop("access_token")
        assert told == {"token_type": "Bearer", "expires_in": 900, "scope": " ".join(sorted(SCOPES))}
        kind = well_formed(token)
        assert kind is not None
        assert (kind.name, kind.environment) == ("token", "sandbox")
        assert answer.header("cache-control") == "no-store"
        assert answer.header("content-type") == "application/json"
        caller = await counter.door.look_up(None, f"Bearer {token}")
        assert caller == member.caller


async def test_id_and_secret_are_form_encoded_inside_basic(counter: Counter, member: Member) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in member.client_id)
    basic = base64.b64encode(f"{encoded}:{quote(member.secret, safe='').replace('_', '%5F')}".encode())
    answer = await counter.post("/oauth/token", GRANT, authorization=b"basic " + basic)
    assert answer.status == 200


async def test_the_same_client_id_beside_basic_is_taken_and_another_refused(counter: Counter, member: Member) -> None:
    assert (await counter.token(member, client_id=member.client_id)).status == 200
    assert (await counter.token(member, client_id=str(ids.new()))).error == (400, "invalid_request")


async def test_two_ways_to_authenticate_at_once_are_refused(counter: Counter, member: Member) -> None:
    assert (await counter.token(member, client_secret=member.secret)).error == (400, "invalid_request")
    assert (await counter.token(member, client_assertion="x.y.z")).error == (400, "invalid_request")
    both = await counter.post("/oauth/token", GRANT | in_body(member) | {"client_assertion": "x.y.z"})
    assert both.error == (400, "invalid_request")


async def test_whoever_is_not_let_in_is_answered_alike(counter: Counter, member: Member) -> None:
    def basic(client_id: str, secret: str) -> bytes:
        return b"Basic " + base64.b64encode(f"{client_id}:{secret}".encode())

    answers = [
        await counter.post("/oauth/token", GRANT, authorization=authorization)
        for authorization in (
            basic(member.client_id, new_secret("sandbox")),
            basic(str(ids.new()), new_secret("sandbox")),
            basic(str(ids.new()), member.secret),
            basic(member.client_id, "guess"),
            basic("me", member.secret),
            basic(member.client_id, new_token("sandbox")),
            b"Basic !!!",
            b"Basic " + base64.b64encode(b"no colon"),
            b"Basic " + base64.b64encode(b"\xff:\xff"),
            b"Basic",
            member.bearer.encode(),
        )
    ]
    answers.append(await counter.post("/oauth/token", GRANT))
    answers.append(await counter.post("/oauth/token", GRANT | {"client_id": member.client_id}))
    answers.append(await counter.post("/oauth/token", GRANT | {"client_assertion": "x.y.z"}))
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json["error"] == "invalid_client"
    assert {answer.header("www-authenticate") for answer in answers} == {'Basic realm="tallystick", charset="UTF-8"'}
    assert {answer.header("cache-control") for answer in answers} == {"no-store"}
    unlike = {tuple(pair for pair in answer.headers if pair[0] != "request-id") for answer in answers}
    assert len(unlike) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=client_credentials&grant_type=client_credentials",
        b"grant_type=client_credentials&scope=rewards:read&scope=rewards:read",
        b"grant_type=client_credentials&scope=&scope=",
        b"grant_type=",
        b"",
        b"\xff=1",
        b"grant_type=%ff",
        b"&".join(b"p%d=1" % n for n in range(50)),
        b"grant_type=client_credentials&x=" + b"a" * 9000,
    ],
)
async def test_a_form_that_is_not_right_is_an_invalid_request(counter: Counter, member: Member, body: bytes) -> None:
    answer = await counter.post("/oauth/token", body, authorization=member.basic)
    assert answer.error == (400, "invalid_request")


async def test_only_a_form_is_read(counter: Counter, member: Member) -> None:
    for content_type in (b"application/json", b"", b"text/plain", b"multipart/form-data; boundary=x"):
        answer = await counter.post("/oauth/token", GRANT, authorization=member.basic, content_type=content_type)
        assert answer.error == (400, "invalid_request")
    with_charset = b"Application/X-WWW-Form-Urlencoded; charset=UTF-8"
    taken = await counter.post("/oauth/token", GRANT, authorization=member.basic, content_type=with_charset)
    assert taken.status == 200
    packed = await counter.post("/oauth/token", GRANT, authorization=member.basic, content_encoding=b"gzip")
    assert packed.error == (400, "invalid_request")


async def test_nothing_is_read_from_the_address(counter: Counter, member: Member) -> None:
    query = urlencode(in_body(member)).encode()
    assert (await counter.post("/oauth/token", GRANT, query=query)).error == (400, "invalid_request")
    assert (await counter.post("/oauth/token", GRANT | in_body(member), query=b"x=1")).error == (400, "invalid_request")


async def test_other_methods_are_told_to_post(counter: Counter) -> None:
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            answer = Answer(*await counter.pages[method, path]({}, b"", b""))
            assert answer.error == (405, "invalid_request")
            assert answer.header("allow") == "POST"


async def test_there_is_one_grant(counter: Counter, member: Member) -> None:
    for grant in ("password", "refresh_token", "authorization_code", "CLIENT_CREDENTIALS"):
        assert (await counter.token(member, grant_type=grant)).error == (400, "unsupported_grant_type")


async def test_a_token_may_have_fewer_scopes_and_never_more(counter: Counter, member: Member) -> None:
    answer = await counter.token(member, scope="rewards:write rewards:read rewards:read")
    assert answer.json["scope"] == "rewards:read rewards:write"
    caller = await counter.door.look_up(None, f"Bearer {answer.json['access_token']}")
    assert caller.scopes == {"rewards:read", "rewards:write"}
    for scope in ("users:read", "rewards:read users:read", "rewards:read  rewards:write", 'a"b', "é", " "):
        assert (await counter.token(member, scope=scope)).error == (400, "invalid_scope")


async def test_a_suspended_partner_gets_no_token(counter: Counter, runtime: Runtime, member: Member) -> None:
    async with directory(runtime) as db:
        await partners.suspend_partner(db, member.partner.id)
    assert (await counter.token(member)).error == (400, "unauthorized_client")


async def test_a_token_does_not_outlive_its_secret(counter: Counter, runtime: Runtime, member: Member) -> None:
    async with directory(runtime) as db:
        await partners.rotate_secret(db, runtime.keys, member.client.id, runtime.clock(), timedelta(seconds=90))
    assert (await counter.token(member)).json["expires_in"] == 90


async def test_tokens_and_secrets_are_in_no_row(counter: Counter, owner: Owner, member: Member) -> None:
    token = (await counter.token(member)).json["access_token"]
    for table in ("access_tokens", "client_secrets"):
        for canary in (token[15:50], token.encode().hex()[30:100], member.secret[12:50]):
            assert not await owner.fetchval(f"select count(*) from {table} as t where strpos(t::text, $1) > 0", canary)


async def test_a_revoked_token_opens_nothing_and_the_secret_goes_on(counter: Counter, member: Member) -> None:
    token = (await counter.token(member)).json["access_token"]
    answer = await counter.post(
        "/oauth/revoke", {"token": token, "token_type_hint": "refresh_token"}, authorization=member.basic
    )
    assert (answer.status, answer.body) == (200, b"")
    with pytest.raises(Unauthorized):
        await counter.door.look_up(None, f"Bearer {token}")
    assert await counter.door.look_up(member.client_id, member.bearer) == member.caller


async def test_a_token_that_is_not_the_clients_is_revoked_for_nobody_and_answered_alike(
    counter: Counter, runtime: Runtime, member: Member
) -> None:
    other = await another_client(runtime, member)
    token = (await counter.token(member)).json["access_token"]
    answers = [
        await counter.post("/oauth/revoke", {"token": sent}, authorization=other.basic)
        for sent in (token, new_token("sandbox"), "never was one")
    ]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"")}
    assert await counter.door.look_up(None, f"Bearer {token}") == member.caller


async def test_revoking_needs_a_token_and_a_client(counter: Counter, member: Member) -> None:
    assert (await counter.post("/oauth/revoke", {}, authorization=member.basic)).error == (400, "invalid_request")
    assert (await counter.post("/oauth/revoke", {"token": "x"})).error == (401, "invalid_client")
    secret = await counter.post("/oauth/revoke", {"token": member.secret}, authorization=member.basic)
    assert secret.error == (400, "unsupported_token_type")


async def test_introspection_tells_what_an_own_token_is(counter: Counter, runtime: Runtime, member: Member) -> None:
    token = (await counter.token(member, scope="rewards:read")).json["access_token"]
    answer = await counter.post("/oauth/introspect", {"token": token}, authorization=member.basic)
    now = int(runtime.clock().timestamp())
    assert answer.header("cache-control") == "no-store"
    assert answer.json == {
        "active": True,
        "scope": "rewards:read",
        "client_id": member.client_id,
        "sub": member.client_id,
        "iss": ISSUER,
        "token_type": "Bearer",
        "iat": now,
        "exp": now + 900,
    }


async def test_introspection_tells_nothing_of_anything_else(
    counter: Counter, runtime: Runtime, clock: Clock, member: Member
) -> None:
    other = await another_client(runtime, member)
    token = (await counter.token(member)).json["access_token"]
    revoked = (await counter.token(member)).json["access_token"]
    await counter.post("/oauth/revoke", {"token": revoked}, authorization=member.basic)

    async def told(sent: str, by: Member) -> Any:
        return (await counter.post("/oauth/introspect", {"token": sent}, authorization=by.basic)).json

    inactive = {"active": False}
    assert await told(token, other) == inactive
    assert await told(revoked, member) == inactive
    for sent in (new_token("sandbox"), member.secret, "x"):
        assert await told(sent, member) == inactive
    clock.move(timedelta(minutes=15))
    assert await told(token, member) == inactive
    assert (await counter.post("/oauth/introspect", {"token": token})).error == (401, "invalid_client")


async def test_a_token_minted_by_a_revoked_secret_dies_with_it(
    counter: Counter, runtime: Runtime, member: Member
) -> None:
    token = (await counter.token(member)).json["access_token"]
    async with directory(runtime) as db:
        fresh, text = await partners.rotate_secret(db, runtime.keys, member.client.id, runtime.clock())
        [(_, secrets)] = await partners.list_clients(db, member.tenant.id)
        old = next(secret for secret in secrets if secret.id != fresh.id)
        await partners.revoke_secret(db, member.client.id, old.id, runtime.clock())
    with pytest.raises(Unauthorized):
        await counter.door.look_up(None, f"Bearer {token}")
    assert (await counter.token(member)).error == (401, "invalid_client")
    again = Member(member.programme, member.partner, member.agreement, member.client, text)
    assert (await counter.token(again)).status == 200


async def test_the_metadata_says_where_everything_is(counter: Counter) -> None:
    page = counter.pages["GET", "/.well-known/oauth-authorization-server"]
    answer = Answer(*await page({}, b"", b""))
    told = answer.json
    assert (answer.status, told["issuer"]) == (200, ISSUER)
    assert told["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["token_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]
    assert set(told["scopes_supported"]) == set(partners.SCOPES)
    for name in ("token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        assert ("POST", told[name].removeprefix(ISSUER)) in counter.pages


async def test_each_client_has_its_rate_at_these_pages_too(counter: Counter, runtime: Runtime) -> None:
    member = await join(runtime, per_minute=1, burst=2)
    answers = [await counter.token(member) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0].header("ratelimit") == '"default";r=1;t=60'
    assert answers[2].header("retry-after") == "60"
    assert answers[2].json["error"] == "temporarily_unavailable"
    # Guessing somebody's secret does not spend their rate.
    other = await join(runtime, per_minute=1, burst=1)
    for _ in range(3):
        await counter.post("/oauth/token", GRANT | in_body(other) | {"client_secret": new_secret("sandbox")})
    assert (await counter.token(other)).status == 200


async def test_every_request_is_logged_and_no_secret_with_it(counter: Counter, member: Member) -> None:
    await counter.token(member)
    await counter.token(member, grant_type="password")
    await counter.post("/oauth/token", GRANT | in_body(member) | {"client_secret": new_secret("sandbox")})
    told = [(entry.method, entry.route, entry.status, entry.code, entry.caller) for entry in counter.logged]
    assert told == [
        ("POST", "/oauth/token", 200, None, member.caller),
        ("POST", "/oauth/token", 400, "unsupported_grant_type", member.caller),
        ("POST", "/oauth/token", 401, "invalid_client", None),
    ]
    assert "tly_" not in repr(counter.logged)


async def test_the_request_id_of_the_answer_is_the_one_in_the_log(counter: Counter, member: Member) -> None:
    answer = await counter.token(member)
    assert answer.header("request-id") == str(counter.logged[0].request_id)


async def test_without_a_database_it_says_to_come_back(runtime: Runtime, member: Member) -> None:
    counter = Counter(runtime)
    pool = Pool("postgresql://localhost:1/none", 1)
    counter.pages = partners.oauth_pages(
        pool, runtime.keys, runtime.clock, counter.limiter, ISSUER, counter.logged.append
    )
    answer = await counter.token(member)
    assert answer.error == (503, "temporarily_unavailable")
    assert answer.header("retry-after") == "1"
