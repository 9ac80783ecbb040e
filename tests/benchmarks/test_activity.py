"""Activity is measured with what the product would be sent; what is stored beforehand is what that would have left."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from benchmarks import accepting, clubs, contenders, loading, receipts, stocking
from benchmarks.clubs import Club
from benchmarks.world import Credential, Shop
from tallystick import activity, partners
from tallystick.activity.model import Recorded
from tallystick.base import ids
from tallystick.base.work import Caller, Runtime
from tallystick.cli.proofs_of_thresholds import PROOFS_OF_THRESHOLDS
from tests.api import Api, document_of
from tests.conftest import Clock
from tests.imports.cast import sent
from tests.thresholds.cast import rule

CUSTOMERS = 3
AFTERWARDS = timedelta(days=200)
"""Behind everything that receipts tell."""


@pytest.fixture
async def club(api: Api, runtime: Runtime, clock: Clock) -> Club:
    """A merchant with customers, and every rule in force since before anything happened."""
    clock.move(AFTERWARDS)
    for number in range(CUSTOMERS):
        user = document_of("User", externalId=receipts.external_id(number))
        assert (await api.post("users", user)).status == 201
    for each in clubs.RULES:
        await rule(api, **each)
    async with runtime.pool.lend() as db:
        await db.connection.execute("reset role")
        await db.connection.execute(clubs.DATED_BACK, api.tenant.id)
        await db.connection.execute("set role tallystick_app")
    assert api.merchant_id is not None
    return Club(Credential(await _caller(api, runtime), api.secret, (Shop(api.merchant_id, 0, 0),)), CUSTOMERS, ())


async def test_a_file_and_the_commands_of_a_run_tell_the_same(api: Api, club: Club, runtime: Runtime) -> None:
    rows = 60
    done = await sent(api, runtime, "".join(receipts.lines("run", rows, CUSTOMERS)))
    assert (done["status"], done["accepted"], done["rejected"]) == ("completed", rows, 0)

    merchant_id = club.credential.shops[0].merchant_id
    plan = accepting.Plan("", "", "run", UUID(api.client_id), merchant_id, CUSTOMERS, rows, rows)
    commands = accepting.commands_of(plan, club.credential.caller, "run", 0)
    async with runtime.work(api.tenant) as work:
        outcomes = await activity.accept(work, commands)

    assert [isinstance(each, Recorded) and each.duplicate for each in outcomes] == [True] * rows


async def test_the_loader_written_by_hand_counts_what_the_product_does(
    api: Api, club: Club, runtime: Runtime, dsn: str, owner: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> None:
    file, database = tmp_path / "receipts.csv", f"loaded_{ids.new().hex}"
    receipts.write(file, "run", 60, CUSTOMERS)
    done = await sent(api, runtime, file.read_bytes())
    assert done["accepted"] == 60
    counted = await owner.fetch(
        "select v.name, p.customer_id, p.window_start, p.current from threshold_progress as p join thresholds as v "
        "on v.tenant_id = p.tenant_id and v.id = p.threshold_id where p.tenant_id = $1",
        api.tenant.id,
    )
    await owner.execute(f"create database {database} template template0")
    try:
        plan = loading.Plan(contenders.beside(dsn, database), str(file), CUSTOMERS, 5, club.merchant_id, str(ids.new()))
        assert [(await loading.drive(plan)).rows for _ in range(2)] == [60, 0], "each name once"
        connection = await asyncpg.connect(plan.dsn)
        loaded = await connection.fetch("select rule, current from loaded_progress")
        await connection.close()
    finally:
        await owner.execute(f"drop database {database}")

    numbers = {each["name"]: number for number, each in enumerate(clubs.RULES, 1)}
    assert sorted((numbers[row["name"]], row["current"]) for row in counted) == sorted(tuple(row) for row in loaded)


async def test_one_receipt_in_a_hundred_is_rewarded_and_all_have_customers() -> None:
    amounts = [receipts.amount(number) for number in range(1_000)]
    assert sum(amount >= receipts.LARGE for amount in amounts) == 10
    assert {receipts.customer(number, CUSTOMERS) for number in range(1_000)} == set(range(CUSTOMERS))


async def test_stored_activity_is_proven_as_if_it_had_landed(
    api: Api, club: Club, dsn: str, owner: "asyncpg.Connection[asyncpg.Record]", server_major: int
) -> None:
    if server_major < 18:
        pytest.skip("the server makes no ids of its own")
    await stocking.stock(dsn, club, 0, 30 * CUSTOMERS)
    await stocking.stock(dsn, club, 30 * CUSTOMERS, 20 * CUSTOMERS)

    wrong = [name for name, sql in PROOFS_OF_THRESHOLDS.items() if await _is_wrong(owner, api, sql)]
    progress = await owner.fetch(
        "select count(*), min(current), max(current) from threshold_progress where tenant_id = $1 and threshold_id in "
        "(select threshold_id from threshold_versions where metric = 'visits')",
        api.tenant.id,
    )

    assert wrong == []
    assert [tuple(row) for row in progress] == [(CUSTOMERS, 50, 50)]


async def _is_wrong(owner: "asyncpg.Connection[asyncpg.Record]", api: Api, sql: str) -> bool:
    found = await owner.fetch(f"select 1 from ({sql}) as f (tenant, id, sentence) where f.tenant = $1", api.tenant.id)
    return bool(found)


async def _caller(api: Api, runtime: Runtime) -> Caller:
    caller = await partners.caller_of(runtime.pool, UUID(api.client_id))
    assert caller is not None
    return caller
