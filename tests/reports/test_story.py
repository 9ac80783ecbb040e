"""Cards sold, spent, refunded, returned and expired by their own verbs: every report knows what each verb did."""

import pytest

from tallystick.base.work import Runtime
from tests.api import Api, document_of
from tests.conftest import Clock
from tests.reports.cast import DAY, close, made, set_rate
from tests.rewards.cast import advance
from tests.world import T0


@pytest.fixture
async def card(api: Api) -> str:
    answer = await api.post(
        "gift-cards", document_of("GiftCard", initialAmount=5_000, valueClass="paid", idempotencyKey="sold")
    )
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def pay(api: Api, card_id: str, amount: int, key: str) -> str:
    sources = {"giftCardId": card_id}
    answer = await api.post(
        "payment-intents",
        document_of("PaymentIntent", amount=amount, capture="automatic", idempotencyKey=key, **sources),
    )
    assert answer.status == 201, answer.text
    return str(answer.data["id"])


async def test_a_card_is_sold_spent_refunded_and_expires_and_every_report_knows(
    api: Api, card: str, runtime: Runtime, clock: Clock
) -> None:
    await set_rate(api, 2_000)
    first = await pay(api, card, 2_000, "a")
    await pay(api, card, 400, "b")
    answer = await api.post(f"payment-intents/{first}/refund", document_of("RefundPaymentIntent", amount=800))
    assert answer.status in (200, 201), answer.text
    await advance(api, "P30D")
    closed = await close(api, runtime, T0 + 30 * DAY)
    assert closed["sums"] == {
        "card.lot": 3_400, "merchant.breakage": -400, "merchant.breakage_income": 400, "merchant.payable": 1_600,
        "merchant.sales": -5_000,
    }  # fmt: skip
    statement = await made(api, runtime, "settlement")
    assert {name: statement.attributes["figures"][name] for name in ("captured", "refunded", "other", "net")} == {
        "captured": 2_400, "refunded": 800, "other": 0, "net": 1_600,
    }  # fmt: skip
    assert [row["paymentId"] == first for row in statement.rows] == [True, False, True]
    liability = await made(api, runtime, "liability")
    assert {row["line"]: row["amount"] for row in liability.rows if row["valueClass"] == "paid"} == {
        "opening": 0, "sold": 5_000, "redeemed": -2_400, "refunded": 800, "closing": 3_400,
    }  # fmt: skip
    answer = await api.post(f"gift-cards/{card}/cancel", document_of("CancelGiftCard", reason="taken back"))
    await advance(api, "P8Y")
    last = await close(api, runtime, T0 + 40 * DAY)
    assert last["inTransit"] == 0
    rest = await made(api, runtime, "liability", from_=T0 + 30 * DAY)
    assert [row["amount"] for row in rest.rows if row["line"] == "other"] == []
