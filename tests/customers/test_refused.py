"""A refused write leaves nothing behind: no row of any table is made, changed or taken away, and nobody is known by the phone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import asyncpg
import pytest

from tallystick import customers
from tallystick.base.idempotency import Answer as Answered
from tallystick.base.work import Runtime
from tallystick.customers import CreateUser, recipients
from tests.api import Answer, Api, document_of, join
from tests.customers.cast import Partner

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"
Owner = asyncpg.Connection
TAKEN, NEW = "+12025550143", "+12025550199"
NOTED = ("request_log", "unknown_requests")
"""What is written of refused requests too."""


async def everything(owner: "Owner[asyncpg.Record]", api: Api) -> dict[str, int]:
    """Every table of the tenant's, as one number each that any change of a row changes."""
    tables = await owner.fetch("""
        select c.relname from pg_class as c
        join pg_attribute as a on a.attrelid = c.oid and a.attname = 'tenant_id'
        where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace
        order by c.relname
    """)
    found: dict[str, int] = {}
    for (table,) in tables:
        if table not in NOTED:
            sql = f"select coalesce(sum(hashtextextended(t::text, 0)), 0) from {table} as t where tenant_id = $1"
            found[table] = await owner.fetchval(sql, api.tenant.id)
    return found


Ask = Callable[[Api, str], Awaitable[Answer]]


def user(**attributes: Any) -> Any:
    return document_of("User", **attributes)


def post(path: str, kind: str = "", **attributes: Any) -> Ask:
    """Ask so of one user."""
    document = document_of(kind, **attributes) if kind else None
    return lambda api, one: api.post(path.format(one=one), document)


def change(**attributes: Any) -> Ask:
    return lambda api, one: api.patch(f"users/{one}", user(**attributes))


CARD = {"amount": 500, "idempotencyKey": "c-1", "delivery": {"channel": "sms", "to": NEW}}
CASES: dict[str, tuple[int, Ask]] = {
    "user with a taken external id": (409, post("users", "User", phoneNumber=NEW, externalId="crm-1")),
    "user with an impossible phone": (400, post("users", "User", phoneNumber="12", externalId="crm-2")),
    "user with a phone that is verified and none": (400, post("users", "User", phoneVerified=True)),
    "change to another phone and a taken external id": (409, change(phoneNumber=NEW, externalId="crm-1")),
    "change to another phone that a word verifies too soon": (409, change(phoneNumber=NEW, phoneVerified=True)),
    "change of somebody unknown": (404, lambda api, _: api.patch(f"users/{NOBODY}", user(phoneNumber=NEW))),
    "sharing of a card that is another's": (
        409,
        lambda api, one: api.patch(
            f"users/{one}/sharing",
            document_of("UserSharing", permissions=["visits"], cardTokens=["tok_00000001", "tok_00000002"]),
        ),
    ),
    "merge with somebody unknown": (400, post("users/{one}/merge", "MergeUser", intoUserId=NOBODY)),
    "parting of who was never merged": (409, post("users/{one}/unmerge")),
    "wallet of somebody unknown": (400, post("wallets", "Wallet", userId=NOBODY)),
    "second wallet": (409, lambda api, one: api.post("wallets", document_of("Wallet", userId=one))),
    "code to somebody unknown": (404, post(f"users/{NOBODY}/send-code")),
    "gift card sent to a phone that expired already": (
        400,
        post("gift-cards", "GiftCard", **CARD, valueClass="promotional", expiresAt="2020-01-01T00:00:00.000Z"),
    ),
    "gift card that nobody funds": (409, post("gift-cards", "GiftCard", **CARD, valueClass="promotional")),
    "batch of rewards with a fault": (
        400,
        post("reward-batches", "RewardBatch", idempotencyKey="b-1", recipients=[{"phoneNumber": NEW, "amount": 0}]),
    ),
}


@pytest.mark.parametrize("what", CASES)
async def test_a_refused_write_leaves_no_trace_of_the_phone(
    runtime: Runtime, session: aiohttp.ClientSession, base_url: str, owner: "Owner[asyncpg.Record]", what: str
) -> None:
    api = await join(runtime, session, base_url, credit_limit=100)
    first = await api.user(TAKEN, externalId="crm-1")
    await api.patch(f"users/{first}/sharing", document_of("UserSharing", cardTokens=["tok_00000001"]))
    one = await api.user("+12025550168")
    assert (await api.post("wallets", document_of("Wallet", userId=one))).status == 201
    before = await everything(owner, api)
    status, ask = CASES[what]
    answer = await ask(api, one)
    assert answer.status == status, answer.text
    after = await everything(owner, api)
    assert {table for table in before if before[table] != after[table]} == set()
    async with runtime.reading(api.tenant) as work:
        assert await recipients.find(work, NEW) is None


async def test_a_rival_who_was_faster_leaves_the_refused_one_without_a_trace(api: Api, runtime: Runtime) -> None:
    asked = Partner(runtime, api.tenant, partner_id=api.partner_id).asked()
    async with runtime.work(api.tenant) as work:
        (made,) = await customers.create(work, [CreateUser(asked, phone=TAKEN, external_id="crm-1")])
        assert isinstance(made, Answered)
        late = asyncio.create_task(api.post("users", user(phoneNumber=NEW, externalId="crm-1")))
        await asyncio.sleep(0.3)
        assert not late.done()
    assert (await late).codes == ["ExternalIdTaken"]
    async with runtime.reading(api.tenant) as work:
        assert await recipients.find(work, TAKEN) is not None
        assert await recipients.find(work, NEW) is None
