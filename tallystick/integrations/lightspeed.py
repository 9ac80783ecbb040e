"""Lightspeed Retail (X-Series): closed sales, returns and voided sales, as the webhook `sale.update` tells them.

Signature (https://x-series-api.lightspeedhq.com/docs/webhooks): the header `X-Signature: signature=…,algorithm=HMAC-SHA256`,
keyed with the application's client secret, over the request body as it was sent: a form whose field `payload` is the sale. The
documentation does not say how the 32 bytes of the signature are written, so that hexadecimal digits and base64 are both read;
they are the same bytes.

Documents (…/docs/webhooks_example_payloads and API 1.0): prices are before tax, with up to five digits behind the point, and
rounded here. `status` (…/docs/sales_statuses) and `return_for` (…/docs/sales_returns) say what a sale is. A sale is kept by its
own id, and its being voided as `void:<id>`. Instants without an offset are UTC.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from tallystick.activity import Identity, Item, Payment
from tallystick.activity.model import AMOUNT_MAX, Method
from tallystick.base.money import Money
from tallystick.integrations.model import Adapter, Happened, Ignored, Shop, Told, Unreadable
from tallystick.integrations.reading import Part, Unread, balanced, document, e164
from tallystick.integrations.signing import mac, matches, of_base64, of_hex

SIGNATURE: Final = "x-signature"
ALGORITHM: Final = "HMAC-SHA256"
CLOSED: Final = frozenset({"CLOSED", "ONACCOUNT_CLOSED", "LAYBY_CLOSED", "DISPATCHED_CLOSED", "PICKED_UP_CLOSED"})
WALK_IN: Final = "WALKIN"
"""The code of the customer that stands for nobody."""

FIELDS_MAX: Final = 20

WORDS: Final[tuple[tuple[str, Method], ...]] = (
    ("gift card", "GiftCard"),
    ("gift", "GiftCard"),
    ("cash", "Cash"),
    ("debit", "DebitCard"),
    ("eftpos", "DebitCard"),
    ("credit", "CreditCard"),
    ("card", "CreditCard"),
    ("transfer", "Wire"),
)
"""Shops name their ways to pay themselves: the first word that is in the name decides."""


def is_signed(secret: bytes, _url: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether whoever sent this knows the client secret of the application."""
    members = dict(part.strip().partition("=")[::2] for part in headers.get(SIGNATURE, "").split(","))
    written = members.get("signature") if members.get("algorithm") == ALGORITHM else None
    presented = of_hex(written) if written is not None and len(written) == 64 else of_base64(written)
    return matches(mac(secret, body), presented)


def read(shop: Shop, _headers: Mapping[str, str], body: bytes) -> Told:
    """What a delivery tells."""
    try:
        form = _form(body)
        prefix = form.get("domain_prefix")
        if prefix is not None and account_of(prefix) != shop.account:
            return Ignored("It is of another account.")
        if form.get("type", "sale.update") != "sale.update":
            return Ignored("Deliveries of this type are not needed.")
        sale = document(form["payload"].encode())
        if not sale.has("status") or "register_sale_products" not in sale.members:
            return Ignored("It is no sale.")
        status = sale.text("status")
        if status == "VOIDED":
            return _voided(shop, sale)
        return [_sale(shop, sale)] if status in CLOSED else Ignored("The sale is not closed.")
    except Unread as unread:
        return Unreadable(str(unread))


def account_of(text: str) -> str:
    """The domain prefix of a store in the one way it is written here."""
    return text.strip().lower()


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        raise Unread("The body is not a form of few fields.") from None
    form = dict(pairs)
    if "payload" not in form or len(form) != len(pairs):
        raise Unread("The form should have one field payload, and none twice.")
    return form


def _sale(shop: Shop, sale: Part) -> Happened:
    """A purchase, or what is returned of one: a return has the same amounts, negative."""
    before, tax = _totals(shop, sale)
    returned = sale.has("return_for") or before < 0
    amount, tax = abs(before + tax), abs(tax)
    if amount > AMOUNT_MAX:
        raise Unread(f"The sale is of more than {AMOUNT_MAX} minor units.")
    tax = min(tax, amount)
    lines = [_item(shop, line) for line in sale.parts("register_sale_products")]
    mixed = any((line.amount < 0) != returned for line in lines if line.amount)
    items = () if mixed else balanced([_unsigned(line) for line in lines], amount, tax, shop.currency)
    return Happened(
        "Refund" if returned else "Purchase",
        sale.text("id"),
        sale.instant("sale_date"),
        shop.currency,
        amount,
        tax,
        items,
        () if returned else _payments(shop, sale, amount),
        _identity(shop, sale),
        "store",
        sale.text_or_none("outlet_id") or sale.text_or_none("register_id"),
        sale.text_or_none("return_for") if returned else None,
    )


def _voided(shop: Shop, sale: Part) -> Told:
    if sale.has("return_for"):
        return Unreadable("A return was voided, which nothing here undoes: send the purchase again under another id.")
    before, tax = _totals(shop, sale)
    sale_id = sale.text("id")
    at = sale.instant("updated_at" if sale.has("updated_at") else "sale_date")
    return [
        Happened(
            "Void",
            f"void:{sale_id}",
            at,
            shop.currency,
            min(abs(before + tax), AMOUNT_MAX),
            linked_source_id=sale_id,
        )
    ]


def _totals(shop: Shop, sale: Part) -> tuple[int, int]:
    """What the sale comes to before tax, and its tax: older documents have them at the top."""
    totals = sale.part_or_none("totals") or sale
    if "total_price" not in totals.members:
        raise Unread("At total_price there should be a decimal number.")
    return totals.minor("total_price", shop.currency), totals.minor("total_tax", shop.currency)


def _item(shop: Shop, line: Part) -> Item:
    """A line, negative where it is returned."""
    quantity = line.quantity("quantity")
    if line.has("price_total"):
        before, tax = line.minor("price_total", shop.currency), line.minor("tax_total", shop.currency)
    else:
        before = line.minor("price", shop.currency) * quantity
        tax = line.minor("tax", shop.currency) * quantity
    kind = line.part_or_none("product_type")
    return Item(before + tax, tax, quantity, None if kind is None else kind.text_or_none("name"))


def _unsigned(line: Item) -> Item:
    return Item(abs(line.amount), min(abs(line.tax), abs(line.amount)), line.quantity, line.category)


def _payments(shop: Shop, sale: Part, amount: int) -> tuple[Payment, ...]:
    """How it was paid, as shares of the amount: payments are rounded, and change is given."""
    told = sale.parts("register_sale_payments")
    paid = [max(0, each.minor("amount", shop.currency)) for each in told]
    if not sum(paid):
        return ()
    shares = [share.minor for share in Money(amount, shop.currency).allocate(paid)]
    return tuple(
        Payment(share, _method(each.text_or_none("name"))) for share, each in zip(shares, told, strict=True) if share
    )


def _method(name: str | None) -> Method:
    if name is None:
        return "Unknown"
    return next((method for word, method in WORDS if word in name.lower()), "Other")


def _identity(shop: Shop, sale: Part) -> Identity | None:
    """The customer by phone, where there is a possible one, else by Lightspeed's own id; nobody for a walk-in."""
    customer = sale.part_or_none("customer")
    if customer is not None:
        if customer.text_or_none("customer_code") == WALK_IN:
            return None
        for name in ("mobile", "phone"):
            if (found := e164(customer.text_or_none(name), shop.country)) is not None:
                return found
    customer_id = sale.text_or_none("customer_id")
    return None if customer_id is None else Identity("externalId", customer_id)


ADAPTER: Final = Adapter(
    system="lightspeed",
    title="Lightspeed Retail (X-Series)",
    kept=(SIGNATURE,),
    account_form="the store's domain prefix, such as cafeluna",
    is_signed=is_signed,
    read=read,
    account_of=account_of,
)
