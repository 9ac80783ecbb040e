"""The cursor of the request log."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from tallystick.audit.store import Place
from tallystick.base import cursors
from tallystick.base.clock import END_OF_TIME
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Caller

NEWEST: Final = Place(END_OF_TIME, UUID(int=2**128 - 1))
"""Before everything there is: where a first page begins."""

_LIST: Final = "request-logs"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def cursor(keys: MasterKeys, caller: Caller, place: Place) -> str:
    """The text that stands for a place in the caller's log."""
    written = ((place.at - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True) + place.id.bytes
    return cursors.cursor(keys, caller, _LIST, written)


def place_of(keys: MasterKeys, caller: Caller, text: str) -> Place | None:
    """The place that a cursor stands for; None when this caller was never given it."""
    written = cursors.place_of(keys, caller, _LIST, text)
    if written is None:
        return None
    return Place(_EPOCH + int.from_bytes(written[:8], "big", signed=True) * _MICROSECOND, UUID(bytes=written[8:]))
