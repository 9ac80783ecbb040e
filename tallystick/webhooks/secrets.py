"""The secrets of endpoints: made, sealed, and opened to sign with."""

from collections.abc import Sequence
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import tallystick.webhooks.store as store
from tallystick.base import ids
from tallystick.base.work import Work
from tallystick.webhooks import signing
from tallystick.webhooks.model import Signer
from tallystick.webhooks.store import Secret


async def add(work: Work, webhook_id: UUID) -> tuple[Secret, str]:
    """A fresh secret of an endpoint; the text is known here and now only."""
    symmetric, seed = signing.new_secret()
    secret_id = ids.new()
    secret = Secret(
        webhook_id=webhook_id,
        id=secret_id,
        symmetric_sealed=work.keys.seal(symmetric, secret_id.bytes),
        private_sealed=work.keys.seal(seed, secret_id.bytes),
        public_key=signing.public_key(seed),
        created_at=work.real_now,
        ends_at=None,
    )
    await store.insert_secret(work, secret)
    return secret, signing.secret_text(symmetric)


async def signers(work: Work, webhook_ids: Sequence[UUID]) -> dict[UUID, Signer]:
    """What each of these endpoints' deliveries are signed with just now."""
    symmetric: dict[UUID, list[bytes]] = {}
    private: dict[UUID, list[Ed25519PrivateKey]] = {}
    for secret in await store.secrets(work, webhook_ids):
        opened = work.keys.open_sealed(secret.symmetric_sealed, secret.id.bytes)
        seed = work.keys.open_sealed(secret.private_sealed, secret.id.bytes)
        symmetric.setdefault(secret.webhook_id, []).append(opened)
        private.setdefault(secret.webhook_id, []).append(Ed25519PrivateKey.from_private_bytes(seed))
    return {webhook_id: Signer(tuple(symmetric[webhook_id]), tuple(private[webhook_id])) for webhook_id in symmetric}
