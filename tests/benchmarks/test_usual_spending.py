"""The usual stack spends, finds and makes gift cards as the product does: the same answers, refusals and rows."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
import pytest

from tallystick import giftcards, ledger
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime
from tests.api import JSON_API, Answer, Api, document_of, join

pytest.importorskip("fastapi", reason="the bench extra is not installed")
pytest.importorskip("sqlalchemy", reason="the bench extra is not installed")

PAYMENTS: Final = "/api/v1/payment-intents"
LOOKUPS: Final = "/api/v1/gift-cards/lookup"

SPENDING = (
    "idempotency_keys",
    "payment_intents",
    "payment_sources",
    "payment_parts",
    "gift_cards",
    "gift_card_activities",
    "accounts",
    "journals",
    "entries",
    "tenant_heads",
    "events",
    "request_log",
)
MADE = (
    "gift_card_batches",
    "gift_cards",
    "gift_card_activities",
    "accounts",
    "journals",
    "entries",
    "tenant_heads",
    "events",
)
TOLD_OF_A_BATCH = {"version", "due_at"}
"""How often a batch was written depends on the size of its chunks."""
PLAIN = (int, bool, float, type(None))
SEALED = {"phone_index", "fingerprint", "code_index", "code_sealed", "answer_sealed", "pin_digest", "pin_sealed"}
LIKE_ANOTHER = {"code_tail", "codeTail", "latency_us"}

Rows = dict[str, list[dict[str, Any]]]


def comparable(name: str, value: Any) -> object:
    """The value, unless it differs between two cards however they were made: of such only that it is there."""
    if name in SEALED and value is not None:
        return len(value)
    if isinstance(value, PLAIN) or name in LIKE_ANOTHER:
        return None if name == "latency_us" else value if isinstance(value, PLAIN) else "there"
    if name == "document":
        return comparable("attributes", json.loads(value)["attributes"])
    if isinstance(value, dict):
        return [(key, comparable(key, told)) for key, told in value.items()]
    if isinstance(value, list):
        return [comparable(name, each) for each in value]
    if isinstance(value, str) and not name.endswith(("Id", "At", "key")):
        return value
    return "there"


async def rows_of(owner: "asyncpg.Connection[asyncpg.Record]", tenant_id: UUID, tables: tuple[str, ...]) -> Rows:
    """Every row of the tenant in these tables, made comparable."""
    found: Rows = {}
    for table in tables:
        where = "not replayed and" if table == "request_log" else ""
        rows = await owner.fetch(f"select * from {table} where {where} tenant_id = $1", tenant_id)
        told = [{name: comparable(name, value) for name, value in row.items()} for row in rows]
        found[table] = sorted(told, key=repr)
    return found


def attributes_of(answer: Answer) -> object:
    """The answer's attributes in their order."""
    return comparable("attributes", answer.attributes)


class Usual:
    """The usual stack, asked as a partner asks."""

    def __init__(self, client: httpx.AsyncClient, credential: Api) -> None:
        self._client, self._credential = client, credential

    async def post(self, path: str, document: object) -> Answer:
        headers = {
            "Client-ID": self._credential.client_id,
            "Authorization": f"Bearer {self._credential.secret}",
            "Content-Type": JSON_API,
        }
        answer = await self._client.post(path, headers=headers, content=json.dumps(document))
        return Answer(answer.status_code, dict(answer.headers), answer.text)


Both = tuple[Api, Api, Usual]


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
        yield ours, theirs, Usual(client, theirs)


async def card_of(api: Api, amount: int = 1000, key: str = "card-1") -> Mapping[str, Any]:
    """A card of the partner's merchant, as its issue was answered; both partners' are issued by the product."""
    named = document_of("GiftCard", merchantId=str(api.merchant_id), amount=amount, idempotencyKey=key)
    answer = await api.post("gift-cards", named)
    assert answer.status == 201, answer.text
    return {"id": answer.data["id"], "code": answer.attributes["code"]}


def payment(api: Api, card: Mapping[str, Any], amount: int, key: str) -> object:
    merchant_id = str(api.merchant_id)
    return document_of(
        "PaymentIntent", amount=amount, idempotencyKey=key, giftCardId=card["id"], merchantId=merchant_id
    )


def sought(api: Api, code: str) -> object:
    return document_of("LookUpGiftCard", code=code, merchantId=str(api.merchant_id))


async def test_the_usual_stack_redeems_with_the_same_rows_and_answers(
    both: Both, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    ours, theirs, usual = both
    mine, other = await card_of(ours), await card_of(theirs)
    for amount, key in ((250, "till-1"), (3, "till-2"), (250, "till-1")):
        here = await ours.post(PAYMENTS, payment(ours, mine, amount, key))
        there = await usual.post(PAYMENTS, payment(theirs, other, amount, key))
        assert here.status == there.status == 201, (here.text, there.text)
        assert attributes_of(here) == attributes_of(there)
        assert there.headers["location"] == f"{PAYMENTS}/{there.data['id']}"
    our_rows = await rows_of(owner, ours.tenant.id, SPENDING)
    their_rows = await rows_of(owner, theirs.tenant.id, SPENDING)
    for table in SPENDING:
        assert len(our_rows[table]) > 0, table
        assert our_rows[table] == their_rows[table], table


async def test_the_usual_stack_refuses_the_payments_that_the_product_refuses(both: Both, auditor: Db) -> None:
    ours, theirs, usual = both
    mine, other = await card_of(ours), await card_of(theirs)
    stranger = {"id": str(ids.new())}
    wishes = (
        (None, 250, "till-1"),
        (None, 251, "till-1"),
        (None, 751, "till-2"),
        (stranger, 1, "till-3"),
        (None, 0, "till-4"),
    )
    for card, amount, key in wishes:
        here = await ours.post(PAYMENTS, payment(ours, card or mine, amount, key))
        there = await usual.post(PAYMENTS, payment(theirs, card or other, amount, key))
        assert here.status == there.status
        if here.status != 201:
            assert (here.codes, here.pointers) == (there.codes, there.pointers)
    assert [fault.sentence for fault in await ledger.check_books(auditor)] == []


async def test_tills_that_race_for_one_card_of_the_usual_stack_never_spend_more_than_it_holds(
    both: Both, auditor: Db, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    _, theirs, usual = both
    card = await card_of(theirs, 12)
    asked = [usual.post(PAYMENTS, payment(theirs, card, 5, f"till-{n}")) for n in range(6)]
    statuses = sorted(answer.status for answer in await asyncio.gather(*asked))
    assert statuses == [201, 201, 409, 409, 409, 409]
    left = "select balance from accounts where tenant_id = $1 and parent_id = $2"
    assert await owner.fetchval(left, theirs.tenant.id, UUID(card["id"])) == 2
    assert [fault.sentence for fault in await ledger.check_books(auditor)] == []


async def test_the_usual_stack_looks_cards_up_with_the_same_answers_and_counts(
    both: Both, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    ours, theirs, usual = both
    mine, other = await card_of(ours), await card_of(theirs)
    for mine_typed, other_typed in ((mine["code"], other["code"]), (mine["code"].lower(), other["code"].lower())):
        here = await ours.post(LOOKUPS, sought(ours, mine_typed))
        there = await usual.post(LOOKUPS, sought(theirs, other_typed))
        assert here.status == there.status == 200, (here.text, there.text)
        assert attributes_of(here) == attributes_of(there)
    here, there = await ours.post(LOOKUPS, sought(ours, "AAAA")), await usual.post(LOOKUPS, sought(theirs, "AAAA"))
    assert here.status == there.status == 404
    assert here.codes == there.codes == ["CodeRefused"]
    windows = "select tried, missed, blocked_until from card_lookup_windows where tenant_id = $1"
    assert await owner.fetch(windows, ours.tenant.id) == await owner.fetch(windows, theirs.tenant.id)
    assert tuple(await owner.fetchrow(windows, theirs.tenant.id) or ()) == (3, 1, None)
    assert await _lookups_logged(owner, ours.tenant.id) == await _lookups_logged(owner, theirs.tenant.id)


async def _lookups_logged(owner: "asyncpg.Connection[asyncpg.Record]", tenant_id: UUID) -> object:
    """The log of lookups that found a card; the product's is written within a second."""
    told = """
    select method, route, status, code, replayed, resource_id is not null from request_log
    where tenant_id = $1 and route like '%/lookup' and status = 200
    """
    for _ in range(40):
        rows = await owner.fetch(told, tenant_id)
        if len(rows) == 2:
            return [tuple(row) for row in rows]
        await asyncio.sleep(0.05)
    raise AssertionError("two lookups are in the log within two seconds")


async def test_the_usual_stack_makes_a_batch_of_cards_with_the_same_rows(
    both: Both, runtime: Runtime, keys: MasterKeys, dsn: str, auditor: Db, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    from benchmarks.usual.cards import Plan, make

    ours, theirs, _ = both
    wanted = document_of(
        "GiftCardBatch", merchantId=str(ours.merchant_id), count=5, amount=700, idempotencyKey="spring"
    )
    assert (await ours.post("gift-card-batches", wanted)).status == 202
    while await giftcards.run_batches(runtime):
        pass
    assert theirs.merchant_id is not None
    plan = Plan(
        dsn=dsn,
        key_file="",
        tenant_id=theirs.tenant.id,
        partner_id=theirs.partner_id,
        client_id=UUID(theirs.client_id),
        merchant_id=theirs.merchant_id,
        cards=5,
        chunk=2,
        amount=700,
    )
    await make(plan, keys)
    our_rows, their_rows = await rows_of(owner, ours.tenant.id, MADE), await rows_of(owner, theirs.tenant.id, MADE)
    for rows in (our_rows, their_rows):
        for row in rows["gift_card_batches"]:
            for name in TOLD_OF_A_BATCH:
                row.pop(name)
    for table in MADE:
        assert len(our_rows[table]) > 0, table
        assert our_rows[table] == their_rows[table], table
    assert [fault.sentence for fault in await ledger.check_books(auditor)] == []
