"""A partner looks after its own credentials."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from tallystick import partners
from tallystick.base import ids
from tallystick.base.batcher import Batcher
from tallystick.base.errors import (
    IdempotencyConflict,
    InsufficientScope,
    InvalidRequest,
    InvalidState,
    NotFound,
    Unauthorized,
)
from tallystick.base.routes import Call, House, Reply
from tallystick.base.settings import Settings
from tallystick.base.work import Asked, Caller, Runtime
from tallystick.partners.api import ROUTES
from tests.conftest import Clock
from tests.partners.cast import SCOPES, Member, another_client, join

Owner = asyncpg.Connection


class Road:
    """The routes of this room, without HTTP in between."""

    def __init__(self, runtime: Runtime) -> None:
        self.house = House(Settings(), runtime, Batcher(runtime, batch_limit=100, queue_limit=1000))

    async def ask(
        self,
        caller: Caller,
        method: str,
        path: str,
        client_id: object = None,
        sent: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> Reply:
        route = next(each for each in ROUTES if (each.method, each.path) == (method, f"/api/v1/credentials{path}"))
        decoded = None
        if sent is not None:
            assert route.takes is not None
            decoded = msgspec.convert(sent, route.takes.attributes)
        asked = Asked(caller, ids.new(), method, route.path, key if route.keyed else None)
        return await route.handler(Call(self.house, route, asked, {"id": str(client_id)}, {}, decoded, None))


@pytest.fixture
async def road(runtime: Runtime) -> AsyncIterator[Road]:
    road = Road(runtime)
    yield road
    await road.house.batcher.close()


@pytest.fixture
async def member(runtime: Runtime) -> Member:
    return await join(runtime)


async def lets_in(runtime: Runtime, member: Member, secret: str) -> bool:
    door = partners.Authenticator(runtime.pool, runtime.keys, runtime.clock, 0)
    try:
        await door.look_up(member.client_id, f"Bearer {secret}")
    except Unauthorized:
        return False
    finally:
        await door.close()
    return True


def attributes(reply: Reply) -> Any:
    assert reply.body is not None
    return msgspec.json.decode(reply.body)["data"]["attributes"]


async def test_a_partner_lists_its_own_credentials_of_this_environment_only(
    road: Road, runtime: Runtime, member: Member
) -> None:
    second = await another_client(runtime, member)
    await join(runtime)
    reply = await road.ask(member.caller, "GET", "")
    assert reply.body is not None
    listed = msgspec.json.decode(reply.body)
    assert {each["id"] for each in listed["data"]} == {member.client_id, second.client_id}
    assert listed["meta"] == {"total": 2, "limit": 10, "offset": 0}
    assert member.secret not in reply.body.decode()


async def test_a_credential_shows_everything_but_its_secret(road: Road, member: Member) -> None:
    shown = attributes(await road.ask(member.caller, "GET", "/{id}", member.client_id))
    [secret] = shown.pop("secrets")
    assert shown == {
        "name": "Support desk",
        "environment": "sandbox",
        "status": "active",
        "scopes": sorted(SCOPES),
        "merchantIds": None,
        "ratePerMinute": 10_000,
        "rateBurst": 1_000,
        "createdAt": "2026-03-02T09:00:00.000Z",
        "revokedAt": None,
    }
    assert (secret["tail"], secret["expiresAt"], secret["lastUsedOn"]) == (member.secret[-4:], None, None)


async def test_another_partners_credential_is_answered_as_a_missing_one(
    road: Road, runtime: Runtime, member: Member
) -> None:
    other = await join(runtime)
    told = set()
    for asked_for in (other.client_id, ids.new(), "x"):
        for method, path in (("GET", "/{id}"), ("POST", "/{id}/rotate"), ("POST", "/{id}/revoke")):
            with pytest.raises(NotFound) as missing:
                await road.ask(member.caller, method, path, asked_for)
            told.add(missing.value.detail)
    assert len(told) == 1
    assert await lets_in(runtime, other, other.secret)


async def test_a_rotation_shows_the_new_secret_once_and_both_open_for_a_week(
    road: Road, runtime: Runtime, clock: Clock, member: Member
) -> None:
    reply = await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id)
    shown = attributes(reply)
    fresh = shown["clientSecret"]
    assert [secret["tail"] for secret in shown["secrets"]] == [fresh[-4:], member.secret[-4:]]
    assert shown["secrets"][1]["expiresAt"] == "2026-03-09T09:00:00.000Z"
    assert (reply.status, reply.logged, reply.resource_id) == (200, True, member.client.id)
    assert await lets_in(runtime, member, fresh)
    assert await lets_in(runtime, member, member.secret)
    clock.move(timedelta(days=7))
    assert await lets_in(runtime, member, fresh)
    assert not await lets_in(runtime, member, member.secret)
    again = attributes(await road.ask(member.caller, "GET", "/{id}", member.client_id))
    assert "clientSecret" not in again
    assert len(again["secrets"]) == 1


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(
    road: Road, runtime: Runtime, member: Member
) -> None:
    await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id, {"overlap": "PT0S"})
    assert not await lets_in(runtime, member, member.secret)


@pytest.mark.parametrize("overlap", ["P91D", "P1M", "tomorrow", "-P1D", "P9999999W"])
async def test_an_overlap_is_a_duration_of_at_most_ninety_days(road: Road, member: Member, overlap: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id, {"overlap": overlap})
    assert refused.value.source is not None
    assert refused.value.source.name == "/data/attributes/overlap"


async def test_a_third_live_secret_is_refused(road: Road, member: Member) -> None:
    await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id)
    with pytest.raises(InvalidState):
        await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id)


async def test_a_repeated_rotation_makes_one_secret_and_shows_it_for_a_day(
    road: Road, clock: Clock, owner: Owner, member: Member
) -> None:
    async def rotate(key: str = "k1", **sent: str) -> Reply:
        return await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id, sent or None, key)

    first = await rotate()
    clock.move(timedelta(hours=23))
    again = await rotate()
    assert (again.replayed, again.logged, again.body) == (True, False, first.body)
    clock.move(timedelta(hours=1))
    late = await rotate()
    expected = attributes(first)
    del expected["clientSecret"]
    assert attributes(late) == expected
    with pytest.raises(IdempotencyConflict):
        await rotate(overlap="P1D")
    assert await owner.fetchval("select count(*) from client_secrets where client_id = $1", member.client.id) == 2
    kept = await owner.fetchval("select t::text from idempotency_keys as t where tenant_id = $1", member.tenant.id)
    assert attributes(first)["clientSecret"].encode().hex() not in kept


async def test_the_partner_is_told_without_scopes_names_or_tails(road: Road, owner: Owner, member: Member) -> None:
    reply = await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id, {"overlap": "PT0S"})
    await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id)
    events = await owner.fetch(
        "select topic, sequence, document, request_id from events where tenant_id = $1 order by position",
        member.tenant.id,
    )
    assert [(event[0], event[1]) for event in events] == [("credential.rotated", 1), ("credential.rotated", 2)]
    told = msgspec.json.decode(events[0][2])
    assert set(told["attributes"]) == {"environment", "status", "secrets", "createdAt"}
    assert attributes(reply)["clientSecret"][-4:] not in events[0][2]
    logged = await owner.fetch("select id, status, route from request_log where tenant_id = $1", member.tenant.id)
    assert {row[0] for row in logged} == {event[3] for event in events}
    assert {(row[1], row[2]) for row in logged} == {(200, "/api/v1/credentials/{id}/rotate")}


async def test_nobody_learns_the_secret_of_a_credential_that_may_do_more(
    road: Road, runtime: Runtime, member: Member
) -> None:
    narrow = await another_client(runtime, member, scopes=frozenset({"credentials:write"}))
    with pytest.raises(InsufficientScope):
        await road.ask(narrow.caller, "POST", "/{id}/rotate", member.client_id)
    limited = await another_client(runtime, member, merchant_ids=(ids.new(),))
    with pytest.raises(InsufficientScope):
        await road.ask(limited.caller, "POST", "/{id}/rotate", member.client_id)
    assert (await road.ask(member.caller, "POST", "/{id}/rotate", limited.client_id)).status == 200


async def test_a_secret_in_doubt_is_revoked_and_the_other_goes_on(road: Road, runtime: Runtime, member: Member) -> None:
    shown = attributes(await road.ask(member.caller, "POST", "/{id}/rotate", member.client_id))
    old = {"secretId": shown["secrets"][1]["id"]}
    left = attributes(await road.ask(member.caller, "POST", "/{id}/revoke", member.client_id, old))
    assert [secret["id"] for secret in left["secrets"]] == [shown["secrets"][0]["id"]]
    assert not await lets_in(runtime, member, member.secret)
    assert await lets_in(runtime, member, shown["clientSecret"])
    with pytest.raises(InvalidState):
        await road.ask(member.caller, "POST", "/{id}/revoke", member.client_id, old)


async def test_a_credential_cannot_lock_itself_out(road: Road, runtime: Runtime, member: Member) -> None:
    shown = attributes(await road.ask(member.caller, "GET", "/{id}", member.client_id))
    for sent in (None, {"secretId": shown["secrets"][0]["id"]}):
        with pytest.raises(InvalidState, match="lock you out"):
            await road.ask(member.caller, "POST", "/{id}/revoke", member.client_id, sent)
    assert await lets_in(runtime, member, member.secret)


async def test_another_credential_of_the_partner_may_end_it_whole(road: Road, runtime: Runtime, member: Member) -> None:
    other = await another_client(runtime, member)
    shown = attributes(await road.ask(other.caller, "POST", "/{id}/revoke", member.client_id))
    assert (shown["status"], shown["secrets"], shown["revokedAt"]) == ("revoked", [], "2026-03-02T09:00:00.000Z")
    assert not await lets_in(runtime, member, member.secret)
    for verb in ("rotate", "revoke"):
        with pytest.raises(InvalidState):
            await road.ask(other.caller, "POST", f"/{{id}}/{verb}", member.client_id)


async def test_a_secret_id_must_be_one(road: Road, member: Member) -> None:
    with pytest.raises(InvalidRequest):
        await road.ask(member.caller, "POST", "/{id}/revoke", member.client_id, {"secretId": "mine"})
    with pytest.raises(InvalidState):
        await road.ask(member.caller, "POST", "/{id}/revoke", member.client_id, {"secretId": str(ids.new())})
