"""Reward batches: accepted at once, carried out by whoever runs them, each line once, and taken back as a whole."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tallystick import rewards
from tallystick.base.db import Db
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tallystick.rewards import batch_store, batches
from tests.api import Answer, Api, document_of, join, luna
from tests.conftest import Clock
from tests.rewards.cast import (
    advance,
    another_client,
    balance,
    cancel,
    check_whole,
    configure,
    feed,
    header,
    left,
    listed,
    refused,
    spend,
)

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"
RECIPIENTS = "/data/attributes/recipients"
LEASE = timedelta(seconds=31)


def phone(number: int) -> str:
    return f"+1202555{number:04}"


def lines(count: int, amount: int = 100) -> list[dict[str, Any]]:
    return [{"phoneNumber": phone(number), "amount": amount} for number in range(count)]


async def accept(api: Api, recipients: Sequence[Any], key: str = "b", **more: Any) -> Answer:
    return await api.post(
        "reward-batches", document_of("RewardBatch", idempotencyKey=key, recipients=recipients, **more)
    )


async def show(api: Api, batch_id: str) -> Any:
    return (await api.get(f"reward-batches/{batch_id}")).attributes


async def items(api: Api, batch_id: str, query: str = "page[limit]=50") -> list[Any]:
    return [each["attributes"] for each in (await api.get(f"reward-batches/{batch_id}/items?{query}")).data]


async def run(runtime: Runtime) -> None:
    """What the worker does until nothing is due."""
    while await rewards.run_batches(runtime):
        pass


async def count(auditor: Db, api: Api, table: str = "rewards", more: str = "") -> int:
    number: int = await auditor.value(f"select count(*) from {table} where tenant_id = $1 {more}", api.tenant.id)
    return number


async def test_a_batch_is_accepted_at_once_and_carried_out_then(api: Api, runtime: Runtime) -> None:
    wallet_id = await api.wallet(phone(0))
    answer = await accept(api, lines(3))
    batch_id = answer.data["id"]
    assert (answer.status, header(answer, "location")) == (202, f"/api/v1/reward-batches/{batch_id}")
    assert answer.attributes == {
        "merchantId": str(api.merchant_id),
        "status": "accepted",
        "total": 3,
        "done": 0,
        "succeeded": 0,
        "failed": 0,
        "revoked": 0,
        "createdAt": "2026-03-02T09:00:00.000Z",
        "updatedAt": "2026-03-02T09:00:00.000Z",
    }
    assert [each["status"] for each in await items(api, batch_id)] == ["waiting"] * 3
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "done", "succeeded", "failed")] == ["completed", 3, 3, 0]
    assert (await balance(api, wallet_id))["available"] == 100
    given = await items(api, batch_id)
    assert [each["status"] for each in given] == ["succeeded"] * 3
    for number, each in enumerate(given):
        (reward,) = (await listed(api, phone(number))).data
        assert reward["id"] == each["rewardId"]


async def test_each_line_that_fails_says_where_and_why_and_harms_no_other(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, reward_maximum=500)
    await api.wallet(phone(5))
    await api.wallet(phone(5))
    wanted = [
        {"phoneNumber": phone(1), "amount": 100, "message": "hello 🎉"},
        {"phoneNumber": "12", "amount": 100},
        {"phoneNumber": phone(1), "amount": 100},
        {"phoneNumber": phone(2), "amount": 501},
        {"phoneNumber": "(202) 555-0003", "amount": 100, "reasonCode": " "},
        {"phoneNumber": phone(5), "amount": 100},
    ]
    batch_id = (await accept(api, wanted)).data["id"]
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "done", "succeeded", "failed")] == ["completed", 6, 2, 4]
    found = [
        (each["line"], each["error"]["code"], each["error"]["source"]["pointer"])
        for each in await items(api, batch_id, "filter[status]=failed")
    ]
    assert found == [
        (1, "InvalidRequest", f"{RECIPIENTS}/1/phoneNumber"),
        (2, "PreIssuedConflict", f"{RECIPIENTS}/2/phoneNumber"),
        (3, "InvalidRequest", f"{RECIPIENTS}/3/amount"),
        (5, "MultipleActiveWallets", f"{RECIPIENTS}/5/phoneNumber"),
    ]
    assert [each["line"] for each in await items(api, batch_id, "filter[status]=succeeded")] == [0, 4]
    assert (await listed(api, phone(3))).body["meta"]["total"] == 1


async def test_funding_that_ends_within_a_batch_refuses_the_lines_behind(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, credit_limit=450)
    batch_id = (await accept(api, lines(10))).data["id"]
    await run(runtime)
    assert [each["status"] for each in await items(api, batch_id)] == ["succeeded"] * 4 + ["failed"] * 6
    assert await left(runtime, api) == 50
    await check_whole(auditor, api.tenant)


async def test_ten_thousand_lines_are_taken_and_one_more_is_not(api: Api, runtime: Runtime, auditor: Db) -> None:
    many = [{"phoneNumber": f"+1212{number:07}", "amount": 1} for number in range(2_000_000, 2_010_001)]
    refused(await accept(api, many), 400, "InvalidRequest", RECIPIENTS)
    answer = await accept(api, many[:10_000])
    assert (answer.status, answer.attributes["total"]) == (202, 10_000)
    assert await batches.step(runtime, api.tenant)
    shown = await show(api, answer.data["id"])
    assert [shown[name] for name in ("status", "done", "succeeded")] == ["running", 250, 250]
    await api.post(f"reward-batches/{answer.data['id']}/revoke")
    await run(runtime)
    shown = await show(api, answer.data["id"])
    assert [shown[name] for name in ("status", "done", "succeeded", "failed")] == ["revoked", 10_000, 250, 9_750]
    assert await count(auditor, api, more="and status <> 'Cancelled'") == 0


async def test_ten_thousand_lines_are_carried_out_whole(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, credit_limit=20_000)
    many = [{"phoneNumber": f"+1212{number:07}", "amount": 1} for number in range(2_000_000, 2_010_000)]
    batch_id = (await accept(api, many)).data["id"]
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "done", "succeeded", "failed")] == ["completed", 10_000, 10_000, 0]
    assert await count(auditor, api) == 10_000
    assert await left(runtime, api) == 10_000
    await check_whole(auditor, api.tenant)


async def test_no_line_at_all_is_refused(api: Api) -> None:
    refused(await accept(api, []), 400, "InvalidRequest", RECIPIENTS)


async def test_faults_that_show_at_once_refuse_the_whole_batch(api: Api) -> None:
    wanted: list[Any] = [*lines(2), {"phoneNumber": phone(2), "amount": 0}, {"amount": "1"}, 7]
    answer = await accept(api, wanted)
    places = ["2/amount", "3/amount", "3", "4"]
    refused(answer, 400, "InvalidRequest", *(f"{RECIPIENTS}/{place}" for place in places))
    wanted = [*lines(1), {"phoneNumber": phone(1), "amount": 1, "notificationEmail": "nobody"}]
    refused(await accept(api, wanted), 400, "InvalidRequest", f"{RECIPIENTS}/1/notificationEmail")
    assert (await api.get("reward-batches")).body["meta"]["total"] == 0


async def test_the_same_batch_again_is_the_first_answer_and_another_conflicts(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    first = await accept(api, lines(5))
    await run(runtime)
    again = await accept(api, lines(5))
    assert (again.status, again.text, header(again, "idempotent-replayed")) == (202, first.text, "true")
    assert header(again, "location") == header(first, "location")
    otherwise = [{**line, "phoneNumber": f"(202) 555-{line['phoneNumber'][-4:]}"} for line in lines(5)]
    assert (await accept(api, otherwise)).text == first.text
    refused(await accept(api, lines(6)), 409, "IdempotencyConflict", "/data/attributes/idempotencyKey")
    refused(await accept(api, lines(5, amount=101)), 409, "IdempotencyConflict")
    await run(runtime)
    assert await count(auditor, api) == 5


async def test_twin_batches_at_once_are_one(api: Api, runtime: Runtime, auditor: Db) -> None:
    answers = await asyncio.gather(*(accept(api, lines(20)) for _ in range(10)))
    assert {(answer.status, answer.text) for answer in answers} == {(202, answers[0].text)}
    await run(runtime)
    assert await count(auditor, api) == 20


async def test_a_batchs_lines_and_single_rewards_have_keys_of_their_own(api: Api, runtime: Runtime) -> None:
    batch_id = (await accept(api, lines(1))).data["id"]
    assert (await api.issue(key=f"{batch_id}:0")).status == 200
    await run(runtime)
    assert (await show(api, batch_id))["succeeded"] == 1


async def test_a_runner_that_died_after_giving_doubles_nothing(
    api: Api, runtime: Runtime, auditor: Db, clock: Clock
) -> None:
    batch_id = (await accept(api, lines(300))).data["id"]
    async with runtime.work(api.tenant) as work:
        batch = await batch_store.lease(work, work.real_now + batches.LEASE)
        assert batch is not None
        chunk = await batch_store.waiting_lines(work, batch.id, 0, 100)
    async with runtime.work(api.tenant) as work:
        await batches._give(work, batch, chunk)  # and then it dies, before it counts
    await run(runtime)
    assert (await show(api, batch_id))["done"] == 0  # its lease still holds
    clock.move(LEASE)
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "succeeded", "failed")] == ["completed", 300, 0]
    assert await count(auditor, api) == 300


async def test_a_runner_that_comes_late_repeats_what_another_did(
    api: Api, runtime: Runtime, auditor: Db, clock: Clock
) -> None:
    batch_id = (await accept(api, lines(20))).data["id"]
    async with runtime.work(api.tenant) as work:
        batch = await batch_store.lease(work, work.real_now + batches.LEASE)
        assert batch is not None
        chunk = await batch_store.waiting_lines(work, batch.id, 0, 100)
    clock.move(LEASE)
    await run(runtime)
    before = await items(api, batch_id)
    await batches._run_lines(runtime, api.tenant, batch, chunk)
    assert await items(api, batch_id) == before
    assert (await show(api, batch_id))["status"] == "completed"
    assert await count(auditor, api) == 20


@pytest.mark.parametrize("milliseconds", [2, 8, 20])
async def test_a_runner_killed_anywhere_is_followed_by_one_that_ends_the_work(
    api: Api, runtime: Runtime, auditor: Db, clock: Clock, milliseconds: int
) -> None:
    batch_id = (await accept(api, lines(100))).data["id"]
    running = asyncio.create_task(batches.step(runtime, api.tenant))
    await asyncio.sleep(milliseconds / 1000)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    clock.move(LEASE)
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "done", "succeeded")] == ["completed", 100, 100]
    assert await count(auditor, api) == 100


async def test_several_runners_at_once_give_each_line_once(api: Api, runtime: Runtime, auditor: Db) -> None:
    batch_id = (await accept(api, lines(300))).data["id"]
    await asyncio.gather(*(run(runtime) for _ in range(3)))
    await run(runtime)
    assert (await show(api, batch_id))["status"] == "completed"
    assert await count(auditor, api) == 300
    assert len({event["subjectId"] for event in await feed(api)}) == 300


async def test_a_batch_is_revoked_whole(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db
) -> None:
    api = await join(runtime, session, base_url, credit_limit=1000)
    wallet_id = await api.wallet(phone(0))
    batch_id = (await accept(api, lines(5))).data["id"]
    await run(runtime)
    credited = (await items(api, batch_id))[0]["rewardId"]
    await spend(runtime, api, credited, 30)
    claimed = await api.wallet(phone(1))
    await cancel(api, (await items(api, batch_id))[4]["rewardId"])
    answer = await api.post(f"reward-batches/{batch_id}/revoke", headers={"Idempotency-Key": "r"})
    assert (answer.status, answer.attributes["status"]) == (202, "revoking")
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "succeeded", "revoked")] == ["revoked", 5, 5]
    assert await left(runtime, api) == 1000
    assert await balance(api, wallet_id) == {"available": 0, "pending": 0, "held": 0, "owed": 30}
    assert (await balance(api, claimed))["available"] == 0
    refused(await api.post(f"reward-batches/{batch_id}/revoke"), 409, "InvalidState")
    again = await api.post(f"reward-batches/{batch_id}/revoke", headers={"Idempotency-Key": "r"})
    assert again.text == answer.text
    await check_whole(auditor, api.tenant)


async def test_what_a_killed_runner_took_back_is_counted_all_the_same(
    api: Api, runtime: Runtime, auditor: Db, clock: Clock, dsn: str, keys: MasterKeys, tmp_path: Path
) -> None:
    await api.wallet(phone(0))
    batch_id = (await accept(api, lines(5))).data["id"]
    await run(runtime)
    await api.post(f"reward-batches/{batch_id}/revoke")
    keys.write_new(tmp_path / "master.key")
    words = (dsn, tmp_path / "master.key", api.tenant.id, api.tenant.programme_id, clock().isoformat())
    dying = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.rewards.dying", *map(str, words))
    assert await asyncio.wait_for(dying.wait(), 30) == -signal.SIGKILL
    standing = "and status <> 'Cancelled' and reversed_amount < amount"
    assert await count(auditor, api, more=standing) == 0
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "revoked")] == ["revoking", 0]
    clock.move(LEASE)
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "succeeded", "revoked")] == ["revoked", 5, 5]
    await check_whole(auditor, api.tenant)


async def test_a_revocation_ends_where_nothing_is_left_to_take_back(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, auditor: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of who was erased, and of what has expired; and the lines behind those are taken back."""
    monkeypatch.setattr(batches, "LINES_AT_ONCE", 1)
    api = await join(runtime, session, base_url, credit_limit=1000, value_days=5)
    gone = [await api.user(phone(number)) for number in range(3)]
    for user_id in gone:
        opened = document_of("Wallet", userId=user_id, merchantId=str(api.merchant_id))
        assert (await api.post("wallets", opened)).status == 201
    batch_id = (await accept(api, lines(3))).data["id"]
    await run(runtime)
    rewards = [each["rewardId"] for each in await items(api, batch_id)]
    await spend(runtime, api, rewards[0], 100)
    assert (await api.post(f"users/{gone[0]}/erase", document_of("EraseUser", reason="personRequest"))).status == 200
    await advance(api, "P6D")
    assert (await api.post(f"reward-batches/{batch_id}/revoke")).status == 202
    await run(runtime)
    assert (await show(api, batch_id))["status"] == "revoked"
    assert await left(runtime, api) == 900
    await check_whole(auditor, api.tenant)


async def test_what_is_revoked_before_it_ran_is_never_given(api: Api, runtime: Runtime, auditor: Db) -> None:
    batch_id = (await accept(api, lines(5))).data["id"]
    await api.post(f"reward-batches/{batch_id}/revoke")
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "done", "failed")] == ["revoked", 5, 5]
    assert {each["error"]["code"] for each in await items(api, batch_id)} == {"InvalidState"}
    assert await count(auditor, api) == 0


async def test_nothing_is_given_behind_the_back_of_a_revocation(api: Api, runtime: Runtime, auditor: Db) -> None:
    batch_id = (await accept(api, lines(20))).data["id"]
    async with runtime.work(api.tenant) as work:
        batch = await batch_store.lease(work, work.real_now + batches.LEASE)
        assert batch is not None
        chunk = await batch_store.waiting_lines(work, batch.id, 0, 100)
    await api.post(f"reward-batches/{batch_id}/revoke")
    await run(runtime)
    await batches._run_lines(runtime, api.tenant, batch, chunk)  # a slow runner, only now
    assert (await show(api, batch_id))["status"] == "revoked"
    assert await count(auditor, api) == 0
    assert {each["status"] for each in await items(api, batch_id)} == {"failed"}


async def test_a_revocation_in_the_middle_leaves_nothing_standing(api: Api, runtime: Runtime, auditor: Db) -> None:
    batch_id = (await accept(api, lines(300))).data["id"]
    running = [asyncio.create_task(run(runtime)) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert (await api.post(f"reward-batches/{batch_id}/revoke")).status == 202
    await asyncio.gather(*running)
    await run(runtime)
    shown = await show(api, batch_id)
    assert (shown["status"], shown["done"]) == ("revoked", 300)
    assert shown["revoked"] == shown["succeeded"] == await count(auditor, api)
    assert await count(auditor, api, more="and status <> 'Cancelled'") == 0


async def test_a_poisoned_line_stands_alone(api: Api, runtime: Runtime, auditor: Db) -> None:
    batch_id = (await accept(api, lines(30))).data["id"]
    async with runtime.work(api.tenant) as work:
        spoil = "update reward_batch_items set command_sealed = 'spoilt' where tenant_id = $1 and line = 17"
        await work.db.run(spoil, api.tenant.id)
    await run(runtime)
    shown = await show(api, batch_id)
    assert [shown[name] for name in ("status", "succeeded", "failed")] == ["completed", 29, 1]
    (failed,) = await items(api, batch_id, "filter[status]=failed")
    assert (failed["line"], failed["error"]["code"]) == (17, "UnexpectedError")


async def test_rewards_of_a_batch_are_as_any_other(api: Api, runtime: Runtime) -> None:
    await accept(api, [{"phoneNumber": phone(1), "amount": 100, "notificationEmail": "agent@partner.example"}])
    await run(runtime)
    (reward,) = (await listed(api, phone(1))).data
    assert reward["attributes"]["notificationEmail"] == "agent@partner.example"
    assert (await cancel(api, reward["id"])).status == 204
    assert {event["topic"] for event in await feed(api)} == {"reward.pre_issued", "reward.cancelled"}


@pytest.mark.parametrize("batch_id", [NOBODY, "7"])
async def test_an_unknown_batch_is_not_found(api: Api, batch_id: str) -> None:
    refused(await api.get(f"reward-batches/{batch_id}"), 404, "NotFound")
    refused(await api.get(f"reward-batches/{batch_id}/items"), 404, "NotFound")
    refused(await api.post(f"reward-batches/{batch_id}/revoke"), 404, "NotFound")


async def test_batches_are_their_partners_own(
    api: Api, runtime: Runtime, session: aiohttp.ClientSession, base_url: str, clock: Clock
) -> None:
    lagoon = await luna(runtime, api.tenant, "Lagoon")
    first = (await accept(api, lines(1), merchantId=str(api.merchant_id))).data["id"]
    clock.move(timedelta(seconds=1))
    second = (await accept(api, lines(1), "c", merchantId=str(lagoon.id))).data["id"]
    stranger = await join(runtime, session, base_url, tenant=api.tenant)
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    limited = await another_client(runtime, api, (lagoon.id,))
    seen = {
        name: [each["id"] for each in (await who.get("reward-batches")).data]
        for name, who in (("own", api), ("stranger", stranger), ("overseer", overseer), ("limited", limited))
    }
    assert seen == {"own": [second, first], "stranger": [], "overseer": [second, first], "limited": [second]}
    for who in (stranger, limited, overseer):
        refused(await who.post(f"reward-batches/{first}/revoke"), 404, "NotFound")
    refused(await accept(api, lines(1), "d"), 400, "InvalidRequest", "/data/attributes/merchantId")


async def test_items_are_read_in_order_by_pages(api: Api) -> None:
    batch_id = (await accept(api, lines(7))).data["id"]
    answer = await api.get(f"reward-batches/{batch_id}/items?page[limit]=3&page[offset]=6")
    assert [each["attributes"]["line"] for each in answer.data] == [6]
    assert answer.body["meta"] == {"total": 7, "limit": 3, "offset": 6}
    refused(await api.get(f"reward-batches/{batch_id}/items?filter[status]=x"), 400, "InvalidRequest", "filter[status]")
