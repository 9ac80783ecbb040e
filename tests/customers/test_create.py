"""Making a user."""

import asyncio
from typing import Any

import pytest

from tallystick import customers
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Tenant
from tallystick.customers import CreateUser, member_code
from tests.customers.cast import Partner, answered, attributes, codes, refused
from tests.world import MIRA_PHONE

MIRA: dict[str, Any] = {
    "phone": MIRA_PHONE,
    "phone_verified": True,
    "email": "mira@northwind.example",
    "first_name": "Mira",
    "last_name": "Okafor",
    "external_id": "crm-1",
}


async def test_a_new_user_is_answered_with_everything_that_was_given(harbour: Partner) -> None:
    answer = await harbour.create(**MIRA)
    assert answer.status == 201
    assert answer.location == f"/api/v1/users/{answer.resource_id}"
    shown = attributes(answer.body)
    code = shown.pop("memberCode")
    assert member_code.well_formed(code)
    assert shown == {
        "phoneNumber": MIRA_PHONE,
        "phoneVerified": True,
        "email": "mira@northwind.example",
        "firstName": "Mira",
        "lastName": "Okafor",
        "externalId": "crm-1",
        "status": "active",
        "mergedInto": None,
        "createdAt": "2026-03-02T09:00:00.000Z",
    }
    assert await harbour.show_user(answer.resource_id) == {**shown, "memberCode": code}


async def test_a_user_may_have_nothing_at_all(harbour: Partner) -> None:
    shown = attributes((await harbour.create()).body)
    assert shown["phoneNumber"] is None
    assert shown["phoneVerified"] is False


async def test_nothing_personal_lies_readable_in_the_database(harbour: Partner, auditor: Db, tenant: Tenant) -> None:
    await harbour.create(key="once", **MIRA)
    for table in ("customers", "recipients", "idempotency_keys", "events"):
        for row in await auditor.rows(f"select t::text from {table} t where tenant_id = $1", tenant.id):
            text = row[0]
            for value in (MIRA_PHONE, MIRA["email"], "Mira", "Okafor"):
                assert str(value) not in text
                assert str(value).encode().hex() not in text


async def test_users_may_share_a_phone_and_then_one_recipient(harbour: Partner, auditor: Db, tenant: Tenant) -> None:
    first, second = await harbour.mira(), await harbour.mira(verified=False)
    rows = await auditor.rows("select id, recipient_id from customers where tenant_id = $1", tenant.id)
    assert {row[0] for row in rows} == {first, second}
    assert len({row[1] for row in rows}) == 1
    assert await harbour.count("recipients") == 1


async def test_a_phone_that_is_not_there_cannot_be_verified(harbour: Partner) -> None:
    outcome = (await harbour.do(customers.create, CreateUser(harbour.asked("key"), phone_verified=True)))[0]
    refused(outcome, "InvalidRequest", "/data/attributes/phoneVerified")
    assert await harbour.count("customers") == await harbour.count("idempotency_keys") == 0


async def test_an_external_id_is_one_users_and_the_refused_one_leaves_no_trace(
    harbour: Partner, stranger: Partner
) -> None:
    await harbour.create(external_id="crm-1")
    command = CreateUser(harbour.asked("key"), phone=MIRA_PHONE, external_id="crm-1")
    outcome = (await harbour.do(customers.create, command))[0]
    refused(outcome, "ExternalIdTaken", "/data/attributes/externalId")
    assert await harbour.count("recipients") == await harbour.count("idempotency_keys") == 0
    await stranger.create(external_id="crm-1")  # another partner's ids are its own


async def test_of_many_that_want_one_external_id_at_once_one_gets_it(harbour: Partner) -> None:
    commands = [CreateUser(harbour.asked(), phone=f"+1202555{n:04}", external_id="crm-1") for n in range(100, 106)]
    outcomes = [each[0] for each in await asyncio.gather(*(harbour.do(customers.create, c) for c in commands))]
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert codes(outcomes) == {"ExternalIdTaken"}
    assert await harbour.count("customers") == await harbour.count("recipients") == 1


async def test_of_rivals_in_one_batch_the_first_wins_and_the_others_stand(harbour: Partner) -> None:
    commands = [CreateUser(harbour.asked(), phone=MIRA_PHONE, external_id=name) for name in ("crm-1", "crm-1", "crm-2")]
    first, second, third = await harbour.do(customers.create, *commands)
    answered(first)
    refused(second, "ExternalIdTaken")
    answered(third)


async def test_the_same_key_is_the_same_user_and_another_request_with_it_is_refused(harbour: Partner) -> None:
    first, again = await harbour.create(key="k", **MIRA), await harbour.create(key="k", **MIRA)
    assert (again.body, again.status, again.location, again.replayed) == (first.body, 201, first.location, True)
    other = CreateUser(harbour.asked("k"), phone=MIRA_PHONE)
    refused((await harbour.do(customers.create, other))[0], "IdempotencyConflict")
    assert await harbour.count("customers") == 1


async def test_twins_that_race_make_one_user(harbour: Partner) -> None:
    answers = await asyncio.gather(*(harbour.create(key="k", **MIRA) for _ in range(6)))
    assert len({answer.body for answer in answers}) == 1
    assert await harbour.count("customers") == 1


async def test_a_member_code_that_is_taken_is_drawn_again(harbour: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = member_code.new(), member_code.new()
    draws = iter([taken, taken, free])
    monkeypatch.setattr(member_code, "new", lambda: next(draws))
    assert attributes((await harbour.create()).body)["memberCode"] == taken
    assert attributes((await harbour.create(phone=MIRA_PHONE)).body)["memberCode"] == free


def test_every_mistyped_character_and_every_swap_of_neighbours_in_a_member_code_is_found() -> None:
    for _ in range(50):
        code = member_code.new()
        assert member_code.well_formed(code)
        for place in range(len(code)):
            for other in set("0123456789ABCDEFGHJKMNPQRSTVWXYZ") - {code[place]}:
                assert not member_code.well_formed(code[:place] + other + code[place + 1 :])
        for place in range(len(code) - 1):
            swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
            assert swapped == code or not member_code.well_formed(swapped)


@pytest.mark.parametrize("text", ["", "0", "00000000000 ", "IIIIIIIIIII", "0000000000*", "ÄÄÄÄÄÄÄÄÄÄÄ"])
def test_what_is_no_member_code_is_not_taken_for_one(text: str) -> None:
    assert not member_code.well_formed(text)


async def test_a_list_shows_a_partner_its_own_and_the_programme_only_by_agreement(
    runtime: Runtime, tenant: Tenant, harbour: Partner, stranger: Partner
) -> None:
    mine = (await harbour.create(phone=MIRA_PHONE, external_id="a")).resource_id
    theirs = (await stranger.create(phone=MIRA_PHONE, external_id="a")).resource_id

    async def listed(partner_id: Any, external_id: str | None) -> Any:
        async with runtime.reading(tenant) as work:
            person = await customers.recipients.find(work, MIRA_PHONE)
            assert person is not None
            page, total = await customers.listed_by_recipient(work, person.id, external_id, partner_id, 0, 10)
            return {one.id for one in page}, total

    assert await listed(harbour.caller.partner_id, None) == ({mine}, 1)
    assert await listed(None, "a") == ({mine, theirs}, 2)
    assert await listed(None, "b") == (set(), 0)
    assert await listed(ids.new(), None) == (set(), 0)


async def test_a_list_by_external_id_pages_newest_first(runtime: Runtime, tenant: Tenant, harbour: Partner) -> None:
    await harbour.create(external_id="a")
    async with runtime.reading(tenant) as work:
        page, total = await customers.listed_by_external_id(work, "a", harbour.caller.partner_id, 0, 10)
        beyond, same = await customers.listed_by_external_id(work, "a", harbour.caller.partner_id, 1, 10)
        foreign, none = await customers.listed_by_external_id(work, "a", ids.new(), 0, 10)
    assert ([one.external_id for one in page], total) == (["a"], 1)
    assert (beyond, same) == ([], 1)
    assert (foreign, none) == ([], 0)
