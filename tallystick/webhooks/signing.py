"""Signatures of Standard Webhooks 1.0 (https://www.standardwebhooks.com): `v1` by HMAC-SHA256, `v1a` by Ed25519.

What is signed is `{id}.{seconds}.{body}`, the very bytes that are sent. Every secret that is alive signs, newest first, and whoever
knows one of them finds a signature that fits.
"""

import base64
import hmac
import os
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tallystick.webhooks.model import Signer

SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
PUBLIC_PREFIX: Final = "whpk_"


def new_secret() -> tuple[bytes, bytes]:
    """A fresh symmetric secret, and the seed of a fresh Ed25519 key."""
    return os.urandom(SECRET_BYTES), os.urandom(SECRET_BYTES)


def public_key(seed: bytes) -> bytes:
    """The 32 bytes that verify what this seed signs."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def secret_text(symmetric: bytes) -> str:
    """A symmetric secret as partners keep it."""
    return SECRET_PREFIX + base64.b64encode(symmetric).decode()


def public_text(public: bytes) -> str:
    """A public key as partners keep it."""
    return PUBLIC_PREFIX + base64.b64encode(public).decode()


def headers(signer: Signer, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of one attempt, made at `at`."""
    assert "." not in message_id, "the parts of what is signed are told apart by points"
    seconds = int(at.timestamp())
    content = b"%s.%d.%s" % (message_id.encode(), seconds, body)
    symmetric = (f"v1,{_encoded(hmac.digest(secret, content, 'sha256'))}" for secret in signer.symmetric)
    asymmetric = (f"v1a,{_encoded(key.sign(content))}" for key in signer.private)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join((*symmetric, *asymmetric)),
    }


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
