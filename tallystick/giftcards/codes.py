"""The numbers of gift cards: nineteen random characters of Crockford's base 32 and a check character; and PINs.

95 bits, so that no number says anything about others and none is ever guessed. The check character makes the number, read as a
polynomial over the field of 32 elements, vanish at a generator of that field: so every single mistyped character and every swap of
two characters is found. A number is kept only as a keyed index and sealed.
"""

import re
import secrets
from typing import Final
from uuid import UUID

from tallystick.base.work import Work

RANDOM_LENGTH: Final = 19
LENGTH: Final = RANDOM_LENGTH + 1
GROUP: Final = 4
TAIL_LENGTH: Final = 4
PIN_LENGTH: Final = 6
PIN: Final = re.compile(r"[0-9]{4,8}")

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})
_POLYNOMIAL: Final = 0b100101
"""x⁵ + x² + 1, whose root generates the field."""
_TYPED_MAX: Final = 100
"""Characters of a typed number that are read, spaces and hyphens included."""


def new() -> str:
    """A fresh number in canonical form: twenty characters, nothing between them."""
    drawn = secrets.randbits(5 * RANDOM_LENGTH)
    random = "".join(_ALPHABET[drawn >> shift & 31] for shift in range(5 * (RANDOM_LENGTH - 1), -1, -5))
    return random + _ALPHABET[_times_root(_remainder(random))]


def new_pin() -> str:
    """A fresh PIN: six digits, each as likely as another."""
    return f"{secrets.randbelow(10**PIN_LENGTH):0{PIN_LENGTH}d}"


def written(code: str) -> str:
    """A canonical number as people are shown it: XXXX-XXXX-XXXX-XXXX-XXXX."""
    return "-".join(code[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def canonical(typed: str) -> str | None:
    """The number that was typed or scanned, or None where it is none.

    Lower case, spaces and hyphens are fine, O is read as 0, I and L as 1; what was mistyped is found by the check character.
    """
    if len(typed) > _TYPED_MAX or not typed.isascii():
        return None
    code = typed.upper().translate(_READ_AS)
    return code if well_formed(code) else None


def well_formed(code: str) -> bool:
    """Whether `code` is a number in canonical form with the right check character."""
    return len(code) == LENGTH and all(character in _VALUES for character in code) and _remainder(code) == 0


def well_formed_pin(pin: str) -> bool:
    """Whether `pin` is four to eight digits."""
    return PIN.fullmatch(pin) is not None


def tail(code: str) -> str:
    """The last four characters of a canonical number: all that is shown of it later."""
    return code[-TAIL_LENGTH:]


def index(work: Work, code: str) -> bytes:
    """What a canonical number is found by, within the tenant; nobody reads the number back from it."""
    return work.keys.blind_index(work.tenant.id, f"gift-card:{code}")


def pin_digest(work: Work, card_id: UUID, pin: str) -> bytes:
    """What a PIN is compared by: keyed, and bound to its card, so that equal PINs of two cards look unlike."""
    return work.keys.blind_index(work.tenant.id, f"gift-card-pin:{card_id}:{pin}")


def seal(work: Work, card_id: UUID, code: str) -> bytes:
    """A canonical number as it is kept."""
    return work.keys.seal(code.encode(), b"gift-card:" + card_id.bytes)


def unseal(work: Work, card_id: UUID, sealed: bytes) -> str:
    """The canonical number of a card. Raises Unsealable."""
    return work.keys.open_sealed(sealed, b"gift-card:" + card_id.bytes).decode()


def seal_pin(work: Work, card_id: UUID, pin: str) -> bytes:
    """A PIN as it is kept."""
    return work.keys.seal(pin.encode(), b"gift-card-pin:" + card_id.bytes)


def unseal_pin(work: Work, card_id: UUID, sealed: bytes) -> str:
    """The PIN of a card. Raises Unsealable."""
    return work.keys.open_sealed(sealed, b"gift-card-pin:" + card_id.bytes).decode()


def _remainder(characters: str) -> int:
    """The value at the root of the polynomial whose coefficients the characters are."""
    value = 0
    for character in characters:
        value = _times_root(value) ^ _VALUES[character]
    return value


def _times_root(element: int) -> int:
    doubled = element << 1
    return doubled ^ _POLYNOMIAL if doubled & 32 else doubled
