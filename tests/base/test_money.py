"""Money: no unit is lost, no currencies mix."""

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.base import money
from tallystick.base.money import AmountOutOfRange, MixedCurrencies, Money, UnknownCurrency

CURRENCIES = st.sampled_from(sorted(money.exponents()))
MINORS = st.integers(money.MINOR_MIN + 1, money.MINOR_MAX)
AMOUNTS = st.builds(Money, MINORS, CURRENCIES)


@given(AMOUNTS, st.integers(1, 60))
def test_the_parts_of_a_split_are_the_whole_and_differ_by_one_unit_at_most(whole: Money, parts: int) -> None:
    split = whole.split(parts)
    assert len(split) == parts
    assert sum(part.minor for part in split) == whole.minor
    assert {part.currency for part in split} == {whole.currency}
    assert max(part.minor for part in split) - min(part.minor for part in split) <= 1


@given(AMOUNTS, st.lists(st.integers(0, 10**12), min_size=1, max_size=30).filter(any))
def test_an_allocation_loses_nothing_and_stays_within_a_unit_of_each_exact_share(
    whole: Money, weights: list[int]
) -> None:
    total = sum(weights)
    shares = whole.allocate(weights)
    assert sum(share.minor for share in shares) == whole.minor
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share.minor * total - whole.minor * weight) < total
        assert weight or share.minor == 0


def test_the_units_over_go_to_the_largest_remainders_the_earlier_first() -> None:
    assert [part.minor for part in Money(100_00, "EUR").split(3)] == [3334, 3333, 3333]
    assert [part.minor for part in Money(-100, "EUR").split(3)] == [-34, -33, -33]
    assert [part.minor for part in Money(10, "EUR").allocate([1, 5, 1])] == [2, 7, 1]
    assert [part.minor for part in Money(5, "JPY").allocate([3, 7])] == [2, 3]
    assert [part.minor for part in Money(7, "JPY").allocate([0, 1, 0])] == [0, 7, 0]


@given(AMOUNTS)
def test_money_is_written_with_the_digits_of_its_currency(amount: Money) -> None:
    number, code = str(amount).split(" ")
    assert code == amount.currency
    assert len(number.partition(".")[2]) == money.exponent(code)
    assert int(number.replace(".", "")) == amount.minor


@pytest.mark.parametrize(
    ("minor", "code", "text"),
    [
        (1250, "EUR", "12.50 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (0, "USD", "0.00 USD"),
        (1250, "JPY", "1250 JPY"),
        (-1250, "JPY", "-1250 JPY"),
        (1250, "KWD", "1.250 KWD"),
        (7, "CLF", "0.0007 CLF"),
    ],
)
def test_money_reads_as_people_write_it(minor: int, code: str, text: str) -> None:
    assert str(Money(minor, code)) == text


@pytest.mark.parametrize(
    "mix",
    [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge],
    ids=lambda mix: mix.__name__,
)
def test_currencies_do_not_mix(mix: Callable[[Money, Money], object]) -> None:
    with pytest.raises(MixedCurrencies, match="EUR and USD"):
        mix(Money(1, "EUR"), Money(1, "USD"))
    assert Money(1, "EUR") != Money(1, "USD")


def test_money_of_one_currency_adds_and_compares() -> None:
    assert Money(5, "EUR") + Money(7, "EUR") == Money(12, "EUR")
    assert Money(5, "EUR") - Money(7, "EUR") == -Money(2, "EUR")
    assert Money(5, "EUR") < Money(7, "EUR") <= Money(7, "EUR")
    assert Money(7, "EUR") > Money(5, "EUR") >= Money(5, "EUR")


def test_more_than_64_bits_is_refused_wherever_it_comes_from() -> None:
    most, least, one = Money(money.MINOR_MAX, "EUR"), Money(money.MINOR_MIN, "EUR"), Money(1, "EUR")
    with pytest.raises(AmountOutOfRange):
        Money(money.MINOR_MAX + 1, "EUR")
    with pytest.raises(AmountOutOfRange):
        _ = most + one
    with pytest.raises(AmountOutOfRange):
        _ = least - one
    with pytest.raises(AmountOutOfRange):
        _ = -least


@pytest.mark.parametrize("minor", [1.0, True, "1", None])
def test_money_is_counted_in_integers_only(minor: object) -> None:
    with pytest.raises(AssertionError):
        Money(minor, "EUR")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["", "eur", "EU", "EURO", "XAU", "XTS", "XXX", "DEM", "ZZZ", "EUR\0"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    assert not money.is_currency(code)
    with pytest.raises(UnknownCurrency):
        money.exponent(code)
    with pytest.raises(UnknownCurrency):
        Money(1, code)


def test_exponents_are_those_of_iso_4217() -> None:
    assert {code: money.exponent(code) for code in ("EUR", "USD", "JPY", "KRW", "KWD", "BHD", "CLF")} == {
        "EUR": 2,
        "USD": 2,
        "JPY": 0,
        "KRW": 0,
        "KWD": 3,
        "BHD": 3,
        "CLF": 4,
    }
