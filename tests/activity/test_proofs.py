"""The proofs of activity and thresholds find what is wrong. Each test plants one corruption in a transaction that is undone."""

import asyncpg
import pytest

from tallystick.cli.proofs_of_thresholds import PROOFS_OF_THRESHOLDS
from tests.activity.cast import purchase, send, transaction
from tests.api import Api
from tests.thresholds.cast import rule, step

LATEST = "(select max(id::text)::uuid from activities where tenant_id = $1 and type = 'Purchase')"
GIVEN = "where tenant_id = $1 and status = 'given' and reward_type = {}"
CORRUPTIONS = {
    "every activity has its name": "delete from activity_keys where tenant_id = $1 and source_id = 'b'",
    "every name has its activity": "delete from activities where tenant_id = $1 and source_id = 'b'",
    "nothing waits for what is there": f"""
        insert into activity_waits (tenant_id, source, source_id, activity_id)
        select tenant_id, source, source_id, id from activities where tenant_id = $1 and id = {LATEST}
    """,
    "what came back of an activity is its returns": f"""
        update activities set returned_amount = 1 where tenant_id = $1 and id = {LATEST}
    """,
    "progress is what happened": "update threshold_progress set current = current + 1 where tenant_id = $1",
    "marks are what happened": "update threshold_marks set counted = counted + 1 where tenant_id = $1",
    "progress is what its marks come to": "delete from threshold_marks where tenant_id = $1",
    "progress is not below nothing": "update threshold_progress set pending = -1 where tenant_id = $1",
    "of a step only the last generation stands": """
        update threshold_outcomes set status = 'kept' where tenant_id = $1 and status = 'returned' and generation = 1
    """,
    "an outcome names what it gave": f"""
        update threshold_outcomes set amount = amount - 1 {GIVEN.format("'walletCredit'")}
    """,
    "what gave nothing names nothing": f"""
        update threshold_outcomes set status = 'capped', amount = 0 {GIVEN.format("'giftCard'")}
    """,
    "what a threshold gave has one outcome": f"""
        update threshold_outcomes set gift_card_id = null, amount = 0, status = 'capped' {GIVEN.format("'giftCard'")}
    """,
    "what was taken back of a reward came back": """
        update rewards set reversed_amount = reversed_amount - 1 where tenant_id = $1 and reversed_amount > 0
    """,
    "what was taken back of a card came back": """
        delete from gift_card_activities where tenant_id = $1 and kind = 'refund_purchase'
    """,
    "caps and budgets are what stands": "update threshold_spent set amount = amount + 1 where tenant_id = $1",
}


@pytest.fixture
async def earned(api: Api) -> Api:
    """Rules that count amounts and days, a reward and a card given, taken back and given again, and a refund that waits."""
    wallet = await api.wallet()
    user = (await api.get(f"wallets/{wallet}")).attributes["userId"]
    bounds = {"caps": {"customerCount": 5, "customerDayCount": 5}, "budgets": [{"scope": "merchant", "amount": 9000}]}
    await rule(api, steps=[step(1000, 100), step(2000, 300, type="giftCard")], **bounds)
    await rule(api, metric="distinctDays", steps=[step(5, 100)])
    await rule(api, window={"kind": "rolling", "days": 7}, steps=[step(50_000, 100)])
    await send(api, purchase("a", 2000, user=user))
    assert (await send(api, transaction("Void", "v", linkedExternalTransactionId="a"))).status == 201
    await send(api, transaction("Refund", "early", 10, linkedExternalTransactionId="later"))
    assert (await send(api, purchase("b", 2500, user=user))).status == 201
    assert (await send(api, purchase("c", 100, user=user))).status == 201
    return api


@pytest.mark.parametrize(("named", "plant"), CORRUPTIONS.items(), ids=CORRUPTIONS.keys())
async def test_a_corruption_is_named(earned: Api, dsn: str, named: str, plant: str) -> None:
    owner = await asyncpg.connect(dsn)
    try:
        assert await _faults(owner, earned) == set()
        await owner.execute("begin")
        done = await owner.execute(plant.replace("$1", f"'{earned.tenant.id}'"))
        assert not done.endswith(" 0"), "nothing was planted"
        assert named in await _faults(owner, earned)
    finally:
        await owner.close()  # which undoes it


def test_every_proof_has_a_corruption() -> None:
    assert CORRUPTIONS.keys() == PROOFS_OF_THRESHOLDS.keys()


async def _faults(owner: "asyncpg.Connection[asyncpg.Record]", api: Api) -> set[str]:
    found = set()
    for name, sql in PROOFS_OF_THRESHOLDS.items():
        if await owner.fetch(f"select 1 from ({sql}) as f (tenant, id, sentence) where f.tenant = $1", api.tenant.id):
            found.add(name)
    return found
