"""Member codes: what a customer shows at a till. Ten random characters of Crockford's base 32 and a check character.

50 bits, so a code says nothing about others; the check character (the value modulo 37) finds every single mistyped character and
every swap of neighbours. Codes whose check character would be one of Crockford's five extra symbols are not drawn, so that a code
has digits and capital letters only.
"""

import secrets
from typing import Final

LENGTH: Final = 11
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_MODULUS: Final = 37


def new() -> str:
    """A fresh member code."""
    while True:
        drawn = secrets.randbits(5 * (LENGTH - 1))
        check = drawn % _MODULUS
        if check < len(_ALPHABET):
            return _written(drawn) + _ALPHABET[check]


def well_formed(text: str) -> bool:
    """Whether `text` is a member code with the right check character."""
    if len(text) != LENGTH or any(character not in _VALUES for character in text):
        return False
    value = 0
    for character in text[:-1]:
        value = value * 32 + _VALUES[character]
    return value % _MODULUS == _VALUES[text[-1]]


def _written(value: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(5 * (LENGTH - 2), -1, -5))
