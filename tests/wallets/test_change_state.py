"""The states of a wallet, and who may change them."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tallystick import customers, ledger, wallets
from tallystick.base import ids
from tallystick.base.db import Db
from tallystick.base.errors import Refusal
from tallystick.base.work import Runtime, Tenant
from tallystick.merchants import Merchant
from tallystick.wallets.model import TRANSITIONS, Status, Verb, after
from tests.customers.cast import Partner, answered, attributes, refused
from tests.wallets.spending import hold, lots, spend, spend_in

STATUSES: tuple[Status, ...] = ("pending", "active", "suspended", "closing", "closed")
VERBS: tuple[Verb, ...] = ("verify", "unverify", "suspend", "resume", "close", "drain")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("verb", VERBS)
def test_what_the_table_does_not_allow_is_refused_with_what_it_does(status: Status, verb: Verb) -> None:
    outcome = after(status, verb)
    if (status, verb) in TRANSITIONS:
        assert outcome == TRANSITIONS[status, verb]
    else:
        refusal = refused(outcome, "InvalidState")
        assert f"The wallet is {status}" in refusal.detail
        assert any(start in refusal.detail for start, known in TRANSITIONS if known == verb)


def test_nothing_leaves_closed_and_only_verification_and_resuming_activate() -> None:
    assert not any(start == "closed" for start, _ in TRANSITIONS)
    assert {verb for (_, verb), reached in TRANSITIONS.items() if reached == "active"} == {"verify", "resume"}


async def wallet_in(harbour: Partner, luna: Merchant, status: Status) -> UUID:
    wallet_id = await harbour.wallet(await harbour.mira(verified=status != "pending"), luna)
    if status == "suspended":
        answered(await harbour.suspend(wallet_id))
    if status == "closing":
        await harbour.reward(luna)
        answered(await harbour.close(wallet_id))
    if status == "closed":
        answered(await harbour.close(wallet_id))
    assert (await harbour.show_wallet(wallet_id))["status"] == status
    return wallet_id


@pytest.mark.parametrize("status", STATUSES)
async def test_each_verb_does_what_the_table_says(harbour: Partner, luna: Merchant, status: Status) -> None:
    reached: dict[str, Status | None] = {}
    for verb in ("suspend", "resume", "close"):
        wallet_id = await wallet_in(harbour, luna, status)
        before = await harbour.events(wallet_id)
        outcome: Any = await getattr(harbour, verb)(wallet_id)
        reached[verb] = None if isinstance(outcome, Refusal) else attributes(outcome.body)["status"]
        if isinstance(outcome, Refusal):
            assert outcome.code == "InvalidState"
            assert await harbour.events(wallet_id) == before
        await _get_rid_of(harbour, wallet_id)
    assert (
        reached
        == {
            "pending": {"suspend": None, "resume": None, "close": "closed"},
            "active": {"suspend": "suspended", "resume": None, "close": "closed"},
            "suspended": {"suspend": None, "resume": "active", "close": "closed"},
            "closing": {"suspend": None, "resume": None, "close": None},
            "closed": {"suspend": None, "resume": None, "close": None},
        }[status]
    )


async def _get_rid_of(harbour: Partner, wallet_id: UUID) -> None:
    if (await harbour.show_wallet(wallet_id))["status"] == "closing":
        for lot_id, balance in await lots(harbour, wallet_id):
            await spend(harbour, lot_id, balance)
        async with harbour.runtime.work(harbour.tenant) as work:
            await wallets.close_drained(work, [wallet_id])
    else:
        await harbour.close(wallet_id)


async def test_an_empty_wallet_closes_at_once_and_tells_it(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    answer = answered(await harbour.close(wallet_id))
    assert attributes(answer.body)["status"] == "closed"
    assert await harbour.events(wallet_id) == [("wallet.created", 1, "active"), ("wallet.closed", 2, "closed")]
    assert (await harbour.reward(luna))["status"] == "Created"  # a closed wallet blocks nothing


async def test_a_wallet_with_value_is_closing_until_it_is_drained(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    await harbour.reward(luna, 500)
    assert attributes(answered(await harbour.close(wallet_id)).body)["status"] == "closing"
    refused(await harbour.reward(luna), "WalletNotIssuable")
    ((lot_id, _),) = await lots(harbour, wallet_id)
    await spend(harbour, lot_id, 499)
    async with harbour.runtime.work(harbour.tenant) as work:
        assert await wallets.close_drained(work, [wallet_id]) == []
    await spend(harbour, lot_id, 1)
    async with harbour.runtime.work(harbour.tenant) as work:
        (closed,) = await wallets.close_drained(work, [wallet_id])
    assert (closed.status, closed.version) == ("closed", 2)
    assert [one[0] for one in await harbour.events(wallet_id)] == ["wallet.created", "wallet.closed"]


async def test_value_that_is_held_keeps_a_wallet_closing(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    await harbour.reward(luna, 500)
    ((lot_id, _),) = await lots(harbour, wallet_id)
    await hold(harbour, lot_id, 500)
    assert attributes(answered(await harbour.close(wallet_id)).body)["status"] == "closing"


async def test_closing_and_giving_at_once_never_leaves_value_in_a_closed_wallet(
    harbour: Partner, luna: Merchant
) -> None:
    for n in range(8):
        phone = f"+1202555010{n}"
        wallet_id = await harbour.wallet((await harbour.create(phone=phone, phone_verified=True)).resource_id, luna)
        await asyncio.gather(harbour.close(wallet_id), harbour.reward(luna, 100, phone))
        shown = await harbour.show_wallet(wallet_id)
        assert (shown["status"], shown["balance"]["available"]) in {("closed", 0), ("closing", 100)}


async def test_closing_waits_for_a_payment_that_is_under_way(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    await harbour.reward(luna, 500)
    ((lot_id, _),) = await lots(harbour, wallet_id)
    async with harbour.runtime.work(harbour.tenant) as work:
        await spend_in(work, lot_id, 500)
        closing = asyncio.create_task(harbour.close(wallet_id))
        done, _ = await asyncio.wait({closing}, timeout=0.3)
        assert not done
    assert attributes(answered(await closing).body)["status"] == "closed"


async def test_verbs_that_race_happen_one_after_another(harbour: Partner, luna: Merchant) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    outcomes = await asyncio.gather(*(harbour.suspend(wallet_id) for _ in range(6)))
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert [one[1] for one in await harbour.events(wallet_id)] == [1, 2]


async def test_a_foreign_wallet_is_a_missing_one(
    runtime: Runtime, tenant: Tenant, harbour: Partner, stranger: Partner, overseer: Partner, luna: Merchant
) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)
    elsewhere = Partner(runtime, tenant, partner_id=harbour.caller.partner_id, merchant_ids=(ids.new(),))
    for partner in (stranger, overseer, elsewhere):
        for verb in (partner.suspend, partner.close, partner.resume):
            foreign, missing = refused(await verb(wallet_id), "NotFound"), refused(await verb(ids.new()), "NotFound")
            assert (foreign.detail, foreign.source) == (missing.detail, missing.source)
    async with runtime.reading(tenant) as work:
        seen = [
            await wallets.visible(work, partner.asked(), wallet_id) is not None
            for partner in (harbour, overseer, stranger, elsewhere)
        ]
    assert seen == [True, True, False, False]
    assert (await harbour.show_wallet(wallet_id))["status"] == "active"


async def test_what_a_holder_owes_has_one_account(
    harbour: Partner, luna: Merchant, auditor: Db, tenant: Tenant
) -> None:
    wallet_id = await harbour.wallet(await harbour.mira(), luna)

    async def owe() -> UUID:
        async with harbour.runtime.work(tenant) as work:
            return await wallets.owe(work, wallet_id)

    accounts = await asyncio.gather(*(owe() for _ in range(4)))
    assert len(set(accounts)) == 1
    row = await auditor.row(
        "select code, ceiling, floor from accounts where tenant_id = $1 and id = $2", tenant.id, accounts[0]
    )
    assert row is not None
    assert list(row) == ["wallet.owed", 0, None]
    opened = await auditor.value(
        "select count(*) from accounts where tenant_id = $1 and code = 'wallet.owed'", tenant.id
    )
    assert opened == 1
    assert await ledger.check_books(auditor, tenant.id) == []


async def test_a_batch_of_facts_has_every_open_wallet_and_no_other(
    harbour: Partner, luna: Merchant, tenant: Tenant
) -> None:
    users = [(await harbour.create(phone=f"+1202555010{n}", phone_verified=n != 3)).resource_id for n in range(4)]
    held = [await harbour.wallet(user_id, luna) for user_id in users]
    answered(await harbour.suspend(held[1]))
    answered(await harbour.close(held[2]))
    async with harbour.runtime.work(tenant) as work:
        people = await customers.by_ids(work, users)
        asked = [person.recipient_id for person in people.values() if person.recipient_id is not None]
        facts = await wallets.facts(work, [*asked, *asked, ids.new()])
        await work.db.run(
            "update customers set status = 'erased' where tenant_id = $1 and id = $2", tenant.id, users[0]
        )
        fewer = await wallets.facts(work, asked)
    assert {(fact.wallet_id, fact.status) for fact in facts} == {
        (held[0], "active"),
        (held[1], "suspended"),
        (held[3], "pending"),
    }
    assert len(facts) == 3
    assert {(fact.merchant_id, fact.currency, fact.owed_account_id) for fact in facts} == {(luna.id, "USD", None)}
    assert {fact.wallet_id for fact in fewer} == {held[1], held[3]}
