"""Signatures of systems: the keyed hash of what they sent, compared in constant time."""

import base64
import binascii
import hashlib
import hmac


def mac(secret: bytes, message: bytes) -> bytes:
    """HMAC-SHA256: the 32 bytes that only who knows the secret can make."""
    return hmac.digest(secret, message, hashlib.sha256)


def matches(expected: bytes, presented: bytes | None) -> bool:
    """Whether what was presented is the expected bytes. What is absent or of another length is compared, too, and is not."""
    return hmac.compare_digest(expected, presented or b"")


def of_base64(text: str | None) -> bytes | None:
    """The bytes that the text writes in base64; None where it writes none."""
    if text is None:
        return None
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def of_hex(text: str | None) -> bytes | None:
    """The bytes that the text writes in hexadecimal digits; None where it writes none."""
    if text is None:
        return None
    try:
        return bytes.fromhex(text.strip())
    except ValueError:
        return None
