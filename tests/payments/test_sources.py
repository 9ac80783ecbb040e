"""Payments out of several sources, in their declared order."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from tallystick.base.clock import render
from tallystick.base.work import Runtime
from tests.api import Api, join, luna
from tests.payments.cast import (
    activities,
    card_status,
    configure,
    filled,
    gift_card,
    left,
    pay,
    refused,
    story,
    till_code,
)
from tests.world import T0

OTHER_PHONE = "+12025550167"


def source(n: int, name: str = "walletId") -> str:
    return f"/data/attributes/sources/{n}/{name}"


async def test_sources_give_in_their_order(runtime: Runtime, api: Api) -> None:
    first = await filled(runtime, api, 100)
    second = await filled(runtime, api, 500, "promotional", phone=OTHER_PHONE)
    answer = await pay(api, 400, sources=[{"walletId": first}, {"walletId": second}])
    told = answer.attributes
    assert [each["authorizedAmount"] for each in told["sources"]] == [100, 300]
    assert [each["walletId"] for each in told["sources"]] == [first, second]
    assert (told["walletId"], told["giftCardId"]) == (None, None)
    assert (told["tender"], told["discount"]) == (100, 300)
    assert (await left(runtime, api, first), await left(runtime, api, second)) == (0, 200)


async def test_a_source_gives_at_most_what_it_is_asked_for(runtime: Runtime, api: Api) -> None:
    first = await filled(runtime, api, 500)
    second = await filled(runtime, api, 500, phone=OTHER_PHONE)
    sources = [{"walletId": first, "amount": 150}, {"walletId": second, "amount": 100}]
    short = await pay(api, 300, sources=sources)
    refused(short, 409, "InsufficientValue", "/data/attributes/amount")
    assert "deficit is 50" in short.body["errors"][0]["detail"]
    assert (await pay(api, 300, sources=sources, allowPartial=True)).attributes["remaining"] == 50
    answer = await pay(api, 120, sources=sources)
    assert [(each["amount"], each["authorizedAmount"]) for each in answer.attributes["sources"]] == [
        (150, 120),
        (100, 0),
    ]


async def test_what_holds_value_is_held_of_every_source(runtime: Runtime, api: Api) -> None:
    first = await filled(runtime, api, 100)
    second = await filled(runtime, api, 500, phone=OTHER_PHONE)
    sources = [{"walletId": first}, {"walletId": second}]
    assert (await pay(api, 400, sources=sources, capture="manual")).status == 201
    assert (await pay(api, 200, sources=sources)).attributes["sources"][0]["authorizedAmount"] == 0
    refused(await pay(api, 1, sources=sources), 409, "InsufficientValue")


async def test_no_source_stands_twice(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 500)
    answer = await pay(api, 400, sources=[{"walletId": wallet_id}, {"walletId": wallet_id.upper()}])
    refused(answer, 400, "InvalidRequest", source(1))


async def test_value_of_another_merchant_is_never_spent(
    runtime: Runtime, api: Api, session: aiohttp.ClientSession, base_url: str
) -> None:
    pier = await luna(runtime, api.tenant, "Pier")
    wallet_id = await filled(runtime, api, 500)
    for named in ({"walletId": wallet_id}, {"giftCardId": wallet_id}):
        place = f"/data/attributes/{next(iter(named))}"
        refused(await pay(api, 1, merchantId=str(pier.id), **named), 400, "InvalidRequest", place)
    unknown = await pay(api, 1, merchantId=str(pier.id), walletId=str(pier.id))
    foreign = await pay(api, 1, merchantId=str(pier.id), walletId=wallet_id)
    assert unknown.body["errors"][0]["detail"] == foreign.body["errors"][0]["detail"]
    stranger = await join(runtime, session, base_url)
    refused(await pay(stranger, 1, walletId=wallet_id), 400, "InvalidRequest", "/data/attributes/walletId")
    both = [{"walletId": await filled(runtime, api, 5, phone=OTHER_PHONE)}, {"walletId": str(pier.id)}]
    refused(await pay(api, 1, merchantId=str(api.merchant_id), sources=both), 400, "InvalidRequest", source(1))
    assert await left(runtime, api, wallet_id) == 500


@pytest.mark.parametrize("way", ["pending", "suspended", "closed"])
async def test_a_wallet_that_is_not_open_cannot_be_spent(runtime: Runtime, api: Api, way: str) -> None:
    wallet_id = await api.wallet(verified=way != "pending")
    if way == "suspended":
        assert (await api.post(f"wallets/{wallet_id}/suspend")).status == 200
    if way == "closed":
        assert (await api.post(f"wallets/{wallet_id}/close")).status == 200
    answer = await pay(api, 1, walletId=wallet_id)
    refused(answer, 409, "SourceNotUsable", "/data/attributes/walletId")
    assert way in answer.body["errors"][0]["detail"]


async def test_a_card_is_spent_and_its_history_tells(runtime: Runtime, api: Api) -> None:
    card = await gift_card(api, 1000)
    answer = await pay(api, 400, giftCardId=card.id)
    told = answer.attributes
    assert (told["giftCardId"], told["walletId"], told["tender"]) == (card.id, None, 400)
    assert told["sources"] == [{"walletId": None, "giftCardId": card.id, "amount": None, "authorizedAmount": 400}]
    assert await activities(runtime, api, card.id) == [("issue", 1000, 1000), ("redeem", -400, 600)]
    assert (await pay(api, 600, giftCardId=card.id)).status == 201
    assert (await activities(runtime, api, card.id))[2:] == [("redeem", -600, 0), ("deplete", 0, 0)]
    assert await card_status(runtime, api, card.id) == "depleted"
    assert [each[:2] for each in await story(api, card.id)] == [
        ("gift_card.issued", 1),
        ("gift_card.redeemed", 2),
        ("gift_card.redeemed", 3),
        ("gift_card.depleted", 4),
    ]
    refused(await pay(api, 1, giftCardId=card.id), 409, "InsufficientValue", "/data/attributes/amount")
    listed = await api.get(f"payment-intents?filter[giftCardId]={card.id}")
    assert listed.body["meta"]["total"] == 2


async def test_eight_tills_spend_exactly_what_is_on_one_card(runtime: Runtime, api: Api) -> None:
    card = await gift_card(api, 1000)
    answers = await asyncio.gather(*(pay(api, 300, code=card.code, allowPartial=True) for _ in range(8)))
    assert sorted(each.attributes["authorizedAmount"] for each in answers if each.status == 201) == [100, 300, 300, 300]
    assert [told[2] for told in await activities(runtime, api, card.id)] == [1000, 700, 400, 100, 0, 0]


async def test_what_is_held_of_a_card_counts_to_what_it_holds(runtime: Runtime, api: Api) -> None:
    card = await gift_card(api, 1000)
    assert (await pay(api, 300, giftCardId=card.id, capture="manual")).status == 201
    assert (await pay(api, 700, giftCardId=card.id)).status == 201
    assert await activities(runtime, api, card.id) == [("issue", 1000, 1000), ("redeem", -700, 300)]
    assert await card_status(runtime, api, card.id) == "active"


async def test_a_card_is_found_by_its_number_however_it_is_typed(runtime: Runtime, api: Api) -> None:
    card = await gift_card(api, 1000)
    for typed in (card.code, card.code.lower(), card.code.replace("-", "")):
        assert (await pay(api, 100, code=typed)).attributes["giftCardId"] == card.id
    both = [{"code": card.code}, {"giftCardId": card.id}]
    refused(await pay(api, 100, sources=both), 400, "InvalidRequest", source(1, "giftCardId"))


async def test_every_code_that_is_not_found_is_refused_alike(
    runtime: Runtime, api: Api, session: aiohttp.ClientSession, base_url: str
) -> None:
    pier = await luna(runtime, api.tenant, "Pier")
    card = await gift_card(api, 1000, pin=True)
    stranger = await join(runtime, session, base_url)
    here = {"merchantId": str(api.merchant_id)}
    told = [
        await pay(api, 1, code=card.code, pin="0000000", **here),
        await pay(api, 1, code=card.code, **here),
        await pay(api, 1, code=card.code, pin=card.pin, merchantId=str(pier.id)),
        await pay(api, 1, code="7" * 18, **here),
        await pay(api, 1, code="ABCDEFGHJKM", **here),
        await pay(stranger, 1, code=card.code, pin=card.pin),
    ]
    for answer in told:
        refused(answer, 404, "CodeRefused", "/data/attributes/code")
    assert len({answer.body["errors"][0]["detail"] for answer in told}) == 1
    deeper = await pay(api, 1, sources=[{"giftCardId": card.id}, {"code": "x"}], **here)
    refused(deeper, 404, "CodeRefused", source(1, "code"))
    assert (await pay(api, 1, code=card.code, pin=card.pin, **here)).status == 201


async def test_wrong_pins_are_counted_though_the_payment_is_refused(runtime: Runtime, api: Api) -> None:
    card = await gift_card(api, 1000, pin=True)
    wrong = "000000" if card.pin != "000000" else "111111"
    for _ in range(10):
        refused(await pay(api, 1, code=card.code, pin=wrong), 404, "CodeRefused")
    refused(await pay(api, 1, code=card.code, pin=card.pin), 404, "CodeRefused")
    async with runtime.reading(api.tenant) as work:
        sql = "select count(*) from idempotency_keys where tenant_id = $1 and operation like 'payments%'"
        assert await work.db.value(sql, api.tenant.id) == 0


async def test_a_replay_tries_no_code(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    code = await till_code(runtime, api, wallet_id)
    first = await pay(api, 100, code=code, key="once")
    assert first.attributes["walletId"] == wallet_id
    again = await pay(api, 100, code=code, key="once")
    assert (again.status, again.text) == (201, first.text)
    assert code not in first.text


async def test_a_till_code_pays_once(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    code = await till_code(runtime, api, wallet_id)
    refused(await pay(api, 1001, code=code), 409, "InsufficientValue")
    answers = await asyncio.gather(*(pay(api, 100, code=code) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [201, 404, 404, 404, 404, 404]
    for answer in answers:
        if answer.status == 404:
            refused(answer, 404, "CodeRefused", "/data/attributes/code")
    assert await left(runtime, api, wallet_id) == 900


async def test_a_member_code_pays_only_where_the_merchant_lets_it(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    async with runtime.reading(api.tenant) as work:
        code = await work.db.value("select member_code from customers where tenant_id = $1", api.tenant.id)
    refused(await pay(api, 100, code=code), 404, "CodeRefused", "/data/attributes/code")
    await configure(runtime, api, member_code_pays=True)
    for _ in range(2):
        assert (await pay(api, 100, code=code)).attributes["walletId"] == wallet_id
    assert (await api.post(f"wallets/{wallet_id}/suspend")).status == 200
    refused(await pay(api, 100, code=code), 409, "SourceNotUsable", "/data/attributes/code")


@pytest.mark.parametrize("status", ["pending", "frozen", "cancelled", "expired", "replaced"])
async def test_a_card_that_is_not_active_cannot_be_spent(runtime: Runtime, api: Api, owner: Any, status: str) -> None:
    card = await gift_card(api, 1000)
    await owner.execute(f"update gift_cards set status = '{status}' where id = $1", UUID(card.id))
    answer = await pay(api, 1, giftCardId=card.id)
    refused(answer, 409, "SourceNotUsable", "/data/attributes/giftCardId")
    assert status in answer.body["errors"][0]["detail"]


async def test_a_card_past_its_expiry_cannot_be_spent(runtime: Runtime, api: Api, clock: Any) -> None:
    card = await gift_card(api, 1000, expiresAt=render(T0 + timedelta(days=2000)))
    clock.now = T0 + timedelta(days=2000)
    refused(await pay(api, 1, giftCardId=card.id), 409, "SourceNotUsable", "/data/attributes/giftCardId")


async def test_a_card_and_a_wallet_pay_together(runtime: Runtime, api: Api) -> None:
    card = await gift_card(api, 300)
    wallet_id = await filled(runtime, api, 500, "promotional")
    answer = await pay(api, 600, sources=[{"giftCardId": card.id}, {"walletId": wallet_id}])
    assert (answer.attributes["tender"], answer.attributes["discount"]) == (300, 300)
    assert await card_status(runtime, api, card.id) == "depleted"


async def test_so_much_of_a_card_in_a_day(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, card_day_maximum=500, card_day_count=3)
    card = await gift_card(api, 1000)
    answers = await asyncio.gather(*(pay(api, 200, giftCardId=card.id) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 201, 409, 409, 409]
    assert (await pay(api, 1, giftCardId=card.id)).status == 201
    refused(await pay(api, 1, giftCardId=card.id), 409, "PaymentLimit", "/data/attributes/giftCardId")
