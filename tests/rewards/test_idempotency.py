"""The same key and the same request again is the first answer again, nothing more: retried, changed, raced, in two processes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
import asyncpg
import pytest

from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime, Tenant
from tallystick.main import build
from tests import world
from tests.api import SETTINGS, Answer, Api, join, luna, served
from tests.conftest import Clock
from tests.rewards.cast import (
    OTHER_PHONE,
    another_client,
    balance,
    cancel,
    check_whole,
    configure,
    feed,
    header,
    listed,
    refused,
    reverse,
    update,
)

KEY = "/data/attributes/idempotencyKey"
EVERYTHING: dict[str, Any] = {
    "message": "Thank you!",
    "reasonCode": "CX",
    "costCenter": "4711",
    "notificationEmail": "agent@partner.example",
}


def same(again: Answer, first: Answer) -> None:
    """The first answer, byte for byte, and told to be a replay."""
    assert (again.status, again.text) == (first.status, first.text)
    assert header(again, "idempotent-replayed") == "true"
    assert header(first, "idempotent-replayed") is None


async def count(auditor: Db, tenant: Tenant, table: str = "rewards") -> int:
    number: int = await auditor.value(f"select count(*) from {table} where tenant_id = $1", tenant.id)
    return number


async def test_a_replay_is_the_first_answer_byte_for_byte(api: Api, auditor: Db) -> None:
    first = await api.issue(key="case 1", **EVERYTHING)
    for _ in range(3):
        same(await api.issue(key="case 1", **EVERYTHING), first)
    assert await count(auditor, api.tenant) == 1
    assert len(await feed(api)) == 1


async def test_a_replay_credits_nothing_more(api: Api) -> None:
    wallet_id = await api.wallet()
    first = await api.issue(key="k")
    same(await api.issue(key="k"), first)
    assert (await balance(api, wallet_id))["available"] == 500


async def test_a_replay_is_the_first_answer_whatever_became_of_the_reward(
    api: Api, clock: Clock, runtime: Runtime
) -> None:
    await configure(runtime, api, stacking=True)
    keys = ("updated", "cancelled", "claimed", "expired")
    phones = ("+12025550101", "+12025550102", "+12025550103", "+12025550104")
    first = [await api.issue(phone, key=key) for phone, key in zip(phones, keys, strict=True)]
    updated, cancelled, claimed, expired = (answer.data["id"] for answer in first)
    assert (await update(api, updated, amount=700, message="more")).status == 200
    assert (await cancel(api, cancelled)).status == 204
    await api.wallet("+12025550103")
    assert (await api.get(f"rewards/{claimed}")).attributes["status"] == "Claimed"
    assert (await reverse(api, claimed)).status == 200
    clock.move(timedelta(days=91))
    assert (await api.get(f"rewards/{expired}")).attributes["status"] == "Expired"
    for phone, key, answer in zip(phones, keys, first, strict=True):
        same(await api.issue(phone, key=key), answer)


async def test_the_same_phone_written_differently_is_the_same_request(api: Api) -> None:
    first = await api.issue("+12025550143", key="k")
    for written in ("(202) 555-0143", "+1 202 555 0143", "1-202-555-0143"):
        same(await api.issue(written, key="k"), first)


async def test_blank_text_and_none_are_the_same_request(api: Api) -> None:
    first = await api.issue(key="k")
    same(await api.issue(key="k", message=" ", reasonCode="", costCenter=None, notificationEmail="\t"), first)


@pytest.mark.parametrize(
    "changed",
    [
        {"phone": OTHER_PHONE},
        {"amount": 501},
        {"message": "Thank you"},
        {"message": " Thank you!"},
        {"message": None},
        {"reasonCode": "cx"},
        {"costCenter": None},
        {"notificationEmail": "Agent@partner.example"},
        {"message": "CX", "reasonCode": "Thank you!"},
        {"reasonCode": None, "costCenter": "CX"},
    ],
)
async def test_the_same_key_with_anything_changed_conflicts(api: Api, changed: dict[str, Any]) -> None:
    await api.issue(key="k", **EVERYTHING)
    refused(await api.issue(**{"key": "k", **EVERYTHING, **changed}), 409, "IdempotencyConflict", KEY)


async def test_a_named_merchant_counts(api: Api, runtime: Runtime) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    first = await api.issue(key="k", merchantId=str(api.merchant_id))
    refused(await api.issue(key="k", merchantId=str(lagoon.id)), 409, "IdempotencyConflict", KEY)
    same(await api.issue(key="k", merchantId=str(api.merchant_id).upper()), first)


async def test_a_refused_request_leaves_no_key(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, pre_issuing=False)
    refused(await api.issue(key="k"), 400, "WalletNotFound")
    await configure(runtime, api, pre_issuing=True)
    changed = await api.issue(key="k", amount=700)
    assert (changed.status, changed.attributes["amount"]) == (200, 700)
    assert header(changed, "idempotent-replayed") is None


async def test_a_key_survives_a_change_of_credential(api: Api, runtime: Runtime) -> None:
    first = await api.issue(key="k")
    same(await (await another_client(runtime, api)).issue(key="k"), first)


async def test_a_replay_is_authorised_anew(api: Api, runtime: Runtime) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    at_luna = await another_client(runtime, api, (api.merchant_id,) if api.merchant_id else None)
    at_lagoon = await another_client(runtime, api, (lagoon.id,))
    readers = await another_client(runtime, api, scopes=frozenset({"rewards:read"}))
    assert (await at_luna.issue(key="k", message="for your eyes")).status == 200
    answer = await at_lagoon.issue(key="k", message="for your eyes")
    refused(answer, 409, "IdempotencyConflict", KEY)
    refused(await readers.issue(key="k", message="for your eyes"), 403, "InsufficientScope")


async def test_a_key_is_each_partners_own(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    other = await join(runtime, session, base_url, tenant=api.tenant)
    first, second = await api.issue(key="k"), await other.issue(key="k", amount=700)
    assert (first.status, second.status) == (200, 200)
    assert first.data["id"] != second.data["id"]


async def test_a_key_is_each_environments_own(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str
) -> None:
    async with runtime.reading(api.tenant) as work:
        found = await work.db.value(
            "select id from tenants where programme_id = $1 and environment = 'production'", api.tenant.programme_id
        )
    production = Tenant(found, api.tenant.programme_id, "production")
    shop = await luna(runtime, production)
    client = replace(await another_client(runtime, replace(api, tenant=production)), merchant_id=shop.id)
    assert (await api.issue(key="k")).status == 200
    issued = await client.issue(key="k", amount=700)
    assert (issued.status, issued.attributes["merchantId"]) == (200, str(shop.id))


async def test_keys_of_different_verbs_do_not_meet(api: Api) -> None:
    reward_id = (await api.issue(key="k")).data["id"]
    assert (await update(api, reward_id, key="k", amount=700)).status == 200
    assert (await cancel(api, reward_id, key="k")).status == 204


@pytest.mark.parametrize("key", ["k" * 255, "🔑" * 255, "a b\tc", "'; drop table rewards; --", "0", " "])
async def test_a_key_is_any_text_of_up_to_255_characters(api: Api, key: str) -> None:
    first = await api.issue(key=key)
    assert first.status == 200
    same(await api.issue(key=key), first)


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_that_is_none_or_too_long_is_refused(api: Api, key: str) -> None:
    sent = {"phoneNumber": world.MIRA_PHONE, "amount": 500, "idempotencyKey": key}
    refused(
        await api.post("rewards", {"data": {"type": "IssueReward", "attributes": sent}}), 400, "InvalidRequest", KEY
    )


async def test_nothing_personal_is_in_clear_anywhere_in_the_database(
    api: Api, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    canaries = [
        "+12025550199",
        "2025550199",
        "canary message",
        "canary@partner.example",
        "canary key of the batch line",
    ]
    issued = await api.issue(canaries[0], key="k", message=canaries[2], notificationEmail=canaries[3])
    assert issued.status == 200
    await api.issue(canaries[0], key="k", message=canaries[2], notificationEmail=canaries[3])
    assert (await update(api, issued.data["id"], key="k", message="canary message two")).status == 200
    line = {"phoneNumber": canaries[0], "amount": 1, "message": canaries[4]}
    attributes = {"idempotencyKey": "b", "recipients": [line]}
    batch = await api.post("reward-batches", {"data": {"type": "RewardBatch", "attributes": attributes}})
    assert batch.status == 202
    await api.wallet(canaries[0])
    assert (await listed(api, canaries[0])).body["meta"]["total"] == 1
    tables = await owner.fetch(
        "select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"
    )
    for (table,) in tables:
        for canary in canaries:
            text, binary = f"%{canary}%", f"%{canary.encode().hex()}%"
            found = await owner.fetchval(
                f'select count(*) from "{table}" as t where t::text like $1 or t::text like $2', text, binary
            )
            assert found == 0, (table, canary)


async def test_the_scan_for_clear_text_would_find_some(api: Api, owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    await api.issue(reasonCode="canary reason")
    assert await owner.fetchval("select count(*) from rewards as t where t::text like '%canary reason%'") > 0


async def test_forty_twins_at_once_are_one_reward_and_equal_answers(api: Api, auditor: Db) -> None:
    answers = await asyncio.gather(*(api.issue(key="k") for _ in range(40)))
    assert {(answer.status, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert sum(header(answer, "idempotent-replayed") is None for answer in answers) == 1
    assert await count(auditor, api.tenant) == 1
    assert len(await feed(api)) == 1


async def test_of_forty_rivals_for_one_phone_exactly_one_gets_it(api: Api, auditor: Db) -> None:
    answers = await asyncio.gather(*(api.issue(amount=100 + n) for n in range(40)))
    given = [answer for answer in answers if answer.status == 200]
    assert len(given) == 1
    assert {tuple(answer.codes) for answer in answers if answer.status != 200} == {("PreIssuedConflict",)}
    assert await count(auditor, api.tenant) == 1
    assert await count(auditor, api.tenant, "idempotency_keys") == 1


async def test_of_forty_with_one_key_and_different_bodies_one_wins_and_the_rest_conflict(api: Api, auditor: Db) -> None:
    wallet_id = await api.wallet()
    answers = await asyncio.gather(*(api.issue(key="k", amount=100 + n) for n in range(40)))
    (given,) = [answer for answer in answers if answer.status == 200]
    assert {tuple(answer.codes) for answer in answers if answer is not given} == {("IdempotencyConflict",)}
    assert (await balance(api, wallet_id))["available"] == given.attributes["amount"]
    assert await count(auditor, api.tenant) == 1


@pytest.fixture
async def second_process(dsn: str, keys: MasterKeys, the_clock: Clock) -> AsyncIterator[str]:
    """Another application on the same database, with connections and caches of its own."""
    async with served(build(SETTINGS, dsn, keys, the_clock)) as address:
        yield address


async def test_two_processes_give_one_reward_for_one_key(api: Api, second_process: str, auditor: Db) -> None:
    doors = (api, replace(api, base_url=second_process))
    for turn in range(5):
        key = f"k{turn}"
        phone = f"+1202555{1000 + turn}"
        answers = await asyncio.gather(*(doors[n % 2].issue(phone, key=key) for n in range(20)))
        assert {(answer.status, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert await count(auditor, api.tenant) == 5


async def test_two_processes_give_one_phone_one_waiting_reward(api: Api, second_process: str, auditor: Db) -> None:
    doors = (api, replace(api, base_url=second_process))
    phones = [f"+1202555{1000 + n}" for n in range(5)]
    asked = [doors[n % 2].issue(phone) for phone in phones for n in range(8)]
    statuses = sorted(answer.status for answer in await asyncio.gather(*asked))
    assert statuses == [200] * 5 + [409] * 35
    assert await count(auditor, api.tenant) == 5


async def test_two_processes_share_the_last_of_the_funding(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, second_process: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, credit_limit=1000)
    doors = (api, replace(api, base_url=second_process))
    asked = [doors[n % 2].issue(f"+1202555{1000 + n}", amount=150) for n in range(20)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [200] * 6 + [409] * 14
    assert {code for answer in answers if answer.status == 409 for code in answer.codes} == {"InsufficientFunding"}
    await check_whole(auditor, api.tenant)


async def test_a_client_that_goes_away_finds_its_reward_by_the_same_key(api: Api, auditor: Db) -> None:
    key = str(ids.new())
    asking = asyncio.create_task(api.issue(key=key))
    await asyncio.sleep(0.002)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (await api.issue(key=key)).status == 200
    assert await count(auditor, api.tenant) == 1
