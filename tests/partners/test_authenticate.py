"""Who is let in, who is not, and for how long it is believed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tallystick import partners
from tallystick.base import ids
from tallystick.base.db import Db, Pool, Row
from tallystick.base.errors import AccessNotApproved, Refusal, Unauthorized, Unavailable
from tallystick.base.secrets import new_secret, new_token
from tallystick.base.work import Caller, Runtime
from tallystick.partners import door_store
from tallystick.partners.authentication import holder_of_secret
from tests.conftest import Clock
from tests.partners.cast import Member, directory, join

SECONDS = 15.0
Owner = asyncpg.Connection


@dataclass
class Ticks:
    """The machine's own clock, moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def door(runtime: Runtime, ticks: Ticks) -> AsyncIterator[partners.Authenticator]:
    door = partners.Authenticator(runtime.pool, runtime.keys, runtime.clock, SECONDS, ticks=ticks)
    yield door
    await door.close()


@pytest.fixture
async def member(runtime: Runtime) -> Member:
    return await join(runtime)


async def token_of(runtime: Runtime, member: Member, scopes: Sequence[str] = ("rewards:read",)) -> str:
    """An access token of the member's secret, for a quarter of an hour."""
    now, token = runtime.clock(), new_token("sandbox")
    holder = await holder_of_secret(runtime.pool, runtime.keys, member.client.id, member.secret, now)
    async with runtime.pool.lend() as db:
        digest = runtime.keys.secret_digest(token)
        await door_store.insert_token(db, digest, holder, scopes, now, now + timedelta(minutes=15))
    return token


async def refused(door: partners.Authenticator, client_id: str | None, authorization: str | None) -> Refusal:
    assert door.cached(client_id, authorization) is None
    with pytest.raises(Refusal) as refusal:
        await door.look_up(client_id, authorization)
    assert door.cached(client_id, authorization) is None
    return refusal.value


async def test_client_id_and_secret_are_let_in_and_remembered(door: partners.Authenticator, member: Member) -> None:
    assert door.cached(member.client_id, member.bearer) is None
    assert await door.look_up(member.client_id, member.bearer) == member.caller
    assert door.cached(member.client_id, member.bearer) == member.caller


async def test_the_scheme_is_read_in_either_case(door: partners.Authenticator, member: Member) -> None:
    for scheme in ("bearer", "BEARER", "Bearer  "):
        caller = await door.look_up(member.client_id.upper(), f"{scheme} {member.secret}")
        assert caller == member.caller


async def test_an_access_token_is_let_in_alone_or_with_its_own_client_id(
    door: partners.Authenticator, runtime: Runtime, member: Member
) -> None:
    bearer = f"Bearer {await token_of(runtime, member)}"
    narrowed = replace(member.caller, scopes=frozenset({"rewards:read"}))
    assert await door.look_up(None, bearer) == narrowed
    assert await door.look_up(member.client_id, bearer) == narrowed
    other = await join(runtime)
    assert isinstance(await refused(door, other.client_id, bearer), Unauthorized)
    assert isinstance(await refused(door, "", bearer), Unauthorized)


async def test_a_credential_limited_to_merchants_that_sees_the_programme(
    door: partners.Authenticator, runtime: Runtime
) -> None:
    merchants = (ids.new(), ids.new())
    member = await join(runtime, merchant_ids=merchants, visibility="programme", environment="production")
    caller = await door.look_up(member.client_id, member.bearer)
    assert (caller.merchant_ids, caller.sees_programme) == (merchants, True)
    assert caller.tenant == member.programme.production


def changed(secret: str) -> str:
    """The secret with one character of it changed: its checksum is wrong."""
    return secret[:20] + ("a" if secret[20] != "a" else "b") + secret[21:]


async def test_what_opens_nothing_is_answered_alike(
    door: partners.Authenticator, runtime: Runtime, member: Member
) -> None:
    other = await join(runtime)
    wrong = [
        (member.client_id, f"Bearer {new_secret('sandbox')}"),
        (str(ids.new()), f"Bearer {new_secret('sandbox')}"),
        (str(ids.new()), member.bearer),
        (other.client_id, member.bearer),
        (member.client_id, f"Bearer {changed(member.secret)}"),
        (member.client_id, "Bearer x"),
        ("not an id", member.bearer),
        (None, f"Bearer {new_token('sandbox')}"),
        (None, "Bearer " + "a" * 5000),
        (member.client_id, f"Bearer {member.secret.replace('sandbox', 'production')}"),
    ]
    told = {
        (type(each), each.detail, each.headers, each.source)
        for each in [await refused(door, client_id, authorization) for client_id, authorization in wrong]
    }
    assert len(told) == 1
    [(kind, _, headers, _)] = told
    assert kind is Unauthorized
    assert headers == (("www-authenticate", 'Bearer realm="tallystick", error="invalid_token"'),)


@pytest.mark.parametrize("authorization", [None, "", "Basic eDp5", "Bearer", "Bearer ", "Bearer a b", "Bearer \ud800"])
async def test_where_no_credential_is_sent_the_challenge_has_no_error(
    door: partners.Authenticator, member: Member, authorization: str | None
) -> None:
    refusal = await refused(door, member.client_id, authorization)
    assert refusal.headers == (("www-authenticate", 'Bearer realm="tallystick"'),)
    refusal = await refused(door, None, member.bearer)
    assert refusal.headers == (("www-authenticate", 'Bearer realm="tallystick"'),)


class CountingPool(Pool):
    """Counts the statements that are asked for, by their text."""

    asked: list[tuple[str, int]]

    async def _open(self) -> Db:
        db = await super()._open()
        rows, asked = db.row, self.asked

        class Counted(Db):
            __slots__ = ()

            async def row(self, sql: str, *args: object) -> Row | None:
                asked.append((sql, len(args)))
                return await super().row(sql, *args)

        assert rows is not None
        return Counted(db.connection)


async def test_an_unknown_client_and_a_wrong_secret_run_the_same_statements(
    dsn: str, runtime: Runtime, member: Member
) -> None:
    pool = CountingPool(dsn, 1)
    pool.asked = []
    door = partners.Authenticator(pool, runtime.keys, runtime.clock, SECONDS)
    runs = []
    for client_id in (member.client_id, str(ids.new())):
        await refused(door, client_id, f"Bearer {new_secret('sandbox')}")
        runs.append(list(pool.asked))
        pool.asked.clear()
    await pool.close()
    assert runs[0] == runs[1]
    assert len(runs[0]) == 1


async def test_a_malformed_secret_costs_no_statement(dsn: str, runtime: Runtime, member: Member) -> None:
    pool = CountingPool(dsn, 1)
    pool.asked = []
    door = partners.Authenticator(pool, runtime.keys, runtime.clock, SECONDS)
    await refused(door, member.client_id, f"Bearer {changed(member.secret)}")
    assert pool.asked == []


async def test_a_suspended_partner_or_an_ended_agreement_is_not_approved(
    door: partners.Authenticator, runtime: Runtime, member: Member
) -> None:
    async with directory(runtime) as db:
        await partners.suspend_partner(db, member.partner.id)
    assert isinstance(await refused(door, member.client_id, member.bearer), AccessNotApproved)
    # Whoever does not hold the secret is not told.
    assert isinstance(await refused(door, member.client_id, f"Bearer {new_secret('sandbox')}"), Unauthorized)
    async with directory(runtime) as db:
        await partners.resume_partner(db, member.partner.id)
    assert await door.look_up(member.client_id, member.bearer) == member.caller
    async with directory(runtime) as db:
        await partners.end_agreement(db, member.agreement.id)
    other = partners.Authenticator(runtime.pool, runtime.keys, runtime.clock, SECONDS)
    assert isinstance(await refused(other, member.client_id, member.bearer), AccessNotApproved)
    await other.close()


async def revoke_the_client(runtime: Runtime, member: Member) -> None:
    async with directory(runtime) as db:
        await partners.revoke_client(db, member.client.id, runtime.clock())


async def revoke_the_secret(runtime: Runtime, member: Member) -> None:
    async with directory(runtime) as db:
        [(_, [secret])] = await partners.list_clients(db, member.tenant.id)
        await partners.revoke_secret(db, member.client.id, secret.id, runtime.clock())


@pytest.mark.parametrize("revoke", [revoke_the_client, revoke_the_secret])
async def test_a_revocation_holds_in_every_process_when_the_cache_time_is_over(
    runtime: Runtime, ticks: Ticks, member: Member, revoke: Any
) -> None:
    doors = [partners.Authenticator(runtime.pool, runtime.keys, runtime.clock, SECONDS, ticks=ticks) for _ in range(2)]
    bearer = f"Bearer {await token_of(runtime, member)}"
    for door in doors:
        await door.look_up(member.client_id, member.bearer)
        await door.look_up(None, bearer)
    await revoke(runtime, member)
    ticks.now += SECONDS
    for door in doors:
        assert door.cached(member.client_id, member.bearer) is None
        assert isinstance(await refused(door, member.client_id, member.bearer), Unauthorized)
        assert isinstance(await refused(door, None, bearer), Unauthorized)
        await door.close()


async def test_being_asked_often_does_not_prolong_what_is_believed(
    door: partners.Authenticator, ticks: Ticks, member: Member
) -> None:
    await door.look_up(member.client_id, member.bearer)
    for _ in range(29):
        ticks.now += 0.5
        assert door.cached(member.client_id, member.bearer) is not None
    ticks.now += 0.5
    assert door.cached(member.client_id, member.bearer) is None


async def test_a_refusal_is_not_remembered(door: partners.Authenticator, runtime: Runtime, member: Member) -> None:
    async with directory(runtime) as db:
        await partners.suspend_partner(db, member.partner.id)
    await refused(door, member.client_id, member.bearer)
    async with directory(runtime) as db:
        await partners.resume_partner(db, member.partner.id)
    assert await door.look_up(member.client_id, member.bearer) == member.caller


async def test_an_old_secret_goes_on_for_the_overlap_and_ends_at_its_instant(
    door: partners.Authenticator, runtime: Runtime, clock: Clock, ticks: Ticks, member: Member
) -> None:
    bearer = f"Bearer {await token_of(runtime, member)}"
    async with directory(runtime) as db:
        _, second = await partners.rotate_secret(
            db, runtime.keys, member.client.id, runtime.clock(), timedelta(seconds=10)
        )
    for secret in (member.secret, second):
        assert await door.look_up(member.client_id, f"Bearer {secret}") == member.caller
    await door.look_up(None, bearer)
    clock.move(timedelta(seconds=10))
    ticks.now += 10
    # Less than the cache time has passed, and it has ended all the same, with the token it minted.
    assert isinstance(await refused(door, member.client_id, member.bearer), Unauthorized)
    assert isinstance(await refused(door, None, bearer), Unauthorized)
    assert door.cached(member.client_id, f"Bearer {second}") == member.caller


async def test_a_token_ends_after_a_quarter_of_an_hour(
    door: partners.Authenticator, runtime: Runtime, clock: Clock, ticks: Ticks, member: Member
) -> None:
    bearer = f"Bearer {await token_of(runtime, member)}"
    clock.move(timedelta(minutes=14, seconds=50))
    await door.look_up(None, bearer)
    ticks.now += 9.9
    assert door.cached(None, bearer) is not None
    ticks.now += 0.1
    clock.move(timedelta(seconds=10))
    assert isinstance(await refused(door, None, bearer), Unauthorized)


async def test_a_token_never_carries_more_than_its_client_does_now(
    door: partners.Authenticator, runtime: Runtime, owner: Owner, member: Member
) -> None:
    bearer = f"Bearer {await token_of(runtime, member, ['rewards:read', 'rewards:write'])}"
    await owner.execute("update clients set scopes = array['rewards:read'] where id = $1", member.client.id)
    assert (await door.look_up(None, bearer)).scopes == {"rewards:read"}


async def test_a_secret_made_before_the_master_key_was_rotated_still_opens(runtime: Runtime, member: Member) -> None:
    door = partners.Authenticator(runtime.pool, runtime.keys.add_version(), runtime.clock, SECONDS)
    assert await door.look_up(member.client_id, member.bearer) == member.caller
    await door.close()


async def test_the_last_use_is_remembered_once_a_day(
    door: partners.Authenticator, runtime: Runtime, ticks: Ticks, clock: Clock, owner: Owner, member: Member
) -> None:
    async def used_on() -> Any:
        await door.close()
        return await owner.fetchrow(
            "select last_used_on, xmin::text from client_secrets where client_id = $1", member.client.id
        )

    await door.look_up(member.client_id, member.bearer)
    first = await used_on()
    assert first[0] == runtime.clock().date()
    ticks.now += 60
    await door.look_up(member.client_id, member.bearer)
    assert await used_on() == first
    clock.move(timedelta(days=1))
    ticks.now += 60
    await door.look_up(member.client_id, member.bearer)
    assert (await used_on())[0] == runtime.clock().date()


async def test_those_who_ask_the_same_at_once_share_one_look(dsn: str, runtime: Runtime, member: Member) -> None:
    pool = CountingPool(dsn, 2)
    pool.asked = []
    door = partners.Authenticator(pool, runtime.keys, runtime.clock, SECONDS)
    looks = [asyncio.create_task(door.look_up(member.client_id, member.bearer)) for _ in range(50)]
    await asyncio.sleep(0)
    looks[0].cancel()  # the one who began the look goes away
    callers: list[Caller | BaseException] = await asyncio.gather(*looks, return_exceptions=True)
    await door.close()
    await pool.close()
    assert isinstance(callers[0], asyncio.CancelledError)
    assert callers[1:] == [member.caller] * 49
    assert len(pool.asked) == 1


async def test_what_is_remembered_has_a_bound(runtime: Runtime) -> None:
    door = partners.Authenticator(runtime.pool, runtime.keys, runtime.clock, SECONDS, kept_max=2)
    members = [await join(runtime) for _ in range(3)]
    for member in members:
        await door.look_up(member.client_id, member.bearer)
    assert [door.cached(member.client_id, member.bearer) is not None for member in members] == [False, True, True]
    await door.close()


async def test_no_secret_stays_in_the_memory_of_the_door(door: partners.Authenticator, member: Member) -> None:
    await door.look_up(member.client_id, member.bearer)
    assert member.secret not in repr(vars(door))


async def test_without_a_database_it_is_unavailable_and_never_let_in(runtime: Runtime, member: Member) -> None:
    pool = Pool("postgresql://localhost:1/none", 1)
    door = partners.Authenticator(pool, runtime.keys, runtime.clock, SECONDS)
    assert isinstance(await refused(door, member.client_id, member.bearer), Unavailable)


async def test_expired_tokens_are_deleted_and_live_ones_stay(
    runtime: Runtime, clock: Clock, owner: Owner, member: Member
) -> None:
    await token_of(runtime, member)
    clock.move(timedelta(hours=2))
    await token_of(runtime, member)
    assert await partners.forget_expired_tokens(runtime) is False
    left: list[UUID] = [
        row[0]
        for row in await owner.fetch("select expires_at from access_tokens where client_id = $1", member.client.id)
    ]
    assert left == [runtime.clock() + timedelta(minutes=15)]
