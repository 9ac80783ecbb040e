"""The proofs of what is spent find what is wrong. Each test plants one corruption in a transaction that is undone."""

import asyncpg
import pytest

from tallystick.cli.proofs_of_spending import PROOFS_OF_SPENDING
from tests.api import Api
from tests.payments.cast import gift_card, pay

OF_PAYMENT = (
    "where tenant_id = $1 and {} = (select id from payment_intents where tenant_id = $1 and status = 'authorized')"
)
CORRUPTIONS = {
    "a payment is worth its parts": f"update payment_parts set captured = captured + 1 {OF_PAYMENT.format('intent_id')}",
    "a payment is worth its sources": f"delete from payment_sources {OF_PAYMENT.format('intent_id')}",
    "every payment has one key": "delete from idempotency_keys where tenant_id = $1 and operation = 'payments.authorize'",
    "every key has its payment": "delete from payment_intents where tenant_id = $1",
    "a reference names its payment": "update till_references set reference = 'till 8' where tenant_id = $1",
    "every reference is kept": "delete from till_references where tenant_id = $1",
    "every change of a payment is told once": "delete from events where tenant_id = $1 and subject_type = 'PaymentIntent'",
    "what is authorised is held, and nothing else is": (
        f"update payment_parts set account_id = gen_random_uuid() {OF_PAYMENT.format('intent_id')}"
    ),
    "every change of a gift card is in its history": (
        "delete from gift_card_activities where tenant_id = $1 and kind = 'redeem'"
    ),
}


@pytest.fixture
async def spent(api: Api) -> Api:
    """A payment with a reference that holds, and one that took."""
    card = await gift_card(api)
    held = await pay(api, 300, sources=[{"giftCardId": card.id}], capture="manual", externalReference="till 7")
    assert held.status == 201, held.text
    assert (await pay(api, 200, sources=[{"giftCardId": card.id}])).status == 201
    return api


@pytest.mark.parametrize(("named", "plant"), CORRUPTIONS.items(), ids=CORRUPTIONS.keys())
async def test_a_corruption_is_named(spent: Api, dsn: str, named: str, plant: str) -> None:
    owner = await asyncpg.connect(dsn)
    try:
        assert await _faults(owner, spent) == set()
        await owner.execute("begin")
        await owner.execute(plant.replace("$1", f"'{spent.tenant.id}'"))
        assert named in await _faults(owner, spent)
    finally:
        await owner.close()  # which undoes it


def test_every_proof_has_a_corruption() -> None:
    assert CORRUPTIONS.keys() == PROOFS_OF_SPENDING.keys()


async def _faults(owner: "asyncpg.Connection[asyncpg.Record]", api: Api) -> set[str]:
    found = set()
    for name, sql in PROOFS_OF_SPENDING.items():
        if await owner.fetch(f"select 1 from ({sql}) as f (tenant, id, sentence) where f.tenant = $1", api.tenant.id):
            found.add(name)
    return found
