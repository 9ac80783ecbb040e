"""How programmes, partners, agreements and credentials come into being and end."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from tallystick import partners
from tallystick.base import ids
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound
from tallystick.base.secrets import well_formed
from tallystick.base.work import Runtime
from tests.partners.cast import SCOPES, directory, join

Owner = asyncpg.Connection


async def test_a_programme_has_both_tenants_and_their_heads(runtime: Runtime, owner: Owner) -> None:
    member = await join(runtime)
    heads = await owner.fetch(
        "select position from tenant_heads where tenant_id = any($1)",
        [member.programme.sandbox.id, member.programme.production.id],
    )
    assert [row[0] for row in heads] == [0, 0]
    async with directory(runtime) as db:
        assert member.programme in await partners.list_programmes(db)
        assert member.partner in await partners.list_partners(db)
        assert await partners.list_agreements(db, member.programme.id) == [member.agreement]
        [(client, secrets)] = await partners.list_clients(db, member.tenant.id)
    assert client == member.client
    assert [secret.tail for secret in secrets] == [member.secret[-4:]]


@pytest.mark.parametrize("environment", ["sandbox", "production"])
async def test_a_secret_shows_its_environment(runtime: Runtime, environment: str) -> None:
    member = await join(runtime, environment=environment)  # type: ignore[arg-type]
    kind = well_formed(member.secret)
    assert kind is not None
    assert (kind.name, kind.environment) == ("secret", environment)


async def test_no_secret_is_in_any_row(runtime: Runtime, owner: Owner) -> None:
    member = await join(runtime)
    async with directory(runtime) as db:
        _, second = await partners.rotate_secret(db, runtime.keys, member.client.id, runtime.clock())
    for canary in (member.secret, second):
        for table in ("client_secrets", "clients", "events", "access_tokens", "agreements", "request_log"):
            found = await owner.fetchval(
                f"select count(*) from {table} as t where strpos(t::text, $1) > 0", canary[12:52]
            )
            assert found == 0, table
            hidden = canary.encode().hex()[24:104]
            assert not await owner.fetchval(f"select count(*) from {table} as t where strpos(t::text, $1) > 0", hidden)


async def test_a_third_live_secret_is_refused_until_one_ends(runtime: Runtime) -> None:
    member, now = await join(runtime), runtime.clock()
    async with directory(runtime) as db:
        second, _ = await partners.rotate_secret(db, runtime.keys, member.client.id, now, timedelta(hours=1))
    async with directory(runtime) as db:
        with pytest.raises(InvalidState):
            await partners.rotate_secret(db, runtime.keys, member.client.id, now + timedelta(minutes=59))
    async with directory(runtime) as db:
        await partners.rotate_secret(db, runtime.keys, member.client.id, now + timedelta(hours=1))
    async with directory(runtime) as db:
        await partners.revoke_secret(db, member.client.id, second.id, now + timedelta(hours=1))
        await partners.rotate_secret(db, runtime.keys, member.client.id, now + timedelta(hours=1))


async def test_rotations_at_once_wait_for_each_other_and_never_make_three_live_secrets(
    runtime: Runtime, owner: Owner
) -> None:
    member = await join(runtime)

    async def rotate() -> str:
        async with directory(runtime) as db:
            return (await partners.rotate_secret(db, runtime.keys, member.client.id, runtime.clock()))[1]

    async with owner.transaction():
        await owner.execute("select from clients where id = $1 for no key update", member.client.id)
        rotations = [asyncio.create_task(rotate()) for _ in range(5)]
        await asyncio.sleep(0.3)
        assert not any(rotation.done() for rotation in rotations)
    outcomes = await asyncio.gather(*rotations, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InvalidState"] * 4 + ["str"]


async def test_the_partner_is_told_of_a_rotation_by_a_gapless_event(runtime: Runtime, owner: Owner) -> None:
    member, now = await join(runtime), runtime.clock()
    for _ in range(3):
        async with directory(runtime) as db:
            await partners.rotate_secret(db, runtime.keys, member.client.id, now, timedelta(0))
    rows = await owner.fetch(
        "select topic, sequence, position, partner_id, document from events where tenant_id = $1 order by position",
        member.tenant.id,
    )
    assert [(row[0], row[1], row[2]) for row in rows] == [("credential.rotated", n, n) for n in (1, 2, 3)]
    assert {row[3] for row in rows} == {member.partner.id}


async def test_a_credential_needs_known_scopes_a_merchant_and_its_programmes_agreement(runtime: Runtime) -> None:
    member, other = await join(runtime), await join(runtime)

    async def attempt(**changed: object) -> None:
        wanted = {
            "tenant_id": member.tenant.id,
            "agreement_id": member.agreement.id,
            "name": "Desk",
            "scopes": SCOPES,
            "merchant_ids": None,
            "rate_per_minute": 10,
            "rate_burst": 10,
        } | changed
        async with directory(runtime) as db:
            await partners.add_client(db, runtime.keys, partners.NewClient(**wanted), runtime.clock())  # type: ignore[arg-type]

    with pytest.raises(InvalidRequest, match="no scope everything"):
        await attempt(scopes=frozenset({"everything"}))
    with pytest.raises(InvalidRequest):
        await attempt(scopes=frozenset())
    with pytest.raises(InvalidRequest):
        await attempt(merchant_ids=())
    with pytest.raises(InvalidRequest):
        await attempt(rate_burst=0)
    with pytest.raises(InvalidRequest):
        await attempt(name="Desk\x00")
    with pytest.raises(NotFound):
        await attempt(agreement_id=other.agreement.id)
    with pytest.raises(NotFound):
        await attempt(tenant_id=other.tenant.id)


async def test_an_agreement_is_made_once_and_may_begin_again(runtime: Runtime) -> None:
    member, now = await join(runtime), runtime.clock()
    async with directory(runtime) as db:
        with pytest.raises(InvalidState):
            await partners.agree(db, member.partner.id, member.programme.id, "programme", now)
        ended = await partners.end_agreement(db, member.agreement.id)
        assert ended.status == "ended"
        again = await partners.agree(db, member.partner.id, member.programme.id, "programme", now)
    assert (again.id, again.status, again.visibility) == (member.agreement.id, "active", "programme")


async def test_what_does_not_exist_is_not_found(runtime: Runtime) -> None:
    member, now, nobody = await join(runtime), runtime.clock(), ids.new()
    async with directory(runtime) as db:
        for attempt in (
            partners.suspend_partner(db, nobody),
            partners.end_agreement(db, nobody),
            partners.revoke_client(db, nobody, now),
            partners.revoke_secret(db, member.client.id, nobody, now),
            partners.rotate_secret(db, runtime.keys, nobody, now),
        ):
            with pytest.raises(NotFound):
                await attempt
    with pytest.raises(NotFound):
        async with directory(runtime) as db:
            await partners.agree(db, nobody, member.programme.id, "own", now)
