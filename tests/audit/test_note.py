"""An accepted write is in the log if and only if it commits."""

from collections.abc import Sequence

import asyncpg
import pytest

from tallystick import audit
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.errors import InvalidState, Refusal
from tallystick.base.work import Asked, Caller, Runtime, Tenant, Work

Owner = asyncpg.Connection

COLUMNS = "at, partner_id, client_id, method, route, status, code, resource_id, replayed, latency_us"


def caller_of(tenant: Tenant) -> Caller:
    return Caller(tenant, ids.new(), ids.new(), frozenset(), None, False, 10_000, 1_000)


def asked(caller: Caller) -> Asked:
    return Asked(caller, ids.new(), "POST", "/api/v1/rewards")


async def test_what_is_noted_is_written_with_the_work(runtime: Runtime, owner: Owner, tenant: Tenant) -> None:
    caller, resource_id = caller_of(tenant), ids.new()
    one, two = asked(caller), asked(caller)
    async with runtime.work(tenant) as work:
        audit.note(work, one, status=201, resource_id=resource_id)
        audit.note(work, two, status=409, code="InvalidState")
    rows = {
        row["id"]: tuple(row)[:-1]
        for row in await owner.fetch(f"select {COLUMNS}, id from request_log where tenant_id = $1", tenant.id)
    }
    who = (runtime.clock(), caller.partner_id, caller.client_id, "POST", "/api/v1/rewards")
    assert rows == {
        one.request_id: (*who, 201, None, resource_id, False, None),
        two.request_id: (*who, 409, "InvalidState", None, False, None),
    }


async def test_what_rolls_back_leaves_no_trace(runtime: Runtime, owner: Owner, tenant: Tenant) -> None:
    async def fail_after_noting() -> None:
        async with runtime.work(tenant) as work:
            audit.note(work, asked(caller_of(tenant)), status=200)
            await work.db.value("select 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await fail_after_noting()
    assert await owner.fetchval("select count(*) from request_log where tenant_id = $1", tenant.id) == 0


async def test_a_whole_batch_is_one_statement_of_the_last_round_trip(
    runtime: Runtime, owner: Owner, tenant: Tenant
) -> None:
    caller = caller_of(tenant)

    async def verb(work: Work, commands: Sequence[Asked]) -> list[int | Refusal]:
        for command in commands[1:]:
            audit.note(work, command, status=200)
        await audit.write_requests(work)
        assert len(work.later) == 1
        work.later.clear()
        return [InvalidState("The first is refused."), *range(1, len(commands))]

    await run_batch(runtime, verb, tenant, [asked(caller) for _ in range(300)])
    assert await owner.fetchval("select count(*) from request_log where tenant_id = $1", tenant.id) == 299


async def test_a_work_without_notes_writes_none(runtime: Runtime, tenant: Tenant) -> None:
    async with runtime.work(tenant) as work:
        await audit.write_requests(work)
        assert work.later == []


async def test_a_request_noted_twice_is_told_once(runtime: Runtime, owner: Owner, tenant: Tenant) -> None:
    request = asked(caller_of(tenant))
    for _ in range(2):
        async with runtime.work(tenant) as work:
            audit.note(work, request, status=200)
    assert await owner.fetchval("select count(*) from request_log where tenant_id = $1", tenant.id) == 1
