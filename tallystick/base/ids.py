"""Ids: UUIDv7 (RFC 9562, section 5.7), made in the application. They are names, not an order."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from asyncpg.pgproto import pgproto

MS_LIMIT = 1 << 48
"""The first millisecond since 1970 that the 48 bits of a UUIDv7 cannot hold (year 10889)."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The driver's own subclass of uuid.UUID: made, hashed and written several times faster.
_uuid = cast("Callable[[bytes | str], UUID]", pgproto.UUID)
_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)
_RANDOM = (0xFFF << 64) | ((1 << 62) - 1)


def new(at_ms: int | None = None) -> UUID:
    """A fresh id, made at `at_ms` milliseconds since 1970 (default: now, by the machine's clock), with 74 random bits.

    Two ids of one millisecond sort at random. Raises ValueError for an instant that 48 bits cannot hold.
    """
    if at_ms is None:
        at_ms = time.time_ns() // 1_000_000
    elif not 0 <= at_ms < MS_LIMIT:
        raise ValueError("A UUIDv7 is made at an instant between 1970 and the year 10889.")
    drawn = int.from_bytes(os.urandom(10), "big") & _RANDOM
    return _uuid((at_ms << 80 | _VERSION_AND_VARIANT | drawn).to_bytes(16, "big"))


def made_at(named: UUID) -> datetime | None:
    """The millisecond in which a UUIDv7 was made; None for an id of another kind."""
    if named.version != 7:
        return None
    try:
        return EPOCH + timedelta(milliseconds=named.int >> 80)
    except OverflowError:  # after the year 9999
        return None


def parse(text: str) -> UUID | None:
    """The id that `text` writes in canonical form (8-4-4-4-12 hexadecimal digits, either case), else None.

    Any version is read, since partners bring ids of their own; braces, `urn:uuid:` and bare digits are not.
    """
    # The driver's reader skips hyphens wherever they stand and wants 32 digits: with these four, no more fit.
    if len(text) != 36 or text[8] != "-" or text[13] != "-" or text[18] != "-" or text[23] != "-":
        return None
    try:
        return _uuid(text)
    except ValueError:
        return None
