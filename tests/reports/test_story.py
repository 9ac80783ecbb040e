"""A card sold, spent, refunded, replaced and expired by the verbs themselves: every report knows what each of them did."""

from tallystick.base.work import Runtime
from tests.api import Api
from tests.giftcards.living import done, new, pay, settle
from tests.reports.cast import DAY, Made, close, made, set_rate
from tests.rewards.cast import advance
from tests.world import T0


def lines(report: Made, value_class: str = "paid") -> dict[str, int]:
    return {row["line"]: row["amount"] for row in report.rows if row["valueClass"] == value_class}


async def test_every_report_knows_what_became_of_a_card(api: Api, runtime: Runtime) -> None:
    await set_rate(api, 2_000)
    card = await new(api, 5_000, expiresAt="2032-03-02T09:00:00.000Z")
    first = await pay(api, card, 2_000)
    await pay(api, card, 400)
    await settle(api, first, "refund", 800)
    await advance(api, "P30D")
    closed = await close(api, runtime, T0 + 30 * DAY)
    assert closed["sums"] == {
        "card.lot": 3_400, "merchant.breakage": -400, "merchant.breakage_income": 400, "merchant.payable": 1_600,
        "merchant.sales": -5_000,
    }  # fmt: skip
    statement = await made(api, runtime, "settlement")
    assert statement.attributes["figures"] == {
        "opening": 0, "captured": 2_400, "refunded": 800, "other": 0, "net": 1_600, "closing": 1_600,
    }  # fmt: skip
    assert [row["paymentId"] == first for row in statement.rows] == [True, False, True]
    assert lines(await made(api, runtime, "liability")) == {
        "opening": 0, "sold": 5_000, "redeemed": -2_400, "refunded": 800, "closing": 3_400,
    }  # fmt: skip
    await done(api, card, "replace", reason="lost")
    await advance(api, "P7Y")
    await close(api, runtime, T0 + 5 * 365 * DAY)
    last = await close(api, runtime, T0 + 7 * 365 * DAY)
    assert last["sums"] == {"card.lot": -3_400, "merchant.breakage": 400, "merchant.breakage_income": 3_000}
    rest = lines(await made(api, runtime, "liability", from_=T0 + 30 * DAY))
    assert rest == {"opening": 3_400, "transferred": 0, "expired": -3_400, "closing": 0}
    figures = (await made(api, runtime, "breakage")).attributes["figures"]
    assert (figures["contraClosing"], figures["incomeRecognised"], figures["incomeClosing"]) == (0, 400, 3_400)
