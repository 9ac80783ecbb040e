"""What tills tell of what customers did, and what was said to it: the only things the tally is told."""

from dataclasses import dataclass
from typing import Literal

from tallystick.torture.history import Refused, Unknown

What = Literal["Purchase", "Refund", "Void"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened. `name` is its source id for ever, `at` its instant (RFC 3339), `of` the name of what it takes back.

    `amount` is minor units, 0 of a void.
    """

    name: str
    what: What
    phone: str
    at: str
    amount: int = 0
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """Acknowledged, under this id. `fresh` where the house says that it did not know of it before."""

    id: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Regular:
    """A customer, and the wallet that rewards go to."""

    phone: str
    user_id: str
    wallet_id: str


@dataclass(frozen=True, slots=True)
class File:
    """Facts that are sent as one file; `key` names it for ever."""

    key: str
    facts: tuple[Fact, ...]


Verdict = Heard | Refused | Unknown
