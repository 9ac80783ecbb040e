"""Shopify: paid orders, refunds and cancellations, as its webhooks tell them.

Signature (https://shopify.dev/docs/apps/build/webhooks/verify-deliveries): the header `X-Shopify-Hmac-Sha256` is the base64 of
HMAC-SHA256, keyed with the app's client secret (for a webhook made in the shop's settings: the secret shown there), over the raw
body. No header is signed, so that a topic is believed only where the body itself says the same.

Documents (https://shopify.dev/docs/api/admin-rest/latest/resources/order and …/refund): amounts are decimal text in the shop's
currency. Orders are kept as `order:<id>`, refunds as `refund:<id>`, cancellations as `cancellation:<id of the order>`: their
ids are counted apart.
"""

from collections.abc import Mapping
from typing import Final

from tallystick.activity import Identity, Item, Payment
from tallystick.activity.model import AMOUNT_MAX, Method
from tallystick.integrations.model import Adapter, Happened, Ignored, Shop, Told, Unreadable
from tallystick.integrations.reading import Part, Unread, balanced, document, e164
from tallystick.integrations.signing import mac, matches, of_base64

SIGNATURE: Final = "x-shopify-hmac-sha256"
TOPIC: Final = "x-shopify-topic"
SHOP: Final = "x-shopify-shop-domain"

METHODS: Final[Mapping[str, Method]] = {
    "gift_card": "GiftCard",
    "cash": "Cash",
    "cash on delivery (cod)": "Cash",
    "shopify_payments": "CreditCard",
    "stripe": "CreditCard",
    "authorize_net": "CreditCard",
    "bank deposit": "Wire",
    "money order": "Wire",
}
PAID_BACK: Final = ("success", "pending")
"""A refund that is on its way is told of once only."""

CHANNELS: Final = {"web": "web", "pos": "store", "shopify_draft_order": "phone", "iphone": "app", "android": "app"}


def is_signed(secret: bytes, _url: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether whoever sent this knows the secret of the app, or of the shop's own webhooks."""
    return matches(mac(secret, body), of_base64(headers.get(SIGNATURE)))


def read(shop: Shop, headers: Mapping[str, str], body: bytes) -> Told:
    """What a delivery tells."""
    domain = headers.get(SHOP)
    if domain is not None and account_of(domain) != shop.account:
        return Ignored("It is of another account.")
    try:
        told = document(body)
        match headers.get(TOPIC):
            case "orders/paid" | "orders/create":
                return _order(shop, told)
            case "refunds/create":
                return _refund(told)
            case "orders/cancelled":
                return _cancellation(shop, told)
            case None:
                return Unreadable("The header X-Shopify-Topic is missing.")
            case _:
                return Ignored("Deliveries of this topic are not needed.")
    except Unread as unread:
        return Unreadable(str(unread))


def account_of(text: str) -> str:
    """The domain of a shop in the one way it is written here."""
    return text.strip().lower()


def _order(shop: Shop, order: Part) -> Told:
    if order.members.get("test") is True and not shop.is_sandbox:
        return Ignored("It is a test order.")
    if order.text_or_none("financial_status") != "paid":
        return Ignored("The order is not paid.")
    currency = order.currency("currency")
    amount, tax = _positive(order, "total_price", currency), _positive(order, "total_tax", currency)
    tax = min(tax, amount)
    with_tax = order.members.get("taxes_included") is True
    items = [_item(line, currency, with_tax=with_tax) for line in order.parts("line_items")]
    source = order.text_or_none("source_name")
    return [
        Happened(
            "Purchase",
            f"order:{order.text('id')}",
            order.instant("processed_at" if order.has("processed_at") else "created_at"),
            currency,
            amount,
            tax,
            balanced(items, amount, tax, currency),
            (Payment(amount, _method(order.texts("payment_gateway_names"))),),
            _identity(shop, order),
            None if source is None else CHANNELS.get(source, "other"),
            order.text_or_none("location_id"),
        )
    ]


def _refund(refund: Part) -> Told:
    paid_back = [
        each
        for each in refund.parts("transactions")
        if each.text_or_none("kind") == "refund" and each.text_or_none("status") in PAID_BACK
    ]
    if not paid_back:
        return Ignored("No money went back.")
    currencies = {each.currency("currency") for each in paid_back}
    if len(currencies) > 1:
        return Unreadable("The money went back in more than one currency.")
    currency = currencies.pop()
    amount = sum(_positive(each, "amount", currency) for each in paid_back)
    if amount > AMOUNT_MAX:
        return Unreadable(f"More than {AMOUNT_MAX} minor units went back.")
    items = []
    for line in refund.parts("refund_line_items"):
        tax = _positive(line, "total_tax", currency)
        of_line = line.part_or_none("line_item")
        category = None if of_line is None else _category(of_line)
        items.append(Item(_positive(line, "subtotal", currency) + tax, tax, line.quantity("quantity"), category))
    tax = min(sum(item.tax for item in items), amount)
    return [
        Happened(
            "Refund",
            f"refund:{refund.text('id')}",
            refund.instant("processed_at" if refund.has("processed_at") else "created_at"),
            currency,
            amount,
            tax,
            balanced(items, amount, tax, currency),
            linked_source_id=f"order:{refund.text('order_id')}",
        )
    ]


def _cancellation(shop: Shop, order: Part) -> Told:
    if order.members.get("test") is True and not shop.is_sandbox:
        return Ignored("It is a test order.")
    currency, order_id = order.currency("currency"), order.text("id")
    return [
        Happened(
            "Void",
            f"cancellation:{order_id}",
            order.instant("cancelled_at"),
            currency,
            _positive(order, "total_price", currency),
            linked_source_id=f"order:{order_id}",
        )
    ]


def _item(line: Part, currency: str, *, with_tax: bool) -> Item:
    """A line with what was taken off it, and with its tax, which the price includes in some countries."""
    quantity = line.quantity("quantity")
    price = _positive(line, "price", currency) * quantity
    off = sum(_positive(each, "amount", currency) for each in line.parts("discount_allocations"))
    tax = sum(_positive(each, "price", currency) for each in line.parts("tax_lines"))
    amount = max(0, price - off) + (0 if with_tax else tax)
    if amount > AMOUNT_MAX:
        raise Unread(f"At {line.place} there should be at most {AMOUNT_MAX} minor units.")
    return Item(amount, min(tax, amount), quantity, _category(line))


def _category(line: Part) -> str | None:
    """The product's type; the sale of a gift card has a category of its own."""
    return "gift_card" if line.members.get("gift_card") is True else line.text_or_none("product_type")


def _positive(part: Part, name: str, currency: str) -> int:
    units = part.minor(name, currency)
    if units < 0:
        raise Unread(f"At {part.place or 'the top'} there should be no negative {name}.")
    return units


def _method(gateways: list[str]) -> Method:
    """How the order was paid. Its webhook does not say how much of it in which way, where there are several."""
    known = {METHODS.get(name.lower(), "Other") for name in gateways}
    return known.pop() if len(known) == 1 else "Unknown"


def _identity(shop: Shop, order: Part) -> Identity | None:
    """The customer by phone, where there is a possible one, else by Shopify's own id."""
    customer = order.part_or_none("customer")
    written = [order.text_or_none("phone"), None if customer is None else customer.text_or_none("phone")]
    for text in written:
        if (found := e164(text, shop.country)) is not None:
            return found
    customer_id = None if customer is None else customer.text_or_none("id")
    return None if customer_id is None else Identity("externalId", customer_id)


ADAPTER: Final = Adapter(
    system="shopify",
    title="Shopify",
    kept=(SIGNATURE, TOPIC, SHOP),
    account_form="the shop's own domain, such as cafe-luna.myshopify.com",
    is_signed=is_signed,
    read=read,
    account_of=account_of,
)
