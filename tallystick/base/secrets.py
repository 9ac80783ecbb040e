"""Secrets of clients and operators, access tokens and one-time codes: how they are drawn and what they look like.

    tly_sandbox_<43 random><6 checksum>       a client secret        tly_production_…
    tly_at_sandbox_<43 random><6 checksum>    an access token        tly_at_production_…
    tly_operator_<43 random><6 checksum>      an operator's secret

43 characters of base62 carry 256 bits. The checksum is the CRC-32 of everything before it, in base62: a mistyped or
invented secret is turned away without a look into the database, and a scanner knows a real one when it sees it.
"""

import os
import secrets
import zlib
from functools import lru_cache
from typing import Literal, NamedTuple

from tallystick.base.work import Environment

SECRET_PATTERN = r"\btly_(?:operator|(?:at_)?(?:sandbox|production))_[0-9A-Za-z]{49}\b"  # noqa: S105 - a pattern of secrets, not one of them
"""For secret scanners: every secret and token of this product matches, and little else does."""

RANDOM_LENGTH = 43
CHECKSUM_LENGTH = 6
_TAIL_LENGTH = RANDOM_LENGTH + CHECKSUM_LENGTH
_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 248 is the largest multiple of 62 in a byte: bytes above are thrown away, so that all characters are equally likely.
_SPREAD = bytes(_ALPHABET[byte % 62] for byte in range(256))
_REJECTED = bytes(range(248, 256))


class Kind(NamedTuple):
    """What a well-formed secret is, as its prefix says."""

    name: Literal["secret", "token", "operator"]
    environment: Environment | None
    """None for an operator's, which belongs to no environment."""


_KINDS: dict[str, Kind] = {
    "tly_sandbox_": Kind("secret", "sandbox"),
    "tly_production_": Kind("secret", "production"),
    "tly_at_sandbox_": Kind("token", "sandbox"),
    "tly_at_production_": Kind("token", "production"),
    "tly_operator_": Kind("operator", None),
}


def new_secret(environment: Environment) -> str:
    """A fresh client secret."""
    return _sum_up(f"tly_{environment}_{_drawn()}")


def new_operator_secret() -> str:
    """A fresh secret of an operator."""
    return _sum_up(f"tly_operator_{_drawn()}")


def new_token(environment: Environment) -> str:
    """A fresh access token."""
    return _sum_up(f"tly_at_{environment}_{_drawn()}")


def new_code(digits: int = 6) -> str:
    """A one-time code of 4 to 12 digits, each equally likely."""
    assert 4 <= digits <= 12, "a one-time code has 4 to 12 digits"
    return f"{secrets.randbelow(10**digits):0{digits}d}"


def well_formed(text: str) -> Kind | None:
    """What `text` is, when prefix, length, alphabet and checksum agree; else None. Says nothing about who holds it."""
    kind = _KINDS.get(text[:-_TAIL_LENGTH])
    if kind is None:
        return None
    # Bytes are alphanumeric in ASCII only, so that one look settles the alphabet.
    written = text.encode("ascii", "replace")
    if not written[-_TAIL_LENGTH:].isalnum():
        return None
    return kind if _checksum(written[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:] else None


def mask(text: str) -> str:
    """A secret for logs and screens: its prefix and the last four characters, which belong to the checksum."""
    prefix = text[:-_TAIL_LENGTH]
    return f"{prefix}…{text[-4:]}" if prefix in _KINDS else "…"


def _drawn() -> str:
    characters = b""
    while len(characters) < RANDOM_LENGTH:
        characters += os.urandom(64).translate(_SPREAD, _REJECTED)
    return characters[:RANDOM_LENGTH].decode("ascii")


def _sum_up(text: str) -> str:
    return text + _checksum(text.encode("ascii"))


def _checksum(written: bytes) -> str:
    pairs = _pairs()
    high, rest = divmod(zlib.crc32(written), 3844 * 3844)
    middle, low = divmod(rest, 3844)
    return pairs[high] + pairs[middle] + pairs[low]


@lru_cache(maxsize=1)
def _pairs() -> list[str]:
    """Every two characters of base62, in order: a checksum is then three look-ups."""
    letters = _ALPHABET.decode("ascii")
    return [first + second for first in letters for second in letters]
