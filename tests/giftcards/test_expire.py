"""Cards and their lots expire, each at its own deadline."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from tallystick import giftcards, ledger
from tallystick.base import clock, ids
from tallystick.base.db import Db
from tallystick.base.work import Runtime
from tallystick.giftcards import expiry
from tests.api import Api
from tests.conftest import Clock
from tests.giftcards.cast import books, rows, show
from tests.giftcards.hands import add_lot
from tests.giftcards.living import (
    SHORT_TERM,
    balance_of,
    check_cards,
    do,
    done,
    journals,
    new,
    pay,
    settle,
    status_of,
    sweep,
    told,
)
from tests.rewards.cast import advance, configure, left, refused, story
from tests.world import T0

FIVE_YEARS = "2031-03-02T09:00:00.000Z"


async def _given(api: Api, amount: int = 900, **more: object) -> str:
    """A card that expires ten days after every test begins."""
    return await new(api, amount, valueClass="promotional", expiresAt=SHORT_TERM, **more)


async def _recognise(runtime: Runtime, api: Api, amount: int) -> None:
    """Recognise breakage ahead, as a month's end does."""
    assert api.merchant_id is not None
    debit = ledger.house_account(api.merchant_id, "merchant.breakage")
    credit = ledger.house_account(api.merchant_id, "merchant.breakage_income")
    async with runtime.work(api.tenant) as work:
        transfers = (ledger.Transfer(debit, credit, amount),)
        journal = ledger.Journal(ids.new(), "breakage.recognise", ids.new(), api.merchant_id, "USD", transfers)
        assert await ledger.post(work, [journal]) == ["posted"]


async def test_what_was_given_returns_to_whoever_gave_it_at_the_deadline(api: Api, runtime: Runtime) -> None:
    await configure(runtime, api, credit_limit=10_000)
    card_id = await _given(api)
    await pay(api, card_id, 100)
    await advance(api, "P10D")
    shown = await show(api, card_id)
    assert (shown["status"], shown["reason"], shown["balance"]) == ("expired", "expired", {"available": 0, "held": 0})
    assert shown["updatedAt"] == SHORT_TERM
    assert await left(runtime, api) == 9900
    assert await journals(runtime, api, "lot.expire") == [[("card.lot", -800), ("merchant.receivable", 800)]]
    assert (await told(api, card_id))[-1] == ("expire", -800, 0)
    assert (await story(api, card_id))[-1] == ("gift_card.expired", 3, SHORT_TERM)


async def test_a_moment_before_its_deadline_nothing_has_happened(api: Api) -> None:
    card_id = await _given(api)
    await advance(api, "P9DT23H59M59.999S")
    assert (await status_of(api, card_id), await balance_of(api, card_id)) == ("active", (900, 0))
    await pay(api, card_id, 1)


async def test_what_was_paid_for_becomes_breakage_first_what_was_recognised_ahead(api: Api, runtime: Runtime) -> None:
    one, other = await new(api, 600, expiresAt=FIVE_YEARS), await new(api, 600, expiresAt=FIVE_YEARS)
    await _recognise(runtime, api, 1000)
    await advance(api, "P1827D")
    assert (await status_of(api, one), await status_of(api, other)) == ("expired", "expired")
    assert await books(runtime, api, "merchant.breakage") == 0
    assert await books(runtime, api, "merchant.breakage_income") == 1200
    assert await books(runtime, api, "merchant.sales") == -1200


async def test_nothing_can_be_done_with_it_from_its_deadline_on_whether_or_not_the_books_moved(
    api: Api, clock: Clock
) -> None:
    card_id = await _given(api)
    clock.move(timedelta(days=10))
    assert (await status_of(api, card_id), await balance_of(api, card_id)) == ("expired", (0, 0))
    for verb, attributes in (("load", {"amount": 1}), ("freeze", {"reason": "lost"}), ("replace", {"reason": "lost"})):
        refused(await do(api, card_id, verb, **attributes), 409, "InvalidState")


async def test_the_worker_expires_what_passed_its_deadline_once(api: Api, runtime: Runtime, clock: Clock) -> None:
    card_id = await _given(api)
    clock.move(timedelta(days=12))
    assert await sweep(runtime, api.tenant) == 1
    assert (await show(api, card_id))["updatedAt"] == SHORT_TERM
    assert await sweep(runtime, api.tenant) == 0
    assert await told(api, card_id) == [("issue", 900, 900), ("expire", -900, 0)]


async def test_two_workers_at_once_expire_it_once(api: Api, runtime: Runtime, clock: Clock) -> None:
    card_id = await _given(api)
    clock.move(timedelta(days=10))
    await asyncio.gather(*(giftcards.expire_at(runtime, api.tenant, clock()) for _ in range(3)))
    assert await told(api, card_id) == [("issue", 900, 900), ("expire", -900, 0)]


async def test_what_a_payment_holds_expires_when_the_payment_ends(api: Api, runtime: Runtime, auditor: Db) -> None:
    await configure(runtime, api, authorization_days=30)
    card_id = await _given(api)
    intent_id = await pay(api, card_id, 300, "manual")
    await advance(api, "P11D")
    shown = await show(api, card_id)
    assert (shown["status"], shown["balance"]) == ("expired", {"available": 0, "held": 300})
    assert (await rows(runtime, api, "select status from gift_cards where tenant_id = $1")) == [("active",)]
    await settle(api, intent_id, "cancel")
    assert await balance_of(api, card_id) == (0, 0)
    await advance(api, "PT1M")
    assert (await rows(runtime, api, "select status from gift_cards where tenant_id = $1")) == [("expired",)]
    assert (await told(api, card_id))[1:] == [("expire", -600, 300), ("expire", -300, 0)]
    assert await journals(runtime, api, "lot.expire") == [
        [("card.lot", -600), ("merchant.receivable", 600)],
        [("card.lot", -300), ("merchant.receivable", 300)],
    ]
    await check_cards(auditor, api.tenant)


async def test_a_hold_across_the_expiry_is_captured_and_the_card_has_expired_then(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    await configure(runtime, api, authorization_days=30)
    card_id = await _given(api)
    intent_id = await pay(api, card_id, 300, "manual")
    await advance(api, "P11D")
    await settle(api, intent_id, "capture", 200)
    await advance(api, "PT1M")
    assert (await rows(runtime, api, "select status from gift_cards where tenant_id = $1")) == [("expired",)]
    assert (await told(api, card_id))[-1] == ("expire", -100, 0)
    other = await new(api, 100, valueClass="promotional", expiresAt="2026-03-14T00:00:00Z")
    whole = await pay(api, other, 100, "manual")
    await advance(api, "P2D")
    await settle(api, whole, "capture")
    at = (await show(api, other))["updatedAt"]
    await advance(api, "PT1M")
    assert (await story(api, other))[-1][0::2] == ("gift_card.expired", at)
    await check_cards(auditor, api.tenant)


@pytest.mark.parametrize("state", ["pending", "frozen", "depleted"])
async def test_cards_expire_whatever_state_they_are_in(api: Api, runtime: Runtime, state: str) -> None:
    card_id = await _given(api, activate=state != "pending")
    if state == "frozen":
        await done(api, card_id, "freeze", reason="legal_order")
    elif state == "depleted":
        await pay(api, card_id, 900)
    await advance(api, "P10D")
    reason = "legal_order" if state == "frozen" else "expired"
    assert (await rows(runtime, api, "select status, reason from gift_cards where tenant_id = $1")) == [
        ("expired", reason)
    ]
    assert (await told(api, card_id))[-1] == ("expire", 0 if state == "depleted" else -900, 0)


async def test_a_lot_of_its_own_term_expires_alone(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    soon = clock.parse_instant("2026-03-05T00:00:00Z")
    await add_lot(runtime, api, UUID(card_id), "promotional", 50, soon)
    assert await balance_of(api, card_id) == (950, 0)
    await advance(api, "P5D")
    shown = await show(api, card_id)
    assert (shown["status"], shown["balance"]["available"]) == ("active", 900)
    assert (await told(api, card_id))[-1] == ("expire", -50, 900)


async def test_when_the_last_lot_expires_the_card_is_depleted(api: Api, runtime: Runtime) -> None:
    card_id = await new(api, 900)
    intent_id = await pay(api, card_id, 900, "manual")
    await add_lot(runtime, api, UUID(card_id), "promotional", 5, clock.parse_instant("2026-03-05T00:00:00Z"))
    await settle(api, intent_id, "capture")
    assert (await status_of(api, card_id), await balance_of(api, card_id)) == ("active", (5, 0))
    await advance(api, "P5D")
    shown = await show(api, card_id)
    assert (shown["status"], shown["reason"], shown["balance"]["available"]) == ("depleted", "value_expired", 0)
    assert [kind for kind, _, _ in await told(api, card_id)][-2:] == ["expire", "deplete"]


async def test_what_was_left_behind_on_a_cancelled_card_still_expires(api: Api, runtime: Runtime, clock: Clock) -> None:
    card_id = await new(api, 900)
    await add_lot(runtime, api, UUID(card_id), "promotional", 50, T0 + timedelta(days=1))
    clock.move(timedelta(days=2))
    await done(api, card_id, "cancel", reason="customer_request", refund=True)
    await sweep(runtime, api.tenant)
    assert (await told(api, card_id))[-1] == ("expire", -50, 0)
    assert await status_of(api, card_id) == "cancelled"


async def test_what_was_left_behind_on_a_cancelled_card_that_was_charged_back_is_taken_too(
    api: Api, runtime: Runtime, clock: Clock
) -> None:
    card_id = await new(api, 900)
    await add_lot(runtime, api, UUID(card_id), "promotional", 50, T0 + timedelta(days=1))
    intent_id = await pay(api, card_id, 50, "manual")
    await done(api, card_id, "charge-back")
    clock.move(timedelta(days=2))
    await settle(api, intent_id, "cancel")
    await done(api, card_id, "cancel", reason="customer_request", refund=True)
    await sweep(runtime, api.tenant)
    assert (await told(api, card_id))[-1] == ("charge_back", -50, 0)
    assert await status_of(api, card_id) == "cancelled"
    async with runtime.reading(api.tenant) as work:
        assert sum(lot.available + lot.held for lot in await ledger.lots.of_parents(work, [UUID(card_id)])) == 0


async def test_a_refund_after_the_expiry_revives_the_card_for_a_grace_and_it_expires_again(
    api: Api, runtime: Runtime, auditor: Db
) -> None:
    card_id = await _given(api)
    intent_id = await pay(api, card_id, 300)
    await advance(api, "P11D")
    await settle(api, intent_id, "refund")
    shown = await show(api, card_id)
    assert (shown["status"], shown["balance"]["available"]) == ("active", 300)
    assert shown["expiresAt"] == "2026-04-12T09:00:00.000Z"
    await advance(api, "P30D")
    assert (await status_of(api, card_id), await balance_of(api, card_id)) == ("expired", (0, 0))
    await check_cards(auditor, api.tenant)


async def test_many_cards_expire_in_several_works(api: Api, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "EXPIRE_AT_ONCE", 2)
    cards = [await _given(api) for _ in range(5)]
    await advance(api, "P10D")
    assert [await status_of(api, card_id) for card_id in cards] == ["expired"] * 5
    assert len(await journals(runtime, api, "lot.expire")) == 5


async def test_spending_and_expiring_at_once_end_as_one_after_the_other(
    api: Api, runtime: Runtime, clock: Clock, auditor: Db
) -> None:
    for _ in range(3):
        card_id = await new(api, 900, valueClass="promotional", expiresAt=_in(clock, 10))
        intent_id = await pay(api, card_id, 300, "manual")
        clock.move(timedelta(seconds=10))
        await asyncio.gather(
            giftcards.expire_at(runtime, api.tenant, clock()),
            settle(api, intent_id, "capture", 100),
            giftcards.expire_at(runtime, api.tenant, clock()),
        )
        await sweep(runtime, api.tenant)
        assert (await status_of(api, card_id), await balance_of(api, card_id)) == ("expired", (0, 0))
        assert sum(amount for _, amount, _ in await told(api, card_id)) == 0
    await check_cards(auditor, api.tenant)


def _in(of: Clock, seconds: int) -> str:
    return clock.render(of() + timedelta(seconds=seconds))
