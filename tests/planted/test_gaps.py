"""What no other test noticed when it was planted."""

import asyncio
from uuid import UUID

from tallystick import ledger
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime, Tenant
from tallystick.giftcards import batch_store, making
from tallystick.ledger.periods_model import Movement
from tallystick.reports.breakage import Paid, reckon
from tests.api import Api, luna
from tests.giftcards.cast import accept, batch, issue, rows, run, tell
from tests.ledger.cast import Books
from tests.rewards.cast import another_client, check_whole, refused

KEY = "/data/attributes/idempotencyKey"


async def test_a_cards_number_is_replayed_to_nobody_who_may_not_act_for_its_merchant(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    assert api.merchant_id is not None
    pier = await luna(runtime, api.tenant, "Pier")
    here, there = [await another_client(runtime, api, merchant_ids=(each,)) for each in (api.merchant_id, pier.id)]
    first = await issue(here, 100, "once", pin=True)
    assert (first.status, (await issue(here, 100, "once", pin=True)).text) == (201, first.text)
    answer = await issue(there, 100, "once", pin=True)
    refused(answer, 409, "IdempotencyConflict", KEY)
    assert first.attributes["code"] not in answer.text
    await check_whole(auditor, api.tenant)


async def test_whoever_cancels_a_batch_waits_for_the_chunk_under_way_and_keeps_its_count(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    batch_id = (await accept(api, 400)).data["id"]
    async with runtime.work(api.tenant) as work:
        await making._go_on(work, [UUID(batch_id)])
        waiting = asyncio.create_task(tell(api, f"gift-card-batches/{batch_id}/cancel"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    assert ((await waiting).status, (await batch(api, batch_id))["status"]) == (202, "cancelled")
    await run(runtime)
    made = (await rows(runtime, api, "select count(*) from gift_cards where tenant_id = $1"))[0][0]
    assert ((await batch(api, batch_id))["done"], made) == (making.CARDS_AT_ONCE, making.CARDS_AT_ONCE)
    await check_whole(auditor, api.tenant)


async def test_a_chunk_waits_for_whoever_holds_its_batch(api: Api, runtime: Runtime, auditor: Db) -> None:
    batch_id = UUID((await accept(api, 3)).data["id"])
    async with runtime.work(api.tenant) as work:
        await batch_store.lock(work, [batch_id])
        waiting = asyncio.create_task(_go_on(runtime, api, batch_id))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    await waiting
    assert (await batch(api, str(batch_id)))["status"] == "completed"
    await check_whole(auditor, api.tenant)


async def test_what_an_earlier_work_holds_is_not_held_again(runtime: Runtime, tenant: Tenant, auditor: Db) -> None:
    books = Books(runtime, tenant)
    lot = await books.lot(100)
    verdicts = []
    for amount in (60, 41, 40, 1):
        async with books.work() as work:
            verdicts += await ledger.hold(work, [ledger.Hold(ids.new(), lot, amount, ids.new())])
    account = await books.account(lot)
    assert account is not None
    assert (verdicts, account.held) == (["held", "below_floor", "held", "below_floor"], 100)
    assert await ledger.check_books(auditor, tenant.id) == []


def test_what_was_given_is_no_part_of_what_was_paid_for() -> None:
    issued, spent = "card.issue", "payment.capture"
    moved = {
        Movement("card.lot", "paid", issued, True): 1_000,
        Movement("card.lot", "promotional", issued, True): 400,
        Movement("card.lot", "paid", spent, False): -300,
        Movement("card.lot", "promotional", spent, False): -200,
    }
    assert reckon([moved]) == Paid(sold=1_000, redeemed=300, expired=0)


async def _go_on(runtime: Runtime, api: Api, batch_id: UUID) -> None:
    async with runtime.work(api.tenant) as work:
        await making._go_on(work, [batch_id])
