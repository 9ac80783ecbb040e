"""The independent model finds what it is there to find: each doctored history or house is told apart from an honest one."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tallystick.torture.history import Attempt, Command, Done, Fault, Outcome, Refused, Unknown, recovery
from tallystick.torture.model import Model

PHONE, OTHER = "+12025550143", "+12025550189"


def given(key: str, amount: int, status: str, wallet: str | None = None) -> Done:
    return Done(f"id-{key}", {"amount": amount, "status": status, "walletId": wallet})


def listed(key: str, amount: int, status: str) -> dict[str, Any]:
    return {"id": f"id-{key}", "attributes": {"reasonCode": key, "amount": amount, "status": status}}


HONEST: Sequence[tuple[Command, Outcome]] = (
    (Command("a", "issue", PHONE, 500), given("a", 500, "Created")),
    (Command("b", "issue", PHONE, 300), Refused("PreIssuedConflict")),
    (Command("c", "update", PHONE, 700, "a"), Done("id-a", {"amount": 700})),
    (Command("d", "replay", PHONE, 1, "a"), given("a", 500, "Created")),
    (Command("e", "change key", PHONE, 9_000, "a"), Refused("IdempotencyConflict")),
    (Command("f", "add user", PHONE), Done("u", {})),
    (Command("g", "open wallet", PHONE, of="f"), Done("w", {})),
    (Command("h", "issue", PHONE, 200), given("h", 200, "Credited", "w")),
    (Command("i", "cancel", PHONE, of="a"), Refused("InvalidState")),
    (Command("j", "issue", OTHER, 50), given("j", 50, "Created")),
    (Command("k", "cancel", OTHER, of="j"), Done(None, {})),
)
STANDS = {
    PHONE: [listed("a", 700, "Claimed"), listed("h", 200, "Credited")],
    OTHER: [listed("j", 50, "Cancelled")],
}
LIMIT = 10_000


def differences(
    history: Sequence[tuple[Command, Outcome]] = HONEST,
    stands: dict[str, list[dict[str, Any]]] = STANDS,
    balance: int = 900,
    funding: int = LIMIT - 900,
) -> list[str]:
    model = Model()
    model.learn(history)
    for phone in model.people:
        model.compare_rewards(phone, stands[phone])
    model.compare_balance(PHONE, balance)
    model.compare_funding(LIMIT, funding)
    return model.differences


def doctored(position: int, outcome: Outcome) -> Sequence[tuple[Command, Outcome]]:
    return [(command, outcome if n == position else real) for n, (command, real) in enumerate(HONEST)]


def test_an_honest_history_has_no_differences() -> None:
    assert differences() == []


@pytest.mark.parametrize(
    ("position", "outcome", "sentence"),
    [
        (0, given("a", 501, "Created"), "issue a answered"),
        (0, Refused("InvalidRequest"), "update c is about a, which should not exist"),
        (1, given("b", 300, "Created"), "should have been refused as PreIssuedConflict"),
        (3, given("z", 500, "Created"), "replay d of a was answered otherwise"),
        (3, given("a", 700, "Claimed"), "replay d of a was answered otherwise"),
        (4, given("a", 500, "Created"), "should have been refused as IdempotencyConflict"),
        (7, given("h", 200, "Created"), "issue h answered"),
        (7, Refused("PreIssuedConflict"), "for no reason"),
        (8, Done(None, {}), "should have been refused as InvalidState"),
        (9, Unknown("503"), "issue j was never settled"),
    ],
)
def test_an_answer_that_should_not_have_been_given_is_found(position: int, outcome: Outcome, sentence: str) -> None:
    history = [each for each in doctored(position, outcome) if each[0].key != "k" or position != 9]
    assert any(sentence in difference for difference in differences(history))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rewards: rewards[:1], "h was acknowledged, and exists 0 times"),
        (lambda rewards: [*rewards, rewards[1]], "h was acknowledged, and exists 2 times"),
        (lambda rewards: [*rewards, listed("b", 300, "Created")], "b was never acknowledged, and exists"),
        (lambda rewards: [listed("a", 500, "Claimed"), rewards[1]], "a should be id-a 700 Claimed, and is id-a 500"),
        (lambda rewards: [listed("a", 700, "Created"), rewards[1]], "and is id-a 700 Created"),
    ],
)
def test_a_house_that_kept_something_else_is_found(
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], sentence: str
) -> None:
    (difference,) = differences(stands={**STANDS, PHONE: change(STANDS[PHONE])})
    assert sentence in difference


def test_value_that_is_missing_or_too_much_is_found() -> None:
    assert differences(balance=899) == [f"the wallet of {PHONE} holds 899 instead of 900"]
    assert differences(funding=LIMIT - 1_200) == [f"the funding left is {LIMIT - 1_200} instead of {LIMIT - 900}"]


def attempt(sent: float, ended: float, outcome: Outcome, *, hung_up: bool = False) -> Attempt:
    return Attempt(HONEST[0][0], sent, ended, outcome, hung_up)


def test_the_time_to_serve_again_counts_from_the_fault_to_the_first_success_after_the_last_failure() -> None:
    done, lost = given("a", 500, "Created"), Unknown("503")
    seen = [
        attempt(9.0, 9.5, lost),
        attempt(9.9, 10.1, done),
        attempt(10.1, 10.4, lost),
        attempt(10.2, 10.3, done),
        attempt(10.5, 11.0, lost),
        attempt(11.1, 11.3, done),
        attempt(11.2, 12.0, lost, hung_up=True),
    ]
    fault = Fault("kill the postmaster", 10.0)
    assert recovery(fault, 20.0, seen) == pytest.approx(1.3)
    assert recovery(fault, 20.0, seen[:2]) == 0.0
    assert recovery(fault, 20.0, seen[:5]) is None
