"""Verify webhooks of Tallystick, or of anyone who signs by Standard Webhooks 1.0. One file: copy it beside your code.

    event = verify(request_body, request_headers, "whsec_...")

Needs Python 3.10 and nothing else for the secret (`whsec_`, signatures `v1`); the package `cryptography` for the public key
(`whpk_`, signatures `v1a`). Give the bytes as they came: a body that was parsed and written again has another signature.

A delivery may come more than once, for you may have taken one whose answer got lost. The `webhook-id` stays the same: keep it
under a unique key, in the transaction that does the work, and answer 2xx to one that you know.
"""

import base64
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = ["VerificationError", "verify"]

TOLERANCE_SECONDS: Final = 300
_SIGNATURES_MAX: Final = 8192
_ID: Final = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,255}")
_WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,14}")

_Check = Callable[[bytes, bytes], bool]


class VerificationError(Exception):
    """This was not sent by who knows the secret, or not now. Answer 400 or 401, and do nothing else."""


def verify(
    payload: bytes,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """The event, if its signature fits one of the secrets and was made within the tolerance; whatever came, else VerificationError.

    `secret` is one or several of `whsec_...` and `whpk_...`: while a secret is being changed, give the old one and the new one.
    `now` is in seconds since 1970, the clock's unless given. Raises ValueError where a secret is none, ImportError where `whpk_`
    lacks `cryptography`: those are mistakes of the receiver, not of the sender.
    """
    checks = _checks([secret] if isinstance(secret, str) else secret)
    message_id = _header(headers, "webhook-id", _ID)
    timestamp = _header(headers, "webhook-timestamp", _WHOLE)
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance_seconds:
        raise VerificationError("The timestamp is too old or too new.")
    signed = b".".join((message_id.encode("ascii"), timestamp.encode("ascii"), payload))
    # Every entry is tried, so that the time taken does not tell which one fitted.
    fits = [check(signed, signature) for kind, signature in _signatures(headers) for check in checks.get(kind, ())]
    if not any(fits):
        raise VerificationError("No signature fits.")
    return _event(payload)


def _header(headers: Mapping[str, str], name: str, shape: re.Pattern[str] | None = None) -> str:
    found = [value for key, value in headers.items() if str(key).lower() == name]
    if len(found) != 1 or not isinstance(found[0], str):
        raise VerificationError(f"The header {name} is missing, or there twice.")
    if shape is not None and not shape.fullmatch(found[0]):
        raise VerificationError(f"The header {name} is malformed.")
    return found[0]


def _signatures(headers: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Each entry's version and signature; entries that are none are left out."""
    text = _header(headers, "webhook-signature")
    if len(text) > _SIGNATURES_MAX:
        raise VerificationError("The header webhook-signature is too long.")
    for entry in text.split(" "):
        version, _, encoded = entry.partition(",")
        try:
            yield version, base64.b64decode(encoded, validate=True)
        except ValueError:
            continue


def _event(payload: bytes) -> dict[str, Any]:
    try:
        event = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise VerificationError("The body is no JSON.") from None
    if not isinstance(event, dict):
        raise VerificationError("The body is no JSON object.")
    return event


def _checks(secrets: Sequence[str]) -> dict[str, list[_Check]]:
    """By version, what tells whether a signature fits."""
    checks: dict[str, list[_Check]] = {"v1": [], "v1a": []}
    for secret in secrets:
        if secret.startswith("whsec_"):
            checks["v1"].append(_symmetric(_key(secret, 24, 64)))
        elif secret.startswith("whpk_"):
            checks["v1a"].append(_asymmetric(_key(secret, 32, 32)))
        else:
            raise ValueError("A secret begins with whsec_, a public key with whpk_.")
    if not secrets:
        raise ValueError("Give at least one secret or public key.")
    return checks


def _key(secret: str, least: int, most: int) -> bytes:
    try:
        key = base64.b64decode(secret.partition("_")[2], validate=True)
    except ValueError:
        key = b""
    if not least <= len(key) <= most:
        raise ValueError("A secret or public key is not what was shown: copy it again, whole.")
    return key


def _symmetric(key: bytes) -> _Check:
    return lambda signed, signature: hmac.compare_digest(hmac.digest(key, signed, "sha256"), signature)


def _asymmetric(key: bytes) -> _Check:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - wanted for public keys only
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError:
        raise ImportError("A public key (whpk_) needs the package cryptography: pip install cryptography") from None
    public = Ed25519PublicKey.from_public_bytes(key)

    def fits(signed: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return fits
