"""What each system's documents tell: amounts to the unit, lines that add up, who, where and how it was paid."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from tallystick.activity import Identity, Item, Payment
from tallystick.integrations.adapters import ADAPTERS
from tallystick.integrations.model import Happened, Ignored, Shop, Told, Unreadable
from tests.integrations.cast import ACCOUNTS, document
from tests.world import T0


def read(system: str, told: Any, topic: str = "orders/paid", **shop: Any) -> Told:
    """What the system's adapter reads in a document."""
    where = replace(Shop(ACCOUNTS[system], "USD", "US", is_sandbox=False, now=T0), **shop)
    body = json.dumps(told).encode()
    if system == "lightspeed":
        body = urlencode({"payload": body.decode()}).encode()
    return ADAPTERS[system].read(where, {"x-shopify-topic": topic}, body)


def one(told: Told) -> Happened:
    """The one thing that it tells, whose lines and payments add up."""
    assert not isinstance(told, Ignored | Unreadable), told
    (happened,) = told
    assert not happened.items or sum(item.amount for item in happened.items) == happened.amount
    assert not happened.items or sum(item.tax for item in happened.items) == happened.tax
    assert not happened.payments or sum(payment.amount for payment in happened.payments) == happened.amount
    return happened


def payment(**changes: Any) -> Any:
    event = document("square_payment")
    event["data"]["object"]["payment"].update(changes)
    return event


def order(**changes: Any) -> Any:
    return document("shopify_order") | changes


def sale(**changes: Any) -> Any:
    return document("lightspeed_sale") | changes


def test_a_payment_of_square() -> None:
    told = one(read("square", document("square_payment")))
    assert (told.type, told.amount, told.currency, told.tax) == ("Purchase", 1350, "USD", 0)
    assert told.payments == (Payment(1350, "DebitCard"),)
    assert told.identity == Identity("externalId", "W92WH6P11H4Z77CTET0RNTGFW8")
    assert (told.channel, told.place) == ("store", "L4TBSQMWW5JYN")
    assert told.occurred_at.isoformat() == "2026-03-02T08:41:03.482000+00:00"


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({"source_type": "CASH", "card_details": None}, "Cash"),
        ({"source_type": "BANK_ACCOUNT", "card_details": None}, "Wire"),
        ({"source_type": "WALLET"}, "Other"),
        ({"source_type": "SOMETHING_NEW"}, "Unknown"),
        ({"source_type": None}, "Unknown"),
        ({"source_type": "CARD", "card_details": None}, "CreditCard"),
        ({"card_details": {"card": {"card_brand": "VISA", "card_type": "CREDIT"}}}, "CreditCard"),
        ({"card_details": {"card": {"card_brand": "SQUARE_GIFT_CARD"}}}, "GiftCard"),
    ],
)
def test_how_a_payment_of_square_was_made(changes: Any, method: str) -> None:
    assert one(read("square", payment(**changes))).payments == (Payment(1350, method),)  # type: ignore[arg-type]


def test_a_payment_without_customer_is_known_by_its_card_or_by_nobody() -> None:
    card = one(read("square", payment(customer_id=None)))
    assert card.identity is not None
    assert (card.identity.kind, card.identity.value[:10]) == ("cardToken", "sq-1-Tvruf")
    assert one(read("square", payment(customer_id="", card_details=None))).identity is None


def test_yen_and_dinars_of_square_are_minor_units_already() -> None:
    yen = one(read("square", payment(amount_money={"amount": 1500, "currency": "JPY"})))
    assert (yen.amount, yen.currency) == (1500, "JPY")


def test_a_refund_of_square_names_its_payment() -> None:
    told = one(read("square", document("square_refund")))
    assert (told.type, told.amount) == ("Refund", 450)
    assert told.linked_source_id == one(read("square", document("square_payment"))).source_id


def test_an_order_of_shopify_adds_up_with_discounts_tax_and_shipping() -> None:
    told = one(read("shopify", document("shopify_order")))
    assert (told.type, told.source_id, told.amount, told.tax) == ("Purchase", "order:5678901234567", 6426, 432)
    assert told.items == (
        Item(3888, 288, 2, "Coffee"),
        Item(1944, 144, 1, "Equipment"),
        Item(594, 0, 0),
    )
    assert told.payments == (Payment(6426, "CreditCard"),)
    assert told.identity == Identity("phone", "+12025550143")
    assert told.occurred_at.isoformat() == "2026-03-02T08:30:00+00:00"


def test_prices_that_include_tax_are_not_taxed_again() -> None:
    line = {"quantity": 1, "price": "11.90", "tax_lines": [{"price": "1.90"}], "product_type": "Books"}
    told = one(read("shopify", order(taxes_included=True, total_price="15.90", total_tax="1.90", line_items=[line])))
    assert told.items == (Item(1190, 190, 1, "Books"), Item(400, 0, 0))


def test_a_discount_on_the_whole_order_is_shared_by_its_lines() -> None:
    lines = [
        {"quantity": 1, "price": "30.00", "product_type": "Coffee"},
        {"quantity": 3, "price": "10.00", "product_type": "Tea"},
    ]
    told = one(read("shopify", order(total_price="40.01", total_tax="0.00", line_items=lines)))
    assert told.items == (Item(2001, 0, 1, "Coffee"), Item(2000, 0, 3, "Tea"))


@pytest.mark.parametrize(
    ("currency", "price", "minor"),
    [
        ("JPY", "1500", 1500),
        ("JPY", "1500.00", 1500),
        ("KWD", "1.234", 1234),
        ("EUR", "0.005", 1),
        ("EUR", "12.5", 1250),
    ],
)
def test_decimal_text_is_minor_units_of_its_currency(currency: str, price: str, minor: int) -> None:
    told = one(read("shopify", order(currency=currency, total_price=price, total_tax="0", line_items=[])))
    assert (told.amount, told.currency) == (minor, currency)


@pytest.mark.parametrize(
    ("gateways", "method"),
    [
        (["gift_card"], "GiftCard"),
        (["Cash on Delivery (COD)"], "Cash"),
        (["paypal"], "Other"),
        (["gift_card", "shopify_payments"], "Unknown"),
        ([], "Unknown"),
    ],
)
def test_how_an_order_was_paid(gateways: list[str], method: str) -> None:
    told = one(read("shopify", order(payment_gateway_names=gateways)))
    assert [payment.method for payment in told.payments] == [method]


def test_a_customer_of_shopify_without_a_possible_phone_is_known_by_id() -> None:
    told = one(read("shopify", order(customer={"id": 7012345678901, "phone": "call me"})))
    assert told.identity == Identity("externalId", "7012345678901")
    assert one(read("shopify", order(customer=None))).identity is None


def test_a_sold_gift_card_has_a_category_of_its_own() -> None:
    line = {"quantity": 1, "price": "50.00", "gift_card": True, "product_type": "Gifts"}
    told = one(read("shopify", order(total_price="50.00", total_tax="0.00", line_items=[line])))
    assert told.items == (Item(5000, 0, 1, "gift_card"),)


def test_a_test_order_counts_in_the_sandbox_only() -> None:
    assert isinstance(read("shopify", order(test=True)), Ignored)
    assert one(read("shopify", order(test=True), is_sandbox=True)).type == "Purchase"


def test_a_refund_of_shopify_is_what_was_paid_back() -> None:
    told = one(read("shopify", document("shopify_refund"), "refunds/create"))
    assert (told.type, told.source_id, told.linked_source_id) == (
        "Refund",
        "refund:880011223344",
        "order:5678901234567",
    )
    assert told.items == (Item(1944, 144, 1, "Equipment"),)


def test_a_refund_without_money_is_ignored() -> None:
    for transactions in ([], [{"kind": "refund", "status": "failure", "amount": "5.00", "currency": "USD"}]):
        refund = document("shopify_refund") | {"transactions": transactions}
        assert isinstance(read("shopify", refund, "refunds/create"), Ignored)


def test_a_sale_of_lightspeed_is_rounded_once() -> None:
    told = one(read("lightspeed", document("lightspeed_sale")))
    assert (told.type, told.amount, told.tax) == ("Purchase", 4182, 274)
    assert told.payments == (Payment(2000, "Cash"), Payment(2182, "GiftCard"))
    assert [item.quantity for item in told.items] == [1, 1]
    assert told.identity == Identity("phone", "+12025550143")
    assert told.place == "b8ca3a65-0125-11e4-fbb5-a67748404883"
    assert told.occurred_at.isoformat() == "2026-03-02T08:20:11+00:00"


def test_change_given_is_not_spent() -> None:
    paid = [{"name": "Cash", "amount": 50}]
    assert one(read("lightspeed", sale(register_sale_payments=paid))).payments == (Payment(4182, "Cash"),)


def test_a_walk_in_is_nobody() -> None:
    walk_in = {"id": "1", "customer_code": "WALKIN", "mobile": "+12025550143"}
    assert one(read("lightspeed", sale(customer=walk_in))).identity is None


def test_a_return_of_lightspeed_names_its_sale() -> None:
    told = one(read("lightspeed", document("lightspeed_return")))
    assert (told.type, told.amount, told.tax, told.payments) == ("Refund", 976, 64, ())
    assert told.linked_source_id == one(read("lightspeed", document("lightspeed_sale"))).source_id


def test_an_exchange_is_its_difference_without_lines() -> None:
    told = document("lightspeed_sale")
    told["register_sale_products"][1] |= {"quantity": -1, "price_total": -9.12, "tax_total": -0.64}
    assert one(read("lightspeed", told)).items == ()


@pytest.mark.parametrize("status", ["SAVED", "LAYBY", "ONACCOUNT", "AWAITING_PICKUP"])
def test_a_sale_that_is_not_closed_is_ignored(status: str) -> None:
    assert isinstance(read("lightspeed", sale(status=status)), Ignored)


def test_a_voided_return_is_told_to_the_partner() -> None:
    assert isinstance(read("lightspeed", document("lightspeed_return") | {"status": "VOIDED"}), Unreadable)
