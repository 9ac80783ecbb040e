"""Opaque cursors: a place in a list as a text that tells nothing, and is of use only to the partner that was given it."""

import base64
import binascii
from typing import Final

from tallystick.base.keys import MasterKeys, Unsealable
from tallystick.base.work import Caller

TEXT_MAX: Final = 256


def cursor(keys: MasterKeys, caller: Caller, of: str, place: bytes) -> str:
    """The text that stands for a place in the caller's list of this name."""
    return base64.urlsafe_b64encode(keys.seal(place, _bound_to(caller, of))).decode("ascii").rstrip("=")


def place_of(keys: MasterKeys, caller: Caller, of: str, text: str) -> bytes | None:
    """The place that a cursor stands for; None when this caller was never given it for this list."""
    if len(text) > TEXT_MAX or not text.isascii():
        return None
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return keys.open_sealed(sealed, _bound_to(caller, of))
    except (binascii.Error, Unsealable):
        return None


def _bound_to(caller: Caller, of: str) -> bytes:
    return b"cursor\0" + caller.tenant.id.bytes + caller.partner_id.bytes + of.encode()
