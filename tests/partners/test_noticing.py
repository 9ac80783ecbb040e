"""Partners are told in time, and once for each mark: of secrets that end, and of agreements to be reviewed."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick import partners
from tallystick.base.errors import InvalidRequest, InvalidState, NotFound
from tallystick.base.work import Runtime
from tests.api import Api, join
from tests.conftest import Clock
from tests.rewards.cast import feed


async def told(api: Api, topic: str) -> list[dict[str, Any]]:
    return [event["document"] for event in await feed(api) if event["topic"] == topic]


async def tell(runtime: Runtime) -> None:
    while await partners.tell_of_secrets(runtime):
        pass
    while await partners.tell_of_reviews(runtime):
        pass


async def rotate(api: Api, runtime: Runtime, overlap: timedelta) -> None:
    async with runtime.pool.lend() as db, db.connection.transaction():
        await partners.rotate_secret(db, runtime.keys, UUID(api.client_id), runtime.clock(), overlap)


async def agreement_of(api: Api, runtime: Runtime) -> partners.Agreement:
    async with runtime.pool.lend() as db:
        found = await partners.list_agreements(db, api.tenant.programme_id)
    (agreement,) = [each for each in found if each.partner_id == api.partner_id]
    return agreement


async def review(api: Api, runtime: Runtime, **more: Any) -> partners.Agreement:
    agreement = await agreement_of(api, runtime)
    async with runtime.pool.lend() as db, db.connection.transaction():
        return await partners.review(db, agreement.id, runtime.clock(), **more)


@pytest.fixture
async def production(runtime: Runtime, session: aiohttp.ClientSession, base_url: str) -> Api:
    return await join(runtime, session, base_url, environment="production")


async def test_a_secret_that_ends_is_told_a_week_and_a_day_before(api: Api, runtime: Runtime, clock: Clock) -> None:
    await rotate(api, runtime, timedelta(days=30))
    counts = []
    for by in (
        timedelta(0),
        timedelta(days=22),
        timedelta(days=1),
        timedelta(days=5),
        timedelta(days=1),
        timedelta(days=9),
    ):
        clock.move(by)
        await tell(runtime)
        await tell(runtime)
        counts.append(len(await told(api, "credential.expiring")))
    assert counts == [0, 0, 1, 1, 2, 2]
    first = (await told(api, "credential.expiring"))[0]
    assert (first["type"], first["id"]) == ("Credential", api.client_id)
    assert [secret["expiresAt"] for secret in first["attributes"]["secrets"]] == [None, "2026-04-01T09:00:00.000Z"]
    assert [event["sequence"] for event in await feed(api)] == [1, 2, 3]


async def test_a_secret_that_ends_within_a_day_is_told_of_once(api: Api, runtime: Runtime, clock: Clock) -> None:
    await rotate(api, runtime, timedelta(hours=5))
    for _ in range(2):
        await tell(runtime)
        clock.move(timedelta(hours=1))
    assert len(await told(api, "credential.expiring")) == 1


@pytest.mark.parametrize("gone", ["ended", "revoked"])
async def test_a_secret_that_opens_nothing_any_more_is_told_of_no_more(
    api: Api, runtime: Runtime, clock: Clock, gone: str
) -> None:
    await rotate(api, runtime, timedelta(days=30))
    clock.move(timedelta(days=30 if gone == "ended" else 25))
    if gone == "revoked":
        async with runtime.pool.lend() as db, db.connection.transaction():
            await partners.revoke_client(db, UUID(api.client_id), clock())
    await tell(runtime)
    rows: Any = None
    async with runtime.pool.lend() as db, db.connection.transaction():
        await db.run("select set_config('tallystick.tenant', $1, true)", str(api.tenant.id))
        rows = await db.rows(
            "select topic from events where tenant_id = $1 and subject_id = $2 order by sequence",
            api.tenant.id,
            UUID(api.client_id),
        )
    assert [row[0] for row in rows] == ["credential.rotated"]


async def test_several_who_tell_at_once_tell_once(api: Api, runtime: Runtime, clock: Clock) -> None:
    await rotate(api, runtime, timedelta(days=6))
    await asyncio.gather(*(partners.tell_of_secrets(runtime) for _ in range(4)), rotate_again(api, runtime))
    await tell(runtime)
    assert len(await told(api, "credential.expiring")) == 1
    assert [event["sequence"] for event in await feed(api)] == [1, 2]


async def rotate_again(api: Api, runtime: Runtime) -> None:
    """A third secret is refused, under the same lock."""
    with pytest.raises(InvalidState):
        await rotate(api, runtime, timedelta(days=6))


async def test_an_agreement_is_reviewed_a_year_after_it_was_made_and_its_partner_told_before(
    production: Api, runtime: Runtime, clock: Clock
) -> None:
    assert (await agreement_of(production, runtime)).review_due_at == clock.now + timedelta(days=365)
    counts = []
    for by in (timedelta(days=334), timedelta(days=1), timedelta(days=29), timedelta(days=1), timedelta(days=40)):
        clock.move(by)
        await tell(runtime)
        await tell(runtime)
        counts.append(len(await told(production, "access.review_due")))
    assert counts == [0, 1, 1, 2, 2]
    document = (await told(production, "access.review_due"))[0]
    agreement = await agreement_of(production, runtime)
    assert (document["type"], document["id"]) == ("Agreement", str(agreement.id))
    assert document["attributes"]["reviewDueAt"] == "2027-03-02T09:00:00.000Z"
    assert document["attributes"]["partnerId"] == str(production.partner_id)
    assert [event["sequence"] for event in await feed(production)] == [1, 2]


async def test_a_review_is_told_to_the_partner_of_the_agreement_alone(
    production: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock
) -> None:
    overseer = await join(runtime, session, base_url, tenant=production.tenant, visibility="programme")
    clock.move(timedelta(days=340))
    await tell(runtime)
    assert len(await told(production, "access.review_due")) == 1
    assert [each["id"] for each in await told(overseer, "access.review_due")] == [
        str((await agreement_of(overseer, runtime)).id)
    ]


async def test_after_a_review_the_next_one_is_told_anew(production: Api, runtime: Runtime, clock: Clock) -> None:
    clock.move(timedelta(days=366))
    await tell(runtime)
    assert (await review(production, runtime)).review_due_at == clock.now + timedelta(days=365)
    await tell(runtime)
    assert len(await told(production, "access.review_due")) == 1
    await review(production, runtime, due_at=clock.now + timedelta(days=10))
    await tell(runtime)
    assert len(await told(production, "access.review_due")) == 2


async def test_an_agreement_that_ended_is_not_reviewed(production: Api, runtime: Runtime, clock: Clock) -> None:
    agreement = await agreement_of(production, runtime)
    async with runtime.pool.lend() as db, db.connection.transaction():
        await partners.end_agreement(db, agreement.id)
    clock.move(timedelta(days=366))
    await tell(runtime)
    with pytest.raises(NotFound):
        await review(production, runtime)
    async with runtime.pool.lend() as db, db.connection.transaction():
        again = await partners.agree(db, agreement.partner_id, agreement.programme_id, "own", clock())
    assert (again.id, again.review_due_at) == (agreement.id, clock.now + timedelta(days=365))
    assert await told(production, "access.review_due") == []


@pytest.mark.parametrize("due", [timedelta(0), timedelta(days=-1), timedelta(days=1097)])
async def test_the_next_review_lies_ahead_and_within_three_years(
    production: Api, runtime: Runtime, due: timedelta
) -> None:
    with pytest.raises(InvalidRequest):
        await review(production, runtime, due_at=runtime.clock() + due)
