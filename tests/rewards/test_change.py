"""Changing what still waits: an update moves the reserved funding, a cancellation returns it, and the flags never lie."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tests import world
from tests.api import Api, document_of, join
from tests.conftest import Clock
from tests.rewards.cast import (
    OTHER_PHONE,
    advance,
    balance,
    cancel,
    check_whole,
    configure,
    header,
    left,
    listed,
    refused,
    reverse,
    story,
    update,
)

AMOUNT = "/data/attributes/amount"
NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"
AT = "2026-03-02T09:00:00.000Z"

EVERYTHING: dict[str, Any] = {
    "message": "Thank you!",
    "reasonCode": "CX",
    "costCenter": "4711",
    "notificationEmail": "agent@partner.example",
}


async def test_each_field_changes_alone_and_the_others_stay(api: Api, clock: Clock) -> None:
    issued = await api.issue(**EVERYTHING)
    expected = dict(issued.attributes)
    clock.move(timedelta(seconds=5))
    changes: dict[str, Any] = {
        "amount": 750,
        "message": "Sorry 🎉",
        "reasonCode": "OTHER",
        "costCenter": "1",
        "notificationEmail": "b@partner.example",
    }
    for name, value in changes.items():
        single: dict[str, Any] = {name: value}
        answer = await update(api, issued.data["id"], **single)
        expected |= {**single, "updatedAt": "2026-03-02T09:00:05.000Z"}
        assert (answer.status, answer.attributes) == (200, expected)
    assert (await api.get(f"rewards/{issued.data['id']}")).attributes == expected


async def test_null_and_blank_clear_optional_text(api: Api) -> None:
    reward_id = (await api.issue(**EVERYTHING)).data["id"]
    answer = await update(api, reward_id, message=None, reasonCode=" ", costCenter="", notificationEmail=None)
    assert [answer.attributes[name] for name in EVERYTHING] == [None] * 4


@pytest.mark.parametrize("kind", ["UpdateReward", "Reward"])
@pytest.mark.parametrize("named", [False, True])
async def test_an_update_may_name_its_reward_or_leave_the_id_out(api: Api, kind: str, named: bool) -> None:
    reward_id = (await api.issue()).data["id"]
    document = document_of(kind, amount=600)
    if named:
        document["data"]["id"] = reward_id
    assert (await api.patch(f"rewards/{reward_id}", document)).attributes["amount"] == 600


async def test_another_id_or_type_than_the_paths_is_a_conflict(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    document = document_of("UpdateReward", amount=600)
    document["data"]["id"] = NOBODY
    refused(await api.patch(f"rewards/{reward_id}", document), 409, "IdConflict", "/data/id")
    document = document_of("IssueReward", amount=600)
    refused(await api.patch(f"rewards/{reward_id}", document), 409, "TypeConflict", "/data/type")
    assert (await api.get(f"rewards/{reward_id}")).attributes["amount"] == 500


async def test_an_update_names_at_least_one_field(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    refused(await update(api, reward_id), 400, "InvalidRequest", "/data/attributes")


async def test_reserved_funding_moves_with_the_amount_to_the_unit(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, credit_limit=1000)
    reward_id = (await api.issue(amount=400)).data["id"]
    for amount, remaining in ((401, 599), (1000, 0), (1, 999), (500, 500)):
        assert (await update(api, reward_id, amount=amount)).attributes["amount"] == amount
        assert await left(runtime, api) == remaining
    refused(await update(api, reward_id, amount=1001), 409, "InsufficientFunding", AMOUNT)
    assert await left(runtime, api) == 500
    assert (await api.get(f"rewards/{reward_id}")).attributes["amount"] == 500
    assert (await cancel(api, reward_id)).status == 204
    assert await left(runtime, api) == 1000
    await check_whole(auditor, api.tenant)


async def test_what_is_claimed_is_the_amount_as_it_was_last_updated(api: Api) -> None:
    reward_id = (await api.issue(amount=400)).data["id"]
    await update(api, reward_id, amount=300)
    wallet_id = await api.wallet()
    assert (await balance(api, wallet_id))["available"] == 300


async def test_the_merchants_caps_hold_for_what_a_reward_becomes(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, reward_maximum=600, phone_day_maximum=700, stacking=True)
    first, _ = (await api.issue(amount=300)).data["id"], await api.issue(amount=300)
    refused(await update(api, first, amount=601), 400, "InvalidRequest", AMOUNT)
    refused(await update(api, first, amount=401), 409, "QuotaExceeded", AMOUNT)
    assert (await update(api, first, amount=400)).status == 200
    assert (await update(api, first, amount=100)).status == 200


async def test_the_cap_of_a_day_holds_for_what_its_rewards_become_on_any_later_day(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, phone_day_maximum=700, stacking=True)
    first, _ = (await api.issue(amount=300)).data["id"], await api.issue(amount=300)
    await advance(api, "P1D")
    refused(await update(api, first, amount=401), 409, "QuotaExceeded", AMOUNT)
    assert (await update(api, first, amount=400)).status == 200
    assert (await api.issue(amount=700)).status == 200


async def test_a_cancelled_reward_is_gone_for_good(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    answer = await cancel(api, reward_id)
    assert (answer.status, answer.text) == (204, "")
    shown = (await api.get(f"rewards/{reward_id}")).attributes
    assert (shown["status"], shown["canUpdate"], shown["canCancel"]) == ("Cancelled", False, False)
    await api.wallet()
    assert (await api.get(f"rewards/{reward_id}")).attributes["status"] == "Cancelled"
    refused(await cancel(api, reward_id), 409, "InvalidState")
    assert await story(api, reward_id) == [("reward.pre_issued", 1, AT), ("reward.cancelled", 2, AT)]


async def test_every_update_is_told_once(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    await update(api, reward_id, amount=600)
    await update(api, reward_id, message="hello")
    assert [topic for topic, _, _ in await story(api, reward_id)] == ["reward.pre_issued", *["reward.updated"] * 2]


@pytest.mark.parametrize("reward_id", [NOBODY, "7", "%F0%9F%8E%81"])
async def test_what_is_unknown_cannot_be_changed(api: Api, reward_id: str) -> None:
    refused(await update(api, reward_id, amount=1), 404, "NotFound")
    refused(await cancel(api, reward_id), 404, "NotFound")
    refused(await reverse(api, reward_id), 404, "NotFound")


async def test_changes_with_a_key_happen_once_and_answer_alike(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    first = await update(api, reward_id, key="u", amount=600)
    await update(api, reward_id, amount=700)
    again = await update(api, reward_id, key="u", amount=600)
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (200, first.text, "true")
    assert (await api.get(f"rewards/{reward_id}")).attributes["amount"] == 700
    refused(await update(api, reward_id, key="u", amount=601), 409, "IdempotencyConflict", "Idempotency-Key")
    refused(await update(api, reward_id, key="u", message=None), 409, "IdempotencyConflict")
    assert (await cancel(api, reward_id, key="c")).status == 204
    again = await cancel(api, reward_id, key="c")
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (204, "", "true")
    refused(await cancel(api, reward_id), 409, "InvalidState")


async def test_a_refused_change_leaves_no_key(api: Api) -> None:
    other = (await api.issue(OTHER_PHONE)).data["id"]
    refused(await cancel(api, NOBODY, key="c"), 404, "NotFound")
    assert (await cancel(api, other, key="c")).status == 204


async def test_of_a_claim_and_a_cancellation_at_once_exactly_one_happens(api: Api) -> None:
    for turn in range(6):
        phone = f"+1202555{1000 + turn}"
        reward_id = (await api.issue(phone)).data["id"]
        cancelled, wallet_id = await asyncio.gather(cancel(api, reward_id), api.wallet(phone))
        status = (await api.get(f"rewards/{reward_id}")).attributes["status"]
        available = (await balance(api, wallet_id))["available"]
        assert (cancelled.status, status, available) in {(204, "Cancelled", 0), (409, "Claimed", 500)}


async def test_of_twenty_cancellations_at_once_one_happens(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    statuses = sorted(answer.status for answer in await asyncio.gather(*(cancel(api, reward_id) for _ in range(20))))
    assert statuses == [204] + [409] * 19


async def test_updates_at_once_leave_the_last_one_and_whole_books(api: Api) -> None:
    reward_id = (await api.issue()).data["id"]
    answers = await asyncio.gather(*(update(api, reward_id, amount=100 + n) for n in range(20)))
    assert {answer.status for answer in answers} == {200}
    versions = [sequence for _, sequence, _ in await story(api, reward_id)]
    assert versions == list(range(1, 22))


STATES = ("credited", "reversed", "created", "updated", "claimed", "expired", "swept", "cancelled")


async def reward_in(api: Api, clock: Clock, state: str) -> str:
    """A reward that was brought to this state; `expired` by its deadline alone, `swept` with its books moved, too."""
    if state in ("credited", "reversed"):
        await api.wallet()
    reward_id: str = (await api.issue()).data["id"]
    match state:
        case "reversed":
            await reverse(api, reward_id, 100)
        case "updated":
            await update(api, reward_id, amount=700)
        case "claimed":
            await api.wallet()
        case "expired":
            clock.move(timedelta(days=90))
        case "swept":
            await advance(api, "P90D")
        case "cancelled":
            await cancel(api, reward_id)
        case _:
            pass
    return reward_id


@pytest.mark.parametrize("state", STATES)
async def test_the_flags_agree_with_what_update_and_cancel_do(api: Api, clock: Clock, state: str) -> None:
    reward_id = await reward_in(api, clock, state)
    shown = (await api.get(f"rewards/{reward_id}")).attributes
    (also,) = (await listed(api, world.MIRA_PHONE)).data
    assert also["attributes"] == shown
    changed = await update(api, reward_id, amount=600)
    cancelled = await cancel(api, reward_id)
    assert (changed.status == 200, cancelled.status == 204) == (shown["canUpdate"], shown["canCancel"])
    if not shown["canUpdate"]:
        refused(changed, 409, "InvalidState")
        refused(cancelled, 409, "InvalidState")
    assert shown["canUpdate"] == (shown["status"] == "Created") == (state in ("created", "updated"))
