"""Money: whole minor units with their currency. Nothing here is a float, and no split loses a unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from iso4217 import Currency

MINOR_MAX = 2**63 - 1
MINOR_MIN = -(2**63)
"""What a bigint column holds. Money beyond these limits cannot be made."""


class MoneyError(ValueError):
    """An amount that cannot be."""


class MixedCurrencies(MoneyError):
    """Two currencies in one sum or comparison."""


class UnknownCurrency(MoneyError):
    """A code that ISO 4217 does not list with minor units."""


class AmountOutOfRange(MoneyError):
    """More minor units than 64 bits hold."""


@lru_cache(maxsize=1)
def exponents() -> dict[str, int]:
    """Currency code → digits after the point, by ISO 4217. Codes without minor units (gold, tests) are not money."""
    return {one.code: one.exponent for one in Currency if one.exponent is not None}


def is_currency(code: str) -> bool:
    """Whether `code` is an ISO 4217 code in capitals, with minor units."""
    return code in exponents()


def exponent(code: str) -> int:
    """How many digits the currency has after the point: EUR 2, JPY 0, KWD 3. Raises UnknownCurrency."""
    try:
        return exponents()[code]
    except KeyError:
        raise UnknownCurrency("The currency is not an ISO 4217 code in capitals, such as EUR.") from None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor` units of `currency`. May be negative. Raises MoneyError when it cannot be."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        assert type(self.minor) is int, "money is counted in whole minor units"
        if not MINOR_MIN <= self.minor <= MINOR_MAX:
            raise AmountOutOfRange("The amount does not fit 64 bits of minor units.")
        if self.currency not in exponents():
            exponent(self.currency)

    def __add__(self, other: Self) -> Self:
        return type(self)(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.minor - self._minor_of(other), self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.minor, self.currency)

    def __lt__(self, other: Self) -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: Self) -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: Self) -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: Self) -> bool:
        return self.minor >= self._minor_of(other)

    def __str__(self) -> str:
        """For people: `12.50 EUR`, `1250 JPY`, `-0.005 KWD`."""
        places = exponent(self.currency)
        sign = "-" if self.minor < 0 else ""
        if not places:
            return f"{sign}{abs(self.minor)} {self.currency}"
        whole, rest = divmod(abs(self.minor), 10**places)
        return f"{sign}{whole}.{rest:0{places}d} {self.currency}"

    def split(self, parts: int) -> tuple[Self, ...]:
        """`parts` (≥ 1) amounts that differ by one unit at most and sum to this one; the first get what is over."""
        assert parts >= 1, "money is split into one part or more"
        return self.allocate((1,) * parts)

    def allocate(self, weights: Sequence[int]) -> tuple[Self, ...]:
        """One amount per weight (≥ 0, not all 0), in proportion, summing to this one exactly.

        Largest remainder (Hamilton): each part is cut towards zero, and the units over go one each to the parts that
        lost most, the earlier first where equal. No part is further than one unit from its exact share.
        """
        total = sum(weights)
        assert total > 0, "weights are not all zero"
        assert min(weights) >= 0, "weights are not negative"
        sign = -1 if self.minor < 0 else 1
        exact = [divmod(abs(self.minor) * weight, total) for weight in weights]
        shares = [whole for whole, _ in exact]
        over = abs(self.minor) - sum(shares)
        for index in sorted(range(len(exact)), key=lambda i: -exact[i][1])[:over]:
            shares[index] += 1
        return tuple(type(self)(sign * share, self.currency) for share in shares)

    def _minor_of(self, other: Self) -> int:
        if other.currency != self.currency:
            raise MixedCurrencies(f"{self.currency} and {other.currency} do not mix.")
        return other.minor
