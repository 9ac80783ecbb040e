"""What becomes of a payment that a till asks for: captured at once, held, taken in part, replayed."""

import asyncio
from typing import Any

import aiohttp

from tallystick.base.work import Runtime
from tests.api import Api, join, luna
from tests.payments.cast import (
    another_client,
    configure,
    feed,
    filled,
    header,
    held,
    left,
    lot,
    parts,
    pay,
    refused,
    story,
)
from tests.world import T0

OTHER_PHONE = "+12025550167"


async def test_a_payment_is_captured_at_once(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    answer = await pay(api, 400, walletId=wallet_id, externalReference="till-4-000917", locationId="pier-4")
    assert answer.status == 201, answer.text
    assert header(answer, "location") == f"/api/v1/payment-intents/{answer.data['id']}"
    assert answer.data["type"] == "PaymentIntent"
    assert answer.attributes == {
        "status": "captured",
        "amount": 400,
        "currency": "USD",
        "authorizedAmount": 400,
        "capturedAmount": 400,
        "refundedAmount": 0,
        "refundedTender": 0,
        "refundedDiscount": 0,
        "remaining": 0,
        "tender": 400,
        "discount": 0,
        "capture": "automatic",
        "allowPartial": False,
        "walletId": wallet_id,
        "giftCardId": None,
        "sources": [{"walletId": wallet_id, "giftCardId": None, "amount": None, "authorizedAmount": 400}],
        "externalReference": "till-4-000917",
        "merchantId": str(api.merchant_id),
        "locationId": "pier-4",
        "expiresAt": None,
        "createdAt": "2026-03-02T09:00:00.000Z",
        "updatedAt": "2026-03-02T09:00:00.000Z",
    }
    assert await left(runtime, api, wallet_id) == 600
    assert (await api.get(f"payment-intents/{answer.data['id']}")).text == answer.text
    assert [told[:2] for told in await story(api, answer.data["id"])] == [("redemption.captured", 1)]


async def test_a_payment_is_held_until_it_is_captured(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, authorization_days=3)
    wallet_id = await filled(runtime, api, 1000)
    answer = await pay(api, 400, walletId=wallet_id, capture="manual")
    told = answer.attributes
    assert (told["status"], told["authorizedAmount"], told["capturedAmount"]) == ("authorized", 400, 0)
    assert (told["tender"], told["discount"], told["expiresAt"]) == (400, 0, "2026-03-05T09:00:00.000Z")
    assert (await left(runtime, api, wallet_id), await held(runtime, api, wallet_id)) == (1000, 400)
    refused(await pay(api, 601, walletId=wallet_id), 409, "InsufficientValue")
    assert (await pay(api, 600, walletId=wallet_id)).status == 201
    assert [each[:2] for each in await story(api, answer.data["id"])] == [("redemption.authorized", 1)]


async def test_value_is_burnt_soonest_expiry_first_then_given_before_paid(runtime: Runtime, api: Api) -> None:
    wallet_id = await api.wallet()
    paid = await lot(runtime, api, wallet_id, 100, "paid")
    refund = await lot(runtime, api, wallet_id, 100, "refund")
    compensation = await lot(runtime, api, wallet_id, 100, "compensation")
    promotional = await lot(runtime, api, wallet_id, 100, "promotional")
    later = await lot(runtime, api, wallet_id, 100, "promotional", days=20)
    soon = await lot(runtime, api, wallet_id, 100, "paid", days=10)
    answer = await pay(api, 550, walletId=wallet_id)
    order = [soon, later, promotional, compensation, refund, paid]
    assert await parts(runtime, api, answer.data["id"]) == [(each, 50 if each == paid else 100) for each in order]
    assert (answer.attributes["tender"], answer.attributes["discount"]) == (250, 300)


async def test_expired_value_is_not_spent_though_the_books_have_not_moved(
    runtime: Runtime, api: Api, clock: Any
) -> None:
    wallet_id = await api.wallet()
    await lot(runtime, api, wallet_id, 100, days=1)
    clock.now = T0.replace(day=3)
    refused(await pay(api, 1, walletId=wallet_id), 409, "InsufficientValue", "/data/attributes/amount")


async def test_a_part_is_taken_where_the_till_allows_it(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 300)
    short = await pay(api, 500, walletId=wallet_id)
    refused(short, 409, "InsufficientValue", "/data/attributes/amount")
    assert "deficit is 200" in short.body["errors"][0]["detail"]
    answer = await pay(api, 500, walletId=wallet_id, allowPartial=True)
    told = answer.attributes
    assert (told["amount"], told["authorizedAmount"], told["remaining"]) == (500, 300, 200)
    nothing = await pay(api, 500, walletId=wallet_id, allowPartial=True)
    refused(nothing, 409, "InsufficientValue")
    assert "deficit is 500" in nothing.body["errors"][0]["detail"]


async def test_the_same_key_is_the_first_answer_again(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    first = await pay(api, 400, walletId=wallet_id, key="once", externalReference="a")
    assert (await pay(api, 600, walletId=wallet_id)).status == 201
    again = await pay(api, 400, walletId=wallet_id, key="once", externalReference="a")
    assert (again.status, again.text) == (first.status, first.text)
    assert header(again, "idempotent-replayed") == "true"
    assert header(again, "location") == header(first, "location")
    for changed in ({"amount": 401}, {"allowPartial": True}, {"externalReference": "b"}, {"capture": "manual"}):
        other = {"amount": 400, "walletId": wallet_id, "externalReference": "a", **changed}
        refused(await pay(api, key="once", **other), 409, "IdempotencyConflict", "/data/attributes/idempotencyKey")
    assert await left(runtime, api, wallet_id) == 0


async def test_a_refused_payment_leaves_nothing(runtime: Runtime, api: Api) -> None:
    await configure(runtime, api, wallet_day_maximum=1000, merchant_day_maximum=1000)
    wallet_id = await api.wallet()
    refused(await pay(api, 5, walletId=wallet_id, key="once", externalReference="a"), 409, "InsufficientValue")
    async with runtime.reading(api.tenant) as work:
        for table in ("till_references", "spending_days", "payment_intents", "payment_sources", "payment_parts"):
            sql = f"select count(*) from {table} where tenant_id = $1"
            assert await work.db.value(sql, api.tenant.id) == 0, table
        sql = "select count(*) from idempotency_keys where tenant_id = $1 and operation = 'payments.authorize'"
        assert await work.db.value(sql, api.tenant.id) == 0
    await lot(runtime, api, wallet_id, 5)
    assert (await pay(api, 5, walletId=wallet_id, key="once", externalReference="a")).status == 201


async def test_eight_tills_spend_exactly_what_is_there(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    answers = await asyncio.gather(*(pay(api, 300, walletId=wallet_id, allowPartial=True) for _ in range(8)))
    given = sorted(answer.attributes["authorizedAmount"] for answer in answers if answer.status == 201)
    assert given == [100, 300, 300, 300]
    assert {answer.status for answer in answers} == {201, 409}
    assert await left(runtime, api, wallet_id) == 0


async def test_holds_and_captures_race_for_the_same_value(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    ways = ("manual", "automatic") * 4
    answers = await asyncio.gather(*(pay(api, 300, walletId=wallet_id, capture=way) for way in ways))
    made = [answer for answer in answers if answer.status == 201]
    assert len(made) == 3
    captured = sum(answer.attributes["capturedAmount"] for answer in made)
    balances = await left(runtime, api, wallet_id), await held(runtime, api, wallet_id)
    assert balances == (1000 - captured, 900 - captured)


async def test_the_same_key_at_once_pays_once(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    answers = await asyncio.gather(*(pay(api, 400, walletId=wallet_id, key="once") for _ in range(6)))
    assert {(answer.status, answer.text) for answer in answers} == {(201, answers[0].text)}
    assert await left(runtime, api, wallet_id) == 600


async def test_two_keys_with_one_reference_pay_once(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    answers = await asyncio.gather(*(pay(api, 400, walletId=wallet_id, externalReference="r") for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409, 409]
    for answer in answers:
        if answer.status == 409:
            refused(answer, 409, "DuplicateReference", "/data/attributes/externalReference")
    assert await left(runtime, api, wallet_id) == 600


async def test_a_reference_belongs_to_a_partner_and_a_merchant(
    runtime: Runtime, api: Api, session: aiohttp.ClientSession, base_url: str
) -> None:
    wallet_id = await filled(runtime, api, 1000)
    other = await join(runtime, session, base_url, tenant=api.tenant)
    for till in (api, other):
        assert (await pay(till, 400, walletId=wallet_id, externalReference="r")).status == 201


async def test_any_till_of_the_merchant_spends_what_another_partner_gave(
    runtime: Runtime, api: Api, session: aiohttp.ClientSession, base_url: str
) -> None:
    wallet_id = await api.wallet()
    assert (await api.issue(amount=500)).status == 200
    till = await join(runtime, session, base_url, tenant=api.tenant, merchant_ids=(api.merchant_id,))  # type: ignore[arg-type]
    answer = await pay(till, 500, walletId=wallet_id)
    assert (answer.attributes["tender"], answer.attributes["discount"]) == (0, 500)
    assert (await api.get(f"payment-intents/{answer.data['id']}")).codes == ["NotFound"]
    assert (await api.get("payment-intents")).data == []
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    assert [each["id"] for each in (await overseer.get("payment-intents")).data] == [answer.data["id"]]


async def test_a_closing_wallet_is_drained_and_then_closed(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 500)
    assert (await api.post(f"wallets/{wallet_id}/close")).attributes["status"] == "closing"
    assert (await pay(api, 200, walletId=wallet_id)).status == 201
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closing"
    assert (await pay(api, 300, walletId=wallet_id)).status == 201
    assert (await api.get(f"wallets/{wallet_id}")).attributes["status"] == "closed"
    assert (await story(api, wallet_id))[-1][0] == "wallet.closed"


async def test_payments_are_listed_newest_first_and_filtered(
    runtime: Runtime, api: Api, session: aiohttp.ClientSession, base_url: str, clock: Any
) -> None:
    first = await filled(runtime, api, 1000)
    second = await filled(runtime, api, 1000, phone=OTHER_PHONE)
    made = []
    for minute, (wallet_id, more) in enumerate(
        [(first, {}), (second, {"externalReference": "r"}), (first, {"capture": "manual"})]
    ):
        clock.now = T0.replace(minute=minute)
        made.append((await pay(api, 100, walletId=wallet_id, **more)).data["id"])

    async def found(query: str, by: Api = api) -> list[int]:
        answer = await by.get(f"payment-intents{query}")
        assert answer.status == 200, answer.text
        assert answer.body["meta"]["total"] >= len(answer.data)
        return [made.index(each["id"]) for each in answer.data]

    assert await found("") == [2, 1, 0]
    assert await found("?page[limit]=1&page[offset]=1") == [1]
    assert await found(f"?filter[walletId]={first}") == [2, 0]
    assert await found(f"?filter[giftCardId]={first}") == []
    assert await found("?filter[externalReference]=r") == [1]
    assert await found("?filter[status]=authorized") == [2]
    assert await found(f"?filter[walletId]={first}&filter[status]=captured") == [0]
    assert await found(f"?filter[merchantId]={api.merchant_id}") == [2, 1, 0]
    assert await found(f"?filter[merchantId]={first}") == []
    clock.now = T0.replace(day=20)
    assert await found("?filter[status]=authorized") == []
    assert await found("?filter[status]=expired") == [2]
    late = (await api.get(f"payment-intents/{made[2]}")).attributes
    assert (late["status"], late["tender"], late["discount"]) == ("expired", 0, 0)
    overseer = await join(runtime, session, base_url, tenant=api.tenant, visibility="programme")
    assert await found("", overseer) == [2, 1, 0]
    elsewhere = await luna(runtime, api.tenant, "Pier")
    kept = await another_client(runtime, api, merchant_ids=(elsewhere.id,))
    assert await found("", kept) == []
    assert (await kept.get(f"payment-intents/{made[0]}")).codes == ["NotFound"]


async def test_events_tell_no_more_than_the_partner_reads(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api, 1000)
    answer = await pay(api, 400, walletId=wallet_id)
    (event,) = [each for each in await feed(api) if each["topic"] == "redemption.captured"]
    assert event["document"] == answer.data
