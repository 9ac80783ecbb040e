"""A reward that nobody claims, carried past its deadline by the sandbox's clock."""

from datetime import timedelta

import msgspec

from tallystick import rewards
from tallystick.base import ids
from tallystick.base.batcher import run_batch
from tallystick.base.db import Db
from tallystick.base.work import Asked, Runtime, Tenant
from tallystick.rewards import Issued, IssueReward
from tallystick.sandbox import DueWork
from tallystick.sandbox.api import routes
from tests.merchants.cast import Door, add, caller
from tests.world import MIRA_PHONE, T0

DUE = (DueWork("expire rewards", rewards.next_deadline, rewards.expire_at),)


async def test_a_reward_expires_at_its_own_deadline_its_funding_returns_and_the_partner_is_told(
    runtime: Runtime, tenant: Tenant, auditor: Db
) -> None:
    merchant = await add(runtime, tenant, credit_limit=500)
    harbour = caller(tenant)
    command = IssueReward(
        asked=Asked(harbour, ids.new(), "POST", "/api/v1/rewards"),
        merchant_id=merchant.id,
        merchant_named=True,
        phone=MIRA_PHONE,
        amount=500,
        key="case 1",
        notification_email="agent@partner.example",
    )
    (issued,) = await run_batch(runtime, rewards.issue, tenant, [command])
    assert isinstance(issued, Issued)
    door = Door.of(runtime, routes(DUE))

    await door.call(harbour, "POST", "/sandbox/clock/advance", attributes={"by": "P1Y"})

    rows = await auditor.rows(
        "select topic, at, document from events where tenant_id = $1 and subject_id = $2 order by position",
        tenant.id,
        issued.reward_id,
    )
    assert [(row[0], row[1]) for row in rows] == [
        ("reward.pre_issued", T0),
        ("reward.expired", T0 + timedelta(days=90)),
    ]
    assert msgspec.json.decode(rows[1][2])["attributes"]["status"] == "Expired"
    owed = await auditor.value(
        "select balance from accounts where tenant_id = $1 and id = $2", tenant.id, merchant.receivable_account_id
    )
    assert owed == 0
    (told,) = (await door.call(harbour, "GET", "/sandbox/mailbox")).data
    assert (told["attributes"]["to"], told["attributes"]["subject"]) == ("agent@partner.example", "A reward expired")
    assert str(issued.reward_id) in told["attributes"]["text"]
    assert told["attributes"]["createdAt"] == "2026-05-31T09:00:00.000Z"
