"""The cursor of the request log: opaque, and of no use to another tenant or partner."""

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from tallystick.audit.store import Place
from tallystick.base.clock import END_OF_TIME
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Caller

NEWEST: Final = Place(END_OF_TIME, UUID(int=2**128 - 1))
"""Before everything there is: where a first page begins."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PLACE_BYTES: Final = 24
_SEAL_BYTES: Final = 12
_TEXT_LENGTH: Final = 48


def cursor(keys: MasterKeys, caller: Caller, place: Place) -> str:
    """The text that stands for a place in the caller's log."""
    written = ((place.at - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True) + place.id.bytes
    return base64.urlsafe_b64encode(written + _seal(keys, caller, written)).decode("ascii")


def place_of(keys: MasterKeys, caller: Caller, text: str) -> Place | None:
    """The place that a cursor stands for; None when this caller was never given it."""
    if len(text) != _TEXT_LENGTH or not text.isascii():
        return None
    try:
        found = base64.b64decode(text, altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    written, seal = found[:_PLACE_BYTES], found[_PLACE_BYTES:]
    if not hmac.compare_digest(seal, _seal(keys, caller, written)):
        return None
    return Place(_EPOCH + int.from_bytes(written[:8], "big", signed=True) * _MICROSECOND, UUID(bytes=written[8:]))


def _seal(keys: MasterKeys, caller: Caller, written: bytes) -> bytes:
    return keys.fingerprint(caller.tenant.id, b"request-log\0" + caller.partner_id.bytes + written)[:_SEAL_BYTES]
