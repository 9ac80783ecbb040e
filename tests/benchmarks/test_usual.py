"""The usual stack is measured doing the same job: the same answer and the same rows for the same request."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
import pytest

from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tests.api import Answer, Api, document_of, join

pytest.importorskip("fastapi", reason="the bench extra is not installed")
pytest.importorskip("sqlalchemy", reason="the bench extra is not installed")

PHONE = "+12025550143"
STRANGER = "+12025550189"

TABLES = (
    "idempotency_keys",
    "recipients",
    "rewards",
    "accounts",
    "journals",
    "entries",
    "tenant_heads",
    "events",
    "request_log",
)
OWN = {"id", "at", "resource_id", "request_id", "journal_id", "created_at", "updated_at", "recorded_at", "opened_at"}
"""What differs between two rewards however they were made: names and instants, and below what is sealed or of another tenant."""
OTHERS = {
    *OWN,
    "tenant_id",
    "partner_id",
    "client_id",
    "merchant_id",
    "recipient_id",
    "wallet_id",
    "parent_id",
    "funder_id",
    "owner_id",
    "cause_id",
    "subject_id",
    "account_id",
    "counterpart_id",
    "funding_account_id",
    "value_account_id",
    "claim_expires_at",
    "last_at",
    "phone_index",
    "fingerprint",
    "latency_us",
}

Rows = dict[str, list[dict[str, Any]]]


async def rows_of(owner: "asyncpg.Connection[asyncpg.Record]", tenant_id: UUID) -> Rows:
    """Every row of the tenant that issuing may write, without what must differ; of what is sealed, how long it is."""
    found: Rows = {}
    for table in TABLES:
        # Replays reach the log a moment later, by the buffer of the process that answered them.
        where = "not replayed and route = '/api/v1/rewards' and" if table == "request_log" else ""
        rows = await owner.fetch(f"select * from {table} where {where} tenant_id = $1", tenant_id)
        told = [{name: comparable(name, value) for name, value in row.items()} for row in rows]
        found[table] = sorted(told, key=repr)
    return found


def comparable(name: str, value: Any) -> object:
    if value is None:
        return None
    if name in OTHERS:
        return "there"
    if isinstance(value, bytes):
        return "sealed" if name == "private_sealed" else len(value)
    if name == "document":
        attributes = json.loads(value)["attributes"]
        return [(key, "there" if key.endswith(("At", "Id")) and told else told) for key, told in attributes.items()]
    return value


def attributes_of(answer: Mapping[str, Any]) -> list[tuple[str, object]]:
    """The answer's attributes in their order, without instants and ids."""
    return [
        (name, "there" if name.endswith(("At", "Id")) and told else told) for name, told in answer["attributes"].items()
    ]


class UsualApi:
    """The usual stack, asked as a partner asks."""

    def __init__(self, client: httpx.AsyncClient, credential: Api) -> None:
        self._client, self._credential = client, credential

    async def issue(self, phone: str, key: str, amount: int = 500, **more: Any) -> Answer:
        """Issue a reward."""
        attributes = {"phoneNumber": phone, "amount": amount, "idempotencyKey": key, **more}
        headers = {
            "Client-ID": self._credential.client_id,
            "Authorization": f"Bearer {self._credential.secret}",
            "Content-Type": "application/vnd.api+json",
        }
        document = document_of("IssueReward", merchantId=str(self._credential.merchant_id), **attributes)
        answer = await self._client.post("/api/v1/rewards", headers=headers, content=json.dumps(document))
        return Answer(answer.status_code, dict(answer.headers), answer.text)


@pytest.fixture
async def both(dsn: str, keys: MasterKeys, runtime: Runtime, session: Any, base_url: str) -> Any:
    """A partner of this product, and one of the usual stack on the same database, each with a tenant of its own."""
    from benchmarks.usual.app import build

    ours = await join(runtime, session, base_url, environment="production")
    theirs = await join(runtime, session, base_url, environment="production")
    app = build(dsn, keys, pool_size=2)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://usual") as client,
    ):
        yield ours, theirs, UsualApi(client, theirs)


WISH: Final[dict[str, Any]] = {
    "message": "Thank you!",
    "reasonCode": "CX-COMPENSATION",
    "notificationEmail": "agent@partner.example",
}


async def test_the_usual_stack_writes_the_same_rows_and_gives_the_same_answers(
    both: tuple[Api, Api, UsualApi], owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    ours, theirs, usual = both
    await ours.wallet(PHONE)
    await theirs.wallet(PHONE)
    for phone, key in ((PHONE, "case-1"), (STRANGER, "case-2"), (PHONE, "case-1")):
        mine = await ours.issue(phone, key=key, merchantId=str(ours.merchant_id), **WISH)
        other = await usual.issue(phone, key, **WISH)
        assert mine.status == other.status == 200, (mine.text, other.text)
        assert attributes_of(mine.data) == attributes_of(other.data)
    mine_rows, other_rows = await rows_of(owner, ours.tenant.id), await rows_of(owner, theirs.tenant.id)
    for table in TABLES:
        assert len(mine_rows[table]) > 0, table
        assert mine_rows[table] == other_rows[table], table


async def test_the_usual_stack_refuses_what_the_product_refuses(
    both: tuple[Api, Api, UsualApi], owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    ours, theirs, usual = both
    first = await usual.issue(STRANGER, "case-1")
    assert first.status == 200
    assert (await ours.issue(STRANGER, key="case-1", merchantId=str(ours.merchant_id))).status == 200
    wishes = ((STRANGER, "case-2", 500), (STRANGER, "case-1", 501), ("+1", "case-3", 500), (STRANGER, "case-4", 0))
    for phone, key, amount in wishes:
        mine = await ours.issue(phone, amount, key, merchantId=str(ours.merchant_id))
        other = await usual.issue(phone, key, amount)
        assert (mine.status, mine.codes, mine.pointers) == (other.status, other.codes, other.pointers)
        assert mine.status in (400, 409)
    counted = "select count(*) from rewards where tenant_id = $1"
    assert await owner.fetchval(counted, theirs.tenant.id) == 1
    kept = "select count(*) from idempotency_keys where tenant_id = $1 and operation = 'rewards.issue'"
    assert await owner.fetchval(kept, theirs.tenant.id) == 1
