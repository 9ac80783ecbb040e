"""The mailbox: messages that a sandbox kept, as partners read them."""

from datetime import timedelta
from uuid import UUID

import pytest

from tallystick import messages
from tallystick.base.work import Runtime, Tenant
from tallystick.customers import recipients
from tallystick.sandbox.api import routes
from tests.conftest import Clock
from tests.merchants.cast import Door, caller
from tests.world import MIRA_PHONE


@pytest.fixture
def door(runtime: Runtime) -> Door:
    return Door.of(runtime, routes([]))


async def tell_mira(runtime: Runtime, tenant: Tenant, partner_id: UUID, code: str) -> None:
    async with runtime.work(tenant) as work:
        (mira,) = await recipients.lock(work, [MIRA_PHONE])
        await messages.send(
            work,
            recipient_id=mira.id,
            partner_id=partner_id,
            channel="sms",
            kind="code",
            to=mira.phone,
            content={"code": code},
            key=mira.key,
        )


async def test_a_partner_reads_what_it_caused_newest_first(
    runtime: Runtime, tenant: Tenant, clock: Clock, door: Door
) -> None:
    harbour, other, all_seeing = caller(tenant), caller(tenant), caller(tenant, sees_programme=True)
    for code in ("111111", "222222", "333333"):
        clock.move(timedelta(seconds=1))
        await tell_mira(runtime, tenant, harbour.partner_id, code)
    await tell_mira(runtime, tenant, other.partner_id, "444444")

    mine = await door.call(harbour, "GET", "/sandbox/mailbox", query={"page[limit]": "2"})
    assert mine.meta["total"] == 3
    assert [one["attributes"]["text"][:6] for one in mine.data] == ["333333", "222222"]
    assert mine.data[0]["type"] == "MailboxMessage"
    assert mine.data[0]["attributes"] == {
        "channel": "sms",
        "kind": "code",
        "to": MIRA_PHONE,
        "subject": None,
        "text": "333333 is your code. Do not give it to anyone.",
        "createdAt": "2026-03-02T09:00:03.000Z",
    }
    assert (await door.call(other, "GET", "/sandbox/mailbox")).meta["total"] == 1
    assert (await door.call(all_seeing, "GET", "/sandbox/mailbox")).meta["total"] == 4


async def test_a_mailbox_is_its_tenants_own(runtime: Runtime, tenant: Tenant, door: Door) -> None:
    from tests import world

    await tell_mira(runtime, tenant, caller(tenant).partner_id, "111111")
    elsewhere = caller(await world.northwind(runtime, "sandbox"), sees_programme=True)
    assert (await door.call(elsewhere, "GET", "/sandbox/mailbox")).data == []
