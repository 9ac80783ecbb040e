"""How many PINs a guesser gets, by the rule alone."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.giftcards import pins
from tallystick.giftcards.pins import Tries
from tests.world import T0

CARD = UUID(int=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def guess(tries: Tries, times: int = 1, now: object = T0, *, right: bool = False) -> Tries:
    for _ in range(times):
        tries = pins.after(tries, now, right=right)  # type: ignore[arg-type]
    return tries


def test_each_lock_is_longer_than_the_one_before_up_to_a_day() -> None:
    now, tries, delays = T0, Tries(CARD), []
    for _ in range(8):
        tries = guess(tries, 4, now)
        assert not tries.is_locked(now)
        tries = guess(tries, 1, now)
        assert tries.locked_until is not None
        delays.append(tries.locked_until - now)
        now = tries.locked_until
        assert not tries.is_locked(now)
    assert delays == [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY, DAY, DAY]


def test_what_is_tried_while_a_card_is_locked_counts_nothing() -> None:
    locked = guess(Tries(CARD), 5)
    assert guess(locked, 100, T0 + timedelta(seconds=59)) == locked
    assert guess(locked, 1, T0 + timedelta(seconds=59), right=True) == locked


def test_the_right_pin_gives_back_the_tries_but_no_lock() -> None:
    tries = guess(guess(guess(Tries(CARD), 4), right=True), 4)
    assert not tries.is_locked(T0)
    locked = guess(tries)
    later = T0 + MINUTE
    again = guess(guess(locked, 1, later, right=True), 5, later)
    assert again.locked_until == later + 5 * MINUTE


@pytest.mark.parametrize(("days", "delay"), [(0, HOUR), (1, 15 * MINUTE), (2, 5 * MINUTE), (3, MINUTE), (90, MINUTE)])
def test_locks_are_forgotten_one_by_one_a_day_each_after_the_last_ended(days: int, delay: timedelta) -> None:
    now, tries = T0, Tries(CARD)
    for _ in range(3):
        tries = guess(tries, 5, now)
        assert tries.locked_until is not None
        now = tries.locked_until
    now += days * DAY
    assert guess(tries, 5, now).locked_until == now + delay


@given(st.lists(st.integers(0, 36 * 60), min_size=1, max_size=400))
def test_no_guesser_gets_more_than_five_a_day_for_long(waits: list[int]) -> None:
    """Whenever they guess, in any thirty days: what the first locks allow, and then five a day."""
    now, tries, guesses = T0, Tries(CARD), []
    for minutes in waits:
        now += minutes * MINUTE
        if not tries.is_locked(now):
            guesses.append(now)
        tries = guess(tries, 1, now)
    for first in guesses:
        within = sum(first <= at < first + 30 * DAY for at in guesses)
        assert within <= 5 * (len(pins.DELAYS) + 30)
