"""What a partner may send of a user, and the payment cards it knows them by."""

from typing import Any
from uuid import UUID

import pytest

from tallystick import customers
from tallystick.base import ids
from tallystick.base.work import Runtime
from tallystick.customers import KnownBy
from tests.api import Api, document_of, join


async def share(api: Api, user: str, **attributes: Any) -> Any:
    return await api.patch(f"users/{user}/sharing", document_of("UserSharing", **attributes))


async def test_what_a_user_permits_is_recorded_and_withdrawn(api: Api, runtime: Runtime) -> None:
    user = await api.user()
    given = await share(api, user, permissions=["visits", "transactions"])
    assert [each["kind"] for each in given.attributes["permissions"]] == ["transactions", "visits"]
    left = await share(api, user, permissions=["visits"])
    assert [each["kind"] for each in left.attributes["permissions"]] == ["visits"]
    assert (await api.get(f"users/{user}/sharing")).data == left.data
    assert api.partner_id is not None
    async with runtime.reading(api.tenant) as work:
        known = [UUID(user)]
        assert await customers.permitted(work, api.partner_id, "visits", known) == set(known)
        assert await customers.permitted(work, api.partner_id, "transactions", known) == set()
        assert await customers.permitted(work, ids.new(), "visits", known) == set()


async def test_a_card_is_one_users(api: Api, runtime: Runtime) -> None:
    one, other = await api.user(), await api.user("+12025550168")
    assert (await share(api, one, cardTokens=["tok_00000001", "tok_00000002"])).attributes["cardTokenCount"] == 2
    taken = await share(api, other, cardTokens=["tok_00000003", "tok_00000002"])
    assert (taken.status, taken.codes, taken.pointers) == (409, ["CardTokenTaken"], ["/data/attributes/cardTokens"])
    assert (await api.get(f"users/{other}/sharing")).attributes["cardTokenCount"] == 0
    assert (await share(api, one, cardTokens=["tok_00000001"])).attributes["cardTokenCount"] == 1
    assert (await share(api, other, cardTokens=["tok_00000002"])).status == 200
    assert api.partner_id is not None
    names = [KnownBy(api.partner_id, "cardToken", f"tok_0000000{n}") for n in (1, 2, 3)]
    async with runtime.reading(api.tenant) as work:
        assert await customers.known_by(work, names) == [ids.parse(one), ids.parse(other), None]


async def test_users_are_known_by_whatever_names_them(api: Api, runtime: Runtime) -> None:
    user = await api.user(externalId="crm-1")
    twin = await api.user("+12025550168", verified=False)
    code = (await api.get(f"users/{user}")).attributes["memberCode"]
    assert api.partner_id is not None
    mine, other = api.partner_id, ids.new()
    named = {
        KnownBy(mine, "userId", user): user,
        KnownBy(other, "userId", user): user,
        KnownBy(mine, "userId", str(ids.new())): None,
        KnownBy(mine, "userId", "nobody"): None,
        KnownBy(mine, "phone", "+12025550143"): user,
        KnownBy(mine, "phone", "+12025550168"): twin,
        KnownBy(mine, "phone", "+12025550199"): None,
        KnownBy(mine, "externalId", "crm-1"): user,
        KnownBy(other, "externalId", "crm-1"): None,
        KnownBy(mine, "memberCode", code): user,
    }
    async with runtime.reading(api.tenant) as work:
        found = await customers.known_by(work, list(named))
    assert found == [None if each is None else ids.parse(each) for each in named.values()]


async def test_of_several_users_of_one_phone_it_is_the_oldest_that_is_verified(api: Api, runtime: Runtime) -> None:
    await api.user("+12025550168", verified=False)
    await api.user("+12025550168", verified=False)
    assert api.partner_id is not None
    name = KnownBy(api.partner_id, "phone", "+12025550168")
    async with runtime.reading(api.tenant) as work:
        assert await customers.known_by(work, [name]) == [None]
    first = await api.user("+12025550168")
    await api.user("+12025550168")
    async with runtime.reading(api.tenant) as work:
        assert await customers.known_by(work, [name, name]) == [ids.parse(first)] * 2


async def test_who_was_merged_is_known_as_the_survivor(api: Api, runtime: Runtime) -> None:
    one, into = await api.user(externalId="a"), await api.user("+12025550168", externalId="b")
    merged = await api.post(f"users/{one}/merge", document_of("MergeUser", intoUserId=into))
    assert merged.status == 200, merged.text
    assert api.partner_id is not None
    async with runtime.reading(api.tenant) as work:
        names = [KnownBy(api.partner_id, "externalId", "a"), KnownBy(api.partner_id, "userId", one)]
        assert await customers.known_by(work, names) == [ids.parse(into)] * 2


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"permissions": ["everything"]}, "/data/attributes/permissions/0"),
        ({"cardTokens": ["short"]}, "/data/attributes/cardTokens/0"),
        ({}, "/data/attributes"),
    ],
)
async def test_what_is_wrong_is_pointed_at(api: Api, wrong: dict[str, Any], place: str) -> None:
    answer = await share(api, await api.user(), **wrong)
    assert (answer.status, answer.pointers) == (400, [place])


async def test_a_user_of_another_programme_is_not_there(api: Api, runtime: Runtime) -> None:
    elsewhere = await join(runtime, api.session, api.base_url)
    user = await api.user()
    assert (await elsewhere.get(f"users/{user}/sharing")).status == 404
    assert (await share(elsewhere, user, permissions=["visits"])).status == 404
