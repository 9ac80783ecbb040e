"""Changing a user, and what a change of phone does to their wallets."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tallystick.merchants import Merchant
from tests.conftest import Clock
from tests.customers.cast import Partner, answered, attributes, codes, refused
from tests.world import MIRA_PHONE

NEW_PHONE = "+12025550199"


async def test_named_fields_change_null_clears_and_the_rest_stays(harbour: Partner) -> None:
    answer = await harbour.create(
        phone=MIRA_PHONE, phone_verified=True, email="a@b.example", first_name="Mira", external_id="x"
    )
    shown = attributes(
        answered(await harbour.change(answer.resource_id, email=None, last_name="Okafor", external_id="y")).body
    )
    before = attributes(answer.body)
    assert shown == {**before, "email": None, "lastName": "Okafor", "externalId": "y"}
    assert await harbour.show_user(answer.resource_id) == shown


async def test_a_change_of_nothing_changes_nothing(harbour: Partner) -> None:
    user_id = await harbour.mira()
    before = await harbour.show_user(user_id)
    assert attributes(answered(await harbour.change(user_id)).body) == before
    assert attributes(answered(await harbour.change(user_id, phone=MIRA_PHONE, phone_verified=True)).body) == before


async def test_a_foreign_user_is_a_missing_one(harbour: Partner, stranger: Partner, overseer: Partner) -> None:
    user_id = await harbour.mira()
    for partner in (stranger, overseer):
        foreign = refused(await partner.change(user_id, first_name="Eve"), "NotFound")
        assert (
            foreign.detail
            == refused(await partner.change(partner.caller.client_id, first_name="Eve"), "NotFound").detail
        )
    assert (await harbour.show_user(user_id))["firstName"] == "Mira"


async def test_an_external_id_that_is_taken_leaves_the_user_and_the_phone_as_they_were(harbour: Partner) -> None:
    await harbour.create(external_id="x")
    user_id = await harbour.mira()
    refused(await harbour.change(user_id, external_id="x", phone=NEW_PHONE, first_name="M"), "ExternalIdTaken")
    shown = await harbour.show_user(user_id)
    assert (shown["phoneNumber"], shown["firstName"], shown["externalId"]) == (MIRA_PHONE, "Mira", None)
    assert await harbour.count("recipients") == 1


async def test_of_many_that_change_to_one_external_id_at_once_one_gets_it(harbour: Partner) -> None:
    users = [(await harbour.create()).resource_id for _ in range(5)]
    outcomes = await asyncio.gather(*(harbour.change(user_id, external_id="x") for user_id in users))
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert codes(outcomes) == {"ExternalIdTaken"}


async def test_another_phone_is_unverified_and_the_wallets_wait(harbour: Partner, luna: Merchant) -> None:
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    shown = attributes(answered(await harbour.change(user_id, phone=NEW_PHONE)).body)
    assert (shown["phoneNumber"], shown["phoneVerified"]) == (NEW_PHONE, False)
    assert (await harbour.show_wallet(wallet_id))["status"] == "pending"
    assert [one[:2] for one in await harbour.events(wallet_id)] == [("wallet.created", 1), ("wallet.suspended", 2)]
    assert (await harbour.reward(luna, phone=NEW_PHONE))["status"] == "Created"
    assert (await harbour.reward(luna, phone=MIRA_PHONE))["status"] == "Created"


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_partners_word_does_not_verify_another_phone_before_a_day_has_passed(
    harbour: Partner, luna: Merchant, clock: Clock, at_once: bool
) -> None:
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    await harbour.reward(luna, 700, NEW_PHONE)
    if at_once:
        refused(await harbour.change(user_id, phone=NEW_PHONE, phone_verified=True), "InvalidState")
        assert (await harbour.show_user(user_id))["phoneNumber"] == MIRA_PHONE
    answered(await harbour.change(user_id, phone=NEW_PHONE))
    clock.move(timedelta(hours=24) - timedelta(milliseconds=1))
    early = refused(await harbour.change(user_id, phone_verified=True), "InvalidState")
    assert "2026-03-03T09:00:00.000Z" in early.detail
    assert (await harbour.show_wallet(wallet_id))["balance"]["available"] == 0
    clock.move(timedelta(milliseconds=1))
    answered(await harbour.change(user_id, phone_verified=True))
    shown = await harbour.show_wallet(wallet_id)
    assert (shown["status"], shown["balance"]["available"]) == ("active", 700)


async def test_a_code_verifies_another_phone_at_once_and_claims(harbour: Partner, luna: Merchant) -> None:
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    await harbour.reward(luna, 700, NEW_PHONE)
    answered(await harbour.change(user_id, phone=NEW_PHONE))
    answered(await harbour.send_code(user_id))
    answered(await harbour.verify(user_id, await harbour.last_code()))
    shown = await harbour.show_wallet(wallet_id)
    assert (shown["status"], shown["balance"]["available"]) == ("active", 700)


@pytest.mark.parametrize(
    "detour",
    [
        [{"phone": None}],
        [{"phone_verified": False}],
        [{"phone": "+12025550177"}],
        [{"phone": None}, {"phone": "+12025550177"}, {"phone": None}],
    ],
)
async def test_no_detour_shortens_the_cooling_off(harbour: Partner, clock: Clock, detour: list[dict[str, Any]]) -> None:
    user_id = await harbour.mira()
    for step in detour:
        answered(await harbour.change(user_id, **step))
    clock.move(timedelta(hours=23))
    answered(await harbour.change(user_id, phone=NEW_PHONE))
    clock.move(timedelta(hours=23))
    refused(await harbour.change(user_id, phone_verified=True), "InvalidState")


async def test_a_first_phone_is_no_change_and_claims_by_the_partners_word(harbour: Partner, luna: Merchant) -> None:
    user_id = (await harbour.create(first_name="Mira")).resource_id
    wallet_id = await harbour.wallet(user_id, luna)
    assert (await harbour.show_wallet(wallet_id))["status"] == "pending"
    await harbour.reward(luna, 300)
    answered(await harbour.change(user_id, phone=MIRA_PHONE, phone_verified=True))
    shown = await harbour.show_wallet(wallet_id)
    assert (shown["status"], shown["balance"]["available"]) == ("active", 300)


async def test_a_phone_that_is_not_there_cannot_be_verified(harbour: Partner) -> None:
    user_id = await harbour.mira()
    outcome = await harbour.change(user_id, phone=None, phone_verified=True)
    refused(outcome, "InvalidRequest", "/data/attributes/phoneVerified")


async def test_a_suspended_wallet_stays_suspended_through_a_change_and_resumes_pending(
    harbour: Partner, luna: Merchant
) -> None:
    user_id = await harbour.mira()
    wallet_id = await harbour.wallet(user_id, luna)
    answered(await harbour.suspend(wallet_id))
    answered(await harbour.change(user_id, phone=NEW_PHONE))
    assert (await harbour.show_wallet(wallet_id))["status"] == "suspended"
    assert attributes(answered(await harbour.resume(wallet_id)).body)["status"] == "pending"


async def test_changes_that_cross_between_two_phones_all_come_through(harbour: Partner, luna: Merchant) -> None:
    users = [await harbour.mira(), (await harbour.create(phone=NEW_PHONE, phone_verified=True)).resource_id]
    for user_id in users:
        await harbour.wallet(user_id, luna)
    turns = [harbour.change(user_id, phone=phone) for phone in (MIRA_PHONE, NEW_PHONE, MIRA_PHONE) for user_id in users]
    gifts = [harbour.reward(luna, 100, phone) for phone in (MIRA_PHONE, NEW_PHONE)]
    outcomes = await asyncio.gather(*turns, *gifts)
    codes(outcomes)
    assert all(not isinstance(outcome, Exception) for outcome in outcomes[: len(turns)])
