"""What a till is told when its request is wrong, each fault at its place; and that nothing strange is a fault of ours."""

from typing import Any

import pytest

from tallystick.base.work import Runtime
from tests.api import Api, document_of, luna
from tests.payments.cast import another_client, configure, filled, pay, refused

NOBODY = "0199d3c0-5f1e-7c6a-9d52-0d6f3c1b2a10"
ROOT = "/data/attributes"


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"amount": 0}, "/amount"),
        ({"amount": -5}, "/amount"),
        ({"amount": 2_147_483_648}, "/amount"),
        ({"amount": 1.5}, "/amount"),
        ({"amount": "5"}, "/amount"),
        ({"amount": True}, "/amount"),
        ({"amount": None}, "/amount"),
        ({"walletId": "x"}, "/walletId"),
        ({"walletId": 5}, "/walletId"),
        ({"walletId": None}, ""),
        ({"walletId": None, "giftCardId": "{}"}, "/giftCardId"),
        ({"giftCardId": NOBODY}, ""),
        ({"code": "X"}, ""),
        ({"pin": "1234"}, "/pin"),
        ({"walletId": None, "pin": "1234"}, ""),
        ({"walletId": None, "code": ""}, "/code"),
        ({"walletId": None, "code": "9" * 65}, "/code"),
        ({"walletId": None, "sources": []}, "/sources"),
        ({"walletId": None, "sources": [{}]}, "/sources/0"),
        ({"walletId": None, "sources": [{"walletId": NOBODY}] * 11}, "/sources"),
        ({"walletId": None, "sources": [{"walletId": NOBODY, "code": "1"}]}, "/sources/0"),
        ({"walletId": None, "sources": [{"walletId": NOBODY, "pin": "1"}]}, "/sources/0/pin"),
        ({"walletId": None, "sources": [{"walletId": NOBODY, "amount": 0}]}, "/sources/0/amount"),
        ({"walletId": None, "sources": [{"walletId": NOBODY, "extra": 0}]}, "/sources/0/extra"),
        ({"walletId": None, "sources": [NOBODY]}, "/sources/0"),
        ({"walletId": None, "sources": {"walletId": NOBODY}}, "/sources"),
        ({"sources": [{"walletId": NOBODY}]}, "/walletId"),
        ({"capture": "later"}, "/capture"),
        ({"capture": None}, "/capture"),
        ({"allowPartial": "yes"}, "/allowPartial"),
        ({"externalReference": ""}, "/externalReference"),
        ({"externalReference": "r" * 256}, "/externalReference"),
        ({"locationId": ""}, "/locationId"),
        ({"idempotencyKey": ""}, "/idempotencyKey"),
        ({"idempotencyKey": "k" * 256}, "/idempotencyKey"),
        ({"merchantId": NOBODY}, "/merchantId"),
        ({"merchantId": "luna"}, "/merchantId"),
        ({"currency": "EUR"}, "/currency"),
        ({"currency": "US"}, "/currency"),
        ({"expiresIn": 5}, "/expiresIn"),
        ({"locationId": "\ud800"}, "/locationId"),
        ({"externalReference": "a\u0000b"}, "/externalReference"),
    ],
)
async def test_what_is_wrong_is_told_at_its_place(api: Api, changed: dict[str, Any], place: str) -> None:
    wallet_id = await api.wallet()
    attributes = {"amount": 5, "idempotencyKey": "k", "walletId": wallet_id, **changed}
    if "walletId" in changed and changed["walletId"] is None:
        del attributes["walletId"]
    answer = await api.post("payment-intents", document_of("PaymentIntent", **attributes))
    refused(answer, 400, "InvalidRequest", f"{ROOT}{place}")


@pytest.mark.parametrize("missing", ["amount", "idempotencyKey"])
async def test_what_is_missing_is_told(api: Api, missing: str) -> None:
    attributes = {"amount": 5, "idempotencyKey": "k", "walletId": NOBODY}
    del attributes[missing]
    refused(await api.post("payment-intents", document_of("PaymentIntent", **attributes)), 400, "InvalidRequest", ROOT)


async def test_every_fault_is_told_at_once(api: Api) -> None:
    sources = [{"walletId": "x"}, {}, {"giftCardId": NOBODY, "pin": "1"}]
    answer = await pay(api, 5, sources=sources, merchantId="luna")
    places = ("merchantId", "sources/0/walletId", "sources/1", "sources/2/pin")
    refused(answer, 400, "InvalidRequest", *(f"{ROOT}/{place}" for place in places))


async def test_another_type_is_a_conflict(api: Api) -> None:
    attributes = {"amount": 5, "idempotencyKey": "k", "walletId": NOBODY}
    answer = await api.post("payment-intents", document_of("Payment", **attributes))
    refused(answer, 409, "TypeConflict")


async def test_unknown_sources_are_refused_at_their_place(api: Api) -> None:
    for name in ("walletId", "giftCardId"):
        refused(await pay(api, 5, **{name: NOBODY}), 400, "InvalidRequest", f"{ROOT}/{name}")


async def test_the_merchants_currency_may_be_named(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api)
    assert (await pay(api, 5, walletId=wallet_id, currency="USD")).status == 201


async def test_a_closed_merchant_takes_no_payments(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api)
    await configure(runtime, api, status="closed")
    answer = await pay(api, 5, walletId=wallet_id, merchantId=str(api.merchant_id))
    refused(answer, 400, "InvalidRequest", f"{ROOT}/merchantId")


async def test_a_client_pays_only_at_its_merchants(runtime: Runtime, api: Api) -> None:
    pier = await luna(runtime, api.tenant, "Pier")
    wallet_id = await filled(runtime, api)
    here, there = [await another_client(runtime, api, merchant_ids=(each,)) for each in (api.merchant_id, pier.id)]  # type: ignore[arg-type]
    answer = await pay(there, 5, walletId=wallet_id, merchantId=str(api.merchant_id))
    refused(answer, 400, "InvalidRequest", f"{ROOT}/merchantId")
    assert (await pay(here, 5, walletId=wallet_id, key="once")).status == 201
    assert (await pay(here, 5, walletId=wallet_id, key="once")).status == 201
    refused(await pay(there, 5, walletId=wallet_id, key="once"), 409, "IdempotencyConflict")


@pytest.mark.parametrize("query", ["filter[walletId]=x", "filter[status]=gone", "filter[merchantId]=", "filter[x]=1"])
async def test_a_filter_that_says_nothing_is_a_fault(api: Api, query: str) -> None:
    refused(await api.get(f"payment-intents?{query}"), 400, "InvalidRequest", query.partition("=")[0])


async def test_a_wallet_and_a_card_are_not_filtered_together(api: Api) -> None:
    query = f"filter[walletId]={NOBODY}&filter[giftCardId]={NOBODY}"
    refused(await api.get(f"payment-intents?{query}"), 400, "InvalidRequest", "filter[giftCardId]")


@pytest.mark.parametrize("payment", [NOBODY, "x"])
async def test_a_payment_that_is_not_there_is_not_found(api: Api, payment: str) -> None:
    refused(await api.get(f"payment-intents/{payment}"), 404, "NotFound")


async def test_a_reference_of_any_text_is_kept_as_it_is(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api)
    for reference in ("'; drop table payments; --", " ", "ü" * 255, "🧾", "%"):
        answer = await pay(api, 1, walletId=wallet_id, externalReference=reference)
        assert answer.attributes["externalReference"] == reference
        refused(await pay(api, 1, walletId=wallet_id, externalReference=reference), 409, "DuplicateReference")


async def test_a_payment_that_was_reversed_before_it_came_is_not_made(runtime: Runtime, api: Api) -> None:
    wallet_id = await filled(runtime, api)
    reversal = await api.post("payment-intents/reverse", document_of("ReversePayment", externalReference="r"))
    assert (reversal.status, reversal.attributes["status"]) == (200, "awaited")
    answer = await pay(api, 1, walletId=wallet_id, externalReference="r")
    refused(answer, 409, "PaymentReversed", f"{ROOT}/externalReference")
    assert (await pay(api, 1, walletId=wallet_id, externalReference="s")).status == 201
