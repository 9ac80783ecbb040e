"""The independent tally finds what it is there to find: each doctored answer or house is told apart from an honest one."""

from collections.abc import Callable
from typing import Any

import pytest

from tallystick.torture.facts import Fact, Heard, Regular, What
from tallystick.torture.history import Refused, Unknown
from tallystick.torture.tally import (
    RULES,
    Stand,
    Tally,
    activity_faults,
    counted,
    progress_faults,
    reward_faults,
    worth,
)

PHONE, AT = "+12025550143", "2026-03-02T09:00:00.000Z"
SPEND, PURCHASES = RULES
BY_ID = {"s": SPEND, "p": PURCHASES}


def fact(name: str, amount: int = 0, what: What = "Purchase", of: str | None = None) -> Fact:
    return Fact(name, what, PHONE, AT, amount, of)


HAPPENED = (
    *(fact(f"b{number}", 1_000) for number in range(7)),
    fact("part", 400, "Refund", "b0"),
    fact("rest", 700, "Refund", "b0"),
    fact("wrong", 1_000, "Refund", "b1"),
    fact("undone", 0, "Void", "wrong"),
    fact("gone", 0, "Void", "b2"),
)
"""Of seven purchases of 1,000 one was refunded twice (and too much), one refunded by mistake, and one voided: five are left."""


def told(*happened: Fact) -> Tally:
    tally = Tally()
    tally.regulars[PHONE] = Regular(PHONE, "user", "wallet")
    for each in happened:
        tally.hear(each, Heard(f"id-{each.name}", fresh=True))
    return tally


def stands() -> list[Stand]:
    return told(*HAPPENED).stands()[PHONE]


def shown_progress(spend: int = 5_000, purchases: int = 5) -> list[dict[str, Any]]:
    return [
        {"thresholdId": id_, "total": total, "current": total % rule.target, "cycle": total // rule.target + 1}
        for (id_, rule), total in zip(BY_ID.items(), (spend, purchases), strict=True)
    ]


def reward(counts: str, amount: int, reversed_: int = 0) -> dict[str, Any]:
    return {"attributes": {"reasonCode": counts, "amount": amount, "reversedAmount": reversed_, "status": "Credited"}}


def shown_activity(name: str, **changes: Any) -> dict[str, Any]:
    (stand,) = (stand for stand in stands() if stand.fact.name == name)
    of = None if stand.fact.of is None else f"id-{stand.fact.of}"
    attributes = {
        "source": {"id": name}, "type": stand.fact.what, "amount": stand.fact.amount,
        "returnedAmount": stand.returned, "voided": stand.voided, "linkedId": of,
    }  # fmt: skip
    return {"id": f"id-{name}", "attributes": attributes | changes}


def test_what_is_left_is_the_same_in_any_order() -> None:
    for happened in (HAPPENED, HAPPENED[::-1]):
        left = told(*happened).stands()[PHONE]
        assert (counted(SPEND, left), counted(PURCHASES, left)) == (5_000 - 1_000 + 1_000, 5)
        assert worth(left) == SPEND.reward + PURCHASES.reward


def test_an_honest_house_has_no_differences() -> None:
    rewards = [reward("spend", 130), reward("purchases", 70), reward("purchases", 70, 70)]
    there = [shown_activity(each.name) for each in HAPPENED]
    assert list(progress_faults("Mira", stands(), BY_ID, shown_progress())) == []
    assert list(reward_faults("Mira", stands(), rewards)) == []
    assert list(activity_faults("Mira", stands(), told(*HAPPENED).ids, there)) == []


def test_who_did_nothing_that_counts_needs_no_progress() -> None:
    assert list(progress_faults("Mira", [], BY_ID, [])) == []
    assert len(list(progress_faults("Mira", stands(), BY_ID, []))) == 2


def test_progress_that_is_too_little_or_in_another_cycle_is_found() -> None:
    (difference,) = progress_faults("Mira", stands(), BY_ID, shown_progress(spend=4_999))
    assert difference == "progress of Mira in spend is 4999 (999 in cycle 2) instead of 5000 (1000 in cycle 2)"
    shown = shown_progress()
    shown[1]["cycle"] = 1
    (difference,) = progress_faults("Mira", stands(), BY_ID, shown)
    assert "instead of 5 (0 in cycle 2)" in difference


@pytest.mark.parametrize(
    ("rewards", "sentence"),
    [
        ([reward("spend", 130)], "Mira has 0 rewards for purchases instead of 1"),
        ([reward("spend", 130), reward("purchases", 70), reward("purchases", 70)], "has 2 rewards for purchases"),
        ([reward("spend", 130, 130), reward("purchases", 70)], "Mira has 0 rewards for spend instead of 1"),
        ([reward("spend", 130), reward("purchases", 70), reward("spend", 130, 30)], "130 for spend, 30 taken back"),
        ([reward("spend", 130), reward("purchases", 70), reward("luck", 5)], "a reward of 5 for luck"),
    ],
)
def test_a_reward_that_is_missing_doubled_or_half_taken_back_is_found(
    rewards: list[dict[str, Any]], sentence: str
) -> None:
    (difference,) = reward_faults("Mira", stands(), rewards)
    assert sentence in difference


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda there: there[1:], "b0 of Mira was acknowledged, and exists 0 times"),
        (lambda there: [*there, there[0]], "b0 of Mira was acknowledged, and exists 2 times"),
        (
            lambda there: [*there, {"id": "x", "attributes": {"source": {"id": "stray"}}}],
            "stray of Mira was never acknowledged",
        ),
        (
            lambda there: [shown_activity("b0", returnedAmount=700), *there[1:]],
            "b0 of Mira should be id-b0 Purchase 1000 1100 False None, and is id-b0 Purchase 1000 700 False None",
        ),
        (lambda there: [*there[:-1], shown_activity("gone", linkedId=None)], "gone of Mira should be"),
    ],
)
def test_activity_that_is_missing_doubled_or_otherwise_is_found(
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], sentence: str
) -> None:
    there = change([shown_activity(each.name) for each in HAPPENED])
    (difference,) = activity_faults("Mira", stands(), told(*HAPPENED).ids, there)
    assert sentence in difference


def test_a_fact_that_is_new_twice_or_has_two_ids_is_found() -> None:
    tally = told(fact("b", 1_000))
    tally.hear(fact("b", 1_000), Heard("id-b", fresh=False))
    assert (tally.differences, tally.repeated) == ([], 1)
    tally.hear(fact("b", 1_000), Heard("id-b", fresh=True))
    tally.hear(fact("b", 1_000), Heard("id-c", fresh=False))
    assert tally.differences == ["b was acknowledged as new 2 times", "b was acknowledged as id-b and as id-c"]


def test_a_known_name_with_other_content_must_be_refused_as_that() -> None:
    tally = told(fact("b", 1_000))
    for verdict in (Refused("ChangedDuplicate"), Unknown("503")):
        tally.hear_changed(fact("b", 1_001), verdict)
    assert tally.differences == []
    tally.hear_changed(fact("b", 1_001), Heard("id-b", fresh=False))
    tally.hear_changed(fact("b", 1_001), Refused("InvalidRequest"))
    assert len(tally.differences) == 2
