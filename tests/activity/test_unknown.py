"""Customers by whatever names them; who is not known yet is counted once they are, within the days the merchant waits."""

from datetime import timedelta
from typing import Any

import pytest

from tallystick import activity
from tallystick.activity import Identity, changing_store
from tallystick.activity.model import SURE_AFTER
from tallystick.base.work import Runtime
from tallystick.customers import lookup
from tests.activity.cast import accept, progress_of, purchase, recorded, send, stored, told, transaction
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.rewards.cast import OTHER_PHONE, configure
from tests.thresholds.cast import rule
from tests.world import MIRA_PHONE


async def count(runtime: Runtime) -> None:
    """What the loop does until nothing is left to look at."""
    while await activity.count_known(runtime):
        pass


async def owner_of(runtime: Runtime, api: Api, source_id: str) -> str | None:
    async with runtime.reading(api.tenant) as work:
        owner = (await stored(work))[source_id]["customer_id"]
    return None if owner is None else str(owner)


async def test_a_customer_is_known_by_each_name(api: Api) -> None:
    user = await api.user(externalId="c-1")
    code = (await api.get(f"users/{user}")).attributes["memberCode"]
    phones = [{"phoneNumber": MIRA_PHONE}, {"phoneNumber": "(202) 555-0143"}]
    for number, named in enumerate([{"userId": user}, *phones, {"externalId": "c-1"}, {"memberCode": code}]):
        answer = await send(api, purchase(f"s{number}", customer=named))
        assert answer.attributes["userId"] == user, named
    by_source = await send(
        api, purchase("own", source={"id": "own", "createdAt": "2026-03-02T09:00:00Z", "customerId": "c-1"})
    )
    assert by_source.attributes["userId"] == user


async def test_who_is_not_known_is_kept_by_no_name_that_can_be_read(runtime: Runtime, api: Api) -> None:
    answer = await send(api, purchase("s1", customer={"phoneNumber": MIRA_PHONE}))
    assert (answer.status, answer.attributes["userId"]) == (201, None)
    async with runtime.reading(api.tenant) as work:
        row = (await stored(work))["s1"]
    assert (row["identity_kind"], len(row["identity_index"])) == ("phone", 32)
    assert MIRA_PHONE.encode() not in b"".join(value for value in row if isinstance(value, bytes))
    assert MIRA_PHONE not in str(list(row))


async def test_who_is_known_leaves_no_index(runtime: Runtime, api: Api) -> None:
    await send(api, purchase("s1", user=await api.user()))
    async with runtime.reading(api.tenant) as work:
        assert (await stored(work))["s1"]["identity_index"] is None


@pytest.mark.parametrize(
    ("named", "made"),
    [
        ({"phoneNumber": MIRA_PHONE}, {}),
        ({"externalId": "c-1"}, {"externalId": "c-1"}),
    ],
)
async def test_what_was_nobodys_counts_when_they_become_known(
    runtime: Runtime, api: Api, named: dict[str, str], made: dict[str, Any]
) -> None:
    threshold = await rule(api)
    await send(api, purchase("s1", customer=named))
    await send(api, transaction("Refund", "r1", 300, linkedExternalTransactionId="s1"))
    await count(runtime)
    assert await owner_of(runtime, api, "s1") is None
    user = await api.user(**made)
    await count(runtime)
    assert await owner_of(runtime, api, "s1") == user
    assert await progress_of(runtime, api, threshold, user) == (700, 0)
    await count(runtime)
    assert await progress_of(runtime, api, threshold, user) == (700, 0)


async def test_a_card_makes_its_holder_known(runtime: Runtime, api: Api) -> None:
    await recorded(runtime, api, told(api, "s1", identity=Identity("cardToken", "tok-1")))
    user = await api.user()
    async with runtime.work(api.tenant) as work:
        await work.db.run(
            "insert into card_tokens (tenant_id, token_index, partner_id, customer_id, added_at) values ($1, $2, $3, $4, $5)",
            api.tenant.id,
            lookup.token_index(work, api.partner_id, "tok-1"),
            api.partner_id,
            user,
            work.now,
        )
    await count(runtime)
    assert await owner_of(runtime, api, "s1") == user


@pytest.mark.parametrize(("days", "owned"), [(30, True), (31, False)])
async def test_it_waits_for_thirty_days(runtime: Runtime, api: Api, clock: Clock, days: int, owned: bool) -> None:
    await send(api, purchase("s1", customer={"externalId": "c-1"}))
    clock.move(timedelta(days=days))
    user = await api.user(externalId="c-1")
    await count(runtime)
    assert await owner_of(runtime, api, "s1") == (user if owned else None)


async def test_the_merchant_says_how_long(runtime: Runtime, api: Api, clock: Clock) -> None:
    await configure(runtime, api, activity_unknown_days=1)
    await send(api, purchase("s1", customer={"externalId": "c-1"}))
    clock.move(timedelta(days=2))
    await api.user(externalId="c-1")
    await count(runtime)
    assert await owner_of(runtime, api, "s1") is None


async def test_a_landing_that_did_not_see_the_customer_is_looked_at_again(
    runtime: Runtime, api: Api, clock: Clock
) -> None:
    await send(api, purchase("s0", customer={"externalId": "c-0"}))
    async with runtime.work(api.tenant) as slow:
        await activity.accept(slow, [told(api, "s1", identity=Identity("externalId", "c-1"))])
        user = await api.user(externalId="c-1")
        await count(runtime)
    assert await owner_of(runtime, api, "s1") is None
    clock.move(SURE_AFTER)
    await count(runtime)
    assert await owner_of(runtime, api, "s1") == user


async def test_only_tenants_that_know_somebody_new_are_looked_at(runtime: Runtime, api: Api, clock: Clock) -> None:
    await api.user()
    clock.move(SURE_AFTER * 2)
    await count(runtime)
    async with runtime.discovering() as db:
        rows = await db.rows(changing_store.DISCOVERY_CHANGED, runtime.clock(), SURE_AFTER)
    assert api.tenant.id not in {row[0] for row in rows}


async def test_two_of_one_phone_are_nobody_until_one_is_verified(runtime: Runtime, api: Api) -> None:
    first = await api.user(verified=False)
    second = await api.user(verified=False)
    assert (await send(api, purchase("s1", customer={"phoneNumber": MIRA_PHONE}))).attributes["userId"] is None
    assert (await api.patch(f"users/{second}", document_of("User", phoneVerified=True))).status == 200
    await count(runtime)
    assert await owner_of(runtime, api, "s1") == second != first


async def test_another_partners_external_id_is_not_mine(
    runtime: Runtime, api: Api, session: Any, base_url: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    await other.user(OTHER_PHONE, externalId="c-1")
    await recorded(runtime, api, told(api, "s1", identity=Identity("externalId", "c-1")))
    await count(runtime)
    assert await owner_of(runtime, api, "s1") is None
    assert await accept(runtime, api, told(api, "s2", identity=Identity("externalId", "c-1"))) != []
