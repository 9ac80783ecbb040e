"""Short ways to bring cards into any state and to change them, over HTTP; and what the books and histories say of them."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from tallystick import giftcards
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Tenant
from tallystick.giftcards import life_store
from tests.api import Answer, Api, document_of
from tests.giftcards.cast import issued, rows, show
from tests.rewards.cast import advance

AMOUNT: Final = 900
"""Little enough to be paid out in California."""
SHORT_TERM: Final = "2026-03-12T09:00:00.000Z"
"""Ten days after every test begins: a promotional card may expire so soon."""
STATES: Final = ("pending", "active", "frozen", "depleted", "expired", "cancelled", "replaced")


async def do(api: Api, card_id: str, verb: str, *, key: str | None = None, **attributes: Any) -> Answer:
    """A verb on a card; without attributes it has no body."""
    kind = "".join(word.title() for word in verb.split("-")) + "GiftCard"
    headers = {} if key is None else {"Idempotency-Key": key}
    document = document_of(kind, **attributes) if attributes else None
    return await api.post(f"gift-cards/{card_id}/{verb}", document, headers=headers)


async def done(api: Api, card_id: str, verb: str, **attributes: Any) -> Answer:
    """The same, and it went well."""
    answer = await do(api, card_id, verb, **attributes)
    assert answer.status in (200, 201, 202), answer.text
    return answer


async def decide(api: Api, adjustment_id: str, verdict: str, *, key: str | None = None) -> Answer:
    """Approve or reject an adjustment."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.post(f"gift-card-adjustments/{adjustment_id}/{verdict}", headers=headers)


async def pay(api: Api, card_id: str, amount: int, capture: str = "automatic", **more: Any) -> str:
    """The id of a payment out of a card."""
    wanted = {"amount": amount, "capture": capture, "idempotencyKey": str(ids.new()), **more}
    document = document_of("PaymentIntent", sources=[{"giftCardId": card_id}], **wanted)
    answer = await api.post("payment-intents", document)
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def settle(api: Api, intent_id: str, verb: str, amount: int | None = None) -> Answer:
    """Capture, cancel or refund a payment."""
    document = None if amount is None else document_of(f"{verb.title()}PaymentIntent", amount=amount)
    answer = await api.post(f"payment-intents/{intent_id}/{verb}", document)
    assert answer.status == 200, answer.text
    return answer


async def sweep(runtime: Runtime, tenant: Tenant) -> int:
    """What the worker does until nothing is due; in how many of its rounds something of this tenant was.

    Tests that ran before leave due cards of their own behind, in the same database.
    """
    rounds = 0
    while True:
        async with runtime.discovering() as db:
            due = [row[0] for row in await db.rows(life_store.DISCOVERY_DUE, runtime.clock())]
        if not await giftcards.expire_due(runtime):
            return rounds
        rounds += due.count(tenant.id)


async def in_state(api: Api, status: str, amount: int = AMOUNT, **more: Any) -> str:
    """The id of a card in this state, brought there over HTTP."""
    if status == "expired":
        card_id = await new(api, amount, valueClass="promotional", expiresAt=SHORT_TERM, **more)
        await advance(api, "P11D")
        return card_id
    card_id = await new(api, amount, activate=status != "pending", **more)
    if status == "frozen":
        await done(api, card_id, "freeze", reason="lost")
    elif status == "depleted":
        await pay(api, card_id, amount)
    elif status == "cancelled":
        await done(api, card_id, "cancel", reason="customer_request", refund=True)
    elif status == "replaced":
        await done(api, card_id, "replace", reason="damaged")
    return card_id


async def new(api: Api, amount: int = AMOUNT, **more: Any) -> str:
    """The id of a new card."""
    return str((await issued(api, amount, **more)).data["id"])


async def status_of(api: Api, card_id: str) -> str:
    return str((await show(api, card_id))["status"])


async def balance_of(api: Api, card_id: str) -> tuple[int, int]:
    """(available, held) of a card as a partner reads it."""
    balance: Mapping[str, int] = (await show(api, card_id))["balance"]
    return balance["available"], balance["held"]


async def told(api: Api, card_id: str) -> list[tuple[str, int, int]]:
    """(kind, amount, balance after) of what happened to a card, oldest first."""
    answer = await api.get(f"gift-cards/{card_id}/activities?page[limit]=50")
    assert answer.status == 200, answer.text
    lines = [each["attributes"] for each in answer.data]
    return [(each["kind"], each["amount"], each["balanceAfter"]) for each in reversed(lines)]


PROOFS: Final = {
    "a history adds up to what the card holds": """
        select c.id from gift_cards as c
        where c.tenant_id = $1 and (
            select coalesce(sum(a.amount), 0) from gift_card_activities as a where a.tenant_id = $1 and a.card_id = c.id
        ) <> (
            select coalesce(sum(l.balance), 0) from accounts as l
            where l.tenant_id = $1 and l.parent_id = c.id and l.code = 'card.lot'
        )
    """,
    "a history counts the versions of its card": """
        select c.id from gift_cards as c
        left join (
            select card_id, count(*) as n, max(sequence) as last from gift_card_activities where tenant_id = $1 group by card_id
        ) as a on a.card_id = c.id
        where c.tenant_id = $1 and (a.n is distinct from c.version::bigint or a.last is distinct from c.version)
    """,
    "every line of a history but a delivery is told once": """
        select a.card_id from gift_card_activities as a
        left join events as e on e.tenant_id = $1 and e.subject_id = a.card_id and e.sequence = a.sequence
        where a.tenant_id = $1
        group by a.card_id, a.sequence
        having count(e.subject_id) <> 1
    """,
    "only an active card, a waiting one or a frozen one holds anything": """
        select c.id from gift_cards as c
        join accounts as l on l.tenant_id = $1 and l.parent_id = c.id and l.code = 'card.lot' and l.balance > 0
        where c.tenant_id = $1 and c.status in ('depleted', 'expired', 'cancelled', 'replaced')
    """,
    "what was charged back and is free is taken": """
        select b.card_id from gift_card_charge_backs as b
        join accounts as l on l.tenant_id = $1 and l.parent_id = b.card_id and l.code = 'card.lot' and l.balance > l.held
        where b.tenant_id = $1
    """,
}


async def check_cards(auditor: Db, tenant: Tenant) -> None:
    """Cards, histories, events and lots tell one story. Only where every lot was given over HTTP and all that was due is done."""
    for name, sql in PROOFS.items():
        assert [row[0] for row in await auditor.rows(sql, tenant.id)] == [], name


async def journals(runtime: Runtime, api: Api, kind: str) -> list[list[tuple[str, int]]]:
    """Of each journal of a kind its entries, (code of the account, amount), sorted."""
    found = await rows(
        runtime,
        api,
        """
        select j.id, a.code, e.amount
        from journals as j
        join entries as e on e.tenant_id = j.tenant_id and e.journal_id = j.id
        join accounts as a on a.tenant_id = j.tenant_id and a.id = e.account_id
        where j.tenant_id = $1 and j.kind = $2
        order by j.recorded_at, j.id, a.code, e.amount
        """,
        kind,
    )
    of: dict[UUID, list[tuple[str, int]]] = {}
    for journal_id, code, amount in found:
        of.setdefault(journal_id, []).append((code, amount))
    return list(of.values())
