"""Users and wallets as a partner sends and reads them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Tenant
from tallystick.enrolment.api import (
    ChangedUserAttributes,
    NewUserAttributes,
    NewWalletAttributes,
    VerifyUserAttributes,
)
from tallystick.merchants import Merchant
from tests.conftest import Clock
from tests.customers.cast import Partner, attributes, cafe_luna
from tests.enrolment.road import Road, ids_of, refusing
from tests.world import MIRA_PHONE

EXAMPLE_ID = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"


@pytest.fixture
def road(runtime: Runtime, harbour: Partner) -> Road:
    return Road(runtime, harbour.caller)


async def user(road: Road, **sent: Any) -> UUID:
    made = (await road.ask("POST", "/users", {"phoneNumber": MIRA_PHONE, "phoneVerified": True, **sent})).resource_id
    assert made is not None
    return made


def test_every_route_has_an_example_that_it_takes_or_gives_and_a_scope_of_its_own_group(road: Road) -> None:
    for route in road.routes:
        group = route.path.split("/")[3]
        assert route.scope == f"{group}:{'read' if route.method == 'GET' else 'write'}"
        assert route.keyed == (route.method != "GET")
        assert route.gives is not None
        msgspec.convert(route.gives.example, route.gives.attributes)
        if route.takes is not None:
            msgspec.convert(route.takes.example, route.takes.attributes)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (NewUserAttributes, {"phoneNumber": ""}),
        (NewUserAttributes, {"phoneNumber": "1" * 41}),
        (NewUserAttributes, {"phoneNumber": 5551234567}),
        (NewUserAttributes, {"phoneVerified": "true"}),
        (NewUserAttributes, {"phoneVerified": None}),
        (NewUserAttributes, {"firstName": "x" * 101}),
        (NewUserAttributes, {"lastName": ["x"]}),
        (NewUserAttributes, {"email": "x" * 255}),
        (NewUserAttributes, {"externalId": ""}),
        (NewUserAttributes, {"externalId": "x" * 256}),
        (NewUserAttributes, {"memberCode": "0"}),
        (NewUserAttributes, {"status": "active"}),
        (ChangedUserAttributes, {"phoneVerified": None}),
        (ChangedUserAttributes, {"externalId": ""}),
        (VerifyUserAttributes, {}),
        (VerifyUserAttributes, {"code": 123456}),
        (VerifyUserAttributes, {"code": "12345"}),
        (VerifyUserAttributes, {"code": "1234567"}),
        (VerifyUserAttributes, {"code": "12345\n"}),
        (VerifyUserAttributes, {"code": "١٢٣٤٥٦"}),
        (NewWalletAttributes, {}),
        (NewWalletAttributes, {"userId": None}),
        (NewWalletAttributes, {"userId": EXAMPLE_ID, "status": "active"}),
    ],
)
def test_what_is_malformed_does_not_decode(kind: type[msgspec.Struct], sent: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(sent, kind)


async def test_a_user_is_made_read_changed_and_found(road: Road) -> None:
    sent = {
        "phoneNumber": "+1 (202) 555-0143",
        "email": "mira@northwind.example",
        "firstName": " ",
        "externalId": "crm-1",
    }
    reply = await road.ask("POST", "/users", sent)
    shown = attributes(reply.body)
    assert (reply.status, reply.logged) == (201, True)
    assert reply.headers == [("location", f"/api/v1/users/{reply.resource_id}")]
    assert (shown["phoneNumber"], shown["firstName"], shown["phoneVerified"]) == (MIRA_PHONE, None, False)
    one = f"/users/{reply.resource_id}"
    assert attributes((await road.ask("GET", one)).body) == shown
    changed = attributes((await road.ask("PATCH", one, {"lastName": "Okafor", "email": None})).body)
    assert changed == {**shown, "lastName": "Okafor", "email": None}
    for filters in (
        {"phoneNumber": MIRA_PHONE},
        {"externalId": "crm-1"},
        {"phoneNumber": MIRA_PHONE, "externalId": "crm-1"},
    ):
        assert ids_of(await road.ask("GET", "/users", query=filters)) == [str(reply.resource_id)]
    for filters in (
        {"phoneNumber": "+12025550199"},
        {"externalId": "x"},
        {"phoneNumber": MIRA_PHONE, "externalId": "x"},
    ):
        assert ids_of(await road.ask("GET", "/users", query=filters)) == []


async def test_a_replay_repeats_the_first_answer_and_is_not_logged_as_a_write(road: Road) -> None:
    first = await road.ask("POST", "/users", {"phoneNumber": MIRA_PHONE}, key="k")
    again = await road.ask("POST", "/users", {"phoneNumber": "+1 202 555 0143"}, key="k")
    assert (again.body, again.status, again.headers) == (first.body, first.status, first.headers)
    assert (again.replayed, again.logged) == (True, False)


async def test_every_fault_of_a_user_is_told_at_its_place(road: Road) -> None:
    with refusing("InvalidRequest", "/data/attributes/phoneNumber", "/data/attributes/email"):
        await road.ask("POST", "/users", {"phoneNumber": "+1", "email": "nobody"})
    with refusing("InvalidRequest", "/data/attributes"):
        await road.ask("PATCH", f"/users/{ids.new()}", {})
    with refusing("InvalidRequest", "/data/attributes/phoneNumber"):
        await road.ask("POST", "/users", {"phoneNumber": "202 555 0143"})


@pytest.mark.parametrize(
    "email",
    ["a", "a@b", "@b.c", "a@.c", "a@b.", "a b@c.d", "a@b@c.d", "a@b..c", "a@b.c\n", "a\x00@b.c", f"{'x' * 65}@b.c"],
)
async def test_what_is_no_address_is_refused(road: Road, email: str) -> None:
    with refusing("InvalidRequest", "/data/attributes/email"):
        await road.ask("POST", "/users", {"email": email})


async def test_a_national_number_is_read_by_the_country_of_the_one_merchant(
    runtime: Runtime, tenant: Tenant, road: Road, harbour: Partner, luna: Merchant
) -> None:
    user_id = await user(road, phoneNumber="(202) 555-0143")  # the programme has just this merchant
    other = await cafe_luna(runtime, tenant)
    road = Road(runtime, harbour.caller)
    with refusing("InvalidRequest", "/data/attributes/phoneNumber"):
        await road.ask("POST", "/users", {"phoneNumber": "(202) 555-0143"})
    with refusing("InvalidRequest", "filter[phoneNumber]"):
        await road.ask("GET", "/users", query={"phoneNumber": "(202) 555-0143"})
    limited = Partner(runtime, tenant, partner_id=harbour.caller.partner_id, merchant_ids=(luna.id,))
    found = await Road(runtime, limited.caller).ask("GET", "/users", query={"phoneNumber": "202-555-0143"})
    assert ids_of(found) == [str(user_id)]
    await harbour.wallet(user_id, luna)
    wanted = {"phoneNumber": "202-555-0143", "merchantId": str(other.id)}
    assert ids_of(await road.ask("GET", "/wallets", query=wanted)) == []
    assert len(ids_of(await road.ask("GET", "/wallets", query={**wanted, "merchantId": str(luna.id)}))) == 1


async def test_a_list_needs_to_know_whose(road: Road) -> None:
    with refusing("InvalidRequest", "filter[phoneNumber]"):
        await road.ask("GET", "/users")
    with refusing("InvalidRequest", "filter[userId]"):
        await road.ask("GET", "/wallets")
    with refusing("InvalidRequest", "filter[userId]", "filter[merchantId]"):
        await road.ask("GET", "/wallets", query={"userId": "7", "merchantId": "8"})


async def test_wallets_are_listed_by_pages_newest_first(
    runtime: Runtime, tenant: Tenant, road: Road, harbour: Partner, luna: Merchant, clock: Clock
) -> None:
    user_id = await harbour.mira()
    held = []
    for place in (luna, await cafe_luna(runtime, tenant), await cafe_luna(runtime, tenant)):
        held.append(str(await harbour.wallet(user_id, place)))
        clock.move(timedelta(seconds=1))
    pages: list[dict[str, str]] = [
        {},
        {"page[limit]": "2"},
        {"page[limit]": "2", "page[offset]": "2"},
        {"page[offset]": "3"},
    ]
    found = [ids_of(await road.ask("GET", "/wallets", query={"phoneNumber": MIRA_PHONE, **page})) for page in pages]
    newest = held[::-1]
    assert found == [newest, newest[:2], newest[2:], []]


async def test_the_whole_journey_from_a_waiting_reward_to_a_claimed_one(
    road: Road, harbour: Partner, luna: Merchant
) -> None:
    await harbour.reward(luna, 500)
    user_id = await user(road, phoneVerified=False)
    opened = await road.ask("POST", "/wallets", {"userId": str(user_id)})
    assert opened.status == 201
    assert attributes(opened.body)["status"] == "pending"
    assert (await road.ask("POST", f"/users/{user_id}/send-code")).status == 202
    with refusing("InvalidRequest", "/data/attributes/code"):
        code = await harbour.last_code()
        await road.ask("POST", f"/users/{user_id}/verify", {"code": f"{(int(code) + 1) % 1_000_000:06}"})
    verified = await road.ask("POST", f"/users/{user_id}/verify", {"code": code})
    assert attributes(verified.body)["phoneVerified"] is True
    one = f"/wallets/{opened.resource_id}"
    shown = attributes((await road.ask("GET", one)).body)
    assert (shown["status"], shown["balance"]["available"]) == ("active", 500)
    assert ids_of(await road.ask("GET", "/wallets", query={"userId": str(user_id)})) == [str(opened.resource_id)]
    assert len(ids_of(await road.ask("GET", f"{one}/transactions"))) == 1
    for verb, status in (("suspend", "suspended"), ("resume", "active"), ("close", "closing")):
        assert attributes((await road.ask("POST", f"{one}/{verb}", {})).body)["status"] == status


async def test_a_balance_is_told_at_an_instant_and_never_of_the_future(
    road: Road, harbour: Partner, luna: Merchant, clock: Clock
) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    await harbour.reward(luna, 500)
    one = f"/wallets/{wallet_id}/balance"
    now = attributes((await road.ask("GET", one)).body)
    assert now == {
        "balance": {"available": 500, "pending": 0, "held": 0, "owed": 0},
        "currency": "USD",
        "asOf": "2026-03-02T09:00:00.000Z",
    }
    assert attributes((await road.ask("GET", one, query={"asOf": "2026-03-02T10:00:00.000+01:00"})).body) == now
    past = attributes((await road.ask("GET", one, query={"asOf": "2026-03-02T08:59:59.999Z"})).body)
    assert past["balance"]["available"] == 0
    for wrong in ("2026-03-02T09:00:00.001Z", "yesterday", "", "2026-03-02"):
        with refusing("InvalidRequest", "asOf"):
            await road.ask("GET", one, query={"asOf": wrong})


async def test_what_is_foreign_is_answered_as_what_is_missing(
    runtime: Runtime, road: Road, harbour: Partner, stranger: Partner, overseer: Partner, luna: Merchant
) -> None:
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    foreign = Road(runtime, stranger.caller)
    for each in (str(user_id), str(ids.new()), "7", "null"):
        with refusing("NotFound"):
            await foreign.ask("GET", f"/users/{each}")
        for verb in ("send-code",):
            with refusing("NotFound"):
                await foreign.ask("POST", f"/users/{each}/{verb}")
    for each in (str(wallet_id), str(ids.new()), "7"):
        for path in ("", "/transactions", "/balance"):
            with refusing("NotFound"):
                await foreign.ask("GET", f"/wallets/{each}{path}")
        for verb in ("suspend", "resume", "close"):
            with refusing("NotFound"):
                await foreign.ask("POST", f"/wallets/{each}/{verb}")
    assert ids_of(await foreign.ask("GET", "/users", query={"phoneNumber": MIRA_PHONE})) == []
    assert ids_of(await foreign.ask("GET", "/wallets", query={"phoneNumber": MIRA_PHONE})) == []
    assert ids_of(await foreign.ask("GET", "/wallets", query={"userId": str(user_id)})) == []
    seeing = Road(runtime, overseer.caller)
    assert ids_of(await seeing.ask("GET", "/users", query={"phoneNumber": MIRA_PHONE})) == [str(user_id)]
    assert ids_of(await seeing.ask("GET", "/wallets", query={"userId": str(user_id)})) == [str(wallet_id)]
    assert (await seeing.ask("GET", f"/wallets/{wallet_id}")).status == 200


async def test_a_wallet_names_its_merchant_only_where_there_are_several(
    runtime: Runtime, tenant: Tenant, harbour: Partner, luna: Merchant
) -> None:
    user_id, other = str(await harbour.mira()), await cafe_luna(runtime, tenant)
    road = Road(runtime, harbour.caller)
    with refusing("InvalidRequest", "/data/attributes/merchantId"):
        await road.ask("POST", "/wallets", {"userId": user_id})
    with refusing("InvalidRequest", "/data/attributes/userId", "/data/attributes/merchantId"):
        await road.ask("POST", "/wallets", {"userId": "7", "merchantId": str(ids.new())})
    await road.ask("POST", "/wallets", {"userId": user_id, "merchantId": str(other.id)}, key="k")
    with refusing("IdempotencyConflict", "Idempotency-Key"):
        await road.ask("POST", "/wallets", {"userId": user_id, "merchantId": str(luna.id)}, key="k")


async def test_who_sees_the_programme_finds_an_external_id_whoever_gave_it(
    runtime: Runtime, tenant: Tenant, harbour: Partner, overseer: Partner, owner: Any, auditor: Db
) -> None:
    user_id = (await harbour.create(external_id="crm-1")).resource_id
    await owner.execute(
        "insert into partners (id, name, created_at) values ($1, 'Harbour Support', $2)",
        harbour.caller.partner_id,
        runtime.clock(),
    )
    await owner.execute(
        "insert into agreements (id, partner_id, programme_id, created_at) values ($1, $2, $3, $4)",
        ids.new(),
        harbour.caller.partner_id,
        tenant.programme_id,
        runtime.clock(),
    )
    assert ids_of(await Road(runtime, overseer.caller).ask("GET", "/users", query={"externalId": "crm-1"})) == [
        str(user_id)
    ]
