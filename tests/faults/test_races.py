"""A short slice of the races over stored value, and the independent count on answers that are wrong."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tallystick.torture import Meeting, race
from tallystick.torture.contests import RACES
from tallystick.torture.counting import Book, Line, Seen
from tallystick.torture.tills import Answer

OPERATIONS = 250
CARD, OTHER, PAYMENT = "card", "other", "payment"


@pytest.mark.skipif(sys.platform != "linux", reason="starts a house as torture does")
async def test_no_unit_is_lost_or_doubled_whatever_races_for_it() -> None:
    with tempfile.TemporaryDirectory(prefix="tallystick-torture-") as place:
        results = await race(Meeting(OPERATIONS, seed=7, place=Path(place)))
    assert results.differences == ()
    assert results.operations >= OPERATIONS
    assert set(results.races) == set(RACES)
    expected = {"InsufficientValue", "InvalidState", "SourceNotUsable", "IdempotencyConflict"}
    assert expected <= set(results.refusals)


def answer(id_: str = PAYMENT, sent: float = 0.0, ended: float = 1.0, **attributes: Any) -> Answer:
    return Answer(200, id_, attributes, None, sent, ended)


def made(amount: int, capture: str = "automatic") -> Answer:
    return answer(authorizedAmount=amount, capture=capture)


def shown(authorised: int, captured: int, refunded: int = 0) -> dict[str, dict[str, int]]:
    return {PAYMENT: {"authorizedAmount": authorised, "capturedAmount": captured, "refundedAmount": refunded}}


def book(capture: str = "automatic", reference: str | None = None) -> Book:
    """One card of 1,000, and one payment of 400."""
    kept = Book()
    kept.issued(CARD, 1_000, "card key")
    kept.paid([CARD], "key", reference, made(400, capture))
    return kept


def test_a_book_that_adds_up_has_no_differences() -> None:
    kept = book()
    kept.refunded(PAYMENT, "r", 150)
    kept.refunded(PAYMENT, "r", 150)
    assert (
        kept.count(
            {CARD: Seen("active", 700, 0, [Line(1, "issue", 1_000, 1_000), Line(2, "expire", -50, 950)])},
            shown(400, 400, 150),
        )
        == []
    )


def test_a_lost_and_a_doubled_unit_are_found() -> None:
    for available in (599, 601):
        (difference,) = book().count({CARD: Seen("active", available, 0)}, shown(400, 400))
        assert "1000 put in" in difference


def test_a_hold_that_no_payment_explains_is_found() -> None:
    assert any("payments hold 0" in each for each in book().count({CARD: Seen("active", 599, 1)}, shown(400, 400)))


def test_what_was_captured_and_cancelled_or_captured_twice_is_found() -> None:
    kept = book("manual")
    kept.captured(PAYMENT, "c", answer(capturedAmount=400), whole=True)
    kept.captured(PAYMENT, "d", answer(capturedAmount=400), whole=True)
    kept.cancelled(PAYMENT, "e", answer())
    found = " ".join(kept.count({CARD: Seen("active", 200, 0)}, shown(400, 800)))
    for fault in ("captured 2 times", "captured and cancelled", "captured 800 of 400"):
        assert fault in found


def test_a_refund_beyond_what_was_captured_is_found() -> None:
    kept = book()
    kept.refunded(PAYMENT, "r", 300)
    kept.refunded(PAYMENT, "s", 300)
    found = kept.count({CARD: Seen("active", 1_200, 0)}, shown(400, 400, 600))
    assert any("refunded 600 of 400" in each for each in found)


def test_an_increase_after_the_capture_is_found() -> None:
    kept = book("manual")
    kept.captured(PAYMENT, "c", answer(capturedAmount=400), whole=False)
    kept.increased(PAYMENT, "i", 10, answer(sent=2.0, ended=3.0))
    found = kept.count({CARD: Seen("active", 600, 0)}, shown(410, 400))
    assert any("increased after its capture" in each for each in found)


def test_a_key_with_two_effects_and_a_reference_of_two_payments_are_found() -> None:
    kept = book(reference="till")
    kept.paid([CARD], "key", "till", answer("second", authorizedAmount=400, capture="automatic"))
    both = shown(400, 400) | {"second": shown(400, 400)[PAYMENT]}
    found = " ".join(kept.count({CARD: Seen("active", 200, 0)}, both))
    assert "the key key had two effects" in found
    assert "the reference till was used by 2 payments" in found


def test_a_reversed_payment_that_kept_something_is_found() -> None:
    kept = book(reference="till")
    kept.reversed("till", PAYMENT)
    assert kept.count({CARD: Seen("active", 600, 0)}, shown(400, 400))
    assert kept.count({CARD: Seen("active", 1_000, 0)}, shown(400, 400, 400)) == []


def test_a_payment_made_after_its_reversal_is_found() -> None:
    kept = book(reference="till")
    kept.reversed("till", None)
    found = kept.count({CARD: Seen("active", 1_000, 0)}, shown(400, 400, 400))
    assert any("reversed before it came" in each for each in found)


def test_value_that_moved_is_counted_on_both_sides() -> None:
    kept = book()
    kept.issued(OTHER, 0, "other key")
    kept.moved("m", CARD, OTHER, 200)
    assert kept.count({CARD: Seen("active", 400, 0), OTHER: Seen("active", 200, 0)}, shown(400, 400)) == []
    assert len(kept.count({CARD: Seen("active", 300, 0), OTHER: Seen("active", 300, 0)}, shown(400, 400))) == 2


def test_value_left_on_a_replaced_card_is_found() -> None:
    kept = book()
    kept.link(CARD, OTHER)
    found = kept.count({CARD: Seen("replaced", 100, 0), OTHER: Seen("active", 500, 0)}, shown(400, 400))
    assert found == [f"{CARD}: replaced, and still has value"]


def test_a_history_that_does_not_follow_is_found() -> None:
    issued, frozen = Line(1, "issue", 1_000, 1_000), Line(2, "freeze", 0, 1_000)
    for history, fault in (
        ([issued, frozen, Line(3, "redeem", -400, 600)], "it paid after `freeze`"),
        ([issued, Line(2, "redeem", -400, 700)], "1000 -400 is 700 in its history (redeem)"),
        ([issued, Line(3, "redeem", -400, 600)], "its history goes from 1 to 3"),
    ):
        assert book().count({CARD: Seen("active", 600, 0, history)}, shown(400, 400)) == [f"{CARD}: {fault}"]
    thawed = [issued, frozen, Line(3, "unfreeze", 0, 1_000), Line(4, "redeem", -400, 600)]
    assert book().count({CARD: Seen("active", 600, 0, thawed)}, shown(400, 400)) == []
