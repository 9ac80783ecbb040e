"""Documents that a system would not send, signed all the same: none does harm, and none is repeated in a fault."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.integrations.adapters import ADAPTERS
from tallystick.integrations.model import Ignored, Shop, Unreadable
from tests.api import Api
from tests.integrations.cast import ACCOUNTS, activities, connect, document
from tests.integrations.test_read import read
from tests.world import T0

NAMES = {
    "square": ("square_payment", "orders/paid"),
    "shopify": ("shopify_order", "orders/paid"),
    "lightspeed": ("lightspeed_sale", "orders/paid"),
}
STRANGE: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 2**64, 1e300, -1e300, 0.1, "", " ", "x" * 100_000, "\ud800",
    "1e999999", "NaN", "-0", "\uff11\uff12",
    [], [[]], [None], {}, {"amount": None}, {"amount": 1.5, "currency": "USD"}, {"amount": 10**12, "currency": "USD"},
    {"amount": "5", "currency": "USD"}, {"amount": True, "currency": "USD"}, {"amount": 5, "currency": "XXX"},
    {"amount": -5, "currency": "USD"}, "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30 00:00:00",
]  # fmt: skip


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything within a document."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, member in members for found in ((*way, name), *places(member, (*way, name)))]


def with_changed(told: Any, way: tuple[Any, ...], strange: Any) -> Any:
    """The document with something else at one place."""
    changed = json.loads(json.dumps(told))
    within = changed
    for name in way[:-1]:
        within = within[name]
    within[way[-1]] = strange
    return changed


@pytest.mark.parametrize(("name", "topic"), [*NAMES.values(), ("shopify_refund", "refunds/create")])
def test_whatever_stands_anywhere_is_read_ignored_or_refused(name: str, topic: str) -> None:
    told = document(name)
    system = name.partition("_")[0]
    for way in places(told):
        for strange in STRANGE:
            found = read(system, with_changed(told, way, strange), topic)
            if isinstance(found, Unreadable):
                assert "x" * 100 not in found.detail and len(found.detail) < 400
            elif not isinstance(found, Ignored):
                for each in found:
                    assert 0 <= each.tax <= each.amount < 2**31
                    assert all(0 <= item.tax <= item.amount < 2**31 and item.quantity >= 0 for item in each.items)
                    for lines in (each.items, each.payments):
                        assert not lines or sum(line.amount for line in lines) == each.amount
                    assert not each.items or sum(item.tax for item in each.items) == each.tax
                    assert each.source_id


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_never_a_purchase(body: bytes) -> None:
    for system, adapter in ADAPTERS.items():
        shop = Shop(ACCOUNTS[system], "USD", "US", is_sandbox=False, now=T0)
        found = adapter.read(shop, {"x-shopify-topic": "orders/paid"}, body)
        assert isinstance(found, Ignored | Unreadable)
        assert not adapter.is_signed(b"secret", "https://here.example", {"x-signature": "signature="}, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"type": "payment.updated", "type": "refund.updated"}',
        b'{"type": NaN}',
        b'{"id": ' + b"9" * 100_000 + b"}",
        b'{"id": "\\ud800"}',
        b'{"id": "\\u0000"}',
    ],
)
async def test_text_that_is_no_document_is_a_fault_of_its_own(api: Api, body: bytes) -> None:
    shop = await connect(api, "square")
    began = time.monotonic()
    answer = await shop.send(body)
    assert (answer.status, answer.body["outcome"]) == (200, "fault")
    assert time.monotonic() - began < 2
    (fault,) = await shop.faults()
    assert (fault["attributes"]["code"], fault["attributes"]["status"]) == ("Unreadable", "open")


@pytest.mark.parametrize(
    "body",
    [
        b"payload",
        b"payload=%ff&x=1",
        b"payload={}&payload={}",
        b"&".join(b"a%d=1" % number for number in range(10_000)),
        "payload=é".encode(),
        b"other=1",
    ],
)
async def test_a_form_that_is_none_is_a_fault(api: Api, body: bytes) -> None:
    shop = await connect(api, "lightspeed")
    assert (await shop.send(body)).body["outcome"] == "fault"
    assert await activities(api) == []


async def test_an_amount_that_is_too_large_is_a_fault_and_counts_nothing(api: Api) -> None:
    square, shopify, lightspeed = [await connect(api, system) for system in ("square", "shopify", "lightspeed")]
    event = document("square_payment")
    event["data"]["object"]["payment"]["amount_money"]["amount"] = 2**31
    assert (await square.send(event)).body["outcome"] == "fault"
    assert (await shopify.send(document("shopify_order") | {"total_price": "99999999999.00"})).body[
        "outcome"
    ] == "fault"
    totals = {"total_price": 1e14, "total_tax": 0}
    assert (await lightspeed.send(document("lightspeed_sale") | {"totals": totals})).body["outcome"] == "fault"
    assert await activities(api) == []
